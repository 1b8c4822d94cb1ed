import type { Shape } from './codec/rows.js'
import { notNow, Statements } from './codec/statements.js'
import type { Core, Op } from './core.js'
import { invalid, isTrap, TidelockError, toTidelockError, trapped } from './errors.js'
import { SqlFragment } from './sql.js'
import type { CallOptions, RowMode } from './values.js'
import { onStop, Waiting } from './waiting.js'

/** What the calls of one database need to know and whom they tell. */
export interface CallsOptions {
  readonly integers: 'auto' | 'bigint' | 'number'
  readonly warn: (warning: { code: string; message: string }) => void
  /** Adds to an error what only the caller knows. */
  readonly refine: (error: TidelockError) => TidelockError
  /** The instance can't be used any more: let go of the lock and tell the user. Called once. */
  readonly onDead: (error: TidelockError) => void
}

/** A place at the head of the line, and what is left of the time that the call may take (0: no limit). */
export interface Turn {
  readonly ticket: number
  readonly timeoutMs: number
}

/**
 * The common path of every call into one wasm instance: take the turn, execute, decode, wait until it is stored.
 * A call that finds the turn free executes before it returns its promise, so concurrent calls run in their order.
 */
export class Calls {
  readonly #statements: Statements
  readonly #options: CallsOptions
  #core: Core | undefined
  #closing = false
  /** What killed the instance. */
  #dead: TidelockError | undefined
  readonly #waiting = new Waiting()
  #late: (() => void)[] = []

  constructor(core: Core, memory: WebAssembly.Memory, options: CallsOptions) {
    this.#core = core
    this.#options = options
    this.#statements = new Statements(core, memory, options.integers)
  }

  /** The wasm object. Throws `closed` when it is gone. */
  get core(): Core {
    if (this.#core === undefined) throw this.#closedError()
    return this.#core
  }

  /** Whether no new call may begin. */
  get closed(): boolean {
    return this.#closing || this.#core === undefined
  }

  warn(code: string, message: string): void {
    this.#options.warn({ code, message })
  }

  /** Throws `closed` when no new call may begin; else starts those that were to start before it. */
  check(): void {
    if (this.closed) throw this.#closedError()
    this.startLate()
  }

  /** Runs something before the next call begins, at the latest in a microtask. */
  later(start: () => void): void {
    this.#late.push(start)
    if (this.#late.length === 1) queueMicrotask(() => this.startLate())
  }

  /** Starts what {@link Calls.later} was given. */
  startLate(): void {
    if (this.#late.length === 0) return
    const starts = this.#late
    this.#late = []
    for (const start of starts) start()
  }

  /** One statement on a turn of its own: the whole path. */
  statement(
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    options?: CallOptions,
    mode: RowMode = 'object',
  ): Promise<unknown> {
    // Most calls find the turn free and run what ran before: they need no more than one promise.
    if (options === undefined && typeof sql === 'string') {
      try {
        this.check()
        const result = this.#statements.now(0, kind, sql, params, mode)
        if (result !== notNow) {
          const stored = this.#statements.wrote ? this.stored() : undefined
          return stored === undefined ? Promise.resolve(result) : stored.then(() => result)
        }
      } catch (error) {
        return Promise.reject(this.failure(error))
      }
    }
    return this.#statement(kind, sql, params, options, mode)
  }

  async #statement(
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    options: CallOptions | undefined,
    mode: RowMode,
  ): Promise<unknown> {
    return this.#alone(options, params, (ticket, params, timeoutMs) =>
      this.execute(ticket, kind, sql, params, timeoutMs, mode),
    )
  }

  /** The rows of a query in a buffer of their own, and their shape. */
  copied(
    sql: string | SqlFragment,
    params: unknown,
    options: CallOptions | undefined,
  ): Promise<readonly [ArrayBuffer, Shape]> {
    return this.#alone(options, params, (ticket, params, timeoutMs) => {
      const [text, bound] = textOf(sql, params)
      return this.sync(() => this.#statements.copy(ticket, text, bound, timeoutMs))
    })
  }

