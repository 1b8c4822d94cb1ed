// The state of the sync: what was pushed and pulled, what is pending, and the conflicts.
import type { PullReport, PushReport } from 'tidelock'
import type { App, View } from '../app.ts'
import { SYNCED } from '../database.ts'
import { action, fill, h, soon, toast, toastError } from '../dom.ts'
import { ago, bytes, count, millis, plural } from '../format.ts'
import { grid } from '../grid.ts'
import { syncLists } from './sync-lists.ts'

export function syncView(app: App): View {
  const { db } = app
  const mode = h(
    'select',
    { 'aria-label': 'Mode' },
    h('option', { value: 'merge' }, 'Merge: keep local edits'),
    h('option', { value: 'replace' }, 'Replace: exactly the remote’s'),
  )
  const full = h('input', { type: 'checkbox' })
  const meters = new Map(SYNCED.map((table) => [table, meter(table)]))
  const report = h('section', { class: 'reports' })
  const lists = syncLists(app)
  let cancel: AbortController | undefined

  const stop = h(
    'button',
    { type: 'button', hidden: true, onclick: () => cancel?.abort(new Error('Stopped: the rows read so far are kept')) },
    'Stop',
  )

  /** Runs a pull or a push, then shows its report, or the current state when it failed. */
  async function during(work: (signal: AbortSignal) => Promise<PullReport>): Promise<void> {
    cancel = new AbortController()
    stop.hidden = false
    pull.disabled = sync.disabled = true
    for (const each of meters.values()) each.reset()
    try {
      const result = await work(cancel.signal)
      for (const each of result.tables)
        meters.get(each.table)?.finish(each.inserted + each.updated + each.deleted + each.keptLocal, each.ms)
      app.lastPull = result
      app.pulls++
      document.body.dataset.pulls = String(app.pulls)
    } finally {
      cancel = undefined
      stop.hidden = true
      pull.disabled = sync.disabled = false
      app.refresh()
      await Promise.all([lists.show(), showStatus()])
    }
    showReport()
  }

  const pull = action('Pull now', () =>
    during(async (signal) => {
      const result = await db.sync.pull({
        mode: mode.value as 'merge' | 'replace',
        full: full.checked,
        signal,
        onProgress: (progress) => meters.get(progress.table)?.show(progress),
      })
      app.lastPush = undefined
      toast(`Pulled in ${millis(result.ms)}`)
      return result
    }),
  )
  const sync = action(
    'Sync now',
    () =>
      during(async (signal) => {
        const result = await db.sync.run({ signal })
        app.lastPush = result.push
        toast(`Pushed and pulled in ${millis(result.push.ms + result.pull.ms)}`)
        return result.pull
      }),
    { class: 'primary', title: 'Sends the local edits, then pulls' },
  )

  function showReport(): void {
    const pulled = app.lastPull
    if (!pulled) return
    const columns = [
      'table',
      'inserted',
      'updated',
      'deleted',
      'unchanged',
      'keptLocal',
      'conflicts',
      'pages',
      'bytes',
      'ms',
    ]
    const rows = pulled.tables.map(
      (table) => ({ ...table, bytes: bytes(table.bytes), ms: Math.round(table.ms) }) as Record<string, unknown>,
    )
    fill(
      report,
      ...(app.lastPush ? pushReport(app.lastPush) : []),
      h('h2', {}, `The last pull: ${pulled.mode}, ${millis(pulled.ms)}`),
      h(
        'div',
        { class: 'card flush', 'data-report': pulled.mode, 'data-pull': String(app.pulls) },
        grid({ columns, rows }),
      ),
    )
  }

  async function showStatus(): Promise<void> {
    const status = await db.sync.status()
    // While a sync is running, the meters show its progress.
    if (cancel) return
    for (const entry of status)
      meters
        .get(entry.table)
        ?.note(entry.lastPulledAt ? `${count(entry.rows)} rows · pulled ${ago(entry.lastPulledAt)}` : 'never pulled')
  }

  showReport()
  const show = () => Promise.all([lists.show(), showStatus()])
  show().catch(toastError)
  // Other tabs may edit, push and pull as well.
  const update = soon(() => (db.closed ? undefined : show().catch(console.error)))
  db.addEventListener('change', update)
  const element = h(
    'article',
    {},
    h(
      'div',
      { class: 'heading' },
      h('h1', {}, 'Sync'),
      mode,
      h('label', { class: 'check' }, full, 'read everything again'),
      stop,
      pull,
      sync,
    ),
    h('section', { class: 'card meters' }, ...[...meters.values()].map((each) => each.element)),
    ...lists.urgent,
    report,
    ...lists.others,
  )
  return {
    element,
    leave() {
      db.removeEventListener('change', update)
      cancel?.abort(new Error('Stopped: another view was opened'))
    },
  }
}

/** Returns the tables of which rows were pushed. */
function pushReport({ tables, ms }: PushReport): HTMLElement[] {
  const sent = tables.filter(({ table: _, ...counts }) => Object.values(counts).some((value) => value > 0))
  const columns = ['table', 'inserted', 'updated', 'deleted', 'conflicts', 'rejected']
  const rows = sent.map((table) => ({ ...table }) as Record<string, unknown>)
  return [
    h('h2', {}, `The last push: ${millis(ms)}`),
    h('div', { class: 'card flush', 'data-sent': '' }, grid({ columns, rows, empty: 'There was nothing to send.' })),
  ]
}

const WAITING = 'waiting…'

/** Shows the progress of one table. */
function meter(table: string) {
  const bar = h('progress', { max: 1, value: 0, 'aria-label': table })
  const label = h('span', { class: 'note' })
  return {
    element: h('div', { class: 'meter', 'data-meter': table }, h('b', {}, table), bar, label),
    reset() {
      bar.className = ''
      bar.value = 0
      fill(label, WAITING)
    },
    show({ rows, total, bytes: read }: { rows: number; total?: number | null; bytes: number }) {
      if (total) bar.value = Math.min(1, rows / total)
      else bar.removeAttribute('value')
      fill(label, total ? `${count(rows)} of ${count(total)}` : plural(rows, 'row'), ` · ${bytes(read)}`)
    },
    finish(changes: number, ms: number) {
      bar.value = 1
      bar.className = 'full'
      if (changes === 0) fill(label, 'nothing new')
      else if (label.textContent === WAITING) fill(label, plural(changes, 'row'))
      label.append(` · ${millis(ms)}`)
    },
    note(text: string) {
      if (bar.className !== 'full') fill(label, text)
    },
  }
}
