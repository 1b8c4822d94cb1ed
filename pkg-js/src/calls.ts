import { runBatch } from './batch.js'
import { Views } from './codec/memory.js'
import { Packer } from './codec/pack.js'
import { Results } from './codec/rows.js'
import { type CallsOptions, Connection, copyParams, type Soon, type Turn } from './connection.js'
import { type Core, type Op, op, type PlanRow } from './core.js'
import { invalid, TidelockError } from './errors.js'
import { SqlFragment } from './sql.js'
import type { CallOptions, RunResult, SqlParams, Statement } from './values.js'

/**
 * The common path of every call into one wasm instance: take the turn, execute, decode, wait until it is stored.
 * A call that finds the turn free executes before it returns its promise, so concurrent calls run in their order.
 */
export class Calls extends Connection {
  readonly #packer: Packer
  readonly #results: Results
  /** Whether the last {@link Calls.execute} wrote, outside of a transaction. */
  protected wrote = false

  constructor(core: Core, memory: WebAssembly.Memory, options: CallsOptions) {
    super(core, options)
    const views = new Views(memory)
    this.#packer = new Packer(views, (bytes) => core.reserve(bytes))
    this.#results = new Results(views, core)
  }

  /** One statement on a turn of its own: the whole path. */
  async statement(
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    options?: CallOptions,
    arrays = false,
  ): Promise<unknown> {
    this.check()
    options?.signal?.throwIfAborted()
    let ticket = this.core.enter()
    let timeoutMs = options?.timeoutMs ?? 0
    if (ticket === 0) {
      // The caller may change its objects while this waits.
      params = copyParams(params)
      ;({ ticket, timeoutMs } = await this.#waitForTurn(options))
    }
    let result: unknown
    let wrote: boolean
    try {
      try {
        result = this.execute(ticket, kind, sql, params, timeoutMs, arrays)
      } catch (error) {
        await this.loadWhatLacks(error)
        result = this.execute(ticket, kind, sql, params, timeoutMs, arrays)
      }
      wrote = this.wrote
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
    arrays = false,
  ): unknown {
    if (typeof sql !== 'string') {
      if (!(sql instanceof SqlFragment)) throw invalid('The SQL must be a string or an sql`...` fragment')
      if (params !== undefined) throw invalid('An sql`...` fragment brings its own parameters')
      params = sql.params
      sql = sql.sql
    }
    try {
      if (kind === op.runMany) return this.#runMany(ticket, sql, params, timeoutMs)
      const { bytes, names } = this.#packer.one(params as SqlParams | undefined)
      this.core.execute(ticket, kind, sql, bytes, names, timeoutMs)
      this.wrote = this.#results.wrote()
      if (kind === op.run) return this.#runResult()
      const rows = arrays ? this.#results.arrays() : this.#results.objects()
      return kind === op.get ? rows[0] : rows
    } catch (error) {
      throw this.failure(error)
    }
  }

  #runResult(): RunResult {
    const rowid = this.#results.lastInsertRowid()
    const small = Number(rowid)
    // Nothing may be rounded, and the row is written: so with `integers: 'number'` too, one beyond 2^53-1 comes as a bigint.
    const exact = this.options.integers !== 'bigint' && Number.isSafeInteger(small)
    return { changes: this.#results.changes(), lastInsertRowid: exact ? small : rowid }
  }

  #runMany(ticket: number, sql: string, params: unknown, timeoutMs: number): { changes: number } {
    if (!Array.isArray(params)) throw invalid('The rows of runMany must be an array of parameters')
    const core = this.core
    const rows: readonly SqlParams[] = params
    let packed = this.#packer.many(rows, 0)
    if (packed.next === rows.length) {
      core.execute(ticket, op.runMany, sql, packed.bytes, packed.names, timeoutMs)
      this.wrote = this.#results.wrote()
      return { changes: this.#results.changes() }
    }
    const depth = core.begin(ticket, false)
    try {
      let changes = 0
      for (;;) {
        core.execute(ticket, op.runMany, sql, packed.bytes, packed.names, timeoutMs)
        changes += this.#results.changes()
        if (packed.next === rows.length) break
        packed = this.#packer.many(rows, packed.next)
      }
      this.wrote = core.commit(ticket, depth)
      return { changes }
    } catch (error) {
      this.rollback(ticket, depth)
      throw error
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
    return runBatch(this, ticket, statements, timeoutMs)
  }

  script(ticket: number, script: string, timeoutMs: number): Soon<boolean> {
    if (typeof script !== 'string') throw invalid('A script must be a string')
    const run = () => this.sync(() => this.core.script(ticket, script, timeoutMs))
    // Before it runs: one with its own COMMIT could not be run again.
    return /fts5/i.test(script) ? this.loadFts5().then(run) : run()
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

  /** All events are told in this thread. */
  heard(): void {}

  /** Resolves when what was committed up to now is stored as the durability promises. */
  stored(): Promise<void> | undefined {
    const stored = this.sync(() => this.core.stored())
    return stored === undefined ? undefined : this.guard(stored)
  }
}
