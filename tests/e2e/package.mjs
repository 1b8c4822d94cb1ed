// The package as npm would install it, on a blank page, served to whatever browser.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { serve } from './serve.mjs'

const here = (relative) => fileURLToPath(new URL(relative, import.meta.url))
const PACKAGE = here('../../pkg-js')
const CACHE = here('../../.cache/packed')

/** What the tarball is made of, as one hash. */
function contents() {
  const hash = createHash('sha256').update(readFileSync(path.join(PACKAGE, 'package.json')))
  const dist = path.join(PACKAGE, 'dist')
  for (const name of existsSync(dist) ? readdirSync(dist, { recursive: true }).sort() : [])
    if (/\.\w+$/.test(name)) hash.update(name).update(readFileSync(path.join(dist, name)))
  return hash.digest('hex').slice(0, 16)
}

/** Packs the built package and unpacks it, once for what is built now → the folder `package` of the tarball. */
export function packed() {
  const folder = path.join(CACHE, contents())
  if (!existsSync(folder)) {
    mkdirSync(CACHE, { recursive: true })
    const fresh = mkdtempSync(path.join(CACHE, 'new-'))
    const output = execFileSync('npm', ['pack', PACKAGE, '--pack-destination', fresh, '--json', '--ignore-scripts'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    execFileSync('tar', ['-xzf', path.join(fresh, JSON.parse(output)[0].filename), '-C', fresh])
    if (!existsSync(path.join(fresh, 'package', moduleOf(path.join(fresh, 'package')))))
      throw new Error('pkg-js is not built: run ./build.sh build')
    try {
      renameSync(fresh, folder)
    } catch {
      rmSync(fresh, { recursive: true }) // another process was quicker
    }
  }
  return path.join(folder, 'package')
}

/** The module that a page imports, by the package's own `exports`. */
function moduleOf(folder) {
  const entry = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')).exports['.']
  return path.posix.normalize(entry.browser ?? entry.import ?? entry.default)
}

/**
 * Serves the page under test (page/) with the package and the scenarios → `{ url, close() }`.
 * `callRemote(name, ...args)`: what pages reach as the remote of scenarios.
 */
export function servePackage({ callRemote } = {}) {
  const folder = packed()
  const index = readFileSync(here('./page/index.html'), 'utf8').replace('MODULE', moduleOf(folder))
  return serve({
    folders: {
      '/tidelock/': folder,
      '/page/': here('./page'),
      '/scenarios/': here('../scenarios'),
      '/chai/': path.dirname(fileURLToPath(import.meta.resolve('chai'))),
    },
    files: { '/index.html': index },
    calls: { '/remote': (body) => callRemote(...JSON.parse(body)) },
    // A tab needn't compile again what another one has. The address is this server's own: nothing is stale.
    headersOf: (name) => (name.startsWith('/tidelock/') ? { 'cache-control': 'max-age=3600, immutable' } : {}),
  })
}
