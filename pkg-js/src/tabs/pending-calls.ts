import { errorWith, isTidelockError, TidelockError } from '../base/errors.js'
import { yieldToEventLoop } from '../base/event-loop.js'
import { timedOut } from '../base/waiting.js'
import { Cancelled } from '../rpc/channel.js'
import { remainingMs, type TimeLimit } from '../rpc/protocol.js'
import type { ServingEngine } from './serving-engine.js'

/** A call to a serving engine. */
export interface OutgoingCall<T> {
  readonly signal?: AbortSignal | undefined
  readonly limit?: TimeLimit | undefined
  /** Whether it may write: without an answer it is unknown then whether it was applied. */
  readonly writes?: boolean
  /** Sends the call; `again`: it was sent to another engine before. */
  send(serving: ServingEngine, again: boolean): Promise<T>
  /**
   * Decides, when the engine it was sent to is lost, whether the call may be sent again; otherwise returns the error to reject with.
   * `applied` is false when that engine knew that the call changed nothing.
   */
  onLost(serving: ServingEngine, applied: boolean | undefined): 'again' | TidelockError
  /** Handles an answer that arrives after the call has settled. */
  late?(answer: T, serving: ServingEngine): void
}

interface PendingCall {
  readonly number: number
  sent: boolean
  readonly writes: boolean
  /** Resolves when the call has settled. */
  readonly settled: Promise<void>
  fail(error: unknown): void
}

/**
 * The pending calls of a tab. They are sent to the serving engine in their order, and where it is safe again to the next one. Without a
 * serving engine, they wait.
 */
export class PendingCalls {
  /** How long calls wait for a serving engine, in milliseconds. */
  timeoutMs = 10_000
  /** Called when a call waits. */
  onWait = () => {}
  #serving: ServingEngine | undefined
  readonly #pending = new Set<PendingCall>()
  #waiting: { readonly number: number; resume(): void }[] = []
  /** The error with which all further calls reject. */
  #refused: unknown
  #lastNumber = 0

  /** The serving engine, if there is one. */
  get serving(): ServingEngine | undefined {
    return this.#serving
  }

  /** Sets the serving engine. `first` runs before the waiting calls are sent. */
  async serve(serving: ServingEngine, first: () => void): Promise<void> {
    // Calls that the previous engine has lost must join the queue first: they are older than the waiting ones.
    await yieldToEventLoop()
    if (serving.ended) return
    this.#serving = serving
    first()
    const waiting = this.#waiting.sort((one, other) => one.number - other.number)
    this.#waiting = []
    for (const { resume } of waiting) resume()
  }

  /** Removes the serving engine: further calls wait for the next one. */
  pause(): void {
    this.#serving = undefined
  }

  /** Rejects all pending and further calls with that error: see {@link reject}. */
  refuse(error: unknown): void {
    this.#refused = error
    this.#serving = undefined
    this.reject(error)
  }

