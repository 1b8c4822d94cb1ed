import { beforeCommit, invalid, TidelockError } from '../base/errors.js'
import type { CallOptions } from '../base/values.js'
import { type CallDeadline, deadlineOf, type LimitedOptions, untilDeadline, withLimit } from '../base/waiting.js'
import { Callers } from '../engine/callers.js'
import { andThen, type Connection, type MaybePromise } from '../engine/connection.js'

const awaitAll = 'Await everything inside its function before it returns'

const idleMs = 5000

/** The calls in one transaction or savepoint, which run one at a time. */
export class Steps {
  readonly #connection: Connection
  readonly #idle: IdleWatch
  readonly #outer: Steps | undefined
  /** The functions of the transactions nested in this one, from the first one on. */
  #functions: Callers | undefined
  /** The waiting steps: while a nested transaction runs, there can be many. */
  readonly #queue: (() => void)[] = []
  /** Whether a step is running. */
  busy = false
  #inner: Steps | undefined
  #deadline: CallDeadline | undefined
  #ended = false
  #sealed = false

  constructor(connection: Connection, idle: IdleWatch, outer?: Steps) {
    this.#connection = connection
    this.#idle = idle
    this.#outer = outer
  }

  /** Limits the time of the steps from now on to that of the transaction, and of the one around it. */
  limit(options: LimitedOptions | undefined): void {
    this.#deadline = deadlineOf(options, this.#outer === undefined ? undefined : this.#outer.#deadline)
  }

  /** Whether the time of the steps is limited. */
  get areLimited(): boolean {
    return this.#deadline !== undefined
  }

