import { Calls, missing } from '../calls.js'
import { copyResult } from '../codec/copy.js'
import { Views } from '../codec/memory.js'
import { Results } from '../codec/rows.js'
import type { CallsOptions, Soon } from '../connection.js'
import { told as answers, type Core, type Op, op } from '../core.js'
import type { Area, Result } from './protocol.js'

/** Twice as many as the wasm module keeps compiled: what is forgotten too early is only slower once. */
const maxNumbers = 256

/** Calls for another thread: parameters come packed, and results leave as they are, to be decoded there. */
export class ServedCalls extends Calls {
  readonly #views: Views
  readonly #results: Results
  readonly #header: number
  /** The numbers of the statements that ran, and the names of their last parameters. */
  readonly #numbers = new Map<string, { readonly id: number; readonly names: string }>()

  constructor(core: Core, memory: WebAssembly.Memory, options: CallsOptions) {
    super(core, memory, options)
    this.#views = new Views(memory)
    this.#results = new Results(this.#views, core)
    this.#header = core.header()
  }

  /** `params` are areas, and the answer is a {@link Result}. */
  override execute(ticket: number, kind: Op, sql: string, params: unknown, timeoutMs: number): Result {
    const areas = params as readonly Area[]
    return this.sync(() => {
      if (areas.length <= 1) {
        this.#execute(ticket, kind, sql, areas[0], timeoutMs)
        return this.#result()
      }
      const depth = this.core.begin(ticket, false)
      try {
        let changes = 0
        for (const area of areas) {
          this.#execute(ticket, area === areas.at(-1) ? op.runMany : op.runPart, sql, area, timeoutMs)
          changes += this.#results.changes()
        }
        const result = { ...this.#result(), changes }
        this.wrote = this.core.commit(ticket, depth)
        return result
      } catch (error) {
        this.rollback(ticket, depth)
        throw error
      }
    })
  }

  /** A statement that ran before, on a turn of its own, until it is stored; undefined when it has to go the long way. */
  quick(kind: Op, sql: string, areas: readonly Area[]): Soon<Result> | undefined {
    this.check()
    if (areas.length > 1 || !this.#isKnown(kind, sql, areas[0])) return undefined
    let result: Result
    try {
      this.#put(areas[0])
      if (!this.#executeKnown(0, kind, sql, areas[0])) return undefined
      result = this.#result()
    } catch (error) {
      const failure = this.failure(error)
      if (missing(failure) !== null) return undefined
      throw failure
    }
    const stored = this.wrote ? this.stored() : undefined
    return stored === undefined ? result : stored.then(() => result)
  }

  #execute(ticket: number, kind: Op, sql: string, area: Area | undefined, timeoutMs: number): void {
    this.#put(area)
    if (timeoutMs === 0 && this.#isKnown(kind, sql, area) && this.#executeKnown(ticket, kind, sql, area)) return
    const names = area?.names ?? ''
    // Should it fail, it isn't known which names the module remembers.
    this.#numbers.delete(sql)
    this.core.execute(ticket, kind, sql, area?.bytes ?? 0, names, timeoutMs)
    this.wrote = this.#results.wrote()
    const id = this.#results.statement()
    if (id === 0) return
    if (this.#numbers.size >= maxNumbers) this.#numbers.clear()
    this.#numbers.set(sql, { id, names })
  }

  #put(area: Area | undefined): void {
    if (area === undefined) return
    const address = this.reserve(area.bytes)
    this.#views.refresh().bytes.set(new Uint8Array(area.buffer, 0, area.bytes), address)
  }

  #isKnown(kind: Op, sql: string, area: Area | undefined): boolean {
    return kind !== op.runMany && kind !== op.runPart && this.#numbers.get(sql)?.names === (area?.names ?? '')
  }

  /** Runs it by its number; false when that isn't known any more, or somebody else has the turn. */
  #executeKnown(ticket: number, kind: Op, sql: string, area: Area | undefined): boolean {
    const told = this.core.again(ticket, kind, this.#numbers.get(sql)?.id ?? 0, area?.bytes ?? 0)
    if (told === answers.failed) throw this.core.failure()
    if (told !== answers.done) return false
    this.wrote = this.#results.wrote()
    return true
  }

  /** Whether the last {@link ServedCalls.execute} wrote, outside of a transaction. */
  get hasWritten(): boolean {
    return this.wrote
  }

  #result(): Result {
    const shape = this.#results.shapeId()
    const texts = this.#results.decodedTexts()
    const buffer = copyResult(this.#views, this.#header, texts === undefined)
    return texts === undefined ? { buffer, shape } : { buffer, shape, texts }
  }
}
