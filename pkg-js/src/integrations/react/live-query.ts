import { useEffect, useMemo } from 'react'
import type { Row, SqlParams } from '../../index.js'
import type { DatabaseStore } from '../shared/database-store.js'
import { checkKnown } from '../shared/known-options.js'
import {
  type LiveQueryOptions,
  type LiveResult,
  liveResults,
  loadingResult,
  providedResults,
} from '../shared/live-results.js'
import { type LiveQuerySource, type MaybeLiveQuerySource, statementOf } from '../shared/statement.js'
import { useDatabases, useOpenDatabase, useStore } from './database.js'
import { suspendUntilLoaded } from './suspend.js'

/** Options of {@link useLiveQuery}. */
export interface LiveQueryHookOptions extends LiveQueryOptions {
  /**
   * Throws an error of the query in the render, for the nearest error boundary, instead of returning it.
   * @default false
   */
  readonly throwOnError?: boolean | undefined
}

/**
 * Runs a query, and again when a commit has changed its tables, until the component unmounts. Components with the same query and
 * parameters share one run; parameters are compared by value, so an inline array is fine.
 *
 * `query` is SQL, an `` sql`...` `` fragment, a query of Kysely or Drizzle, or undefined, null or false to run nothing. Returns
 * `{ rows, error, loading }`. Its `error` is that of the query, that of a failed opening, or `closed` when the database was closed; it
 * disappears with the next run that succeeds. On a server, and until the database is open, `loading` is true.
 *
 * Throws `invalid_argument` for a query of another kind, an unknown option, and outside of a `DatabaseProvider`.
 *
 * @example
 * ```tsx
 * const { rows, error, loading } = useLiveQuery<Todo>('SELECT * FROM todos WHERE list = ?', [list])
 * ```
 */
export function useLiveQuery<T = Row>(
  query: MaybeLiveQuerySource<T>,
  params?: SqlParams,
  options: LiveQueryHookOptions = {},
): LiveResult<T> {
  checkKnown('useLiveQuery', options, ['timeoutMs', 'initial', 'keepPreviousRows', 'throwOnError'])
  const { timeoutMs, initial, keepPreviousRows = false, throwOnError = false } = options
  const databases = useDatabases('useLiveQuery')
  const statement = statementOf(query, params)
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key identifies the statement
  const results = useMemo(
    () => providedResults<T>(databases, statement, { timeoutMs, initial }),
    [databases, statement?.key, timeoutMs, initial],
  )
  const result = useStore(results, loadingResult)
  if (throwOnError && result.error) throw result.error
  return useWithPrevious(result, keepPreviousRows, databases)
}

/**
 * As {@link useLiveQuery}, but suspends until the rows have loaded, and throws errors in the render, for the nearest error boundary. While it
 * is suspended, React shows the `<Suspense>` inside of the provider, else the `fallback` of the provider. A change of the parameters suspends
 * again, unless it is made in `startTransition`.
 *
 * On a server it throws `unsupported_environment`: React sends the fallback, and renders the component in the browser.
 *
 * @example
 * ```tsx
 * const { rows } = useSuspenseLiveQuery<Todo>('SELECT * FROM todos')
 * ```
 */
export function useSuspenseLiveQuery<T = Row>(
  query: LiveQuerySource<T>,
  params?: SqlParams,
  options: Pick<LiveQueryOptions, 'timeoutMs'> = {},
): { readonly rows: readonly T[] } {
  checkKnown('useSuspenseLiveQuery', options, ['timeoutMs'])
  const { timeoutMs } = options
  const database = useOpenDatabase('useSuspenseLiveQuery')
  const statement = statementOf(query, params)
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key identifies the statement
  const results = useMemo(
    () => liveResults<T>(database, statement, { timeoutMs }),
    [database, statement?.key, timeoutMs],
  )
  const result = useStore<LiveResult<T>>(results, loadingResult)
  if (result.error) throw result.error
  return result.loading ? suspendUntilLoaded(results, 'useSuspenseLiveQuery') : result
}

/** Returns the result; with `keep`, while it is loading and has no rows, with the rows of the previous result. */
function useWithPrevious<T>(result: LiveResult<T>, keep: boolean, databases: DatabaseStore): LiveResult<T> {
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows of another database are never previous ones
  const previous = useMemo<{ rows: readonly T[] }>(() => ({ rows: [] }), [databases])
  useEffect(() => {
    if (!result.loading) previous.rows = result.rows
  })
  const isKept = keep && result.loading && result.rows.length === 0
  return useMemo(() => (isKept ? { ...result, rows: previous.rows } : result), [isKept, previous, result])
}
