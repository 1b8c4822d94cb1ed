import { checkInteger, optional } from '../base/check.js'
import { invalid, isTidelockError, type TidelockError } from '../base/errors.js'
import type { RowMode } from '../base/values.js'
import type { Connection, MaybePromise, Permit } from '../engine/connection.js'
import { type Op, op } from '../engine/core.js'

/** The part of a live query's result that is wanted. */
export interface LiveWindow {
  /** The largest number of rows. Without it, all rows from `offset` on. */
  readonly limit?: number | undefined
  /**
   * The number of rows to skip.
   * @default 0
   */
  readonly offset?: number | undefined
}

/** Rows, and how many there are without the window. */
export interface Counted<T> {
  readonly rows: T[]
  readonly total: number
}

/** Checks a window; undefined: the whole result is wanted. */
export function checkWindow({ limit, offset }: LiveWindow): LiveWindow | undefined {
  if (limit === undefined && offset === undefined) return undefined
  optional('limit', limit, (what, value) => checkInteger(what, value, 0))
  optional('offset', offset, (what, value) => checkInteger(what, value, 0))
  return { limit, offset }
}

/** Runs a query for the rows of a window and for the number of all rows, under one permit, so that both are of one point in time. */
export function queryWindow<T>(
  calls: Connection,
  { permitId, timeoutMs }: Permit,
  query: { readonly sql: string; readonly params: unknown; readonly mode: RowMode },
  { limit, offset = 0 }: LiveWindow,
): MaybePromise<Counted<T>> {
  // A line of its own, because the query may end with a comment. As text, so that the query's parameters keep their numbers.
  const text = query.sql.replace(/[\s;]+$/, '')
  const execute = (kind: Op, sql: string) =>
    calls.execute(permitId, kind, sql, query.params, timeoutMs, query.mode) as MaybePromise<unknown>
  const results = [
    execute(op.query, `${text}\nLIMIT ${limit ?? -1} OFFSET ${offset}`),
    execute(op.get, `SELECT count(*) AS total FROM (${text}\n)`),
  ]
  const counted = ([rows, count]: readonly unknown[]) =>
    ({ rows, total: Number((count as { readonly total: number | bigint }).total) }) as Counted<T>
  // Together, so that a failure of both is handled once.
  return results.some((result) => result instanceof Promise) ? Promise.all(results).then(counted) : counted(results)
}

/** Explains that SQLite refuses the LIMIT that a window adds; returns other errors unchanged. */
export function windowError(error: unknown): unknown {
  if (!isTidelockError(error, 'sqlite_error') || !/near "LIMIT"/.test(error.message)) return error
  return invalid('A live query with limit or offset must be a SELECT without a LIMIT of its own', {
    hint: 'Leave LIMIT and OFFSET to the options limit and offset',
    cause: error,
  })
}

export function noWindow(): TidelockError {
  return invalid('This live query has no window', {
    hint: "Pass the option 'limit' or 'offset' to db.live()",
  })
}
