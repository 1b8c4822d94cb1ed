import { invalid, isCoreError, isTrap, TidelockError } from '../../base/errors.js'
import type { SqlParams } from '../../base/values.js'
import { noFastPath } from '../connection.js'
import { type Core, type Op, op } from '../core.js'
import { copyResult } from './copy.js'
import { Executor } from './executor.js'
import { viewsOf } from './memory.js'
import { type Packed, Packer } from './pack.js'
import { ResultRows } from './result-rows.js'
import type { ResultMode } from './results.js'
import { runResult } from './run-result.js'

/** Runs statements with parameters as P and results as R. Throws what the wasm module throws, unconverted but for `withStatement`. */
export interface StatementRunner<P, R> {
  readonly executor: Executor
  /** Runs a statement that the engine keeps compiled, in one call into wasm; {@link noFastPath}: it has to be run by its text. */
  tryFastPath(permitId: number, kind: Op, sql: string, params: P, mode: ResultMode): R | typeof noFastPath
  /** Runs a statement under a permit. */
  run(permitId: number, kind: Op, sql: string, params: P, timeoutMs: number, mode: ResultMode): R
  /** The rows of the result in memory. */
  rows(mode: ResultMode): R
  /** Registers a live query; returns its id. */
  watch(sql: string, params: P): number
}

/** Packs parameters into wasm memory and decodes the rows in it. */
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

  tryFastPath(permitId: number, kind: Op, sql: string, params: unknown, mode: ResultMode): unknown {
    const known = this.executor.known(kind, sql)
    if (known === undefined) return noFastPath
    let bytes: number
    try {
      bytes = this.#packer.same(params as SqlParams | undefined, known.keys)
    } catch (error) {
      throw unreadable(error)
    }
    return bytes >= 0 && this.executor.runKnown(permitId, kind, known, bytes) ? this.#result(kind, mode) : noFastPath
  }

  run(permitId: number, kind: Op, sql: string, params: unknown, timeoutMs: number, mode: ResultMode): unknown {
    if (kind === op.runMany) return { changes: this.#runMany(permitId, sql, params, timeoutMs) }
    const result = timeoutMs === 0 ? this.tryFastPath(permitId, kind, sql, params, mode) : noFastPath
    if (result !== noFastPath) return result
    this.executor.execute(permitId, kind, sql, this.#packed(params), timeoutMs)
    return this.#result(kind, mode)
  }

  rows(mode: ResultMode): unknown {
    return this.#result(op.query, mode)
  }

  watch(sql: string, params: unknown): number {
    const { bytes, names } = this.#packed(params)
    return this.#core.watch(sql, bytes, names)
  }

  #packed(params: unknown): Packed {
    try {
      return this.#packer.one(params as SqlParams | undefined)
    } catch (error) {
      throw unreadable(error)
    }
  }

  #packedRows(rows: readonly SqlParams[], from: number): Packed {
    try {
      return this.#packer.many(rows, from)
    } catch (error) {
      throw unreadable(error)
    }
  }

  #result(kind: Op, mode: ResultMode): unknown {
    const { results, views } = this.executor
    if (mode === 'cursor') {
      const shape = results.shape()
      return new ResultRows(viewsOf(copyResult(views, this.#core.header())), 0, shape)
    }
    if (kind === op.run) return runResult(results, this.#integers)
    return kind === op.get ? results.first() : results.rows(mode)
  }

  /** Fills as many areas as the rows need, one after the other, so that each is still in the processor's cache when it is read. */
  #runMany(permitId: number, sql: string, params: unknown, timeoutMs: number): number {
    if (!Array.isArray(params)) throw invalid('The rows of runMany must be an array of parameters')
    const { executor } = this
    const rows: readonly SqlParams[] = params
    let packed = this.#packedRows(rows, 0)
    if (packed.next === rows.length) {
      executor.execute(permitId, op.runMany, sql, packed, timeoutMs)
      return executor.results.changes()
    }
    let isFirst = true
    const next = () => {
      if (!isFirst) packed = this.#packedRows(rows, packed.next)
      isFirst = false
      return { area: packed, isLast: packed.next === rows.length }
    }
    return executor.many(permitId, sql, next, timeoutMs)
  }
}

/** Returns `invalid_argument` for what a getter or a proxy among the parameters threw; other errors unchanged. */
export function unreadable(error: unknown): unknown {
  const isOwn = error instanceof TidelockError || isCoreError(error) || isTrap(error) || error instanceof RangeError
  return isOwn
    ? error
    : invalid("The parameters can't be read", {
        cause: error,
        hint: 'Pass plain values: cause is what a getter or a proxy threw',
      })
}
