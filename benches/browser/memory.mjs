// The most memory that a page takes while it makes a database of 50 MB, and in a new browser while it opens and reads it: what the
// system says of the renderer's process at its peak (the page, its workers, their wasm), less that of a page without an engine.

import { readFile } from 'node:fs/promises'
import { engines } from './engines/index.js'
import { median } from './report/ratios.js'
import { enginesOf } from './suites/turns.js'

const scale = 0.5 // of the 100 MB that `durable` makes

const peers = ['official-sahpool', 'wa-sqlite-ahp', 'wa-sqlite-idb', 'sqlocal-opfs', 'turso-opfs']

/** The suite's description, as those of `suites/` are. */
export const memory = {
  title: 'Memory at its peak, a database of 50 MB',
  unit: 'MB',
  steps: { making: 'making it', reading: 'opening and reading it' },
  contests: [
    {
      name: 'memory',
      caller: 'where the engine’s documentation puts it',
      ours: 'tidelock-relaxed',
      peers,
    },
    {
      name: 'opfs',
      caller: 'on the page, tidelock over OPFS in its worker',
      ours: 'tidelock-opfs',
      beside: ['tidelock-opfs-page', 'tidelock-opfs-inside'],
      peers,
    },
    {
      name: 'worker',
      caller: 'on the page, the engine in a worker',
      ours: 'tidelock-worker-relaxed',
      peers: ['sqlocal-opfs'],
    },
  ],
}

/** → `results[step][engine]` in MB, and what wasn't run. `startBrowser(profile?)` as in browser.mjs. */
export async function measureMemory(startBrowser, { url, rounds, scale: factor, wanted }) {
  if (process.platform !== 'linux') return { results: {}, notRun: { 'tidelock-relaxed': 'measured on Linux only' } }
  const ids = enginesOf(memory).filter(wanted)
  const results = { making: {}, reading: {} }
  const notRun = {}
  for (const id of ids) {
    const address = `${url}/${engines[id].isolated ? 'isolated/' : ''}`
    const first = await startBrowser()
    try {
      const making = await peak(first, address, [id, 'prepare', scale * factor])
      await first.stop()
      const reading = []
      for (let round = 0; round < Math.min(rounds, 3); round++) {
        const next = await startBrowser(first.profile)
        try {
          reading.push(await peak(next, address, [id, 'read', scale * factor]))
        } finally {
          await next.stop()
        }
      }
      results.making[id] = { median: making, min: making, samples: [making] }
      results.reading[id] = { median: median(reading), min: Math.min(...reading), samples: reading }
    } catch (error) {
      notRun[id] = error.message.split('\n')[0]
    } finally {
      await first.close()
    }
  }
  return { results, notRun }
}

/** Does a part of the suite `durable` in a page of its own → the peak in MB over what the page had before. */
async function peak(browser, address, [id, part, scale]) {
  const page = await browser.page(address)
  const before = await largestRenderer(browser)
  await page.evaluate(([id, part, scale]) => window.bench.round('durable', id, scale, part), [id, part, scale])
  return (await largestRenderer(browser)) - before
}

/** Peak resident memory of the largest of a browser's renderers, in MB. */
async function largestRenderer(browser) {
  const devtools = await browser.context.browser().newBrowserCDPSession()
  const { processInfo } = await devtools.send('SystemInfo.getProcessInfo')
  await devtools.detach()
  const sizes = processInfo
    .filter(({ type }) => type === 'renderer')
    .map(async ({ id }) => {
      const status = await readFile(`/proc/${id}/status`, 'utf8').catch(() => '')
      return Number(/VmHWM:\s*(\d+)/.exec(status)?.[1] ?? 0) / 1024
    })
  return Math.max(0, ...(await Promise.all(sizes)))
}
