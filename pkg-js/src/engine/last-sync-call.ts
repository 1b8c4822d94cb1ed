/** A call of `sync.start` or `sync.stop`, of any tab. */
export interface SyncCall {
  /** Null: `sync.stop`. */
  readonly intervalMs: number | null
  /** Later calls have greater numbers. A counter, since the clocks of tabs differ after the computer slept or its time was set. */
  readonly order: number
}

/** Keeps the last call of `sync.start` or `sync.stop`: a page and its engine each have one, since either may end without the other. */
export class LastSyncCall {
  #last: SyncCall | undefined

  /** Undefined before any call, when the option `mode` decides. */
  get last(): SyncCall | undefined {
    return this.#last
  }

  /** Keeps a new call as the last one; returns it. `least`: the order that it has already, or a greater one. */
  add(intervalMs: number | null, least = 1): SyncCall {
    this.#last = { intervalMs, order: Math.max((this.#last?.order ?? 0) + 1, least) }
    return this.#last
  }

  /** Keeps a call that was made earlier, unless it is known or a later one is; returns whether it is kept. */
  keep(call: SyncCall): boolean {
    if (this.#last !== undefined && call.order <= this.#last.order) return false
    this.#last = call
    return true
  }
}
