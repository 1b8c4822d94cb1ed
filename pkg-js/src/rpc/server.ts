import type { ConnectionOptions, MaybePromise } from '../engine/connection.js'
import type { Core, CoreEvent, CoreFiles, CoreFolder } from '../engine/core.js'
import type { CoreOptions } from '../engine/core-options.js'
import { DirectConnection } from '../engine/direct-connection.js'
import type { SyncCall } from '../engine/last-sync-call.js'
import { Bridge } from '../instance/bridge.js'
import type { createDatabaseInstance } from '../instance/instance.js'
import { Channel, type Handlers, type Message } from './channel.js'
import { channelCallbacks } from './channel-callbacks.js'
import { ClientSession, type SessionHost } from './client-session.js'
import { PackedStatements } from './packed-statements.js'
import type { MoveRequest, OpenRequest, PageMethods, ServedConnection, WorkerMethods } from './protocol.js'
import { serializeError } from './serialized-error.js'

/** Returns the folder of a database that is in one, or that is `moving`. */
export type FolderOf = (checked: CoreOptions, moving?: boolean) => MaybePromise<CoreFolder | undefined>

/** A tab that this server serves. */
interface Attached {
  readonly session: ClientSession
  readonly channel: Channel<PageMethods, WorkerMethods>
}

/** Serves one database to the page that has created the engine, and to other tabs. */
export class Server implements SessionHost {
  readonly channel: Channel<PageMethods, WorkerMethods>
  readonly #createInstance: typeof createDatabaseInstance
  readonly #folderOf: FolderOf | undefined
  readonly #session: ClientSession
  readonly #attached = new Map<string, Attached>()
  connection: ServedConnection | undefined
  actor: string | undefined
  actorChanges = 0
  /** In a shared database: the tabs that may still ask for the results of their writes. */
  readonly #liveClients = new Set<string>()
  /** Whether the engine has the current list. */
  #liveClientsReported = true
  #open = false
  #opening: Promise<void> | undefined
  #becomeOpen!: () => void
  readonly #opened: Promise<void>

