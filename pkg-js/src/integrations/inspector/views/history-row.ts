// What happened to one row: the commits that changed it, from the chosen one back.
import type { Database, HistoryPoint, SqlResultValue } from '../../../index.js'
import { columnsOf, quoted } from '../catalog.js'
import type { Context } from '../context.js'
import type { ChosenRow, RowDifference } from '../difference.js'
import { action, empty, fill, h } from '../dom.js'
import { ago, clock, count, plural, rowName } from '../format.js'
import { problem } from '../problem.js'
import type { ScratchDatabases } from '../scratch.js'
import { valuesCell, valuesOf } from './history-changes.js'

/** How many commits are read at once: the state of each is opened. */
const readAtOnce = 50

/** The values of a row by columns; undefined: there is none. */
type RowValues = ReadonlyMap<string, SqlResultValue>

/** Shows the commits that changed a row, as they are found. `points`: those of the history up to the chosen one. */
export function showRowHistory(
  context: Context,
  scratch: ScratchDatabases,
  points: readonly HistoryPoint[],
  row: ChosenRow,
  signal: AbortSignal,
): HTMLElement {
  const list = h('tbody')
  const note = empty()
  const footer = h('div', { class: 'footer' })
  const more = action('Look at earlier commits', () => lookBack(), context.fail)
  const heads = ['change', 'values'].map((name) => h('th', { scope: 'col' }, name))
  const element = h(
    'div',
    { class: 'stack', 'data-row': rowName(row) },
    h(
      'div',
      { class: 'grid', tabIndex: 0, role: 'region', 'aria-label': `Changes of ${rowName(row)}` },
      h('table', { class: 'past' }, h('thead', {}, h('tr', {}, ...heads)), list),
    ),
    note,
    footer,
  )
  let at = points.length - 1
  /** The row after the commit; null: not read yet. */
  let after: RowValues | undefined | null = null

  async function rowAt(index: number): Promise<RowValues | undefined> {
    const point = points[index]
    return point && readRow(await scratch.at(point), row, signal)
  }

  async function lookBack(): Promise<void> {
    note.hidden = true
    element.setAttribute('aria-busy', 'true')
    if (after === null) after = await rowAt(at)
    for (const until = Math.max(0, at - readAtOnce); at > until; at--) {
      fill(footer, h('span', { class: 'summary' }, `Reading ${plural(at - until, 'commit')}…`))
      const before = await rowAt(at - 1)
      const change = changeOf(before, after)
      if (change !== undefined) list.append(lineOf(points[at] as HistoryPoint, change))
      after = before
    }
    const end =
      at > 0
        ? `${plural(at, 'earlier commit')} not read yet`
        : `The history begins ${clock(points[0]?.at ?? '')}${after === undefined ? '' : ': the row was there already'}`
    fill(footer, h('span', { class: 'summary' }, end), h('span', { class: 'space' }), at > 0 && more)
    fill(note, `None of the last ${count(points.length - at)} commits changed this row.`)
    note.hidden = list.rows.length > 0
    element.removeAttribute('aria-busy')
  }

  lookBack().catch((error: unknown) => {
    if (!signal.aborted) fill(footer, problem(error))
  })
  return element
}

async function readRow(then: Database, { table, key }: ChosenRow, signal: AbortSignal): Promise<RowValues | undefined> {
  const names = (await columnsOf(then, table, signal)).map(({ name }) => name)
  // The table is younger.
  if (names.length === 0) return undefined
  const where = Object.keys(key).map((name) => `${quoted(name)} IS ?`)
  const sql = `SELECT ${names.map(quoted).join(', ')} FROM ${quoted(table)} WHERE ${where.join(' AND ')}`
  const [found] = await then.query<SqlResultValue[]>(sql, Object.values(key), { rowMode: 'array', signal })
  return found && new Map(names.map((name, index) => [name, found[index] ?? null]))
}

/** What differs between two states of a row, over the columns of both. */
function changeOf(before: RowValues | undefined, after: RowValues | undefined) {
  if (before === undefined && after === undefined) return undefined
  const columns = [...new Set([...(after?.keys() ?? []), ...(before?.keys() ?? [])])]
  const over = (values: RowValues | undefined) => values && columns.map((name) => values.get(name) ?? null)
  const kind = before === undefined ? 'added' : after === undefined ? 'deleted' : 'changed'
  const difference: RowDifference = { kind, key: {}, before: over(before), after: over(after) }
  const values = valuesOf(columns, difference)
  return values.length === 0 ? undefined : { kind, values }
}

function lineOf({ at }: HistoryPoint, { kind, values }: NonNullable<ReturnType<typeof changeOf>>): HTMLElement {
  return h(
    'tr',
    { class: kind },
    h('td', { title: ago(at) }, h('span', { class: `badge ${kind}` }, kind), ' ', clock(at, true)),
    valuesCell(values),
  )
}
