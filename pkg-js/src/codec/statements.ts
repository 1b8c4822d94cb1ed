import { type Core, type Op, op, told } from '../core.js'
import { invalid } from '../errors.js'
import type { RowMode, RunResult, SqlParams } from '../values.js'
import { Views } from './memory.js'
import { Packer } from './pack.js'
import {
  changes,
  copyResult,
  lastInsertRowid,
  Rows,
  rowCount,
  type Shape,
  shapeId,
  shapeOf,
  statementId,
  wrote,
} from './rows.js'

/** What {@link Statements.now} gives when the statement has to go the long way. */
export const notNow = Symbol('not now')

/** As many as the wasm module keeps compiled; a number's remainder is the place where it is kept. */
const places = 128

/** A statement that the wasm module knows by a number. */
interface Known {
  readonly sql: string
  readonly id: number
  /** The names of its last parameters, and the keys that gave them. */
  readonly names: string
  readonly keys: readonly string[]
}

/** Runs statements in one wasm instance: parameters in, rows out. What a call throws comes as the wasm module throws it. */
export class Statements {
  readonly #core: Core
  readonly #views: Views
  readonly #packer: Packer
  readonly #header: number
  readonly #integers: 'auto' | 'bigint' | 'number'
  readonly #shapes = new Map<number, Shape>()
  readonly #known = new Map<string, Known>()
  readonly #places: (Known | undefined)[] = new Array(places)
  /** Whether the last statement wrote, outside of a transaction. */
  wrote = false

  constructor(core: Core, memory: WebAssembly.Memory, integers: 'auto' | 'bigint' | 'number') {
    this.#core = core
    this.#views = new Views(memory)
    this.#packer = new Packer(this.#views, (bytes) => core.reserve(bytes))
    this.#header = core.header()
    this.#integers = integers
  }

  /**
   * Runs a statement that ran before, in one call into wasm and without its text. With ticket 0 the turn is taken and given back.
   * {@link notNow}: somebody else has the turn, the statement isn't known, or the parameters have other names than before.
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
    if (timeoutMs === 0) {
      const result = this.now(ticket, kind, sql, params, mode)
      if (result !== notNow) return result
    }
    this.#execute(ticket, kind, sql, params, timeoutMs)
    return this.#result(kind, mode)
  }

  /** Runs a query; its rows in a buffer of their own (see {@link copyResult}), and their shape. */
  copy(ticket: number, sql: string, params: unknown, timeoutMs: number): readonly [ArrayBuffer, Shape] {
    this.#execute(ticket, op.query, sql, params, timeoutMs)
    const shape = this.#shape()
    return [copyResult(this.#views.now(), this.#header), shape]
  }

  #execute(ticket: number, kind: Op, sql: string, params: unknown, timeoutMs: number): void {
    const { bytes, names, keys } = this.#packer.one(params as SqlParams | undefined)
    // Should it fail, it isn't known which names the module remembers.
    this.#known.delete(sql)
    this.#core.execute(ticket, kind, sql, bytes, names, timeoutMs)
    const areas = this.#views.now()
    this.wrote = wrote(areas, this.#header)
    const id = statementId(areas, this.#header)
    if (id !== 0) this.#remember({ sql, id, names, keys })
  }

  #remember(known: Known): void {
    const place = known.id % places
    const before = this.#places[place]
    // Of what was in its place nothing is left.
    if (before !== undefined && before.sql !== known.sql && this.#known.get(before.sql) === before)
      this.#known.delete(before.sql)
    this.#places[place] = known
    this.#known.set(known.sql, known)
  }

  #result(kind: Op, mode: RowMode): unknown {
    const header = this.#header
    let areas = this.#views.now()
    this.wrote = wrote(areas, header)
    if (kind === op.run) return this.#runResult()
    if (rowCount(areas, header) === 0 && mode !== 'columns') return kind === op.get ? undefined : []
    const shape = this.#shape()
    areas = this.#views.now()
    const rows = new Rows(areas, header, shape)
    return kind === op.get ? rows.objects(1)[0] : rows.all(mode)
  }

  /** The shape of the last result. May call into wasm. */
  #shape(): Shape {
    const id = shapeId(this.#views.now(), this.#header)
    let shape = this.#shapes.get(id)
    if (shape === undefined) {
      shape = shapeOf(this.#core.columns(id))
      this.#shapes.set(id, shape)
    }
    return shape
  }

  #runResult(): RunResult {
    const areas = this.#views.now()
    const rowid = lastInsertRowid(areas, this.#header)
    const small = Number(rowid)
    // Nothing may be rounded, and the row is written: so with `integers: 'number'` too, one beyond 2^53-1 comes as a bigint.
    const exact = this.#integers !== 'bigint' && Number.isSafeInteger(small)
    return { changes: changes(areas, this.#header), lastInsertRowid: exact ? small : rowid }
  }

  #runMany(ticket: number, sql: string, params: unknown, timeoutMs: number): { changes: number } {
    if (!Array.isArray(params)) throw invalid('The rows of runMany must be an array of parameters')
    const core = this.#core
    const rows: readonly SqlParams[] = params
    let packed = this.#packer.many(rows, 0)
    this.#known.delete(sql)
    if (packed.next === rows.length) {
      core.execute(ticket, op.runMany, sql, packed.bytes, packed.names, timeoutMs)
      this.wrote = wrote(this.#views.now(), this.#header)
      return { changes: changes(this.#views.now(), this.#header) }
    }
    const depth = core.begin(ticket, false)
    try {
      let sum = 0
      for (;;) {
        core.execute(ticket, op.runMany, sql, packed.bytes, packed.names, timeoutMs)
        sum += changes(this.#views.now(), this.#header)
        if (packed.next === rows.length) break
        packed = this.#packer.many(rows, packed.next)
      }
      this.wrote = core.commit(ticket, depth)
      return { changes: sum }
    } catch (error) {
      core.rollback(ticket, depth)
      throw error
    }
  }
}
