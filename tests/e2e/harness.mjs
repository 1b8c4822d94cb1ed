// What every spec needs: the package as npm would install it, on a blank page, in a browser with a profile of its own.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Browser } from './browser.mjs'
import { serve } from './serve.mjs'

const PACKAGE = fileURLToPath(new URL('../../pkg-js', import.meta.url))

/** Packs the built package and unpacks it in `folder`, as `npm install` would → the module's path in it. */
function unpack(folder) {
  const output = execFileSync('npm', ['pack', PACKAGE, '--pack-destination', folder, '--json', '--ignore-scripts'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  execFileSync('tar', ['-xzf', path.join(folder, JSON.parse(output)[0].filename), '-C', folder])
  const { exports } = JSON.parse(readFileSync(path.join(folder, 'package/package.json'), 'utf8'))
  const entry = exports['.']
  const module = entry.browser ?? entry.import ?? entry.default
  if (!existsSync(path.join(folder, 'package', module))) throw new Error('pkg-js is not built: run ./build.sh build')
  return module
}

/** A blank page, plain modules and no bundler; `ready` when the package's exports are in `tidelock`. */
function blankPage(module) {
  return `<!doctype html>
<html lang="en">
  <meta charset="utf-8">
  <title>A page under test</title>
  <script type="module">
    import * as tidelock from '/tidelock/${path.posix.normalize(module)}'
    window.tidelock = tidelock
    window.warnings = []
    // Databases that the browser made anew: [name, why it says that it lost what was there].
    window.madeAnew = []
    const openDatabase = IDBFactory.prototype.open
    IDBFactory.prototype.open = function (...given) {
      const request = openDatabase.apply(this, given)
      request.addEventListener('upgradeneeded', ({ oldVersion, dataLoss, dataLossMessage }) =>
        window.madeAnew.push([given[0], oldVersion, dataLoss, dataLossMessage]),
      )
      return request
    }
    // The options that every test wants: warnings gathered.
    window.open = (options) => tidelock.open({ onWarning: (warning) => window.warnings.push(warning), ...options })
    // How a promise, or a function, failed; or { resolved } if it didn't.
    window.failure = async (work) => {
      try {
        return { resolved: await (typeof work === 'function' ? work() : work) }
      } catch (error) {
        if (!tidelock.isTidelockError(error)) return { notOurs: String(error), name: error?.name }
        const { code, message, hint, details, retryable, cause } = error
        return { code, message, hint, details, retryable, cause: cause && String(cause), json: JSON.stringify(error) }
      }
    }
    // Waits until a check gives something; a promise of it.
    window.until = async (check, timeoutMs = 10_000) => {
      for (const deadline = Date.now() + timeoutMs; ; ) {
        const value = await check()
        if (value) return value
        if (Date.now() > deadline) throw new Error('waited in vain for ' + check)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
    window.ready = true
  </script>
</html>`
}

let names = 0

/** A database name that no other test has. */
export function freshName() {
  return `e2e-${process.pid}-${++names}`
}

/**
 * Sets up a spec file: a server, a browser, and a remote if asked for (`{ remote: options of startRemote }`).
 * Gives `page()` (a new tab with the package), `browser`, `remote` and `url`, from the first test on.
 */
export function suite({ remote: remoteOptions } = {}) {
  const context = {
    /** @type {Browser} */
    browser: new Browser(),
    /** @type {string} */
    url: '',
    remote: undefined,
    /** A new tab in which the package is loaded. Errors that nobody caught fail the next `page()` and the end. */
    async page() {
      const page = await context.browser.page()
      page.on('pageerror', (error) => stray.push(error.stack ?? String(error)))
      await context.load(page)
      return page
    },
    /** Loads (or reloads) the blank page in a tab. */
    async load(page) {
      await page.goto(`${context.url}/`)
      await page.waitForFunction(() => window.ready === true, undefined, { timeout: 15_000 })
    },
  }
  const stray = []
  const cleanups = []

  before(async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'tidelock-e2e-'))
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
    const module = unpack(folder)
    const server = await serve({
      folders: { '/tidelock/': path.join(folder, 'package') },
      files: { '/index.html': blankPage(module) },
    })
    cleanups.push(() => server.close())
    context.url = server.url
    cleanups.push(() => context.browser.dispose())
    await context.browser.start()
    if (remoteOptions) {
      const { startRemote } = await import('../remote/index.mjs')
      context.remote = await startRemote(remoteOptions)
      cleanups.push(() => context.remote.stop())
    }
  })
  after(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup()
    if (stray.length > 0) throw new Error(`errors that nobody caught:\n${stray.join('\n')}`)
  })
  return context
}
