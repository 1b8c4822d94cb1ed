// Firefox, which keeps its profile when it is killed: WebKit's ends with the session that a driver began.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pagesOf } from '../e2e/scenarios.mjs'
import { capabilitiesTest } from './capabilities.mjs'
import { Firefox } from './drivers.mjs'
import { suite } from './suite.mjs'

const firefox = new Firefox()
const { open } = await suite(firefox, { inOpfs: ['files', 'snapshots', 'transactions', 'encryption'] })
capabilitiesTest('Firefox', () => open('current'))

const hidden = pagesOf(new Firefox({ 'browser.privatebrowsing.autostart': true }))
hidden.begin()
capabilitiesTest('Firefox, private', () => hidden.open('current'))

for (const [thread, storage] of [
  ['current', 'indexeddb'],
  ['worker', 'indexeddb'],
  ['worker', 'opfs'],
  ['current', 'opfs'],
])
  test(`killed in the midst of writes, it loses nothing that was acknowledged (${thread}, ${storage})`, async () => {
    const options = { name: `killed-${thread}-${storage}`, storage }
    const page = await open(thread)
    const acknowledged = await page.evaluate(async (options) => {
      const db = await window.open(options)
      await db.exec('CREATE TABLE t (a INTEGER)')
      let acknowledged = 0
      const write = async () => {
        for (;;) {
          await db.run('INSERT INTO t VALUES (?)', [acknowledged + 1])
          acknowledged++
        }
      }
      write().catch(() => {}) // ends with the browser
      await window.until(() => acknowledged >= 200)
      return acknowledged
    }, options)
    await firefox.kill()
    await firefox.start()
    const again = await open(thread)
    const found = await again.evaluate(async (options) => {
      const db = await window.open(options)
      const { n, most } = await db.get('SELECT count(*) AS n, max(a) AS most FROM t')
      await db.close()
      return { n, most, warnings: window.warnings }
    }, options)
    assert.ok(found.n >= acknowledged, `${acknowledged} writes were acknowledged, ${found.n} are there`)
    assert.deepEqual(found, { n: found.n, most: found.n, warnings: [] })
    await again.close()
  })
