import { type Database, type LiveOptions, type LiveQuery, type Row, TidelockError } from '../../index.js'
import type { DatabaseState } from './database-store.js'
import { constantStore, lazyStore, type Store } from './external-store.js'
import { fromDatabase } from './from-database.js'
import type { QueryStatement } from './statement.js'

/** The state of a live query. */
export interface LiveResult<T = Row> {
  /** The latest rows; empty before the first result. */
  readonly rows: readonly T[]
  /** Why the last run failed, or why there is no database; `rows` stay those of the last result. */
  readonly error: TidelockError | undefined
  /** Whether neither rows nor an error have arrived yet, for this query and these parameters. */
  readonly loading: boolean
}

/** Options of a live query in a component. */
export interface LiveQueryOptions extends Pick<LiveOptions, 'timeoutMs'> {
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
const skippedResult: LiveResult<never> = { rows: noRows, error: undefined, loading: false }

/** The state of a query that can't run. */
export function failedResult(error: TidelockError): LiveResult<never> {
  return { rows: noRows, error, loading: false }
}

/** The running queries of each database: components with the same query share one. */
const running = new WeakMap<Database, Map<string, Store<LiveResult<unknown>>>>()

/** Makes the store of a query's results; without a statement nothing runs. The query runs while the store has subscribers. */
export function liveResults<T>(
  database: Database,
  statement: QueryStatement | undefined,
  timeoutMs: number | undefined,
): Store<LiveResult<T>> {
  if (statement === undefined) return constantStore(skippedResult)
  const stores = running.get(database) ?? new Map<string, Store<LiveResult<unknown>>>()
  running.set(database, stores)
  const { key, map } = statement
  const id = `${map === undefined} ${timeoutMs} ${key}`
  const begin = () => {
    const store = lazyStore<LiveResult<unknown>>(
      loadingResult,
      (set) => observe(database, statement, timeoutMs, set),
      () => stores.delete(id),
    )
    stores.set(id, store)
    return store
  }
  const store: Store<LiveResult<unknown>> = {
    get: () => stores.get(id)?.get() ?? loadingResult,
    subscribe: (listener) => (stores.get(id) ?? begin()).subscribe(listener),
  }
  return (map === undefined ? store : mapped(store, map)) as Store<LiveResult<T>>
}

/** Makes the store of a query's results in the database of a provider, which may arrive later. */
export function providedResults<T>(
  databases: Store<DatabaseState>,
  statement: QueryStatement | undefined,
  timeoutMs: number | undefined,
): Store<LiveResult<T>> {
  return fromDatabase<LiveResult<T>>(databases, loadingResult, failedResult, (database) =>
    liveResults(database, statement, timeoutMs),
  )
}

/** Makes the store of the same results with mapped rows. */
function mapped(
  { get, subscribe }: Store<LiveResult<unknown>>,
  map: (rows: readonly unknown[]) => readonly unknown[],
): Store<LiveResult<unknown>> {
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
        const hint = "Look at the error's cause; the query must be made with drizzle(), of a driver for SQLite"
        to = failedResult(new TidelockError('invalid_argument', 'Drizzle did not map the rows', { hint, cause }))
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
  timeoutMs: number | undefined,
  set: (result: LiveResult<unknown>) => void,
): () => void {
  let rows: readonly unknown[] = noRows
  const fail = (error: TidelockError) => set({ rows, error, loading: false })
  // A live query ends silently with its database.
  const onClose = () => fail(closedError(database))
  let live: LiveQuery<unknown>
  try {
    live = database.live(sql, params, { timeoutMs, rowMode: map === undefined ? 'object' : 'array' })
  } catch (error) {
    fail(error as TidelockError)
    return () => {}
  }
  live.subscribe((next) => {
    rows = next
    set({ rows, error: undefined, loading: false })
  }, fail)
  database.addEventListener('close', onClose)
  return () => {
    database.removeEventListener('close', onClose)
    live.close()
  }
}

function closedError(database: Database): TidelockError {
  return new TidelockError('closed', `The database '${database.name}' was closed while a live query used it`, {
    hint: 'Close it after the components that use it, or open it again and pass the new one to the provider',
  })
}
