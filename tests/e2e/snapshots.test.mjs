// Points in time: made, listed, checked, restored, kept; and what happens when the newest one is damaged.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'
import { onFreshName } from './in-page.mjs'

const context = suite()

const inPage = (work) => onFreshName(context, work)

test('create tells what it made, list has the newest first, and both survive a reload', async () => {
  const name = freshName()
  const page = await context.page()
  const made = await page.evaluate(async (given) => {
    const db = await window.open({ name: given, migrations: [{ version: '7', name: 'a', up: 'CREATE TABLE t (n)' }] })
    await db.runMany(
      'INSERT INTO t VALUES (?)',
      Array.from({ length: 5000 }, (_, i) => [i]),
    )
    const first = await db.snapshots.create()
    await db.run('INSERT INTO t VALUES (1)')
    const second = await db.snapshots.create({ label: 'mine' })
    return {
      first,
      second,
      list: await db.snapshots.list(),
      status: await db.snapshots.status(),
      size: (await db.export()).length,
    }
  }, name)
  assert.deepEqual(made.list, [made.second, made.first])
  assert.equal(typeof made.first.id, 'string')
  assert.equal(made.first.reason, 'manual')
  assert.equal(made.first.label, null)
  assert.equal(made.second.label, 'mine')
  assert.equal(made.first.schemaVersion, '7')
  assert.match(made.first.sha256, /^[0-9a-f]{64}$/)
  assert.notEqual(made.first.sha256, made.second.sha256)
  assert.equal(made.second.bytes, made.size)
  assert.ok(made.first.storedBytes > 0 && made.first.storedBytes < made.first.bytes, 'compressed')
  assert.ok(made.first.createdAt.endsWith('Z') && made.first.createdAt < made.second.createdAt)
  assert.equal(made.status.count, 2)
  assert.equal(made.status.consecutiveFailures, 0)
  assert.equal(made.status.lastError, null)
  assert.ok(made.status.lastSuccess && made.status.nextAt)
  await context.load(page)
  const list = await page.evaluate(async (given) => {
    const db = await window.until(() => window.open({ name: given }).catch(() => undefined))
    const found = await db.snapshots.list()
    await db.close()
    return found
  }, name)
  assert.deepEqual(list, made.list)
  await page.close()
})

test('restore brings the data back, keeps what was there, and the database and its live queries go on', async () => {
  const result = await inPage(async (name) => {
    const db = await window.open({ name })
    await db.exec("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('then')")
    const seen = []
    db.live('SELECT s FROM t').subscribe((rows) => seen.push(rows.map((row) => row.s).join(' ')))
    await window.until(() => seen.length === 1)
    const { id } = await db.snapshots.create()
    await db.exec("UPDATE t SET s = 'now'; CREATE TABLE later (n)")
    await window.until(() => seen.at(-1) === 'now')
    await db.snapshots.restore(id)
    const restored = await db.query('SELECT s FROM t')
    await window.until(() => seen.at(-1) === 'then')
    const tables = await db.query("SELECT name FROM sqlite_schema WHERE name = 'later'")
    const safety = (await db.snapshots.list()).find((snapshot) => snapshot.reason === 'safety')
    await db.run("INSERT INTO t VALUES ('after')")
    await db.close()
    const again = await window.open({ name })
    const kept = await again.query('SELECT s FROM t')
    await again.snapshots.restore(safety.id)
    const back = await again.query('SELECT s FROM t')
    await again.close()
    return { restored, tables, kept, back }
  })
  assert.deepEqual(result, {
    restored: [{ s: 'then' }],
    tables: [],
    kept: [{ s: 'then' }, { s: 'after' }],
    back: [{ s: 'now' }],
  })
})

test('restore runs pending migrations afterwards, and refuses a state newer than the app', async () => {
  const result = await inPage(async (name) => {
    const one = { version: '1', name: 'a', up: 'CREATE TABLE t (n)', down: 'DROP TABLE t' }
    const two = { version: '2', name: 'b', up: 'ALTER TABLE t ADD COLUMN m', down: 'ALTER TABLE t DROP COLUMN m' }
    const old = await window.open({ name, migrations: [one] })
    await old.run('INSERT INTO t VALUES (1)')
    const { id } = await old.snapshots.create({ label: 'old' })
    await old.close()
    const db = await window.open({ name, migrations: [one, two] })
    await db.snapshots.restore(id)
    const rows = await db.query('SELECT n, m FROM t')
    const { id: newer } = await db.snapshots.create({ label: 'newer' })
    await db.migrations.revert()
    await db.close()
    const back = await window.open({ name, migrations: [one] })
    const refused = await window.failure(() => back.snapshots.restore(newer))
    const still = await back.query('SELECT * FROM t')
    await back.close()
    return { rows, refused: refused.code, still }
  })
  assert.deepEqual(result, { rows: [{ n: 1, m: null }], refused: 'snapshot_incompatible', still: [{ n: 1 }] })
})

