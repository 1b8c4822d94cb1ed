// The tables: a list, and the rows of one of them, page by page, sorted, filtered and edited.
import type { SqlResultValue, SqlValue } from '../../../index.js'
import { type CatalogColumn, columnsOf, listTables, primaryKey, quoted, rowKey, type TableEntry } from '../catalog.js'
import type { Context } from '../context.js'
import { confirmed, editable, valueDialog } from '../dialog.js'
import type { ChosenRow } from '../difference.js'
import { empty, fill, h, loading, soon } from '../dom.js'
import { cellText, count, keyText, plural } from '../format.js'
import { type CellPlace, grid } from '../grid.js'
import { guessValue } from '../values.js'

const pageRows = 50

/** What the view of a table remembers while the panel is open. */
export interface TableState {
  page: number
  sort: { readonly column: string; readonly descending: boolean } | undefined
  filterColumn: string
  filter: string
  /** Whether the filter is the whole value, not a part of it. */
  exact: boolean
}

/** Where the state of a table is remembered. */
export const stateName = (table: string): string => `table ${table}`

export function tablesView(context: Context): HTMLElement {
  const list = h('nav', { class: 'list', 'aria-label': 'Tables' })
  const content = h('div', { class: 'content' }, loading())
  const internal = h('input', {
    type: 'checkbox',
    checked: context.memory.get('internal') === true,
    onchange: () => {
      context.memory.set('internal', internal.checked)
      void context.run(showList)
    },
  })
  let shown: string | undefined

  async function showList(): Promise<void> {
    const all = await listTables(context.db, context.signal)
    const tables = all.filter((table) => internal.checked || !table.isInternal)
    const wanted = context.parameter ?? tables.find(({ type }) => type !== 'view')?.name ?? tables[0]?.name
    fill(
      list,
      ...tables.map(({ name, type }) =>
        h(
          'button',
          {
            type: 'button',
            class: 'item',
            'aria-current': name === wanted ? 'page' : undefined,
            onclick: () => context.go(`tables/${encodeURIComponent(name)}`),
          },
          h('span', {}, name),
          type !== 'table' && h('span', { class: 'soft' }, type),
        ),
      ),
      tables.length === 0 && h('p', { class: 'soft' }, 'No tables'),
      h('label', { class: 'row soft' }, internal, 'internal tables'),
    )
    const table = all.find(({ name }) => name === wanted)
    if (table === undefined) {
      shown = undefined
      fill(content, empty(wanted === undefined ? 'This database has no tables yet.' : `There is no table ${wanted}.`))
    } else if (shown !== table.name) {
      shown = table.name
      fill(content, rowsOf(context, table))
    }
  }
  context.watch(showList)
  return h('div', { class: 'split' }, list, content)
}

