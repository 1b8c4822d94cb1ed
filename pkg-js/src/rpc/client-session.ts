import { TidelockError } from '../base/errors.js'
import { yieldToEventLoop } from '../base/event-loop.js'
import { type LimitedOptions, timedOut } from '../base/waiting.js'
import { andThen, type MaybePromise } from '../engine/connection.js'
import type { CoreEvent } from '../engine/core.js'
import type { SyncCall } from '../engine/last-sync-call.js'
import type { Work, WorkResult } from '../engine/work.js'
import { type Handlers, Transferred } from './channel.js'
import { worthMoving } from './flat-codec.js'
import {
  type ClientMethods,
  type PackedResult,
  type ParameterBuffer,
  remainingMs,
  type ServedConnection,
  type TimeLimit,
  type WriteId,
} from './protocol.js'
import { decodeReply, encodeReply, noShape } from './reply.js'

/** What the sessions of one engine share. */
export interface SessionHost {
  /** Undefined until the opening reaches the migrations, which need it. */
  readonly connection: ServedConnection | undefined
  /** Runs `work` when the database is open; synchronously if it is, so that calls begin in the order of their messages. */
  whenOpen<T>(work: (connection: ServedConnection) => T): T | Promise<Awaited<T>>
  /** The actor that is set in the engine. */
  actor: string | undefined
  /** How many calls hold or wait for a permit under which the actor may change. */
  actorChanges: number
  /** Returns the tabs that may still ask for the results of their writes, when they have changed since the last call; otherwise none. */
  takeLiveClients(): readonly string[]
  /** Returns whether the engine is to execute a call of `sync.start` or `sync.stop`; sends such a call to all clients, which keep it. */
  admitSyncCall(connection: ServedConnection, call: SyncCall, isRepeated: boolean): boolean
}

/** The session of one client of an engine: of the page that has created it, or of another tab. */
export class ClientSession {
  readonly handlers: Handlers<ClientMethods>
  readonly #host: SessionHost
  /** The tab's id, where several share the database. */
  client: string
  /** Whether the client may use only permits that it has acquired. The page of the engine also gets those of its migrations. */
  readonly #ownPermitsOnly: boolean
  /** The permits that the client holds. */
  readonly #permits = new Set<number>()
  /** The storing of what these permits committed, until the client calls `stored`. */
  readonly #stored = new Map<number, Promise<void>>()
  /** The ids of the shapes whose column names the client has. */
  readonly #known = new Set<number>()
  readonly #watched = new Set<number>()
  readonly #eventTypes = new Set<string>()
  #actor: string | undefined
  #ended = false

  constructor(host: SessionHost, client: string, ownPermitsOnly: boolean) {
    this.#host = host
    this.client = client
    this.#ownPermitsOnly = ownPermitsOnly
    this.handlers = this.#handlers()
  }

