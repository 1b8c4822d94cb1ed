import { copyResult } from '../engine/codec/copy.js'
import { Executor } from '../engine/codec/executor.js'
import type { StatementRunner } from '../engine/codec/statements.js'
import { notNow } from '../engine/connection.js'
import type { Core, Op } from '../engine/core.js'
import type { Area, Result } from './protocol.js'

/** The keys only matter where parameters are packed. */
const noKeys: readonly string[] = []

/** Statements for another thread: parameters come packed, and results leave as they are, to be decoded there. */
export class PackedStatements implements StatementRunner<readonly Area[], Result> {
  readonly executor: Executor
  readonly #header: number

  constructor(core: Core, memory: WebAssembly.Memory) {
    this.executor = new Executor(core, memory)
    this.#header = core.header()
  }

  now(ticket: number, kind: Op, sql: string, areas: readonly Area[]): Result | typeof notNow {
    const [area] = areas
    const known = areas.length > 1 ? undefined : this.executor.known(kind, sql)
    if (known?.names !== (area?.names ?? '')) return notNow
    this.#put(area)
    return this.executor.again(ticket, kind, known, area?.bytes ?? 0) ? this.#result() : notNow
  }

  run(ticket: number, kind: Op, sql: string, areas: readonly Area[], timeoutMs: number): Result {
    const result = timeoutMs === 0 ? this.now(ticket, kind, sql, areas) : notNow
    if (result !== notNow) return result
    if (areas.length <= 1) {
      this.executor.execute(ticket, kind, sql, this.#put(areas[0]), timeoutMs)
      return this.#result()
    }
    let at = 0
    const next = () => ({ area: this.#put(areas[at]), isLast: ++at === areas.length })
    const changes = this.executor.many(ticket, sql, next, timeoutMs)
    return { ...this.#result(), changes }
  }

  #put(area: Area | undefined) {
    if (area === undefined) return { bytes: 0, names: '', keys: noKeys }
    this.executor.put(new Uint8Array(area.buffer, 0, area.bytes))
    return { bytes: area.bytes, names: area.names, keys: noKeys }
  }

  #result(): Result {
    const { results, views } = this.executor
    const shape = results.shapeId()
    const texts = results.decodedTexts()
    const buffer = copyResult(views, this.#header, texts === undefined)
    return texts === undefined ? { buffer, shape } : { buffer, shape, texts }
  }
}