  /** `folderOf` returns the folder of a database that is in one. */
  constructor(
    post: (message: Message, transfer: readonly Transferable[]) => void,
    createInstance: typeof createDatabaseInstance,
    folderOf?: FolderOf,
  ) {
    this.#createInstance = createInstance
    this.#folderOf = folderOf
    this.#session = new ClientSession(this, '', false)
    this.channel = new Channel<PageMethods, WorkerMethods>(post, this.#handlers())
    this.#opened = new Promise((resolve) => {
      this.#becomeOpen = resolve
    })
  }

  /** Serves another tab, which receives messages by `post`; returns the function that takes its messages. */
  attach(
    client: string,
    post: (message: Message, transfer: readonly Transferable[]) => void,
  ): (message: Message) => void {
    this.detach(client)
    const session = new ClientSession(this, client, true)
    const channel = new Channel<PageMethods, WorkerMethods>(post, session.handlers as Handlers<WorkerMethods>)
    this.#attached.set(client, { session, channel })
    this.#liveClients.add(client)
    // Only events of later calls follow, and this tab may be the one that remains.
    const last = this.connection?.syncCalls.last
    if (last !== undefined) channel.notify('event', [{ type: 'syncCall', detail: last }])
    return (message) => channel.receive(message)
  }

  /** Ends the session of a closed tab; its transactions are rolled back. */
  detach(client: string): void {
    const attached = this.#attached.get(client)
    if (attached === undefined) return
    this.#attached.delete(client)
    this.#liveClients.delete(client)
    this.#liveClientsReported = false
    attached.channel.end(new Error('The tab is gone'))
    attached.session.end()
  }

  /**
   * Ends all sessions, an opening in progress, and the database, where no worker can be terminated. `error` rejects what the engine waits
   * for, which gets no answer any more. Resolves when the locks are released.
   */
  async end(error: unknown): Promise<void> {
    this.channel.end(error)
    for (const client of [...this.#attached.keys()]) this.detach(client)
    this.#session.end()
    // A failed opening has released its locks.
    await this.#opening?.catch(() => {})
    if (this.#open) await this.connection?.close().catch(() => {})
  }

  takeLiveClients(): readonly string[] {
    if (this.#liveClientsReported) return []
    this.#liveClientsReported = true
    return [...this.#liveClients]
  }

  admitSyncCall({ syncCalls }: ServedConnection, { intervalMs, order }: SyncCall, isRepeated: boolean): boolean {
    // Only a repeated call may be ignored: clients may make new ones with the same order at the same time.
    if (!isRepeated) syncCalls.add(intervalMs, order)
    else if (!syncCalls.keep({ intervalMs, order })) return false
    const { last } = syncCalls
    if (last !== undefined) this.#emit({ type: 'syncCall', detail: last })
    return true
  }

  #handlers(): Handlers<WorkerMethods> {
    return {
      ...this.#session.handlers,
      alive: () => {},
      open: (signal, opening) => {
        this.#opening = this.#openDatabase(opening, signal)
        return this.#opening
      },
      move: (_, request) => this.#moveDatabase(request),
      attach: (_, client, port) => {
        const receive = this.attach(client, (message, transfer) =>
          port.postMessage(message, transfer as Transferable[]),
        )
        port.onmessage = ({ data }: MessageEvent<Message>) => receive(data)
      },
      detach: (_, client) => this.detach(client),
      page: (_, event) => void dispatchEvent(new Event(event)),
      close: () => this.whenOpen((connection) => connection.close()),
    }
  }

  async #openDatabase(
    { checked, module, encryption, functions, columnKeys, has, eventTypes, tabs }: OpenRequest,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const callbacks = channelCallbacks(this.channel, (event) => this.#emit(event), has)
    if (tabs !== undefined) {
      this.#session.client = tabs.own
      for (const client of tabs.alive) this.#liveClients.add(client)
      this.#liveClientsReported = false
    }
    for (const type of eventTypes) this.#session.subscribe(type)
    const bridge = new Bridge(checked, { encryption, functions, columnKeys, signal }, callbacks)
    const instance = await this.#createInstance(
      module,
      (part) => this.channel.ask('part', [part]),
      (trap) => bridge.trapped(trap),
    )
    const options: ConnectionOptions = {
      integers: checked.integers,
      takesTurns: false,
      warn: (detail) => callbacks.handle({ type: 'warning', detail }),
      refine: (error) => error,
      onDead: (error) => this.channel.notify('dead', [serializeError(error)]),
    }
    const connect = (core: Core, given: ConnectionOptions) => {
      this.connection = new DirectConnection(core, new PackedStatements(core, instance.memory), given)
      if (eventTypes.includes('change')) this.connection.subscribe('change')
      return this.connection
    }
    await bridge.open(instance, options, connect, await this.#folderOf?.(checked))
    this.#open = true
    this.#becomeOpen()
  }

  async #moveDatabase({ checked, module, encryption }: MoveRequest): Promise<void> {
    const callbacks = channelCallbacks(this.channel, () => {}, { seed: false, fetch: false })
    const bridge = new Bridge(checked, { encryption }, callbacks)
    const instance = await this.#createInstance(
      module,
      (part) => this.channel.ask('part', [part]),
      (trap) => bridge.trapped(trap),
    )
    // Only a worker of the package is asked to, which has the files.
    await bridge.moveStorage(instance, (await this.#folderOf?.(checked, true)) as CoreFiles)
  }

  /** Sends an event to all clients. The lock, and closing because of it, concern only the page that has the engine. */
  #emit(event: CoreEvent): void {
    const own = this.#session.eventFor(event)
    if (own !== undefined) this.channel.notify('event', [own])
    if (event.type === 'lock' || event.type === 'close') return
    for (const { session, channel } of this.#attached.values()) {
      const theirs = session.eventFor(event)
      if (theirs !== undefined) channel.notify('event', [theirs])
    }
  }

  whenOpen<T>(work: (connection: ServedConnection) => T): T | Promise<Awaited<T>> {
    const connection = this.connection
    if (this.#open && connection !== undefined) return work(connection)
    return this.#opened.then(() => work(this.connection as ServedConnection)) as Promise<Awaited<T>>
  }
}
