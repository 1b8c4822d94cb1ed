import { invalid, TidelockError } from '../base/errors.js'
import { fragmentParts, type SqlFragment } from '../base/sql.js'
import type { CallOptions } from '../base/values.js'
import { deadlineIn, type LimitedOptions, until, untilDeadline } from '../base/waiting.js'
import type { ResultMode } from './codec/results.js'
import { withStatement } from './codec/statement-errors.js'
import type { StatementRunner } from './codec/statements.js'
import {
  andThen,
  Connection,
  type ConnectionOptions,
  type MaybePromise,
  noFastPath,
  type Permit,
} from './connection.js'
import { copyParams } from './copy-params.js'
import { type Core, type Op, op } from './core.js'
import { eachStatement, type LiveRead, liveStatements, type StatementOf, type Work, type WorkResult } from './work.js'

/**
 * The common path of every call into one wasm instance: acquire the connection mutex, execute, decode, wait until the write is stored.
 * A call that finds the mutex free executes before it returns its promise, so concurrent calls run in their order. Parameters come as P and
 * results go as R: see {@link StatementRunner}.
 */
export class DirectConnection<P = unknown, R = unknown> extends Connection {
  readonly #statements: StatementRunner<P, R>
  /** Whether FTS5 is known to be loaded: scripts are no longer searched for its name then. */
  #hasFts5 = false

  constructor(core: Core, statements: StatementRunner<P, R>, options: ConnectionOptions) {
    super(core, options)
    this.#statements = statements
  }

  /** Whether the last {@link DirectConnection.execute} wrote, outside of a transaction. */
  get wrote(): boolean {
    return this.#statements.executor.wrote
  }

  statement(
    kind: Op,
    sql: string | SqlFragment,
    params: P,
    options?: CallOptions,
    mode: ResultMode = 'object',
  ): Promise<R> {
    try {
      const result = this.#statement(kind, sql, params, options, mode)
      if (result instanceof Promise) return result
      return this.turnDue()?.then(() => result) ?? Promise.resolve(result)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Executes without a promise when the mutex is free, the statement is known and nothing has to be stored: the common case. */
  #statement(
    kind: Op,
    sql: string | SqlFragment,
    params: P,
    options: CallOptions | undefined,
    mode: ResultMode,
  ): MaybePromise<R> {
    if (options === undefined && typeof sql === 'string' && !this.#inFunction) {
      this.checkMayAcquire()
      const result = this.tryFastPath(0, kind, sql, params, mode)
      if (result !== noFastPath) {
        const stored = this.wrote ? this.stored() : undefined
        return stored === undefined ? result : stored.then(() => this.turnDue()?.then(() => result) ?? result)
      }
    }
    let given = params
    const execute = ({ permitId, timeoutMs }: Permit) =>
      [this.execute(permitId, kind, sql, given, timeoutMs, mode), this.wrote] as const
    return this.withPermit(options, execute, () => {
      given = copyParams(params) as P
    })
  }

  override runAlone(work: Work<P>, options: CallOptions | undefined): MaybePromise<WorkResult<R>> {
    if (work[0] !== 'statement') return super.runAlone(work, options) as Promise<WorkResult<R>>
    const [, kind, sql, params] = work
    const result = this.#statement(kind, sql, params, options, 'object')
    return andThen(result, (result) => ({ results: [result] }))
  }

  tryFastPath(permitId: number, kind: Op, sql: string, params: P, mode: ResultMode): R | typeof noFastPath {
    if (this.coreIfOpen === undefined) throw this.closedError()
    this.#refuseInFunction()
    try {
      return this.#statements.tryFastPath(permitId, kind, sql, params, mode)
    } catch (error) {
      const failure = this.failure(error)
      // `retry` loads FTS5.
      if (missing(failure) !== null) return noFastPath
      throw failure
    }
  }

  /** Whether one of the user's SQL functions runs: the parameters and rows of the statement around it are in use then. */
  get #inFunction(): boolean {
    return this.options.functions?.running === true
  }

  #refuseInFunction(): void {
    if (!this.#inFunction) return
    throw invalid("An SQL function can't use the database that calls it", {
      hint: 'Pass the values that it needs as arguments',
    })
  }

  /** Executes one statement under a permit and decodes its result. */
  execute(
    permitId: number,
    kind: Op,
    sql: string | SqlFragment,
    params: P,
    timeoutMs: number,
    mode: ResultMode = 'object',
  ): R {
    if (typeof sql !== 'string') [sql, params] = fragmentParts(sql, params) as [string, P]
    if (this.coreIfOpen === undefined) throw this.closedError()
    this.#refuseInFunction()
    try {
      return this.#statements.run(permitId, kind, sql, params, timeoutMs, mode)
    } catch (error) {
      throw this.failure(error)
    }
  }

  /**
   * Loads FTS5 when SQLite's error says that it is missing: the statement has done nothing then, and can be run again. Rethrows any other
   * error.
   */
  async loadMissingPart(error: unknown): Promise<void> {
    if (missing(error) === null) throw error
    await this.#loadFts5()
  }

