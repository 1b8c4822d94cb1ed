// node benches/browser/run.mjs [--rounds N] [--json FILE] [--check]
//
// tidelock and its peers in one headless Chromium, on one page, in turns: the median of each step, and its ratio to the fastest peer.
// --check exits 1 when a goal is missed; results that differ between engines always do.

import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { cpus, tmpdir } from 'node:os'
import { dirname, extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { chromium } from 'playwright-core'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    json: { type: 'string', default: join(root, '.cache/bench.json') },
    check: { type: 'boolean', default: false },
  },
})
const rounds = Number(options.rounds)
if (!(rounds >= 1)) throw new Error('--rounds wants a number of at least 1')

const folders = {
  '/tidelock/': join(root, 'pkg-js/dist/'),
  '/peers/': join(root, 'benches/browser/node_modules/'),
  '/': join(root, 'benches/browser/page/'),
}
const types = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm' }

const server = createServer(async (request, response) => {
  const path = normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname))
  const prefix = Object.keys(folders).find((prefix) => path.startsWith(prefix))
  const file = join(folders[prefix], path === '/' ? 'index.html' : path.slice(prefix.length))
  const found = await stat(file).catch(() => null)
  if (!found?.isFile()) return response.writeHead(404).end()
  response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream' })
  createReadStream(file).pipe(response)
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))

const profile = await mkdtemp(join(tmpdir(), 'tidelock-bench-'))
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--disable-background-networking',
    '--disable-component-update',
    '--js-flags=--expose-gc',
  ],
})

let failed = false
try {
  const page = await browser.newPage()
  page.on('pageerror', (error) => console.error(`page: ${error}`))
  await page.goto(`http://127.0.0.1:${server.address().port}/`)
  await page.waitForFunction(() => window.bench, null, { timeout: 30_000 })
  const { engines, steps, durable, encryption, large } = await page.evaluate(() => ({ ...window.bench }))

  const memory = await inTurns(engines, (name) => page.evaluate((name) => window.bench.round(name), name))
  const report = { chromium: browser.browser()?.version(), cpus: cpus().length, rounds, memory: {}, durable: {} }
  console.log(`\nin memory, ms, median of ${rounds} (ratio to the fastest peer)`)
  console.log(line(['', ...engines, 'ratio', 'goal']))
  for (const { name: step, goal } of steps) {
    const ms = Object.fromEntries(
      engines.map((engine) => [engine, median(memory[engine].map((round) => round[step].ms))]),
    )
    const digests = new Set(engines.flatMap((engine) => memory[engine].map((round) => round[step].digest)))
    const ratio =
      ms.tidelock / Math.min(...engines.filter((engine) => engine !== 'tidelock').map((engine) => ms[engine]))
    report.memory[step] = { ms, ratio, goal, equal: digests.size === 1 }
    const verdict = goal === undefined ? '' : `${goal} ${ratio <= goal ? 'met' : 'MISSED'}`
    console.log(line([step, ...engines.map((engine) => ms[engine].toFixed(1)), ratio.toFixed(2), verdict]))
    if (digests.size !== 1) {
      failed = true
      console.log(
        `  results differ: ${engines.map((engine) => `${engine} ${memory[engine][0][step].digest}`).join(', ')}`,
      )
    }
    if (options.check && goal !== undefined && ratio > goal) failed = true
  }

  const stored = await inTurns(durable, (name) => page.evaluate((name) => window.bench.durableRound(name), name))
  console.log(`\n500 awaited one-row updates, ms, median of ${rounds} (floor: as many bare IndexedDB transactions)`)
  for (const name of durable) {
    const ms = median(stored[name])
    report.durable[name] = ms
    console.log(line([name, ms.toFixed(1)]))
  }
  const stores = ['official sahpool', 'wa-sqlite AHP', 'wa-sqlite IDB']
  const fastest = Math.min(...stores.map((name) => report.durable[name]))
  const goals = [
    ['relaxed / fastest', report.durable['tidelock relaxed'] / fastest, 0.6],
    ['relaxed / floor', report.durable['tidelock relaxed'] / report.durable['floor relaxed'], 1.5],
  ]
  for (const [name, ratio, goal] of goals) {
    console.log(line([name, ratio.toFixed(2), `${goal} ${ratio <= goal ? 'met' : 'MISSED'}`]))
    if (options.check && ratio > goal) failed = true
  }
  const shared = report.durable['100 at once'] / report.durable['100 one by one']
  console.log(line(['at once / one by one', shared.toFixed(2), `0.1 ${shared <= 0.1 ? 'met' : 'MISSED'}`]))
  if (options.check && shared > 0.1) failed = true

  const sealed = await inTurns(encryption, (name) => page.evaluate((name) => window.bench.encryptionRound(name), name))
  console.log(`\nencryption, ms, median of ${rounds}`)
  console.log(line(['', ...encryption]))
  report.encryption = {}
  for (const step of Object.keys(sealed[encryption[0]][0])) {
    const ms = Object.fromEntries(encryption.map((name) => [name, median(sealed[name].map((round) => round[step]))]))
    report.encryption[step] = ms
    console.log(line([step, ...encryption.map((name) => ms[name].toFixed(2))]))
  }

  await page.evaluate(() => window.bench.makeLarge())
  const few = Math.min(rounds, 3)
  const big = await inTurns(large, (name) => page.evaluate((name) => window.bench.largeRound(name), name), few)
  const of = (name, figure) => median(big[name].map((round) => round[figure]))
  report.large = {
    openAndScan: of('open and scan', 'ms'),
    rawRead: of('raw read', 'ms'),
    memory: of('open and scan', 'memory'),
    ...(await snapshotOfOneRow(page, few)),
  }
  console.log(`\n100 MB, median of ${few}`)
  const figures = [
    ['open + scan / raw', report.large.openAndScan / report.large.rawRead, 1.5],
    ['memory / database', report.large.memory, 1.3],
    ['snapshot: page busy ms', report.large.snapshotBusyMs, 20],
    ['snapshot: stored KB', report.large.snapshotStoredBytes / 1000, 300],
  ]
  for (const [name, figure, goal] of figures) {
    console.log(line([name, figure.toFixed(2), `${goal} ${figure <= goal ? 'met' : 'MISSED'}`]))
    if (options.check && figure > goal) failed = true
  }

  await mkdir(dirname(options.json), { recursive: true })
  await writeFile(options.json, `${JSON.stringify(report, null, 2)}\n`)
  console.log(`\nwritten to ${options.json}`)
} finally {
  await browser.close()
  server.close()
  await rm(profile, { recursive: true, force: true })
}
process.exitCode = failed ? 1 : 0

