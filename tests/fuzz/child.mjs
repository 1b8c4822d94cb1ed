// A process that runs the cases of one target for its parent (watched.mjs): `{ seed }`, or `{ input }` of the corpus.
import { mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { inspect } from 'node:util'
import { Random } from './random.mjs'

const [name, folder] = process.argv.slice(2)
const say = (message) => new Promise((resolve) => process.send(message, resolve))

/** The first uncaught error or unhandled rejection. */
let stray
const onStray = (error) => {
  stray ??= error
}
// Ends with its parent.
process.on('disconnect', () => process.exit(1))

const { setUp } = await import(`./targets/${name}.mjs`)
// The previous process may have been killed in the middle of a case.
rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
const target = await setUp(path.resolve(folder))
// Registered after the setup, so that an error in the setup ends the process.
process.on('uncaughtException', onStray)
process.on('unhandledRejection', onStray)
let cases = 0

process.on('message', async ({ seed, input }) => {
  const given = seed === undefined ? input : target.make(new Random(seed))
  // Sent before the case begins, because the case may end this process.
  await say({ input: given })
  let failure
  let outcome
  try {
    outcome = await target.run(given)
  } catch (error) {
    failure = error
  }
  await new Promise((resolve) => setImmediate(resolve))
  failure ??= stray
  stray = undefined
  // Collects the wasm memories of closed databases, which must not count as memory of a case.
  if (++cases % 32 === 0) globalThis.gc()
  await say({ ended: true, outcome, failure: failure === undefined ? undefined : (failure.stack ?? inspect(failure)) })
})
await say({ ready: true })
