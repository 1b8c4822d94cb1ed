// The main job, driven in headless Chromium as a person would do it, and compared with what PostgreSQL itself says:
// all steps with SQLite in the page, then all of them with SQLite in a worker.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { Browser } from '../tests/e2e/browser.mjs'
import { followsDocs } from './check/docs.mjs'
import { isHealthy, migrates, opens, restores, survivesKill, survivesReload } from './check/local.mjs'
import { addsUpExactly, changesNothing, isExact, keepsLocalEdits, pulls } from './check/pull.mjs'
import { decidesConflicts, pushes } from './check/push.mjs'
import { Run } from './check/run.mjs'
import { refusesSecondTab, sharesTabs, survivesLeader } from './check/tabs.mjs'

const STEPS = [
  ...[opens, migrates, pulls, isExact, addsUpExactly, changesNothing, restores, keepsLocalEdits, survivesReload],
  ...[survivesKill, refusesSecondTab, pushes, decidesConflicts, sharesTabs, survivesLeader, isHealthy, followsDocs],
]
const { TIDELOCK_ALL, TIDELOCK_DEMO_THREAD } = process.env
/** Both, but for the suite's one. */
const THREADS = TIDELOCK_DEMO_THREAD && !TIDELOCK_ALL ? [TIDELOCK_DEMO_THREAD] : ['current', 'worker']

const seconds = (from) => ((performance.now() - from) / 1000).toFixed(2).padStart(6)

/** Runs every step on either thread, prints a line for each → the exit code. */
export async function check({ remote, url, shots, cleanups, startedIn }) {
  if (shots) mkdirSync(shots, { recursive: true })
  const started = performance.now()
  console.log(`ok    ${startedIn.padStart(6)} s  both     PostgreSQL, PostgREST and the page are up: ${url}/`)
  for (const thread of THREADS) {
    const browser = new Browser({ viewport: { width: 1320, height: 860 } })
    cleanups.push(() => browser.dispose())
    const run = new Run({ remote, url, shots, browser, thread })
    try {
      await browser.start()
      for (const step of STEPS) {
        const from = performance.now()
        run.name = step.name
        const said = await step(run)
        console.log(`ok    ${seconds(from)} s  ${thread.padEnd(7)}  ${said}`)
      }
      assert.deepEqual(run.problems, [], 'the page reported errors')
      await browser.close()
    } catch (error) {
      console.log(`FAIL            ${thread.padEnd(7)}  ${run.name}: ${error.message}`)
      if (run.problems.length > 0) console.log(run.problems.join('\n'))
      await run.shot('failed').catch(() => {})
      return 1
    }
  }
  const count = 1 + STEPS.length * THREADS.length // with the start
  console.log(`${count} steps passed, 0 failed, in ${seconds(started).trim()} s`)
  if (shots) console.log(`The screenshots are in ${shots}`)
  return 0
}
