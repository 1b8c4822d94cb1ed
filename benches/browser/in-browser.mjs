// Runs the suites of suites/ in Chromium: each engine on a page of its own, in turns.

import { startBrowser } from './browser.mjs'
import { engines } from './engines/index.js'
import { summarize } from './report/ratios.js'
import { suites } from './suites/index.js'

/**
 * One round to warm up, then `rounds`, in each of which every engine has its turn, another one first → the suite's report. An engine
 * that fails is out, and told why.
 */
export async function runInBrowser(name, { url, rounds, scale }) {
  const suite = suites[name]
  const ids = suite.engines ?? [...new Set(suite.contests.flatMap(({ ours, peers }) => [ours, ...peers]))]
  const started = []
  const start = async () => {
    const browser = await startBrowser()
    started.push(browser)
    return browser
  }
  const notRun = {}
  const measured = Object.fromEntries(ids.map((id) => [id, []]))
  try {
    const pages = {}
    const shared = suite.fresh ? undefined : await start()
    for (const id of ids) {
      const browser = shared ?? (await start())
      pages[id] = await browser.page(`${url}/${engines[id].isolated ? 'isolated/' : ''}`)
    }
    const attempt = async (id, part) => {
      if (notRun[id]) return undefined
      try {
        return await pages[id].evaluate((given) => window.bench.round(...given), [name, id, scale, part])
      } catch (error) {
        notRun[id] = error.message.replace(/^page.evaluate: /, '').split('\n')[0]
        delete measured[id]
        return undefined
      }
    }
    if (suite.prepare) for (const id of ids) await attempt(id, 'prepare')
    for (let round = -1; round < rounds; round++) {
      for (let i = 0; i < ids.length; i++) {
        const id = ids[(i + round + 1) % ids.length]
        const result = await attempt(id)
        if (result && round >= 0) measured[id].push(result)
      }
    }
  } finally {
    for (const browser of started) await browser.close()
  }
  const figures = summarize(measured)
  suite.derive?.(figures.results)
  const { title, steps, contests, ratios, kept } = suite
  return { title, steps, contests, ratios, kept, notRun, ...figures }
}
