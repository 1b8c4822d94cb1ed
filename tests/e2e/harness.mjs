// What every spec needs: the package as npm would install it, on a blank page, in a browser with a profile of its own.
import path from 'node:path'
import { after, before, test as nodeTest } from 'node:test'
import { Browser } from './browser.mjs'
import { servePackage } from './package.mjs'

export { until } from '../scenarios/run/context.mjs'

/** Where the engine runs in the present test. */
let thread = 'current'

const threads = ['current', 'worker']
/** The turn of the threads in this file. Files begin with one or the other. */
let turn = path.basename(process.argv[1]).length

/**
 * A test of what a database does, wherever its engine runs: the tests of a file take the threads by turns, and with TIDELOCK_ALL=1 there are
 * two of each, one for each thread. `only` names the one thread of a test that is about this thread, `because` says why. The work gets the
 * thread after the context of the test runner.
 */
export function test(name, ...given) {
  const work = given.pop()
  const [{ only, because, ...options } = {}] = given
  if (only !== undefined && !because) throw new Error(`'${name}' runs in one thread only: say because of what`)
  const chosen = process.env.TIDELOCK_ALL ? threads : [threads[turn++ % 2]]
  for (const where of only === undefined ? chosen : [only]) {
    nodeTest(where === 'worker' ? `${name} (worker)` : name, options, (t) => {
      thread = where
      return work(t, where)
    })
  }
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
    /** A new tab in which the package is loaded. Uncaught errors fail the next `page()` and the end. */
    async page() {
      const page = await context.browser.page()
      page.on('pageerror', (error) => stray.push(error.stack ?? String(error)))
      await context.load(page)
      return page
    },
    /** Loads (or reloads) the blank page in a tab. */
    async load(page) {
      await page.goto(`${context.url}/?thread=${thread}`)
      await page.waitForFunction(() => window.ready === true, undefined, { timeout: 15_000 })
    },
  }
  const stray = []
  const cleanups = []

  before(async () => {
    const server = await servePackage()
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
    if (stray.length > 0) throw new Error(`uncaught errors:\n${stray.join('\n')}`)
  })
  return context
}

/** Clears the data of the site, as the header Clear-Site-Data and the browser's settings do. */
export async function clearSiteData(page) {
  const devtools = await page.context().newCDPSession(page)
  await devtools.send('Storage.clearDataForOrigin', { origin: new URL(page.url()).origin, storageTypes: 'all' })
  await devtools.detach()
}
