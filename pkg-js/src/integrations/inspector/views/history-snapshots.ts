// The snapshots: take, verify, restore, keep as a file, delete.
import type { SnapshotInfo } from '../../../index.js'
import type { Context } from '../context.js'
import { confirmed } from '../dialog.js'
import { action, download, empty, fill, h } from '../dom.js'
import { ago, clock, size } from '../format.js'
import { restoring } from './history-restore.js'

const labelNote = 'A snapshot with a label stays until you delete it'

export interface SnapshotList {
  readonly element: HTMLElement
  show(snapshots: readonly SnapshotInfo[]): void
}

/** `changed` is called after a change of the list; `goTo` chooses a point in time. */
export function snapshotList(
  context: Context,
  changed: () => Promise<void>,
  goTo: (time: string) => void,
): SnapshotList {
  const { db } = context
  const list = h('div', { class: 'snapshots' })
  const label = h('input', { 'aria-label': 'Label', placeholder: 'Label (optional)', maxLength: 80, title: labelNote })
  const create = action('Take a snapshot', take, context.fail, { class: 'primary' })
  /** What a verification found, by snapshots. The elements move along when the list is drawn again, perhaps during a verification. */
  const notes = new Map<string, HTMLElement>()

  async function take(): Promise<void> {
    const text = label.value.trim()
    await db.snapshots.create(text === '' ? {} : { label: text })
    label.value = ''
    context.notify('Snapshot taken')
    await changed()
  }

  async function verify({ id }: SnapshotInfo, note: HTMLElement): Promise<void> {
    const { ok, errors } = await db.snapshots.verify(id)
    fill(note, ok ? '✓ whole and readable' : `✗ ${errors.join('; ')}`)
  }

  async function restore({ id, createdAt, label }: SnapshotInfo): Promise<void> {
    const text = `The contents become those of ${label ?? clock(createdAt)}. What is there now is kept as a snapshot.`
    if (!(await confirmed(context.host, 'Restore this snapshot?', text, 'Restore'))) return
    await restoring(context, (force) => db.snapshots.restore(id, { force }))
    context.notify(`Restored ${label ?? clock(createdAt)}`)
    await changed()
  }

  async function save({ id }: SnapshotInfo): Promise<void> {
    const file = await db.snapshots.export(id)
    download((file as File).name ?? `backup-${id}.sqlite`, file)
  }

  async function remove({ id, createdAt, label }: SnapshotInfo): Promise<void> {
    if (!(await confirmed(context.host, 'Delete this snapshot?', label ?? clock(createdAt), 'Delete'))) return
    await db.snapshots.delete(id)
    await changed()
  }

  function card(snapshot: SnapshotInfo): HTMLElement {
    const note = notes.get(snapshot.id) ?? h('span', { class: 'soft', role: 'status' })
    notes.set(snapshot.id, note)
    const button = (name: string, run: () => unknown, kind = '') => action(name, run, context.fail, { class: kind })
    return h(
      'div',
      { class: 'card', 'data-snapshot': snapshot.id },
      h(
        'div',
        { class: 'row' },
        h('b', {}, snapshot.label ?? clock(snapshot.createdAt)),
        h('span', { class: `badge ${snapshot.reason}` }, snapshot.reason),
      ),
      h(
        'p',
        { class: 'soft' },
        `${clock(snapshot.createdAt)} · ${ago(snapshot.createdAt)} · ${size(snapshot.bytes)}, ${size(snapshot.storedBytes)} of it new in storage · schema ${snapshot.schemaVersion ?? '–'}`,
      ),
      h(
        'div',
        { class: 'buttons' },
        button('Show on the timeline', () => goTo(snapshot.createdAt)),
        button('Verify', () => verify(snapshot, note)),
        button('Download', () => save(snapshot)),
        button('Restore…', () => restore(snapshot), 'danger'),
        button('Delete…', () => remove(snapshot), 'danger'),
        note,
      ),
    )
  }

  return {
    element: h(
      'section',
      {},
      h('div', { class: 'bar' }, h('h3', {}, 'Snapshots'), h('span', { class: 'space' }), label, create),
      list,
    ),
    show: (snapshots) => {
      fill(list, ...(snapshots.length > 0 ? snapshots.map(card) : [empty(`None yet. ${labelNote}.`)]))
    },
  }
}
