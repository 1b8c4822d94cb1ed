// What a user downloads: a page that opens a database and asks one thing, built by Vite for production, and every file that Chromium
// then asks for, compressed as a server would. Until the answer; and with what follows by itself within some seconds.

import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import { build } from 'vite'
import { serve } from './server.mjs'
import { enginesOf } from './suites/turns.js'

const here = fileURLToPath(new URL('.', import.meta.url))

/** The suite's description, as those of `suites/` are. */
export const size = {
  title: 'Download, a first visit',
  unit: 'KB',
  steps: {
    firstGzip: 'until the first answer, gzip',
    settledGzip: 'with what follows by itself, gzip',
    settledBrotli: 'with what follows by itself, brotli',
    wasmGzip: 'of that wasm and data, gzip',
    scriptGzip: 'of that JavaScript, gzip',
  },
  kept: ['firstGzip', 'settledGzip', 'settledBrotli'],
  contests: [
    {
      name: 'download',
      caller: 'on the page',
      ours: 'tidelock',
      peers: ['official', 'sqljs', 'wa-sqlite', 'wa-sqlite-plain', 'sqlocal', 'pglite', 'turso'],
    },
    { name: 'worker', caller: 'on the page, the engine in a worker', ours: 'tidelock-worker', peers: ['sqlocal'] },
  ],
}

/** The sizes of the engines that `wanted(id)` → `results[step][engine]` in KB, the files by engine, and what wasn't run. */
export async function measureSizes(browser, cache, wanted) {
  const results = Object.fromEntries(Object.keys(size.steps).map((step) => [step, {}]))
  const files = {}
  const notRun = {}
  for (const id of enginesOf(size).filter(wanted)) {
    const folder = join(cache, 'size', id)
    await buildEntry(id, folder)
    const served = new Map() // when each file was asked for
    const server = await serve(folder, { onServe: (name) => served.set(name, served.get(name) ?? Date.now()) })
    try {
      const page = await browser.context.newPage()
      const failure = new Promise((_, reject) => page.once('pageerror', reject))
      await page.goto(`${server.url}/isolated/`)
      const done = page.waitForFunction(() => window.doneAt, null, { timeout: 60_000 })
      const doneAt = await (await Promise.race([done, failure])).jsonValue()
      await page.waitForTimeout(3000)
      await page.close()
      files[id] = await weigh(served, folder, doneAt, cache)
    } catch (error) {
      notRun[id] = String(error).split('\n')[0]
      continue
    } finally {
      await server.close()
    }
    const sum = (figure, which = () => true) =>
      files[id].filter(which).reduce((total, file) => total + file[figure], 0) / 1000
    const isScript = ({ name }) => /\.m?js$/.test(name)
    const figures = {
      firstGzip: sum('gzip', ({ first }) => first),
      settledGzip: sum('gzip'),
      settledBrotli: sum('brotli'),
      wasmGzip: sum('gzip', (file) => !isScript(file)),
      scriptGzip: sum('gzip', isScript),
    }
    for (const [step, kb] of Object.entries(figures)) results[step][id] = { median: kb, min: kb, samples: [kb] }
  }
  return { results, files, notRun }
}

/** Builds the page of an engine into a folder. */
export async function buildEntry(id, outDir) {
  const entry = {
    name: 'entry',
    enforce: 'pre',
    resolveId: (name) => (name.endsWith('/entry.js') ? join(here, `size/${id}.js`) : undefined),
  }
  await build({
    root: join(here, 'size'),
    base: './',
    logLevel: 'error',
    plugins: [entry],
    worker: { format: 'es' },
    build: { outDir, emptyOutDir: true, target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  })
}

/** The files but the page itself: `{ name, first, raw, gzip, brotli }` in bytes. Compressing takes a while: what it gave is kept. */
async function weigh(served, folder, doneAt, cache) {
  const file = join(cache, 'compressed.json')
  const known = JSON.parse(await readFile(file, 'utf8').catch(() => '{}'))
  const weighed = []
  for (const [name, at] of served) {
    if (name.endsWith('.html')) continue
    const bytes = await readFile(join(folder, name))
    const key = createHash('sha256').update(bytes).digest('hex')
    known[key] ??= {
      gzip: (await promisify(gzip)(bytes, { level: 9 })).length,
      brotli: (await promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } })).length,
    }
    weighed.push({ name: name.replace(/^\/assets\//, ''), first: at <= doneAt, raw: bytes.length, ...known[key] })
  }
  await mkdir(cache, { recursive: true })
  await writeFile(file, JSON.stringify(known))
  return weighed
}
