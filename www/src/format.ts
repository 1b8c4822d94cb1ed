// Formats values for people.

const numbers = new Intl.NumberFormat('en')
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })

export const count = (value: number | bigint): string => numbers.format(value)

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return '–'
  if (value < 1024) return `${value} B`
  const step = Math.min(3, Math.floor(Math.log2(value) / 10))
  return `${(value / 1024 ** step).toFixed(step === 1 ? 0 : 1)} ${['B', 'KiB', 'MiB', 'GiB'][step]}`
}

export function millis(value: number): string {
  if (value < 1) return `${(value * 1000).toFixed(0)} µs`
  return value < 1000 ? `${value.toFixed(value < 10 ? 1 : 0)} ms` : `${(value / 1000).toFixed(2)} s`
}

/** Formats an ISO time as "3 minutes ago"; null as an empty text. */
export function ago(time: string | null | undefined): string {
  if (!time) return '–'
  const seconds = (new Date(time).getTime() - Date.now()) / 1000
  for (const [unit, size] of [
    ['day', 86_400],
    ['hour', 3600],
    ['minute', 60],
  ] as const) {
    if (Math.abs(seconds) >= size) return relative.format(Math.round(seconds / size), unit)
  }
  return Math.abs(seconds) < 5 ? 'just now' : relative.format(Math.round(seconds), 'second')
}

export function clock(time: string | null | undefined): string {
  return time ? new Date(time).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' }) : '–'
}

/** Formats the value of a cell. */
export function cellText(value: unknown): string {
  if (value === null) return 'NULL'
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return String(value)
}
