import { type LockStatus, providedLock } from '../shared/lock-status.js'
import { providedSync, type SyncOverview } from '../shared/sync-overview.js'
import { contextDatabases } from './database.js'
import { type Readable, readable } from './readable.js'

/**
 * Returns a store of the state of the sync: what it does, what waits, what was refused, and why the last round failed. It is read again after
 * each round, and shortly after commits. Throws `invalid_argument` outside of a component with a provider.
 *
 * @example
 * ```ts
 * const sync = syncStatus()
 * // {$sync.phase === 'offline' ? 'Offline' : $sync.error ? 'Not synced' : $sync.phase === 'idle' && $sync.pending === 0 ? 'Saved' : 'Saving'}
 * ```
 */
export function syncStatus(): Readable<SyncOverview> {
  return readable(providedSync(contextDatabases('syncStatus')))
}

/**
 * Returns a store of the role of this tab and the state of the lock, for instance to ask the user to reload after another tab has taken the
 * database over. Throws `invalid_argument` outside of a component with a provider.
 *
 * @example
 * ```ts
 * const status = lock()
 * // {#if $status.state === 'lost' || $status.state === 'released'} The app is open in another tab. {/if}
 * ```
 */
export function lock(): Readable<LockStatus> {
  return readable(providedLock(contextDatabases('lock')))
}
