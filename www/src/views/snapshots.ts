// The snapshots, which can be restored.
import type { SnapshotInfo } from 'tidelock'
import type { App, View } from '../app.ts'
import { action, describe, fill, h, toast, toastError } from '../dom.ts'
import { ago, bytes, clock, plural } from '../format.ts'

export function snapshotsView(app: App): View {
  const { db } = app
  const list = h('section', { class: 'snapshots' })
  const label = h('input', { placeholder: 'A label, to keep it permanently', 'aria-label': 'Label', maxLength: 80 })
  const schedule = h('p', { class: 'summary' })

  async function show(): Promise<void> {
    const [all, status] = await Promise.all([db.snapshots.list(), db.snapshots.status()])
    const next = status.nextAt ? `the next one by itself ${ago(status.nextAt)}` : 'none is scheduled'
    fill(
      schedule,
      `${plural(all.length, 'snapshot')} · ${bytes(status.bytes)} of storage, what they share counted once · ${next}`,
      status.lastError ? h('span', { class: 'badge error' }, describe(status.lastError).message) : undefined,
    )
    fill(
      list,
      ...all.map(cardOf),
      all.length === 0 && h('p', { class: 'empty' }, 'None yet. Make one, change something, and come back to it.'),
    )
  }

  // A snapshot keeps its card, and with it the result of a verification.
  const cards = new Map<string, HTMLElement>()
  function cardOf(snapshot: SnapshotInfo): HTMLElement {
    const made = cards.get(snapshot.id) ?? card(snapshot)
    cards.set(snapshot.id, made)
    return made
  }

  function card(snapshot: SnapshotInfo): HTMLElement {
    const outcome = h('span', { class: 'note' })
    const verify = action('Verify', async () => {
      const { ok, errors } = await db.snapshots.verify(snapshot.id)
      fill(outcome, ok ? '✓ whole and readable' : `✗ ${errors.join('; ')}`)
      outcome.className = ok ? 'note good' : 'note bad'
    })
    const restore = action(
      'Restore',
      async () => {
        const pending = (await db.sync.pending()).length
        const force =
          pending > 0 &&
          confirm(
            `${pending} local edits were never sent. Go back all the same? They stay to be seen, but are not sent.`,
          )
        if (pending > 0 && !force) return
        await db.snapshots.restore(snapshot.id, { force })
        toast(`Back at ${clock(snapshot.createdAt)}`, 'ok', 'The previous contents are kept as a snapshot')
        app.refresh()
        await show()
      },
      { class: 'danger' },
    )
    return h(
      'div',
      { class: 'card snapshot', 'data-snapshot': snapshot.id },
      h(
        'div',
        {},
        h('b', {}, snapshot.label ?? clock(snapshot.createdAt)),
        h('span', { class: `badge ${snapshot.reason}` }, snapshot.reason),
      ),
      h(
        'p',
        { class: 'note' },
        `${ago(snapshot.createdAt)} · ${bytes(snapshot.bytes)} database, ${bytes(snapshot.storedBytes)} new in storage · schema ${snapshot.schemaVersion ?? '–'}`,
      ),
      h('p', { class: 'note hash', title: `SHA-256 ${snapshot.sha256}` }, snapshot.sha256),
      h('div', { class: 'buttons' }, verify, restore, outcome),
    )
  }

  const create = action(
    'Take a snapshot',
    async () => {
      const started = performance.now()
      await db.snapshots.create(label.value.trim() ? { label: label.value.trim() } : {})
      toast('Snapshot taken', 'ok', `in ${Math.round(performance.now() - started)} ms`)
      label.value = ''
      await show()
    },
    { class: 'primary' },
  )
  const update = () => void show().catch(toastError)
  db.addEventListener('snapshot', update)
  update()
  const element = h(
    'article',
    {},
    h('div', { class: 'heading' }, h('h1', {}, 'Snapshots'), label, create),
    schedule,
    list,
  )
  return { element, leave: () => db.removeEventListener('snapshot', update) }
}