  /** Returns the part of an event that concerns this client, if any. */
  eventFor(event: CoreEvent): CoreEvent | undefined {
    const { type, detail } = event
    // The frequent ones.
    if (type === 'change' || type === 'request') return this.#eventTypes.has(type) ? event : undefined
    if (type !== 'live') return event
    const ids = detail.ids.filter((id) => this.#watched.has(id))
    return ids.length === 0 ? undefined : { type: 'live', detail: { ids } }
  }

  /** Sends the client events of this type from now on. */
  subscribe(type: string): void {
    this.#eventTypes.add(type)
    this.#host.connection?.subscribe(type)
  }

  /** Ends the session of a closed client: rolls back its transactions and releases its permits. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    const { connection } = this.#host
    for (const id of this.#watched) connection?.unwatch(id)
    for (const permitId of this.#permits) {
      connection?.rollback(permitId, 1)
      this.#release(permitId)
    }
    this.#permits.clear()
  }

  #handlers(): Handlers<ClientMethods> {
    // Migrations call with a permit while the database still opens, so these calls must not wait for the opening.
    const connectionOf = (permitId: number) => {
      if (this.#ownPermitsOnly && !this.#permits.has(permitId))
        throw new TidelockError('transaction_closed', 'The transaction has already ended', {
          hint: "Await everything inside the transaction's function before it returns",
        })
      return this.#connection()
    }
    return {
      run: (signal, work, permitId, limit, writeId) => {
        if (permitId === 0)
          return this.#host.whenOpen((connection) =>
            andThen(this.#runAlone(connection, work, signal, limit, writeId), (done) => this.#withTransfers(done)),
          )
        const run = () =>
          connectionOf(permitId).perform(permitId, work, limit === undefined ? 0 : Math.max(1, remainingMs(limit)))
        return andThen(this.#retried(run), (done) => this.#withTransfers(done))
      },
      acquire: (signal, limit) =>
        this.#host.whenOpen((connection) => this.#acquire(connection, { ...optionsOf(limit), signal })),
      release: (_, permitId) => {
        if (this.#permits.delete(permitId)) this.#release(permitId)
      },
      begin: (_, permitId, immediate) => connectionOf(permitId).begin(permitId, immediate),
      commit: (_, permitId, depth, writeId) => {
        const connection = connectionOf(permitId)
        if (writeId !== undefined && depth <= 1) this.#record(connection, permitId, writeId, [])
        return this.#storing(permitId, connection.commit(permitId, depth))
      },
      rollback: (_, permitId, depth) => connectionOf(permitId).rollback(permitId, depth),
      stored: (_, permitId) => {
        const stored = this.#stored.get(permitId)
        this.#stored.delete(permitId)
        return stored
      },
      watch: (_, sql, areas = []) =>
        this.#host.whenOpen((connection) =>
          andThen(connection.watch(sql, areas), (id) => {
            this.#watched.add(id)
            return id
          }),
        ),
      unwatch: (_, id) => {
        this.#watched.delete(id)
        this.#host.connection?.unwatch(id)
      },
      core: (_, method, ...args) =>
        this.#host.whenOpen((connection) => {
          if (method === 'setActor') {
            this.#actor = args[0] as string | undefined
            this.#host.actor = this.#actor
          }
          if (method === 'syncStart' && !this.#admitsSync(connection, args)) return
          if (method === 'syncStop' && !this.#admitsSync(connection, [null, ...args])) return
          const core = connection.core as unknown as Record<string, (...args: unknown[]) => unknown>
          const answer = connection.sync(() => core[method]?.(...args))
          return answer instanceof Promise ? connection.guard(answer).then(withBytes) : withBytes(answer)
        }),
      actor: (_, actor) => {
        this.#actor = actor
      },
      applied: (_, writeId) =>
        this.#host.whenOpen((connection) =>
          connection.withPermit(undefined, ({ permitId }) => {
            const applied = this.#recordedReply(connection, permitId, writeId) !== undefined
            return [applied, applied] as const
          }),
        ),
      subscribe: (_, type) => this.subscribe(type),
    }
  }

  #admitsSync(connection: ServedConnection, args: readonly unknown[]): boolean {
    // An earlier version of the package sends no order.
    const [intervalMs, order = 1, isRepeated = false] = args as [number | null, number?, boolean?]
    return this.#host.admitSyncCall(connection, { intervalMs, order }, isRepeated)
  }

  #connection(): ServedConnection {
    const { connection } = this.#host
    if (connection === undefined)
      throw new TidelockError('closed', 'The database is not open yet', { hint: 'Please report this error' })
    return connection
  }

  /**
   * Runs work under a permit of its own, and waits until its writes are stored. A cancellation may already be queued behind this message, so
   * a cancellable call lets other messages in first. A write id is recorded in the write's transaction, together with the result; a write
   * that was applied before returns the recorded result. A script with transactions of its own can't be recorded.
   */
  #runAlone(
    connection: ServedConnection,
    work: Work<readonly ParameterBuffer[]>,
    signal: AbortSignal | undefined,
    limit: TimeLimit | undefined,
    writeId: WriteId | undefined,
  ): MaybePromise<WorkResult<PackedResult>> {
    // Without a promise when there is nothing to wait for. The actor that is set now must still be set when the permit arrives.
    const isSet = this.#actor === this.#host.actor && this.#host.actorChanges === 0
    if (isSet && signal === undefined && writeId === undefined)
      return connection.runAlone(work, limit && optionsOf(limit))
    this.#host.actorChanges++
    const running = connection.withPermit({ ...optionsOf(limit), signal }, async ({ permitId, timeoutMs }) => {
      if (signal !== undefined) {
        await yieldToEventLoop()
        signal.throwIfAborted()
      }
      await this.#applyActor(connection)
      const done = await this.#runOnce(connection, permitId, writeId, work, timeoutMs)
      return [done, done.wrote === true] as const
    })
    const ended = () => void this.#host.actorChanges--
    // Beside the result, not before it: a `close` that waits for the permit answers right after that.
    running.then(ended, ended)
    return running
  }

