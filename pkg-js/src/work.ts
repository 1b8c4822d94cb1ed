import { eachStatement, runBatch } from './batch.js'
import type { Calls } from './calls.js'
import { type Soon, soon } from './connection.js'
import { type Op, op } from './core.js'

/** One statement of a batch. */
export interface StatementOf<P> {
  readonly sql: string
  readonly params?: P
}

/** What an engine can be asked to run on a turn, with parameters as P: packed or not. A new kind is one here, and one below. */
export type Work<P = unknown> =
  | { readonly type: 'statement'; readonly kind: Op; readonly sql: string; readonly params: P }
  | { readonly type: 'batch'; readonly statements: readonly StatementOf<P>[] }
  | { readonly type: 'script'; readonly script: string }
  | { readonly type: 'explain'; readonly sql: string }

/** What came of it. */
export interface Done<R = unknown> {
  /** Of each statement. */
  readonly results: readonly R[]
  /** What else there is to tell. */
  readonly value?: unknown
  /** Whether something was written that is to be waited for. */
  readonly wrote: boolean
}

/** The same with its parameters packed. Fails with `invalid_argument` naming the parameter. */
export function packedWork<P, Q>(work: Work<P>, pack: (kind: Op, sql: string, params: P) => Q): Work<Q> {
  switch (work.type) {
    case 'statement':
      return { ...work, params: pack(work.kind, work.sql, work.params) }
    case 'batch':
      return {
        ...work,
        statements: eachStatement(work.statements, ({ sql, params }) => ({
          sql,
          params: pack(op.query, sql, params as P),
        })),
      }
    default:
      return work
  }
}

/** Runs something on a ticket that holds the turn. */
export function perform<P, R>(calls: Calls<P, R>, ticket: number, work: Work<P>, timeoutMs: number): Soon<Done<R>> {
  switch (work.type) {
    case 'statement': {
      const result = calls.execute(ticket, work.kind, work.sql, work.params, timeoutMs)
      return { results: [result], wrote: calls.wrote }
    }
    case 'batch':
      return runBatch(calls, ticket, work.statements, timeoutMs)
    case 'script':
      return soon(calls.script(ticket, work.script, timeoutMs), (wrote) => ({ results: [], wrote }))
    case 'explain':
      return { results: [], value: calls.sync(() => calls.core.explain(ticket, work.sql)), wrote: false }
  }
}
