import { type Op, op } from './core.js'
import { eachStatement, type Work } from './work.js'

/** Packs the parameters of the work. Throws `invalid_argument` naming the parameter. */
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
    case 'live': {
      const [type, query, params] = work
      return [type, query, pack(op.query, query.sql, params)]
    }
    default:
      return work
  }
}
