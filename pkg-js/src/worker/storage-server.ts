import { createDatabaseInstance } from '../instance/instance.js'
import { Channel, type Message, Transferred } from '../rpc/channel.js'
import type { StorageClientMethods, StorageMethods } from '../rpc/protocol.js'
import { serializeError } from '../rpc/serialized-error.js'
import { PrivateFiles } from './private-files.js'

type AnswerRequest = (request: Uint8Array) => Promise<Uint8Array<ArrayBuffer>>

/** Serves the files of a database to the engine in the page: the worker's side of {@link import('./storage-worker.js').StorageWorker}. */
export class StorageServer {
  readonly channel: Channel<StorageClientMethods, StorageMethods>
  #files: PrivateFiles | undefined
  #answer: Promise<AnswerRequest> | undefined

  constructor(post: (message: Message, transfer: readonly Transferable[]) => void) {
    this.channel = new Channel<StorageClientMethods, StorageMethods>(post, {
      alive: () => {},
      serve: async (_, name, waitMs, module) => {
        this.#answer = this.#serve(new PrivateFiles(name, { waitMs }), module)
        await this.#answer
      },
      ask: async (_, request) => {
        const answer = (await this.#answer) as AnswerRequest
        const reply = await answer(request)
        return new Transferred(reply, [reply.buffer])
      },
      look: () => this.#files?.look() ?? true,
      close: () => this.#files?.close(),
    })
  }

  async #serve(files: PrivateFiles, module: WebAssembly.Module): Promise<AnswerRequest> {
    const { Core } = await createDatabaseInstance(
      module,
      (part) => this.channel.ask('part', [part]),
      (trap) => this.channel.notify('dead', [serializeError(trap)]),
    )
    this.#files = files
    return Core.serveFolder(files)
  }
}
