import { reading } from '../base/check.js'
import { errorWith, invalid, TidelockError } from '../base/errors.js'
import type { RowMode } from '../base/values.js'
import type { Op } from './core.js'

/** One statement of a batch. */
export interface StatementOf<P> {
  readonly sql: string
  readonly params?: P
}

/**
 * What an engine can run under a permit, with parameters as P: packed or not. A new kind needs an entry here, and one in `packed-work.ts`. These are
 * arrays because each statement may be copied to another thread, and arrays are copied faster than objects.
 */
export type Work<P = unknown> =
  | readonly ['statement', kind: Op, sql: string, params: P]
  | readonly ['batch', statements: readonly StatementOf<P>[]]
  | readonly ['script', script: string]
  | readonly ['explain', sql: string]
  /** Reads a live query for the first time or again, after that many reads. */
  | readonly ['live', query: LiveRead, params: P]

/** What a live query reads: see {@link Core.difference}. */
export interface LiveRead {
  readonly id: number
  readonly reads: number
  /** How many rows the result had that was read last. */
  readonly rows: number
  readonly sql: string
  readonly mode: RowMode
  /** Without it, all rows. */
  readonly window?: { readonly limit?: number | undefined; readonly offset?: number | undefined } | undefined
}

/** Returns the statements for all rows of a live query, or for those of its window and the number of all. */
export function liveStatements({ sql, window }: LiveRead): readonly string[] {
  if (window === undefined) return [sql]
  // A line of its own, because the query may end with a comment. As text, so that the query's parameters keep their numbers.
  const text = sql.replace(/[\s;]+$/, '')
  return [`${text}\nLIMIT ${window.limit ?? -1} OFFSET ${window.offset ?? 0}`, `SELECT count(*) FROM (${text}\n)`]
}

/** The outcome of {@link Work}. */
export interface WorkResult<R = unknown> {
  /** One for each statement; of `live` the rows, and for a window that was read whole the number of all rows. */
  readonly results: readonly R[]
  /** The rows of `explain`; the difference of `live`, undefined when the result is all rows. */
  readonly value?: unknown
  /** Whether something was written that has to be stored before the call resolves. */
  readonly wrote?: boolean
}

/** Applies `work` to each statement of a batch. An error names the statement, in its message and as `details.statement`. */
export function eachStatement<P, T>(
  statements: readonly StatementOf<P>[],
  work: (statement: StatementOf<P>) => T,
): T[] {
  const given = reading('The statements of a batch', () => {
    if (!Array.isArray(statements)) throw invalid('The statements of a batch must be an array of { sql, params }')
    // Neither `map`, which skips holes, nor `from`, which iterates: that may never end.
    const { length } = statements
    return Array.from({ length }, (_, index): StatementOf<P> => {
      const { sql, params } = (statements[index] as StatementOf<P> | null | undefined) ?? {}
      if (typeof sql === 'string') return params === undefined ? { sql } : { sql, params }
      throw invalid(`Statement ${index + 1} of the batch must be { sql, params }`)
    })
  })
  return given.map((statement, index) => {
    try {
      return work(statement)
    } catch (error) {
      throw atStatement(error, index)
    }
  })
}

function atStatement(error: unknown, index: number): unknown {
  if (!(error instanceof TidelockError)) return error
  const statement = index + 1
  return errorWith(error, { message: `Statement ${statement} of the batch: ${error.message}`, details: { statement } })
}
