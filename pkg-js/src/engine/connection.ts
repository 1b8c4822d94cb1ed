import { isPlain } from '../base/brand.js'
import { invalid, isTidelockError, isTrap, TidelockError, toTidelockError, trapped } from '../base/errors.js'
import type { SqlFragment } from '../base/sql.js'
import type { CallOptions } from '../base/values.js'
import { onStop, Waiting } from '../base/waiting.js'
import type { Mode } from './codec/rows.js'
import type { Core, Op } from './core.js'
import type { Done, Work } from './work.js'

/** What the calls of one database need to know and whom they tell. */
export interface CallsOptions {
  readonly integers: 'auto' | 'bigint' | 'number'
  readonly warn: (warning: { code: string; message: string }) => void
  /** Adds to an error what only the caller knows. */
  readonly refine: (error: TidelockError) => TidelockError
  /** The SQL functions of the database, if it has any: while one runs, it can't be used. */
  readonly functions?: { readonly running: boolean } | undefined
  /** The engine can't be used any more: let go of the lock and tell the user. Called once. */
  readonly onDead: (error: TidelockError) => void
}

/** A place at the head of the line, and what is left of the time that the call may take (0: no limit). */
export interface Turn {
  readonly ticket: number
  readonly timeoutMs: number
}

/** At once where the engine is in this thread, so that it costs no promise; later from another one. */
export type Soon<T> = T | Promise<T>

/** What {@link Connection.now} gives when the statement has to go the long way. */
export const notNow = Symbol('not now')

/** Goes on with a value as soon as it is there. */
export function soon<T, U>(value: Soon<T>, next: (value: T) => U): Soon<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}

/**
 * How a database object reaches its engine, in this thread or in another one. Calls run in the order in which they are made. What is
 * the same for both is here: who waits, what an error becomes, and how all of it ends.
 */
export abstract class Connection {
  readonly options: CallsOptions
  #core: Core | undefined
  #closing = false
  /** What killed the engine. */
  #dead: TidelockError | undefined
  /** Those who wait for the engine. */
  readonly waiting: Waiting
  #late: (() => void)[] = []
  #isInside = false

  /** Of another thread's core all methods give promises. */
  constructor(core: Core, options: CallsOptions, waiting = new Waiting()) {
    this.#core = core
    this.options = options
    this.waiting = waiting
  }

  /** One statement on a turn of its own: the whole path. */
  abstract statement(
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    options?: CallOptions,
    mode?: Mode,
  ): Promise<unknown>
  /** The turn, which is to be given back by {@link Connection.leave}. */
  abstract acquire(options: CallOptions | undefined): Soon<Turn>
  abstract leave(ticket: number): void
  /** Whether that ticket may still hold the turn: not once its engine is gone. */
  abstract holds(ticket: number): boolean
  /** Resolves when what that ticket committed is stored as the durability promises; undefined: there is nothing to wait for. */
  abstract stored(ticket: number): Promise<void> | undefined

  // On a ticket that holds the turn.

  /** The result of a statement that ran before, at once; `notNow` when it has to be executed the long way. */
  abstract now(ticket: number, kind: Op, sql: string, params: unknown, mode: Mode): unknown

  /** Executes one statement, and decodes its result. */
  abstract execute(
    ticket: number,
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    timeoutMs: number,
    mode?: Mode,
  ): unknown
  /** Runs anything else. */
  abstract perform(ticket: number, work: Work, timeoutMs: number): Soon<Done>
  /** BEGIN, or a savepoint inside a transaction; gives the depth. */
  abstract begin(ticket: number, immediate: boolean): Soon<number>
  /** Commits that depth; whether there is something to wait for. */
  abstract commit(ticket: number, depth: number): Soon<boolean>
  /** Rolls back after something else has failed, whose error counts. */
  abstract rollback(ticket: number, depth: number): void

  /**
   * Several steps on one turn. The work says whether it wrote something that is to be waited for. `onWait`: it has to wait for the turn, and
   * the caller may change its objects meanwhile.
   */
  async withTurn<T>(
    options: CallOptions | undefined,
    work: (turn: Turn) => Soon<readonly [T, boolean]>,
    onWait?: () => void,
  ): Promise<T> {
    let turn = this.acquire(options)
    if (turn instanceof Promise) {
      onWait?.()
      turn = await turn
    }
    const { ticket } = turn
    let step: readonly [T, boolean]
    let stored: Promise<void> | undefined
    try {
      let working: Soon<readonly [T, boolean]>
      try {
        working = work(turn)
      } catch (error) {
        working = this.again(error, () => work(turn))
      }
      step = working instanceof Promise ? await working : working
      // Asked before the turn is given back: an engine in another thread may hand the database over right after that.
      if (step[1]) stored = this.stored(ticket)
    } finally {
      this.leave(ticket)
    }
    // No wait where there is nothing to wait for: calls settle in their order.
    if (stored !== undefined) await stored
    return step[0]
  }

