// node benches/browser/run.mjs [SUITE...] [--rounds N] [--json FILE] [--check] [--update] [--engines tidelock,official...] [--scale 0.1]
//
// tidelock and its peers in headless Chromium, in turns: medians, and ratios to the fastest peer of each row. Writes the raw figures as
// JSON and a chart beside it. Exits 1 when results differ between engines or one fails; with --check also when a ratio is more than
// 15 % worse than benches/baseline.json says. --update writes that file, and the tables that update.mjs lists.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startBrowser } from './browser.mjs'
import { measureCold } from './cold.mjs'
import { engines } from './engines/index.js'
import { runInBrowser } from './in-browser.mjs'
import { measureMemory, memory } from './memory.mjs'
import { chart } from './report/chart.js'
import { judge } from './report/goals.js'
import { worse } from './report/ratios.js'
import { asText, goalsAsText } from './report/text.js'
import { buildPage, serve } from './server.mjs'
import { measureSizes, size } from './size.mjs'
import { suites } from './suites/index.js'
import { update } from './update.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const cache = join(root, '.cache/bench')
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    scale: { type: 'string', default: '1' },
    engines: { type: 'string' },
    json: { type: 'string', default: join(cache, 'report.json') },
    check: { type: 'boolean', default: false },
    update: { type: 'boolean', default: false },
  },
})
const rounds = Number(options.rounds)
if (!(rounds >= 1)) throw new Error('--rounds wants a number of at least 1')
const scale = Number(options.scale)
if (!(scale > 0)) throw new Error('--scale wants a number above 0: 1 is the whole work')

// By the name of the file of their adapter.
const modules = options.engines?.split(',')
const wanted = (id) => !modules || modules.includes(engines[id].module ?? id)
const known = new Set(Object.values(engines).map(({ module }) => module))
for (const name of modules ?? []) if (!known.has(name)) throw new Error(`no engine '${name}': there are ${[...known]}`)

/** By name: a function of the served page's address that gives a suite's report. */
const runs = {
  ...Object.fromEntries(
    Object.keys(suites).map((name) => [name, (url) => runInBrowser(name, { url, rounds, scale, wanted })]),
  ),
  memory: async (url) => ({
    ...memory,
    differ: [],
    ...(await measureMemory(startBrowser, { url, rounds, scale, wanted })),
  }),
  cold: () => measureCold(cache, { rounds, wanted }),
  size: async () => {
    const browser = await startBrowser()
    try {
      return { ...size, differ: [], ...(await measureSizes(browser, cache, wanted)) }
    } finally {
      await browser.close()
    }
  },
}
const names = positionals.length > 0 ? positionals : Object.keys(runs).filter((name) => !suites[name]?.byName)
for (const name of names) {
  if (!runs[name]) throw new Error(`no suite '${name}': there are ${Object.keys(runs).join(', ')}`)
}

const report = { chromium: '', cpus: cpus().length, rounds, scale, peers: await peers(), suites: {} }
const server = await serve(await buildPage(join(cache, 'page')))
const started = performance.now()
try {
  for (const name of names) {
    const from = performance.now()
    report.suites[name] = await runs[name](server.url)
    console.log(asText(report.suites[name]))
    console.log(`(${name}: ${seconds(from)})`)
  }
} finally {
  await server.close()
}
report.chromium = await version()

const judged = judge(report)
if (judged.length > 0) console.log(goalsAsText(judged))
let failed = broken()
await mkdir(dirname(options.json), { recursive: true })
await writeFile(options.json, `${JSON.stringify(report, null, 2)}\n`)
const picture = options.json.replace(/(\.json)?$/, '.svg')
await writeFile(picture, chart(report))
console.log(`\n${seconds(started)}; written: ${options.json}, ${picture}`)
if (options.update) await update(root, report)
if (options.check) failed = (await gotWorse()) || failed
process.exitCode = failed ? 1 : 0

/** Results that differ, or an engine that failed; that this build lacks an option is a fact, not a failure. */
function broken() {
  return Object.values(report.suites).some(
    ({ differ, notRun }) =>
      differ.length > 0 ||
      Object.values(notRun).some((why) => !/is not available in this build|on Linux only/.test(why)),
  )
}

async function gotWorse() {
  const text = await readFile(join(root, 'benches/baseline.json'), 'utf8').catch(() => undefined)
  if (!text) throw new Error('there is no benches/baseline.json yet: --update writes it')
  const { ratios } = JSON.parse(text)
  const found = worse(report, ratios)
  for (const { name, was, is } of found) {
    console.log(`WORSE: ${name}: ${is.toFixed(3)} to the fastest peer, ${was.toFixed(3)} in benches/baseline.json`)
  }
  if (found.length === 0) console.log('nothing is more than 15 % worse than benches/baseline.json says')
  return found.length > 0
}

/** The peers' versions, as their lock file has them. */
async function peers() {
  const { dependencies } = JSON.parse(await readFile(new URL('./package.json', import.meta.url), 'utf8'))
  return dependencies
}

async function version() {
  const browser = await startBrowser()
  await browser.close()
  return browser.version
}

function seconds(from) {
  return `${((performance.now() - from) / 1000).toFixed(0)} s`
}
