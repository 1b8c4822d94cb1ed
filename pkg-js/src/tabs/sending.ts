import { TidelockError } from '../base/errors.js'
import { timedOut } from '../base/waiting.js'
import { GivenUp } from '../rpc/channel.js'
import { breath } from '../rpc/event-loop.js'
import { type Limit, left } from '../rpc/protocol.js'
import type { Serving } from './serving.js'

/** A call on its way. */
export interface Sending<T> {
  readonly signal?: AbortSignal | undefined
  readonly limit?: Limit | undefined
  /** It may write: when nobody answers, nobody knows whether it did. */
  readonly writes?: boolean
  /** Sends it; `again`: to another one than before. */
  send(serving: Serving, again: boolean): Promise<T>
  /** Whether it may be sent again when whoever had it is lost; else the error that says why not. */
  onLost(serving: Serving): 'again' | TidelockError
  /** An answer that nobody waits for any more. */
  late?(answer: T, serving: Serving): void
}

interface Pending {
  readonly number: number
  sent: boolean
  readonly writes: boolean
  /** Resolves at its end, whatever that is. */
  readonly over: Promise<void>
  fail(error: unknown): void
}

/**
 * The calls of a tab, on their way to whoever serves it: in their order, and again to the next one where that does no harm. While nobody
 * serves, they wait.
 */
export class Sendings {
  /** How long calls wait for somebody to serve them. */
  timeoutMs = 10_000
  #serving: Serving | undefined
  readonly #pending = new Set<Pending>()
  #waiting: { readonly number: number; go(): void }[] = []
  /** Why nothing is sent any more. */
  #refused: unknown
  #numbers = 0

  /** Who serves, if anybody does. */
  get serving(): Serving | undefined {
    return this.#serving
  }

  /** Somebody serves from now on. `first` is asked before all that waits. */
  async serve(serving: Serving, first: () => void): Promise<void> {
    // What the one before was asked comes back first, and is older than what waits.
    await breath()
    if (serving.ended) return
    this.#serving = serving
    first()
    const waiting = this.#waiting.sort((one, other) => one.number - other.number)
    this.#waiting = []
    for (const { go } of waiting) go()
  }

  /** Nobody serves for the present. */
  pause(): void {
    this.#serving = undefined
  }

  /** Every call rejects with that error, now and later. */
  refuse(error: unknown): void {
    this.#refused = error
    this.#serving = undefined
    for (const pending of [...this.#pending]) pending.fail(error)
  }

  /** Resolves when what was called up to now is over. */
  async settled(): Promise<void> {
    await Promise.all([...this.#pending].map(({ over }) => over))
  }

  /** Nobody answers: those who wait are told so. */
  giveUp(): void {
    for (const pending of [...this.#pending]) pending.fail(unreachable(pending.sent && pending.writes))
  }

  /** Something that needs no answer, and has no meaning for anybody else. */
  tell(work: (serving: Serving) => void): void {
    if (this.#serving !== undefined) work(this.#serving)
  }

  /**
   * Sends a call. Rejects with what it rejects with there, with its signal's reason, and with `timeout`, `leader_changed` and
   * `leader_unreachable`.
   */
  call<T>(given: Sending<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#refused !== undefined) throw this.#refused
      const number = ++this.#numbers
      let end = () => {}
      const over = new Promise<void>((resolve) => {
        end = resolve
      })
      const settle = (work: () => void) => {
        if (!this.#pending.delete(pending)) return false
        work()
        end()
        return true
      }
      const fail = (error: unknown) => void settle(() => reject(error))
      const pending: Pending = { number, sent: false, writes: given.writes === true, over, fail }
      this.#pending.add(pending)
      const { signal } = given
      if (signal !== undefined && given.writes !== true) {
        // Nothing is lost with the answer. Whether a write came too late for that, only its engine knows.
        const abort = () => fail(signal.reason)
        if (signal.aborted) queueMicrotask(abort)
        else signal.addEventListener('abort', abort)
        void over.then(() => signal.removeEventListener('abort', abort))
      }
      const attempt = (again: boolean) => {
        if (!this.#pending.has(pending)) return
        const serving = this.#serving
        if (serving === undefined) return this.#wait(pending, given, () => attempt(again))
        pending.sent = true
        given.send(serving, again).then(
          (answer) => settle(() => resolve(answer)) || given.late?.(answer, serving),
          (error) => {
            if (error instanceof GivenUp) return fail(error.reason)
            const lost = serving.isLost(error)
            // It was about to stop, and has not begun with it.
            const turnedAway = !lost && (error as TidelockError).code === 'closed'
            if (!lost && !turnedAway) return fail(error)
            if (turnedAway) {
              if (this.#serving === serving) this.#serving = undefined
              return attempt(again)
            }
            const verdict = given.onLost(serving)
            if (verdict !== 'again') return fail(verdict)
            if (this.#serving === serving) this.#serving = undefined
            attempt(true)
          },
        )
      }
      attempt(false)
    })
  }

  #wait(pending: Pending, { signal, limit }: Pick<Sending<unknown>, 'signal' | 'limit'>, go: () => void): void {
    const stop = () => {
      signal?.removeEventListener('abort', abort)
      clearTimeout(timer)
      clearTimeout(deadline)
    }
    const fail = (error: unknown) => {
      stop()
      pending.fail(error)
    }
    const abort = () => fail(signal?.reason)
    signal?.addEventListener('abort', abort)
    const timer = setTimeout(() => fail(unreachable(pending.sent && pending.writes)), this.timeoutMs)
    const deadline = limit && setTimeout(() => fail(timedOut(limit.timeoutMs)), left(limit))
    if (signal?.aborted) abort()
    this.#waiting.push({
      number: pending.number,
      go: () => {
        stop()
        go()
      },
    })
  }
}

/** `leader_unreachable`; `unknown`: something was sent that may have been applied. */
export function unreachable(unknown = false): TidelockError {
  return new TidelockError('leader_unreachable', 'The tab that has the database does not answer', {
    hint: 'It may be frozen in the background: try again, or close the other tabs of this page',
    details: { applied: unknown ? null : false },
  })
}

/** `leader_changed`, when what was under way was rolled back. */
export function rolledBack(): TidelockError {
  return new TidelockError('leader_changed', 'Another tab leads now: this transaction was rolled back', {
    hint: 'Run the whole transaction again',
    details: { applied: false },
  })
}
