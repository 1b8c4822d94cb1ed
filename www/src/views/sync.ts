// Pulling from the remote: progress, the report, and the local edits that were kept.
import type { App, View } from '../app.ts'
import { SYNCED } from '../database.ts'
import { action, fill, h, toast, toastError } from '../dom.ts'
import { ago, bytes, count, millis, plural } from '../format.ts'
import { grid } from '../grid.ts'

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
  const report = h('section')
  const pendingArea = h('section', { class: 'card flush' })
  let cancel: AbortController | undefined

  const stop = h(
    'button',
    { type: 'button', hidden: true, onclick: () => cancel?.abort(new Error('Stopped: what was read so far is kept')) },
    'Stop',
  )
  const pull = action(
    'Pull now',
    async () => {
      cancel = new AbortController()
      stop.hidden = false
      for (const each of meters.values()) each.reset()
      try {
        const result = await db.sync.pull({
          mode: mode.value as 'merge' | 'replace',
          full: full.checked,
          signal: cancel.signal,
          onProgress: (progress) => meters.get(progress.table)?.show(progress),
        })
        for (const each of result.tables)
          meters.get(each.table)?.finish(each.inserted + each.updated + each.deleted + each.keptLocal, each.ms)
        app.lastPull = result
        app.pulls++
        document.body.dataset.pulls = String(app.pulls)
        showReport()
        toast(`Pulled in ${millis(result.ms)}`)
      } finally {
        stop.hidden = true
        app.refresh()
        await showPending()
        await showStatus()
      }
    },
    { class: 'primary' },
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
      h('h2', {}, `The last pull: ${pulled.mode}, ${millis(pulled.ms)}`),
      h(
        'div',
        { class: 'card flush', 'data-report': pulled.mode, 'data-pull': String(app.pulls) },
        grid({ columns, rows }),
      ),
    )
  }

  async function showPending(): Promise<void> {
    const pending = await db.sync.pending()
    const rows = pending.slice(0, 200).map((entry) => ({
      table: entry.table,
      key: Object.values(entry.key).join(', '),
      change: entry.op,
      columns: (entry.columns ?? []).join(', '),
      when: ago(entry.time),
    }))
    fill(
      pendingArea,
      grid({
        columns: ['table', 'key', 'change', 'columns', 'when'],
        rows,
        empty: 'None. Edit a cell of a synced table, then pull: it stays.',
      }),
    )
    fill(
      pendingTitle,
      'Local edits not sent yet',
      pending.length > 0 && h('span', { class: 'badge pending' }, plural(pending.length, 'row')),
    )
  }

  async function showStatus(): Promise<void> {
    for (const entry of await db.sync.status())
      meters
        .get(entry.table)
        ?.note(entry.lastPulledAt ? `${count(entry.rows)} rows · pulled ${ago(entry.lastPulledAt)}` : 'never pulled')
  }

  const pendingTitle = h('h2', {}, 'Local edits not sent yet')
  showReport()
  Promise.all([showPending(), showStatus()]).catch(toastError)
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
    ),
    h('section', { class: 'card meters' }, ...[...meters.values()].map((each) => each.element)),
    report,
    pendingTitle,
    pendingArea,
  )
  return { element, leave: () => cancel?.abort(new Error('Stopped: another view was opened')) }
}

/** The progress of one table. */
function meter(table: string) {
  const bar = h('progress', { max: 1, value: 0, 'aria-label': table })
  const label = h('span', { class: 'note' })
  return {
    element: h('div', { class: 'meter', 'data-meter': table }, h('b', {}, table), bar, label),
    reset() {
      bar.className = ''
      bar.value = 0
      fill(label, 'waiting…')
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
      label.append(` · ${millis(ms)}`)
    },
    note(text: string) {
      if (bar.className !== 'full') fill(label, text)
    },
  }
}
