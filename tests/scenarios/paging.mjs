// Databases that are larger than their page cache: with `storage: 'file'`, and with `'opfs'` in a worker. Elsewhere all of a database
// is in memory, and the same must work, which other scenarios show.
import assert from 'node:assert/strict'

const mib = 2 ** 20
/** Rows of about 4 KB that don't compress. */
const fill = (rows) => `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
  INSERT INTO pages SELECT i, i % 7, randomblob(4000) FROM n`

/** A database of 6 MB in a cache of 1 MiB, opened again after it was filled. */
async function large(open, options = {}) {
  const db = await open({ cacheBytes: mib, ...options })
  await db.exec('CREATE TABLE pages (id INTEGER PRIMARY KEY, kind INTEGER, bytes BLOB)')
  await db.exec(fill(1500))
  await db.snapshots.create()
  await db.close()
  return open({ name: db.name, cacheBytes: mib, ...options })
}

const paged = (run) => ({ only: ['node', 'worker'], because: 'elsewhere all of a database is in memory', run })
const cacheOf = async (db) => (await db.health()).storage.cache
const sums = (db) => db.query('SELECT count(*) AS rows, sum(length(bytes)) AS bytes, sum(id) AS ids FROM pages')
const digest = (db) => db.query('SELECT id, hex(substr(bytes, 1, 8)) AS start FROM pages ORDER BY id')

