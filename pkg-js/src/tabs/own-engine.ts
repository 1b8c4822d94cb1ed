import type { LifecycleEvent } from '../rpc/page-lifecycle.js'
import type { OpenRequest } from '../rpc/protocol.js'
import type { Engine } from './engine.js'
import type { Leader } from './leader.js'
import { EngineLost, type IdSequence, ServingEngine } from './serving-engine.js'

/** How long a leader that closes waits for the transactions of other tabs. */
const closeWithinMs = 1000

/** The engine of a tab that leads, from its start to its end, and what serves this tab and the others with it. */
export class OwnEngine {
  readonly leader: Leader
  readonly serving: ServingEngine
  readonly #engine: Engine
  readonly #opening = new AbortController()
  #closing: Promise<void> | undefined

  constructor(engine: Engine, leader: Leader, ids: IdSequence) {
    this.#engine = engine
    this.leader = leader
    this.serving = new ServingEngine(engine.channel, ids, { recordsWrites: engine.mayDie, isOwn: true })
  }

  /** Opens the database. Rejects with {@link EngineLost} after {@link end}. */
  open(request: OpenRequest): Promise<void> {
    return this.#engine.channel.ask('open', [request], { signal: this.#opening.signal })
  }

  /** Passes an event of the page on to an engine in a worker, which doesn't see it. */
  onPageEvent(event: LifecycleEvent): void {
    if (this.#engine.mayDie) this.#engine.channel.notify('page', [event])
  }

  /** Closes the engine after its running calls and their storing; followers send no new ones. Rejects with {@link EngineLost} after `end`. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.serving.isLeaving = true
    this.leader.leave()
    // Transactions that are still open then are rolled back, so that the closing always ends.
    const timer = setTimeout(() => this.leader.endSessions(), closeWithinMs)
    try {
      await this.#engine.channel.ask('close', [])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Ends the engine at once. Resolves when its locks are released. */
  end(): Promise<void> {
    this.#opening.abort()
    this.leader.end()
    this.serving.end()
    return this.#engine.end(new EngineLost())
  }
}
