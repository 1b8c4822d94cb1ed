// Formats values for people.
import type { SqlResultValue } from '../../index.js'

const numbers = new Intl.NumberFormat('en')
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })
/** The longest text of a cell. */
const cellLength = 200
/** The longest key in a heading. */
const headingLength = 60

export const count = (value: number | bigint): string => numbers.format(value)

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

export function size(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) return '–'
  if (bytes < 1024) return `${bytes} B`
  const step = Math.min(4, Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** step
  return `${value.toFixed(value < 10 ? 1 : 0)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][step]}`
}

export function millis(value: number): string {
  if (value < 1) return value === 0 ? '0 ms' : `${value.toFixed(2)} ms`
  return value < 1000 ? `${value.toFixed(value < 10 ? 1 : 0)} ms` : `${(value / 1000).toFixed(2)} s`
}

/** Formats an ISO time as "3 minutes ago". */
export function ago(time: string | null | undefined): string {
  if (!time) return 'never'
  const seconds = (Date.parse(time) - Date.now()) / 1000
  for (const [unit, length] of [
    ['day', 86_400],
    ['hour', 3600],
    ['minute', 60],
  ] as const) {
    if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), unit)
  }
  return Math.abs(seconds) < 5 ? 'just now' : relative.format(Math.round(seconds), 'second')
}

export function clock(time: string | null | undefined, withMillis = false): string {
  if (!time) return '–'
  const date = new Date(time)
  const text = date.toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })
  return withMillis ? `${text}.${String(date.getMilliseconds()).padStart(3, '0')}` : text
}

/** The time of the day, with milliseconds. */
export function timeOfDay(time: string): string {
  const date = new Date(time)
  return `${date.toLocaleTimeString('en-GB')}.${String(date.getMilliseconds()).padStart(3, '0')}`
}

/** Whether a text is too long for a cell. */
export const isLong = (value: SqlResultValue): boolean => typeof value === 'string' && value.length > cellLength

/** The text of a value in a cell: on one line, and not longer than a cell may be. */
export function cellText(value: SqlResultValue): string {
  if (value === null) return 'NULL'
  if (value instanceof Uint8Array)
    return `${hex(value.subarray(0, 8))}${value.length > 8 ? '…' : ''} (${size(value.length)})`
  const text = String(value)
  return (isLong(text) ? `${text.slice(0, cellLength)}…` : text).replaceAll(/\r\n|[\r\n]/g, '↵')
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** The key of a row as text. */
export function keyText(key: Readonly<Record<string, SqlResultValue>>): string {
  return Object.values(key).map(cellText).join(', ')
}

/** The table and the key of a row, for headings and questions. */
export function rowName({ table, key }: Readonly<{ table: string; key: Parameters<typeof keyText>[0] }>): string {
  const text = keyText(key)
  return `${table} ${text.length > headingLength ? `${text.slice(0, headingLength)}…` : text}`
}
