// Shows rows as a table.
import { type Child, h } from './dom.ts'
import { cellText } from './format.ts'

export interface GridOptions {
  readonly columns: readonly string[]
  readonly rows: readonly Record<string, unknown>[]
  /** The text when there are no rows. */
  readonly empty?: Child
}

export function grid({ columns, rows, empty = 'No rows' }: GridOptions): HTMLElement {
  if (rows.length === 0) return h('div', { class: 'empty' }, empty)
  const numeric = new Set(columns.filter((column) => rows.every((row) => looksNumeric(row[column]))))
  const head = columns.map((column) => h('th', { scope: 'col', class: numeric.has(column) ? 'number' : '' }, column))
  const body = rows.map((row) => h('tr', {}, ...columns.map((column) => cell(row[column], numeric.has(column)))))
  const table = h('table', {}, h('thead', {}, h('tr', {}, ...head)), h('tbody', {}, ...body))
  return h('div', { class: 'grid', tabIndex: 0 }, table)
}

function cell(value: unknown, numeric: boolean): HTMLTableCellElement {
  const text = cellText(value)
  const kind = value === null ? 'null' : value instanceof Uint8Array ? 'blob' : numeric ? 'number' : ''
  return h('td', { class: kind, title: text.length > 32 ? text : undefined }, text)
}

/** Returns whether a value is aligned right: numbers, and the digits of a numeric. */
function looksNumeric(value: unknown): boolean {
  if (value === null || typeof value === 'number' || typeof value === 'bigint') return true
  return typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value)
}