/** The rows of one table. */
function rowsOf(context: Context, table: TableEntry): HTMLElement {
  const { db, signal, memory } = context
  const known = memory.get(stateName(table.name)) as TableState | undefined
  const state: TableState = known ?? { page: 0, sort: undefined, filterColumn: '', filter: '', exact: false }
  memory.set(stateName(table.name), state)
  const area = h('div', { class: 'area' }, loading())
  const footer = h('div', { class: 'footer' })
  const filterColumn = h('select', { 'aria-label': 'Column to filter', onchange: () => applyFilter() })
  const filter = h('input', {
    type: 'search',
    'aria-label': 'Filter',
    placeholder: 'Filter…',
    value: state.filter,
    oninput: soon(() => applyFilter(), 200),
  })
  let columns: CatalogColumn[] = []
  let keys: readonly string[] = []
  let rows: SqlResultValue[][] = []
  let unsent = new Map<string, string>()

  function applyFilter(): void {
    Object.assign(state, { filter: filter.value, filterColumn: filterColumn.value, exact: false, page: 0 })
    void context.run(show)
  }

  /** The WHERE of the filter, with its parameters. */
  function condition(): [string, SqlValue[]] {
    if (state.filter === '') return ['', []]
    const names = columns.filter(({ name }) => state.filterColumn === '' || name === state.filterColumn)
    const tests = names.map(({ name }) =>
      state.exact ? `CAST(${quoted(name)} AS TEXT) = ?1` : `instr(lower(CAST(${quoted(name)} AS TEXT)), lower(?1)) > 0`,
    )
    return [` WHERE ${tests.join(' OR ')}`, [state.filter]]
  }

  async function show(): Promise<void> {
    columns = await columnsOf(db, table.name, signal)
    keys = rowKey(table, columns)
    showFilter()
    const [where, params] = condition()
    const from = `FROM ${quoted(table.name)}${where}`
    const names = [...keys, ...columns.map(({ name }) => name)].map(quoted).join(', ')
    const order = state.sort
      ? `${quoted(state.sort.column)} ${state.sort.descending ? 'DESC' : 'ASC'}`
      : primaryKey(columns).map(quoted).join(', ') || keys.map(quoted).join(', ')
    const [{ total } = { total: 0 }] = await db.query<{ total: number }>(`SELECT count(*) AS total ${from}`, params, {
      signal,
    })
    state.page = Math.max(0, Math.min(state.page, Math.ceil(total / pageRows) - 1))
    rows = await db.query<SqlResultValue[]>(
      `SELECT ${names} ${from}${order && ` ORDER BY ${order}`} LIMIT ${pageRows} OFFSET ${state.page * pageRows}`,
      params,
      { rowMode: 'array', signal },
    )
    await readUnsent()
    // A cell that is being edited stays.
    if (area.querySelector('td input') === null) showRows(total)
  }

  /** Reads which rows have changes that wait to be sent. */
  async function readUnsent(): Promise<void> {
    const waiting = await db.sync.pending({ signal }).catch(() => [])
    const own = waiting.filter((entry) => entry.table === table.name)
    unsent = new Map(
      own.map(({ key, op, reason }) => [keyText(key), `${op}, not sent yet${reason ? `: ${reason}` : ''}`]),
    )
  }

  function showFilter(): void {
    const names = columns.map(({ name }) => name)
    if (filterColumn.options.length === names.length + 1) return
    fill(
      filterColumn,
      h('option', { value: '' }, 'any column'),
      ...names.map((name) => h('option', { value: name, selected: name === state.filterColumn }, name)),
    )
  }

  function showRows(total: number): void {
    const names = columns.map(({ name }) => name)
    const primary = primaryKey(columns).map((name) => names.indexOf(name) + keys.length)
    fill(
      area,
      grid({
        label: `Rows of ${table.name}`,
        columns: columns.map(({ name, type, key, notNull }) => ({
          name,
          note: [type || 'no type', key > 0 && 'primary key', notNull && 'NOT NULL'].filter(Boolean).join(', '),
          sort: state.sort?.column === name ? (state.sort.descending ? 'descending' : 'ascending') : undefined,
        })),
        rows: rows.map((row) => row.slice(keys.length)),
        empty: state.filter === '' ? 'This table has no rows.' : 'No row matches the filter.',
        onSort: (column) => sortBy(columns[column]?.name ?? ''),
        onOpen: openValue,
        ...(keys.length > 0 ? { onEdit: editInPlace } : {}),
        mark: (at) => {
          const note = unsent.get(primary.map((column) => cellText(rows[at]?.[column] ?? null)).join(', '))
          return note === undefined ? undefined : { kind: 'pending', note }
        },
      }),
    )
    const first = total === 0 ? 0 : state.page * pageRows + 1
    const last = Math.min(total, (state.page + 1) * pageRows)
    const turn = (label: string, page: number, disabled: boolean) =>
      h('button', { type: 'button', disabled, onclick: () => turnTo(page) }, label)
    fill(
      footer,
      h('span', { class: 'summary' }, `${count(first)}–${count(last)} of ${plural(total, 'row')}`),
      unsent.size > 0 && h('span', { class: 'badge pending' }, `${plural(unsent.size, 'change')} not sent`),
      h(
        'span',
        { class: 'soft hint' },
        keys.length > 0 ? 'Enter edits a cell, Shift + Enter shows it in full' : 'Enter shows a value in full',
      ),
      h('span', { class: 'space' }),
      turn('← Previous', state.page - 1, state.page === 0),
      turn('Next →', state.page + 1, last >= total),
    )
  }

  function turnTo(page: number): void {
    state.page = page
    void context.run(show)
  }

  /** Sorts by a column: ascending, descending, then not at all. */
  function sortBy(column: string): void {
    if (state.sort?.column !== column) state.sort = { column, descending: false }
    else state.sort = state.sort.descending ? undefined : { column, descending: true }
    state.page = 0
    void context.run(show)
  }

  function valueAt({ row, column }: CellPlace): SqlResultValue {
    return rows[row]?.[keys.length + column] ?? null
  }

  function openValue(place: CellPlace): void {
    const column = columns[place.column]
    if (column === undefined) return
    const mayEdit = keys.length > 0 && !column.isGenerated
    const save = (value: SqlValue) => store(place, value).then(show)
    valueDialog(context.host, `${table.name}.${column.name}`, valueAt(place), mayEdit ? save : undefined)
  }

  function editInPlace(place: CellPlace): void {
    const column = columns[place.column]
    const before = valueAt(place)
    if (column === undefined) return
    const isSimple = !(before instanceof Uint8Array) && !/[\r\n]/.test(String(before)) && String(before).length < 2000
    if (column.isGenerated || !isSimple) {
      openValue(place)
      return
    }
    const { cell } = place
    const input = h('input', {
      value: editable(before),
      'aria-label': column.name,
      placeholder: before === null ? 'NULL' : '',
    })
    const label = cell.textContent
    const back = () => {
      fill(cell, label)
      cell.focus()
    }
    let isDone = false
    const finish = async (isKept: boolean) => {
      if (isDone) return
      isDone = true
      const text = input.value
      const hadFocus = cell.contains((cell.getRootNode() as ShadowRoot).activeElement)
      fill(cell, label)
      if (hadFocus) back()
      if (!isKept || text === editable(before)) return context.run(show)
      await context.run(async () => {
        try {
          await store(place, guessValue(text, column.type, before))
          context.notify(`${table.name}.${column.name} saved`)
        } finally {
          await show()
        }
      })
    }
    input.addEventListener('blur', () => void finish(true))
    input.addEventListener('keydown', (event) => {
      event.stopPropagation()
      if (event.key === 'Enter') void finish(true)
      if (event.key === 'Escape') void finish(false)
    })
    fill(cell, input)
    input.focus()
    input.select()
  }

  /** Stores a value, if the cell still has the one that is shown. */
  async function store(place: CellPlace, value: SqlValue): Promise<void> {
    const row = rows[place.row]
    const column = columns[place.column]
    if (row === undefined || column === undefined) return
    const where = [...keys, column.name].map((name) => `${quoted(name)} IS ?`).join(' AND ')
    const { changes } = await db.run(
      `UPDATE ${quoted(table.name)} SET ${quoted(column.name)} = ? WHERE ${where}`,
      [value, ...row.slice(0, keys.length), valueAt(place)],
      { signal },
    )
    if (changes === 0) throw new Error('The row was changed or deleted meanwhile; nothing was stored')
  }

  async function deleteRow(): Promise<void> {
    const at = selectedRow(area)
    const row = at === undefined ? undefined : rows[at]
    if (row === undefined) return context.notify('Choose a cell of the row first')
    const text = row.slice(keys.length).map(cellText).join(', ').slice(0, 200)
    if (!(await confirmed(context.host, `Delete a row of ${table.name}?`, text, 'Delete'))) return
    const where = keys.map((name) => `${quoted(name)} IS ?`).join(' AND ')
    await db.run(`DELETE FROM ${quoted(table.name)} WHERE ${where}`, row.slice(0, keys.length), { signal })
    await show()
  }

  /** Shows what happened to a row, by its primary key where it has one: a rowid may change. */
  function showHistory(): void {
    const at = selectedRow(area)
    const row = at === undefined ? undefined : rows[at]
    if (row === undefined) {
      context.notify('Choose a cell of the row first')
      return
    }
    const all = [...keys, ...columns.map(({ name }) => name)]
    const primary = primaryKey(columns)
    const names = primary.length > 0 ? primary : keys
    const key = Object.fromEntries(names.map((name) => [name, row[all.lastIndexOf(name)] ?? null]))
    memory.set('history row', { table: table.name, key } satisfies ChosenRow)
    context.go('history/row')
  }

  context.watch(show)
  const past = h('button', { type: 'button', onclick: showHistory }, 'History of row')
  const remove = h('button', { type: 'button', onclick: () => context.run(deleteRow) }, 'Delete row…')
  return h(
    'div',
    { class: 'rows', 'data-table': table.name },
    h(
      'div',
      { class: 'bar' },
      h('h2', { title: table.name }, table.name),
      h('span', { class: 'space' }),
      filterColumn,
      filter,
      ...(table.type === 'table' ? [past, remove] : []),
    ),
    area,
    footer,
  )
}

/** The row of the cell that the arrow keys chose last. */
function selectedRow(area: HTMLElement): number | undefined {
  const cell = area.querySelector('td[tabindex="0"]')
  return (cell?.parentElement as HTMLTableRowElement | null)?.sectionRowIndex
}
