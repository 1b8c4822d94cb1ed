// Conflicts side by side: the row before, here, on the remote, and the result; buttons take the other side afterwards.
import type { ConflictEntry, SqlResultValue, SqlValue } from '../../../index.js'
import { quoted } from '../catalog.js'
import type { Context } from '../context.js'
import { confirmed } from '../dialog.js'
import { action, type Child, empty, h } from '../dom.js'
import { ago, cellText, keyText, rowName } from '../format.js'
import { textGrid } from '../grid.js'

type ConflictSide = Readonly<Record<string, SqlResultValue>>

export function conflictList(context: Context, conflicts: readonly ConflictEntry[]): HTMLElement {
  if (conflicts.length === 0) return empty('None.')
  return h('div', { class: 'stack' }, ...conflicts.map((conflict) => card(context, conflict)))
}

function card(context: Context, conflict: ConflictEntry): HTMLElement {
  const { key, time, local, remote, result } = conflict
  const offer = (side: 'local' | 'remote', label: string) => {
    const row = conflict[side]
    if (row === null || result === null || changesLost(conflict, row, result).length === 0) return undefined
    return action(label, () => take(context, conflict, side), context.fail)
  }
  return h(
    'details',
    { class: 'object', 'data-conflict': keyText(key) },
    h(
      'summary',
      {},
      h('b', {}, rowName(conflict)),
      h('span', { class: 'soft' }, ` ${ago(time)}, ${outcome(conflict)}`),
    ),
    sideBySide(conflict),
    h(
      'div',
      { class: 'buttons' },
      local && offer('local', 'Use the local values…'),
      remote && offer('remote', 'Use the remote’s values…'),
    ),
  )
}

function outcome(conflict: ConflictEntry): string {
  const { local, remote, result } = conflict
  if (result === null) return local === null || remote === null ? 'left to you' : 'deleted'
  const isLocal = local !== null && changesLost(conflict, local, result).length === 0
  const isRemote = remote !== null && changesLost(conflict, remote, result).length === 0
  return isLocal === isRemote ? 'combined' : isLocal ? 'kept the local row' : 'took the remote’s row'
}

/** The columns that differ anywhere, each with its values on all sides. */
export function sideBySide({ base, local, remote, result, table, key }: ConflictEntry): HTMLElement {
  const sides = [base, local, remote, result]
  const columns = [...new Set(sides.flatMap((side) => Object.keys(side ?? {})))]
  const differ = columns.filter(
    (column) => new Set(sides.flatMap((side) => (side === null ? [] : [text(side, column)]))).size > 1,
  )
  const rows = (differ.length > 0 ? differ : columns).map((column): Child[] => {
    const isChanged = (side: ConflictSide | null) =>
      base !== null && side !== null && text(side, column) !== text(base, column)
    const value = (side: ConflictSide | null) =>
      h(
        isChanged(side) ? 'ins' : 'span',
        { title: side === null ? '' : text(side, column) },
        side === null ? '' : text(side, column),
      )
    return [h('b', {}, column), ...sides.map(value)]
  })
  const head = (name: string, side: ConflictSide | null) => (side === null ? `${name}: no row` : name)
  return textGrid(
    `Conflict of ${table} ${keyText(key)}`,
    ['column', head('before', base), head('here', local), head('remote', remote), head('result', result)],
    rows,
  )
}

const text = (row: ConflictSide, column: string) => (column in row ? cellText(row[column] ?? null) : '')

/** The columns that one side had changed, and that the result has otherwise. */
function changesLost({ base }: ConflictEntry, row: ConflictSide, result: ConflictSide): string[] {
  return Object.keys(row)
    .filter((column) => base === null || text(row, column) !== text(base, column))
    .filter((column) => column in result && text(row, column) !== text(result, column))
}

/** Writes the values of one side into the row, as a new local change. */
async function take({ db, host, notify }: Context, conflict: ConflictEntry, side: 'local' | 'remote'): Promise<void> {
  const row = conflict[side]
  const { table, key, result } = conflict
  if (row === null || result === null) return
  const columns = changesLost(conflict, row, result).filter((column) => !(column in key))
  const shown = columns.map((column) => `${column}: ${text(row, column)}`).join(', ')
  if (
    !(await confirmed(
      host,
      `Change ${rowName(conflict)}?`,
      `It becomes a new local change. ${shown}`,
      'Change the row',
    ))
  )
    return
  const assignments = columns.map((column) => `${quoted(column)} = ?`).join(', ')
  const where = Object.keys(key)
    .map((column) => `${quoted(column)} IS ?`)
    .join(' AND ')
  const values = [...columns.map((column) => row[column] ?? null), ...Object.values(key)] as SqlValue[]
  const { changes } = await db.run(`UPDATE ${quoted(table)} SET ${assignments} WHERE ${where}`, values)
  notify(changes > 0 ? 'The row was changed; the next push sends it' : 'The row is no longer there')
}