  /** Runs work; with a write id exactly once. */
  async #runOnce(
    connection: ServedConnection,
    permitId: number,
    writeId: WriteId | undefined,
    work: Work<readonly ParameterBuffer[]>,
    timeoutMs: number,
  ): Promise<WorkResult<PackedResult>> {
    const run = () => this.#retried(() => connection.perform(permitId, work, timeoutMs))
    if (writeId === undefined) return run()
    if (work[0] === 'script' && !connection.sync(() => connection.core.isWhole(work[1]))) {
      if (writeId.again) throw outcomeUnknown('A script with transactions of its own')
      return run()
    }
    if (writeId.again) {
      const reply = this.#recordedReply(connection, permitId, writeId.id)
      if (reply !== undefined) return { results: decodeReply(reply), wrote: true }
    }
    const depth = connection.begin(permitId, false)
    try {
      const done = await run()
      this.#record(connection, permitId, writeId, done.results)
      return { ...done, wrote: connection.commit(permitId, depth) }
    } catch (error) {
      connection.rollback(permitId, depth)
      throw error
    }
  }

  #record(connection: ServedConnection, permitId: number, writeId: WriteId, results: readonly PackedResult[]): void {
    const { core } = connection
    const [client, alive, reply] = [this.client, this.#host.takeLiveClients(), encodeReply(results)]
    const keep = alive.length > 0 ? JSON.stringify(alive) : undefined
    connection.sync(() => core.noteApplied(permitId, client, writeId.id, writeId.acknowledged, keep, reply))
  }

  #recordedReply(connection: ServedConnection, permitId: number, writeId: number): Uint8Array | undefined {
    return connection.sync(() => connection.core.applied(permitId, this.client, writeId))
  }

  /** Sets this client's actor in the engine. Needs a permit. */
  async #applyActor(connection: ServedConnection): Promise<void> {
    if (this.#actor === this.#host.actor) return
    this.#host.actor = this.#actor
    await connection.guard(Promise.resolve(connection.sync(() => connection.core.setActor(this.#actor))))
  }

  /** Runs work, and once more when a missing part of the engine made it fail. */
  #retried<T>(work: () => MaybePromise<T>): MaybePromise<T> {
    try {
      const working = work()
      const retry = (error: unknown) => this.#connection().retry(error, work)
      return working instanceof Promise ? working.catch(retry) : working
    } catch (error) {
      return this.#connection().retry(error, work)
    }
  }

  /**
   * Notes the storing of a commit, and returns whether there is anything to wait for. This happens at the commit, because later flushes don't
   * concern it, and the database may be closed before the client calls `stored`.
   */
  #storing(permitId: number, wrote: boolean): boolean {
    const stored = wrote ? this.#connection().stored() : undefined
    if (stored === undefined) return false
    stored.catch(() => {})
    this.#stored.set(permitId, stored)
    return true
  }

  /** Acquires the mutex for the client, until the client releases it. */
  async #acquire(connection: ServedConnection, options: LimitedOptions): Promise<number> {
    this.#host.actorChanges++
    let permitId: number
    try {
      permitId = (await connection.acquire(options)).permitId
    } catch (error) {
      this.#host.actorChanges--
      throw error
    }
    this.#permits.add(permitId)
    try {
      if (this.#ended) throw new Error('The client is gone')
      await this.#applyActor(connection)
      return permitId
    } catch (error) {
      if (this.#permits.delete(permitId)) this.#release(permitId)
      throw error
    }
  }

  /** Releases a permit that {@link #acquire} got. */
  #release(permitId: number): void {
    this.#host.actorChanges--
    this.#host.connection?.release(permitId)
  }

  /** Removes the column names from all but the first result of a shape. */
  #withNewColumns(result: PackedResult): PackedResult {
    if (!this.#known.has(result.shape)) {
      if (result.shape !== noShape) this.#known.add(result.shape)
      return result
    }
    const { columns: _, ...rest } = result
    return rest
  }

  /** Removes column names that the client has, and marks the buffers that are faster transferred than copied. */
  #withTransfers(done: WorkResult<PackedResult>): Transferred<WorkResult<PackedResult>> {
    const results = done.results.map((result) => this.#withNewColumns(result))
    return new Transferred({ ...done, results }, results.map(({ buffer }) => buffer).filter(worthMoving))
  }
}

/** Converts the time limit to what remains of it; throws `timeout` when nothing does. */
function optionsOf(limit: TimeLimit | undefined): LimitedOptions {
  if (limit === undefined) return {}
  const timeoutMs = remainingMs(limit)
  if (timeoutMs === 0) throw timedOut(limit.timeoutMs)
  return { timeoutMs, limitMs: limit.timeoutMs }
}

/** `leader_changed` for a call of which it can't be known whether it was applied. */
export function outcomeUnknown(what: string): TidelockError {
  return new TidelockError('leader_changed', `${what} was under way when another tab became the leader`, {
    hint: 'Check whether it was applied before you repeat it',
    details: { applied: null },
  })
}

/** Marks the bytes of files among the engine's results for transfer: they have no other owner. */
function withBytes(answer: unknown): unknown {
  const pieces = Array.isArray(answer) ? answer : ((answer as { pieces?: unknown[] } | undefined)?.pieces ?? [answer])
  const bytes = pieces.filter((one): one is Uint8Array<ArrayBuffer> => one instanceof Uint8Array)
  return bytes.length === 0
    ? answer
    : new Transferred(
        answer,
        bytes.map((one) => one.buffer),
      )
}
