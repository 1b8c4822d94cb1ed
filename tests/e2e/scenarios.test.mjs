// Each scenario over the package in a page of Chromium, the engine on the page's thread and in a worker.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { control } from '../remote/control.mjs'
import { startRemote } from '../remote/index.mjs'
import { scenariosOf } from '../scenarios/run/context.mjs'
import { chosen } from '../scenarios/run/modules.mjs'
import { Browser } from './browser.mjs'
import { servePackage } from './package.mjs'

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

for (const module of chosen) {
  const scenarios = await import(pathToFileURL(module.path))
  for (const thread of ['current', 'worker'])
    describe(`${module.name}, ${thread === 'worker' ? 'in a worker' : 'on the page'}`, () => {
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
      for (const [title] of scenariosOf(scenarios, { host: 'page', thread }))
        test(title, async () => {
          remote?.fresh()
          const failed = await page.evaluate(
            (given) => window.runScenario(...given),
            [module.name, title, `scenario-${process.pid}`, module.remote ? remote.facts : undefined],
          )
          assert.equal(failed ?? undefined, undefined)
        })
    })
}
