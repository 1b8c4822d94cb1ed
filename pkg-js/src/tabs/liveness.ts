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

  /** Notes that a ping is sent. */
  pinged(): void {
    this.#unanswered++
  }

  /** Whether several pings in a row had no answer. */
  get isSuspect(): boolean {
    return this.#unanswered >= 2
  }

  /** Whether another tab should take over. */
  isFrozen(now: number): boolean {
    return this.#unanswered >= 3 && now - this.#receivedAt >= frozenMs
  }

  /** Whether pending calls should be rejected. */
  isUnreachable(now: number): boolean {
    const silent = this.#unanswered >= 2 || this.#receivedAt > this.#servedAt
    return silent && now - this.#servedAt >= this.#timeoutMs
  }
}
