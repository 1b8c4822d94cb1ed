import type { ShallowRef } from 'vue'
import { type LockStatus, providedLock, waitingLock } from '../shared/lock-status.js'
import { providedSync, type SyncOverview, unknownSync } from '../shared/sync-overview.js'
import { useDatabases } from './database.js'
import { useStore } from './use-store.js'

/**
 * Returns a ref of the state of the sync: what it does, what waits, what was refused, and why the last round failed. It is read again after
 * each round, and shortly after commits. Throws `invalid_argument` outside of a provider.
 *
 * @example
 * ```ts
 * const sync = useSyncStatus()
 * const isSaved = computed(() => sync.value.phase === 'idle' && sync.value.pending === 0)
 * ```
 */
export function useSyncStatus(): Readonly<ShallowRef<SyncOverview>> {
  const databases = useDatabases('useSyncStatus')
  return useStore(() => providedSync(databases), unknownSync)
}

/**
 * Returns a ref of the role of this tab and the state of the lock, for instance to ask the user to reload after another tab has taken the
 * database over. Throws `invalid_argument` outside of a provider.
 *
 * @example
 * ```ts
 * const lock = useLock()
 * const isElsewhere = computed(() => lock.value.state === 'lost' || lock.value.state === 'released')
 * ```
 */
export function useLock(): Readonly<ShallowRef<LockStatus>> {
  const databases = useDatabases('useLock')
  return useStore(() => providedLock(databases), waitingLock)
}
