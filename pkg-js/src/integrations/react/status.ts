import { type LockStatus, providedLock, waitingLock } from '../shared/lock-status.js'
import { providedSync, type SyncOverview, unknownSync } from '../shared/sync-overview.js'
import { useProvided } from './database.js'

/**
 * Returns the state of the sync: what it does, what waits, what was refused, and why the last round failed. It is read again after each
 * round, and shortly after commits. Throws `invalid_argument` outside of a `DatabaseProvider`.
 *
 * @example
 * ```tsx
 * const { phase, pending, error } = useSyncStatus()
 * return <p>{phase === 'offline' ? 'Offline' : error ? 'Not synced' : phase === 'idle' && pending === 0 ? 'Saved' : 'Saving'}</p>
 * ```
 */
export function useSyncStatus(): SyncOverview {
  return useProvided('useSyncStatus', providedSync, unknownSync)
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
  return useProvided('useLock', providedLock, waitingLock)
}
