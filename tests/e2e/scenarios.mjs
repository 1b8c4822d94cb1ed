// Scenarios over the package in pages of a browser: here of Chromium, in three test files (without a remote, with the engine on the page's
// thread and in a worker, and those of sync), and in tests/browsers of others.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { control } from '../remote/control.mjs'
import { startRemote } from '../remote/index.mjs'
import { scenariosOf, until } from '../scenarios/run/context.mjs'
import { local } from '../scenarios/run/modules.mjs'
import { Browser } from './browser.mjs'
import { servePackage } from './package.mjs'

/** Chromium with one process for all pages: it compiles the engine once, and the scenarios take a sixth less time. */
export const oneProcess = () => new Browser({ args: ['--renderer-process-limit=1'] })

/** The modules of scenarios that store much, and in many ways. */
const storing = ['closing', 'files', 'moving', 'snapshots', 'transactions']
/** The modules of scenarios that store, but over OPFS in no other way than over folders in Node. */
const likeFolders = ['encryption', 'live-initial']
/** The modules of scenarios in which the page's thread does something else than a worker. */
const threaded = ['begin', 'engine', 'group', 'health', 'iterate', 'live', 'page-engine']
/** The modules of scenarios that read much, in parts. */
const reading = ['iterate', 'paging', 'rows']

const chosen = (...names) => local.filter(({ name }) => process.env.TIDELOCK_ALL || names.includes(name))
/**
 * The modules of scenarios that need no remote, by where they run: with TIDELOCK_ALL=1 all of them everywhere. Otherwise not those of what
 * no browser does in another way than Node, where all of them run over folders: arguments, SQL, migrations, the rules of live queries. In OPFS
 * also not those of calls that don't reach the storage, which run over IndexedDB. What stores much runs over IndexedDB on the page's thread and
 * over OPFS in a worker, and one module of it in each of the other two ways.
 */
export const localModules = {
  opfs: {
    worker: chosen(...storing, ...reading, 'targets', 'transactions-random'),
    current: chosen('snapshots'),
  },
  page: chosen(...storing, ...likeFolders, ...threaded),
  worker: chosen('files'),
}

/**
 * Serves the package to a browser while the tests of a file run → `open(thread)`, which opens a page under test, `load(page, thread)`, which
 * loads it again, and `scenarios(thread, modules, storage, without)`, which registers the scenarios of these modules as tests, but
 * for those with a title in `without`; stored databases are in that storage, if it is given. A file with other tests, too, calls
 * `begin()` before it registers them.
 */
export function pagesOf(browser) {
  let server
  let remote
  let begun = false
  /** Not without a test: then Node's test runner would start all this, and never end it. */
  const begin = () => {
    if (begun) return
    begun = true
    before(async () => {
      server = await servePackage({ callRemote: (...call) => remote.call(...call) })
      await browser.start()
    })
    after(async () => {
      await browser.dispose()
      await server?.close()
    })
  }

  const load = async (page, thread, storage) => {
    await page.goto(`${server.url}/?thread=${thread}${storage ? `&storage=${storage}` : ''}`)
    await until(() => page.evaluate(() => window.ready === true))
  }
  const open = async (thread, storage) => {
    const page = await browser.page()
    await load(page, thread, storage)
    return page
  }
  const scenarios = async (thread, modules, storage, without = []) => {
    for (const { name, path, remote: synced } of modules) {
      const all = scenariosOf(await import(pathToFileURL(path)), { host: 'page', thread, storage })
      const found = all.filter(([title]) => !without.includes(title))
      if (found.length === 0) continue
      begin()
      const place = storage ? `${thread}-${storage}` : thread
      describe(`${name} (${place})`, () => {
        let page
        let running
        before(async () => {
          if (synced) {
            running = await startRemote({ seed: 'shop', schemas: ['public', 'other'] })
            remote = control(running)
          }
          page = await open(thread, storage)
        })
        after(async () => {
          await page?.close()
          await running?.stop()
        })
        for (const [title] of found)
          test(title, async () => {
            if (synced) remote.fresh()
            // Each page counts its names from one, and all pages are of one profile.
            const given = [name, title, `${place}-${name.replace('/', '-')}`, synced ? remote.facts : undefined]
            const failed = await page.evaluate((all) => window.runScenario(...all), given)
            assert.equal(failed ?? undefined, undefined)
          })
      })
    }
  }
  return { begin, open, load, scenarios }
}
