// The lists below the sync: pending changes, conflicts that the user must decide, and decided conflicts.
import type { ConflictEntry, OutboxEntry } from 'tidelock'
import type { App } from '../app.ts'
import { RULES } from '../database.ts'
import { action, describe, fill, h, toast } from '../dom.ts'
import { ago, cellText, plural } from '../format.ts'
import { grid } from '../grid.ts'

const SHOWN = 200

/** Makes the lists → `urgent`, the conflicts to decide; `others`; and `show()`, which reads them all again. */
export function syncLists({ db }: App): { urgent: HTMLElement[]; others: HTMLElement[]; show(): Promise<void> } {
  const pendingTitle = h('h2', {}, 'Local edits not sent yet')
  const pendingArea = h('section', { class: 'card flush' })
  const rejectedTitle = h('h2', { hidden: true }, 'Waiting for your decision')
  const rejectedArea = h('section', { class: 'decisions', hidden: true })
  const conflictsTitle = h('h2', {}, 'Conflicts')
  const conflictsArea = h('section', { class: 'card flush', 'data-conflicts': '' })

  function showPending(pending: OutboxEntry[]): void {
    const rows = pending.slice(0, SHOWN).map((entry) => ({
      table: entry.table,
      key: keyText(entry),
      change: entry.op,
      columns: (entry.columns ?? []).join(', '),
      when: ago(entry.time),
    }))
    fill(
      pendingArea,
      grid({
        columns: ['table', 'key', 'change', 'columns', 'when'],
        rows,
        empty: 'None. Edit a cell of a synced table: it waits here until it is sent.',
      }),
    )
    fill(
      pendingTitle,
      'Local edits not sent yet',
      pending.length > 0 && h('span', { class: 'badge pending' }, plural(pending.length, 'row')),
    )
  }

  function showRejected(rejected: OutboxEntry[]): void {
    rejectedTitle.hidden = rejectedArea.hidden = rejected.length === 0
    fill(rejectedArea, ...rejected.slice(0, SHOWN).map(decision))
  }

  function decision(entry: OutboxEntry): HTMLElement {
    const decide = (label: string, call: () => Promise<void>, done: string) =>
      action(label, async () => {
        await call()
        toast(done)
        await show()
      })
    return h(
      'div',
      { class: 'card decision', 'data-rejected': keyText(entry) },
      h(
        'div',
        {},
        h('b', {}, `${entry.table} ${keyText(entry)}`),
        h('p', { class: 'note' }, `${entry.op} here ${ago(entry.time)}: ${describe(entry.error).message}`),
      ),
      h('span', { class: 'badge pending' }, entry.reason),
      decide('Send ours', () => db.sync.retry(entry.id), 'It leaves with the next sync'),
      decide('Take the office’s', () => db.sync.discard(entry.id), 'The office’s row it is'),
    )
  }

  function showConflicts(conflicts: ConflictEntry[]): void {
    const lines = conflicts.flatMap((entry) =>
      differences(entry).map((difference) => ({
        table: entry.table,
        key: keyText(entry),
        ...difference,
        when: ago(entry.time),
      })),
    )
    fill(
      conflictsArea,
      grid({
        columns: ['table', 'key', 'column', 'here', 'office', 'kept', 'rule', 'when'],
        rows: lines.slice(0, SHOWN),
        empty: `None. Where both sides change the same value: ${[...RULES].map(([table, rule]) => `${table}, ${rule}`).join('; ')}.`,
      }),
    )
    fill(
      conflictsTitle,
      'Conflicts',
      conflicts.length > 0 && h('span', { class: 'badge' }, plural(conflicts.length, 'row')),
    )
  }

  async function show(): Promise<void> {
    const [pending, rejected, conflicts] = await Promise.all([
      db.sync.pending(),
      db.sync.rejected(),
      db.sync.conflicts({ limit: SHOWN }),
    ])
    showPending(pending)
    showRejected(rejected)
    showConflicts(conflicts)
  }

  return {
    urgent: [rejectedTitle, rejectedArea],
    others: [pendingTitle, pendingArea, conflictsTitle, conflictsArea],
    show,
  }
}

const keyText = ({ key }: { key: Readonly<Record<string, unknown>> }) => Object.values(key).join(', ')

/** Lists the values that differ, except the remote's cursor. A row deleted on one side is decided by a function, or by the user. */
function differences({ table, base, local, remote, result }: ConflictEntry) {
  const rule = RULES.get(table) ?? ''
  if (!local || !remote) {
    const said = (row: ConflictEntry['local']) => (row ? 'changed' : 'deleted')
    const taken = Boolean(result) === Boolean(remote)
    const outcome = taken ? { kept: said(remote), rule } : { kept: '–', rule: 'you decide' }
    return [{ column: 'the row', here: said(local), office: said(remote), ...outcome }]
  }
  return Object.keys(local)
    .filter((column) => column !== 'updated_at' && local[column] !== remote[column])
    .filter((column) => !base || local[column] !== base[column] || remote[column] !== base[column])
    .map((column) => ({
      column,
      here: cellText(local[column]),
      office: cellText(remote[column]),
      kept: result ? cellText(result[column]) : 'deleted',
      rule,
    }))
}
