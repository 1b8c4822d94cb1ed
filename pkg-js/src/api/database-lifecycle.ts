import type { TidelockError } from '../base/errors.js'
import type { Health } from '../base/generated-types.js'
import { allowManyListeners } from '../base/is-node.js'
import type { Connection } from '../engine/connection.js'
import type { CoreOptions } from '../engine/core-options.js'
import type { DatabaseCloseEvent, DatabaseEvent, RoleEvent } from './events.js'
import { HealthWatch } from './health-watch.js'
import { LiveQueries } from './live-queries.js'
import type { Sync } from './sync.js'

/** What happens to a database object beside its calls: the events of its engine, changes of its role, the loss of its lock, its end. */
export class DatabaseLifecycle {
  readonly live: LiveQueries
  role: RoleEvent['role'] | 'owner' = 'owner'
  /** The error that ended the engine. */
  death: TidelockError | undefined
  readonly #target: EventTarget
  readonly #connection: Connection
  readonly #sync: Sync
  readonly #isAudited: boolean
  /** The event types that ever had a listener. Only these are dispatched: every commit has an event. */
  readonly #listenedTypes = new Set<string>()
  #watch: HealthWatch | undefined
  #actor: string | undefined
  #isLockLost = false
  #isClosing = false
  #closeFired = false

  /** Dispatches events at `target`. Results of live queries may be stored unless the data `hasSecrets`. */
  constructor(
    target: EventTarget,
    connection: Connection,
    sync: Sync,
    options: Pick<CoreOptions, 'name' | 'path' | 'storage' | 'audit'>,
    hasSecrets: () => boolean,
  ) {
    allowManyListeners(target)
    this.#target = target
    this.#connection = connection
    this.#sync = sync
    this.#isAudited = options.audit !== undefined
    this.live = new LiveQueries(options, () => !hasSecrets() && !this.#isLockLost)
  }

  get actor(): string | undefined {
    return this.#actor
  }

  set actor(actor: string | undefined) {
    this.#actor = actor
    this.#sendActor()
  }

  #sendActor(): void {
    if (!this.#isAudited) return
    const actor = this.#actor
    const sending = this.#connection.withPermit(undefined, async () => {
      await this.#connection.core.setActor(actor)
      return [undefined, false] as const
    })
    // It fails only when the database is closed, or when the engine restarts, which sets the actor again.
    sending.catch(() => {})
  }

  /** Prepares for a listener of events of this type. `health` reads what those of `health` report. */
  listen(type: string, health: () => Promise<Health>): void {
    if (!this.#listenedTypes.has(type)) this.#connection.subscribe(type)
    this.#listenedTypes.add(type)
    if (type !== 'health' || this.#connection.closed) return
    this.#watch ??= new HealthWatch(health, (detail) => {
      // Closing is no change of its health.
      if (!this.#isClosing) this.#dispatch(type, detail)
    })
  }

  #dispatch(type: string, detail: unknown): void {
    this.#target.dispatchEvent(new CustomEvent(type, { detail }))
  }

  /** Forwards an event of the engine to its listeners. */
  emit({ type, detail }: DatabaseEvent): void {
    if (type === 'close') {
      this.#connection.ended()
      this.#end(detail)
      return
    }
    if (type === 'sync') this.#sync.handleEvent(detail)
    if (type === 'role') this.role = detail.role
    if (this.#listenedTypes.has(type)) this.#dispatch(type, detail)
    if (type !== 'change' && type !== 'request') this.#watch?.check()
    // Live queries report a lost lock as the error of their next run.
    if (type === 'lock' && detail.state === 'lost') {
      this.#isLockLost = true
      this.live.changed()
    }
  }

  /** Registers everything again after a restart of the engine. */
  renewed(): void {
    this.live.renew()
    this.#sync.renewed()
    if (this.#actor !== undefined) this.#sendActor()
  }

  /** Ends after the engine has failed permanently. */
  died(error: TidelockError): void {
    this.death = error
    this.#end({ reason: error.code, message: error.message })
  }

  /** Ends with a call of `close`, which `work` does. */
  async close(work: () => Promise<void>): Promise<void> {
    this.#isClosing = true
    const saved = this.live.closeLastResults()
    try {
      await work()
    } finally {
      await saved
      this.#end({ reason: 'closed' })
    }
  }

  #end(detail: DatabaseCloseEvent): void {
    this.live.end(this.death ?? this.#connection.closedError())
    if (this.#closeFired) return
    this.#closeFired = true
    this.#watch?.end()
    this.#dispatch('close', detail)
  }
}
