import { isTidelockError } from '../base/errors.js'

/** The codes of a failed opening that may succeed when the network or the storage is available again. */
const transientCodes = ['wasm_load_failed', 'storage_quota_exceeded', 'storage_unavailable', 'storage_blocked'] as const

/** The delay of the first retry, and that of the last ones. */
const [firstDelayMs, maxDelayMs] = [1000, 30_000]

/** Whether a running database may be opened again later, after an opening failed with this error. */
export function isTransient(error: unknown): boolean {
  return transientCodes.some((code) => isTidelockError(error, code))
}

/** When a failed reopening is retried: at the next call, or after a delay, because live queries and the sync make no calls by themselves. */
export class Reopening {
  #delayMs = firstDelayMs
  #timer: ReturnType<typeof setTimeout> | undefined
  #retry: (() => void) | undefined

  /** Whether a retry is due, since a reopening has failed. */
  get isDue(): boolean {
    return this.#retry !== undefined
  }

  /** Calls `retry` later, after a reopening has failed. */
  failed(retry: () => void): void {
    this.cancel()
    this.#retry = retry
    this.#timer = setTimeout(() => {
      this.#delayMs = Math.min(2 * this.#delayMs, maxDelayMs)
      this.retry()
    }, this.#delayMs)
  }

  succeeded(): void {
    this.#delayMs = firstDelayMs
  }

  /** Retries now, if that is due. */
  retry(): void {
    const retry = this.#retry
    this.cancel()
    retry?.()
  }

  cancel(): void {
    clearTimeout(this.#timer)
    this.#retry = undefined
  }
}
