import { invalid } from '../../base/errors.js'
import type { SqlParams } from '../../base/values.js'
import { notNow } from '../connection.js'
import { type Core, type Op, op } from '../core.js'
import { copyResult } from './copy.js'
import { Executor } from './executor.js'
import { areasOf } from './memory.js'
import { Packer } from './pack.js'
import { type Mode, Rows } from './rows.js'
import { runResult } from './run-result.js'

/** Runs statements with parameters as P, whose results come as R. What a call throws comes as the wasm module throws it. */
export interface StatementRunner<P, R> {
  readonly executor: Executor
  /** Runs a statement that ran before, in one call into wasm; {@link notNow}: it has to go the long way. */
  now(ticket: number, kind: Op, sql: string, params: P, mode: Mode): R | typeof notNow
  /** Runs a statement with a ticket that holds the turn. */
  run(ticket: number, kind: Op, sql: string, params: P, timeoutMs: number, mode: Mode): R
}

/** Packs parameters into wasm memory, and decodes the rows in it. */
export class Statements implements StatementRunner<unknown, unknown> {
  readonly executor: Executor
  readonly #core: Core
  readonly #packer: Packer
  readonly #integers: 'auto' | 'bigint' | 'number'

  constructor(core: Core, memory: WebAssembly.Memory, integers: 'auto' | 'bigint' | 'number') {
    const executor = new Executor(core, memory)
    this.executor = executor
    this.#core = core
    this.#packer = new Packer(executor.views, (bytes) => executor.reserve(bytes))
    this.#integers = integers
  }

  now(ticket: number, kind: Op, sql: string, params: unknown, mode: Mode): unknown {
    const known = this.executor.known(kind, sql)
    if (known === undefined) return notNow
    const bytes = this.#packer.same(params as SqlParams | undefined, known.keys)
    return bytes >= 0 && this.executor.again(ticket, kind, known, bytes) ? this.#result(kind, mode) : notNow
  }

  run(ticket: number, kind: Op, sql: string, params: unknown, timeoutMs: number, mode: Mode): unknown {
    if (kind === op.runMany) return { changes: this.#runMany(ticket, sql, params, timeoutMs) }
    const result = timeoutMs === 0 ? this.now(ticket, kind, sql, params, mode) : notNow
    if (result !== notNow) return result
    this.executor.execute(ticket, kind, sql, this.#packer.one(params as SqlParams | undefined), timeoutMs)
    return this.#result(kind, mode)
  }

  #result(kind: Op, mode: Mode): unknown {
    const { results, views } = this.executor
    if (mode === 'cursor') {
      const shape = results.shape()
      return new Rows(areasOf(copyResult(views, this.#core.header())), 0, shape)
    }
    if (kind === op.run) return runResult(results, this.#integers)
    return kind === op.get ? results.first() : results.rows(mode)
  }

  /** As many areas as the rows need, one after the other: so that each is still in the processor's cache when it is read. */
  #runMany(ticket: number, sql: string, params: unknown, timeoutMs: number): number {
    if (!Array.isArray(params)) throw invalid('The rows of runMany must be an array of parameters')
    const { executor } = this
    const rows: readonly SqlParams[] = params
    let packed = this.#packer.many(rows, 0)
    if (packed.next === rows.length) {
      executor.execute(ticket, op.runMany, sql, packed, timeoutMs)
      return executor.results.changes()
    }
    let isFirst = true
    const next = () => {
      if (!isFirst) packed = this.#packer.many(rows, packed.next)
      isFirst = false
      return { area: packed, isLast: packed.next === rows.length }
    }
    return executor.many(ticket, sql, next, timeoutMs)
  }
}
