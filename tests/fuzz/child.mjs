// A process that runs the cases of one target, as its parent (watched.mjs) tells it: `{ seed }`, or `{ input }` of the corpus.
import { mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { inspect } from 'node:util'
import { Random } from './random.mjs'

const [name, folder] = process.argv.slice(2)
const say = (message) => new Promise((resolve) => process.send(message, resolve))

/** What went wrong where nobody waits for it. */
let stray
const onStray = (error) => {
  stray ??= error
}
// Without a parent there is nobody to work for.
process.on('disconnect', () => process.exit(1))

const { setUp } = await import(`./targets/${name}.mjs`)
// The process before this one may have been ended in the middle of a case.
rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
const target = await setUp(path.resolve(folder))
// From here on; a target that can't be set up ends the process.
process.on('uncaughtException', onStray)
process.on('unhandledRejection', onStray)
let cases = 0

process.on('message', async ({ seed, input }) => {
  const given = seed === undefined ? input : target.make(new Random(seed))
  // It is read before the case begins, which may end this process.
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
  // The memories of databases that are closed; garbage is none of what is measured.
  if (++cases % 32 === 0) globalThis.gc()
  await say({ ended: true, outcome, failure: failure === undefined ? undefined : (failure.stack ?? inspect(failure)) })
})
await say({ ready: true })
