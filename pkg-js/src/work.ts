import { eachStatement, runBatch } from './batch.js'
import type { Calls } from './calls.js'
import { type Soon, soon } from './connection.js'
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

/** Runs something on a ticket that holds the turn. */
export function perform<P, R>(calls: Calls<P, R>, ticket: number, work: Work<P>, timeoutMs: number): Soon<Done<R>> {
  switch (work[0]) {
    case 'statement': {
      const [, kind, sql, params] = work
      const result = calls.execute(ticket, kind, sql, params, timeoutMs)
      return { results: [result], wrote: calls.wrote }
    }
    case 'batch':
      return runBatch(calls, ticket, work[1], timeoutMs)
    case 'script':
      return soon(calls.script(ticket, work[1], timeoutMs), (wrote) => ({ results: [], wrote }))
    case 'explain':
      return { results: [], value: calls.sync(() => calls.core.explain(ticket, work[1])) }
  }
}
