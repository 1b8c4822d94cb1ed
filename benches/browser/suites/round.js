// One round of one engine in one suite, from the page, on whichever thread the engine's place asks for.

import { engines } from '../engines/index.js'
import { openRemote, startWorker } from '../engines/remote.js'
import { roundHere } from './here.js'

/**
 * Runs it → `{ [step]: { value, digest? } }`. `part`: another function of the suite than `round`, such as a
 * preparation. `server`: the remote of a suite that has one.
 */
export async function round(suite, engine, scale, part, server) {
  if (engines[engine].place !== 'worker') return roundHere(suite, engine, scale, part, { openRemote, round, server })
  const worker = startWorker()
  try {
    const measured = await worker.call({ type: 'round', suite, engine, scale, part, server })
    // What a worker that ends at once would lose, though close() has resolved: wa-sqlite's IDBBatchAtomic stores large commits later.
    if (part === 'prepare') await new Promise((resolve) => setTimeout(resolve, 1000))
    return measured
  } finally {
    worker.end()
  }
}
