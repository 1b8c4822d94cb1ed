/** So many deaths within that time are one too many: what kills each worker anew must not go on for ever. */
const [maxDeaths, withinMs] = [5, 60_000]

/** The deaths of one database's workers. */
export class Deaths {
  #times: number[] = []

  /** Notes another one; whether it is one too many. */
  note(): boolean {
    const now = Date.now()
    this.#times = [...this.#times.filter((time) => time >= now - withinMs), now]
    return this.#times.length > maxDeaths
  }
}
