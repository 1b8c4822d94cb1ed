import type { Connection, Turn } from '../engine/connection.js'
import { type Op, op } from '../engine/core.js'
import { breath } from './event-loop.js'
import type { Area } from './protocol.js'
import { sliceMs } from './slices.js'

/** Rows of parameters on their way to another thread, area by area. */
export interface ManyRows {
  /** How many there are. */
  readonly count: number
  /** Packs as many as one area takes, from one on; `next` is the first that is left. */
  pack(from: number): { readonly area: Area; readonly next: number }
  execute(kind: Op, area: Area, timeoutMs: number): Promise<{ readonly changes: number }>
}

/** Whether a statement has so many rows of parameters that the page would notice it if they were packed at once. */
export function areMany(kind: Op, params: unknown): params is readonly unknown[] {
  return kind === op.runMany && Array.isArray(params) && params.length > 1000
}

/**
 * One statement for many rows, in a transaction or savepoint. They are packed in slices, between which the page does what else there is;
 * what is packed is executed meanwhile. Rejects with what packing or the first statement that fails says, or with the signal's reason;
 * nothing of it is left then.
 */
export async function runManyRows(
  calls: Pick<Connection, 'begin' | 'commit' | 'rollback'>,
  { ticket, timeoutMs }: Turn,
  rows: ManyRows,
  signal: AbortSignal | undefined,
): Promise<readonly [{ changes: number }, boolean]> {
  const end = timeoutMs === 0 ? 0 : performance.now() + timeoutMs
  const depth = await calls.begin(ticket, false)
  try {
    const parts: Promise<{ readonly changes: number }>[] = []
    let failed = false
    const fail = () => {
      failed = true
    }
    let started = performance.now()
    for (let from = 0; from < rows.count && !failed; ) {
      const { area, next } = rows.pack(from)
      const left = end === 0 ? 0 : Math.max(1, Math.ceil(end - performance.now()))
      const part = rows.execute(next === rows.count ? op.runMany : op.runPart, area, left)
      part.catch(fail)
      parts.push(part)
      from = next
      if (performance.now() - started < sliceMs) continue
      await breath()
      signal?.throwIfAborted()
      started = performance.now()
    }
    let changes = 0
    for (const part of parts) changes += (await part).changes
    signal?.throwIfAborted()
    return [{ changes }, await calls.commit(ticket, depth)]
  } catch (error) {
    calls.rollback(ticket, depth)
    throw error
  }
}
