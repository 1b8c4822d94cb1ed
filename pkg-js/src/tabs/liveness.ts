/** A leader that is silent for this long counts as frozen. */
const frozenMs = 3000

/**
 * Decides when a leader that doesn't answer counts as frozen or unreachable. It counts unanswered pings as well as time: a follower that was
 * itself suspended finds much time passed, while the answers still wait in its message queue.
 */
export class Liveness {
  readonly #timeoutMs: number
  #receivedAt: number
  #servedAt: number
  #unanswered = 0

  /** `timeoutMs`: a leader that serves this tab no more counts as unreachable after that time. Times are in milliseconds of one clock. */
  constructor(timeoutMs: number, now: number) {
    this.#timeoutMs = timeoutMs
    this.#receivedAt = now
    this.#servedAt = now
  }

  /** Notes a message of a leader, or of a tab that is about to lead; `serves`: it serves this tab. */
  received(now: number, serves: boolean): void {
    this.#receivedAt = now
    this.#unanswered = 0
    if (serves) this.#servedAt = now
  }

  /** Notes that the leader opens its engine, which counts as serving this tab as long as it answers. */
  opens(): void {
    this.#servedAt = this.#receivedAt
  }

  /** Notes that a ping is sent. */
  pinged(): void {
    this.#unanswered++
  }

  /** Whether several pings in a row had no answer. */
  get isSuspect(): boolean {
    return this.#unanswered >= 2
  }

  /** Whether a leader answers that doesn't serve this tab yet. */
  get isNotServed(): boolean {
    return this.#receivedAt > this.#servedAt
  }

  /** Whether another tab should take over; `isOpening`: the leader opens its engine, which may block its thread for long. */
  isFrozen(now: number, isOpening: boolean): boolean {
    const limit = isOpening ? Math.max(frozenMs, this.#timeoutMs) : frozenMs
    return this.#unanswered >= 3 && now - this.#receivedAt >= limit
  }

  /** Whether pending calls and the opening should be rejected. */
  isUnreachable(now: number): boolean {
    return (this.isSuspect || this.isNotServed) && now - this.#servedAt >= this.#timeoutMs
  }
}
