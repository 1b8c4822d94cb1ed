// Maintenance: checks, and cleaning up.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'

const context = suite()

test('what has expired goes, and everything is looked at', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const options = {
      name,
      expires: { sessions: 'expires_at', codes: 'until' },
      audit: { tables: ['codes'], retentionDays: 1 },
    }
    const db = await window.open(options)
    await db.exec(`CREATE TABLE sessions(id INTEGER PRIMARY KEY, expires_at, filler);
                   CREATE TABLE codes(code TEXT PRIMARY KEY, until) WITHOUT ROWID;
                   CREATE INDEX by_expiry ON sessions(expires_at)`)
    const now = Date.now()
    const at = (ms) => new Date(now + ms)
    await db.runMany(
      'INSERT INTO sessions(expires_at, filler) VALUES (?, zeroblob(400))',
      Array.from({ length: 5000 }, (_, i) => [i % 5 === 0 ? at(3_600_000) : at(-1000 - i)]),
    )
    const hour = 3_600_000
    await db.runMany('INSERT INTO codes VALUES (?, ?)', [
      ['past, ms', now - hour],
      ['past, s', Math.floor(now / 1000) - 3600],
      ['past, text', at(-hour)],
      ['future, ms', now + hour],
      ['future, s', Math.floor(now / 1000) + 3600],
      ['future, text', at(hour)],
      ['never', null],
      ['no time', 'soon'],
    ])
    await db.run("UPDATE audit_log SET timestamp = '2001-01-01T00:00:00.000Z' WHERE id <= 3")
    const changes = new Set()
    db.addEventListener('change', ({ detail }) => {
      for (const table of detail.tables) changes.add(table)
    })
    // Calls made meanwhile get their turn.
    const done = []
    const maintained = db.maintain().then((report) => {
      done.push('maintained')
      return report
    })
    const reading = db.get('SELECT count(*) AS n FROM codes').then(() => done.push('read'))
    const report = await maintained
    await reading
    const found = {
      report,
      done,
      changes: [...changes].sort(),
      sessions: await db.get('SELECT count(*) AS n, min(id) AS first FROM sessions'),
      codes: (await db.query('SELECT code FROM codes')).map(({ code }) => code),
      log: await db.query('SELECT action, count(*) AS n FROM audit_log GROUP BY action ORDER BY action'),
      free: await db.query('PRAGMA freelist_count'),
      statistics: await db.query("SELECT idx FROM sqlite_stat1 WHERE idx = 'by_expiry'"),
      again: await db.maintain(),
    }
    const stop = new AbortController()
    const aborted = window.failure(() => db.maintain({ signal: stop.signal }))
    stop.abort(new Error('enough'))
    found.aborted = await aborted
    found.goesOn = await db.get('SELECT 1 AS one')
    await db.close()
    found.closed = await window.failure(() => db.maintain())
    // What went is stored.
    const reopened = await window.open(options)
    found.stored = await reopened.get('SELECT count(*) AS n FROM sessions')
    await reopened.close()
    return found
  }, freshName())
  const { report } = result
  assert.equal(report.ok, true, JSON.stringify(report))
  assert.deepEqual([report.integrity, report.foreignKeys, report.errors], [[], [], []])
  assert.deepEqual(report.expired, [
    { table: 'sessions', deleted: 4000 },
    { table: 'codes', deleted: 3 },
  ])
  assert.deepEqual([report.auditDeleted, report.analyzed], [3, true])
  assert.ok(report.freedPages > 100 && report.freedBytes === report.freedPages * 4096 && report.ms > 0)
  assert.equal(result.done[0], 'read')
  assert.deepEqual(result.changes, ['audit_log', 'codes', 'sessions'])
  assert.deepEqual([result.sessions, result.stored], [{ n: 1000, first: 1 }, { n: 1000 }])
  assert.deepEqual(result.codes.sort(), ['future, ms', 'future, s', 'future, text', 'never', 'no time'])
  assert.deepEqual(result.log, [
    { action: 'delete', n: 3 },
    { action: 'insert', n: 5 },
  ])
  assert.deepEqual(result.free, [{ freelist_count: 0 }])
  assert.equal(result.statistics.length, 1)
  assert.deepEqual([result.again.ok, result.again.expired[0].deleted, result.again.freedPages], [true, 0, 0])
  assert.ok(result.aborted.notOurs?.includes('enough') || result.aborted.resolved?.ok)
  assert.deepEqual(result.goesOn, { one: 1 })
  assert.equal(result.closed.code, 'closed')
})

test('what is wrong is told, as an alert too, until it is right', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const db = await window.open({ name, expires: { parents: 'at', missing: 'at' } })
    await db.exec(`CREATE TABLE parents(id INTEGER PRIMARY KEY, at);
                   CREATE TABLE children(parent REFERENCES parents(id));
                   INSERT INTO parents VALUES (1, '2001-01-01'), (2, '2001-01-01');
                   INSERT INTO children VALUES (1)`)
    await db.run('PRAGMA foreign_keys = OFF')
    await db.run('INSERT INTO children VALUES (99)')
    await db.run('PRAGMA foreign_keys = ON')
    const heard = []
    db.addEventListener('health', ({ detail }) => heard.push(detail.status))
    await db.health()
    const report = await db.maintain()
    const health = await db.health()
    await window.until(() => heard.length > 0)
    await db.run('DELETE FROM children')
    const again = await db.maintain()
    const mended = await db.health()
    await db.close()
    return { report, health, again, mended, heard, warnings: window.warnings }
  }, freshName())
  const { report, again } = result
  assert.equal(report.ok, false)
  assert.deepEqual(report.foreignKeys, [{ table: 'children', rowid: 2, parent: 'parents' }])
  assert.deepEqual(
    report.errors.map(({ step, table, error }) => [step, table, error.code]),
    [
      ['expires', 'parents', 'sqlite_constraint'],
      ['expires', 'missing', 'invalid_argument'],
    ],
  )
  assert.equal(report.analyzed, true)
  const codes = (health) => health.alerts.filter(({ severity }) => severity === 'warning').map(({ code }) => code)
  assert.deepEqual([codes(result.health), result.health.status], [['foreign_keys_violated'], 'degraded'])
  assert.deepEqual([codes(result.mended), result.mended.status], [[], 'ok'])
  assert.equal(result.heard[0], 'degraded')
  assert.ok(result.warnings.some(({ code }) => code === 'foreign_keys_violated'))
  assert.deepEqual([again.foreignKeys, again.expired[0]], [[], { table: 'parents', deleted: 2 }])
})

test('health tells how slow statements run, by thresholds that can be others', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const db = await window.open({ name, snapshots: false, health: { storageRatio: 1e-9 } })
    await db.exec('CREATE TABLE t(a)')
    const slow = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
                  SELECT count(*) AS n FROM n, (SELECT ? AS secret) WHERE i NOT IN (SELECT a FROM t)`
    await db.query(slow, ['my secret'])
    await db.run('DROP TABLE t')
    const dropped = await db.health()
    await db.exec('CREATE TABLE t(a)')
    const health = await db.health()
    await db.close()
    return { health, dropped }
  }, freshName())
  const [slow] = result.health.queries.slow
  assert.match(slow.sql, /^WITH RECURSIVE/)
  assert.ok(slow.ms >= 16 && slow.plan.some((step) => /SCAN/.test(step)), JSON.stringify(slow))
  assert.deepEqual(result.dropped.queries.slow[0].plan, [])
  assert.ok(!JSON.stringify(result.health).includes('my secret'))
  assert.ok(result.health.alerts.some(({ code }) => code === 'storage_nearly_full'))
})
