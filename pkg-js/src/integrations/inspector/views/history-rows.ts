// The rows of a table as they were.
import type { Database, SqlResultValue } from '../../../index.js'
import { columnsOf, listTables, quoted } from '../catalog.js'
import type { Context } from '../context.js'
import { valueDialog } from '../dialog.js'
import { empty, fill, h } from '../dom.js'
import { count, plural } from '../format.js'
import { grid } from '../grid.js'
import { problem } from '../problem.js'

const pageRows = 50

/** Shows a table of an earlier state; the user chooses which. */
export async function showRowsThen(context: Context, then: Database, signal: AbortSignal): Promise<HTMLElement> {
  const tables = (await listTables(then, signal)).filter(({ isInternal }) => !isInternal).map(({ name }) => name)
  const known = context.memory.get('history table') as string | undefined
  const first = known !== undefined && tables.includes(known) ? known : tables[0]
  if (first === undefined) return empty('The database had no tables then.')
  const area = h('div')
  const select = h(
    'select',
    { 'aria-label': 'Table', onchange: () => void show(0) },
    ...tables.map((name) => h('option', { value: name, selected: name === first }, name)),
  )

  async function show(page: number): Promise<void> {
    const table = select.value
    context.memory.set('history table', table)
    try {
      fill(area, ...(await pageOf(table, page)))
    } catch (error) {
      if (!signal.aborted) fill(area, problem(error))
    }
  }

  async function pageOf(table: string, page: number): Promise<HTMLElement[]> {
    const columns = await columnsOf(then, table, signal)
    const [{ total } = { total: 0 }] = await then.query<{ total: number }>(
      `SELECT count(*) AS total FROM ${quoted(table)}`,
    )
    const sql = `SELECT * FROM ${quoted(table)} LIMIT ${pageRows} OFFSET ${page * pageRows}`
    const rows = await then.query<SqlResultValue[]>(sql, [], { rowMode: 'array', signal })
    const shownRows = grid({
      label: `Rows of ${table} then`,
      columns,
      rows,
      empty: 'The table had no rows then.',
      onOpen: ({ row, column }) =>
        valueDialog(context.host, `${table}.${columns[column]?.name}`, rows[row]?.[column] ?? null),
    })
    const turn = (label: string, to: number, disabled: boolean) =>
      h('button', { type: 'button', disabled, onclick: () => void show(to) }, label)
    const firstRow = total === 0 ? 0 : page * pageRows + 1
    const lastRow = Math.min(total, (page + 1) * pageRows)
    const footer = h(
      'div',
      { class: 'footer' },
      h('span', { class: 'summary' }, `${count(firstRow)}–${count(lastRow)} of ${plural(total, 'row')}`),
      h('span', { class: 'space' }),
      turn('← Previous', page - 1, page === 0),
      turn('Next →', page + 1, lastRow >= total),
    )
    return [shownRows, footer]
  }

  await show(0)
  return h('div', { class: 'stack' }, h('label', { class: 'row' }, 'Table ', select), area)
}
