import { invalid, isTidelockError, isTrap, TidelockError, toTidelockError, trapped } from '../base/errors.js'
import { turnDue, yieldToEventLoop } from '../base/event-loop.js'
import type { Warning, WarningCode } from '../base/events.js'
import type { SqlFragment } from '../base/sql.js'
import type { CallOptions } from '../base/values.js'
import { type LimitedOptions, onStop, timedOut, until, Waiting, withLimit } from '../base/waiting.js'
import { Callers } from './callers.js'
import type { ResultMode } from './codec/results.js'
import type { Core, Op } from './core.js'
import { LastSyncCall } from './last-sync-call.js'
import type { Work, WorkResult } from './work.js'

/** Options and callbacks of one database's {@link Connection}. */
export interface ConnectionOptions {
  readonly integers: 'auto' | 'bigint' | 'number'
  /** Whether calls let other tasks of this thread run now and then. */
  readonly takesTurns: boolean
  readonly warn: (warning: Warning) => void
  /** Adds details to an error that only the thread of the database object knows. */
  readonly refine: (error: TidelockError) => TidelockError
  /** The user's SQL functions, if any. While one runs, calls on the database are refused. */
  readonly functions?: { readonly running: boolean } | undefined
  /** Called once, when the engine has failed permanently: releases the lock and informs the user. */
  readonly onDead: (error: TidelockError) => void
}

/** A permit of the connection mutex: its id, and the milliseconds that remain of the call's `timeoutMs` (0: no limit). */
export interface Permit {
  readonly permitId: number
  readonly timeoutMs: number
}

/** A value of an engine in this thread, which costs no promise, or the promise of one in another thread. */
export type MaybePromise<T> = T | Promise<T>

/** Returned by {@link Connection.tryFastPath} when the statement has to be executed by its text. */
export const noFastPath = Symbol('no fast path')

/** Passes a value to `next`: at once, or when its promise resolves. */
export function andThen<T, U>(value: MaybePromise<T>, next: (value: T) => U): MaybePromise<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}

/**
 * Connects a database object to its engine, in this thread or in another one. Calls run in the order in which they are made. This class
 * holds what both kinds share: pending calls, the conversion of errors, and closing.
 */
export abstract class Connection {
  readonly options: ConnectionOptions
  #core: Core | undefined
  #closing = false
  /** The error that ended the engine. */
  #dead: TidelockError | undefined
  /** Those who wait for the engine. */
  readonly waiting: Waiting
  #deferred: (() => void)[] = []
  /** The calls that closing a database object waits for. */
  readonly #finishing = new Set<Promise<unknown>>()
  /** The functions of transactions. */
  readonly functions: Callers
  /** What starts or stops the sync again after a restart of the engine: shared by all database objects that use it. */
  readonly syncCalls: LastSyncCall

  /** `core`: of another thread, all its methods return promises. */
  constructor(
    core: Core,
    options: ConnectionOptions,
    waiting = new Waiting(),
    functions = new Callers(),
    syncCalls = new LastSyncCall(),
  ) {
    this.#core = core
    this.options = options
    this.waiting = waiting
    this.functions = functions
    this.syncCalls = syncCalls
  }

  /** Executes one statement under a permit of its own, and waits until its writes are stored. */
  abstract statement(
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    options?: CallOptions,
    mode?: ResultMode,
  ): Promise<unknown>
  /** Acquires the connection mutex; {@link Connection.release} releases it. Rejects with `timeout` and with the signal's reason. */
  abstract acquire(options: LimitedOptions | undefined): MaybePromise<Permit>
  abstract release(permitId: number): void
  /** Returns whether the engine that issued the permit still runs. */
  abstract holds(permitId: number): boolean
  /** Resolves when the permit's commit is stored as `durability` promises; undefined when there is nothing to wait for. */
  abstract stored(permitId: number): Promise<void> | undefined

  // These require a permit.

  /** Returns the result of a statement that the engine keeps compiled; `noFastPath` when it has to be executed by its text. */
  abstract tryFastPath(permitId: number, kind: Op, sql: string, params: unknown, mode: ResultMode): unknown

