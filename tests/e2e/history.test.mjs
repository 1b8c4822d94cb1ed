// Going back to any moment of the page log, in a real browser; recovery from damage; databases stored by earlier builds.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { freshName, suite, test } from './harness.mjs'

const context = suite()
const fixtures = fileURLToPath(new URL('../fixtures/format-1/', import.meta.url))

test('any moment can be restored, also one before an earlier restore, and after a reload', async () => {
  const page = await context.page()
  const name = freshName()
  const times = await page.evaluate(async (given) => {
    const db = await window.open({ name: given })
    const pause = () => new Promise((resolve) => setTimeout(resolve, 20))
    await db.exec('CREATE TABLE t (n)')
    const seen = []
    // Many in a row: the log's time must not run ahead of the clock.
    for (let n = 1; n <= 200; n++) {
      await db.run('INSERT INTO t VALUES (?)', [n])
      if (n % 50 === 0) {
        seen.push({ at: new Date().toISOString(), n })
        if (n === 100) await db.snapshots.create()
        await pause()
      }
    }
    await db.snapshots.restore({ at: seen[1].at })
    await pause()
    await db.run('INSERT INTO t VALUES (1000)')
    seen.push({ at: new Date().toISOString(), n: 101 })
    await db.close()
    return seen
  }, name)
  await context.load(page)
  const found = await page.evaluate(
    async ([given, moments]) => {
      const db = await window.until(() => window.open({ name: given }).catch(() => undefined))
      const counts = []
      for (const index of [4, 0, 3, 2, 1, 4]) {
        await new Promise((resolve) => setTimeout(resolve, 20))
        await db.snapshots.restore({ at: index % 2 ? new Date(moments[index].at) : moments[index].at })
        counts.push([(await db.get('SELECT count(*) AS n FROM t')).n, moments[index].n])
      }
      const failures = []
      for (const at of ['2001-01-01T00:00:00Z', new Date(Number.NaN), 'yesterday', '2026-01-01T10:00:00'])
        failures.push(await window.failure(db.snapshots.restore({ at })))
      const { n } = await db.get('SELECT count(*) AS n FROM t')
      await db.close()
      return { counts, failures, n }
    },
    [name, times],
  )
  for (const [count, expected] of found.counts) assert.equal(count, expected)
  const [early, ...wrong] = found.failures
  assert.equal(early.code, 'snapshot_not_found')
  assert.ok(Date.parse(early.details.oldest) <= Date.parse(times[0].at), JSON.stringify(early.details))
  for (const failure of wrong) assert.equal(failure.code, 'invalid_argument')
  assert.equal(found.n, 101, 'a refused one changes nothing')
  await page.close()
})

test('keep, retentionDays and logRetentionMs decide what stays', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (given) => {
    const db = await window.open({ name: given, snapshots: { keep: 1, logMaxBytes: 0 } })
    await db.exec('CREATE TABLE t (n)')
    const early = new Date()
    await new Promise((resolve) => setTimeout(resolve, 20))
    for (let n = 0; n < 4; n++) {
      await db.run('INSERT INTO t VALUES (?)', [n])
      await db.snapshots.create(n === 1 ? { label: 'kept' } : {})
    }
    const ids = (await db.snapshots.list()).map((one) => one.label ?? one.id)
    const failure = await window.failure(db.snapshots.restore({ at: early }))
    await db.close()
    const again = await window.open({ name: given, snapshots: { retentionDays: 1e-9, logRetentionMs: 0 } })
    await again.snapshots.prune()
    const left = (await again.snapshots.list()).map((one) => one.label ?? one.id)
    await again.close()
    return { ids, failure, left }
  }, freshName())
  assert.deepEqual(result.ids, ['4', 'kept'])
  assert.equal(result.failure.code, 'snapshot_not_found')
  assert.deepEqual(result.left, ['4', 'kept'], 'the last good one stays, however old')
  await page.close()
})

