// node benches/browser/profile.mjs [SUITE/STEP] [--engine ID] [--rounds N] [--top N]
//
// Chrome's profiler over a step (app/groups by default) of an engine (tidelock) on its page's thread: the functions by the time spent
// in themselves, and the last round's profile as a .cpuprofile for Chrome's developer tools. For tidelock, scripts/profile.sh puts
// the package with names into .cache/profile/dist.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startBrowser } from './browser.mjs'
import { engines } from './engines/index.js'
import { buildPage, serve } from './server.mjs'
import { suites } from './suites/index.js'
import { startSyncServer } from './sync-server.mjs'

const cache = fileURLToPath(new URL('../../.cache/profile', import.meta.url))
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    engine: { type: 'string', default: 'tidelock' },
    rounds: { type: 'string', default: '5' },
    top: { type: 'string', default: '40' },
  },
})
const [suite, wanted] = (positionals[0] ?? 'app/groups').split('/')
const steps = Object.keys(suites[suite]?.steps ?? {})
if (!steps.includes(wanted)) {
  const known = suites[suite] ? `${suite} has ${steps.join(', ')}` : `the suites are ${Object.keys(suites).join(', ')}`
  throw new Error(`no step '${positionals[0]}': ${known}`)
}
const { place, isolated } = engines[options.engine] ?? {}
if (place !== 'page') throw new Error(`${options.engine} isn't an engine on the page's thread`)

const server = await serve(await buildPage(join(cache, 'page'), join(cache, 'dist')))
const browser = await startBrowser()
const remote = suites[suite].server ? await startSyncServer(1) : undefined
try {
  const page = await browser.page(`${server.url}/${isolated ? 'isolated/' : ''}`)
  const devtools = await browser.context.newCDPSession(page)
  await devtools.send('Profiler.enable')
  await devtools.send('Profiler.setSamplingInterval', { interval: 100 })
  const self = new Map()
  let total = 0
  let last
  let counting = false
  await page.exposeFunction('beforeStep', async (step) => {
    if (String(step) === wanted) await devtools.send('Profiler.start')
  })
  await page.exposeFunction('afterStep', async (step) => {
    if (String(step) !== wanted) return
    const { profile } = await devtools.send('Profiler.stop')
    if (!counting) return
    last = profile
    const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
    profile.samples.forEach((id, i) => {
      const { functionName, url } = nodes.get(id).callFrame
      if (functionName === '(idle)' || functionName === '(program)') return
      const file =
        url
          .split('/')
          .at(-1)
          ?.replace(/-[\w-]{8}(\.\w+)$/, '$1') || 'native'
      const where = file.endsWith('_bg.wasm') ? '' : ` (${file})`
      const name = (functionName || '(anonymous)') + where
      const ms = profile.timeDeltas[i] / 1000
      self.set(name, (self.get(name) ?? 0) + ms)
      total += ms
    })
  })
  // The first rounds compile: V8 makes its best code only of what has run for a while.
  for (let round = -2; round < Number(options.rounds); round++) {
    counting = round >= 0
    await remote?.reset()
    const given = [suite, options.engine, 1, undefined, remote?.given]
    await page.evaluate((given) => window.bench.round(...given), given)
  }
  const rows = [...self].sort(([, a], [, b]) => b - a).slice(0, Number(options.top))
  console.log(
    `${positionals[0] ?? 'app/groups'}, ${engines[options.engine].label}: ${(total / options.rounds).toFixed(1)} ms a round\n`,
  )
  console.log('self ms      %  function')
  for (const [name, ms] of rows) {
    const cells = [(ms / options.rounds).toFixed(2).padStart(7), ((100 * ms) / total).toFixed(1).padStart(5)]
    console.log(`${cells.join('  ')}  ${name}`)
  }
  await mkdir(cache, { recursive: true })
  const file = join(cache, `${suite}-${wanted}-${options.engine}.cpuprofile`)
  await writeFile(file, JSON.stringify(last))
  console.log(`\nwritten to ${file}`)
} finally {
  await browser.close()
  await server.close()
  await remote?.stop()
}
