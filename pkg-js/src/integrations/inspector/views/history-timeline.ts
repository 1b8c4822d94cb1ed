// The timeline of the history as SVG: a line for each commit, a mark for each snapshot.
import type { HistoryPoint, SnapshotHistory, SnapshotInfo } from '../../../index.js'
import { svg } from '../dom.js'
import { clock } from '../format.js'

const width = 1000
const height = 56
const base = 44

/** The place of the last point not later than a time; -1: all are later. */
export function lastUntil(points: readonly HistoryPoint[], time: string): number {
  const until = Date.parse(time)
  return points.reduce((last, { at }, index) => (Date.parse(at) <= until ? index : last), -1)
}

/** Draws the commits in equal distances, so that each of a burst is seen. `at`: the chosen one. */
export function timeline(
  { points, snapshots }: SnapshotHistory,
  at: number,
  onSnapshot: (time: string) => void,
): SVGElement {
  const last = Math.max(1, points.length - 1)
  const x = (index: number) => 8 + (index / last) * (width - 16)
  const lines = points.map((_, index) => `M${x(index).toFixed(1)} ${base - 10}V${base}`).join('')
  const marks = snapshots.flatMap((snapshot) => {
    const index = lastUntil(points, snapshot.createdAt)
    return index < 0 ? [] : [mark(snapshot, x(index), onSnapshot)]
  })
  const chosen = x(at).toFixed(1)
  return svg(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', 'aria-hidden': 'true', width: '100%', height },
    svg('path', { d: `M8 ${base}H${width - 8}`, class: 'axis' }),
    svg('path', { d: lines, class: points.length > 400 ? 'commits dense' : 'commits' }),
    svg('path', { d: `M${chosen} 4V${height - 4}`, class: 'chosen' }),
    ...marks,
  )
}

function mark(snapshot: SnapshotInfo, x: number, onSnapshot: (time: string) => void): SVGElement {
  const element = svg(
    'path',
    { d: `M${x} 16h0`, class: `snapshot ${snapshot.reason}` },
    svg('title', {}, `${snapshot.label ?? snapshot.reason}, ${clock(snapshot.createdAt)}`),
  )
  element.addEventListener('click', () => onSnapshot(snapshot.createdAt))
  return element
}