  /** Rejects all pending calls with that error; `details.applied` is null for writes that an engine may have applied. */
  reject(error: unknown): void {
    const unknown = isTidelockError(error) ? errorWith(error, { details: { applied: null } }) : error
    for (const pending of [...this.#pending]) pending.fail(pending.sent && pending.writes ? unknown : error)
  }

  /** Counts a transaction, or what follows it, as a call until the promise settles. */
  include(during: Promise<unknown>): void {
    let end = () => {}
    const settled = new Promise<void>((resolve) => {
      end = resolve
    })
    const fail = () => {
      this.#pending.delete(pending)
      end()
    }
    const pending: PendingCall = { number: ++this.#lastNumber, sent: true, writes: false, settled, fail }
    this.#pending.add(pending)
    during.then(fail, fail)
  }

  /** Whether all calls have settled. */
  get areSettled(): boolean {
    return this.#pending.size === 0
  }

  /** Resolves when all calls made so far have settled, or when another engine serves and the waiting ones are sent. */
  async settledOrServed(): Promise<void> {
    const served = new Promise<void>((resume) => this.#waiting.push({ number: Infinity, resume }))
    await Promise.race([served, Promise.all([...this.#pending].map(({ settled }) => settled))])
  }

  /** Rejects all pending calls with `leader_unreachable`. */
  failUnreachable(): void {
    for (const pending of [...this.#pending]) pending.fail(unreachable(pending.sent && pending.writes))
  }

  /** Runs `work` with the serving engine, if there is one: for messages without an answer that concern only this engine. */
  notify(work: (serving: ServingEngine) => void): void {
    if (this.#serving !== undefined) work(this.#serving)
  }

  /**
   * Sends a call. Rejects with the engine's error, with the signal's reason, and with `timeout`, `leader_changed` and `leader_unreachable`.
   */
  call<T>(outgoing: OutgoingCall<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#refused !== undefined) throw this.#refused
      const number = ++this.#lastNumber
      let end = () => {}
      const settled = new Promise<void>((resolve) => {
        end = resolve
      })
      const settle = (work: () => void) => {
        if (!this.#pending.delete(pending)) return false
        work()
        end()
        return true
      }
      const fail = (error: unknown) => void settle(() => reject(error))
      const pending: PendingCall = { number, sent: false, writes: outgoing.writes === true, settled, fail }
      this.#pending.add(pending)
      const { signal } = outgoing
      if (signal !== undefined && outgoing.writes !== true) {
        // A call that only reads can be dropped at once. Whether a write can still be cancelled, only its engine knows.
        const abort = () => fail(signal.reason)
        if (signal.aborted) queueMicrotask(abort)
        else signal.addEventListener('abort', abort)
        void settled.then(() => signal.removeEventListener('abort', abort))
      }
      const attempt = (again: boolean) => {
        if (!this.#pending.has(pending)) return
        const serving = this.#serving
        if (serving === undefined) return this.#wait(pending, outgoing, () => attempt(again))
        pending.sent = true
        outgoing.send(serving, again).then(
          (answer) => settle(() => resolve(answer)) || outgoing.late?.(answer, serving),
          (error) => {
            if (error instanceof Cancelled) return fail(error.reason)
            const lost = serving.isLost(error)
            // The engine is about to close and has not started the call.
            const notStarted = !lost && (error as TidelockError).code === 'closed'
            if (!lost && !notStarted) return fail(error)
            if (notStarted) {
              if (this.#serving === serving) this.#serving = undefined
              return attempt(again)
            }
            const { applied } = isTidelockError(error, 'lock_lost') ? error.details : {}
            const verdict = outgoing.onLost(serving, applied === false ? false : undefined)
            if (verdict !== 'again') return fail(verdict)
            if (this.#serving === serving) this.#serving = undefined
            attempt(true)
          },
        )
      }
      attempt(false)
    })
  }

  #wait(
    pending: PendingCall,
    { signal, limit }: Pick<OutgoingCall<unknown>, 'signal' | 'limit'>,
    resume: () => void,
  ): void {
    const stop = () => {
      signal?.removeEventListener('abort', abort)
      clearTimeout(timer)
    }
    const fail = (error: unknown) => {
      stop()
      pending.fail(error)
    }
    const abort = () => fail(signal?.reason)
    signal?.addEventListener('abort', abort)
    // One timer, not one for each: after a busy time both have ended, and in Node either can come first.
    const left = limit ? remainingMs(limit) : Infinity
    const late = () =>
      limit && left <= this.timeoutMs ? timedOut(limit.timeoutMs) : unreachable(pending.sent && pending.writes)
    const timer = setTimeout(() => fail(late()), Math.min(left, this.timeoutMs))
    if (signal?.aborted) abort()
    this.#waiting.push({
      number: pending.number,
      resume: () => {
        stop()
        resume()
      },
    })
    this.onWait()
  }
}

/** `leader_unreachable`; `unknown`: something was sent that may have been applied. */
export function unreachable(unknown = false): TidelockError {
  return new TidelockError('leader_unreachable', 'The leader tab does not answer', {
    hint: "It may be frozen in the background, or a tab without tabs: 'shared' has taken the database: try again, or close the other tabs of this page",
    details: { applied: unknown ? null : false },
  })
}

/** `leader_changed` for a transaction that was rolled back. */
export function rolledBack(): TidelockError {
  return new TidelockError('leader_changed', 'Transaction was rolled back because another tab became the leader', {
    hint: 'Run the whole transaction again',
    details: { applied: false },
  })
}
