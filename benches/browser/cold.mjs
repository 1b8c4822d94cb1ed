// From navigation to the first answer: of a first visit, in a fresh profile, and of later ones, which find the files in the browser's cache and
// the database as it was left. With each answer of the server at once, and after 50 ms. The pages are those of the suite `size`.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startBrowser } from './browser.mjs'
import { median, summarize } from './report/ratios.js'
import { serve } from './server.mjs'
import { buildEntry } from './size.mjs'
import { enginesOf } from './suites/turns.js'

const latency = 50
const laterVisits = 3
/** For what a page does by itself after its answer, the browser's storing of compiled code included. */
const settling = 2500
/** Between two looks at a page, and between a page's end and the next visit: its closing would delay that visit by some ms. */
const pause = 500

const peers = ['official', 'sqljs', 'wa-sqlite-idb']

/** The suite's description, as those of `suites/` are. */
export const cold = {
  title: 'From navigation to the first answer',
  unit: 'ms',
  steps: {
    first: 'a first visit',
    later: 'later visits',
    firstLate: `a first visit, each answer of the server after ${latency} ms`,
    laterLate: `later visits, each answer of the server after ${latency} ms`,
    requests: 'requests of a first visit after the page, number',
  },
  kept: ['first', 'later', 'firstLate', 'laterLate'],
  contests: [
    { name: 'cold', caller: 'on the page', ours: 'tidelock', peers },
    { name: 'migrations', caller: 'on the page', ours: 'tidelock-migrations', peers },
  ],
}

/** The suite's report; of engines that `wanted(id)`. */
export async function measureCold(cache, { rounds, wanted }) {
  const ids = enginesOf(cold).filter(wanted)
  const measured = Object.fromEntries(ids.map((id) => [id, []]))
  const notRun = {}
  for (const id of ids) await buildEntry(id, join(cache, 'size', id))
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < ids.length; i++) {
      const id = ids[(i + round) % ids.length]
      if (notRun[id]) continue
      try {
        const near = await visits(join(cache, 'size', id), 0)
        const far = await visits(join(cache, 'size', id), latency)
        const figures = {
          first: near.first,
          later: near.later,
          firstLate: far.first,
          laterLate: far.later,
          requests: near.requests,
        }
        measured[id].push(Object.fromEntries(Object.entries(figures).map(([step, value]) => [step, { value }])))
      } catch (error) {
        notRun[id] = String(error).split('\n')[0]
        delete measured[id]
      }
    }
  }
  return { ...cold, notRun, ...summarize(measured) }
}

/** Visits a page in a fresh profile → the milliseconds of the first visit and of later ones, and the requests of the first. */
async function visits(folder, delay) {
  const asked = []
  const server = await serve(folder, { delay, onServe: (name) => asked.push(name) })
  const browser = await startBrowser()
  try {
    await visit(browser, 'about:blank', 500)
    const first = await visit(browser, server.url, settling)
    const requests = asked.filter((name) => name !== '/index.html' && name !== '/favicon.ico').length
    const later = []
    for (let i = 0; i < laterVisits; i++) later.push(await visit(browser, server.url, 0))
    return { first, later: median(later), requests }
  } finally {
    await browser.close()
    await server.close()
  }
}

async function visit({ context }, url, settling) {
  const page = await context.newPage()
  try {
    const failure = new Promise((_, reject) => page.once('pageerror', reject))
    failure.catch(() => {})
    await page.goto(url)
    if (url.startsWith('http:')) await Promise.race([answered(page), failure])
    await page.waitForTimeout(settling)
    return await page.evaluate(() => globalThis.doneAt - performance.timeOrigin)
  } finally {
    await page.close()
    await sleep(pause)
  }
}

/** Waits until a page has its answer. The first look is late: the driver's script would take 10 ms from a page that is loading. */
async function answered(page) {
  for (const end = Date.now() + 60_000; Date.now() < end; ) {
    await page.waitForTimeout(pause)
    if (await page.evaluate(() => globalThis.doneAt !== undefined)) return
  }
  throw new Error('The page has no answer after 60 s')
}
