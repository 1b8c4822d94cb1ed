// The rows of one table, page by page, updated with every change; a double click edits a cell.
import type { App, View } from '../app.ts'
import { SYNCED } from '../database.ts'
import { action, fill, h, toast, toastError } from '../dom.ts'
import { cellText, count, plural } from '../format.ts'
import { grid } from '../grid.ts'

const PAGE = 60

interface Column {
  readonly name: string
  readonly type: string
  readonly pk: number
  readonly notnull: number
}

export function tableView({ db }: App, table: string): View {
  const name = `"${table.replaceAll('"', '""')}"`
  const synced = SYNCED.includes(table)
  const rowsArea = h('section', { class: 'card flush' }, h('p', { class: 'empty' }, '…'))
  const summary = h('p', { class: 'summary' })
  const pager = h('div', { class: 'buttons' })
  const below = h(
    'footer',
    { class: 'below', hidden: true },
    summary,
    h('span', { class: 'note' }, 'Double-click a cell, or press Enter on it, to edit'),
    h('span', { class: 'spacer' }),
    pager,
  )
  const filter = h('input', {
    type: 'search',
    placeholder: 'Find in these rows…',
    'aria-label': 'Find',
    oninput: () => turnTo(0),
  })
  let columns: Column[] = []
  let page = 0
  let total = 0
  let edited = new Map<string, string>()
  let live: ReturnType<typeof db.live> | undefined
  let unsubscribe: (() => void) | undefined

  async function load(): Promise<void> {
    columns = await db.query<Column>(`SELECT name, type, pk, "notnull" FROM pragma_table_info(?)`, [table])
    if (columns.length === 0) {
      fill(rowsArea, h('p', { class: 'empty' }, `There is no table ${table}`))
      return
    }
    watch()
  }

  function watch(): void {
    unsubscribe?.()
    live?.close()
    const where = filter.value
      ? ` WHERE ${columns.map((column) => `${quote(column.name)} LIKE :find`).join(' OR ')}`
      : ''
    const find = filter.value ? { find: `%${filter.value}%` } : undefined
    const key = columns.filter((column) => column.pk > 0)
    const order = key.length > 0 ? key.map((column) => quote(column.name)).join(', ') : 'rowid'
    live = db.live(
      `SELECT *, count(*) OVER () AS "·total" FROM ${name}${where} ORDER BY ${order} LIMIT ${PAGE} OFFSET ${page * PAGE}`,
      find,
    )
    unsubscribe = live.subscribe((rows) => void show(rows as Record<string, unknown>[]), toastError)
  }

  async function show(rows: Record<string, unknown>[]): Promise<void> {
    total = Number(rows[0]?.['·total'] ?? 0)
    if (synced) {
      const pending = (await db.sync.pending()).filter((entry) => entry.table === table)
      edited = new Map(pending.map((entry) => [Object.values(entry.key).join('\u0000'), `${entry.op}: not sent yet`]))
    }
    const keys = columns.filter((column) => column.pk > 0).sort((a, b) => a.pk - b.pk)
    // A cell that is being edited must not be replaced.
    if (rowsArea.querySelector('td input')) return
    fill(
      rowsArea,
      grid({
        columns: columns.map((column) => column.name),
        rows,
        empty: filter.value ? 'Nothing found' : synced ? invitation() : 'No rows',
        mark: (row) => {
          const note = edited.get(keys.map((key) => String(row[key.name])).join('\u0000'))
          return note === undefined ? undefined : { class: 'pending', title: note }
        },
        onEdit: keys.length > 0 ? (row, column, cell) => edit(row, column, cell, keys) : undefined,
      }),
    )
    const first = total === 0 ? 0 : page * PAGE + 1
    below.hidden = total === 0
    fill(
      summary,
      `${count(first)}–${count(Math.min(total, (page + 1) * PAGE))} of ${plural(total, 'row')}`,
      edited.size > 0 && h('span', { class: 'badge pending' }, `${plural(edited.size, 'edit')} not sent`),
      !synced && h('span', { class: 'badge' }, 'in this browser only'),
    )
    fill(
      pager,
      h('button', { type: 'button', disabled: page === 0, onclick: () => turnTo(page - 1) }, '← Previous'),
      h('button', { type: 'button', disabled: (page + 1) * PAGE >= total, onclick: () => turnTo(page + 1) }, 'Next →'),
    )
  }

  function turnTo(next: number): void {
    page = next
    watch()
  }

  function edit(row: Record<string, unknown>, column: string, cell: HTMLTableCellElement, keys: Column[]): void {
    const before = row[column]
    const input = h('input', { value: before === null ? '' : cellText(before), 'aria-label': column })
    const back = (text: string) => fill(cell, text)
    let done = false
    const save = async () => {
      if (done) return
      done = true
      try {
        const value = parse(input.value, columns.find((other) => other.name === column) as Column, before)
        back(cellText(value))
        if (String(value) === String(before)) return
        const where = keys.map((key) => `${quote(key.name)} = ?`).join(' AND ')
        await db.run(`UPDATE ${name} SET ${quote(column)} = ? WHERE ${where}`, [
          value,
          ...keys.map((key) => row[key.name]),
        ] as never)
        toast(`${table}.${column} saved`, 'ok', synced ? 'Kept here until the next sync sends it' : undefined)
      } catch (error) {
        back(cellText(before))
        toastError(error)
      }
    }
    input.addEventListener('blur', save)
    input.addEventListener('keydown', (event) => {
      event.stopPropagation()
      if (event.key === 'Enter') void save()
      if (event.key === 'Escape') {
        done = true
        back(cellText(before))
      }
    })
    fill(cell, input)
    input.focus()
    input.select()
  }

  load().catch(toastError)
  const element = h(
    'article',
    { 'data-table': table },
    h(
      'div',
      { class: 'heading' },
      h('h1', {}, table),
      filter,
      action('Query it', () => queryIt(table), { class: 'quiet' }),
    ),
    rowsArea,
    below,
  )
  return {
    element,
    leave() {
      unsubscribe?.()
      live?.close()
    },
  }
}

/** The text for an empty table of the remote. */
function invitation(): HTMLElement {
  return h(
    'div',
    { class: 'invitation' },
    h('p', {}, 'Nothing here yet: the rows are on the remote. Go to Sync and press “Pull now”.'),
    h('a', { class: 'button primary', href: '#sync' }, 'Go to Sync'),
  )
}

function queryIt(table: string): void {
  sessionStorage.setItem('sql', `SELECT * FROM "${table}" LIMIT 100`)
  location.hash = '#sql'
}

/** Converts the text of a cell into a value of its column. */
function parse(text: string, column: Column, before: unknown): string | number | bigint | null {
  if (text === '' && !column.notnull && before !== '') return null
  if (/INT|BOOL/i.test(column.type) && /^-?\d+$/.test(text)) return BigInt(text)
  if (/REAL|DOUB|FLOA/i.test(column.type) && text.trim() !== '' && Number.isFinite(Number(text))) return Number(text)
  return text
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
