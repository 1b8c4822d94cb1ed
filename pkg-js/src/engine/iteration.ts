import type { ResultRows } from './codec/result-rows.js'

/** Rows decoded at a time: few enough not to block a page noticeably, and to be collected while they are young. */
const sliceRows = 256

/**
 * Iterates over the rows of a query. They are a snapshot in a buffer of their own, which blocks no other call: the loop may write, and take
 * any time. Leaving the loop frees the buffer.
 */
export class Iteration<T> implements AsyncIterator<T, undefined, undefined> {
  readonly #signal: AbortSignal | undefined
  #begin: (() => Promise<ResultRows>) | undefined
  #beginning: Promise<void> | undefined
  #rows: ResultRows | undefined
  #slice: T[] = []
  #at = 0

  constructor(begin: () => Promise<ResultRows>, signal: AbortSignal | undefined) {
    this.#begin = begin
    this.#signal = signal
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#begin !== undefined) this.#beginning = this.#run(this.#begin)
    return this.#beginning === undefined ? this.#step() : this.#beginning.then(() => this.#step())
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.#end()
    return { done: true, value: undefined }
  }

  async #run(begin: () => Promise<ResultRows>): Promise<void> {
    this.#begin = undefined
    try {
      const rows = await begin()
      // Undefined: the loop was left meanwhile.
      if (this.#beginning !== undefined) this.#rows = rows
    } finally {
      this.#beginning = undefined
    }
  }

  #step(): Promise<IteratorResult<T, undefined>> {
    try {
      if (this.#signal?.aborted && this.#rows !== undefined) throw this.#signal.reason
      if (this.#at === this.#slice.length) {
        const count = Math.min(sliceRows, this.#rows?.remaining ?? 0)
        this.#slice = count === 0 ? [] : ((this.#rows as ResultRows).objects(count) as T[])
        this.#at = 0
      }
    } catch (error) {
      this.#end()
      return Promise.reject(error)
    }
    if (this.#at < this.#slice.length) return Promise.resolve({ done: false, value: this.#slice[this.#at++] as T })
    this.#end()
    return Promise.resolve({ done: true, value: undefined })
  }

  #end(): void {
    this.#begin = undefined
    this.#beginning = undefined
    this.#rows = undefined
    this.#slice = []
    this.#at = 0
  }
}
