/**
 * tidelock for Svelte: the database as context, and stores of live queries, writes, the sync and the lock. They work as `$store` in Svelte 4
 * and 5, and with `fromStore` in runes.
 *
 * @packageDocumentation
 */

export type { DatabaseSource } from '../shared/database-store.js'
export type { LiveResult } from '../shared/live-results.js'
export type { LockStatus } from '../shared/lock-status.js'
export type { MutationCalls, MutationState, MutationWork } from '../shared/mutation.js'
export type { LiveQuerySource, MaybeLiveQuerySource } from '../shared/statement.js'
export type { SyncOverview } from '../shared/sync-overview.js'
export { getDatabase, setDatabase } from './database.js'
export { type LiveQueryStoreOptions, liveQuery } from './live-query.js'
export { type MutationStore, mutation } from './mutation.js'
export type { Readable, ReadableLike } from './readable.js'
export { lock, syncStatus } from './status.js'
