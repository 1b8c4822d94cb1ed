import type { Encryption } from '../base/encryption.js'
import { errorWith, isTidelockError, type TidelockError } from '../base/errors.js'
import type { Work } from '../engine/work.js'
import type { Handlers } from '../rpc/channel.js'
import { outcomeUnknown } from '../rpc/client-session.js'
import type { ClientMethods, ParameterBuffer, TimeLimit, WriteId } from '../rpc/protocol.js'
import { isRepeatable } from './core-calls.js'
import { type OutgoingCall, PendingCalls, rolledBack } from './pending-calls.js'
import { EngineLost, IdSequence, type ServingEngine } from './serving-engine.js'
import { WriteIds, writes } from './write-ids.js'

/** A permit of a serving engine that this tab holds. */
interface HeldPermit {
  readonly serving: ServingEngine
  readonly engineId: number
  /** Notes that this tab holds it no more. */
  readonly released: () => void
  /** The write id of its commit. */
  writeId?: number
  /** Whether another engine has found the commit applied. */
  applied?: boolean
}

/** Forwards the calls of a tab to its serving engine, and decides for each method whether it may be sent again to the next one. */
export class Forwarding {
  readonly handlers: Handlers<ClientMethods>
  readonly pendingCalls = new PendingCalls()
  readonly ids = new IdSequence()
  /** The types of events that have listeners. */
  readonly eventTypes = new Set<string>()
  readonly #writeIds = new WriteIds()
  readonly #permits = new Map<number, HeldPermit>()
  readonly #onRekeyed: (encryption: Encryption | null) => void
  #actor: string | undefined

  /** `onRekeyed` is called when this tab has given the database another secret. */
  constructor(onRekeyed: (encryption: Encryption | null) => void) {
    this.#onRekeyed = onRekeyed
    this.handlers = this.#handlers()
  }

