// One round of one engine in one suite, on this thread.

import { engines, load, openHere } from '../engines/index.js'
import { digest } from './digest.js'
import { suites } from './index.js'

/** `{ [step]: { value, digest? } }`. `openRemote` and `round` are there in the page only (engines/remote.js). */
export async function roundHere(suite, engine, scale, part = 'round', { openRemote, round, server } = {}) {
  const { place, lacks = {} } = engines[engine]
  const measured = {}
  const bench = {
    scale,
    engine,
    lacks,
    measured,
    server,
    /** A part of another suite by another engine, on its thread → what `roundHere` gives. */
    round: (suite, engine, part) => round(suite, engine, scale, part),
    /** A database: new when it is in memory, else the stored one of that name. */
    open: (name = 'bench') => (place === 'remote' ? openRemote(engine, name) : openHere(engine, name)),
    /** Times `work`; `check` makes, off the clock, what must be the same for every engine. */
    async step(name, work, check) {
      await settled()
      await globalThis.beforeStep?.(name)
      const start = performance.now()
      const result = await work()
      const value = performance.now() - start
      await globalThis.afterStep?.(name)
      measured[name] = { value, ...(check && { digest: await digest(await check(result)) }) }
      return value
    },
    /** A figure that was measured otherwise. */
    note(name, value) {
      measured[name] = { value }
    },
  }
  if (place === 'page' || place === 'worker') await load(engine)
  await suites[suite][part](bench)
  return measured
}

/** Garbage of the step before isn't this one's to pay for; a turn of the event loop, so that nothing is left over. */
async function settled() {
  globalThis.gc?.()
  await new Promise((resolve) => setTimeout(resolve, 5))
}