  async #alone<T>(
    options: CallOptions | undefined,
    params: unknown,
    run: (ticket: number, params: unknown, timeoutMs: number) => T,
  ): Promise<T> {
    this.check()
    options?.signal?.throwIfAborted()
    let ticket = this.core.enter()
    let timeoutMs = options?.timeoutMs ?? 0
    if (ticket === 0) {
      // The caller may change its objects while this waits.
      params = copyParams(params)
      ;({ ticket, timeoutMs } = await this.#waitForTurn(options))
    }
    let result: T
    let wrote: boolean
    try {
      try {
        result = run(ticket, params, timeoutMs)
      } catch (error) {
        await this.loadWhatLacks(error)
        result = run(ticket, params, timeoutMs)
      }
      wrote = this.#statements.wrote
    } finally {
      this.leave(ticket)
    }
    if (wrote) await this.stored()
    return result
  }

  /** Executes one statement on a ticket that holds the turn, and decodes its result. */
  execute(
    ticket: number,
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    timeoutMs: number,
    mode: RowMode = 'object',
  ): unknown {
    const [text, bound] = textOf(sql, params)
    try {
      // Its core is gone with the database.
      void this.core
      return this.#statements.run(ticket, kind, text, bound, timeoutMs, mode)
    } catch (error) {
      throw this.failure(error)
    }
  }

  /** Several steps on one turn. The work says whether it wrote something that is to be waited for. */
  async withTurn<T>(
    options: CallOptions | undefined,
    work: (turn: Turn) => readonly [T, boolean] | Promise<readonly [T, boolean]>,
  ): Promise<T> {
    this.check()
    options?.signal?.throwIfAborted()
    const ticket = this.core.enter()
    const turn = ticket === 0 ? await this.#waitForTurn(options) : { ticket, timeoutMs: options?.timeoutMs ?? 0 }
    let step: readonly [T, boolean]
    try {
      let working: readonly [T, boolean] | Promise<readonly [T, boolean]>
      try {
        working = work(turn)
      } catch (error) {
        await this.loadWhatLacks(error)
        working = work(turn)
      }
      step = working instanceof Promise ? await working : working
    } finally {
      this.leave(turn.ticket)
    }
    if (step[1]) await this.stored()
    return step[0]
  }

  /**
   * FTS5 is loaded when it is first asked for: `no such module` is how SQLite asks. What failed so has done nothing and can be
   * run again; any other error is thrown again.
   */
  async loadWhatLacks(error: unknown): Promise<void> {
    if (!(error instanceof TidelockError && error.message.includes('no such module: fts5'))) throw error
    await this.loadFts5()
  }

  /** Loads SQLite's full-text search, unless it is there. Rejects with `wasm_load_failed`. */
  loadFts5(): Promise<void> {
    return this.guard(this.sync(() => this.core.loadFts5()))
  }

  async #waitForTurn(options: CallOptions | undefined): Promise<Turn> {
    const ticket = this.core.queue()
    const started = performance.now()
    try {
      await this.#fromCore(this.core.turn(ticket), options)
    } catch (error) {
      this.leave(ticket)
      throw error
    }
    const timeoutMs = options?.timeoutMs ?? 0
    return {
      ticket,
      timeoutMs: timeoutMs === 0 ? 0 : Math.max(1, Math.ceil(timeoutMs - (performance.now() - started))),
    }
  }

  leave(ticket: number): void {
    try {
      this.#core?.leave(ticket)
    } catch (error) {
      this.failure(error)
    }
  }

  begin(ticket: number, immediate: boolean): number {
    return this.sync(() => this.core.begin(ticket, immediate))
  }

  commit(ticket: number, depth: number): boolean {
    return this.sync(() => this.core.commit(ticket, depth))
  }

  /** Rolls back after something else has failed, whose error counts. */
  rollback(ticket: number, depth: number): void {
    try {
      this.#core?.rollback(ticket, depth)
    } catch (error) {
      this.failure(error)
    }
  }

  /** Resolves when what was committed up to now is stored as the durability promises. */
  stored(): Promise<void> | undefined {
    const stored = this.sync(() => this.core.stored())
    return stored === undefined ? undefined : this.guard(stored)
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
    return this.#fromCore(promise, undefined)
  }

  #fromCore<T>(promise: Promise<T>, options: CallOptions | undefined): Promise<T> {
    return this.#waiting.until(promise, options, (error) => this.failure(error))
  }

  /** Settles as the user's promise does, unless the signal aborts, the time runs out or the instance dies before. */
  orStopped<T>(promise: Promise<T>, options: CallOptions | undefined): Promise<T> {
    return this.#waiting.until(promise, options, (error) => error)
  }

  /** A call into wasm that only reads: an abort or a timeout gives up waiting for it. */
  async read<T>(options: CallOptions | undefined, work: (core: Core) => unknown): Promise<T> {
    this.check()
    options?.signal?.throwIfAborted()
    return (await this.#fromCore(Promise.resolve(this.sync(() => work(this.core))), options)) as T
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
        if (this.#core !== undefined) this.sync(() => core.cancel(cancel))
      })
    })
    try {
      return (await this.guard(this.sync(() => work(core, cancel)))) as T
    } catch (error) {
      throw stopped !== undefined && this.#dead === undefined ? stopped.reason : error
    } finally {
      unwatch()
      if (this.#core !== undefined) this.sync(() => core.dropCancel(cancel))
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
      this.#end(this.#closedError())
    }
  }

  /** The database was closed from inside, as when another tab takes over: from now on calls reject with `closed`. */
  ended(): void {
    // Whoever closes by a call waits for the end of that call.
    if (this.#closing) return
    this.#closing = true
    this.#end(this.#closedError())
  }

  /** The instance is unusable: every call that waits rejects with `internal`, and later ones with `closed`. */
  die(thrown: unknown): TidelockError {
    if (this.#dead === undefined) {
      this.#dead = trapped(thrown)
      this.#end(this.#dead)
      this.#options.onDead(this.#dead)
    }
    return this.#dead
  }

  /** The error to throw for something that a call into wasm threw; a trap ends the instance. */
  failure(thrown: unknown): TidelockError {
    if (isTrap(thrown)) return this.die(thrown)
    if (this.#dead !== undefined && !(thrown instanceof TidelockError)) return this.#dead
    return thrown instanceof TidelockError ? thrown : this.#options.refine(toTidelockError(thrown))
  }

  #end(error: TidelockError): void {
    this.#core = undefined
    this.#waiting.end(error)
  }

  #closedError(): TidelockError {
    if (this.#dead === undefined)
      return new TidelockError('closed', 'The database is closed', { hint: 'Open it again' })
    return new TidelockError('closed', 'The database was closed by an internal error', {
      hint: 'Open it again',
      cause: this.#dead,
    })
  }
}

/** The text of a statement, and its parameters. */
function textOf(sql: string | SqlFragment, params: unknown): readonly [string, unknown] {
  if (typeof sql === 'string') return [sql, params]
  if (!(sql instanceof SqlFragment)) throw invalid('The SQL must be a string or an sql`...` fragment')
  if (params !== undefined) throw invalid('An sql`...` fragment brings its own parameters')
  return [sql.sql, sql.params]
}

/** Copies parameters one level deep, and rows of them; what isn't one is left for the packer to refuse. */
export function copyParams(params: unknown): unknown {
  if (Array.isArray(params)) return params.map((one) => (isContainer(one) ? copyParams(one) : one))
  return isContainer(params) ? { ...(params as object) } : params
}

function isContainer(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return (
    Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null
  )
}

/** Options for a call into wasm together with the id by which it can be cancelled, if it can. */
export function withCancel(options: object, cancel: number): object {
  return cancel === 0 ? options : { ...options, cancel }
}
