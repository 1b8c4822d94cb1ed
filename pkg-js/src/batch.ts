import type { Calls } from './calls.js'
import { op } from './core.js'
import { errorWith, invalid, TidelockError } from './errors.js'
import type { Done, StatementOf } from './work.js'

/** Runs several statements in one transaction or savepoint, without giving up the turn. */
export function runBatch<P, R>(
  calls: Calls<P, R>,
  ticket: number,
  statements: readonly StatementOf<P>[],
  timeoutMs: number,
): Done<R> {
  checkStatements(statements)
  const depth = calls.begin(ticket, false)
  try {
    const results = eachStatement(statements, ({ sql, params }) =>
      calls.execute(ticket, op.query, sql, params as P, timeoutMs),
    )
    return { results, wrote: calls.commit(ticket, depth) }
  } catch (error) {
    calls.rollback(ticket, depth)
    throw error
  }
}

/** Does something with each statement of a batch; an error says which one it was. */
export function eachStatement<P, T>(
  statements: readonly StatementOf<P>[],
  work: (statement: StatementOf<P>) => T,
): T[] {
  checkStatements(statements)
  return statements.map((statement: StatementOf<P> | null, index) => {
    if (typeof statement?.sql !== 'string') throw invalid(`Statement ${index + 1} of the batch must be { sql, params }`)
    try {
      return work(statement)
    } catch (error) {
      throw atStatement(error, index)
    }
  })
}

function checkStatements(statements: unknown): void {
  if (!Array.isArray(statements)) throw invalid('The statements of a batch must be an array of { sql, params }')
}

function atStatement(error: unknown, index: number): unknown {
  if (!(error instanceof TidelockError)) return error
  const statement = index + 1
  return errorWith(error, { message: `Statement ${statement} of the batch: ${error.message}`, details: { statement } })
}
