// Changes that were refused: send them again, take the remote's row, or edit the row first.
import type { ConflictEntry, OutboxEntry } from '../../../index.js'
import type { Context } from '../context.js'
import { confirmed } from '../dialog.js'
import { action, h } from '../dom.js'
import { ago, keyText, rowName } from '../format.js'
import { sideBySide } from './sync-conflicts.js'
import { stateName, type TableState } from './tables.js'

export function rejectedList(
  context: Context,
  rejected: readonly OutboxEntry[],
  conflicts: readonly ConflictEntry[],
  changed: () => Promise<void>,
): HTMLElement {
  return h('div', { class: 'stack' }, ...rejected.map((entry) => card(entry)))

  function card(entry: OutboxEntry): HTMLElement {
    const { id, table, key, op, time, reason, error, columns } = entry
    const conflict = conflicts.find((one) => one.table === table && keyText(one.key) === keyText(key))
    const isConflict = reason === 'conflict' && conflict !== undefined
    const button = (label: string, run: () => unknown, props = {}) => action(label, run, context.fail, props)
    return h(
      'div',
      { class: 'card', 'data-rejected': keyText(key) },
      h(
        'div',
        { class: 'row' },
        h('b', {}, rowName(entry)),
        h('span', { class: `badge ${op}` }, op),
        reason && h('span', { class: 'badge warning' }, reason.replaceAll('_', ' ')),
      ),
      h('p', { class: 'soft' }, `${ago(time)}${columns.length > 0 ? ` · ${columns.join(', ')}` : ''}`),
      error && h('p', { class: 'flaw' }, error),
      isConflict && sideBySide(conflict),
      h(
        'div',
        { class: 'buttons' },
        button(
          isConflict ? 'Send mine' : 'Retry',
          () => decide(() => context.db.sync.retry(id), 'It is sent with the next push'),
          { class: 'primary' },
        ),
        button(isConflict ? 'Take the remote’s' : 'Discard…', () => discard(entry), { class: 'danger' }),
        op !== 'delete' && button('Edit the row', () => edit(entry)),
      ),
    )
  }

  async function decide(call: () => Promise<void>, text: string): Promise<void> {
    await call()
    context.notify(text)
    await changed()
  }

  async function discard(entry: OutboxEntry): Promise<void> {
    const text = `The local change of ${rowName(entry)} is dropped, and the remote’s row takes its place.`
    if (await confirmed(context.host, 'Take the remote’s row?', text, 'Take it'))
      await decide(() => context.db.sync.discard(entry.id), 'The remote’s row was taken')
  }

  /** Opens the table at the row. */
  function edit({ table, key }: OutboxEntry): void {
    const [[column, value] = ['', '']] = Object.entries(key)
    const state: TableState = { page: 0, sort: undefined, filterColumn: column, filter: String(value), exact: true }
    context.memory.set(stateName(table), state)
    context.go(`tables/${encodeURIComponent(table)}`)
  }
}
