import { notNow } from '../connection.js'
import { type Core, type Op, op, told } from '../core.js'
import { invalid } from '../errors.js'
import type { RowMode, SqlParams } from '../values.js'
import { copyResult } from './copy.js'
import { areasOf, Views } from './memory.js'
import { Packer } from './pack.js'
import { Results, Rows } from './rows.js'
import { runResult } from './run-result.js'

/** As many as the wasm module keeps compiled; the remainder of a number is the place where its statement is kept. */
const places = 128

// The parameter area is at least as large as this, and kept up to that: the wasm module gives back what is larger.
const smallestArea = (1 << 16) - 8
const largestArea = 1 << 24

const encoder = new TextEncoder()

/** A statement that the wasm module knows by a number. */
interface Known {
  readonly sql: string
  readonly id: number
  /** The keys of its last parameters; none: they were by position. */
  readonly keys: readonly string[]
}

/** Runs statements in one wasm instance: parameters in, rows out. What a call throws comes as the wasm module throws it. */
export class Statements {
  readonly #core: Core
  readonly #views: Views
  readonly #packer: Packer
  readonly #results: Results
  readonly #integers: 'auto' | 'bigint' | 'number'
  readonly #known = new Map<string, Known>()
  readonly #places: (Known | undefined)[] = new Array(places)
  /** The parameter area, and how much of it may be used without asking. */
  #area = 0
  #room = 0
  /** Whether the last statement wrote, outside of a transaction. */
  wrote = false

  constructor(core: Core, memory: WebAssembly.Memory, integers: 'auto' | 'bigint' | 'number') {
    this.#core = core
    this.#views = new Views(memory)
    this.#packer = new Packer(this.#views, (bytes) => this.reserve(bytes))
    this.#results = new Results(this.#views, core)
    this.#integers = integers
  }

  /**
   * Runs a statement that ran before, in one call into wasm and without its text. With ticket 0 the turn is taken and given back.
   * {@link notNow}: somebody else has the turn, the statement isn't known, or its parameters had other names.
   */
  now(ticket: number, kind: Op, sql: string, params: unknown, mode: RowMode): unknown {
    const known = this.#known.get(sql)
    if (known === undefined || kind === op.runMany) return notNow
    const bytes = this.#packer.same(params as SqlParams | undefined, known.keys)
    if (bytes < 0) return notNow
    switch (this.#core.again(ticket, kind, known.id, bytes)) {
      case told.done:
        return this.#result(kind, mode)
      case told.failed:
        throw this.#core.failure()
      default:
        return notNow
    }
  }

  /** Runs a statement with a ticket that holds the turn. */
  run(ticket: number, kind: Op, sql: string, params: unknown, timeoutMs: number, mode: RowMode): unknown {
    if (kind === op.runMany) return this.#runMany(ticket, sql, params, timeoutMs)
    const result = timeoutMs === 0 ? this.now(ticket, kind, sql, params, mode) : notNow
    if (result !== notNow) return result
    this.#execute(ticket, kind, sql, params, timeoutMs)
    return this.#result(kind, mode)
  }

  /** Runs a query; its rows are in a buffer of their own. */
  cursor(ticket: number, sql: string, params: unknown, timeoutMs: number): Rows {
    this.#execute(ticket, op.query, sql, params, timeoutMs)
    this.wrote = this.#results.wrote()
    const shape = this.#results.shape()
    return new Rows(areasOf(copyResult(this.#views, this.#core.header())), 0, shape)
  }

  /** Runs a script; gives whether it wrote. Its text goes through the parameter area: long ones are copied faster so than as an argument. */
  script(ticket: number, script: string, timeoutMs: number): boolean {
    const text = encoder.encode(script)
    const address = this.reserve(text.length)
    this.#views.refresh().bytes.set(text, address)
    return this.#core.script(ticket, text.length, timeoutMs)
  }

  #execute(ticket: number, kind: Op, sql: string, params: unknown, timeoutMs: number): void {
    const { bytes, names, keys } = this.#packer.one(params as SqlParams | undefined)
    // Should it fail, it isn't known which names the module remembers.
    this.#known.delete(sql)
    this.#core.execute(ticket, kind, sql, bytes, names, timeoutMs)
    const id = this.#results.statement()
    if (id !== 0) this.#remember({ sql, id, keys })
  }

  #remember(known: Known): void {
    const place = known.id % places
    const before = this.#places[place]
    // What was kept in this place is no longer.
    if (before !== undefined && this.#known.get(before.sql) === before) this.#known.delete(before.sql)
    this.#places[place] = known
    this.#known.set(known.sql, known)
  }

  #result(kind: Op, mode: RowMode): unknown {
    this.wrote = this.#results.wrote()
    if (kind === op.run) return runResult(this.#results, this.#integers)
    return kind === op.get ? this.#results.first() : this.#results.rows(mode)
  }

  /** As many areas as the rows need, one after the other: so that each is still in the processor's cache when it is read. */
  #runMany(ticket: number, sql: string, params: unknown, timeoutMs: number): { changes: number } {
    if (!Array.isArray(params)) throw invalid('The rows of runMany must be an array of parameters')
    const core = this.#core
    const rows: readonly SqlParams[] = params
    let packed = this.#packer.many(rows, 0)
    this.#known.delete(sql)
    if (packed.next === rows.length) {
      core.execute(ticket, op.runMany, sql, packed.bytes, packed.names, timeoutMs)
      this.wrote = this.#results.wrote()
      return { changes: this.#results.changes() }
    }
    const end = timeoutMs === 0 ? 0 : performance.now() + timeoutMs
    const depth = core.begin(ticket, false)
    try {
      let changes = 0
      for (let last = false; !last; ) {
        last = packed.next === rows.length
        const left = end === 0 ? 0 : Math.max(1, Math.ceil(end - performance.now()))
        core.execute(ticket, last ? op.runMany : op.runPart, sql, packed.bytes, packed.names, left)
        changes += this.#results.changes()
        if (!last) packed = this.#packer.many(rows, packed.next)
      }
      this.wrote = core.commit(ticket, depth)
      return { changes }
    } catch (error) {
      try {
        core.rollback(ticket, depth)
      } catch {
        // What came first says more.
      }
      throw error
    }
  }

  /** The address of the parameter area, of at least that many bytes. Nobody else may ask the module for it: it could move. */
  reserve(bytes: number): number {
    if (bytes > this.#room) {
      const room = Math.max(bytes, smallestArea)
      this.#area = this.#core.reserve(room)
      this.#room = room <= largestArea ? room : 0
    }
    return this.#area
  }
}
