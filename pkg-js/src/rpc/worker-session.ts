import { TidelockError } from '../base/errors.js'
import { inBatches, isSameWrite, type Messages } from './batches.js'
import { Channel, type Handlers, type Message, type MethodMap } from './channel.js'
import type { PageMethods, WorkerMethods } from './protocol.js'

/** A worker that hasn't sent `hello` by then has failed to start. */
const helloWithinMs = 30_000

/** Callbacks of a {@link WorkerSession}. */
export interface SessionEvents {
  /** The worker could not be loaded, so it holds nothing. */
  failed(error: TidelockError): void
  /** The worker has crashed, or sends unreadable messages. */
  crashed(cause: unknown): void
}

/** One worker from its start to its end, and the channel to it. */
export class WorkerSession<
  Served extends MethodMap<Served> & Pick<WorkerMethods, 'alive'> = WorkerMethods,
  Own extends MethodMap<Own> & Pick<PageMethods, 'hello'> = PageMethods,
> {
  readonly channel: Channel<Served, Own>
  /** Resolves after {@link end}, when the worker has ended and its locks are released; without Web Locks, at once. */
  readonly released: Promise<void>
  readonly #worker: Worker
  readonly #events: SessionEvents
  readonly #timer: ReturnType<typeof setTimeout>
  #markReleased!: () => void
  #alive = false
  #watched = false
  #ended = false

  /** Starts listening to the worker at once. */
  constructor(worker: Worker, handlers: Omit<Handlers<Own>, 'hello'>, events: SessionEvents) {
    this.#worker = worker
    this.#events = events
    this.released = new Promise((resolve) => {
      this.#markReleased = resolve
    })
    const hello: Handlers<Pick<PageMethods, 'hello'>> = { hello: (_, lock) => this.#hello(lock) }
    this.channel = new Channel<Served, Own>(
      inBatches((messages, transfer) => worker.postMessage(messages, transfer as Transferable[]), isSameWrite),
      { ...handlers, ...hello } as Handlers<Own>,
    )
    worker.onmessage = ({ data }: MessageEvent<Messages>) => {
      for (const message of [data].flat() as Message[]) this.channel.receive(message)
    }
    worker.onmessageerror = () => this.#broken('A message of the worker could not be read')
    worker.onerror = (event) => {
      event.preventDefault?.()
      this.#broken(event.message)
    }
    this.#timer = setTimeout(() => this.#broken(`It did not answer within ${helloWithinMs / 1000} s`), helloWithinMs)
  }

  /** Terminates the worker: pending calls reject with that error. */
  end(error: unknown): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#timer)
    this.channel.end(error)
    this.#worker.terminate()
    if (!this.#watched) this.#markReleased()
  }

  /** Handles the worker's start. Waiting for its lock is the only way in a browser to notice its death at once, whatever the cause. */
  #hello(lock: string | undefined): void {
    this.#alive = true
    if (lock === undefined) {
      clearTimeout(this.#timer)
      return
    }
    this.#watched = true
    const dead = () => {
      this.#markReleased()
      if (!this.#ended) this.#events.crashed(new Error('The worker ended unexpectedly'))
    }
    const { locks } = navigator
    const wait = (isHeld: boolean) => {
      if (isHeld) {
        clearTimeout(this.#timer)
        return locks.request(lock, () => {}).then(dead)
      }
      // Chromium keeps the locks of a page apart from those of its new workers once the data of the site was cleared.
      this.#markReleased()
      const answered = () => clearTimeout(this.#timer)
      return this.channel.ask('alive', [] as Parameters<Served['alive']>).then(answered, answered)
    }
    locks
      .request(lock, { ifAvailable: true }, (free) => free === null)
      .then(wait)
      .catch(dead)
  }

  #broken(why: string | undefined): void {
    if (this.#ended) return
    if (this.#alive) this.#events.crashed(new Error(why || 'The worker failed'))
    else this.#events.failed(workerFailed(why))
  }
}

/** `wasm_load_failed` for a worker whose script can't be loaded or doesn't start. */
export function workerFailed(why: string | undefined, cause?: unknown): TidelockError {
  return new TidelockError(
    'wasm_load_failed',
    `The worker of this database could not be started${why ? `: ${why}` : ''}`,
    {
      hint: "Check that worker.js is served next to the script, and that the page's Content-Security-Policy allows it (worker-src, trusted-types tidelock), or pass its place, or a function that makes the Worker, as the option worker",
      cause,
    },
  )
}
