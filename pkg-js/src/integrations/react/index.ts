'use client'

/**
 * tidelock for React: a provider of the database, and hooks for live queries, writes, the sync and the lock.
 *
 * @packageDocumentation
 */

import type { DetailedHTMLProps, HTMLAttributes } from 'react'
import type { Database, OpenOptions } from '../../index.js'

export type { LiveQueryOptions, LiveResult } from '../shared/live-results.js'
export type { LockStatus } from '../shared/lock-status.js'
export type { MutationCalls, MutationState, MutationWork } from '../shared/mutation.js'
export type { LiveQuerySource, MaybeLiveQuerySource } from '../shared/statement.js'
export type { SyncOverview } from '../shared/sync-overview.js'
export { DatabaseProvider, type DatabaseProviderProps, useDatabase, useSuspenseDatabase } from './database.js'
export { type LiveQueryHookOptions, useLiveQuery, useSuspenseLiveQuery } from './live-query.js'
export { type MutationResult, useMutation } from './mutation.js'
export { useLock, useSyncStatus } from './status.js'

/** The properties of `<tidelock-inspector>` in JSX. React passes them to the element from version 19 on. */
export interface InspectorProps extends DetailedHTMLProps<HTMLAttributes<HTMLElement>, HTMLElement> {
  /** The database to show, or the promise of `open`; null shows none. */
  readonly database?: Database | PromiseLike<Database> | null | undefined
  /** The open view, such as `history` or `tables/orders`. */
  readonly view?: string | undefined
  /** Without tabs and the list of tables. */
  readonly embedded?: boolean | undefined
  /** Statements that the SQL view offers. */
  readonly statements?: readonly string[] | undefined
  /** The option `wasm` of `open`. */
  readonly wasm?: OpenOptions['wasm']
  readonly onviewchange?: ((event: CustomEvent<{ readonly view: string }>) => void) | undefined
}

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      /** The inspector, which `import 'tidelock/inspector'` defines. */
      'tidelock-inspector': InspectorProps
    }
  }
}
