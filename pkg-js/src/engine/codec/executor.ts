import { deadlineIn, untilDeadline } from '../../base/waiting.js'
import { type Core, type Op, op, repeatStatus } from '../core.js'
import { WasmMemory } from './memory.js'
import type { Packed } from './pack.js'
import { Results } from './results.js'
import { withStatement } from './statement-errors.js'

/** How many statements the wasm module keeps compiled; statement number modulo this is its place. */
const places = 128

// Bytes of the parameter area: at least the one, and kept only up to the other, as the wasm module frees a larger one.
const smallestArea = (1 << 16) - 8
const largestArea = 1 << 24

const encoder = new TextEncoder()

/** Parameters that lie in the parameter area. */
export type PackedInMemory = Pick<Packed, 'bytes' | 'names' | 'keys'>

/** A statement that the wasm module keeps compiled under a number, and the names of its last parameters. */
export interface KnownStatement extends Pick<Packed, 'names' | 'keys'> {
  readonly sql: string
  readonly id: number
}

/**
 * Executes statements in one wasm instance, over parameters in its parameter area. A statement that ran before is run by its number. Throws
 * what the wasm module throws, with the statement in the details.
 */
export class Executor {
  readonly views: WasmMemory
  readonly results: Results
  readonly #core: Core
  readonly #known = new Map<string, KnownStatement>()
  readonly #places: (KnownStatement | undefined)[] = new Array(places)
  /** The address of the parameter area, and its bytes. */
  #area = 0
  #room = 0
  /** Whether the last statement wrote, outside of a transaction. */
  wrote = false

  constructor(core: Core, memory: WebAssembly.Memory) {
    this.#core = core
    this.views = new WasmMemory(memory)
    this.results = new Results(this.views, core)
  }

  /** Returns the address of a parameter area of at least that many bytes. Only this class may call `Core.reserve`, which can move the area. */
  reserve(bytes: number): number {
    if (bytes > this.#room) {
      const room = Math.max(bytes, smallestArea)
      this.#area = this.#core.reserve(room)
      this.#room = room <= largestArea ? room : 0
    }
    return this.#area
  }

  /** Copies parameters that were packed elsewhere into the parameter area. */
  put(bytes: Uint8Array): void {
    const address = this.reserve(bytes.length)
    this.views.refresh().bytes.set(bytes, address)
  }

  /** Returns the statement if it can be run by its number. */
  known(kind: Op, sql: string): KnownStatement | undefined {
    return kind === op.runMany || kind === op.runPart ? undefined : this.#known.get(sql)
  }

  /**
   * Runs a statement by its number, with parameters of the same names. Returns false when the mutex is taken, or the statement is no longer
   * kept. With `permitId` 0, the mutex is acquired and released around it.
   */
  runKnown(permitId: number, kind: Op, { id, sql, names }: KnownStatement, bytes: number): boolean {
    switch (this.#core.again(permitId, kind, id, bytes)) {
      case repeatStatus.done:
        this.wrote = this.results.wrote()
        return true
      case repeatStatus.failed:
        throw withStatement(this.#core.failure(), sql, names)
      default:
        return false
    }
  }

  /** Runs a statement by its text. */
  execute(permitId: number, kind: Op, sql: string, { bytes, names, keys }: PackedInMemory, timeoutMs: number): void {
    // When the call throws, the parameter names that the module has kept are uncertain.
    this.#known.delete(sql)
    try {
      this.#core.execute(permitId, kind, sql, bytes, names, timeoutMs)
    } catch (error) {
      throw withStatement(error, sql, names)
    }
    this.wrote = this.results.wrote()
    const id = this.results.statement()
    if (id !== 0) this.#remember({ sql, id, names, keys })
  }

  /** Runs one statement for many rows, in a transaction or savepoint; `next` fills the parameter area with the next rows. */
  many(
    permitId: number,
    sql: string,
    next: () => { readonly area: PackedInMemory; readonly isLast: boolean },
    timeoutMs: number,
  ): number {
    const deadline = deadlineIn(timeoutMs)
    const depth = this.#core.begin(permitId, false)
    try {
      let changes = 0
      for (let last = false; !last; ) {
        const { area, isLast } = next()
        last = isLast
        this.execute(permitId, last ? op.runMany : op.runPart, sql, area, untilDeadline(deadline))
        changes += this.results.changes()
      }
      this.wrote = this.#core.commit(permitId, depth)
      return changes
    } catch (error) {
      try {
        this.#core.rollback(permitId, depth)
      } catch {
        // The first error is the one to report.
      }
      throw error
    }
  }

  /** Runs a script; returns whether it wrote. Its text goes through the parameter area, which copies long texts faster than an argument. */
  script(permitId: number, script: string, timeoutMs: number): boolean {
    const text = encoder.encode(script)
    this.put(text)
    return this.#core.script(permitId, text.length, timeoutMs)
  }

  #remember(known: KnownStatement): void {
    const place = known.id % places
    const before = this.#places[place]
    // The module has dropped the statement that had this place.
    if (before !== undefined && this.#known.get(before.sql) === before) this.#known.delete(before.sql)
    this.#places[place] = known
    this.#known.set(known.sql, known)
  }
}
