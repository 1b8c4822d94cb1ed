/** More crashes than this within that time end the database: a cause that kills each new worker must not loop for ever. */
const [maxCrashes, withinMs] = [5, 60_000]

/** Counts the crashes of one database's workers. */
export class CrashLimiter {
  #times: number[] = []

  /** Records a crash; returns whether the limit is exceeded. */
  record(): boolean {
    const now = Date.now()
    this.#times = [...this.#times.filter((time) => time >= now - withinMs), now]
    return this.#times.length > maxCrashes
  }
}
