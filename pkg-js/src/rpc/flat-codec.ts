import { invalid } from '../base/errors.js'
import { fragmentParts, type SqlFragment } from '../base/sql.js'
import type { SqlParams } from '../base/values.js'
import { DetachedMemory, reused } from '../engine/codec/detached-memory.js'
import { Packer } from '../engine/codec/pack.js'
import { type ResultMode, Results } from '../engine/codec/results.js'
import { runResult } from '../engine/codec/run-result.js'
import { unreadable } from '../engine/codec/statements.js'
import { type Op, op } from '../engine/core.js'
import type { PackedResult, ParameterBuffer } from './protocol.js'
import { decodeInSlices } from './slices.js'

/** A statement on its way to another thread. */
export interface PackedStatement {
  readonly text: string
  readonly areas: readonly ParameterBuffer[]
  /** The buffers that are large enough to be transferred rather than copied. */
  readonly transfer: readonly ArrayBuffer[]
}

/** Packs parameters and decodes results as for an engine in this thread, in buffers that are exchanged with another thread. */
export class FlatCodec {
  readonly #integers: 'auto' | 'bigint' | 'number'
  readonly #out = new DetachedMemory()
  readonly #packer = new Packer(this.#out, (bytes) => this.#out.reserve(bytes))
  readonly #in = new DetachedMemory()
  /** The column names of the shapes received so far. */
  readonly #names = new Map<number, readonly string[]>()
  readonly #results = new Results(this.#in, {
    header: () => 0,
    columns: (shape) => [...(this.#names.get(shape) ?? [])],
  })

  /** Settles when all results that are being decoded in slices are done. */
  #slicing: Promise<void> | undefined

  constructor(integers: 'auto' | 'bigint' | 'number') {
    this.#integers = integers
  }

  /** Packs the parameters of a statement. Throws `invalid_argument` naming the parameter. */
  pack(kind: Op, sql: string | SqlFragment, params: unknown): PackedStatement {
    try {
      return this.#pack(kind, sql, params)
    } catch (error) {
      throw unreadable(error)
    }
  }

  #pack(kind: Op, sql: string | SqlFragment, params: unknown): PackedStatement {
    if (typeof sql !== 'string') [sql, params] = fragmentParts(sql, params)
    const areas: ParameterBuffer[] = []
    const add = (bytes: number, names: string) => areas.push({ buffer: this.#out.take(bytes), bytes, names })
    if (kind === op.runMany) {
      if (!Array.isArray(params)) throw invalid('The rows of runMany must be an array of parameters')
      for (let from = 0; ; ) {
        const { bytes, names, next } = this.#packer.many(params as readonly SqlParams[], from)
        add(bytes, names)
        if (next === params.length) break
        from = next
      }
    } else {
      const { bytes, names } = this.#packer.one(params as SqlParams | undefined)
      if (bytes > 0) add(bytes, names)
    }
    return { text: sql, areas, transfer: areas.map((area) => area.buffer).filter(worthMoving) }
  }

  /** Packs as many rows as fit one area; `next` is the index of the first that doesn't fit. Throws as {@link FlatCodec.pack} does. */
  packSome(rows: readonly SqlParams[], from: number): { readonly area: ParameterBuffer; readonly next: number } {
    const { bytes, names, next } = this.#packer.many(rows, from)
    return { area: { buffer: this.#out.take(bytes), bytes, names }, next }
  }

  /**
   * Decodes a result; one of many rows in slices, as a promise. All results must be decoded in their order, because the first of each shape
   * carries the column names.
   */
  decode(kind: Op, result: PackedResult, mode: ResultMode): unknown {
    const decoded = this.#decode(kind, result, mode)
    const before = this.#slicing
    if (before === undefined && !(decoded instanceof Promise)) return decoded
    // Calls settle in their order, so later results wait for a large one.
    const settled = Promise.all([decoded, before]).then(([value]) => value)
    const done = () => {
      if (this.#slicing === slicing) this.#slicing = undefined
    }
    const slicing: Promise<void> = settled.then(done, done)
    this.#slicing = slicing
    return settled
  }

  #decode(kind: Op, result: PackedResult, mode: ResultMode): unknown {
    const { changes } = result
    if (mode === 'cursor') this.#in.buffer = result.buffer
    else this.#in.read(result.buffer)
    this.#learn(result)
    if (mode === 'cursor') return this.#results.cursor()
    if (kind === op.runMany) return { changes: changes ?? this.#results.changes() }
    if (kind === op.run) return runResult(this.#results, this.#integers)
    if (kind === op.get) return this.#results.first()
    return worthMoving(result.buffer) ? decodeInSlices(this.#results.cursor(), mode) : this.#results.rows(mode)
  }

  #learn({ shape, columns, texts }: PackedResult): void {
    this.#results.texts = texts
    if (columns !== undefined) this.#names.set(shape, columns)
  }
}

/** Whether transferring a buffer is faster than copying it. */
export function worthMoving(buffer: ArrayBuffer): boolean {
  return buffer.byteLength > reused
}