  /** Executes one statement and decodes its result. */
  abstract execute(
    permitId: number,
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    timeoutMs: number,
    mode?: ResultMode,
  ): unknown
  /** Runs any other {@link Work}. */
  abstract perform(permitId: number, work: Work, timeoutMs: number): MaybePromise<WorkResult>
  /** Begins a transaction, or a savepoint inside one; returns the depth (1, 2, ...). */
  abstract begin(permitId: number, immediate: boolean): MaybePromise<number>
  /** Commits that depth; returns whether {@link Connection.stored} has something to wait for. */
  abstract commit(permitId: number, depth: number): MaybePromise<boolean>
  /** Rolls back after another error, which is the one to report: a failure of the rollback itself is ignored. */
  abstract rollback(permitId: number, depth: number): void

  /**
   * Runs several steps under one permit. `work` returns its value, and whether it wrote something that has to be stored first. `onWait` is
   * called when the mutex is taken: until the permit arrives, the caller may change its own objects.
   */
  async withPermit<T>(
    options: LimitedOptions | undefined,
    work: (permit: Permit) => MaybePromise<readonly [T, boolean]>,
    onWait?: () => void,
  ): Promise<T> {
    let permit = this.acquire(options)
    if (permit instanceof Promise) {
      onWait?.()
      permit = await this.unlessAwaitedInside(permit)
    }
    const { permitId } = permit
    let step: readonly [T, boolean]
    let stored: Promise<void> | undefined
    try {
      let working: MaybePromise<readonly [T, boolean]>
      try {
        working = work(permit)
      } catch (error) {
        working = this.retry(error, () => work(permit), options)
      }
      step = working instanceof Promise ? await working : working
      // Before the mutex is released: an engine in another thread may hand over the database right after that.
      if (step[1]) stored = this.stored(permitId)
    } catch (error) {
      throw withLimit(error, options?.limitMs ?? options?.timeoutMs)
    } finally {
      this.release(permitId)
    }
    // Without an `await` when there is nothing to wait for, so that calls settle in their order.
    if (stored !== undefined) await stored
    const due = this.turnDue()
    if (due !== undefined) await due
    return step[0]
  }

  /** Resolves with the permit; rejects with `invalid_argument` when the function that holds the mutex awaits it. */
  unlessAwaitedInside(pending: Promise<Permit>): Promise<Permit> {
    // A permit that arrives after that is released.
    return this.awaited(pending, () => void pending.then(({ permitId }) => this.release(permitId)).catch(() => {}))
  }

  /** Does {@link turnDue} for calls of the user. */
  turnDue(): Promise<void> | undefined {
    return this.options.takesTurns ? turnDue() : undefined
  }

