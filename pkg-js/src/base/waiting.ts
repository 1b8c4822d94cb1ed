import { maxTimeoutMs } from './check.js'
import { TidelockError } from './errors.js'
import type { CallOptions } from './values.js'

/** Those who wait for promises of one wasm instance, which never settle once it is dead. */
export class Waiting {
  readonly #stops = new Set<(error: TidelockError) => void>()

  /** Settles as the promise does, unless the signal aborts, the time runs out or all is over before. */
  until<T>(promise: Promise<T>, options: CallOptions | undefined, toError: (thrown: unknown) => unknown): Promise<T> {
    return new Promise((resolve, reject) => {
      const stop = (error: unknown) => {
        this.#stops.delete(stop)
        unwatch()
        reject(error)
      }
      this.#stops.add(stop)
      const unwatch = onStop(options, stop)
      promise.then(
        (value) => {
          this.#stops.delete(stop)
          unwatch()
          resolve(value)
        },
        (error) => stop(toError(error)),
      )
    })
  }

  /** All is over: everybody who waits is told this. */
  end(error: TidelockError): void {
    for (const stop of [...this.#stops]) stop(error)
  }
}

/** Settles as the promise does, unless the signal aborts or the time runs out before. */
export function until<T>(promise: Promise<T>, options: CallOptions): Promise<T> {
  return new Waiting().until(promise, options, (error) => error)
}

/** Calls `stop` with the reason, once the signal aborts or the time has run out. Gives the function that ends the watch. */
export function onStop(options: CallOptions | undefined, stop: (reason: unknown) => void): () => void {
  if (options === undefined) return () => {}
  const { signal, timeoutMs } = options
  const abort = () => stop(signal?.reason)
  if (signal?.aborted) queueMicrotask(abort)
  else signal?.addEventListener('abort', abort)
  const timer =
    timeoutMs === undefined ? undefined : setTimeout(() => stop(timedOut(timeoutMs)), Math.min(timeoutMs, maxTimeoutMs))
  return () => {
    signal?.removeEventListener('abort', abort)
    clearTimeout(timer)
  }
}

/** `timeout`, of a call that took longer than that. */
export function timedOut(timeoutMs: number): TidelockError {
  return new TidelockError('timeout', `The call took longer than ${timeoutMs} ms`, {
    hint: 'Raise timeoutMs, or look what holds it up: calls wait for their turn',
    details: { timeoutMs },
  })
}
