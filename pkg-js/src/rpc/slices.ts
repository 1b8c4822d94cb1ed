import { yieldToEventLoop } from '../base/event-loop.js'
import type { ResultRows } from '../engine/codec/result-rows.js'

/** Blocking a page for this long is not noticeable. */
export const sliceMs = 2
/** Values decoded between two readings of the clock. */
const sliceCells = 4096

/** Decodes all rows of a result, in slices between which it yields to the event loop of the page. */
export async function decodeInSlices(rows: ResultRows, mode: 'object' | 'array'): Promise<unknown[]> {
  const count = Math.max(1, Math.floor(sliceCells / rows.width))
  const all = new Array(rows.remaining)
  let at = 0
  let started = performance.now()
  rows.decodeTexts()
  for (;;) {
    const some = Math.min(count, rows.remaining)
    if (mode === 'object') rows.objects(some, all, at)
    else rows.arrays(some, all, at)
    at += some
    if (rows.remaining === 0) return all
    if (performance.now() - started < sliceMs) continue
    await yieldToEventLoop()
    started = performance.now()
  }
}
