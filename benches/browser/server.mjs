// Builds the benchmark's page for production and serves it on a loopback port: under / as most sites are served, and under /isolated/
// with the COOP and COEP headers that some peers need.

import { createHash } from 'node:crypto'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { serve as serveFolders } from '../../tests/e2e/serve.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const isolation = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
}

/**
 * Builds the page into a folder, unless nothing has changed since, and gives the folder back; with another build of tidelock's package
 * than pkg-js/dist, when given.
 */
export async function buildPage(outDir, dist = path.join(root, 'pkg-js/dist')) {
  const stamp = path.join(outDir, 'stamp')
  const inputs = await fingerprint([dist, path.join(root, 'benches/browser'), path.join(root, 'www/bench')])
  if ((await readFile(stamp, 'utf8').catch(() => '')) === inputs) return outDir
  await build({
    root: path.join(root, 'www/bench'),
    logLevel: 'error',
    resolve: {
      alias: { 'tidelock/worker.js': path.join(dist, 'worker.js'), tidelock: path.join(dist, 'index.js') },
    },
    build: { outDir, emptyOutDir: true },
  })
  await writeFile(stamp, inputs)
  return outDir
}

/** The names, sizes and times of all files of some folders, but of what npm installed. */
async function fingerprint(folders) {
  const hash = createHash('sha256')
  for (const folder of folders) {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const file = path.join(folder, entry.name)
      if (entry.name === 'node_modules') continue
      if (entry.isDirectory()) hash.update(await fingerprint([file]))
      else {
        const { size, mtimeMs } = await stat(file)
        hash.update(`${file} ${size} ${mtimeMs}\n`)
      }
    }
  }
  return hash.digest('hex')
}

/** Serves a folder → `{ url, close() }`. `onServe(name)` is called for each file; each is there `delay` ms later. */
export function serve(folder, { port = 0, delay = 0, onServe } = {}) {
  const headersOf = (name) => {
    const isolated = name.startsWith('/isolated/')
    const inner = isolated ? name.slice('/isolated'.length) : name
    onServe?.(inner)
    // What Vite names by its contents may be kept, and with it what the browser compiled.
    const cache = inner.startsWith('/assets/') ? 'max-age=31536000, immutable' : 'no-cache'
    return { 'cache-control': cache, ...(isolated && isolation) }
  }
  return serveFolders({ folders: { '/': folder, '/isolated/': folder }, port, delay, headersOf })
}
