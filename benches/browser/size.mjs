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

/** The sizes of some engines (all by default) → `results[step][engine]` in KB, the files by engine, and what wasn't run. */
export async function measureSizes(browser, cache, ids) {
  const all = [...new Set(size.contests.flatMap(({ ours, peers }) => [ours, ...peers]))]
  const results = Object.fromEntries(Object.keys(size.steps).map((step) => [step, {}]))
  const files = {}
  const notRun = {}
  for (const id of ids ?? all) {
    const folder = join(cache, 'size', id)
    await buildEntry(id, folder)
    const served = []
    const server = await serve(folder, { onServe: (name) => served.push(name) })
    try {
      const page = await browser.context.newPage()
      let failure
      page.on('pageerror', (error) => {
        failure = error
      })
      await page.goto(`${server.url}/isolated/`)
      for (let i = 0; i < 600 && !failure && (await page.title()) !== 'done'; i++) await page.waitForTimeout(100)
      if (failure || (await page.title()) !== 'done') {
        notRun[id] = String(failure ?? 'no answer within a minute').split('\n')[0]
        continue
      }
      const first = new Set(served)
      await page.waitForTimeout(3000)
      await page.close()
      files[id] = await weigh([...new Set(served)], folder, first, cache)
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

async function buildEntry(id, outDir) {
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
    build: { outDir, emptyOutDir: true, target: 'es2022', assetsInlineLimit: 0, modulePreload: false },
  })
}

/** The files but the page itself: `{ name, first, raw, gzip, brotli }` in bytes. Compressing takes a while: what it gave is kept. */
async function weigh(names, folder, first, cache) {
  const file = join(cache, 'compressed.json')
  const known = JSON.parse(await readFile(file, 'utf8').catch(() => '{}'))
  const weighed = []
  for (const name of names.filter((one) => !one.endsWith('.html'))) {
    const bytes = await readFile(join(folder, name))
    const key = createHash('sha256').update(bytes).digest('hex')
    known[key] ??= {
      gzip: (await promisify(gzip)(bytes, { level: 9 })).length,
      brotli: (await promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } })).length,
    }
    weighed.push({ name: name.replace(/^\/assets\//, ''), first: first.has(name), raw: bytes.length, ...known[key] })
  }
  await mkdir(cache, { recursive: true })
  await writeFile(file, JSON.stringify(known))
  return weighed
}
