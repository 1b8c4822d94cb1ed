import { type Core, type Op, op, told } from '../core.js'
import { Views } from './memory.js'
import type { Packed } from './pack.js'
import { Results } from './rows.js'

/** As many as the wasm module keeps compiled; the remainder of a number is the place where its statement is kept. */
const places = 128

// The parameter area is at least as large as this, and kept up to that: the wasm module gives back what is larger.
const smallestArea = (1 << 16) - 8
const largestArea = 1 << 24

const encoder = new TextEncoder()

/** The parameters in the area. */
export type InArea = Pick<Packed, 'bytes' | 'names' | 'keys'>

/** A statement that the wasm module knows by a number, and the names of its last parameters. */
export interface Known extends Pick<Packed, 'names' | 'keys'> {
  readonly sql: string
  readonly id: number
}

/**
 * Executes statements in one wasm instance, over parameters that lie in its area. What ran before goes by its number. What a call throws
 * comes as the wasm module throws it.
 */
export class Executor {
  readonly views: Views
  readonly results: Results
  readonly #core: Core
  readonly #known = new Map<string, Known>()
  readonly #places: (Known | undefined)[] = new Array(places)
  /** The parameter area, and how much of it may be used without asking. */
  #area = 0
  #room = 0
  /** Whether the last statement wrote, outside of a transaction. */
  wrote = false

  constructor(core: Core, memory: WebAssembly.Memory) {
    this.#core = core
    this.views = new Views(memory)
    this.results = new Results(this.views, core)
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

  /** Puts parameters into the area that were packed elsewhere. */
  put(bytes: Uint8Array): void {
    const address = this.reserve(bytes.length)
    this.views.refresh().bytes.set(bytes, address)
  }

  /** What is known of a statement that can be run by its number. */
  known(kind: Op, sql: string): Known | undefined {
    return kind === op.runMany || kind === op.runPart ? undefined : this.#known.get(sql)
  }

  /**
   * Runs a statement by its number, with parameters of the same names; false when somebody else has the turn, or it isn't known any more. With
   * ticket 0 the turn is taken and given back.
   */
  again(ticket: number, kind: Op, { id }: Known, bytes: number): boolean {
    switch (this.#core.again(ticket, kind, id, bytes)) {
      case told.done:
        this.wrote = this.results.wrote()
        return true
      case told.failed:
        throw this.#core.failure()
      default:
        return false
    }
  }

  /** Runs a statement by its text. */
  execute(ticket: number, kind: Op, sql: string, { bytes, names, keys }: InArea, timeoutMs: number): void {
    // Should it fail, it isn't known which names the module remembers.
    this.#known.delete(sql)
    this.#core.execute(ticket, kind, sql, bytes, names, timeoutMs)
    this.wrote = this.results.wrote()
    const id = this.results.statement()
    if (id !== 0) this.#remember({ sql, id, names, keys })
  }

  /** Runs one statement for the rows of several areas, in a transaction or savepoint; `next` puts one after the other into the area. */
  many(
    ticket: number,
    sql: string,
    next: () => { readonly area: InArea; readonly isLast: boolean },
    timeoutMs: number,
  ): number {
    const end = timeoutMs === 0 ? 0 : performance.now() + timeoutMs
    const depth = this.#core.begin(ticket, false)
    try {
      let changes = 0
      for (let last = false; !last; ) {
        const { area, isLast } = next()
        last = isLast
        const left = end === 0 ? 0 : Math.max(1, Math.ceil(end - performance.now()))
        this.execute(ticket, last ? op.runMany : op.runPart, sql, area, left)
        changes += this.results.changes()
      }
      this.wrote = this.#core.commit(ticket, depth)
      return changes
    } catch (error) {
      try {
        this.#core.rollback(ticket, depth)
      } catch {
        // What came first says more.
      }
      throw error
    }
  }

  /** Runs a script; gives whether it wrote. Its text goes through the parameter area: long ones are copied faster so than as an argument. */
  script(ticket: number, script: string, timeoutMs: number): boolean {
    const text = encoder.encode(script)
    this.put(text)
    return this.#core.script(ticket, text.length, timeoutMs)
  }

  #remember(known: Known): void {
    const place = known.id % places
    const before = this.#places[place]
    // What was kept in this place is no longer.
    if (before !== undefined && this.#known.get(before.sql) === before) this.#known.delete(before.sql)
    this.#places[place] = known
    this.#known.set(known.sql, known)
  }
}
