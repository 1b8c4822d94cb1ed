// Databases that earlier builds stored in IndexedDB.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { freshName, suite, test } from './harness.mjs'

const context = suite()
const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url))

/** Puts what a golden file has under each key into IndexedDB, as an earlier build left it there; `instead`: of the head. */
async function store(page, name, file) {
  await page.evaluate(
    ([given, { head, log, snapshots, chunks, instead }]) => {
      const bytes = (hex) =>
        Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.substr(2 * i, 2), 16)).buffer
      return new Promise((resolve, reject) => {
        const request = indexedDB.open(`tidelock/${given}`, 1)
        request.onerror = () => reject(request.error)
        request.onupgradeneeded = () => {
          for (const each of ['meta', 'log', 'snapshots', 'chunks']) request.result.createObjectStore(each)
        }
        request.onsuccess = () => {
          const transaction = request.result.transaction(['meta', 'log', 'snapshots', 'chunks'], 'readwrite')
          const put = (into, values, key) => {
            for (const [id, hex] of Object.entries(values)) transaction.objectStore(into).put(bytes(hex), key(id))
          }
          transaction.objectStore('meta').put(instead ?? { head: bytes(head), holder: {}, features: [] }, 'head')
          put('log', log, (key) => key.split(' ').map(Number))
          put('snapshots', snapshots, Number)
          put('chunks', chunks, String)
          transaction.onerror = () => reject(transaction.error)
          transaction.oncomplete = () => {
            request.result.close()
            resolve()
          }
        }
      })
    },
    [name, file],
  )
}

for (const fixture of readdirSync(fixtures, { recursive: true }).filter((file) =>
  /^format-\d+\/\w+\.json$/.test(file),
)) {
  test(`a database of an earlier build opens: ${fixture}`, async () => {
    const file = JSON.parse(readFileSync(fixtures + fixture, 'utf8'))
    const page = await context.page()
    const name = freshName()
    await store(page, name, file)
    const isEncrypted = fixture.endsWith('/encrypted.json')
    const found = await page.evaluate(
      async ([given, isEncrypted]) => {
        // Of a native build, in the middle of a rotation.
        const key = await crypto.subtle.importKey('raw', new Uint8Array(32).fill(1), 'AES-GCM', false, [
          'encrypt',
          'decrypt',
        ])
        const encryption = isEncrypted ? { encryption: { key } } : {}
        // Without any by the clock, which would let old ones go.
        const db = await window.open({ name: given, snapshots: false, ...encryption })
        const { rows, sum } = await db.get('SELECT count(*) AS rows, coalesce(sum(v), 0) AS sum FROM t')
        const list = await db.snapshots.list()
        const verified = []
        for (const { id } of list) verified.push(await db.snapshots.verify(id))
        await db.run('INSERT INTO t (v) VALUES (1)')
        await db.close()
        return { rows, sum, list, verified, warnings: window.warnings }
      },
      [name, isEncrypted],
    )
    const { rows, sum, snapshots } = file.expected
    assert.deepEqual([found.rows, found.sum, found.warnings], [rows, sum, []])
    assert.deepEqual(
      found.list.map(({ id, label, sha256 }) => ({ id, label, sha256 })),
      snapshots.map(({ id, label, sha256 }) => ({ id, label, sha256 })),
    )
    for (const one of found.verified) assert.deepEqual(one, { ok: true, errors: [] })
    await page.close()
  })
}

test('without a head that can be read, everything is recovered', async () => {
  const file = JSON.parse(readFileSync(`${fixtures}format-3/log.json`, 'utf8'))
  const page = await context.page()
  const name = freshName()
  await store(page, name, { ...file, instead: 'no head' })
  const { refused, report, found } = await page.evaluate(async (given) => {
    const refused = await window.failure(window.open({ name: given }))
    const report = await window.tidelock.recover(given)
    const db = await window.open({ name: given })
    const found = await db.get('SELECT count(*) AS rows, coalesce(sum(v), 0) AS sum FROM t')
    await db.close()
    return { refused, report, found }
  }, name)
  assert.equal(refused.code, 'database_corrupt')
  assert.deepEqual([report.lostBatches, report.quarantined, report.changed], [0, null, true])
  const { rows, sum } = file.expected
  assert.deepEqual(found, { rows, sum })
  await page.close()
})

test('what a build before the first release stored is refused and left alone', async () => {
  const page = await context.page()
  const name = freshName()
  const head = { format: 1, features: [], databaseId: 'ab'.repeat(16), epoch: 1, lsn: 1, epochs: [1] }
  await store(page, name, { log: {}, snapshots: {}, chunks: {}, head: '', instead: head })
  const { refused, left } = await page.evaluate(async (given) => {
    const refused = [
      await window.failure(window.open({ name: given })),
      await window.failure(window.tidelock.recover(given)),
    ]
    const request = indexedDB.open(`tidelock/${given}`)
    const database = await new Promise((resolve) => {
      request.onsuccess = () => resolve(request.result)
    })
    const asked = database.transaction('meta').objectStore('meta').get('head')
    const left = await new Promise((resolve) => {
      asked.onsuccess = () => resolve(asked.result)
    })
    database.close()
    return { refused, left }
  }, name)
  for (const error of refused) assert.equal(error.code, 'database_corrupt')
  assert.deepEqual(left, head)
  await page.close()
})