export default {
  'only what is read is in memory': async ({ open }) => {
    const db = await large(open)
    const opened = await cacheOf(db)
    const [first] = await db.query('SELECT id, length(bytes) AS length FROM pages WHERE id = 700')
    assert.deepEqual(first, { id: 700, length: 4000 })
    const one = await cacheOf(db)
    assert.deepEqual(await sums(db), [{ rows: 1500, bytes: 6_000_000, ids: (1500 * 1501) / 2 }])
    const all = await cacheOf(db)
    if (all === null) return
    assert.equal(all.limit, mib)
    assert.ok(opened.bytes < mib / 2 && one.bytes < mib, `${opened.bytes} ${one.bytes}`)
    assert.ok(all.bytes <= mib && all.misses > 80 && all.evictions > 60 && all.hits > 0, JSON.stringify(all))
  },

  'changes leave the memory once they are stored': paged(async ({ open, until }) => {
    const db = await large(open)
    for (let round = 0; round < 6; round++) {
      await db.run('UPDATE pages SET bytes = randomblob(4000) WHERE id % 6 = ?', [round])
    }
    const before = await digest(db)
    await db.snapshots.create()
    const cache = await cacheOf(db)
    if (cache) assert.ok(cache.bytes <= cache.limit, JSON.stringify(cache))
    assert.deepEqual(await digest(db), before)
    // Also without a snapshot, by the checkpoints that the engine takes.
    await db.transaction(async (tx) => {
      for (let at = 0; at < 1500; at += 100) {
        await tx.run('UPDATE pages SET bytes = randomblob(4000) WHERE id BETWEEN ? AND ?', [at, at + 99])
      }
    })
    const after = await digest(db)
    await until(async () => (await cacheOf(db)) === null || (await cacheOf(db)).bytes <= mib)
    assert.deepEqual(await digest(db), after)
    await db.close()
    assert.deepEqual(await digest(await open({ name: db.name, cacheBytes: mib })), after)
  }),

  'a loop of writes is not quicker than the checkpoints that let its changes leave the memory': paged(
    async ({ open }) => {
      const db = await large(open)
      const body = new Uint8Array(1000).fill(7)
      for (let from = 2000; from < 62_000; from += 3000) {
        const rows = Array.from({ length: 3000 }, (_, at) => [from + at, body])
        await db.runMany('INSERT INTO pages (id, bytes) VALUES (?, ?)', rows)
      }
      const cache = await cacheOf(db)
      // A checkpoint is due after 4 MiB of changes; writes wait for it after twice as many.
      if (cache) assert.ok(cache.bytes < 13 * mib, JSON.stringify(cache))
    },
  ),

  'a model of random writes, failures, snapshots and openings holds': paged(async ({ open }) => {
    let db = await large(open)
    const model = new Map((await db.query('SELECT id, kind FROM pages')).map(({ id, kind }) => [id, kind]))
    let seed = 7
    const below = (limit) => {
      seed = (seed * 48271) % 2147483647
      return seed % limit
    }
    for (let step = 0; step < 120; step++) {
      const [from, kind] = [below(1600), below(1000)]
      const chosen = [...model.keys()].filter((id) => id >= from && id < from + 40)
      const what = below(10)
      if (what < 4) {
        await db.run('UPDATE pages SET kind = ?, bytes = randomblob(4000) WHERE id >= ? AND id < ?', [
          kind,
          from,
          from + 40,
        ])
        for (const id of chosen) model.set(id, kind)
      } else if (what < 6) {
        await db.run('DELETE FROM pages WHERE id >= ? AND id < ?', [from, from + 40])
        for (const id of chosen) model.delete(id)
      } else if (what < 7) {
        await db.run('INSERT OR REPLACE INTO pages VALUES (?, ?, randomblob(90000))', [from, kind])
        model.set(from, kind)
      } else if (what < 8) {
        const failed = db.transaction(async (tx) => {
          await tx.run('UPDATE pages SET bytes = zeroblob(3000), kind = -1 WHERE id >= ?', [from])
          await tx.run('CREATE INDEX by_kind ON pages (kind)')
          throw new Error('enough')
        })
        assert.equal(await failed.catch((error) => error.message), 'enough')
      } else if (what < 9) {
        await db.snapshots.create()
      } else {
        await db.close()
        db = await open({ name: db.name, cacheBytes: mib })
      }
      if (step % 20 === 19) {
        const rows = await db.query('SELECT id, kind FROM pages ORDER BY id')
        assert.deepEqual(new Map(rows.map(({ id, kind }) => [id, kind])), new Map([...model].sort(([a], [b]) => a - b)))
        assert.deepEqual(await db.query('PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
      }
    }
  }),

  'snapshots, points in time, maintenance and files of it': paged(async ({ open }) => {
    const db = await large(open)
    const [before] = await db.snapshots.list()
    const rows = await digest(db)
    const at = new Date()
    await new Promise((resolve) => setTimeout(resolve, 5))
    await db.exec('DELETE FROM pages WHERE id > 100; UPDATE pages SET kind = 99')
    assert.equal((await db.maintain()).ok, true)
    assert.deepEqual(await db.snapshots.verify(before.id), { ok: true, errors: [] })
    const bytes = await db.snapshots.export(before.id, { compress: false })
    assert.equal(bytes.size, before.bytes)
    await db.snapshots.restore(before.id)
    assert.deepEqual(await digest(db), rows)
    await db.run('DELETE FROM pages WHERE id > 700')
    await db.snapshots.restore({ at })
    assert.deepEqual(await digest(db), rows)
    const file = await db.export()
    const copy = await open({ cacheBytes: mib })
    await copy.import(file)
    assert.deepEqual(await digest(copy), rows)
    await db.exec('PRAGMA incremental_vacuum')
    await db.exec('VACUUM')
    assert.deepEqual(await digest(db), rows)
  }),

  'an encrypted one, and a new key for it': paged(async ({ open }) => {
    const db = await large(open, { encryption: { passphrase: 'first' } })
    const rows = await digest(db)
    await db.rekey({ passphrase: 'second' })
    assert.deepEqual(await digest(db), rows)
    await db.rekey(null)
    assert.deepEqual(await digest(db), rows)
    await db.run('UPDATE pages SET kind = 1')
    await db.close()
    const again = await open({ name: db.name, cacheBytes: mib })
    assert.deepEqual(await digest(again), rows)
    assert.deepEqual(await again.query('PRAGMA quick_check'), [{ quick_check: 'ok' }])
  }),

  "storage 'memory' has no page cache": async ({ open }) => {
    const db = await open({ storage: 'memory', path: undefined, cacheBytes: mib })
    await db.exec('CREATE TABLE pages (id INTEGER PRIMARY KEY, kind INTEGER, bytes BLOB)')
    await db.exec(fill(500))
    assert.equal(await cacheOf(db), null)
    assert.equal((await sums(db))[0].rows, 500)
  },

  'maxBytes limits it where it is given': async ({ open, failure }) => {
    const db = await open({ cacheBytes: mib, maxBytes: 2 * mib })
    await db.exec('CREATE TABLE pages (id INTEGER PRIMARY KEY, kind INTEGER, bytes BLOB)')
    assert.equal((await failure(db.exec(fill(1500)))).code, 'database_too_large')
    assert.deepEqual(await db.query('SELECT count(*) AS n FROM pages'), [{ n: 0 }])
    for (const cacheBytes of [0, 1.5, 1000, -1, 'much', Number.NaN]) {
      const { code, details } = await failure(open({ cacheBytes }))
      assert.deepEqual([code, details.option], ['invalid_argument', 'cacheBytes'])
    }
  },
}
