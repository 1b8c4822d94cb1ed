// Runs the suites of suites/ in Chromium: each engine on a page of its own, in a profile of its own where the suite asks for it.

import { startBrowser } from './browser.mjs'
import { engines } from './engines/index.js'
import { suites } from './suites/index.js'
import { enginesOf, takeTurns } from './suites/turns.js'
import { startSyncServer } from './sync-server.mjs'

/** The suite's report; of engines that `wanted(id)`. */
export async function runInBrowser(name, { url, rounds, scale, wanted }) {
  const suite = suites[name]
  const started = []
  const server = suite.server ? await startSyncServer(scale * Number(suite.server)) : undefined
  const start = async () => {
    const browser = await startBrowser()
    started.push(browser)
    return browser
  }
  try {
    const ids = enginesOf(suite).filter(wanted)
    const pages = {}
    const shared = suite.fresh ? undefined : await start()
    for (const id of ids) {
      const browser = shared ?? (await start())
      pages[id] = await browser.page(`${url}/${engines[id].isolated ? 'isolated/' : ''}`)
    }
    const run = async (id, part) => {
      await server?.reset()
      return pages[id].evaluate((given) => window.bench.round(...given), [name, id, scale, part, server?.given])
    }
    return await takeTurns(suite, { rounds, run, ids })
  } finally {
    for (const browser of started) await browser.close()
    await server?.stop()
  }
}
