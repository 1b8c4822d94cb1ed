import { TidelockError } from '../base/errors.js'
import type { CallOptions } from '../base/values.js'
import { type Connection, type Soon, soon } from '../engine/connection.js'

const awaitAll = 'Await everything inside its function before it returns'

const idleMs = 5000

/** What happens in one transaction or savepoint, step by step, up to its end. */
export class Steps {
  readonly #calls: Connection
  readonly #idle: IdleWatch
  /** The steps that wait, while one is under way: a nested transaction takes long. */
  readonly #line: (() => void)[] = []
  /** Whether one is under way. */
  busy = false
  #inner: Steps | undefined
  #ended = false
  #sealed = false

  constructor(calls: Connection, idle: IdleWatch) {
    this.#calls = calls
    this.#idle = idle
  }

  /** A step that is over before anything else can happen. Throws `transaction_closed` after the end. */
  begin(): void {
    this.#calls.startLate()
    if (this.#sealed || this.#ended) throw hasEnded()
    this.#idle.used()
  }

  /** One step after the other: at once, or when those before it are done. */
  async step<T>(options: CallOptions | undefined, work: () => Soon<T>): Promise<T> {
    this.#calls.startLate()
    options?.signal?.throwIfAborted()
    if (this.#sealed) throw hasEnded()
    if (this.busy) await this.#place(options)
    this.busy = true
    try {
      if (this.#ended) throw hasEnded()
      this.#idle.used()
      let result: Soon<T>
      try {
        result = work()
      } catch (error) {
        result = this.#calls.again(error, work)
      }
      return result instanceof Promise ? await result : result
    } finally {
      this.#next()
    }
  }

  /** Resolves when the steps before it are done. */
  async #place(options: CallOptions | undefined): Promise<void> {
    let wake = () => {}
    const woken = new Promise<void>((resolve) => {
      wake = resolve
    })
    this.#line.push(wake)
    try {
      await this.#calls.orStopped(woken, options)
    } catch (error) {
      const at = this.#line.indexOf(wake)
      if (at >= 0) this.#line.splice(at, 1)
      else this.#next()
      throw error
    }
  }

  #next(): void {
    const wake = this.#line.shift()
    if (wake === undefined) this.busy = false
    else wake()
  }

  /** A savepoint: committed when the work is done, rolled back when it throws. To be run as a step. */
  async nested<T>(ticket: number, work: (steps: Steps) => T | PromiseLike<T>, options: CallOptions | undefined) {
    const beginning = beginTransaction(this.#calls, ticket, false, this.#idle)
    const begun = beginning instanceof Promise ? await beginning : beginning
    // The one around it was rolled back meanwhile, and this one with it.
    if (this.#ended)
      throw new TidelockError('transaction_closed', 'The transaction around this one has ended', { hint: awaitAll })
    this.#inner = begun.steps
    try {
      return (await begun.run(work, options))[0]
    } finally {
      this.#inner = undefined
      this.#idle.used()
    }
  }

  /** No step begins any more but those that were asked for. */
  seal(): void {
    this.#sealed = true
  }

  /** Resolves when no step is under way. */
  async settled(): Promise<void> {
    while (this.busy) {
      await this.#place(undefined)
      this.#next()
    }
  }

  /** Ends it and what is nested in it; false when the one around it has ended it already. */
  end(): boolean {
    if (this.#ended) return false
    this.#ended = true
    this.#inner?.end()
    for (const wake of this.#line.splice(0)) wake()
    return true
  }
}

/** Warns once when a transaction does nothing for long while all others wait for it. */
export class IdleWatch {
  #lastUsed = Date.now()
  #timer: ReturnType<typeof setTimeout>

  constructor(calls: Connection, ticket: number) {
    const look = () => {
      if (!calls.holds(ticket)) return
      const left = idleMs - (Date.now() - this.#lastUsed)
      if (left > 0) this.#timer = setTimeout(look, left)
      else
        calls.warn(
          'transaction_idle',
          `A transaction has done nothing for ${idleMs / 1000} s; all other calls wait for its end, also those on the database in its own function`,
        )
    }
    this.#timer = setTimeout(look, idleMs)
  }

  used(): void {
    this.#lastUsed = Date.now()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}

/** Begins a transaction on a ticket that holds the turn. */
export function beginTransaction(calls: Connection, ticket: number, immediate: boolean, idle: IdleWatch) {
  return soon(calls.begin(ticket, immediate), (depth) => new Begun(calls, ticket, depth, new Steps(calls, idle)))
}

/** A transaction or savepoint that has begun. */
export class Begun {
  readonly steps: Steps
  readonly #calls: Connection
  readonly #ticket: number
  readonly #depth: number

  constructor(calls: Connection, ticket: number, depth: number, steps: Steps) {
    this.#calls = calls
    this.#ticket = ticket
    this.#depth = depth
    this.steps = steps
  }

  /**
   * Takes it to its end: what the work returned, and whether there is something to wait for. Rolls back when the work throws, aborts or takes
   * too long.
   */
  async run<T>(
    work: (steps: Steps) => T | PromiseLike<T>,
    options: CallOptions | undefined,
  ): Promise<readonly [T, boolean]> {
    let committing = false
    try {
      const value = await this.#calls.orStopped(this.#finish(work), options)
      committing = this.steps.end()
      if (!committing)
        throw new TidelockError('transaction_closed', 'The transaction around this one has ended', { hint: awaitAll })
      const wrote = this.#calls.commit(this.#ticket, this.#depth)
      return [value, wrote instanceof Promise ? await wrote : wrote]
    } catch (error) {
      if (committing) this.#calls.rollback(this.#ticket, this.#depth)
      else this.rollback()
      throw error
    }
  }

  async #finish<T>(work: (steps: Steps) => T | PromiseLike<T>): Promise<T> {
    const value = await this.#calls.inside(() => work(this.steps))
    await this.steps.settled()
    return value
  }

  /** Unless the one around it has ended it already. */
  rollback(): void {
    if (this.steps.end()) this.#calls.rollback(this.#ticket, this.#depth)
  }
}

/** The error of whatever is asked of a transaction after its end. */
export function hasEnded(): TidelockError {
  return new TidelockError('transaction_closed', 'This transaction has ended', { hint: awaitAll })
}
