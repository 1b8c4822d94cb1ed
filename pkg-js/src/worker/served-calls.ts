import { Calls } from '../calls.js'
import { copyResult } from '../codec/copy.js'
import { Views } from '../codec/memory.js'
import { Results } from '../codec/rows.js'
import type { CallsOptions } from '../connection.js'
import { type Core, type Op, op } from '../core.js'
import type { CallOptions } from '../values.js'
import { breath } from './breath.js'
import type { Area, Result } from './protocol.js'

/** Calls for another thread: parameters come packed, and results leave as they are, to be decoded there. */
export class ServedCalls extends Calls {
  readonly #views: Views
  readonly #results: Results
  readonly #header: number
  /** The shapes whose column names the other thread has. */
  readonly #known = new Set<number>()

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

  #execute(ticket: number, kind: Op, sql: string, area: Area | undefined, timeoutMs: number): void {
    const core = this.core
    if (area !== undefined) {
      const address = core.reserve(area.bytes)
      this.#views.refresh().bytes.set(new Uint8Array(area.buffer, 0, area.bytes), address)
    }
    core.execute(ticket, kind, sql, area?.bytes ?? 0, area?.names ?? '', timeoutMs)
    this.wrote = this.#results.wrote()
  }

  #result(): Result {
    const shape = this.#results.shapeId()
    const known = this.#known.has(shape)
    const columns = known ? undefined : this.core.columns(shape)
    this.#known.add(shape)
    const buffer = copyResult(this.#views, this.#header)
    return columns === undefined ? { buffer, shape } : { buffer, shape, columns }
  }

  /**
   * A statement that its caller may give up: the wish to do so may be in the line of messages already, behind it. So it takes its turn,
   * lets messages in, and looks.
   */
  stoppable(kind: Op, sql: string, areas: readonly Area[], options: CallOptions, signal: AbortSignal): Promise<Result> {
    return this.withTurn({ ...options, signal }, async ({ ticket, timeoutMs }) => {
      await breath()
      signal.throwIfAborted()
      let result: Result
      try {
        result = this.execute(ticket, kind, sql, areas, timeoutMs)
      } catch (error) {
        result = await this.again(error, () => this.execute(ticket, kind, sql, areas, timeoutMs))
      }
      return [result, this.wrote] as const
    })
  }
}
