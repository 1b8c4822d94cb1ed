import { runBatch } from './batch.js'
import type { Rows } from './codec/rows.js'
import { Statements } from './codec/statements.js'
import { type CallsOptions, Connection, copyParams, notNow, type Soon, type Turn } from './connection.js'
import type { Core, Op, PlanRow } from './core.js'
import { invalid, TidelockError } from './errors.js'
import { fragmentParts, type SqlFragment } from './sql.js'
import type { CallOptions, RowMode, Statement } from './values.js'

/**
 * The common path of every call into one wasm instance: take the turn, execute, decode, wait until it is stored.
 * A call that finds the turn free executes before it returns its promise, so concurrent calls run in their order.
 */
export class Calls extends Connection {
  readonly #statements: Statements
  /** Whether FTS5 is known to be loaded: then no script is searched for it. */
  #hasFts5 = false
  /** Whether the last {@link Calls.execute} wrote, outside of a transaction. */
  protected wrote = false

  constructor(core: Core, memory: WebAssembly.Memory, options: CallsOptions) {
    super(core, options)
    this.#statements = new Statements(core, memory, options.integers)
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
    if (options === undefined && typeof sql === 'string' && !this.#inFunction) {
      try {
        this.check()
        const result = this.now(0, kind, sql, params, mode)
        if (result !== notNow) {
          const stored = this.#statements.wrote ? this.stored() : undefined
          return stored === undefined ? Promise.resolve(result) : stored.then(() => result)
        }
      } catch (error) {
        return Promise.reject(error)
      }
    }
    return this.#alone(params, options, (ticket, params, timeoutMs) =>
      this.execute(ticket, kind, sql, params, timeoutMs, mode),
    )
  }

  now(ticket: number, kind: Op, sql: string, params: unknown, mode: RowMode): unknown {
    if (this.coreIfOpen === undefined) throw this.closedError()
    this.#refuseInFunction()
    try {
      return this.#statements.now(ticket, kind, sql, params, mode)
    } catch (error) {
      const failure = this.failure(error)
      // The long way loads what is missing.
      if (missing(failure) !== null) return notNow
      throw failure
    }
  }

  cursor(sql: string | SqlFragment, params: unknown, options: CallOptions | undefined): Promise<Rows> {
    return this.#alone(params, options, (ticket, params, timeoutMs) => {
      const [text, bound] = typeof sql === 'string' ? [sql, params] : fragmentParts(sql, params)
      this.#refuseInFunction()
      const rows = this.sync(() => this.#statements.cursor(ticket, text, bound, timeoutMs))
      this.wrote = this.#statements.wrote
      return rows
    })
  }

  /** Whether an SQL function of this database runs, called by a statement whose parameters and rows are in use. */
  get #inFunction(): boolean {
    return this.options.functions?.running === true
  }

  #refuseInFunction(): void {
    if (!this.#inFunction) return
    throw invalid("An SQL function can't use the database that calls it", {
      hint: 'What it needs must be among its arguments',
    })
  }

  /** Runs one statement as soon as the turn is free, a second time if it lacked something, and waits until it is stored. */
  async #alone<T>(
    params: unknown,
    options: CallOptions | undefined,
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
        result = await this.again(error, () => run(ticket, params, timeoutMs))
      }
      wrote = this.wrote
    } finally {
      this.leave(ticket)
    }
    // No wait where there is nothing to wait for: calls settle in their order.
    const stored = wrote ? this.stored() : undefined
    if (stored !== undefined) await stored
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
    if (typeof sql !== 'string') [sql, params] = fragmentParts(sql, params)
    if (this.coreIfOpen === undefined) throw this.closedError()
    this.#refuseInFunction()
    try {
      const result = this.#statements.run(ticket, kind, sql, params, timeoutMs, mode)
      this.wrote = this.#statements.wrote
      return result
    } catch (error) {
      throw this.failure(error)
    }
  }

  /** Several steps on one turn. The work says whether it wrote something that is to be waited for. */
  async withTurn<T>(options: CallOptions | undefined, work: (turn: Turn) => Soon<readonly [T, boolean]>): Promise<T> {
    this.check()
    options?.signal?.throwIfAborted()
    const ticket = this.core.enter()
    const turn = ticket === 0 ? await this.#waitForTurn(options) : { ticket, timeoutMs: options?.timeoutMs ?? 0 }
    let step: readonly [T, boolean]
    try {
      let working: Soon<readonly [T, boolean]>
      try {
        working = work(turn)
      } catch (error) {
        working = this.again(error, () => work(turn))
      }
      step = working instanceof Promise ? await working : working
    } finally {
      this.leave(turn.ticket)
    }
    if (step[1]) await this.stored()
    return step[0]
  }

  /**
   * FTS5 is loaded when it is first asked for: so SQLite says that it is missing. What failed so has done nothing and can be run again;
   * any other error is thrown again.
   */
  async loadWhatLacks(error: unknown): Promise<void> {
    if (missing(error) === null) throw error
    await this.#loadFts5()
  }

  /** Loads SQLite's full-text search, unless it is there. Rejects with `wasm_load_failed`. */
  async #loadFts5(): Promise<void> {
    await this.guard(this.sync(() => this.core.loadFts5()))
    this.#hasFts5 = true
  }

  async #waitForTurn(options: CallOptions | undefined): Promise<Turn> {
    const ticket = this.core.queue()
    const started = performance.now()
    try {
      await this.fromCore(this.core.turn(ticket), options)
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
      this.coreIfOpen?.leave(ticket)
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
      this.coreIfOpen?.rollback(ticket, depth)
    } catch (error) {
      this.failure(error)
    }
  }

  batch(ticket: number, statements: readonly Statement[], timeoutMs: number): readonly [unknown[][], boolean] {
    return runBatch(this, ticket, statements, timeoutMs) as [unknown[][], boolean]
  }

  script(ticket: number, script: string, timeoutMs: number): Soon<boolean> {
    if (typeof script !== 'string') throw invalid('A script must be a string')
    const run = () => {
      if (this.coreIfOpen === undefined) throw this.closedError()
      return this.sync(() => this.#statements.script(ticket, script, timeoutMs))
    }
    // Before it runs: one with its own COMMIT could not be run again.
    return !this.#hasFts5 && /fts5/i.test(script) ? this.#loadFts5().then(run) : run()
  }

  explain(ticket: number, sql: string): PlanRow[] {
    return this.sync(() => this.core.explain(ticket, sql))
  }

  watch(sql: string): number {
    return this.sync(() => this.core.watch(sql))
  }

  unwatch(id: number): void {
    if (!this.closed) this.sync(() => this.core.unwatch(id))
  }

  heard(type: string): void {
    if (type === 'change' && !this.closed) this.sync(() => this.core.tellChanges())
  }

  /** The address of the parameter area, of at least that many bytes. */
  protected reserve(bytes: number): number {
    return this.#statements.reserve(bytes)
  }

  /** Resolves when what was committed up to now is stored as the durability promises. */
  stored(): Promise<void> | undefined {
    const stored = this.sync(() => this.core.stored())
    return stored === undefined ? undefined : this.guard(stored)
  }
}

/** What says that a statement failed for lack of FTS5, if it was that. */
export function missing(error: unknown): RegExpMatchArray | null {
  return error instanceof TidelockError ? error.message.match(/no such module: fts5/) : null
}
