import type { Work } from '../engine/work.js'
import type { WriteId } from '../rpc/protocol.js'

/** Issues the write ids of one tab, and tracks up to which id all results have arrived. */
export class WriteIds {
  #last = 0
  readonly #open = new Set<number>()

  /** Issues the id of a write. */
  begin(): number {
    this.#open.add(++this.#last)
    return this.#last
  }

  /** Marks a write whose result has arrived, or that the caller no longer waits for. */
  end(id: number): void {
    this.#open.delete(id)
  }

  /** Returns the {@link WriteId} to send; `again`: the write was sent to another engine before. */
  describe(id: number, again: boolean): WriteId {
    // A Set keeps the order of insertion, so the first id is the oldest.
    const [oldest = this.#last + 1] = this.#open
    return { id, acknowledged: oldest - 1, again }
  }
}

/** Whether a statement may write, by its first word. One that only reads needs no write id and may be sent again at any time. */
export function mayWrite(sql: string): boolean {
  return !/^\s*(select|values|explain|pragma|vacuum|analyze)\b/i.test(sql)
}

/** Whether work may write. */
export function writes(work: Work): boolean {
  switch (work[0]) {
    case 'statement':
      return mayWrite(work[2])
    case 'batch':
      return work[1].some(({ sql }) => mayWrite(sql))
    default:
      return work[0] === 'script'
  }
}