/** Puts a golden file's records into IndexedDB, as an earlier build left them there. */
async function store(page, name, file) {
  await page.evaluate(
    ([given, { head, log, snapshots, chunks }]) => {
      const bytes = (hex) =>
        Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.substr(2 * i, 2), 16))
      return new Promise((resolve, reject) => {
        const request = indexedDB.open(`tidelock/${given}`, 1)
        request.onerror = () => reject(request.error)
        request.onupgradeneeded = () => {
          for (const each of ['meta', 'log', 'snapshots', 'chunks']) request.result.createObjectStore(each)
        }
        request.onsuccess = () => {
          const transaction = request.result.transaction(['meta', 'log', 'snapshots', 'chunks'], 'readwrite')
          transaction.objectStore('meta').put(head, 'head')
          for (const { pages, bytes: hex, checksum, prev, ...rest } of log) {
            const record = { ...rest, pages: Uint32Array.from(pages), bytes: bytes(hex).buffer }
            Object.assign(record, { checksum: BigInt(checksum), prev: BigInt(prev) })
            transaction.objectStore('log').put(record, [rest.lsn, rest.part])
          }
          for (const { chain, checks, stored, checksum, ...rest } of snapshots) {
            const record = { ...rest, chain: BigInt(chain), checksum: BigInt(checksum) }
            Object.assign(record, { checks: BigUint64Array.from(checks.map(BigInt)), stored: Uint32Array.from(stored) })
            transaction.objectStore('snapshots').put(record, rest.generation)
          }
          for (const [id, hex] of Object.entries(chunks)) transaction.objectStore('chunks').put(bytes(hex).buffer, id)
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

for (const fixture of readdirSync(fixtures)) {
  test(`a database of format 1 opens: ${fixture}`, async () => {
    const file = JSON.parse(readFileSync(fixtures + fixture, 'utf8'))
    const page = await context.page()
    const name = freshName()
    await store(page, name, file)
    const found = await page.evaluate(async (given) => {
      // Without any by the clock, which would let old ones go.
      const db = await window.open({ name: given, snapshots: false })
      const { rows, sum } = await db.get('SELECT count(*) AS rows, coalesce(sum(v), 0) AS sum FROM t')
      const list = await db.snapshots.list()
      const verified = []
      for (const { id } of list) verified.push(await db.snapshots.verify(id))
      await db.run('INSERT INTO t (v) VALUES (1)')
      await db.close()
      return { rows, sum, list, verified, warnings: window.warnings }
    }, name)
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

test('a newer format is refused, and damage of this one can be recovered from', async () => {
  const file = JSON.parse(readFileSync(`${fixtures}log.json`, 'utf8'))
  const page = await context.page()
  const names = [freshName(), freshName(), freshName()]
  await store(page, names[0], { ...file, head: { ...file.head, format: 2 } })
  await store(page, names[1], { ...file, head: 'no head' })
  await store(page, names[2], { ...file, log: file.log.filter((_, index) => index !== file.log.length - 2) })
  const results = await page.evaluate(async (all) => {
    const results = []
    for (const name of all) {
      const refused = await window.failure(window.open({ name }))
      const report = await window.failure(window.tidelock.recover(name))
      const opened = await window.failure(async () => {
        const db = await window.open({ name })
        const row = await db.get('SELECT count(*) AS rows, coalesce(sum(v), 0) AS sum FROM t')
        await db.close()
        return row
      })
      results.push({ refused, report, opened })
    }
    return results
  }, names)
  const [newer, headless, damaged] = results
  for (const part of ['refused', 'report', 'opened'])
    assert.equal(newer[part].code, 'snapshot_incompatible', JSON.stringify(newer))
  assert.equal(headless.refused.code, 'database_corrupt')
  assert.deepEqual(
    [headless.report.resolved.lostBatches, headless.report.resolved.keptAside, headless.report.resolved.changed],
    [0, null, true],
  )
  const { rows, sum, moments } = file.expected
  assert.deepEqual(headless.opened.resolved, { rows, sum })
  assert.equal(damaged.refused.code, 'database_corrupt')
  assert.equal(damaged.refused.details.lostBatches, 2)
  assert.equal(damaged.report.resolved.lostBatches, 2)
  assert.equal(damaged.report.resolved.recoveredTo, damaged.refused.details.lastGoodAt)
  assert.equal(damaged.opened.resolved.sum, moments.at(-3).sum)
  await page.close()
})
