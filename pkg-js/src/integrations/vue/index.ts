/**
 * tidelock for Vue: a plugin that provides the database, and composables for live queries, writes, the sync and the lock.
 *
 * @packageDocumentation
 */

export type { DatabaseSource } from '../shared/database-store.js'
export type { LiveQueryOptions } from '../shared/live-results.js'
export type { LockStatus } from '../shared/lock-status.js'
export type { MutationCalls, MutationWork } from '../shared/mutation.js'
export type { LiveQuerySource, MaybeLiveQuerySource } from '../shared/statement.js'
export type { SyncOverview } from '../shared/sync-overview.js'
export { createTidelock, provideDatabase, useDatabase } from './database.js'
export { type LiveQueryRefs, useLiveQuery } from './live-query.js'
export { type MutationRefs, useMutation } from './mutation.js'
export { useLock, useSyncStatus } from './status.js'
