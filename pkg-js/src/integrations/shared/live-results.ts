import type { Database, LiveOptions, LiveQuery, OpenOptions, Row, TidelockError } from '../../index.js'
import type { DatabaseStore } from './database-store.js'
import { failure, invalid } from './errors.js'
import { constantStore, type ExternalStore, lazyStore } from './external-store.js'
import { fromDatabase } from './from-database.js'
import { listen } from './listen.js'
import { lastRows } from './package.js'
import type { QueryStatement } from './statement.js'

/** The state of a live query. */
export interface LiveResult<T = Row> {
  /** The latest rows; empty before the first result, unless the options ask for earlier ones. */
  readonly rows: readonly T[]
  /** Why the last run failed, or why there is no database; `rows` stay those of the last result. */
  readonly error: TidelockError | undefined
  /** Whether neither a result nor an error has arrived yet, for this query and these parameters: then `rows` aren't current. */
  readonly loading: boolean
}

/** The options of a component's live query that belong to the run, which components share. */
type SharedRunOptions = Pick<LiveOptions, 'timeoutMs' | 'initial'>

/** Options of a live query in a component. */
export interface LiveQueryOptions extends Pick<LiveOptions, 'timeoutMs'> {
  /**
   * `'last'`: begins with the last known rows, which are stored with the database, while `loading` is true. A provider with `options` shows
   * them while it opens the database. See `LiveOptions.initial`.
   */
  readonly initial?: 'last' | undefined
  /**
   * Keeps the rows of the previous query until those of the next one arrive, for instance while a user types into a search field.
   * @default false
   */
  readonly keepPreviousRows?: boolean | undefined
}

const noRows: readonly never[] = []

/** The state before the first result. */
export const loadingResult: LiveResult<never> = { rows: noRows, error: undefined, loading: true }

/** The state where there is no query to run. */
const skippedResult: LiveResult<never> = { ...loadingResult, loading: false }

/** The state of a query that can't run. */
export function failedResult(error: TidelockError): LiveResult<never> {
  return { ...skippedResult, error }
}

/** The running queries of each database: components with the same query share one. */
const running = new WeakMap<Database, Map<string, ExternalStore<LiveResult<unknown>>>>()

/**
 * Makes the store of a query's results; without a statement nothing runs. The query runs while the store has subscribers. `before` is its
 * state before the first result.
 */
export function liveResults<T>(
  database: Database,
  statement: QueryStatement | undefined,
  options: SharedRunOptions,
  before: LiveResult<unknown> = loadingResult,
): ExternalStore<LiveResult<T>> {
  if (statement === undefined) return constantStore(skippedResult)
  const stores = running.get(database) ?? new Map<string, ExternalStore<LiveResult<unknown>>>()
  running.set(database, stores)
  const { key, map } = statement
  const id = `${map === undefined} ${options.timeoutMs} ${options.initial} ${key}`
  const begin = () => {
    const store = lazyStore<LiveResult<unknown>>(
      before,
      (set) => observe(database, statement, options, set),
      () => stores.delete(id),
    )
    stores.set(id, store)
    return store
  }
  const store: ExternalStore<LiveResult<unknown>> = {
    get: () => stores.get(id)?.get() ?? before,
    subscribe: (listener) => (stores.get(id) ?? begin()).subscribe(listener),
  }
  return mapped(store, map) as ExternalStore<LiveResult<T>>
}

/** Makes the store of a query's results in the database of a provider, which may arrive later. */
export function providedResults<T>(
  databases: DatabaseStore,
  statement: QueryStatement | undefined,
  options: SharedRunOptions,
): ExternalStore<LiveResult<T>> {
  const opening = options.initial && databases.options
  const waiting = statement && opening ? lastResults(opening, statement) : constantStore(loadingResult)
  return fromDatabase<LiveResult<T>>(databases, ({ database, error }) => {
    if (database) return liveResults(database, statement, options, waiting.get())
    return error
      ? constantStore(failedResult(error))
      : (mapped(waiting, statement?.map) as ExternalStore<LiveResult<T>>)
  })
}

/** Makes the store of the last known rows of a query in a database that is being opened. */
function lastResults(
  { name, path, storage, remote }: OpenOptions,
  { sql, params, map }: QueryStatement,
): ExternalStore<LiveResult<unknown>> {
  return lazyStore<LiveResult<unknown>>(loadingResult, (set) => {
    // The name of a user's own database is known after the sign-in only.
    if (!remote?.perUser && storage !== 'memory')
      lastRows(name, sql, params, { path, storage, rowMode: rowModeOf(map) }).then(
        (rows) => rows && set({ ...loadingResult, rows }),
        // The opening reports what is wrong with the place.
        () => {},
      )
    return () => {}
  })
}

/** The form in which rows are read: mapped ones come as arrays. */
function rowModeOf(map: QueryStatement['map']) {
  return map === undefined ? 'object' : 'array'
}

/** Makes the store of the same results with mapped rows, if they are to be mapped. */
function mapped(
  store: ExternalStore<LiveResult<unknown>>,
  map: QueryStatement['map'],
): ExternalStore<LiveResult<unknown>> {
  if (map === undefined) return store
  const { get, subscribe } = store
  let from: LiveResult<unknown> | undefined
  let to: LiveResult<unknown> = loadingResult
  return {
    get() {
      const result = get()
      if (result === from) return to
      from = result
      try {
        to = result.rows === noRows ? result : { ...result, rows: map(result.rows) }
      } catch (cause) {
        const hint = "Look at the error's cause; make the query with drizzle() for SQLite"
        to = failedResult(invalid('Drizzle did not map the rows', hint, cause))
      }
      return to
    },
    subscribe,
  }
}

/** Runs a live query and passes on its states. Returns a function that ends it. */
function observe(
  database: Database,
  { sql, params, map }: QueryStatement,
  options: SharedRunOptions,
  set: (result: LiveResult<unknown>) => void,
): () => void {
  let rows: readonly unknown[] = noRows
  const fail = (error: TidelockError) => set({ rows, error, loading: false })
  let live: LiveQuery<unknown>
  try {
    live = database.live(sql, params, { ...options, rowMode: rowModeOf(map) })
  } catch (error) {
    fail(error as TidelockError)
    return () => {}
  }
  live.subscribe((next) => {
    rows = next
    set({ rows, error: undefined, loading: live.stale })
  }, fail)
  // A live query ends silently with its database.
  const unlisten = listen(database, {
    close: () =>
      fail(
        failure(
          'closed',
          `The database '${database.name}' was closed while a live query used it`,
          'Close it after the components that use it, or pass another one to the provider',
        ),
      ),
  })
  return () => {
    unlisten()
    live.close()
  }
}