  /** Loads SQLite's full-text search unless it is loaded. Rejects with `wasm_load_failed`. */
  async #loadFts5(): Promise<void> {
    await this.guard(this.sync(() => this.core.loadFts5()))
    this.#hasFts5 = true
  }

  perform(permitId: number, work: Work<P>, timeoutMs: number): MaybePromise<WorkResult<R>> {
    switch (work[0]) {
      case 'statement': {
        const [, kind, sql, params] = work
        const result = this.execute(permitId, kind, sql, params, timeoutMs)
        return { results: [result], wrote: this.wrote }
      }
      case 'batch':
        return this.#batch(permitId, work[1], timeoutMs)
      case 'script':
        return andThen(this.#script(permitId, work[1], timeoutMs), (wrote) => ({ results: [], wrote }))
      case 'live':
        return this.#live(permitId, work[1], work[2], timeoutMs)
      case 'explain':
        return { results: [], value: this.#about(work[1], (core) => core.explain(permitId, work[1])) }
    }
  }

  /** Reads the difference of a live query to its last result, or runs it. */
  #live(permitId: number, query: LiveRead, params: P, timeoutMs: number): WorkResult<R> {
    const { id, reads, rows, mode, window: { offset = 0, limit } = {} } = query
    const value = this.sync(() => this.core.difference(permitId, id, reads, rows, offset, limit, timeoutMs))
    if (value !== undefined) return { results: [this.#statements.rows(mode)], value }
    return {
      results: liveStatements(query).map((sql) => this.execute(permitId, op.query, sql, params, timeoutMs, mode)),
    }
  }

  /** Runs several statements in one transaction or savepoint under the same permit. */
  #batch(permitId: number, statements: readonly StatementOf<P>[], timeoutMs: number): WorkResult<R> {
    const deadline = deadlineIn(timeoutMs)
    const depth = this.begin(permitId, false)
    try {
      const results = eachStatement(statements, ({ sql, params }) =>
        this.execute(permitId, op.query, sql, params as P, untilDeadline(deadline)),
      )
      return { results, wrote: this.commit(permitId, depth) }
    } catch (error) {
      this.rollback(permitId, depth)
      throw error
    }
  }

  acquire(options: LimitedOptions | undefined): MaybePromise<Permit> {
    this.checkMayAcquire()
    options?.signal?.throwIfAborted()
    const permitId = this.core.tryAcquire()
    return permitId === 0 ? this.#queue(options) : { permitId, timeoutMs: options?.timeoutMs ?? 0 }
  }

  async #queue(options: LimitedOptions | undefined): Promise<Permit> {
    const permitId = this.core.queue()
    const started = performance.now()
    try {
      await this.fromCore(this.core.waitForPermit(permitId), options)
    } catch (error) {
      this.release(permitId)
      throw error
    }
    const timeoutMs = options?.timeoutMs ?? 0
    return {
      permitId,
      timeoutMs: timeoutMs === 0 ? 0 : Math.max(1, Math.ceil(timeoutMs - (performance.now() - started))),
    }
  }

  release(permitId: number): void {
    try {
      this.coreIfOpen?.release(permitId)
    } catch (error) {
      this.failure(error)
    }
  }

  holds(): boolean {
    return this.coreIfOpen !== undefined
  }

  begin(permitId: number, immediate: boolean): number {
    return this.sync(() => this.core.begin(permitId, immediate))
  }

  commit(permitId: number, depth: number): boolean {
    return this.sync(() => this.core.commit(permitId, depth))
  }

  rollback(permitId: number, depth: number): void {
    try {
      this.coreIfOpen?.rollback(permitId, depth)
    } catch (error) {
      this.failure(error)
    }
  }

  /** Runs a script; returns whether it wrote. */
  #script(permitId: number, script: string, timeoutMs: number): MaybePromise<boolean> {
    const run = () => {
      if (this.coreIfOpen === undefined) throw this.closedError()
      return this.sync(() => this.#statements.executor.script(permitId, script, timeoutMs))
    }
    // Before the script runs: one with its own COMMIT could not be run again.
    if (this.#hasFts5 || !/fts5/i.test(script)) return run()
    return until(this.#loadFts5(), timeoutMs === 0 ? {} : { timeoutMs }).then(run)
  }

  watch(sql: string, params: P): MaybePromise<number> {
    // The statement that calls the function is over then.
    if (this.#inFunction) return Promise.resolve().then(() => this.watch(sql, params))
    return this.#about(sql, () => this.#statements.watch(sql, params))
  }

  /** Makes a call about a statement. */
  #about<T>(sql: string, work: (core: Core) => T): T {
    return this.sync(() => {
      try {
        return work(this.core)
      } catch (error) {
        throw withStatement(error, sql)
      }
    })
  }

  unwatch(id: number): void {
    if (!this.closed) this.sync(() => this.core.unwatch(id))
  }

  subscribe(type: string): void {
    if (type === 'change' && !this.closed) this.sync(() => this.core.emitChanges())
  }

  /** Resolves when everything committed so far is stored. */
  stored(): Promise<void> | undefined {
    const stored = this.sync(() => this.core.stored())
    return stored === undefined ? undefined : this.guard(stored)
  }
}

/** Returns the match in an error's message when a statement failed because FTS5 is missing; otherwise null. */
export function missing(error: unknown): RegExpMatchArray | null {
  return error instanceof TidelockError ? error.message.match(/no such module: fts5/) : null
}
