import { createDatabaseInstance } from '../instance/instance.js'
import { Channel, type Handlers, type Message } from '../rpc/channel.js'
import type { PageMethods, WorkerMethods } from '../rpc/protocol.js'
import { Server } from '../rpc/server.js'
import { Session } from '../rpc/worker-session.js'

/** One of the tabs that an engine serves. */
export interface Desk {
  post(message: Message): void
  end(): void
}

/** An engine of this tab, in this thread or in a worker. */
export interface Engine {
  readonly channel: Channel<WorkerMethods, PageMethods>
  /** Whether it may die while the tab lives on. */
  readonly mayDie: boolean
  /** Serves another tab. */
  attach(client: string, post: (message: Message) => void): Desk
  /** Lets go of it. Resolves when nothing is held any more. */
  end(error: unknown): Promise<void>
}

/** What an engine asks of its page. */
export type EngineHandlers = Omit<Handlers<PageMethods>, 'hello' | 'role' | 'renewed'>

/** None of these comes from an engine. */
const never = { role: () => {}, renewed: () => {} }

/** An engine in this thread. Messages come in microtasks of their own, as if they came from elsewhere, and aren't copied. */
export function engineHere(handlers: EngineHandlers): Engine {
  const server: Server = new Server((message) => queueMicrotask(() => channel.receive(message)), createDatabaseInstance)
  const channel: Channel<WorkerMethods, PageMethods> = new Channel<WorkerMethods, PageMethods>(
    (message) => queueMicrotask(() => server.channel.receive(message)),
    { ...handlers, ...never, hello: () => {} },
  )
  return {
    channel,
    mayDie: false,
    attach: (client, post) => {
      const receive = server.attach(client, post)
      return { post: receive, end: () => server.detach(client) }
    },
    end: async (error) => {
      // Nothing else ends it: it may be open still.
      channel.tell('close', [])
      channel.end(error)
    },
  }
}

/** An engine in a worker. `crashed` hears of its death. */
export function engineInWorker(
  worker: Worker,
  handlers: EngineHandlers,
  events: { failed(error: unknown): void; crashed(cause: unknown): void },
): Engine {
  const session = new Session(worker, { ...handlers, ...never }, events)
  return {
    channel: session.channel,
    mayDie: true,
    attach: (client, post) => {
      const { port1, port2 } = new MessageChannel()
      port1.onmessage = ({ data }: MessageEvent<Message>) => post(data)
      session.channel.ask('attach', [client, port2], { transfer: [port2] }).catch(() => {})
      return {
        post: (message) => port1.postMessage(message),
        end: () => {
          session.channel.tell('detach', [client])
          port1.close()
        },
      }
    },
    end: (error) => {
      session.end(error)
      return session.gone
    },
  }
}
