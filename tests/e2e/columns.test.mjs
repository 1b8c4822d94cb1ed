// Sensitive columns and the death of a worker; tests/scenarios/columns.mjs has all else.
import assert from 'node:assert/strict'
import { suite, test } from './harness.mjs'
import { onFreshName } from './in-page.mjs'

const context = suite()

test('a worker that died comes back with its keys', { only: 'worker', because: 'it is about its death' }, async () => {
  const result = await onFreshName(context, async (name) => {
    const db = await window.open({ name, columnKey: { passphrase: 'words', salt: 'long enough' } })
    await db.exec('CREATE TABLE t (x)')
    await db.run("INSERT INTO t VALUES (encrypt('still here'))")
    window.workers[0].terminate()
    const rows = await window.until(() => db.query('SELECT decrypt(x) AS x FROM t').catch(() => undefined))
    await db.close()
    return rows
  })
  assert.deepEqual(result, [{ x: 'still here' }])
})