/** One round to warm up, then the measured ones; in each round every name has its turn, a different one first. */
async function inTurns(names, run, rounds = Number(options.rounds)) {
  const measured = Object.fromEntries(names.map((name) => [name, []]))
  for (let round = -1; round < rounds; round++) {
    for (let i = 0; i < names.length; i++) {
      const name = names[(i + round + names.length) % names.length]
      const result = await run(name)
      if (round >= 0) measured[name].push(result)
    }
  }
  return measured
}

/** How long a snapshot takes the page's thread, less what the page does anyway, and what it stores: medians. */
async function snapshotOfOneRow(page, rounds) {
  const devtools = await page.context().newCDPSession(page)
  await devtools.send('Performance.enable')
  const busy = async () => {
    const { metrics } = await devtools.send('Performance.getMetrics')
    return metrics.find(({ name }) => name === 'TaskDuration').value * 1000
  }
  const measured = []
  for (let round = -1; round < rounds; round++) {
    await page.evaluate(() => window.bench.snapshot.change())
    await page.waitForTimeout(300)
    const before = await busy()
    const { ms, storedBytes } = await page.evaluate(() => window.bench.snapshot.take())
    const after = await busy()
    await page.evaluate((ms) => new Promise((resolve) => setTimeout(resolve, ms)), ms)
    const idle = (await busy()) - after
    if (round >= 0) measured.push({ ms, storedBytes, busyMs: after - before - idle })
  }
  const of = (figure) => median(measured.map((round) => round[figure]))
  return { snapshotMs: of('ms'), snapshotBusyMs: of('busyMs'), snapshotStoredBytes: of('storedBytes') }
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

function line([head, ...cells]) {
  return `${head.padEnd(24)}${cells.map((cell) => cell.padStart(12)).join('')}`
}
