// The types of SQLite's values, and values from text that a user writes.
import type { SqlResultValue, SqlValue } from '../../index.js'

export const kinds = ['TEXT', 'INTEGER', 'REAL', 'BLOB', 'NULL'] as const
export type ValueKind = (typeof kinds)[number]

export function kindOf(value: SqlResultValue): ValueKind {
  if (value === null) return 'NULL'
  if (typeof value === 'string') return 'TEXT'
  if (value instanceof Uint8Array) return 'BLOB'
  return typeof value === 'bigint' || Number.isInteger(value) ? 'INTEGER' : 'REAL'
}

/** Returns the value of a text as this type. Throws an error with a message for the user. */
export function parseValue(text: string, kind: ValueKind): SqlValue {
  switch (kind) {
    case 'NULL':
      return null
    case 'TEXT':
      return text
    case 'INTEGER':
      if (!/^\s*[-+]?\d+\s*$/.test(text)) throw new Error('An integer has digits only')
      return BigInt(text.trim().replace('+', ''))
    case 'REAL':
      if (text.trim() === '' || !Number.isFinite(Number(text))) throw new Error('It isn’t a number')
      return Number(text)
    case 'BLOB':
      return bytesOf(text)
  }
}

/** Returns the value of an edited cell: a number where the column or the value before is one, else text. */
export function guessValue(text: string, declaredType: string, before: SqlResultValue): SqlValue {
  if (before === null && text === '') return null
  if (before instanceof Uint8Array) return bytesOf(text)
  const isNumeric = typeof before === 'number' || typeof before === 'bigint' || affinityOf(declaredType) === 'number'
  if (isNumeric && /^\s*[-+]?\d+\s*$/.test(text)) return parseValue(text, 'INTEGER')
  if (isNumeric && text.trim() !== '' && Number.isFinite(Number(text))) return Number(text)
  return text
}

/** SQLite's rule for the affinity of a declared type, as far as it matters for input. */
function affinityOf(declaredType: string): 'number' | 'text' {
  if (/INT/i.test(declaredType)) return 'number'
  return /CHAR|CLOB|TEXT|BLOB/i.test(declaredType) || declaredType === '' ? 'text' : 'number'
}

function bytesOf(text: string): Uint8Array {
  const digits = text.replaceAll(/\s/g, '')
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error('A BLOB is written as pairs of hexadecimal digits')
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}
