// A grid of values: arrow keys move between its cells, Enter edits or shows one.
import type { SqlResultValue } from '../../index.js'
import { type Child, empty, h } from './dom.js'
import { cellText, isLong } from './format.js'

export interface GridColumn {
  readonly name: string
  /** Said on hover: the declared type, for example. */
  readonly note?: string
  readonly sort?: 'ascending' | 'descending' | undefined
}

/** The place of a cell in the rows. */
export interface CellPlace {
  readonly row: number
  readonly column: number
  readonly cell: HTMLTableCellElement
}

export interface GridOptions {
  /** The name of the grid for screen readers. */
  readonly label: string
  readonly columns: readonly GridColumn[]
  readonly rows: readonly (readonly SqlResultValue[])[]
  /** Shown when there are no rows. */
  readonly empty?: Child
  /** Marks a row, with a note on hover. */
  readonly mark?: (row: number) => { readonly kind: string; readonly note: string } | undefined
  readonly onSort?: (column: number) => void
  /** Edits a cell in place. */
  readonly onEdit?: (place: CellPlace) => void
  /** Shows a value in full. */
  readonly onOpen?: (place: CellPlace) => void
}

export function grid(options: GridOptions): HTMLElement {
  const { label, columns, rows, onSort } = options
  const isNumeric = columns.map((_, column) => isNumericColumn(rows, column))
  const head = columns.map(({ name, note, sort }, column) =>
    h(
      'th',
      { scope: 'col', title: note, class: isNumeric[column] ? 'number' : '', 'aria-sort': sort },
      onSort === undefined
        ? name
        : h('button', { type: 'button', class: 'sort', onclick: () => onSort(column) }, name, arrow(sort)),
    ),
  )
  const body = rows.map((row, at) => {
    const mark = options.mark?.(at)
    const cells = columns.map((_, column) =>
      cell(row[column] ?? null, columns[column]?.name ?? '', !!isNumeric[column]),
    )
    return h('tr', { class: mark?.kind ?? '', title: mark?.note }, ...cells)
  })
  if (rows.length === 0 && onSort === undefined) return empty(options.empty ?? 'No rows')
  const table = h(
    'table',
    { role: 'grid', 'aria-label': label, 'aria-rowcount': rows.length + 1 },
    h('thead', {}, h('tr', {}, ...head)),
    h('tbody', {}, ...body),
  )
  if (rows.length > 0) makeNavigable(table, options)
  return h('div', { class: 'grid' }, table, rows.length === 0 && empty(options.empty ?? 'No rows'))
}

/** A grid of texts, without interaction. */
export function textGrid(label: string, names: readonly string[], rows: readonly (readonly Child[])[]): HTMLElement {
  const kinds = names.map((_, at) => (isAmounts(rows.map((row) => row[at])) ? 'number' : ''))
  return h(
    'div',
    { class: 'grid', tabIndex: 0, role: 'region', 'aria-label': label },
    h(
      'table',
      {},
      h('thead', {}, h('tr', {}, ...names.map((name, at) => h('th', { scope: 'col', class: kinds[at] }, name)))),
      h(
        'tbody',
        {},
        ...rows.map((row) => h('tr', {}, ...row.map((value, at) => h('td', { class: kinds[at] }, value)))),
      ),
    ),
  )
}

/** Whether all texts of a column that are there are numbers, with their units: they are aligned right. */
function isAmounts(values: readonly Child[]): boolean {
  const some = values.filter((value) => value !== '')
  return some.length > 0 && some.every((value) => /^(–|\d[\d,.]*( ([KMGT]i)?B| m?s)?)$/.test(String(value)))
}

function arrow(sort: GridColumn['sort']): Child {
  return sort && h('span', { 'aria-hidden': 'true' }, sort === 'ascending' ? ' ↑' : ' ↓')
}

function cell(value: SqlResultValue, column: string, numeric: boolean): HTMLTableCellElement {
  const kind = value === null ? 'null' : value instanceof Uint8Array ? 'blob' : value === '' ? 'blank' : ''
  const text = value === '' ? 'empty text' : cellText(value)
  const title = typeof value === 'string' && (value.length > 40 || isLong(value)) ? value.slice(0, 1000) : undefined
  const classes = [kind, numeric ? 'number' : ''].filter(Boolean).join(' ')
  return h('td', { class: classes, tabIndex: -1, title, 'data-column': column }, text)
}

/** Numbers, and the digits of a numeric that is stored as text, are aligned right. */
function isNumericColumn(rows: GridOptions['rows'], column: number): boolean {
  let some = false
  for (const row of rows) {
    const value = row[column] ?? null
    if (value === null) continue
    const isNumber = typeof value === 'number' || typeof value === 'bigint'
    if (!isNumber && !(typeof value === 'string' && /^-?\d{1,30}(\.\d{1,30})?$/.test(value))) return false
    some = true
  }
  return some
}

const steps: Readonly<Record<string, readonly [number, number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  PageUp: [-10, 0],
  PageDown: [10, 0],
}

/** Makes one cell at a time reachable by Tab; the arrow keys choose which. */
function makeNavigable(table: HTMLTableElement, { onEdit, onOpen }: GridOptions): void {
  const [body] = table.tBodies
  if (body === undefined) return
  let current = body.rows[0]?.cells[0]
  if (current) current.tabIndex = 0

  function focus(row: number, column: number): void {
    const line = body?.rows[Math.max(0, Math.min(row, body.rows.length - 1))]
    const next = line?.cells[Math.max(0, Math.min(column, line.cells.length - 1))]
    if (next === undefined) return
    if (current) current.tabIndex = -1
    current = next
    current.tabIndex = 0
    current.focus()
  }
  const placeOf = (event: Event): CellPlace | undefined => {
    const found = (event.target as Element).closest('td')
    return found
      ? { cell: found, column: found.cellIndex, row: (found.parentNode as HTMLTableRowElement).sectionRowIndex }
      : undefined
  }
  body.addEventListener('focusin', (event) => {
    const place = placeOf(event)
    if (place === undefined || event.target !== place.cell || place.cell === current) return
    if (current) current.tabIndex = -1
    current = place.cell
    current.tabIndex = 0
  })
  body.addEventListener('dblclick', (event) => {
    const place = placeOf(event)
    if (place !== undefined && !place.cell.querySelector('input')) (onEdit ?? onOpen)?.(place)
  })
  body.addEventListener('keydown', (event) => {
    const place = placeOf(event)
    if (place === undefined || event.target !== place.cell) return
    const step = steps[event.key]
    if (step !== undefined) focus(place.row + step[0], place.column + step[1])
    else if (event.key === 'Home') focus(event.ctrlKey ? 0 : place.row, 0)
    else if (event.key === 'End')
      focus(event.ctrlKey ? body.rows.length : place.row, place.cell.parentElement?.children.length ?? 1)
    else if (event.key === 'Enter' && !event.shiftKey) (onEdit ?? onOpen)?.(place)
    else if (event.key === 'F2' || event.key === 'Enter') onOpen?.(place)
    else return
    event.preventDefault()
  })
}
