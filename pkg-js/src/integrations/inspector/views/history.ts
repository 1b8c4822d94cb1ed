// History: the commits of the page log and the snapshots on a timeline, the database as it was, what changed since, and restores.
import type { Database, HistoryPoint, SnapshotHistory } from '../../../index.js'
import type { Context } from '../context.js'
import { confirmed } from '../dialog.js'
import type { ChosenRow } from '../difference.js'
import { action, empty, fill, h, loading, section, soon } from '../dom.js'
import { ago, clock, count, plural, rowName, size } from '../format.js'
import { problem } from '../problem.js'
import { scratchDatabases } from '../scratch.js'
import { showDifference } from './history-changes.js'
import { restoring } from './history-restore.js'
import { showRowHistory } from './history-row.js'
import { showRowsThen } from './history-rows.js'
import { snapshotList } from './history-snapshots.js'
import { lastUntil, timeline } from './history-timeline.js'

const legend = 'Each line is a commit, each dot a snapshot. Move the slider to see the database as it was.'
/** The most commits on the timeline. */
const mostPoints = 5000

export function historyView(context: Context): HTMLElement {
  const { db, signal } = context
  const scratch = scratchDatabases(db, context.wasm)
  signal.addEventListener('abort', () => scratch.close())
  const picture = h('div', { class: 'timeline' })
  const slider = h('input', {
    type: 'range',
    min: '0',
    step: '1',
    'aria-label': 'Point in time',
    oninput: () => choose(),
  })
  const label = h('p', { class: 'summary', 'aria-live': 'polite' })
  const restore = action('Restore this state…', () => restorePoint(), context.fail, { class: 'danger' })
  const row = context.memory.get('history row') as ChosenRow | undefined
  const mode = h(
    'select',
    { 'aria-label': 'What to show', onchange: () => refresh() },
    h('option', { value: 'since' }, 'What changed from then to now'),
    h('option', { value: 'commit' }, 'What this commit changed'),
    h('option', { value: 'rows' }, 'The rows of a table then'),
    row &&
      h(
        'option',
        { value: 'row', selected: context.parameter === 'row' },
        `What happened to ${rowName(row)} until then`,
      ),
  )
  const outcome = h('div', { class: 'outcome' })
  const snapshots = snapshotList(context, () => show(), goTo)
  const area = h('div', { class: 'stack' }, loading())
  let history: SnapshotHistory | undefined
  let chosen: HistoryPoint | undefined
  /** Cancels the work for the point that was chosen before. */
  let working = new AbortController()

  async function show(): Promise<void> {
    const read = await db.snapshots.history({ limit: mostPoints, signal })
    // Whether the newest point is chosen, by now: then the next one is, too.
    const wasLast = chosen === undefined || chosen.lsn === history?.points.at(-1)?.lsn
    history = read
    snapshots.show(history.snapshots)
    const { points } = history
    if (points.length === 0) {
      chosen = undefined
      const { storage } = await db.health()
      const snapshotsOnly = 'Only the snapshots below can be restored.'
      const text =
        storage.kind === 'memory'
          ? `This database is in memory, so it has no history. ${snapshotsOnly}`
          : storage.durability === 'snapshot'
            ? `With durability: 'snapshot' a database has no history of its commits. ${snapshotsOnly}`
            : 'Nothing is stored yet that could be restored.'
      fill(area, empty(text), snapshots.element)
      return
    }
    if (!area.contains(slider)) {
      const bar = h('div', { class: 'bar' }, h('h3', {}, 'Chosen state'), mode, h('span', { class: 'space' }), restore)
      fill(
        area,
        section('Timeline', h('p', { class: 'soft' }, legend), picture, slider, label),
        h('section', {}, bar, outcome),
        snapshots.element,
      )
    }
    slider.max = String(points.length - 1)
    const found = points.findIndex(({ lsn }) => lsn === chosen?.lsn)
    const at = wasLast || found < 0 ? points.length - 1 : found
    slider.value = String(at)
    fill(picture, timeline(history, at, goTo))
    const next = points[at]
    const isOther = next?.lsn !== chosen?.lsn
    chosen = next
    describe(at)
    if (isOther || mode.value === 'since') refresh()
  }

  function choose(): void {
    const at = Number(slider.value)
    chosen = history?.points[at]
    if (history !== undefined) fill(picture, timeline(history, at, goTo))
    describe(at)
    refresh()
  }

  /** Chooses the last point not later than a time. */
  function goTo(time: string): void {
    const at = lastUntil(history?.points ?? [], time)
    slider.value = String(Math.max(0, at))
    choose()
    slider.focus()
  }

  function describe(at: number): void {
    if (history === undefined || chosen === undefined) return
    const { points, omitted, errors } = history
    const text = `${clock(chosen.at, true)} · commit ${count(at + 1)} of ${count(points.length)} · ${ago(chosen.at)} · ${size(chosen.bytes)}`
    slider.setAttribute('aria-valuetext', text)
    const older = omitted > 0 && ` · ${plural(omitted, 'older commit')} not shown`
    fill(label, text, older, errors.length > 0 && ` · ${errors.join(' · ')}`)
    restore.disabled = at === points.length - 1
  }

  function follow(row: ChosenRow): void {
    context.memory.set('history row', row)
    context.go('history/row')
  }

  const refresh = soon(() => void showOutcome(), 150)

  async function showOutcome(): Promise<void> {
    working.abort()
    working = new AbortController()
    const current = AbortSignal.any([signal, working.signal])
    const point = chosen
    if (point === undefined || history === undefined) return
    // What stands below must not move away under the pointer.
    outcome.style.minHeight = `${outcome.offsetHeight}px`
    fill(outcome, loading('Reading the state of that time…'))
    const result = await outcomeOf(point, current).catch(problem)
    if (current.aborted) return
    fill(outcome, result)
    outcome.style.minHeight = ''
  }

  async function outcomeOf(point: HistoryPoint, current: AbortSignal): Promise<HTMLElement> {
    const points = history?.points ?? []
    const index = points.findIndex(({ lsn }) => lsn === point.lsn)
    if (mode.value === 'row' && row !== undefined)
      return showRowHistory(context, scratch, points.slice(0, index + 1), row, current)
    const then = await scratch.at(point)
    if (mode.value === 'rows') return showRowsThen(context, then, current)
    if (mode.value === 'since') return showDifference(then, db, follow, current)
    const previous = points[index - 1]
    if (previous === undefined) return empty('There is no earlier state to compare with.')
    const before: Database = await scratch.at(previous)
    return showDifference(before, then, follow, current)
  }

  async function restorePoint(): Promise<void> {
    const point = chosen
    if (point === undefined) return
    const text = `The contents become those of ${clock(point.at, true)}. What is there now is kept as a snapshot, and stays on this timeline.`
    if (!(await confirmed(context.host, 'Restore this state?', text, 'Restore'))) return
    await restoring(context, (force) => db.snapshots.restore({ at: point.at, lsn: point.lsn }, { force }))
    chosen = undefined
    context.notify(`Restored the state of ${clock(point.at)}`)
    await show()
  }

  context.watch(show)
  db.addEventListener('snapshot', () => void context.run(show), { signal })
  return area
}
