import { reading } from '../base/check.js'
import { yieldToEventLoop } from '../base/event-loop.js'
import { deadlineIn, untilDeadline } from '../base/waiting.js'
import type { Connection, Permit } from '../engine/connection.js'
import { type Op, op } from '../engine/core.js'
import type { ParameterBuffer } from './protocol.js'
import { sliceMs } from './slices.js'

/** Rows of parameters that are sent to another thread area by area. */
export interface ManyRows {
  /** The number of rows. */
  readonly count: number
  /** Packs as many rows as fit one area; `next` is the index of the first that doesn't fit. */
  pack(from: number): { readonly area: ParameterBuffer; readonly next: number }
  execute(kind: Op, area: ParameterBuffer, timeoutMs: number): Promise<{ readonly changes: number }>
}

/** Whether a statement has so many rows of parameters that packing them at once would block the page noticeably. */
export function isManyRows(kind: Op, params: unknown): params is readonly unknown[] {
  return kind === op.runMany && Array.isArray(params) && reading('The parameters', () => params.length > 1000)
}

/**
 * Runs one statement for many rows, in a transaction or savepoint. Between slices of packing it yields to the event loop of the page, while
 * the engine executes the packed rows. Rejects with the error of packing, of the first failed part, or with the signal's reason; everything
 * is rolled back then.
 */
export async function runManyRows(
  connection: Pick<Connection, 'begin' | 'commit' | 'rollback'>,
  { permitId, timeoutMs }: Permit,
  rows: ManyRows,
  signal: AbortSignal | undefined,
): Promise<readonly [{ changes: number }, boolean]> {
  const deadline = deadlineIn(timeoutMs)
  const depth = await connection.begin(permitId, false)
  try {
    const parts: Promise<{ readonly changes: number }>[] = []
    let failed = false
    const fail = () => {
      failed = true
    }
    let started = performance.now()
    for (let from = 0; from < rows.count && !failed; ) {
      const { area, next } = rows.pack(from)
      const part = rows.execute(next === rows.count ? op.runMany : op.runPart, area, untilDeadline(deadline))
      part.catch(fail)
      parts.push(part)
      from = next
      if (performance.now() - started < sliceMs) continue
      await yieldToEventLoop()
      signal?.throwIfAborted()
      started = performance.now()
    }
    let changes = 0
    for (const part of parts) changes += (await part).changes
    signal?.throwIfAborted()
    return [{ changes }, await connection.commit(permitId, depth)]
  } catch (error) {
    connection.rollback(permitId, depth)
    throw error
  }
}
