// What `doctor` sees: a browser that has everything, and one that lacks something.
import assert from 'node:assert/strict'
import { byName } from '../scenarios/run/diagnosis.mjs'
import { suite, test } from './harness.mjs'

const context = suite()

const once = { only: 'current', because: 'it looks at the page, without any database' }

test('a browser that has everything', once, async () => {
  const page = await context.page()
  const { diagnosis, left } = await page.evaluate(async () => {
    const diagnosis = await tidelock.doctor()
    const left = (await indexedDB.databases()).map(({ name }) => name).filter((name) => name.includes('doctor'))
    return { diagnosis, left }
  })
  const checks = byName(diagnosis)
  assert.equal(diagnosis.ok, true, JSON.stringify(diagnosis.checks.filter((check) => !check.ok)))
  assert.deepEqual(Object.keys(checks).sort(), [
    'compression',
    'crypto',
    'indexeddb',
    'opfs',
    'persistence',
    'storage',
    'wasm',
    'web-locks',
    'worker',
  ])
  assert.match(checks.persistence.hint, /persist/)
  assert.deepEqual(left, [], 'nothing stays')
})

test('what is missing is named, with what to do', once, async () => {
  const page = await context.page()
  const diagnosis = await page.evaluate(async () => {
    Object.defineProperty(navigator, 'locks', { value: undefined, configurable: true })
    IDBFactory.prototype.open = () => {
      throw new DOMException(
        'A mutation operation was attempted on a database that did not allow mutations.',
        'InvalidStateError',
      )
    }
    navigator.storage.estimate = async () => ({ usage: 95e6, quota: 100e6 })
    return tidelock.doctor({ wasm: new URL('/nothing-here.wasm', location.href) })
  })
  const checks = byName(diagnosis)
  assert.equal(diagnosis.ok, false)
  assert.equal(checks['web-locks'].ok, false)
  assert.match(checks['web-locks'].hint, /https/)
  assert.equal(checks.indexeddb.ok, false)
  assert.match(checks.indexeddb.message, /mutation/)
  assert.equal(checks.storage.ok, false)
  assert.match(checks.storage.message, /95 %/)
  assert.equal(checks.wasm.ok, false)
  assert.equal(checks.crypto.ok, true)
})