  /** Sets the serving engine; `first` runs before the waiting calls are sent. */
  serve(serving: ServingEngine, first: () => void): void {
    void this.pendingCalls.serve(serving, () => {
      if (this.#actor !== undefined) serving.channel.ask('actor', [this.#actor]).catch(() => {})
      if (!serving.isOwn) for (const type of this.eventTypes) serving.channel.notify('subscribe', [type])
      first()
    })
  }

  /** Registers a permit of a serving engine; returns the id that this tab's calls use. */
  addPermit(serving: ServingEngine, engineId: number): number {
    const localId = this.ids.next()
    const held = new Promise<void>((released) => this.#permits.set(localId, { serving, engineId, released }))
    this.pendingCalls.include(held)
    return localId
  }

  /** Whether this tab holds a permit, for which the calls of all tabs wait. */
  get holdsPermit(): boolean {
    return this.#permits.size > 0
  }

  /** Removes a permit that was released. */
  removePermit(permitId: number): void {
    this.#permits.get(permitId)?.released()
    this.#permits.delete(permitId)
  }

  #handlers(): Handlers<ClientMethods> {
    return {
      subscribe: (_, type) => {
        this.eventTypes.add(type)
        this.pendingCalls.notify(({ channel }) => channel.notify('subscribe', [type]))
      },
      run: (signal, work, permitId, limit) =>
        permitId === 0
          ? this.#withWriteId({ signal, limit }, writes(work), (serving, writeId) =>
              serving.run(withEngineId(work, serving), 0, limit, writeId, signal),
            )
          : this.#underPermit(permitId, ({ serving, engineId }) => serving.run(work, engineId, limit)),
      acquire: (signal, limit) => this.#acquire(signal, limit),
      release: (_, permitId) => {
        const held = this.#permits.get(permitId)
        if (held === undefined) return
        if (!held.serving.ended) held.serving.channel.notify('release', [held.engineId])
        this.removePermit(permitId)
      },
      begin: (_, permitId, immediate) =>
        this.#underPermit(permitId, ({ serving, engineId }) => serving.channel.ask('begin', [engineId, immediate])),
      commit: (_, permitId, depth) => this.#commit(permitId, depth),
      rollback: (_, permitId, depth) => {
        const held = this.#permits.get(permitId)
        if (held !== undefined && !held.serving.ended) held.serving.channel.notify('rollback', [held.engineId, depth])
      },
      stored: (_, permitId) => {
        const stored = this.#stored(permitId)
        this.pendingCalls.include(stored)
        return stored
      },
      watch: (_, sql, areas) =>
        this.#repeatable({}, async (serving) => {
          const engineId = await serving.channel.ask('watch', [sql, areas])
          const localId = this.ids.next()
          serving.watched.set(engineId, localId)
          return localId
        }),
      unwatch: (_, id) =>
        this.pendingCalls.notify((serving) => {
          const engineId = serving.watchedAs(id)
          if (engineId === undefined) return
          serving.watched.delete(engineId)
          serving.channel.notify('unwatch', [engineId])
        }),
      core: (_, method, ...args) => this.#core(method, args),
      applied: (_, writeId) => this.#wasApplied(writeId),
      actor: (_, actor) => {
        this.#actor = actor
      },
    }
  }

  #repeatable<T>(
    given: Pick<OutgoingCall<T>, 'signal' | 'limit' | 'late'>,
    send: (serving: ServingEngine) => Promise<T>,
  ): Promise<T> {
    return this.pendingCalls.call({ ...given, send, onLost: () => 'again' })
  }

  /** Sends a call under a permit of its own; with a write id, so that it is applied exactly once. */
  async #withWriteId<T>(
    given: Pick<OutgoingCall<T>, 'signal' | 'limit'>,
    mayWrite: boolean,
    send: (serving: ServingEngine, writeId: WriteId | undefined) => Promise<T>,
  ): Promise<T> {
    if (!mayWrite) return this.#repeatable(given, (serving) => send(serving, undefined))
    const id = this.#writeIds.begin()
    try {
      return await this.pendingCalls.call({
        ...given,
        writes: true,
        send: (serving, again) =>
          send(serving, serving.recordsWrites || again ? this.#writeIds.describe(id, again) : undefined),
        onLost: (serving, applied) =>
          serving.recordsWrites || applied === false ? 'again' : outcomeUnknown('This write'),
      })
    } finally {
      this.#writeIds.end(id)
    }
  }

  #acquire(signal: AbortSignal | undefined, limit: TimeLimit | undefined): Promise<number> {
    const take = async (serving: ServingEngine) => {
      return this.addPermit(serving, await serving.channel.ask('acquire', [limit], { signal }))
    }
    const late = (localId: number, { channel }: ServingEngine) => {
      channel.notify('release', [this.#permits.get(localId)?.engineId as number])
      this.removePermit(localId)
    }
    return this.#repeatable({ signal, limit, late }, take)
  }

  /** Sends a call under a held permit, which ends with the engine that issued it. */
  #underPermit<T>(
    permitId: number,
    send: (held: HeldPermit) => Promise<T>,
    onLost: () => TidelockError = rolledBack,
  ): Promise<T> {
    const held = this.#permits.get(permitId)
    if (held === undefined || held.serving.ended) return Promise.reject(onLost())
    return send(held).catch((error) => {
      throw held.serving.isLost(error) ? onLost() : error
    })
  }

  async #commit(permitId: number, depth: number): Promise<boolean> {
    const held = this.#permits.get(permitId)
    if (depth > 1 || held === undefined || held.serving.ended)
      return this.#underPermit(permitId, ({ serving, engineId }) => serving.channel.ask('commit', [engineId, depth]))
    const { serving, engineId } = held
    const id = this.#writeIds.begin()
    let wrote = false
    try {
      const writeId = serving.recordsWrites ? this.#writeIds.describe(id, false) : undefined
      wrote = await serving.channel.ask('commit', [engineId, depth, writeId])
    } catch (error) {
      if (!serving.isLost(error)) throw error
      if (!serving.recordsWrites) throw outcomeUnknown('A commit')
      if (!(await this.#wasApplied(id))) throw rolledBack()
      held.applied = true
      wrote = true
    } finally {
      if (wrote) held.writeId = id
      else this.#writeIds.end(id)
    }
    return wrote
  }

  async #stored(permitId: number): Promise<void> {
    const held = this.#permits.get(permitId)
    if (held?.writeId === undefined) return
    try {
      if (held.applied) return
      if (held.serving.ended) throw new EngineLost()
      await held.serving.channel.ask('stored', [held.engineId])
    } catch (error) {
      if (!held.serving.isLost(error)) throw error
      if (!held.serving.recordsWrites) throw outcomeUnknown('A commit')
      if (!(await this.#wasApplied(held.writeId))) throw rolledBack()
    } finally {
      this.#writeIds.end(held.writeId)
    }
  }

  /** Asks whether a commit was applied. When that can't be found out, `details.applied` of the error is null. */
  async #wasApplied(writeId: number): Promise<boolean> {
    try {
      return await this.#repeatable({}, ({ channel }) => channel.ask('applied', [writeId]))
    } catch (error) {
      throw isTidelockError(error) ? errorWith(error, { details: { applied: null } }) : error
    }
  }

  #core(method: string, args: readonly unknown[]): unknown {
    switch (method) {
      case 'cancel':
      case 'dropCancel':
        return this.pendingCalls.notify(({ channel }) => channel.notify('core', [method, ...args]))
      case 'setActor':
        this.#actor = args[0] as string | undefined
        return this.#repeatable({}, ({ channel }) => channel.ask('actor', [this.#actor]))
      case 'rekey':
        return this.#rekey(args[0] as Encryption | null, args[1])
      default:
        return isRepeatable(method)
          ? this.#repeatable({}, ({ channel }) => channel.ask('core', [method, ...args]))
          : this.#sendOnce(method, args)
    }
  }

  /** Becomes the leader first, because a secret must never leave the tab that was given it: then its own engine is called. */
  async #rekey(encryption: Encryption | null, cancel: unknown): Promise<void> {
    await this.pendingCalls.call<unknown>({
      writes: true,
      send: async (serving) => {
        if (serving.isOwn) return serving.channel.ask('core', ['rekey', encryption, cancel])
        serving.handOver()
        throw new EngineLost()
      },
      onLost: ({ isOwn }) => (isOwn ? outcomeUnknown('The call') : 'again'),
    })
    this.#onRekeyed(encryption)
  }

  #sendOnce(method: string, args: readonly unknown[]): Promise<unknown> {
    return this.pendingCalls.call<unknown>({
      writes: true,
      send: ({ channel }) => channel.ask('core', [method, ...args]),
      onLost: () => outcomeUnknown('The call'),
    })
  }
}

/** Replaces the id of a live query, which outlives a leader, by that of its engine; 0 if it has none there. */
function withEngineId(work: Work<readonly ParameterBuffer[]>, serving: ServingEngine): typeof work {
  if (work[0] !== 'live') return work
  const [type, query, areas] = work
  return [type, { ...query, id: serving.watchedAs(query.id) ?? 0 }, areas]
}
