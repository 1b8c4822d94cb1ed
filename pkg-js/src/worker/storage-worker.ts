import { TidelockError } from '../base/errors.js'
import { shownOf } from '../base/private-folders.js'
import type { CoreStorageWorker } from '../engine/core.js'
import { loadModule, loadPart } from '../instance/instance.js'
import type { OpenOptions } from '../options/options.js'
import type { StorageClientMethods, StorageMethods } from '../rpc/protocol.js'
import { deserializeError } from '../rpc/serialized-error.js'
import { WorkerSession } from '../rpc/worker-session.js'
import { startWorker } from './start-worker.js'

/** How long a worker may take to close its files, before it is terminated. */
const closeWithinMs = 1000

type Session = WorkerSession<StorageMethods, StorageClientMethods>

/** One worker from its start to its end. */
interface Running {
  readonly session: Session
  readonly started: Promise<void>
  isReady: boolean
}

/**
 * The worker with the files of a database whose engine is in this thread. Only dedicated workers can open files of the browser's private file
 * system. When it ends, what was asked rejects with `storage_unavailable`, and the engine starts another one.
 */
export class StorageWorker implements CoreStorageWorker {
  readonly isPrivate = true
  readonly #database: string
  readonly #waitMs: number
  readonly #options: Pick<OpenOptions, 'worker' | 'wasm'>
  #running: Running | undefined

  /** `waitMs`: how long it waits for files that another worker has open. */
  constructor(database: string, waitMs: number, options: Pick<OpenOptions, 'worker' | 'wasm'>) {
    this.#database = database
    this.#waitMs = waitMs
    this.#options = options
  }

  async prepare(): Promise<void> {
    this.#running ??= this.#start()
    return this.#running.started
  }

  #start(): Running {
    const { worker, wasm } = this.#options
    const session: Session = new WorkerSession<StorageMethods, StorageClientMethods>(
      startWorker(worker),
      {
        dead: (_, error) => this.#end(running, ended(deserializeError(error))),
        part: async (_, part) => loadPart(part, await loadModule(wasm), wasm),
      },
      {
        failed: (error) => this.#end(running, error),
        crashed: (cause) => this.#end(running, ended(cause)),
      },
    )
    const begin = async () => {
      try {
        await session.channel.ask('serve', [this.#database, this.#waitMs, await loadModule(wasm)])
        running.isReady = true
      } catch (error) {
        this.#end(running, error)
        throw error
      }
    }
    const running: Running = { session, started: begin(), isReady: false }
    return running
  }

  #end(running: Running, error: unknown): void {
    if (this.#running === running) this.#running = undefined
    running.session.end(error)
  }

  async ask(request: Uint8Array): Promise<Uint8Array> {
    const running = this.#running
    if (running?.isReady !== true) throw ended(undefined)
    // A copy, whose memory becomes the worker's.
    const copy = request.slice()
    return running.session.channel.ask('ask', [copy], { transfer: [copy.buffer] })
  }

  async look(): Promise<boolean> {
    const running = this.#running
    return running?.isReady !== true || running.session.channel.ask('look', [])
  }

  async shown(): Promise<object | undefined> {
    return shownOf(this.#database)
  }

  /** Lets the worker close its files, so that they are free at once, and ends it. */
  close(): void {
    const running = this.#running
    if (running === undefined) return
    this.#running = undefined
    const end = () => this.#end(running, ended(undefined))
    running.session.channel.ask('close', []).then(end, end)
    setTimeout(end, closeWithinMs)
  }

  abandon(): void {
    this.close()
  }
}

function ended(cause: unknown): TidelockError {
  return new TidelockError('storage_unavailable', "The worker with the database's files has ended", {
    hint: 'Try again: the database starts another one',
    cause,
  })
}
