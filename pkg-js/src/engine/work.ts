import { errorWith, invalid, TidelockError } from '../base/errors.js'
import { type Op, op } from './core.js'

/** One statement of a batch. */
export interface StatementOf<P> {
  readonly sql: string
  readonly params?: P
}

/**
 * What an engine can be asked to run on a turn, with parameters as P: packed or not. A new kind is one here, and one below. Arrays, since every
 * statement is copied to another thread, and they are copied sooner than objects.
 */
export type Work<P = unknown> =
  | readonly ['statement', kind: Op, sql: string, params: P]
  | readonly ['batch', statements: readonly StatementOf<P>[]]
  | readonly ['script', script: string]
  | readonly ['explain', sql: string]

/** What came of it. */
export interface Done<R = unknown> {
  /** Of each statement. */
  readonly results: readonly R[]
  /** What else there is to tell. */
  readonly value?: unknown
  /** Whether something was written that is to be waited for. */
  readonly wrote?: boolean
}

/** The same with its parameters packed. Fails with `invalid_argument` naming the parameter. */
export function packedWork<P, Q>(work: Work<P>, pack: (kind: Op, sql: string, params: P) => Q): Work<Q> {
  switch (work[0]) {
    case 'statement': {
      const [type, kind, sql, params] = work
      return [type, kind, sql, pack(kind, sql, params)]
    }
    case 'batch': {
      const [type, statements] = work
      return [type, eachStatement(statements, ({ sql, params }) => ({ sql, params: pack(op.query, sql, params as P) }))]
    }
    default:
      return work
  }
}

/** Does something with each statement of a batch; an error says which one it was. */
export function eachStatement<P, T>(
  statements: readonly StatementOf<P>[],
  work: (statement: StatementOf<P>) => T,
): T[] {
  if (!Array.isArray(statements)) throw invalid('The statements of a batch must be an array of { sql, params }')
  return statements.map((statement: StatementOf<P> | null, index) => {
    if (typeof statement?.sql !== 'string') throw invalid(`Statement ${index + 1} of the batch must be { sql, params }`)
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
