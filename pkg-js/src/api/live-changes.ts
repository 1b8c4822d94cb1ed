import { checkFunction, checkOptionsOf, reading } from '../base/check.js'
import { invalid, isTidelockError, type TidelockError } from '../base/errors.js'
import { callUser } from '../base/events.js'
import { loaded } from '../base/lazy-module.js'
import type { KeyedRows, LiveChanges } from './row-changes.js'
import type { RowsDifference } from './rows-difference.js'

/** The name of a column of these rows; its number for rows that are arrays. */
export type ColumnOf<T> = T extends readonly unknown[] ? number : keyof T & string

/** Options of {@link LiveQuery.changes}. */
export interface LiveChangesOptions<T> {
  /** The column, or columns, whose values differ in every row of the result, such as the primary key. */
  readonly key: ColumnOf<T> | readonly ColumnOf<T>[]
}

/** A live query whose results are read. */
interface Source<T> extends AsyncIterable<T[]> {
  subscribe(onRows: (rows: T[]) => unknown, onError: (error: TidelockError) => unknown): () => void
  differenceFrom(rows: readonly T[]): RowsDifference | undefined
}

/**
 * The differences from each result of a live query to the next, the result of {@link LiveQuery.changes}. Each loop and each subscriber
 * begins with a first difference that adds all rows, even if there are none. A slow reader gets one difference for several results;
 * results without a difference are skipped.
 */
export class LiveChangesReader<T> implements AsyncIterable<LiveChanges<T>> {
  readonly #live: Source<T>
  readonly #key: readonly (string | number)[]
  readonly #warn: (error: TidelockError) => void

  /** @internal */
  constructor(live: Source<T>, options: LiveChangesOptions<T>, warn: (error: TidelockError) => void) {
    this.#live = live
    this.#key = reading('The options of changes', () => checkKey(options))
    this.#warn = warn
  }

  /**
   * Calls `onChanges` with each difference. Returns a function that unsubscribes. A failed run, a key that is missing or not unique, and
   * `wasm_load_failed` of the module that compares are passed to `onError`, or become a warning of the database without it; the next
   * difference is to the last result that was passed.
   */
  subscribe(
    onChanges: (changes: LiveChanges<T>) => unknown,
    onError: (error: TidelockError) => unknown = this.#warn,
  ): () => void {
    checkFunction('The first argument of subscribe', onChanges)
    checkFunction('The second argument of subscribe', onError)
    let next: ResultComparison<T> | undefined
    let isLoading = false
    /** The results until what compares them is loaded: none is left out, as the last known one before the real one. */
    const waiting: (readonly T[])[] = []
    let isEnded = false
    const fail = (error: TidelockError) => {
      if (!isEnded) callUser(onError, error)
    }
    const show = (rows: readonly T[]) => {
      if (next === undefined) {
        waiting.push(rows)
        void load()
        return
      }
      try {
        const changes = next(rows)
        if (changes !== undefined) callUser(onChanges, changes)
      } catch (error) {
        if (!isTidelockError(error)) throw error
        fail(error)
      }
    }
    const load = async () => {
      if (isLoading) return
      isLoading = true
      try {
        next = await this.#differences()
      } catch (error) {
        // The next result loads the module again.
        isLoading = false
        waiting.splice(0, waiting.length - 1)
        fail(error as TidelockError)
        return
      }
      for (const rows of waiting.splice(0)) if (!isEnded) show(rows)
    }
    const end = this.#live.subscribe(show, fail)
    return () => {
      isEnded = true
      end()
    }
  }

  /**
   * Iterates over the differences. The loop throws the error of the query, `invalid_argument` for a key that is missing or not unique, and
   * `wasm_load_failed` when the module that compares can't be loaded.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<LiveChanges<T>, undefined, undefined> {
    const next = this.#differences()
    next.catch(() => {})
    for await (const rows of this.#live) {
      const changes = (await next)(rows)
      if (changes !== undefined) yield changes
    }
  }

  /** Loads what compares results. Rejects with `wasm_load_failed`. */
  async #differences(): Promise<ResultComparison<T>> {
    const { isEmpty, rowChanges } = await loaded('changes of live queries', import('./row-changes.js'))
    let before: KeyedRows<T> = { rows: [], keys: new Set() }
    let isFirst = true
    return (rows) => {
      const { changes, after } = rowChanges(before, rows, this.#key, this.#live.differenceFrom(before.rows))
      before = after
      if (!isFirst && isEmpty(changes)) return undefined
      isFirst = false
      return changes
    }
  }
}

/** Returns the difference of a result from the one before; undefined: nothing differs. */
type ResultComparison<T> = (rows: readonly T[]) => LiveChanges<T> | undefined

function checkKey(options: unknown): readonly (string | number)[] {
  if (options === undefined) throw noKey()
  const { key } = checkOptionsOf('changes', options, ['key'])
  const columns: readonly unknown[] = Array.isArray(key) ? key : [key]
  const isColumn = (column: unknown) => typeof column === 'string' || Number.isInteger(column)
  if (columns.length === 0) throw noKey()
  // Unlike `every`, this ends at the first hole.
  for (const column of columns) if (!isColumn(column)) throw noKey()
  return columns as readonly (string | number)[]
}

function noKey(): TidelockError {
  return invalid("The option 'key' must be a column, or a list of columns", {
    details: { option: 'key' },
    hint: "Name the column that differs in every row: live.changes({ key: 'id' })",
  })
}
