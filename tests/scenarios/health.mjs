// The health report.
import assert from 'node:assert/strict'

// Folders have no quota; some builds of WebKit don't report one.
const knowsQuota = globalThis.navigator?.storage !== undefined

export default {
  'health reports everything, correctly, and never rejects': async ({ open, failure, host, storage: place }) => {
    const migrations = [
      { version: '1', name: 'a', up: 'CREATE TABLE t (n, filler)' },
      { version: '2', name: 'b', up: 'CREATE TABLE u (n)' },
    ]
    const first = await open({ migrations: migrations.slice(0, 1) })
    const { lock, storage: relaxed } = await first.health()
    await first.close()
    const closed = await first.health()
    assert.equal(closed.status, 'failed')
    assert.notEqual(closed.lock.state, 'held')

    const db = await open({ name: first.name, migrations, migrate: false, durability: 'strict' })
    assert.deepEqual((await db.health()).migrations, { current: '1', pending: 1, modified: 0 })
    await db.migrations.run()
    await db.runMany(
      'INSERT INTO t VALUES (?, randomblob(1000))',
      Array.from({ length: 500 }, (_, i) => [i]),
    )
    for (let i = 0; i < 20; i++) await db.query('SELECT count(*) FROM t')
    await failure(db.query('SELECT * FROM nowhere'))
    const made = await db.snapshots.create()
    const { name, status, database, timestamp, snapshot, storage, sync, queries, alerts, ...rest } = await db.health()
    assert.deepEqual([name, status, database], [first.name, 'ok', 'local'])
    assert.ok(Math.abs(new Date(timestamp) - Date.now()) < 60_000)
    assert.ok(Math.abs(new Date(snapshot.lastSuccess) - new Date(made.createdAt)) < 5000)
    assert.deepEqual([snapshot.lastError, snapshot.consecutiveFailures], [null, 0])
    assert.ok(snapshot.count >= 1 && snapshot.bytes > 0 && snapshot.nextAt)
    assert.deepEqual([relaxed.durability, storage.durability, storage.lastError], ['relaxed', 'strict', null])
    assert.equal(storage.kind, place ?? (host === 'page' ? 'indexeddb' : 'file'))
    assert.equal(storage.bytes, (await db.export()).length)
    if (knowsQuota) assert.ok(storage.usage > 0 && storage.quota > storage.usage)
    assert.equal(typeof storage.persisted, 'boolean')
    assert.deepEqual([sync.pending, sync.rejected, sync.lastError], [0, 0, null])
    assert.ok(queries.count >= 22 && queries.errors >= 1)
    assert.ok(queries.p50Ms >= 0 && queries.p95Ms >= queries.p50Ms && Array.isArray(queries.slow))
    assert.deepEqual(
      alerts.map(({ code, severity, message }) => [code, severity, message !== '']),
      storage.persisted ? [] : [['storage_not_persisted', 'info', true]],
    )
    assert.deepEqual(Object.keys(rest).sort(), ['lock', 'migrations'])
    assert.deepEqual(rest.migrations, { current: '2', pending: 0, modified: 0 })
    assert.deepEqual([lock.state, rest.lock.state], ['held', 'held'])
    assert.ok(rest.lock.epoch > lock.epoch, 'each opening is an epoch')
  },

  'health lists slow statements with their plan, without their values': async ({ memory }) => {
    const db = await memory()
    await db.exec('CREATE TABLE t(a)')
    const sql = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
                 SELECT count(*) AS n FROM n, (SELECT ? AS secret) WHERE i NOT IN (SELECT a FROM t)`
    await db.query(sql, ['my secret'])
    await db.run('DROP TABLE t')
    assert.deepEqual((await db.health()).queries.slow[0].plan, [], 'there is none without the table')
    await db.exec('CREATE TABLE t(a)')
    const { queries } = await db.health()
    assert.match(queries.slow[0].sql, /^WITH RECURSIVE/)
    assert.ok(queries.slow[0].ms >= 16)
    assert.ok(queries.slow[0].plan.some((step) => /SCAN/.test(step)))
    assert.ok(!JSON.stringify(queries).includes('my secret'))
  },

  'the thresholds of alerts can be changed': async ({ open, until }) => {
    const db = await open({ health: { noSnapshotMs: 1, storageRatio: 1e-9 } })
    await db.exec('CREATE TABLE t(a)')
    const codes = await until(async () => {
      const { status, alerts } = await db.health()
      return status === 'degraded' && alerts.map(({ code }) => code)
    })
    assert.ok(codes.includes('no_recent_snapshot'))
    assert.equal(codes.includes('storage_nearly_full'), knowsQuota)
  },
}
