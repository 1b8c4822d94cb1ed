// What differs between two states, row by row.
import type { Database } from '../../../index.js'
import {
  type ChosenRow,
  differences,
  isSame,
  type RowDifference,
  type RowKey,
  type TableDifference,
} from '../difference.js'
import { type Child, empty, h } from '../dom.js'
import { cellText, count, plural } from '../format.js'

/** With more values than this, their cell is scrolled. */
const scrolledFrom = 12

/** Shows the changes from one state to another; `follow` shows what happened to one of the rows. */
export async function showDifference(
  before: Database,
  after: Database,
  follow: (row: ChosenRow) => void,
  signal: AbortSignal,
): Promise<HTMLElement> {
  const found = await differences(before, after, signal)
  if (found.length === 0) return empty('No row differs.')
  return h('div', { class: 'stack' }, ...found.map((difference, at) => tableOf(difference, at < 3, follow)))
}

function tableOf(difference: TableDifference, isOpen: boolean, follow: (row: ChosenRow) => void): HTMLElement {
  const { table, added, changed, deleted, changes, note } = difference
  const counts = [
    added > 0 && `${count(added)} added`,
    changed > 0 && `${count(changed)} changed`,
    deleted > 0 && `${count(deleted)} deleted`,
  ]
  const omitted = added + changed + deleted - changes.length
  return h(
    'details',
    { class: 'object', open: isOpen, 'data-difference': table },
    h('summary', {}, h('b', {}, table), h('span', { class: 'soft' }, ` ${counts.filter(Boolean).join(', ')}`)),
    note && h('p', { class: 'soft' }, note),
    ...(changes.length > 0 ? [listOf(difference, follow)] : []),
    omitted > 0 && note === undefined && h('p', { class: 'soft' }, `${plural(omitted, 'more change')} not listed`),
  )
}

function listOf({ table, columns, changes }: TableDifference, follow: (row: ChosenRow) => void): HTMLElement {
  const keyButton = (key: RowKey) => {
    const shown = Object.values(key).map(cellText).join(', ')
    const onclick = () => follow({ table, key })
    return h('button', { type: 'button', class: 'quiet', title: `What happened to ${shown}`, onclick }, shown)
  }
  return h(
    'div',
    { class: 'grid', tabIndex: 0, role: 'region', 'aria-label': `Changes of ${table}` },
    h(
      'table',
      { class: 'changes' },
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          h('th', { scope: 'col' }, 'change'),
          h('th', { scope: 'col' }, 'key'),
          h('th', { scope: 'col' }, 'values'),
        ),
      ),
      h(
        'tbody',
        {},
        ...changes.map((change) =>
          h(
            'tr',
            { class: change.kind },
            h('td', {}, h('span', { class: `badge ${change.kind}` }, change.kind)),
            h('td', {}, keyButton(change.key)),
            valuesCell(valuesOf(columns, change)),
          ),
        ),
      ),
    ),
  )
}

/** The columns that changed, with both values; of a new or a deleted row all columns. */
export function valuesOf(columns: readonly string[], { before, after }: RowDifference): Child[] {
  return columns.flatMap((column, at): Child[] => {
    const [old, now] = [before?.[at] ?? null, after?.[at] ?? null]
    if (before === undefined || after === undefined)
      return [pair(column, h('span', {}, cellText(before === undefined ? now : old)))]
    if (isSame(old, now)) return []
    return [pair(column, h('del', {}, cellText(old)), ' → ', h('ins', {}, cellText(now)))]
  })
}

/** The cell of the values; many of them are scrolled. */
export function valuesCell(values: readonly Child[]): HTMLElement {
  if (values.length <= scrolledFrom) return h('td', { class: 'wrap' }, ...values)
  const props = { class: 'values', tabIndex: 0, role: 'group', 'aria-label': 'Values' }
  return h('td', { class: 'wrap' }, h('div', props, ...values))
}

const pair = (column: string, ...values: Child[]) => h('span', { class: 'pair' }, h('b', {}, column), ' ', ...values)
