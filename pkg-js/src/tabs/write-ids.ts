import type { Work } from '../engine/work.js'
import type { Unit } from '../rpc/protocol.js'

/** Numbers the writes of one tab, and knows up to which one their answers are here. */
export class Units {
  #last = 0
  readonly #open = new Set<number>()

  /** The number of another write. */
  begin(): number {
    this.#open.add(++this.#last)
    return this.#last
  }

  /** Its answer is here, or nobody waits for it any more. */
  end(id: number): void {
    this.#open.delete(id)
  }

  /** What whoever serves is told about a write. */
  describe(id: number, again: boolean): Unit {
    // In the order of their beginnings: the first is the oldest.
    const [oldest = this.#last + 1] = this.#open
    return { id, acknowledged: oldest - 1, again }
  }
}

/** Whether a statement may write, by its first word. What only reads needs no number, and may be sent again at any time. */
export function mayWrite(sql: string): boolean {
  return !/^\s*(select|values|explain|pragma|vacuum|analyze)\b/i.test(sql)
}

/** Whether something may write. */
export function writes(work: Work): boolean {
  switch (work[0]) {
    case 'statement':
      return mayWrite(work[2])
    case 'batch':
      return work[1].some(({ sql }) => mayWrite(sql))
    default:
      return work[0] !== 'explain'
  }
}
