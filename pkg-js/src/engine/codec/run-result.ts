import type { RunResult } from '../../base/values.js'
import type { Results } from './rows.js'

/** What a statement that was run did. */
export function runResult(results: Results, integers: 'auto' | 'bigint' | 'number'): RunResult {
  const rowid = results.lastInsertRowid()
  const small = Number(rowid)
  // Nothing may be rounded, and the row is written: so with `integers: 'number'` too, one beyond 2^53-1 comes as a bigint.
  const exact = integers !== 'bigint' && Number.isSafeInteger(small)
  return { changes: results.changes(), lastInsertRowid: exact ? small : rowid }
}
