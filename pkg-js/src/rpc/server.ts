import { Calls } from '../engine/calls.js'
import type { CallsOptions } from '../engine/connection.js'
import type { CoreEvent } from '../engine/core.js'
import { Bridge } from '../instance/bridge.js'
import type { createDatabaseInstance } from '../instance/instance.js'
import { Channel, type Handlers, type Message } from './channel.js'
import { Desk, type Service } from './client-session.js'
import { PackedStatements } from './packed-statements.js'
import type { Opening, PageMethods, ServedCalls, WorkerMethods } from './protocol.js'
import { remoteUser } from './remote-user.js'
import { toThrown } from './thrown.js'

/** A tab that is served. */
interface Attached {
  readonly desk: Desk
  readonly channel: Channel<PageMethods, WorkerMethods>
}

/** Serves one database to the page that has made it, and to other tabs. */
export class Server implements Service {
  readonly channel: Channel<PageMethods, WorkerMethods>
  readonly #createInstance: typeof createDatabaseInstance
  readonly #desk: Desk
  readonly #attached = new Map<string, Attached>()
  calls: ServedCalls | undefined
  actor: string | undefined
  /** The tabs that may still ask for answers, where several share the database. */
  readonly #alive = new Set<string>()
  /** Whether the database was told of them. */
  #toldAlive = true
  #open = false
  #becomeOpen!: () => void
  readonly #opened: Promise<void>

  constructor(
    post: (message: Message, transfer: readonly Transferable[]) => void,
    createInstance: typeof createDatabaseInstance,
  ) {
    this.#createInstance = createInstance
    this.#desk = new Desk(this, '')
    this.channel = new Channel<PageMethods, WorkerMethods>(post, this.#handlers())
    this.#opened = new Promise((resolve) => {
      this.#becomeOpen = resolve
    })
  }

  /** Serves another tab, which sends messages and gets them by `post`. */
  attach(
    client: string,
    post: (message: Message, transfer: readonly Transferable[]) => void,
  ): (message: Message) => void {
    this.detach(client)
    const desk = new Desk(this, client)
    const channel = new Channel<PageMethods, WorkerMethods>(post, desk.handlers as Handlers<WorkerMethods>)
    this.#attached.set(client, { desk, channel })
    this.#alive.add(client)
    return (message) => channel.receive(message)
  }

  /** That tab is gone: what it had begun is rolled back. */
  detach(client: string): void {
    const attached = this.#attached.get(client)
    if (attached === undefined) return
    this.#attached.delete(client)
    this.#alive.delete(client)
    this.#toldAlive = false
    attached.channel.end(new Error('The tab is gone'))
    attached.desk.end()
  }

  takeAlive(): readonly string[] {
    if (this.#toldAlive) return []
    this.#toldAlive = true
    return [...this.#alive]
  }

  #handlers(): Handlers<WorkerMethods> {
    return {
      ...this.#desk.handlers,
      open: (signal, opening) => this.#openIt(opening, signal),
      attach: (_, client, port) => {
        const receive = this.attach(client, (message, transfer) =>
          port.postMessage(message, transfer as Transferable[]),
        )
        port.onmessage = ({ data }: MessageEvent<Message>) => receive(data)
      },
      detach: (_, client) => this.detach(client),
      page: (_, moment) => void dispatchEvent(new Event(moment)),
      close: () => this.whenOpen((calls) => calls.close()),
    }
  }

  async #openIt(
    { checked, module, encryption, functions, columnKeys, has, heard, tabs }: Opening,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const user = remoteUser(this.channel, (event) => this.#tell(event), has)
    if (tabs !== undefined) {
      this.#desk.client = tabs.own
      for (const client of tabs.alive) this.#alive.add(client)
      this.#toldAlive = false
    }
    for (const type of heard) this.#desk.hear(type)
    const bridge = new Bridge(checked, { encryption, functions, columnKeys, signal }, user)
    const instance = await this.#createInstance(
      module,
      (part) => this.channel.ask('part', [part]),
      (trap) => bridge.trapped(trap),
    )
    const options: CallsOptions = {
      integers: checked.integers,
      warn: (detail) => user.handle({ type: 'warning', detail }),
      refine: (error) => error,
      onDead: (error) => this.channel.tell('dead', [toThrown(error)]),
    }
    await bridge.open(instance, options, (core, given) => {
      this.calls = new Calls(core, new PackedStatements(core, instance.memory), given)
      if (heard.includes('change')) this.calls.heard('change')
      return this.calls
    })
    this.#open = true
    this.#becomeOpen()
  }

  /** The lock, and the end by it, concern the page that has the engine. */
  #tell(event: CoreEvent): void {
    const own = this.#desk.eventFor(event)
    if (own !== undefined) this.channel.tell('event', [own])
    if (event.type === 'lock' || event.type === 'close') return
    for (const { desk, channel } of this.#attached.values()) {
      const theirs = desk.eventFor(event)
      if (theirs !== undefined) channel.tell('event', [theirs])
    }
  }

  whenOpen<T>(work: (calls: ServedCalls) => T): T | Promise<Awaited<T>> {
    const calls = this.calls
    if (this.#open && calls !== undefined) return work(calls)
    return this.#opened.then(() => work(this.calls as ServedCalls)) as Promise<Awaited<T>>
  }
}
