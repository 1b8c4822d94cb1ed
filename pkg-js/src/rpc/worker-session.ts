import { TidelockError } from '../base/errors.js'
import { Channel, type Handlers, type Message } from './channel.js'
import type { PageMethods, WorkerMethods } from './protocol.js'

/** A worker that hasn't said a word by then isn't one of ours. */
const helloWithinMs = 30_000

/** What happens to a session without being asked. */
export interface SessionEvents {
  /** The worker can't be loaded: nothing has begun. */
  failed(error: TidelockError): void
  /** The worker is dead, or can't be understood any more. */
  crashed(cause: unknown): void
}

/** One worker from its beginning to its end, and the channel to it. */
export class Session {
  readonly channel: Channel<WorkerMethods, PageMethods>
  /** Resolves when the worker is gone after {@link end}, and with it all that it held; where there are no Web Locks, at once. */
  readonly gone: Promise<void>
  readonly #worker: Worker
  readonly #events: SessionEvents
  readonly #timer: ReturnType<typeof setTimeout>
  #isGone!: () => void
  #alive = false
  #watched = false
  #ended = false

  /** Begins with the worker at once. */
  constructor(worker: Worker, handlers: Omit<Handlers<PageMethods>, 'hello'>, events: SessionEvents) {
    this.#worker = worker
    this.#events = events
    this.gone = new Promise((resolve) => {
      this.#isGone = resolve
    })
    this.channel = new Channel<WorkerMethods, PageMethods>(
      (message, transfer) => worker.postMessage(message, transfer as Transferable[]),
      { ...handlers, hello: (_, lock) => this.#hello(lock) },
    )
    worker.onmessage = (event: MessageEvent<Message>) => this.channel.receive(event.data)
    worker.onmessageerror = () => this.#broken('A message of the worker could not be read')
    worker.onerror = (event) => {
      event.preventDefault?.()
      this.#broken(event.message)
    }
    this.#timer = setTimeout(() => this.#broken(`It did not answer within ${helloWithinMs / 1000} s`), helloWithinMs)
  }

  /** Ends the worker: what waits for it rejects with that error. */
  end(error: unknown): void {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#timer)
    this.channel.end(error)
    this.#worker.terminate()
    if (!this.#watched) this.#isGone()
  }

  /** It runs. Its lock tells of its death at once, however it dies; nothing else in a browser does. */
  #hello(lock: string | undefined): void {
    this.#alive = true
    clearTimeout(this.#timer)
    if (lock === undefined) return
    this.#watched = true
    const dead = () => {
      this.#isGone()
      if (!this.#ended) this.#events.crashed(new Error('The worker was ended'))
    }
    navigator.locks.request(lock, () => {}).then(dead, dead)
  }

  #broken(why: string | undefined): void {
    if (this.#ended) return
    if (this.#alive) this.#events.crashed(new Error(why || 'The worker failed'))
    else this.#events.failed(workerFailed(why))
  }
}

/** The script of the worker can't be loaded or doesn't begin. */
export function workerFailed(why: string | undefined, cause?: unknown): TidelockError {
  return new TidelockError(
    'wasm_load_failed',
    `The worker of this database could not be started${why ? `: ${why}` : ''}`,
    {
      hint: "Check that worker.js is served next to the script, and that the page's Content-Security-Policy allows it (worker-src), or pass its place, or a function that makes the Worker, as the option worker",
      cause,
    },
  )
}
