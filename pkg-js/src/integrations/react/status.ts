import { useMemo } from 'react'
import { fromDatabase } from '../shared/from-database.js'
import { failedLock, type LockStatus, lockStatus, waitingLock } from '../shared/lock-status.js'
import { failedSync, type SyncOverview, syncOverview, unknownSync } from '../shared/sync-overview.js'
import { useDatabases, useStore } from './database.js'

/**
 * Returns the state of the sync: what it does, what waits, what was refused, and why the last round failed. It is read again after each
 * round, and shortly after commits. Throws `invalid_argument` outside of a `DatabaseProvider`.
 *
 * @example
 * ```tsx
 * const { phase, pending, error } = useSyncStatus()
 * return <p>{error ? 'Offline' : phase === 'idle' && pending === 0 ? 'Saved' : 'Saving'}</p>
 * ```
 */
export function useSyncStatus(): SyncOverview {
  const databases = useDatabases('useSyncStatus')
  const store = useMemo(() => fromDatabase(databases, unknownSync, failedSync, syncOverview), [databases])
  return useStore(store, unknownSync)
}

/**
 * Returns the role of this tab and the state of the lock, for instance to ask the user to reload after another tab has taken the database
 * over. Throws `invalid_argument` outside of a `DatabaseProvider`.
 *
 * @example
 * ```tsx
 * const { state } = useLock()
 * if (state === 'lost' || state === 'released') return <p>The app is open in another tab.</p>
 * ```
 */
export function useLock(): LockStatus {
  const databases = useDatabases('useLock')
  const store = useMemo(() => fromDatabase(databases, waitingLock, failedLock, lockStatus), [databases])
  return useStore(store, waitingLock)
}