  /** Anything on a turn of its own, until what it wrote is stored. */
  alone(work: Work, options: CallOptions | undefined): Soon<Done> {
    return this.withTurn(options, ({ ticket, timeoutMs }) =>
      soon(this.perform(ticket, work, timeoutMs), (done) => [done, done.wrote === true] as const),
    )
  }

  /** Makes it possible to run a statement again that failed because a part of the engine is missing; throws any other error again. */
  abstract loadWhatLacks(error: unknown): Promise<void>

  /** Runs again what failed so. */
  async again<T>(error: unknown, work: () => Soon<T>): Promise<T> {
    await this.loadWhatLacks(error)
    return work()
  }

  /** Registers a live query; gives the id by which events name it. */
  abstract watch(sql: string): Soon<number>
  abstract unwatch(id: number): void
  /** Somebody listens to these events from now on. */
  abstract heard(type: string): void

  /** The wasm object. Throws `closed` when it is gone. */
  get core(): Core {
    const core = this.coreIfOpen
    if (core === undefined) throw this.closedError()
    return core
  }

  /** The same, or undefined. */
  get coreIfOpen(): Core | undefined {
    return this.#core
  }

  /** Whether the engine was killed by an error. */
  get isDead(): boolean {
    return this.#dead !== undefined
  }

  /** Whether no new call may begin. */
  get closed(): boolean {
    return this.#closing || this.#core === undefined
  }

  warn(code: string, message: string): void {
    this.options.warn({ code, message })
  }

  /** Throws `closed` when no new call may begin; else starts those that were to start before it. */
  check(): void {
    if (this.closed) throw this.closedError()
    this.startLate()
  }

