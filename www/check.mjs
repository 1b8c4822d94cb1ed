// The main job, driven in headless Chromium as a person would do it, and compared with what PostgreSQL itself says:
// all steps with SQLite in the page, and beside them all with SQLite in a worker, on a remote of their own.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { Browser } from '../tests/e2e/browser.mjs'
import { followsDocs } from './check/docs.mjs'
import { isHealthy, migrates, opens, restores, survivesKill, survivesReload } from './check/local.mjs'
import { addsUpExactly, changesNothing, isExact, keepsLocalEdits, pulls } from './check/pull.mjs'
import { decidesConflicts, pushes } from './check/push.mjs'
import { Run } from './check/run.mjs'
import { refusesSecondTab, sharesTabs, survivesLeader } from './check/tabs.mjs'
import { checkedThreads } from './demo-options.mjs'

const STEPS = [
  ...[opens, migrates, pulls, isExact, addsUpExactly, changesNothing, restores, keepsLocalEdits, survivesReload],
  ...[survivesKill, refusesSecondTab, pushes, decidesConflicts, sharesTabs, survivesLeader, isHealthy, followsDocs],
]
const seconds = (from) => ((performance.now() - from) / 1000).toFixed(2).padStart(6)

/** Runs every step on either thread, prints a line for each → the exit code. `demos`: the page and the remote of each thread. */
export async function check({ demos, shots, cleanups, startedIn }) {
  if (shots) mkdirSync(shots, { recursive: true })
  const started = performance.now()
  const urls = demos.map(({ url }) => `${url}/`).join(' and ')
  console.log(`ok    ${startedIn.padStart(6)} s  all      PostgreSQL, PostgREST and the page are up: ${urls}`)
  const passed = await Promise.all(
    checkedThreads.map((thread, at) => {
      const browser = new Browser({ viewport: { width: 1320, height: 860 } })
      cleanups.push(() => browser.dispose())
      return passes(new Run({ ...demos[at], shots, browser, thread }))
    }),
  )
  if (passed.includes(false)) return 1
  const count = 1 + STEPS.length * checkedThreads.length // with the start
  console.log(`${count} steps passed, 0 failed, in ${seconds(started).trim()} s`)
  if (shots) console.log(`The screenshots are in ${shots}`)
  return 0
}

/** Runs every step → whether all passed. */
async function passes(run) {
  const thread = run.thread.padEnd(7)
  try {
    await run.browser.start()
    for (const step of STEPS) {
      const from = performance.now()
      run.name = step.name
      const said = await step(run)
      console.log(`ok    ${seconds(from)} s  ${thread}  ${said}`)
    }
    assert.deepEqual(run.problems, [], 'the page reported errors')
    await run.browser.close()
    return true
  } catch (error) {
    console.log(`FAIL            ${thread}  ${run.name}: ${error.message}`)
    if (run.problems.length > 0) console.log(run.problems.join('\n'))
    await run.shot('failed').catch(() => {})
    return false
  }
}