test('an unknown one is snapshot_not_found', async () => {
  const result = await inPage(async (name) => {
    const db = await window.open({ name })
    const codes = [
      (await window.failure(() => db.snapshots.restore('4711'))).code,
      (await window.failure(() => db.snapshots.verify('nonsense'))).code,
    ]
    await db.close()
    return codes
  })
  assert.deepEqual(result, ['snapshot_not_found', 'snapshot_not_found'])
})

/** In the page: changes stored records of one object store behind the engine's back. */
async function damage(page, name, store, source) {
  return page.evaluate(
    ([given, table, text]) =>
      new Promise((resolve, reject) => {
        const change = new Function(`return (${text})`)()
        const request = indexedDB.open(`tidelock/${given}`)
        request.onerror = () => reject(request.error)
        request.onsuccess = () => {
          const transaction = request.result.transaction(request.result.objectStoreNames, 'readwrite')
          const all = {}
          for (const each of ['snapshots', table]) {
            const cursor = transaction.objectStore(each).openCursor()
            all[each] ??= []
            cursor.onsuccess = () => {
              if (!cursor.result) return
              all[each].push([cursor.result.key, cursor.result.value])
              cursor.result.continue()
            }
          }
          transaction.oncomplete = () => {
            const second = request.result.transaction([table], 'readwrite')
            const changed = change(all, second.objectStore(table))
            second.oncomplete = () => {
              request.result.close()
              resolve(changed)
            }
            second.onerror = () => reject(second.error)
          }
        }
      }),
    [name, store, source.toString()],
  )
}

/** Two snapshots with writes between and after them, then closed. */
async function twoSnapshots(page, name) {
  return page.evaluate(async (given) => {
    const db = await window.open({ name: given, snapshots: { intervalMs: 3_600_000 } })
    await db.exec('CREATE TABLE t (n INTEGER, filler BLOB)')
    await db.runMany(
      'INSERT INTO t VALUES (?, randomblob(300))',
      Array.from({ length: 1000 }, (_, i) => [i]),
    )
    const first = await db.snapshots.create()
    await db.runMany(
      'INSERT INTO t VALUES (?, randomblob(300))',
      Array.from({ length: 1000 }, (_, i) => [i + 1000]),
    )
    const second = await db.snapshots.create()
    await db.run("INSERT INTO t VALUES (2000, 'after the newest')")
    const sum = await db.get('SELECT count(*) AS n, sum(n) AS s, max(length(filler)) AS l FROM t')
    await db.close()
    return { first, second, sum }
  }, name)
}

test('a damaged newest snapshot is passed over with a warning, and nothing is lost', async () => {
  const ways = {
    'a chunk gone': [
      'chunks',
      (all, store) => {
        const manifests = all.snapshots.map(([, value]) => value).sort((a, b) => a.generation - b.generation)
        const older = new Set(manifests.slice(0, -1).flatMap((manifest) => manifest.chunks.map(String)))
        const own = manifests
          .at(-1)
          .chunks.map(String)
          .filter((id) => !older.has(id))
        const keys = all.chunks.map(([key]) => key).filter((key) => own.includes(String(key)))
        store.delete(keys[0])
        return keys.length
      },
    ],
    'a chunk changed': [
      'chunks',
      (all, store) => {
        const manifests = all.snapshots.map(([, value]) => value).sort((a, b) => a.generation - b.generation)
        const older = new Set(manifests.slice(0, -1).flatMap((manifest) => manifest.chunks.map(String)))
        const [key, value] = all.chunks.find(
          ([id]) => manifests.at(-1).chunks.map(String).includes(String(id)) && !older.has(String(id)),
        )
        const bytes = new Uint8Array(value instanceof ArrayBuffer ? value : (value.buffer ?? value.bytes))
        bytes[bytes.length >> 1] ^= 0x55
        store.put(value, key)
        return 1
      },
    ],
    'a manifest changed': [
      'snapshots',
      (all, store) => {
        const [key, value] = all.snapshots.sort(([, a], [, b]) => a.generation - b.generation).at(-1)
        store.put({ ...value, chunks: [...value.chunks].reverse() }, key)
        return 1
      },
    ],
  }
  for (const [label, [store, change]] of Object.entries(ways)) {
    const page = await context.page()
    const name = freshName()
    const { sum } = await twoSnapshots(page, name)
    assert.ok((await damage(page, name, store, change)) > 0, label)
    const result = await page.evaluate(async (given) => {
      window.warnings.length = 0
      const db = await window.open({ name: given })
      const found = await db.get('SELECT count(*) AS n, sum(n) AS s, max(length(filler)) AS l FROM t')
      const integrity = await db.query('PRAGMA integrity_check')
      await db.run("INSERT INTO t VALUES (2001, 'goes on')")
      await db.close()
      const again = await window.open({ name: given })
      const after = await again.get('SELECT count(*) AS n FROM t')
      await again.close()
      return { found, integrity, warnings: window.warnings, after }
    }, name)
    assert.deepEqual(result.found, sum, label)
    assert.deepEqual(result.integrity, [{ integrity_check: 'ok' }])
    assert.ok(
      result.warnings.some((warning) => warning.code === 'snapshot_corrupt'),
      `${label}: ${JSON.stringify(result.warnings)}`,
    )
    assert.equal(result.after.n, sum.n + 1)
    await page.close()
  }
})

