// Scenarios over the package in a page of Chromium. Three test files run them: without a remote, with the engine on the page's thread and in a
// worker, and those of sync.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { control } from '../remote/control.mjs'
import { startRemote } from '../remote/index.mjs'
import { scenariosOf } from '../scenarios/run/context.mjs'
import { Browser } from './browser.mjs'
import { servePackage } from './package.mjs'

/** Registers the scenarios of these modules as tests, in a browser of their own. */
export async function scenariosIn(thread, modules) {
  const browser = new Browser()
  let server
  let remote
  before(async () => {
    server = await servePackage({ callRemote: (...call) => remote.call(...call) })
    await browser.start()
  })
  after(async () => {
    await browser.dispose()
    await server?.close()
  })

  for (const module of modules) {
    const scenarios = scenariosOf(await import(pathToFileURL(module.path)), { host: 'page', thread })
    if (scenarios.length === 0) continue
    describe(module.name, () => {
      let page
      let running
      before(async () => {
        if (module.remote) {
          running = await startRemote({ seed: 'shop', schemas: ['public', 'other'] })
          remote = control(running)
        }
        page = await browser.page(`${server.url}/?thread=${thread}`)
        await page.waitForFunction(() => window.ready === true)
      })
      after(async () => {
        await page?.close()
        await running?.stop()
      })
      for (const [title] of scenarios)
        test(title, async () => {
          remote?.fresh()
          const facts = module.remote ? remote.facts : undefined
          // Each page counts its names from one, and they all are in one profile.
          const given = [module.name, title, module.name.replace('/', '-'), facts]
          const failed = await page.evaluate((all) => window.runScenario(...all), given)
          assert.equal(failed ?? undefined, undefined)
        })
    })
  }
}
