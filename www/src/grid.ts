// Shows rows as a table.
import { type Child, h } from './dom.ts'
import { cellText } from './format.ts'

export interface GridOptions {
  readonly columns: readonly string[]
  readonly rows: readonly Record<string, unknown>[]
  /** The text when there are no rows. */
  readonly empty?: Child
  /** Returns a class and a note on hover for a row. */
  readonly mark?: (row: Record<string, unknown>) => { class: string; title: string } | undefined
  /** Called when the user edits a cell. */
  readonly onEdit?: (row: Record<string, unknown>, column: string, cell: HTMLTableCellElement) => void
}

export function grid({ columns, rows, empty = 'No rows', mark, onEdit }: GridOptions): HTMLElement {
  if (rows.length === 0) return h('div', { class: 'empty' }, empty)
  const numeric = new Set(columns.filter((column) => rows.every((row) => looksNumeric(row[column]))))
  const body = h('tbody')
  for (const row of rows) {
    const marked = mark?.(row)
    const line = h('tr', { class: marked?.class ?? '', title: marked?.title })
    for (const column of columns) line.append(cell(row, column, numeric.has(column), onEdit))
    body.append(line)
  }
  const head = h(
    'tr',
    {},
    ...columns.map((column) => h('th', { scope: 'col', class: numeric.has(column) ? 'number' : '' }, column)),
  )
  return h('div', { class: 'grid', tabIndex: 0 }, h('table', {}, h('thead', {}, head), body))
}

function cell(
  row: Record<string, unknown>,
  column: string,
  numeric: boolean,
  onEdit: GridOptions['onEdit'],
): HTMLTableCellElement {
  const value = row[column]
  const text = cellText(value)
  const kind = value === null ? 'null' : value instanceof Uint8Array ? 'blob' : numeric ? 'number' : ''
  const shown = h('td', { class: kind, title: text.length > 32 ? text : undefined, 'data-column': column }, text)
  if (onEdit) {
    shown.classList.add('editable')
    shown.tabIndex = 0
    const edit = () => shown.querySelector('input') || onEdit(row, column, shown)
    shown.addEventListener('dblclick', edit)
    shown.addEventListener('keydown', (event) => event.target === shown && event.key === 'Enter' && edit())
  }
  return shown
}

/** Returns whether a value is aligned right: numbers, and the digits of a numeric. */
function looksNumeric(value: unknown): boolean {
  if (value === null || typeof value === 'number' || typeof value === 'bigint') return true
  return typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value)
}