test('verify finds damage, and restoring a damaged one is refused with nothing changed', async () => {
  const page = await context.page()
  const name = freshName()
  const { first, sum } = await twoSnapshots(page, name)
  // A chunk that the older one has and the newer one doesn't: page 1 changed between them.
  await damage(page, name, 'chunks', (all, store) => {
    const manifests = all.snapshots.map(([, value]) => value).sort((a, b) => a.generation - b.generation)
    const newer = new Set(manifests.at(-1).chunks.map(String))
    const key = all.chunks
      .map(([id]) => id)
      .find((id) => manifests[0].chunks.map(String).includes(String(id)) && !newer.has(String(id)))
    store.delete(key)
    return 1
  })
  const result = await page.evaluate(
    async ([given, id]) => {
      const db = await window.open({ name: given })
      const verified = await db.snapshots.verify(id)
      const refused = await window.failure(() => db.snapshots.restore(id))
      const found = await db.get('SELECT count(*) AS n, sum(n) AS s, max(length(filler)) AS l FROM t')
      await db.close()
      return { verified, refused: refused.code, found }
    },
    [name, first.id],
  )
  assert.equal(result.verified.ok, false)
  assert.ok(result.verified.errors.length > 0)
  assert.equal(result.refused, 'snapshot_corrupt')
  assert.deepEqual(result.found, sum)
  await page.close()
})

test('damage in the log after the newest snapshot is database_corrupt, and nothing is written', async () => {
  const page = await context.page()
  const name = freshName()
  await page.evaluate(async (given) => {
    const db = await window.open({ name: given })
    await db.exec('CREATE TABLE t (n)')
    await db.snapshots.create()
    for (let i = 0; i < 10; i++) await db.run('INSERT INTO t VALUES (?)', [i])
    await db.close()
  }, name)
  await damage(page, name, 'log', (all, store) => {
    const batches = all.log.filter(([, value]) => value.bytes)
    const [key] = batches.at(-4)
    store.delete(key)
    return batches.length
  })
  const result = await page.evaluate(async (given) => {
    const failures = [
      await window.failure(() => window.open({ name: given })),
      await window.failure(() => window.open({ name: given })),
    ]
    const { held } = await navigator.locks.query()
    return { failures, held: held.filter((lock) => lock.name.endsWith(given)).length }
  }, name)
  for (const failed of result.failures) {
    assert.equal(failed.code, 'database_corrupt')
    assert.ok(failed.hint)
    assert.ok(
      'snapshotId' in failed.details && 'lastGoodAt' in failed.details && failed.details.lostBatches > 0,
      JSON.stringify(failed.details),
    )
  }
  assert.equal(result.held, 0)
  await page.close()
})

