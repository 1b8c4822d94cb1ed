// node benches/browser/run.mjs [SUITE...] [--rounds N] [--json FILE] [--check]
//
// tidelock and its peers in headless Chromium, in turns: medians, and ratios to the fastest peer of each row. README's and
// docs/performance.md's figures come from here. Exits 1 when results differ between engines, and with --check when a ratio is more
// than 15 % worse than benches/baseline.json says.

import { mkdir, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startBrowser } from './browser.mjs'
import { engines } from './engines/index.js'
import { summarize } from './report/ratios.js'
import { tables } from './report/text.js'
import { buildPage, serve } from './server.mjs'
import { suites } from './suites/index.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    scale: { type: 'string', default: '1' },
    json: { type: 'string', default: join(root, '.cache/bench/report.json') },
    check: { type: 'boolean', default: false },
  },
})
const rounds = Number(options.rounds)
if (!(rounds >= 1)) throw new Error('--rounds wants a number of at least 1')
const scale = Number(options.scale)
const names = positionals.length > 0 ? positionals : Object.keys(suites)

let failed = false
const report = { chromium: undefined, cpus: cpus().length, rounds, scale, suites: {} }
const server = await serve(await buildPage())
try {
  for (const name of names) {
    const suite = suites[name]
    if (!suite) throw new Error(`no suite '${name}': there are ${Object.keys(suites).join(', ')}`)
    report.suites[name] = await inBrowser(name, suite)
    console.log(tables(name, report.suites[name]))
    if (report.suites[name].differ.length > 0 || report.suites[name].broken) failed = true
  }
  await mkdir(dirname(options.json), { recursive: true })
  await writeFile(options.json, `${JSON.stringify(report, null, 2)}\n`)
  console.log(`written to ${options.json}`)
} finally {
  await server.close()
}
process.exitCode = failed ? 1 : 0

/** A suite whose rounds run in a page: each engine in a page of its own, in turns. */
async function inBrowser(name, suite) {
  const ids = [...new Set(suite.contests.flatMap(({ ours, peers }) => [ours, ...peers]))]
  const browser = await startBrowser()
  report.chromium = browser.version
  const notRun = {}
  let broken = false
  try {
    const pages = {}
    for (const id of ids) pages[id] = await browser.page(`${server.url}/${engines[id].isolated ? 'isolated/' : ''}`)
    const measured = Object.fromEntries(ids.map((id) => [id, []]))
    for (let round = -1; round < rounds; round++) {
      for (let i = 0; i < ids.length; i++) {
        const id = ids[(i + round + 1) % ids.length]
        if (notRun[id]) continue
        try {
          const result = await pages[id].evaluate(
            ([name, id, scale]) => window.bench.round(name, id, scale),
            [name, id, scale],
          )
          if (round >= 0) measured[id].push(result)
        } catch (error) {
          notRun[id] = String(error.message).split('\n').slice(0, 3).join(' ')
          if (!/is not available in this build/.test(error.message)) broken = true
          delete measured[id]
        }
      }
    }
    const figures = summarize(measured)
    const { title, steps, contests } = suite
    return { title, steps, contests, notRun, broken, ...figures }
  } finally {
    await browser.close()
  }
}
