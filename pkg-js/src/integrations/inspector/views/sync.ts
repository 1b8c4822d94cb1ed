// Sync: the state of each table, pull and push with their progress, what waits to be sent, what was refused, and conflicts.
import type { PullProgress, PullReport, PushReport, SyncStatus } from '../../../index.js'
import type { Context } from '../context.js'
import { action, type Child, empty, fill, h, loading, refill, section, soon } from '../dom.js'
import { ago, count, keyText, millis, plural, size, timeOfDay } from '../format.js'
import { textGrid } from '../grid.js'
import { errorText } from '../problem.js'
import { conflictList } from './sync-conflicts.js'
import { rejectedList } from './sync-rejected.js'
import { requestList } from './sync-requests.js'

/** The most entries of a list that are shown. */
const shownEntries = 200

export function syncView(context: Context): HTMLElement {
  const { db, signal, recorder } = context
  const tables = h('div', {}, loading())
  const report = h('div', { class: 'report' })
  const lists = h('div', { class: 'stack' })
  const requests = h('div')
  const trace = h('div')
  const meters = new Map<string, string>()
  const mode = h(
    'select',
    { 'aria-label': 'Mode of a pull' },
    h('option', { value: 'merge' }, 'merge: keep local changes'),
    h('option', { value: 'replace' }, 'replace: as the remote has it'),
  )
  let working: AbortController | undefined
  const stop = h(
    'button',
    { type: 'button', hidden: true, onclick: () => working?.abort(new Error('Stopped')) },
    'Stop',
  )

  /** Runs a pull or a push with its progress, then shows its report. */
  async function during(
    work: (
      signal: AbortSignal,
      onProgress: (step: PullProgress) => void,
    ) => Promise<{ pull?: PullReport; push?: PushReport }>,
  ): Promise<void> {
    working = new AbortController()
    stop.hidden = false
    meters.clear()
    const draw = soon(() => context.run(show))
    try {
      const done = await work(working.signal, ({ table, rows, total, bytes }) => {
        meters.set(table, `${count(rows)}${total === null ? '' : ` of ${count(total)}`} rows · ${size(bytes)}`)
        draw()
      })
      if (!signal.aborted) showReports(done)
    } finally {
      working = undefined
      stop.hidden = true
      meters.clear()
      await context.run(show)
    }
  }

  const pull = action(
    'Pull',
    () =>
      during(async (aborted, onProgress) => ({
        pull: await db.sync.pull({ mode: mode.value as 'merge' | 'replace', signal: aborted, onProgress }),
      })),
    context.fail,
  )
  const push = action(
    'Push',
    () =>
      during(async (aborted, onProgress) => ({
        push: await db.sync.push({ signal: aborted, onProgress }),
      })),
    context.fail,
  )
  const both = action('Push and pull', () => during((aborted) => db.sync.run({ signal: aborted })), context.fail, {
    class: 'primary',
  })

  function showReports({ pull: pulled, push: pushed }: { pull?: PullReport; push?: PushReport }): void {
    const changed = (table: object) => Object.values(table).some((value) => typeof value === 'number' && value > 0)
    fill(
      report,
      pushed &&
        section(
          `The last push: ${millis(pushed.ms)}`,
          textGrid(
            'The last push',
            ['table', 'inserted', 'updated', 'deleted', 'conflicts', 'rejected'],
            pushed.tables
              .filter(changed)
              .map(({ table, inserted, updated, deleted, conflicts, rejected }) => [
                table,
                inserted,
                updated,
                deleted,
                conflicts,
                rejected,
              ]),
          ),
        ),
      pulled &&
        section(
          `The last pull: ${pulled.mode}, ${millis(pulled.ms)}`,
          textGrid(
            'The last pull',
            [
              'table',
              'inserted',
              'updated',
              'deleted',
              'unchanged',
              'kept local',
              'conflicts',
              'rejected',
              'pages',
              'bytes',
              'took',
            ],
            pulled.tables.map(
              ({ table, inserted, updated, deleted, unchanged, keptLocal, conflicts, rejected, pages, bytes, ms }) => [
                table,
                inserted,
                updated,
                deleted,
                unchanged,
                keptLocal,
                conflicts,
                rejected,
                pages,
                size(bytes),
                millis(ms),
              ],
            ),
          ),
        ),
    )
  }

  function statusRow({
    table,
    phase,
    rows,
    pending,
    rejected,
    lastPulledAt,
    lastPushedAt,
    lastError,
  }: SyncStatus): Child[] {
    return [
      h('b', {}, table),
      meters.get(table) ?? h('span', { class: `badge ${phase}` }, phase),
      count(rows),
      count(pending),
      count(rejected),
      ago(lastPulledAt),
      ago(lastPushedAt),
      lastError === null ? '' : h('span', { class: 'flaw wrap' }, errorText(lastError)),
    ]
  }

  async function show(): Promise<void> {
    const [status, pending, rejected, conflicts] = await Promise.all([
      db.sync.status({ signal }),
      db.sync.pending({ signal }),
      db.sync.rejected({ signal }),
      db.sync.conflicts({ limit: shownEntries, signal }),
    ])
    if (signal.aborted) return
    if (status.length === 0) {
      const text = 'This database has no remote: pass the option remote to open, and its tables are synced.'
      fill(content, h('h2', {}, 'Sync'), empty(text))
      return
    }
    fill(
      tables,
      textGrid(
        'Synced tables',
        ['table', 'state', 'rows', 'to send', 'rejected', 'pulled', 'pushed', 'error'],
        status.map(statusRow),
      ),
    )
    refill(
      lists,
      rejected.length > 0 &&
        section(
          `Rejected: ${plural(rejected.length, 'change')}`,
          rejectedList(context, rejected.slice(0, shownEntries), conflicts, show),
        ),
      section(
        `Outbox: ${plural(pending.length, 'change')} to send`,
        pending.length === 0
          ? empty('No change waits to be sent.')
          : textGrid(
              'Outbox',
              ['table', 'key', 'change', 'columns', 'since', 'waits for'],
              pending
                .slice(0, shownEntries)
                .map(({ table, key, op, columns, time, reason, error }) => [
                  table,
                  keyText(key),
                  h('span', { class: `badge ${op}` }, op),
                  columns.join(', '),
                  ago(time),
                  [reason, error].filter(Boolean).join(': '),
                ]),
            ),
        pending.length > shownEntries && h('p', { class: 'soft' }, `The first ${shownEntries} are shown.`),
      ),
      section('Conflicts', conflictList(context, conflicts)),
    )
    showTrace()
  }

  function showTrace(): void {
    fill(requests, requestList(context))
    fill(
      trace,
      recorder.sync.length === 0
        ? empty('None since the inspector was opened.')
        : textGrid(
            'Steps',
            ['time', 'sync is', 'step before took'],
            [...recorder.sync]
              .reverse()
              .map(({ time, text, ms }) => [timeOfDay(time), text, ms === undefined ? '' : millis(ms)]),
          ),
    )
  }

  const content = h(
    'div',
    { class: 'stack' },
    h(
      'div',
      { class: 'bar' },
      h('h2', {}, 'Sync'),
      h('span', { class: 'space' }),
      mode,
      h('span', { class: 'buttons' }, stop, pull, push, both),
    ),
    tables,
    report,
    lists,
    section('Requests to the remote', requests),
    section('Steps of the sync', trace),
  )
  showTrace()
  context.watch(show)
  db.addEventListener(
    'sync',
    soon(() => context.run(show)),
    { signal },
  )
  db.addEventListener('request', soon(showTrace), { signal })
  signal.addEventListener('abort', () => working?.abort(new Error('Stopped: another view was opened')))
  return content
}
