import type { Rows } from '../engine/codec/rows.js'
import { breath } from './event-loop.js'

/** A page notices nothing of what is over in that time. */
export const sliceMs = 2
/** Values between two looks at the clock. */
const sliceCells = 4096

/** All rows of a result. Those of a large one are made in slices, between which the page gets to do something else. */
export async function allRows(rows: Rows, mode: 'object' | 'array'): Promise<unknown[]> {
  const count = Math.max(1, Math.floor(sliceCells / rows.width))
  const all = new Array(rows.left)
  let at = 0
  let started = performance.now()
  rows.decodeTexts()
  for (;;) {
    const some = Math.min(count, rows.left)
    if (mode === 'object') rows.objects(some, all, at)
    else rows.arrays(some, all, at)
    at += some
    if (rows.left === 0) return all
    if (performance.now() - started < sliceMs) continue
    await breath()
    started = performance.now()
  }
}
