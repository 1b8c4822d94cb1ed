import { TidelockError } from '../base/errors.js'

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

/** Returns the error that ends a database after too many crashes. */
export function tooManyCrashes(cause: unknown): TidelockError {
  const message = `More than ${maxCrashes} workers of this database crashed within ${withinMs / 1000} s`
  return new TidelockError('worker_crashed', message, {
    hint: 'The database is closed, with all acknowledged writes. Find the cause, for example too little memory, and open it again',
    details: { applied: null },
    cause,
  })
}
