import { createDatabaseInstance } from '../instance/instance.js'
import { Channel, type Handlers, type Message } from '../rpc/channel.js'
import type { PageMethods, WorkerMethods } from '../rpc/protocol.js'
import { type FolderOf, Server } from '../rpc/server.js'
import { WorkerSession } from '../rpc/worker-session.js'

/** A tab whose session an engine serves. */
export interface AttachedClient {
  post(message: Message): void
  end(): void
}

/** An engine of this tab, in this thread or in a worker. */
export interface Engine {
  readonly channel: Channel<WorkerMethods, PageMethods>
  /** Whether the engine can crash without its tab. */
  readonly mayDie: boolean
  /** Serves another tab. */
  attach(client: string, post: (message: Message) => void): AttachedClient
  /** Ends the engine. Resolves when its locks are released. */
  end(error: unknown): Promise<void>
}

/** What becomes of an engine in a worker. */
export interface EngineEvents {
  /** The worker could not be loaded. */
  failed(error: unknown): void
  crashed(cause: unknown): void
}

/** The handlers by which a page serves its engine. */
export type EngineHandlers = Omit<Handlers<PageMethods>, 'hello' | 'role' | 'renewed' | 'refused'>

/** An engine never calls these: only a {@link import('./shared-tab.js').SharedTab} does. */
const never = { role: () => {}, renewed: () => {}, refused: () => {} }

/** Creates an engine in this thread; `folderOf` returns the folder of a database that is in one. Messages arrive in microtasks of their own, in the order of another thread's, and aren't copied. */
export function engineHere(handlers: EngineHandlers, folderOf: FolderOf): Engine {
  const server: Server = new Server(
    (message) => queueMicrotask(() => channel.receive(message)),
    createDatabaseInstance,
    folderOf,
  )
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
    end: (error) => {
      channel.end(error)
      return server.end(error)
    },
  }
}

/** Creates an engine in a worker. `crashed` is called when the worker dies. */
export function engineInWorker(worker: Worker, handlers: EngineHandlers, events: EngineEvents): Engine {
  const session = new WorkerSession(worker, { ...handlers, ...never }, events)
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
          session.channel.notify('detach', [client])
          port1.close()
        },
      }
    },
    end: (error) => {
      session.end(error)
      return session.released
    },
  }
}
