'use client'

/**
 * tidelock for React: a provider of the database, and hooks for live queries, writes, the sync and the lock.
 *
 * @packageDocumentation
 */

export type { LiveQueryOptions, LiveResult } from '../shared/live-results.js'
export type { LockStatus } from '../shared/lock-status.js'
export type { MutationCalls, MutationState, MutationWork } from '../shared/mutation.js'
export type { LiveQuerySource, MaybeLiveQuerySource } from '../shared/statement.js'
export type { SyncOverview } from '../shared/sync-overview.js'
export { DatabaseProvider, type DatabaseProviderProps, useDatabase, useSuspenseDatabase } from './database.js'
export { type LiveQueryHookOptions, useLiveQuery, useSuspenseLiveQuery } from './live-query.js'
export { type MutationResult, useMutation } from './mutation.js'
export { useLock, useSyncStatus } from './status.js'