  /** Throws `timeout` when the time of the steps is over: no timer fires while their function, or a statement, blocks this thread. */
  checkTime(): void {
    untilDeadline(this.#deadline)
  }

  /** Begins a synchronous step. Throws `transaction_closed` after the end. */
  begin(): void {
    this.#connection.startDeferred()
    if (this.#sealed || this.#ended) throw hasEnded()
    this.#idle.used()
  }

  /**
   * Runs a step, at once or after the steps before it; `work` gets the milliseconds that remain of its time (0: no limit). Rejects with
   * `transaction_closed` after the end, with `timeout` after the time of the step or of the transaction.
   */
  async step<T>(options: CallOptions | undefined, work: (timeoutMs: number) => MaybePromise<T>): Promise<T> {
    this.#connection.startDeferred()
    options?.signal?.throwIfAborted()
    if (this.#sealed) throw hasEnded()
    const deadline = deadlineOf(options, this.#deadline)
    if (this.busy) await this.#place(options)
    this.busy = true
    const run = () => work(untilDeadline(deadline))
    try {
      if (this.#ended) throw hasEnded()
      this.#idle.used()
      let result: MaybePromise<T>
      try {
        result = run()
      } catch (error) {
        result = this.#connection.retry(error, run, options)
      }
      const value = result instanceof Promise ? await result : result
      const due = this.#connection.turnDue()
      if (due !== undefined) await due
      return value
    } catch (error) {
      const named = withLimit(error, deadline?.limitMs)
      // The clock of SQLite's thread may be ahead of this one, but what it ended must not be committed.
      if (named !== error && deadline !== undefined && deadline === this.#deadline) deadline.at = 0
      throw beforeCommit(named)
    } finally {
      this.#next()
    }
  }

  /**
   * Resolves when the steps before it are done. Rejects with `invalid_argument` when the function of the nested transaction that runs awaits
   * this.
   */
  async #place(options: CallOptions | undefined): Promise<void> {
    const functions = this.#functions
    if (functions?.isInside) throw insideError()
    let wake = () => {}
    const woken = new Promise<void>((resolve) => {
      wake = resolve
    })
    this.#queue.push(wake)
    try {
      const place = this.#connection.orStopped(woken, options)
      await (functions === undefined ? place : functions.unlessAwaited(place, insideError))
    } catch (error) {
      const at = this.#queue.indexOf(wake)
      if (at >= 0) this.#queue.splice(at, 1)
      else this.#next()
      wake()
      throw error
    }
  }

  #next(): void {
    const wake = this.#queue.shift()
    if (wake === undefined) this.busy = false
    else wake()
  }

  /** Runs `work` in a savepoint: commits when it returns, rolls back when it throws. Must be called as a step. */
  async nested<T>(permitId: number, work: (steps: Steps) => T | PromiseLike<T>, options: CallOptions | undefined) {
    const beginning = beginTransaction(this.#connection, permitId, false, this.#idle, this)
    const begun = beginning instanceof Promise ? await beginning : beginning
    // The outer transaction was rolled back meanwhile, and this savepoint with it.
    if (this.#ended)
      throw new TidelockError('transaction_closed', 'The outer transaction has ended', { hint: awaitAll })
    this.#inner = begun.steps
    try {
      return (await begun.run(work, options))[0]
    } finally {
      this.#inner = undefined
      this.#idle.used()
    }
  }

  /** Runs the function of the transaction. */
  inside<T>(work: () => T | PromiseLike<T>): Promise<T> {
    return this.#outer === undefined ? this.#connection.inside(work) : this.#outer.#within(work)
  }

  /** Runs the function of a transaction nested in this one, and so also in those around this one. */
  #within<T>(work: () => T | PromiseLike<T>): Promise<T> {
    this.#functions ??= new Callers()
    return this.#functions.run(() => this.inside(work))
  }

  /** Rejects all further steps; those in the queue still run. */
  seal(): void {
    this.#sealed = true
  }

  /** Resolves when no step is running or queued. */
  async settled(): Promise<void> {
    while (this.busy) {
      await this.#place(undefined)
      this.#next()
    }
  }

  /** Ends the transaction and those nested in it. Returns false when the outer one has ended it already. */
  end(): boolean {
    if (this.#ended) return false
    this.#ended = true
    this.#inner?.end()
    for (const wake of this.#queue.splice(0)) wake()
    return true
  }
}

/** Warns once when a transaction is idle for 5 s while all other calls wait for it. */
export class IdleWatch {
  #lastUsed = Date.now()
  #timer: ReturnType<typeof setTimeout>

  constructor(connection: Connection, permitId: number) {
    const look = () => {
      if (!connection.holds(permitId)) return
      const left = idleMs - (Date.now() - this.#lastUsed)
      if (left > 0) this.#timer = setTimeout(look, left)
      else
        connection.warn(
          'transaction_idle',
          `A transaction has been idle for ${idleMs / 1000} s, and all other calls wait for its end. If its function awaits something that calls db, it waits for ever: call tx there`,
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

/** Begins a transaction under a permit of the connection mutex. */
export function beginTransaction(
  connection: Connection,
  permitId: number,
  immediate: boolean,
  idle: IdleWatch,
  outer?: Steps,
) {
  return andThen(
    connection.begin(permitId, immediate),
    (depth) => new OpenTransaction(connection, permitId, depth, new Steps(connection, idle, outer)),
  )
}

/** A transaction or savepoint that has begun. */
export class OpenTransaction {
  readonly steps: Steps
  readonly #connection: Connection
  readonly #permitId: number
  readonly #depth: number

  constructor(connection: Connection, permitId: number, depth: number, steps: Steps) {
    this.#connection = connection
    this.#permitId = permitId
    this.#depth = depth
    this.steps = steps
  }

  /**
   * Runs `work` and commits. Returns the result of `work`, and whether there are changes to store. Rolls back when `work` throws, is aborted
   * or exceeds its timeout.
   */
  async run<T>(
    work: (steps: Steps) => T | PromiseLike<T>,
    options: LimitedOptions | undefined,
  ): Promise<readonly [T, boolean]> {
    let committing = false
    this.steps.limit(options)
    try {
      const value = await this.#connection.orStopped(this.#finish(work), options)
      this.steps.checkTime()
      committing = this.steps.end()
      if (!committing)
        throw new TidelockError('transaction_closed', 'The outer transaction has ended', { hint: awaitAll })
      const wrote = this.#connection.commit(this.#permitId, this.#depth)
      return [value, wrote instanceof Promise ? await wrote : wrote]
    } catch (error) {
      if (!committing) {
        this.rollback()
        throw beforeCommit(error)
      }
      this.#connection.rollback(this.#permitId, this.#depth)
      throw error
    }
  }

  async #finish<T>(work: (steps: Steps) => T | PromiseLike<T>): Promise<T> {
    const value = await this.steps.inside(() => work(this.steps))
    await this.steps.settled()
    return value
  }

  /** Rolls back, unless the outer transaction has ended this one already. */
  rollback(): void {
    if (this.steps.end()) this.#connection.rollback(this.#permitId, this.#depth)
  }
}

/** Returns the error of a call that waits for the end of the nested transaction in whose function it is made. */
function insideError(): TidelockError {
  return invalid(
    'A call on the outer transaction in the function of a nested one would wait for itself: use its own tx',
    {
      hint: 'Call the argument of the inner function for whatever belongs to the nested transaction',
    },
  )
}

/** Returns the error of a call on a transaction that has ended. */
export function hasEnded(): TidelockError {
  return new TidelockError('transaction_closed', 'This transaction has ended', { hint: awaitAll })
}
