// Firefox, which keeps its profile when it is killed: WebKit's ends with the session that a driver began.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pagesOf } from '../e2e/scenarios.mjs'
import { capabilitiesTest } from './capabilities.mjs'
import { Firefox } from './drivers.mjs'
import { suite } from './suite.mjs'

const firefox = new Firefox()
// Snapshots are in 'files' and 'moving', too.
const inOpfs = ['files', 'transactions', ...(process.env.TIDELOCK_ALL ? ['encryption', 'snapshots'] : [])]
const { open } = await suite(firefox, { inOpfs })
capabilitiesTest('Firefox', () => open('current'))

const hidden = pagesOf(new Firefox({ 'browser.privatebrowsing.autostart': true }))
hidden.begin()
capabilitiesTest('Firefox, private', () => hidden.open('current'))

test('killed in the midst of writes, it loses nothing that was acknowledged', async () => {
  const databases = ['current', 'worker'].flatMap((thread) =>
    ['indexeddb', 'opfs'].map((storage) => ({ thread, options: { name: `killed-${thread}-${storage}`, storage } })),
  )
  const pages = { current: await open('current'), worker: await open('worker') }
  for (const { thread, options } of databases)
    await pages[thread].evaluate(async (options) => {
      const db = await window.open(options)
      await db.exec('CREATE TABLE t (a INTEGER)')
      window.acknowledged ??= {}
      window.acknowledged[options.name] = 0
      const write = async () => {
        for (;;) {
          await db.run('INSERT INTO t VALUES (?)', [window.acknowledged[options.name] + 1])
          window.acknowledged[options.name]++
        }
      }
      write().catch(() => {}) // ends with the browser
    }, options)
  const acknowledged = {}
  for (const page of Object.values(pages))
    Object.assign(
      acknowledged,
      await page.evaluate(async () => {
        await window.until(() => Object.values(window.acknowledged).every((count) => count >= 200), 60_000)
        return window.acknowledged
      }),
    )
  await firefox.kill()
  await firefox.start()
  const again = { current: await open('current'), worker: await open('worker') }
  for (const { thread, options } of databases) {
    const found = await again[thread].evaluate(async (options) => {
      const db = await window.open(options)
      const { n, most } = await db.get('SELECT count(*) AS n, max(a) AS most FROM t')
      await db.close()
      return { n, most, warnings: window.warnings }
    }, options)
    const least = acknowledged[options.name]
    assert.ok(least >= 200 && found.n >= least, `${options.name}: ${least} were acknowledged, ${found.n} are there`)
    assert.deepEqual(found, { n: found.n, most: found.n, warnings: [] })
  }
})
