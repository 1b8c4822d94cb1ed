import { isA } from './brand.js'
import { invalid } from './errors.js'
import type { Conflict, RemoteOptions } from './options.js'

/**
 * Has the user's function decide about a conflict. Gives the row as JSON text with every digit, blobs as `{"b":"hex"}`; null: the
 * row goes. Rejects with what the function throws, and with `invalid_argument` when it gives something else than a row or null.
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
  if (typeof row !== 'object' || Array.isArray(row)) {
    throw invalid(`The conflict function of table ${conflict.table} must return a row or null`)
  }
  const cells = Object.entries(row).filter(([, value]) => value !== undefined)
  return `{${cells.map(([column, value]) => `${JSON.stringify(column)}:${encode(column, value)}`).join(',')}}`
}

function encode(column: string, value: unknown): string {
  switch (typeof value) {
    case 'boolean':
      return value ? '1' : '0'
    case 'bigint':
      return String(value)
    case 'string':
      return JSON.stringify(value)
    case 'number':
      if (Number.isSafeInteger(value)) return String(value)
      // A number beyond 2^53 is a double, not an integer.
      if (Number.isFinite(value))
        return Number.isInteger(value) && !String(value).includes('e') ? `${value}.0` : String(value)
      break
    case 'object':
      if (value === null) return 'null'
      if (isA(value, 'Date')) return JSON.stringify(value.toISOString())
      if (isA(value, 'Uint8Array')) return `{"b":"${hex(value)}"}`
      if (isA(value, 'ArrayBuffer')) return `{"b":"${hex(new Uint8Array(value))}"}`
  }
  throw invalid(`The conflict function gave a value for ${column} that can't be stored`, {
    hint: 'Values are null, boolean, number, bigint, string, bytes and Date',
  })
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
