import type { Database, Row, SqlParams } from '../../index.js'
import { databaseStore } from '../shared/database-store.js'
import { constantStore, lazyStore } from '../shared/external-store.js'
import { checkKnown } from '../shared/known-options.js'
import {
  failedResult,
  type LiveQueryOptions,
  type LiveResult,
  loadingResult,
  providedResults,
} from '../shared/live-results.js'
import { TidelockError } from '../shared/package.js'
import { type MaybeLiveQuerySource, type QueryStatement, statementOf } from '../shared/statement.js'
import { contextDatabases } from './database.js'
import { follow, type Readable, type ReadableLike, readable } from './readable.js'

/** Options of {@link liveQuery}. */
export interface LiveQueryStoreOptions extends LiveQueryOptions {
  /**
   * The database, undefined as long as there is none. With it, `liveQuery` can be called anywhere, for instance in a `$:` statement.
   * @default that of `setDatabase`
   */
  readonly database?: Database | undefined
}

/**
 * Returns a store of `{ rows, error, loading }`. While it has subscribers, the query runs, and again when a commit has changed its tables.
 * Components with the same query and parameters share one run.
 *
 * `query` and `params` are values or stores; the query follows their changes. `query` is SQL, an `` sql`...` `` fragment, a query of Kysely or
 * Drizzle, or undefined, null or false to run nothing. The `error` is that of the query, that of a failed opening, `closed` when the database
 * was closed, or `invalid_argument` for a query of another kind; it disappears with the next run that succeeds. On a server, and until the
 * database is open, `loading` is true.
 *
 * Throws `invalid_argument` for an unknown option, and outside of a component with a provider, unless `database` is an option.
 *
 * @example
 * ```ts
 * const todos = liveQuery<Todo>('SELECT * FROM todos WHERE list = ?', toStore(() => [list]))
 * // {#each $todos.rows as todo (todo.id)} ... {/each}
 * ```
 */
export function liveQuery<T = Row>(
  query: ReadableLike<MaybeLiveQuerySource<T>>,
  params?: ReadableLike<SqlParams | undefined>,
  options: LiveQueryStoreOptions = {},
): Readable<LiveResult<T>> {
  checkKnown('liveQuery', options, ['timeoutMs', 'initial', 'keepPreviousRows', 'database'])
  const { timeoutMs, initial, keepPreviousRows = false } = options
  const databases =
    'database' in options ? databaseStore({ database: options.database }) : contextDatabases('liveQuery')
  const results = lazyStore<LiveResult<T>>(loadingResult, (set) => {
    let rows: readonly T[] = []
    let stop = () => {}
    const unfollow = followStatement(query, params, (statement) => {
      stop()
      const store =
        statement instanceof TidelockError
          ? constantStore(failedResult(statement))
          : providedResults<T>(databases, statement, { timeoutMs, initial })
      const show = () => {
        const result = store.get()
        if (!result.loading) rows = result.rows
        set(result.loading && keepPreviousRows && result.rows.length === 0 ? { ...result, rows } : result)
      }
      stop = store.subscribe(show)
      show()
    })
    return () => {
      unfollow()
      stop()
    }
  })
  return readable(results)
}

/** Calls `use` with the statement of a query and its parameters, or with their error, and again with each other one. */
function followStatement<T>(
  query: ReadableLike<MaybeLiveQuerySource<T>>,
  params: ReadableLike<SqlParams | undefined>,
  use: (statement: QueryStatement | TidelockError | undefined) => void,
): () => void {
  let source: MaybeLiveQuerySource<T>
  let values: SqlParams | undefined
  let used: { readonly key: string | undefined } | undefined
  const look = () => {
    const statement = statementOrError(source, values)
    const key = statement instanceof TidelockError ? undefined : statement?.key
    if (used !== undefined && key !== undefined && used.key === key) return
    used = { key }
    use(statement)
  }
  const unfollowQuery = follow(query, (next) => {
    source = next
    // Its parameters may have no value yet.
    if (used !== undefined) look()
  })
  const unfollowParams = follow(params, (next) => {
    values = next
    look()
  })
  return () => {
    unfollowQuery()
    unfollowParams()
  }
}

function statementOrError<T>(
  source: MaybeLiveQuerySource<T>,
  params: SqlParams | undefined,
): QueryStatement | TidelockError | undefined {
  try {
    return statementOf(source, params)
  } catch (error) {
    if (error instanceof TidelockError) return error
    throw error
  }
}
