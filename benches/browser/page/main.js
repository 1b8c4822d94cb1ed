// The page's side: run.mjs calls these one by one, so that it decides on the order.

import { durable } from './durable.js'
import { encryption } from './encryption.js'
import { engines } from './engines.js'
import { large, makeLarge, snapshot } from './large.js'
import { makeRows, schema, steps } from './workload.js'

const rows = makeRows()

window.bench = {
  engines: Object.keys(engines),
  steps: steps.map(({ name, goal }) => ({ name, goal })),
  durable: Object.keys(durable),
  encryption: Object.keys(encryption),
  large: Object.keys(large),

  /** All steps of one engine on a fresh database: `{ [step]: { ms, digest } }`. */
  async round(name) {
    const engine = await engines[name]()
    await engine.exec(schema)
    const measured = {}
    for (const step of steps) {
      globalThis.gc?.()
      const start = performance.now()
      const result = await step.run(engine, rows)
      const ms = performance.now() - start
      measured[step.name] = { ms, digest: await digest(await step.check(engine, result)) }
    }
    await engine.close()
    return measured
  },

  async durableRound(name) {
    globalThis.gc?.()
    return durable[name]()
  },

  makeLarge,
  snapshot,

  /** Figures by name. */
  async largeRound(name) {
    globalThis.gc?.()
    return large[name]()
  },

  /** Milliseconds by step. */
  async encryptionRound(name) {
    globalThis.gc?.()
    return encryption[name]()
  },
}

async function digest(text) {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  return Array.from(hash.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
