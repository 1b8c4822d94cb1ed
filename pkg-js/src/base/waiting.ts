import { maxTimeoutMs } from './check.js'
import { errorWith, isTidelockError, TidelockError } from './errors.js'
import { isNode } from './is-node.js'
import type { CallOptions } from './values.js'

/** The options of a call, or of a part of it. */
export interface LimitedOptions extends CallOptions {
  /** The call's `timeoutMs`, which errors name, when a part of it had passed before. */
  readonly limitMs?: number | undefined
}

/** The callers that wait for promises of one wasm instance, which never settle after a trap, or for those of one live query. */
export class Waiting {
  readonly #stops = new Set<(error: unknown) => void>()
  #keepingAlive: ReturnType<typeof setInterval> | undefined

  /** Settles as the promise does, unless the signal aborts, `timeoutMs` passes or `end` is called first. */
  until<T>(
    promise: Promise<T>,
    options: LimitedOptions | undefined,
    toError: (thrown: unknown) => unknown,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const stop = (error: unknown) => {
        this.#remove(stop)
        unwatch()
        reject(error)
      }
      this.#add(stop)
      const unwatch = onStop(options, stop)
      promise.then(
        (value) => {
          this.#remove(stop)
          unwatch()
          resolve(value)
        },
        (error) => stop(toError(error)),
      )
    })
  }

  #add(stop: (error: unknown) => void): void {
    // Node runs on while a call waits, although the long timers of an engine don't keep it running: see scripts/instance.mjs.
    if (this.#stops.size === 0 && isNode()) this.#keepingAlive = setInterval(() => {}, maxTimeoutMs)
    this.#stops.add(stop)
  }

  #remove(stop: (error: unknown) => void): void {
    this.#stops.delete(stop)
    if (this.#stops.size === 0) clearInterval(this.#keepingAlive)
  }

  /** Whether a call waits. */
  get isAwaited(): boolean {
    return this.#stops.size > 0
  }

  /** Rejects every waiting call with this error. */
  end(error: unknown): void {
    for (const stop of [...this.#stops]) stop(error)
  }
}

/** Settles as the promise does, unless the signal aborts or `timeoutMs` passes first. */
export function until<T>(promise: Promise<T>, options: LimitedOptions): Promise<T> {
  return new Waiting().until(promise, options, (error) => error)
}

/** Settles as the promise does, or resolves after so many milliseconds. */
export function beforeTimeout(promise: Promise<unknown>, ms: number): Promise<unknown> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer))
}

/** Calls `stop` with the reason when the signal aborts or `timeoutMs` passes. Returns a function that ends the watch. */
export function onStop(options: LimitedOptions | undefined, stop: (reason: unknown) => void): () => void {
  if (options === undefined) return () => {}
  const { signal, timeoutMs, limitMs } = options
  const abort = () => stop(signal?.reason)
  if (signal?.aborted) queueMicrotask(abort)
  else signal?.addEventListener('abort', abort)
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => stop(timedOut(limitMs ?? timeoutMs)), Math.min(timeoutMs, maxTimeoutMs))
  return () => {
    signal?.removeEventListener('abort', abort)
    clearTimeout(timer)
  }
}

/** The end of the time that a call may take. */
export interface CallDeadline {
  /** As `performance.now()` counts; earlier once a statement was ended because of it. */
  at: number
  /** The call's `timeoutMs`, which errors name; undefined where {@link withLimit} names it. */
  readonly limitMs: number | undefined
}

/** Returns the deadline of a call that begins now, or the other one when that is earlier. */
export function deadlineOf(
  options: LimitedOptions | undefined,
  other: CallDeadline | undefined,
): CallDeadline | undefined {
  if (options?.timeoutMs === undefined) return other
  const { timeoutMs, limitMs = timeoutMs } = options
  const at = performance.now() + timeoutMs
  return other !== undefined && other.at <= at ? other : { at, limitMs }
}

/** Returns the deadline of several steps under a permit, which has so many milliseconds left; 0: there is none. */
export function deadlineIn(ms: number): CallDeadline | undefined {
  return ms === 0 ? undefined : { at: performance.now() + ms, limitMs: undefined }
}

/** Returns the whole milliseconds until then; 0: there is no deadline. Throws `timeout` when it has passed. */
export function untilDeadline(deadline: CallDeadline | undefined): number {
  if (deadline === undefined) return 0
  const ms = Math.ceil(deadline.at - performance.now())
  if (ms <= 0) throw deadline.limitMs === undefined ? interrupted() : timedOut(deadline.limitMs)
  return ms
}

/** The error of a statement that SQLite interrupts. */
function interrupted(): TidelockError {
  return new TidelockError('timeout', 'The statement exceeded timeoutMs', {
    hint: 'Raise timeoutMs, or do less at once',
    details: { sqliteCode: 'SQLITE_INTERRUPT' },
  })
}

/** Returns `timeout` for a call that took longer than `timeoutMs`. */
export function timedOut(timeoutMs: number): TidelockError {
  return new TidelockError('timeout', `Call exceeded timeoutMs (${timeoutMs} ms)`, {
    hint: 'Raise timeoutMs, or find the call that delays it: a database runs one call at a time',
    details: { timeoutMs },
  })
}

/** Names the limit in the error of a statement that SQLite interrupted, if it has no name yet; returns other errors unchanged. */
export function withLimit(error: unknown, timeoutMs: number | undefined): unknown {
  if (timeoutMs === undefined || !isTidelockError(error, 'timeout')) return error
  if (error.details.sqliteCode === undefined || error.details.timeoutMs !== undefined) return error
  return errorWith(error, { message: `Query exceeded timeoutMs (${timeoutMs} ms)`, details: { timeoutMs } })
}
