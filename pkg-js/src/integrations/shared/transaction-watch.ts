import { type CallOptions, TidelockError } from '../../index.js'

/** After this time without a call in a transaction, the calls that wait for its end are rejected, in milliseconds. */
const idleMs = 5000

/**
 * Watches the transactions of one query builder. A query on the database waits for the end of an open transaction. Where the function of
 * that transaction awaits the query, both would wait for ever; the watch rejects the query when the transaction makes no calls meanwhile.
 */
export class TransactionWatch {
  /** The number of transactions that are open or about to begin. */
  #expected = 0
  #open = false
  #running = 0
  #lastUsed = 0

  /** Begins a transaction: `begin` gets the options of its call. {@link TransactionWatch.end} must follow. */
  async begin<T>(begin: (options: CallOptions | undefined) => Promise<T>): Promise<T> {
    this.#expected++
    try {
      const transaction = await this.outside(undefined, begin)
      this.#began()
      return transaction
    } catch (error) {
      this.#expected--
      throw error
    }
  }

  /** Notes the end of the open transaction. Must be called before its commit or rollback, after which the next one begins. */
  end(): void {
    this.#expected--
    this.#open = false
  }

  /** Runs `work` in a transaction: `run` gets the work and the options of its call. */
  async transaction<T, Tx>(
    work: (tx: Tx) => Promise<T>,
    run: (work: (tx: Tx) => Promise<T>, options: CallOptions | undefined) => Promise<T>,
  ): Promise<T> {
    this.#expected++
    try {
      return await this.#guard(undefined, (options, stop) =>
        run(async (tx) => {
          stop()
          this.#began()
          try {
            return await work(tx)
          } finally {
            this.#open = false
          }
        }, options),
      )
    } finally {
      this.#expected--
    }
  }

  /** Makes a call in the open transaction. */
  async inside<T>(call: () => Promise<T>): Promise<T> {
    this.#running++
    try {
      return await call()
    } finally {
      this.#running--
      this.#lastUsed = Date.now()
    }
  }

  /**
   * Makes a call that waits for the end of an open transaction: `call` gets its options. Rejects with `timeout` when the call waits for a
   * transaction that has been idle for 5 s.
   */
  outside<T>(signal: AbortSignal | undefined, call: (options: CallOptions | undefined) => Promise<T>): Promise<T> {
    // Most calls find no transaction, and need no timer.
    return this.#expected === 0 ? call(signal && { signal }) : this.#guard(signal, call)
  }

  #began(): void {
    this.#open = true
    this.#lastUsed = Date.now()
  }

  async #guard<T>(
    signal: AbortSignal | undefined,
    call: (options: CallOptions, stop: () => void) => Promise<T>,
  ): Promise<T> {
    const controller = new AbortController()
    const abort = () => controller.abort(signal?.reason)
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort)
    let timer: ReturnType<typeof setTimeout>
    const look = () => {
      // While a transaction is open, the call can't be running: it still waits.
      const isIdle = this.#open && this.#running === 0
      const left = isIdle ? idleMs - (Date.now() - this.#lastUsed) : idleMs
      if (left > 0) timer = setTimeout(look, left)
      else controller.abort(waitedInVain())
    }
    timer = setTimeout(look, idleMs)
    const stop = () => clearTimeout(timer)
    try {
      return await call({ signal: controller.signal }, stop)
    } finally {
      stop()
      signal?.removeEventListener('abort', abort)
    }
  }
}

function waitedInVain(): TidelockError {
  return new TidelockError(
    'timeout',
    `The call waited ${idleMs / 1000} s for an open transaction that makes no calls`,
    {
      hint: 'In the function of a transaction, use its argument for every query, and end each transaction that you began',
    },
  )
}