  /** Settles as the engine's promise does, and yields then where {@link turnDue} says so. */
  async #takingTurns<T>(promise: Promise<T>): Promise<T> {
    const result = await promise
    const due = this.turnDue()
    if (due !== undefined) await due
    return result
  }

  /** Runs any {@link Work} under a permit of its own, and waits until its writes are stored. */
  runAlone(work: Work, options: CallOptions | undefined): MaybePromise<WorkResult> {
    return this.withPermit(options, ({ permitId, timeoutMs }) =>
      andThen(this.perform(permitId, work, timeoutMs), (done) => [done, done.wrote === true] as const),
    )
  }

  /** Loads the part of the engine whose absence made a statement fail; rethrows any other error. */
  abstract loadMissingPart(error: unknown): Promise<void>

  /** Runs the work a second time when a missing part of the engine made it fail. The options end the loading, which goes on for other calls. */
  async retry<T>(error: unknown, work: () => MaybePromise<T>, options: LimitedOptions = {}): Promise<T> {
    await until(this.loadMissingPart(error), options)
    return work()
  }

  /** Registers a live query with its parameters; returns the id that `live` events carry. */
  abstract watch(sql: string, params: unknown): MaybePromise<number>
  abstract unwatch(id: number): void
  /** Has the engine send events of this type from now on. */
  abstract subscribe(type: string): void

  /** The wasm object. Throws `closed` when the engine has ended. */
  get core(): Core {
    const core = this.coreIfOpen
    if (core === undefined) throw this.closedError()
    return core
  }

  /** The wasm object, or undefined when the engine has ended. */
  get coreIfOpen(): Core | undefined {
    return this.#core
  }

  /** The wasm object for a call that began before this connection was closed. Throws `closed` when the engine has ended. */
  protected get running(): Core {
    const core = this.runningIfAny
    if (core === undefined) throw this.closedError()
    return core
  }

  protected get runningIfAny(): Core | undefined {
    return this.coreIfOpen
  }

  /** Whether the engine was killed by an error. */
  get isDead(): boolean {
    return this.#dead !== undefined
  }

  /** Whether no new call may begin. */
  get closed(): boolean {
    return this.#closing || this.#core === undefined
  }

  warn(code: WarningCode, message: string): void {
    this.options.warn({ code, message })
  }

  /** Throws `closed` when no new call may begin; otherwise starts the deferred ones first. */
  check(): void {
    if (this.closed) throw this.closedError()
    this.startDeferred()
  }

  /** Does {@link Connection.check} for a call that needs the mutex. Throws `invalid_argument` where the call would wait for itself. */
  checkMayAcquire(): void {
    this.check()
    if (this.functions.isInside) throw insideError()
  }

  /** Throws `invalid_argument` for a call that waits for the end of the transaction in whose function it is made. */
  checkOutside(): void {
    if (this.functions.isInside || this.functions.includeThis()) throw insideError()
  }

  /** Runs the function of a transaction. */
  inside<T>(work: () => T | PromiseLike<T>): Promise<T> {
    return this.functions.run(() => {
      const result = work()
      this.startDeferred()
      return result
    })
  }

  /**
   * Settles as a call that waits for the mutex does. When the function that holds the mutex makes that call before its first `await`, or
   * awaits it, calls `abandon` and rejects with `invalid_argument`.
   */
  awaited<T>(pending: Promise<T>, abandon = () => {}): Promise<T> {
    const refused = () => {
      abandon()
      return insideError()
    }
    return this.functions.isInside ? Promise.reject(refused()) : this.functions.unlessAwaited(pending, refused)
  }

  /** Defers a function until just before the next call, at the latest to a microtask. */
  later(start: () => void): void {
    // The next call may be that of another function.
    const { isInside } = this.functions
    this.#deferred.push(() => this.functions.attributing(isInside, start))
    if (this.#deferred.length === 1) queueMicrotask(() => this.startDeferred())
  }

  /** Runs the functions that {@link Connection.later} deferred. */
  startDeferred(): void {
    if (this.#deferred.length === 0) return
    const starts = this.#deferred
    this.#deferred = []
    for (const start of starts) start()
  }

  /** Makes a synchronous call into wasm; converts what it throws into a {@link TidelockError}. */
  sync<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      throw this.failure(error)
    }
  }

  /** Awaits a promise of the wasm instance: converts its errors to {@link TidelockError}s, and rejects when the instance ends. */
  guard<T>(promise: Promise<T>): Promise<T> {
    return this.fromCore(promise, undefined)
  }

  /** Settles as the engine's promise does, unless the signal aborts, `timeoutMs` elapses or the engine ends before. */
  protected fromCore<T>(promise: Promise<T>, options: LimitedOptions | undefined): Promise<T> {
    return this.waiting.until(promise, options, (error) => withLimit(this.failure(error), options?.timeoutMs))
  }

  /** Settles as the user's promise does, unless the signal aborts, `timeoutMs` elapses or the engine ends before. */
  orStopped<T>(promise: Promise<T>, options: LimitedOptions | undefined): Promise<T> {
    return this.waiting.until(promise, options, (error) => error)
  }

  /** Makes a call into wasm that only reads: an abort or a timeout stops waiting for its result. */
  async read<T>(options: CallOptions | undefined, work: (core: Core) => T | Promise<T>): Promise<T> {
    this.check()
    options?.signal?.throwIfAborted()
    const result = this.fromCore(Promise.resolve(this.sync(() => work(this.core))), options)
    return (await this.#takingTurns(this.#untilClosed(result))) as T
  }

  /**
   * Makes a call into wasm that can be cancelled. An abort is a request: when the call succeeds nevertheless, its result counts, so that a
   * rejection always means that nothing happened. Rejects with `invalid_argument` in the function of a transaction, whose end it would
   * wait for.
   */
  async cancellable<T>(options: CallOptions | undefined, work: (core: Core, cancel: number) => Promise<T>): Promise<T> {
    this.#admit(options)
    return this.#untilClosed(this.#cancellable(options, work))
  }

  /** Does the same for a call that first prepares something: until then it can't be cancelled, and nothing has happened. */
  async preparing<P, T>(
    options: CallOptions | undefined,
    prepare: () => Promise<P>,
    work: (core: Core, cancel: number, prepared: P) => Promise<T>,
  ): Promise<T> {
    this.#admit(options)
    const call = async () => {
      const prepared = await prepare()
      options?.signal?.throwIfAborted()
      return this.#cancellable(options, (core, cancel) => work(core, cancel, prepared))
    }
    return this.#untilClosed(call())
  }

  /** Does the same as {@link Connection.cancellable} for a call that a close ends. */
  async endedByClose<T>(
    options: CallOptions | undefined,
    work: (core: Core, cancel: number) => Promise<T>,
  ): Promise<T> {
    this.#admit(options)
    return this.#cancellable(options, work)
  }

  #admit(options: CallOptions | undefined): void {
    this.check()
    this.checkOutside()
    options?.signal?.throwIfAborted()
  }

  async #cancellable<T>(
    options: CallOptions | undefined,
    work: (core: Core, cancel: number) => Promise<T>,
  ): Promise<T> {
    if (options?.signal === undefined && options?.timeoutMs === undefined) {
      return (await this.#takingTurns(this.guard(this.sync(() => work(this.running, 0))))) as T
    }
    const core = this.running
    const cancel = core.newCancel()
    const { timeoutMs } = options
    const begun = performance.now()
    let stopped: { reason: unknown } | undefined
    const unwatch = onStop(options, (reason) => {
      stopped ??= { reason }
      // In a microtask, for a signal that aborts right after the call: the wasm module begins new calls in one, too.
      queueMicrotask(() => {
        if (this.runningIfAny !== undefined) this.sync(() => core.cancel(cancel))
      })
    })
    try {
      return (await this.guard(this.sync(() => work(core, cancel)))) as T
    } catch (error) {
      const unknown = this.isDead || isTidelockError(error, 'worker_crashed')
      // A call that checked the time itself may end before the timer can run.
      if (timeoutMs !== undefined && performance.now() - begun >= timeoutMs && isTidelockError(error, 'timeout'))
        stopped ??= { reason: timedOut(timeoutMs) }
      throw stopped === undefined || unknown ? error : stopped.reason
    } finally {
      unwatch()
      if (this.runningIfAny !== undefined) this.sync(() => core.dropCancel(cancel))
    }
  }

  /** Waits for the mutex, stores what is pending and frees the instance. Later calls reject with `closed`. */
  async close(): Promise<void> {
    this.startDeferred()
    this.#closing = true
    if (this.#core === undefined) return
    try {
      await this.guard(this.sync(() => this.core.close()))
      // The results of the last calls are on their way.
      if (this.waiting.isAwaited) await yieldToEventLoop()
    } finally {
      this.end(this.closedError())
    }
  }

  /** Adds a call to those that {@link Connection.finished} waits for. */
  #untilClosed<T>(call: Promise<T>): Promise<T> {
    this.#finishing.add(call)
    const over = () => void this.#finishing.delete(call)
    call.then(over, over)
    return call
  }

  /** Resolves when the calls made so far have settled, except those that a close ends. */
  protected async finished(): Promise<void> {
    await Promise.allSettled(this.#finishing)
  }

  /** Notes that the engine closed by itself, as on a takeover by another tab: from now on calls reject with `closed`. */
  ended(): void {
    // A close() in progress ends the connection itself, when its call returns.
    if (this.#closing) return
    this.#closing = true
    this.end(this.closedError())
  }

  /** Ends a failed engine: pending calls reject with that error (`internal` for a trap), later ones with `closed`. */
  die(thrown: unknown): TidelockError {
    if (this.#dead === undefined) {
      this.#dead = thrown instanceof TidelockError ? thrown : trapped(thrown)
      this.end(this.#dead)
      this.options.onDead(this.#dead)
    }
    return this.#dead
  }

  /** Rejects all pending calls; new ones are possible. */
  protected interrupt(error: TidelockError): void {
    this.waiting.end(error)
  }

  /** Returns the error to throw for what a call into wasm threw; a trap ends the instance. */
  failure(thrown: unknown): TidelockError {
    if (isTrap(thrown)) return this.die(thrown)
    if (this.#dead !== undefined && !(thrown instanceof TidelockError)) return this.#dead
    return thrown instanceof TidelockError ? thrown : this.options.refine(toTidelockError(thrown))
  }

  /** Ends the connection: pending calls reject with this error, and no new call is possible. */
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

function insideError(): TidelockError {
  return invalid('A call on the database in the function of a transaction would wait for itself: use tx', {
    hint: 'Call tx, the argument of the function, for whatever belongs to the transaction',
  })
}

/** Turns what `work` throws synchronously into a rejection. */
export function rejecting<T>(work: () => Promise<T>): Promise<T> {
  try {
    return work()
  } catch (error) {
    return Promise.reject(error)
  }
}
