import { invalid } from '../base/errors.js'
import { hex } from '../base/file-bytes.js'
import type { Conflict } from '../base/generated-types.js'
import { plainValue } from '../engine/codec/pack.js'
import type { RemoteOptions } from '../remote/remote-options.js'

/**
 * Calls the user's conflict function. Returns the row as JSON text with every digit, blobs as `{"b":"hex"}`; null deletes the row. Rejects
 * with the error that the function throws, and with `invalid_argument` when it returns neither a row nor null.
 */
export async function resolveConflict(remote: RemoteOptions | undefined, conflict: Conflict): Promise<string | null> {
  const table = remote?.tables.find((one) => typeof one !== 'string' && one.table === conflict.table)
  const decide = typeof table === 'object' ? table.conflict : undefined
  if (typeof decide !== 'function')
    throw invalid(`Table ${conflict.table} has no conflict function`, {
      hint: 'Please report this error',
    })
  const row: unknown = await decide(conflict)
  if (row === null) return null
  // A `Map` or another object without columns would leave the remote's values.
  if (Object.prototype.toString.call(row) !== '[object Object]') {
    throw invalid(`The conflict function of table ${conflict.table} must return a row or null`)
  }
  const cells = Object.entries(row as object).filter(([, value]) => value !== undefined)
  return `{${cells.map(([column, value]) => `${JSON.stringify(column)}:${encode(column, value)}`).join(',')}}`
}

function encode(column: string, given: unknown): string {
  const value = plainValue(given)
  switch (typeof value) {
    case 'bigint':
      return String(value)
    case 'string':
      return JSON.stringify(value)
    case 'number':
      // A number beyond 2^53 must stay a double in JSON.
      return !Number.isInteger(value) || Number.isSafeInteger(value) || String(value).includes('e')
        ? String(value)
        : `${value}.0`
    case 'object':
      return value === null ? 'null' : `{"b":"${hex(value)}"}`
  }
  throw invalid(`The conflict function returned a value for ${column} that can't be stored`, {
    hint: 'Values are null, boolean, number, bigint, string, bytes or Date',
  })
}
