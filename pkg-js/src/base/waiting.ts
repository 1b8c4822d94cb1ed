import { maxTimeoutMs } from './check.js'
import { TidelockError } from './errors.js'
import type { CallOptions } from './values.js'

/** The callers that wait for promises of one wasm instance. After a trap these promises never settle. */
export class Waiting {
  readonly #stops = new Set<(error: TidelockError) => void>()

  /** Settles as the promise does, unless the signal aborts, `timeoutMs` passes or `end` is called first. */
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

  /** Rejects every waiting call with this error. */
  end(error: TidelockError): void {
    for (const stop of [...this.#stops]) stop(error)
  }
}

/** Settles as the promise does, unless the signal aborts or `timeoutMs` passes first. */
export function until<T>(promise: Promise<T>, options: CallOptions): Promise<T> {
  return new Waiting().until(promise, options, (error) => error)
}

/** Calls `stop` with the reason when the signal aborts or `timeoutMs` passes. Returns a function that ends the watch. */
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

/** Returns `timeout` for a call that took longer than `timeoutMs`. */
export function timedOut(timeoutMs: number): TidelockError {
  return new TidelockError('timeout', `Call exceeded timeoutMs (${timeoutMs} ms)`, {
    hint: 'Raise timeoutMs, or find the call that delays it: a database runs one call at a time',
    details: { timeoutMs },
  })
}
