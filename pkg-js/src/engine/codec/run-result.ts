import type { RunResult } from '../../base/values.js'
import type { Results } from './results.js'

/** Reads the {@link RunResult} of the last statement. */
export function runResult(results: Results, integers: 'auto' | 'bigint' | 'number'): RunResult {
  const rowid = results.lastInsertRowid()
  const small = Number(rowid)
  // The row is written and its rowid must not be rounded: beyond 2^53-1 it is a bigint, also with `integers: 'number'`.
  const exact = integers !== 'bigint' && Number.isSafeInteger(small)
  return { changes: results.changes(), lastInsertRowid: exact ? small : rowid }
}
