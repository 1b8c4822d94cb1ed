// Snapshots: created, listed, verified, restored, kept; and points in time between them.
import assert from 'node:assert/strict'
import { change, result } from './run/indexeddb.mjs'

const ids = async (db) => (await db.snapshots.list()).map(({ id }) => id)

/** Waits until the clock has advanced, so that the next commit is later by at least a millisecond; returns the time before. */
async function moment(until) {
  const at = new Date()
  await until(() => new Date() > at)
  return at
}

export default {
  'in memory only the times of snapshots can be restored': async ({ memory, failure, until }) => {
    const db = await memory()
    await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    const { createdAt } = await db.snapshots.create()
    await until(() => Date.now() > Date.parse(createdAt))
    await db.run('INSERT INTO t VALUES (2)')
    const between = await failure(db.snapshots.restore({ at: new Date() }))
    assert.equal(between.code, 'snapshot_not_found')
    assert.ok(between.hint.includes('history()'))
    assert.equal((await db.query('SELECT n FROM t')).length, 2)
    const [{ at, lsn }] = (await db.snapshots.history()).points
    await db.snapshots.restore({ at, lsn })
    assert.deepEqual(await db.query('SELECT n FROM t'), [{ n: 1 }])
  },

  'create returns the snapshot, list has the newest first, and both stay after closing': async ({
    open,
    freshName,
  }) => {
    const name = freshName()
    const db = await open({ name, migrations: [{ version: '7', name: 'a', up: 'CREATE TABLE t (n)' }] })
    await db.runMany(
      'INSERT INTO t VALUES (?)',
      Array.from({ length: 5000 }, (_, i) => [i]),
    )
    const first = await db.snapshots.create()
    await db.run('INSERT INTO t VALUES (1)')
    const second = await db.snapshots.create({ label: 'mine' })
    assert.equal(typeof first.id, 'string')
    assert.deepEqual([first.reason, first.label, first.schemaVersion], ['manual', null, '7'])
    assert.match(first.sha256, /^[0-9a-f]{64}$/)
    assert.ok(first.storedBytes > 0 && first.storedBytes < first.bytes, 'compressed')
    assert.ok(first.createdAt.endsWith('Z') && first.createdAt < second.createdAt)
    assert.equal(second.label, 'mine')
    assert.notEqual(second.sha256, first.sha256)
    assert.equal(second.bytes, (await db.export()).length)
    assert.deepEqual(await db.snapshots.list(), [second, first])
    const { count, consecutiveFailures, lastError, lastSuccess, nextAt } = await db.snapshots.status()
    assert.deepEqual([count, consecutiveFailures, lastError], [2, 0, null])
    assert.ok(lastSuccess >= second.createdAt && nextAt > lastSuccess)
    await db.close()
    assert.deepEqual(await (await open({ name })).snapshots.list(), [second, first])
  },

  'restore brings the data back and keeps the old data; the database and its live queries stay usable': async ({
    open,
    until,
    freshName,
  }) => {
    const name = freshName()
    const db = await open({ name })
    await db.exec("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('then')")
    const seen = []
    db.live('SELECT s FROM t').subscribe((rows) => seen.push(rows.map((row) => row.s).join(' ')))
    await until(() => seen.at(-1) === 'then')
    const { id } = await db.snapshots.create()
    await db.exec("UPDATE t SET s = 'now'; CREATE TABLE later (n)")
    await until(() => seen.at(-1) === 'now')
    await db.snapshots.restore(id)
    assert.deepEqual(await db.query('SELECT s FROM t'), [{ s: 'then' }])
    assert.deepEqual(await db.query("SELECT name FROM sqlite_schema WHERE name = 'later'"), [])
    await until(() => seen.at(-1) === 'then')
    const safety = (await db.snapshots.list()).find(({ reason }) => reason === 'safety')
    await db.run("INSERT INTO t VALUES ('after')")
    await db.close()
    const again = await open({ name })
    assert.deepEqual(await again.query('SELECT s FROM t'), [{ s: 'then' }, { s: 'after' }])
    await again.snapshots.restore(safety.id)
    assert.deepEqual(await again.query('SELECT s FROM t'), [{ s: 'now' }])
  },

  'a signal or a time limit ends what reads a snapshot, and a restore before its commit; nothing changes then': async ({
    open,
    failure,
  }) => {
    const db = await open()
    await db.exec('CREATE TABLE t (b BLOB)')
    await db.runMany('INSERT INTO t VALUES (randomblob(?))', Array(8).fill([1_000_000]))
    const { id } = await db.snapshots.create()
    await db.run('DELETE FROM t')
    const now = { at: new Date() }
    const calls = {
      verify: (options) => db.snapshots.verify(id, options),
      export: (options) => db.snapshots.export(id, options),
      'export of a time': (options) => db.snapshots.export(now, options),
      restore: (options) => db.snapshots.restore(id, options),
      'restore of a time': (options) => db.snapshots.restore(now, options),
    }
    for (const [name, call] of Object.entries(calls)) {
      const controller = new AbortController()
      setTimeout(() => controller.abort(name))
      assert.equal(await call({ signal: controller.signal }).catch((reason) => reason), name)
      assert.equal((await failure(call({ timeoutMs: 1 }))).code, 'timeout', name)
    }
    assert.deepEqual(await db.query('SELECT count(*) AS n FROM t'), [{ n: 0 }])
    await db.snapshots.restore(id, { timeoutMs: 60_000 })
    assert.deepEqual(await db.query('SELECT count(*) AS n FROM t'), [{ n: 8 }])
  },

  'restore runs pending migrations afterwards, and refuses a state newer than the app': async ({
    open,
    failure,
    freshName,
  }) => {
    const name = freshName()
    const one = { version: '1', name: 'a', up: 'CREATE TABLE t (n)', down: 'DROP TABLE t' }
    const two = { version: '2', name: 'b', up: 'ALTER TABLE t ADD COLUMN m', down: 'ALTER TABLE t DROP COLUMN m' }
    const old = await open({ name, migrations: [one] })
    await old.run('INSERT INTO t VALUES (1)')
    const { id } = await old.snapshots.create({ label: 'old' })
    await old.close()
    const db = await open({ name, migrations: [one, two] })
    await db.snapshots.restore(id)
    assert.deepEqual(await db.query('SELECT * FROM t'), [{ n: 1, m: null }])
    const { id: newer } = await db.snapshots.create({ label: 'newer' })
    await db.migrations.revert()
    await db.close()
    const back = await open({ name, migrations: [one] })
    assert.equal((await failure(back.snapshots.restore(newer))).code, 'snapshot_incompatible')
    assert.deepEqual(await back.query('SELECT * FROM t'), [{ n: 1 }])
  },

  'any time can be restored, also one before an earlier restore, and after closing': async ({
    open,
    until,
    failure,
    freshName,
  }) => {
    const name = freshName()
    const db = await open({ name })
    await db.exec('CREATE TABLE t (n)')
    const moments = []
    // Many commits in a row: the log's time must not run ahead of the clock.
    for (let n = 1; n <= 200; n++) {
      await db.run('INSERT INTO t VALUES (?)', [n])
      if (n === 100) await db.snapshots.create()
      if (n % 50 === 0) moments.push([await moment(until), n])
    }
    const [[first], [second]] = moments
    await db.snapshots.restore({ at: second })
    await db.run('INSERT INTO t VALUES (1000)')
    moments.push([await moment(until), 101])
    await db.close()

    const again = await open({ name })
    for (const [at, n] of [4, 0, 3, 2, 1, 4].map((index) => moments[index])) {
      await again.snapshots.restore({ at: n === 50 ? at.toISOString() : at })
      assert.deepEqual(await again.get('SELECT count(*) AS n FROM t'), { n })
      // The next restore must be at a later time than this one.
      await moment(until)
    }
    const early = await failure(again.snapshots.restore({ at: '2001-01-01T00:00:00Z' }))
    assert.equal(early.code, 'snapshot_not_found')
    assert.ok(Date.parse(early.details.oldest) <= first.getTime())
    for (const at of [new Date(Number.NaN), 'yesterday', '2026-01-01T10:00:00'])
      assert.equal((await failure(again.snapshots.restore({ at }))).code, 'invalid_argument')
    for (const work of [again.snapshots.restore('4711'), again.snapshots.verify('nonsense')])
      assert.equal((await failure(work)).code, 'snapshot_not_found')
    assert.deepEqual(await again.get('SELECT count(*) AS n FROM t'), { n: 101 }, 'a refused one changes nothing')
  },

  'history lists the stored commits, each of which can be exported and opened': async ({
    open,
    memory,
    until,
    failure,
  }) => {
    const db = await open({})
    assert.deepEqual((await db.snapshots.history()).snapshots, [])
    await db.exec('CREATE TABLE t (n)')
    const points = []
    for (let n = 1; n <= 3; n++) {
      await moment(until)
      await db.run('INSERT INTO t VALUES (?)', [n])
      await db.flush()
      points.push((await db.snapshots.history()).points.at(-1))
    }
    const { id } = await db.snapshots.create({ label: 'kept' })
    const history = await db.snapshots.history()
    assert.deepEqual(history.points.slice(-3), points)
    assert.deepEqual([history.omitted, history.oldest], [0, history.points[0].at])
    assert.deepEqual(history.snapshots, await db.snapshots.list())
    const newest = await db.snapshots.history({ limit: 2 })
    assert.deepEqual([newest.points, newest.omitted], [points.slice(1), history.points.length - 2])
    for (const [index, point] of points.entries()) {
      const { at, bytes } = point
      const file = await db.snapshots.export(point)
      assert.equal(file.size, bytes)
      assert.equal(file.name, `backup-${at}.sqlite`)
      const then = await memory({ seed: file })
      assert.deepEqual(await then.get('SELECT count(*) AS n FROM t'), { n: index + 1 })
    }
    const text = await (await db.snapshots.export({ at: new Date(points[0].at) }, { format: 'sql' })).text()
    assert.match(text, /INSERT INTO "?t"? VALUES\s*\(1\)/)
    assert.deepEqual(await db.get('SELECT count(*) AS n FROM t'), { n: 3 }, 'nothing was restored')
    assert.ok((await db.snapshots.export(id)).size > 0)
    const early = await failure(db.snapshots.export({ at: '2001-01-01T00:00:00Z' }))
    assert.deepEqual([early.code, early.details.oldest], ['snapshot_not_found', history.oldest])
    for (const call of [
      () => db.snapshots.export({}),
      () => db.snapshots.export({ at: 'yesterday' }),
      () => db.snapshots.export(5),
      () => db.snapshots.export(''),
      () => db.snapshots.history({ limit: 0 }),
      () => db.snapshots.history({ newest: 5 }),
    ])
      assert.equal((await failure(call())).code, 'invalid_argument')
  },

  'scheduled snapshots are taken after changes only, and keep limits their number': async ({ open, until }) => {
    const db = await open({ snapshots: { intervalMs: 30, keep: 2 } })
    const scheduled = async () => (await db.snapshots.list()).filter(({ reason }) => reason === 'scheduled')
    const told = new Set()
    db.addEventListener('snapshot', ({ detail }) => told.add(detail.snapshot.id))
    await db.exec('CREATE TABLE t (n)')
    const labelled = await db.snapshots.create({ label: 'for good' })
    const seen = new Set()
    for (let before = 0; seen.size < 4; before = seen.size) {
      await db.run('INSERT INTO t VALUES (1)')
      await until(async () => {
        for (const { id } of await scheduled()) seen.add(id)
        return seen.size !== before
      })
    }
    await until(() => [...seen].every((id) => told.has(id)))
    // A skipped snapshot counts as a success.
    const skipped = async () => {
      const { lastSuccess } = await db.snapshots.status()
      await until(async () => (await db.snapshots.status()).lastSuccess > lastSuccess)
    }
    // The next scheduled snapshot may have begun before the last change, and then isn't skipped.
    await skipped()
    await skipped()
    const settled = await ids(db)
    await skipped()
    await skipped()
    assert.deepEqual(await ids(db), settled)
    assert.equal((await scheduled()).length, 2)
    assert.ok(settled.includes(labelled.id))
    assert.equal((await db.snapshots.status()).consecutiveFailures, 0)
  },

  'snapshots by a cron pattern': async ({ open, until, failure }) => {
    for (const cron of ['', 'at three', '61 * * * *', 5])
      assert.equal((await failure(open({ snapshots: { cron } }))).code, 'invalid_argument')
    assert.equal((await failure(open({ snapshots: { cron: '0 3 * * *', intervalMs: 5 } }))).code, 'invalid_argument')
    const db = await open({ snapshots: { cron: '* * * * * *' } })
    await db.exec('CREATE TABLE t (n)')
    const [taken] = await until(async () => {
      const list = await db.snapshots.list()
      return list.length > 0 && list
    })
    assert.equal(taken.reason, 'scheduled')
    assert.match((await db.snapshots.status()).nextAt, /:\d\d\.000Z$/)
    assert.match((await db.health()).snapshot.nextAt, /:\d\d\.000Z$/)
    const nightly = await open({ snapshots: { cron: '0 3 * * *' } })
    const next = await until(async () => (await nightly.snapshots.status()).nextAt)
    assert.equal(new Date(next).getHours(), 3)
    assert.match(next, /:00:00\.000Z$/)
  },

  'snapshots: false takes none on schedule, but a restore still takes one for safety': async ({ open, freshName }) => {
    const name = freshName()
    const first = await open({ name })
    await first.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    const { id } = await first.snapshots.create({ label: 'x' })
    await first.close()
    const db = await open({ name, snapshots: false })
    await db.run('INSERT INTO t VALUES (2)')
    await db.snapshots.restore(id)
    assert.deepEqual(
      (await db.snapshots.list()).map(({ reason }) => reason),
      ['safety', 'manual'],
    )
    assert.equal((await db.snapshots.status()).nextAt, null)
  },

  'delete removes one, prune those beyond keep; one with a label stays': async ({ open, failure, freshName }) => {
    const name = freshName()
    const db = await open({ name, snapshots: { keep: 2 } })
    await db.exec('CREATE TABLE t (n)')
    const made = []
    for (const label of ['kept', undefined, undefined, undefined]) {
      await db.run('INSERT INTO t VALUES (1)')
      made.push((await db.snapshots.create({ label })).id)
    }
    const [labelled, , third, fourth] = made
    await db.snapshots.prune()
    assert.deepEqual(await ids(db), [fourth, third, labelled])
    await db.snapshots.delete(fourth)
    assert.equal((await failure(db.snapshots.delete(fourth))).code, 'snapshot_not_found')
    assert.deepEqual(await ids(db), [third, labelled])
    await db.close()
    const again = await open({ name })
    assert.deepEqual(await again.get('SELECT count(*) AS n FROM t'), { n: 4 })
    assert.deepEqual(await again.snapshots.verify(labelled), { ok: true, errors: [] })
  },

  'logMaxBytes and retentionDays limit what stays, too': async ({ open, until, failure, freshName }) => {
    const name = freshName()
    const db = await open({ name, snapshots: { logMaxBytes: 0 } })
    await db.exec('CREATE TABLE t (n)')
    await db.snapshots.create()
    await db.run('INSERT INTO t VALUES (0)')
    const between = await moment(until)
    for (const label of [undefined, 'kept', undefined]) {
      await db.run('INSERT INTO t VALUES (1)')
      await db.snapshots.create({ label })
    }
    assert.equal((await failure(db.snapshots.restore({ at: between }))).code, 'snapshot_not_found')
    const [newest, labelled, , first] = await ids(db)
    assert.equal(first, '1')
    await db.close()
    const again = await open({ name, snapshots: { retentionDays: 1e-9 } })
    await again.snapshots.prune()
    assert.deepEqual(await ids(again), [newest, labelled], 'the last good one stays, however old')
  },

  'a damaged newest manifest is skipped with a warning, and nothing is lost': {
    only: ['page', 'worker'],
    not: ['opfs'],
    because: 'it changes what is in IndexedDB; tests/native/store damages what every storage has',
    run: async ({ open, warnings, freshName }) => {
      const name = freshName()
      const db = await open({ name })
      await db.exec('CREATE TABLE t (n)')
      for (const n of [1, 2]) {
        await db.run('INSERT INTO t VALUES (?), (randomblob(100000))', [n])
        await db.snapshots.create()
      }
      await db.run("INSERT INTO t VALUES ('after the newest')")
      const before = await db.query('SELECT * FROM t')
      await db.close()
      await change(name, async (transaction) => {
        const snapshots = transaction.objectStore('snapshots')
        const [key] = (await result(snapshots.getAllKeys())).slice(-1)
        const manifest = await result(snapshots.get(key))
        new Uint8Array(manifest)[manifest.byteLength - 20] ^= 1
        snapshots.put(manifest, key)
      })
      const again = await open({ name })
      assert.deepEqual(await again.query('SELECT * FROM t'), before)
      assert.deepEqual(await again.query('PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
      assert.deepEqual(
        warnings.map(({ code }) => code),
        ['snapshot_corrupt'],
      )
      await again.run("INSERT INTO t VALUES ('goes on')")
      await again.close()
      assert.deepEqual(await (await open({ name })).get('SELECT count(*) AS n FROM t'), { n: before.length + 1 })
    },
  },
}
