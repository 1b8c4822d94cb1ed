import { copyResult } from '../engine/codec/copy.js'
import { Executor } from '../engine/codec/executor.js'
import type { StatementRunner } from '../engine/codec/statements.js'
import { noFastPath } from '../engine/connection.js'
import type { Core, Op } from '../engine/core.js'
import type { PackedResult, ParameterBuffer } from './protocol.js'

/** The keys matter only to the thread that packs the parameters. */
const noKeys: readonly string[] = []

/** Runs statements for another thread: parameters come packed, and results leave undecoded. */
export class PackedStatements implements StatementRunner<readonly ParameterBuffer[], PackedResult> {
  readonly executor: Executor
  readonly #core: Core
  readonly #header: number
  /** The column names of each shape, since the engine may be closed before a result is sent. */
  readonly #columns = new Map<number, readonly string[]>()

  constructor(core: Core, memory: WebAssembly.Memory) {
    this.executor = new Executor(core, memory)
    this.#core = core
    this.#header = core.header()
  }

  tryFastPath(
    permitId: number,
    kind: Op,
    sql: string,
    areas: readonly ParameterBuffer[],
  ): PackedResult | typeof noFastPath {
    const [area] = areas
    const known = areas.length > 1 ? undefined : this.executor.known(kind, sql)
    if (known?.names !== (area?.names ?? '')) return noFastPath
    this.#put(area)
    return this.executor.runKnown(permitId, kind, known, area?.bytes ?? 0) ? this.#result() : noFastPath
  }

  run(permitId: number, kind: Op, sql: string, areas: readonly ParameterBuffer[], timeoutMs: number): PackedResult {
    const result = timeoutMs === 0 ? this.tryFastPath(permitId, kind, sql, areas) : noFastPath
    if (result !== noFastPath) return result
    if (areas.length <= 1) {
      this.executor.execute(permitId, kind, sql, this.#put(areas[0]), timeoutMs)
      return this.#result()
    }
    let at = 0
    const next = () => ({ area: this.#put(areas[at]), isLast: ++at === areas.length })
    const changes = this.executor.many(permitId, sql, next, timeoutMs)
    return { ...this.#result(), changes }
  }

  rows(): PackedResult {
    return this.#result()
  }

  watch(sql: string, areas: readonly ParameterBuffer[]): number {
    const { bytes, names } = this.#put(areas[0])
    return this.#core.watch(sql, bytes, names)
  }

  #put(area: ParameterBuffer | undefined) {
    if (area === undefined) return { bytes: 0, names: '', keys: noKeys }
    this.executor.put(new Uint8Array(area.buffer, 0, area.bytes))
    return { bytes: area.bytes, names: area.names, keys: noKeys }
  }

  #result(): PackedResult {
    const { results, views } = this.executor
    const shape = results.shapeId()
    const texts = results.decodedTexts()
    const buffer = copyResult(views, this.#header, texts === undefined)
    const columns = this.#columnsOf(shape)
    return texts === undefined ? { buffer, shape, columns } : { buffer, shape, columns, texts }
  }

  #columnsOf(shape: number): readonly string[] {
    let columns = this.#columns.get(shape)
    if (columns === undefined) {
      columns = this.#core.columns(shape)
      this.#columns.set(shape, columns)
    }
    return columns
  }
}
