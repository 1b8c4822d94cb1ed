import { checkInteger, optional } from '../base/check.js'
import { invalid, isTidelockError, type TidelockError } from '../base/errors.js'

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

/** Checks a window; undefined: the whole result is wanted. */
export function checkWindow({ limit, offset }: LiveWindow): LiveWindow | undefined {
  if (limit === undefined && offset === undefined) return undefined
  optional('limit', limit, (what, value) => checkInteger(what, value, 0))
  optional('offset', offset, (what, value) => checkInteger(what, value, 0))
  return { limit, offset }
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