  /** The same for a statement or a transaction. Throws `invalid_argument` where that would wait for itself. */
  checkTurn(): void {
    this.check()
    if (!this.#isInside) return
    throw invalid('A call on the database in the function of a transaction would wait for itself: use tx', {
      hint: 'Call tx, the argument of the function, for whatever belongs to the transaction',
    })
  }

  /** Runs the function of a transaction. Up to its first `await` it is known that a call comes from it. */
  inside<T>(work: () => T): T {
    const before = this.#isInside
    this.#isInside = true
    try {
      const result = work()
      this.startLate()
      return result
    } finally {
      this.#isInside = before
    }
  }

  /** Runs something before the next call begins, at the latest in a microtask. */
  later(start: () => void): void {
    this.#late.push(start)
    if (this.#late.length === 1) queueMicrotask(() => this.startLate())
  }

  /** Starts what {@link Connection.later} was given. */
  startLate(): void {
    if (this.#late.length === 0) return
    const starts = this.#late
    this.#late = []
    for (const start of starts) start()
  }

  /** A synchronous call into wasm: turns what it throws into a {@link TidelockError}. */
  sync<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw this.failure(error)
    }
  }

  /** A promise of the wasm instance: its errors become {@link TidelockError}s, and it rejects when the instance dies. */
  guard<T>(promise: Promise<T>): Promise<T> {
    return this.fromCore(promise, undefined)
  }

  /** Settles as the engine's promise does, unless the signal aborts, the time runs out or the engine dies before. */
  protected fromCore<T>(promise: Promise<T>, options: CallOptions | undefined): Promise<T> {
    return this.waiting.until(promise, options, (error) => this.failure(error))
  }

  /** Settles as the user's promise does, unless the signal aborts, the time runs out or the instance dies before. */
  orStopped<T>(promise: Promise<T>, options: CallOptions | undefined): Promise<T> {
    return this.waiting.until(promise, options, (error) => error)
  }

  /** A call into wasm that only reads: an abort or a timeout gives up waiting for it. */
  async read<T>(options: CallOptions | undefined, work: (core: Core) => unknown): Promise<T> {
    this.check()
    options?.signal?.throwIfAborted()
    return (await this.fromCore(Promise.resolve(this.sync(() => work(this.core))), options)) as T
  }

  /**
   * A call into wasm that can be told to give up. An abort is a request: when the call went through all the same, its
   * result counts, so that a rejection means that it didn't happen.
   */
  async cancellable<T>(
    options: CallOptions | undefined,
    work: (core: Core, cancel: number) => Promise<unknown>,
  ): Promise<T> {
    this.check()
    options?.signal?.throwIfAborted()
    if (options?.signal === undefined && options?.timeoutMs === undefined) {
      return (await this.guard(this.sync(() => work(this.core, 0)))) as T
    }
    const core = this.core
    const cancel = core.newCancel()
    let stopped: { reason: unknown } | undefined
    const unwatch = onStop(options, (reason) => {
      stopped ??= { reason }
      // In a microtask, for a signal that aborts right after the call: the wasm module looks at new calls in one too.
      queueMicrotask(() => {
        if (this.coreIfOpen !== undefined) this.sync(() => core.cancel(cancel))
      })
    })
    try {
      return (await this.guard(this.sync(() => work(core, cancel)))) as T
    } catch (error) {
      const unknown = this.isDead || isTidelockError(error, 'worker_crashed')
      throw stopped === undefined || unknown ? error : stopped.reason
    } finally {
      unwatch()
      if (this.coreIfOpen !== undefined) this.sync(() => core.dropCancel(cancel))
    }
  }

  /** Waits for its turn, stores what is left and lets go of the instance. Calls that come after it are refused. */
  async close(): Promise<void> {
    this.startLate()
    this.#closing = true
    if (this.#core === undefined) return
    try {
      await this.guard(this.sync(() => this.core.close()))
    } finally {
      this.end(this.closedError())
    }
  }

  /** The database was closed from inside, as when another tab takes over: from now on calls reject with `closed`. */
  ended(): void {
    // Whoever closes by a call waits for the end of that call.
    if (this.#closing) return
    this.#closing = true
    this.end(this.closedError())
  }

  /** The engine is unusable: every call that waits rejects with that error (`internal` for a trap), and later ones with `closed`. */
  die(thrown: unknown): TidelockError {
    if (this.#dead === undefined) {
      this.#dead = thrown instanceof TidelockError ? thrown : trapped(thrown)
      this.end(this.#dead)
      this.options.onDead(this.#dead)
    }
    return this.#dead
  }

  /** Everybody who waits is told this; calls go on. */
  protected interrupt(error: TidelockError): void {
    this.waiting.end(error)
  }

  /** The error to throw for something that a call into wasm threw; a trap ends the instance. */
  failure(thrown: unknown): TidelockError {
    if (isTrap(thrown)) return this.die(thrown)
    if (this.#dead !== undefined && !(thrown instanceof TidelockError)) return this.#dead
    return thrown instanceof TidelockError ? thrown : this.options.refine(toTidelockError(thrown))
  }

  /** No call is possible any more; those that wait reject with this. */
  protected end(error: TidelockError): void {
    this.#core = undefined
    this.waiting.end(error)
  }

  closedError(): TidelockError {
    if (this.#dead === undefined)
      return new TidelockError('closed', 'The database is closed', { hint: 'Open it again with open()' })
    return new TidelockError('closed', `The database was closed by an error: ${this.#dead.message}`, {
      hint: 'Open it again with open()',
      cause: this.#dead,
    })
  }
}

/** Copies parameters one level deep, and rows of them; what isn't one is left for the packer to refuse. */
export function copyParams(params: unknown): unknown {
  if (Array.isArray(params)) return params.map((one) => (Array.isArray(one) || isPlain(one) ? copyParams(one) : one))
  return isPlain(params) ? { ...params } : params
}

/** Copies rows of parameters, as {@link copyParams} does. */
export function copyRows(rows: readonly unknown[]): unknown[] {
  return rows.map((row) => (Array.isArray(row) ? row.slice() : isPlain(row) ? { ...row } : row))
}

/** Options for a call into wasm together with the id by which it can be cancelled, if it can. */
export function withCancel(options: object, cancel: number): object {
  return cancel === 0 ? options : { ...options, cancel }
}

/** What the work throws at once becomes a rejection. */
export function rejecting<T>(work: () => Promise<T>): Promise<T> {
  try {
    return work()
  } catch (error) {
    return Promise.reject(error)
  }
}
