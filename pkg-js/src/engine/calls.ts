import { invalid, TidelockError } from '../base/errors.js'
import { fragmentParts, type SqlFragment } from '../base/sql.js'
import type { CallOptions } from '../base/values.js'
import type { Mode } from './codec/rows.js'
import type { StatementRunner } from './codec/statements.js'
import { type CallsOptions, Connection, copyParams, notNow, type Soon, soon, type Turn } from './connection.js'
import { type Core, type Op, op } from './core.js'
import { type Done, eachStatement, type StatementOf, type Work } from './work.js'

/**
 * The common path of every call into one wasm instance: take the turn, execute, decode, wait until it is stored.
 * A call that finds the turn free executes before it returns its promise, so concurrent calls run in their order. Parameters come as P and
 * results go as R: see {@link StatementRunner}.
 */
export class Calls<P = unknown, R = unknown> extends Connection {
  readonly #statements: StatementRunner<P, R>
  /** Whether FTS5 is known to be loaded: then no script is searched for it. */
  #hasFts5 = false

  constructor(core: Core, statements: StatementRunner<P, R>, options: CallsOptions) {
    super(core, options)
    this.#statements = statements
  }

  /** Whether the last {@link Calls.execute} wrote, outside of a transaction. */
  get wrote(): boolean {
    return this.#statements.executor.wrote
  }

  statement(kind: Op, sql: string | SqlFragment, params: P, options?: CallOptions, mode: Mode = 'object'): Promise<R> {
    try {
      const result = this.#statement(kind, sql, params, options, mode)
      return result instanceof Promise ? result : Promise.resolve(result)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Most calls find the turn free and run what ran before: they need no promise, unless there is something to wait for. */
  #statement(kind: Op, sql: string | SqlFragment, params: P, options: CallOptions | undefined, mode: Mode): Soon<R> {
    if (options === undefined && typeof sql === 'string' && !this.#inFunction) {
      this.checkTurn()
      const result = this.now(0, kind, sql, params, mode)
      if (result !== notNow) {
        const stored = this.wrote ? this.stored() : undefined
        return stored === undefined ? result : stored.then(() => result)
      }
    }
    let given = params
    const execute = ({ ticket, timeoutMs }: Turn) =>
      [this.execute(ticket, kind, sql, given, timeoutMs, mode), this.wrote] as const
    return this.withTurn(options, execute, () => {
      given = copyParams(params) as P
    })
  }

  override alone(work: Work<P>, options: CallOptions | undefined): Soon<Done<R>> {
    if (work[0] !== 'statement') return super.alone(work, options) as Promise<Done<R>>
    const [, kind, sql, params] = work
    const result = this.#statement(kind, sql, params, options, 'object')
    return soon(result, (result) => ({ results: [result] }))
  }

  now(ticket: number, kind: Op, sql: string, params: P, mode: Mode): R | typeof notNow {
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

  /** Executes one statement on a ticket that holds the turn, and decodes its result. */
  execute(ticket: number, kind: Op, sql: string | SqlFragment, params: P, timeoutMs: number, mode: Mode = 'object'): R {
    if (typeof sql !== 'string') [sql, params] = fragmentParts(sql, params) as [string, P]
    if (this.coreIfOpen === undefined) throw this.closedError()
    this.#refuseInFunction()
    try {
      return this.#statements.run(ticket, kind, sql, params, timeoutMs, mode)
    } catch (error) {
      throw this.failure(error)
    }
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

  perform(ticket: number, work: Work<P>, timeoutMs: number): Soon<Done<R>> {
    switch (work[0]) {
      case 'statement': {
        const [, kind, sql, params] = work
        const result = this.execute(ticket, kind, sql, params, timeoutMs)
        return { results: [result], wrote: this.wrote }
      }
      case 'batch':
        return this.#batch(ticket, work[1], timeoutMs)
      case 'script':
        return soon(this.#script(ticket, work[1], timeoutMs), (wrote) => ({ results: [], wrote }))
      case 'explain':
        return { results: [], value: this.sync(() => this.core.explain(ticket, work[1])) }
    }
  }

  /** Runs several statements in one transaction or savepoint, without giving up the turn. */
  #batch(ticket: number, statements: readonly StatementOf<P>[], timeoutMs: number): Done<R> {
    const depth = this.begin(ticket, false)
    try {
      const results = eachStatement(statements, ({ sql, params }) =>
        this.execute(ticket, op.query, sql, params as P, timeoutMs),
      )
      return { results, wrote: this.commit(ticket, depth) }
    } catch (error) {
      this.rollback(ticket, depth)
      throw error
    }
  }

  acquire(options: CallOptions | undefined): Soon<Turn> {
    this.checkTurn()
    options?.signal?.throwIfAborted()
    const ticket = this.core.enter()
    return ticket === 0 ? this.#waitForTurn(options) : { ticket, timeoutMs: options?.timeoutMs ?? 0 }
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

  holds(): boolean {
    return this.coreIfOpen !== undefined
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

  /** Runs a script; whether it wrote. */
  #script(ticket: number, script: string, timeoutMs: number): Soon<boolean> {
    const run = () => {
      if (this.coreIfOpen === undefined) throw this.closedError()
      return this.sync(() => this.#statements.executor.script(ticket, script, timeoutMs))
    }
    // Before it runs: one with its own COMMIT could not be run again.
    return !this.#hasFts5 && /fts5/i.test(script) ? this.#loadFts5().then(run) : run()
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

  /** Of all that was committed up to now. */
  stored(): Promise<void> | undefined {
    const stored = this.sync(() => this.core.stored())
    return stored === undefined ? undefined : this.guard(stored)
  }
}

/** What says that a statement failed for lack of FTS5, if it was that. */
export function missing(error: unknown): RegExpMatchArray | null {
  return error instanceof TidelockError ? error.message.match(/no such module: fts5/) : null
}
