/** A leader that says nothing for so long is taken for frozen. */
export const frozenMs = 3000

/**
 * How long a follower bears with a leader that doesn't answer. It counts unanswered questions besides time: a tab that was asleep itself
 * finds much time passed, and the answers still in its line of messages.
 */
export class Patience {
  readonly #timeoutMs: number
  #heardAt: number
  #servedAt: number
  #unanswered = 0

  /** `timeoutMs`: after so long the leader counts as unreachable. Times are in milliseconds of one clock. */
  constructor(timeoutMs: number, now: number) {
    this.#timeoutMs = timeoutMs
    this.#heardAt = now
    this.#servedAt = now
  }

  /** Somebody who leads, or is about to, said something; `serves`: it serves this tab. */
  heard(now: number, serves: boolean): void {
    this.#heardAt = now
    this.#unanswered = 0
    if (serves) this.#servedAt = now
  }

  /** Another question is about to go out. */
  asks(): void {
    this.#unanswered++
  }

  /** Whether several questions in a row had no answer. */
  get isDoubtful(): boolean {
    return this.#unanswered >= 2
  }

  /** Whether somebody else should lead. */
  isFrozen(now: number): boolean {
    return this.#unanswered >= 3 && now - this.#heardAt >= frozenMs
  }

  /** Whether nobody should be kept waiting any longer. */
  isUnreachable(now: number): boolean {
    const silent = this.#unanswered >= 2 || this.#heardAt > this.#servedAt
    return silent && now - this.#servedAt >= this.#timeoutMs
  }
}