test('they come by themselves, skip what did not change, and keep only so many', async () => {
  const result = await inPage(async (name) => {
    const db = await window.open({ name, snapshots: { intervalMs: 150, keep: 2 } })
    const fired = []
    db.addEventListener('snapshot', (event) => fired.push(event.detail))
    await db.exec('CREATE TABLE t (n)')
    const labelled = await db.snapshots.create({ label: 'for good' })
    const scheduled = async () => (await db.snapshots.list()).filter((snapshot) => snapshot.reason === 'scheduled')
    const seen = new Set()
    const deadline = Date.now() + 15_000
    for (let i = 0; seen.size < 4 && Date.now() < deadline; i++) {
      await db.run('INSERT INTO t VALUES (?)', [i])
      for (const snapshot of await scheduled()) seen.add(snapshot.id)
      await new Promise((resolve) => setTimeout(resolve, 40))
    }
    await new Promise((resolve) => setTimeout(resolve, 500))
    const settled = (await scheduled()).map((snapshot) => snapshot.id)
    await new Promise((resolve) => setTimeout(resolve, 600)) // nothing changes: nothing new
    const later = (await scheduled()).map((snapshot) => snapshot.id)
    const list = await db.snapshots.list()
    const status = await db.snapshots.status()
    await db.close()
    return {
      seen: seen.size,
      settled,
      later,
      kept: list.some((snapshot) => snapshot.id === labelled.id),
      failures: status.consecutiveFailures,
      fired: fired.length > 0,
    }
  })
  assert.ok(result.seen >= 4, `${result.seen} came by themselves`)
  assert.equal(result.settled.length, 2)
  assert.deepEqual(result.later, result.settled)
  assert.deepEqual([result.kept, result.failures, result.fired], [true, 0, true])
})

test('snapshots: false makes none by itself, but the safety of a restore stays', async () => {
  const result = await inPage(async (name) => {
    const first = await window.open({ name })
    await first.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    const { id } = await first.snapshots.create({ label: 'x' })
    await first.close()
    const db = await window.open({ name, snapshots: false })
    await db.run('INSERT INTO t VALUES (2)')
    await db.snapshots.restore(id)
    const reasons = (await db.snapshots.list()).map((snapshot) => snapshot.reason)
    const { nextAt } = await db.snapshots.status()
    await db.close()
    return { reasons, nextAt }
  })
  assert.deepEqual(result, { reasons: ['safety', 'manual'], nextAt: null })
})

test('delete takes one away, prune those beyond keep; one with a label stays', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const db = await window.open({ name, snapshots: { keep: 2 } })
    await db.exec('CREATE TABLE t (n)')
    const made = []
    for (const label of ['kept', undefined, undefined, undefined]) {
      await db.run('INSERT INTO t VALUES (1)')
      made.push((await db.snapshots.create({ label })).id)
    }
    await db.snapshots.prune()
    const afterPrune = (await db.snapshots.list()).map((one) => one.id)
    await db.snapshots.delete(made[3])
    const gone = await window.failure(() => db.snapshots.delete(made[3]))
    const left = (await db.snapshots.list()).map((one) => one.id)
    await db.close()
    const again = await window.open({ name })
    const rows = await again.get('SELECT count(*) AS n FROM t')
    const kept = await again.snapshots.verify(made[0])
    await again.close()
    return { made, afterPrune, gone: gone.code, left, rows, kept }
  }, freshName())
  const [labelled, , third, fourth] = result.made
  assert.deepEqual(result.afterPrune, [fourth, third, labelled])
  assert.equal(result.gone, 'snapshot_not_found')
  assert.deepEqual(result.left, [third, labelled])
  assert.deepEqual(result.rows, { n: 4 })
  assert.deepEqual(result.kept, { ok: true, errors: [] })
  await page.close()
})

test('snapshots by a timetable', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const refused = []
    for (const cron of ['', 'at three', '61 * * * *', 5])
      refused.push((await window.failure(window.open({ name, snapshots: { cron } }))).code)
    refused.push((await window.failure(window.open({ name, snapshots: { cron: '0 3 * * *', intervalMs: 5 } }))).code)
    const db = await window.open({ name, snapshots: { cron: '* * * * * *' } })
    await db.exec('CREATE TABLE t (n)')
    const taken = await window.until(async () => {
      const list = await db.snapshots.list()
      return list.length > 0 && list
    })
    const status = await db.snapshots.status()
    const health = await db.health()
    await db.close()
    const nightly = await window.open({ name, snapshots: { cron: '0 3 * * *' } })
    const next = await window.until(async () => (await nightly.snapshots.status()).nextAt)
    await nightly.close()
    return { refused, taken, status, health, next, three: new Date(next).getHours() }
  }, freshName())
  assert.deepEqual(result.refused, Array(5).fill('invalid_argument'))
  assert.equal(result.taken[0].reason, 'scheduled')
  assert.match(result.status.nextAt, /:\d\d\.000Z$/)
  assert.match(result.health.snapshot.nextAt, /:\d\d\.000Z$/)
  assert.equal(result.three, 3)
  assert.match(result.next, /:00:00\.000Z$/)
})
