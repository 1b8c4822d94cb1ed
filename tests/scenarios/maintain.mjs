// Maintenance: checks and clean-up.
import assert from 'node:assert/strict'

export default {
  'maintain deletes expired rows and checks everything': async ({ open, failure, until }) => {
    const options = {
      expires: { sessions: 'expires_at', codes: 'until' },
      audit: { tables: ['codes'], retentionDays: 1 },
    }
    const db = await open(options)
    await db.exec(`CREATE TABLE sessions(id INTEGER PRIMARY KEY, expires_at, filler);
                   CREATE TABLE codes(code TEXT PRIMARY KEY, until) WITHOUT ROWID;
                   CREATE INDEX by_expiry ON sessions(expires_at)`)
    const [past, future] = [-3_600_000, 3_600_000].map((ms) => new Date(Date.now() + ms))
    await db.runMany(
      'INSERT INTO sessions(expires_at, filler) VALUES (?, zeroblob(400))',
      Array.from({ length: 5000 }, (_, i) => [i % 5 === 0 ? future : past]),
    )
    await db.runMany('INSERT INTO codes VALUES (?, ?)', [
      ['past', past],
      ['past, in ms', past.getTime()],
      ['future', future],
      ['future, in ms', future.getTime()],
      ['never', null],
      ['no time', 'soon'],
    ])
    await db.run("UPDATE audit_log SET timestamp = '2001-01-01T00:00:00.000Z' WHERE id <= 3")
    const changed = new Set()
    db.addEventListener('change', ({ detail }) => {
      for (const table of detail.tables) changed.add(table)
    })
    let maintained = false
    const maintaining = db.maintain().finally(() => {
      maintained = true
    })
    await db.get('SELECT count(*) FROM codes')
    assert.equal(maintained, false, 'calls made meanwhile come between its steps')
    const report = await maintaining
    assert.deepEqual([report.integrity, report.foreignKeys, report.errors], [[], [], []])
    assert.deepEqual([report.ok, report.auditDeleted, report.analyzed], [true, 3, true])
    assert.deepEqual(report.expired, [
      { table: 'sessions', deleted: 4000 },
      { table: 'codes', deleted: 2 },
    ])
    assert.ok(report.freedPages > 100 && report.freedBytes === report.freedPages * 4096 && report.ms > 0)
    assert.deepEqual(await db.query('PRAGMA freelist_count'), [{ freelist_count: 0 }])
    assert.equal((await db.query("SELECT 1 FROM sqlite_stat1 WHERE idx = 'by_expiry'")).length, 1)
    await until(() => changed.size > 2)
    assert.deepEqual([...changed].sort(), ['audit_log', 'codes', 'sessions'])
    assert.deepEqual(
      (await db.query('SELECT code FROM codes ORDER BY code')).map(({ code }) => code),
      ['future', 'future, in ms', 'never', 'no time'],
    )
    assert.deepEqual(await db.query('SELECT action, count(*) AS n FROM audit_log GROUP BY action ORDER BY action'), [
      { action: 'delete', n: 2 },
      { action: 'insert', n: 3 },
    ])
    const again = await db.maintain()
    assert.deepEqual([again.ok, again.expired[0].deleted, again.freedPages], [true, 0, 0])
    await db.close()
    assert.equal((await failure(db.maintain())).code, 'closed')
    const reopened = await open({ ...options, name: db.name })
    assert.deepEqual(await reopened.get('SELECT count(*) AS n, min(id) AS first FROM sessions'), { n: 1000, first: 1 })
  },

  'a text expires only as a date or time in ISO 8601': async ({ memory }) => {
    const db = await memory({ expires: { t: 'at' } })
    await db.exec('CREATE TABLE t(at TEXT)')
    const others = ['0', '30', '12.50', '2459000.5', '10:00:00', '23:59', '2020', '2999', '1700000000', 'now', '']
    const wrong = ['2020-02-30', '2020-13-01', '-2020-01-01', '2020-01-01x', '2020-1-1', '20200101', '2020-01-01\0x']
    const kept = [...others, ...wrong, '2999-01-01', '2999-01-01T00:00:00Z']
    const past = ['2020-02-29', '2020-01-01 10:00', '2020-01-01T00:30:00+02:00', '2020-01-01T10:00:00.123456Z']
    await db.runMany(
      'INSERT INTO t VALUES (?)',
      [...past, ...kept].map((at) => [at]),
    )
    assert.deepEqual((await db.maintain()).expired, [{ table: 't', deleted: past.length }])
    assert.deepEqual(
      (await db.query('SELECT at FROM t ORDER BY rowid')).map(({ at }) => at),
      kept,
    )
  },

  'maintenance can be aborted between its steps, and the database stays usable': async ({ memory, failure }) => {
    const db = await memory({ expires: { t: 'at' } })
    await db.exec('CREATE TABLE t(at)')
    await db.runMany('INSERT INTO t VALUES (?)', Array(20_000).fill(['2001-01-01']))
    const left = async () => (await db.get('SELECT count(*) AS n FROM t')).n
    const stop = new AbortController()
    db.addEventListener('change', () => stop.abort(new Error('enough')), { once: true })
    const aborted = await failure(db.maintain({ signal: stop.signal }))
    assert.equal(aborted.notOurs, 'Error: enough')
    const rest = await left()
    assert.ok(rest > 0 && rest < 20_000, `${rest} rows are left`)
    const { ok, expired } = await db.maintain()
    assert.deepEqual([ok, expired[0].deleted, await left()], [true, rest, 0])
  },

  'a number from 1e11 on is milliseconds': async ({ memory }) => {
    const db = await memory({ expires: { t: 'at' } })
    await db.exec(`CREATE TABLE t(at); INSERT INTO t VALUES (99999999999), (1e11), (100000000000), (-99999999999), (-1e11),
                   (9223372036854775807), (-9223372036854775808)`)
    await db.maintain()
    assert.deepEqual((await db.query('SELECT at FROM t', [], { rowMode: 'array' })).flat(), [
      99999999999,
      9223372036854775807n,
    ])
  },

  'expired rows that refuse their deletion keep no others': async ({ memory }) => {
    const db = await memory({ expires: { parents: 'at' } })
    await db.exec(`CREATE TABLE parents(id INTEGER PRIMARY KEY, at);
                   CREATE TABLE children(parent REFERENCES parents(id))`)
    const fill = async (rows, referred) => {
      await db.exec('DELETE FROM children; DELETE FROM parents')
      await db.runMany(
        'INSERT INTO parents VALUES (?, ?)',
        Array.from({ length: rows }, (_, id) => [id, id % 3 === 0 ? null : '2001-01-01']),
      )
      await db.runMany(
        'INSERT INTO children VALUES (?)',
        referred.map((id) => [id]),
      )
    }
    const left = async () =>
      (await db.query('SELECT id FROM parents WHERE at IS NOT NULL ORDER BY id')).map(({ id }) => id)
    // Alone, side by side, and at the first and last row.
    const referred = [1, 2, 500, 1001, 1999, 2000, 2501, 2999]
    await fill(3000, referred)
    const { ok, expired, errors, analyzed } = await db.maintain()
    assert.deepEqual([ok, expired[0].deleted, analyzed], [false, 2000 - referred.length, true])
    assert.deepEqual(await left(), referred)
    assert.deepEqual(
      errors.map(({ step, table, error }) => [step, table, error.code]),
      [['expires', 'parents', 'sqlite_constraint']],
    )
    // Where all refuse, it ends after some.
    const all = Array.from({ length: 900 }, (_, id) => id)
    await fill(900, all)
    assert.deepEqual([(await db.maintain()).expired[0].deleted, (await left()).length], [0, 600])
  },

  'live queries over the schema see the tables of statistics': async ({ memory, until }) => {
    const db = await memory()
    await db.exec('CREATE TABLE t(a); CREATE INDEX i ON t(a); INSERT INTO t VALUES (1)')
    const results = []
    db.live("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'sqlite_stat1'").subscribe(([{ n }]) =>
      results.push(n),
    )
    await until(() => results.length === 1)
    await db.maintain()
    await until(() => results.at(-1) === 1)
  },

  'problems are reported, as an alert too, until they are solved': async ({ open, until, warnings }) => {
    const db = await open({ expires: { parents: 'at', missing: 'at' } })
    await db.exec(`CREATE TABLE parents(id INTEGER PRIMARY KEY, at);
                   CREATE TABLE children(parent REFERENCES parents(id));
                   INSERT INTO parents VALUES (1, '2001-01-01'), (2, '2001-01-01');
                   INSERT INTO children VALUES (1)`)
    await db.run('PRAGMA foreign_keys = OFF')
    await db.run('INSERT INTO children VALUES (99)')
    await db.run('PRAGMA foreign_keys = ON')
    const heard = []
    db.addEventListener('health', ({ detail }) => heard.push(detail.status))
    const health = async () => {
      const { status, alerts } = await db.health()
      return [status, alerts.filter(({ severity }) => severity === 'warning').map(({ code }) => code)]
    }
    assert.deepEqual(await health(), ['ok', []])
    const report = await db.maintain()
    assert.deepEqual([report.ok, report.analyzed], [false, true])
    assert.deepEqual(report.foreignKeys, [{ table: 'children', rowid: 2, parent: 'parents' }])
    assert.deepEqual(report.expired[0], { table: 'parents', deleted: 1 }, 'the one without children')
    assert.deepEqual(
      report.errors.map(({ step, table, error }) => [step, table, error.code]),
      [
        ['expires', 'parents', 'sqlite_constraint'],
        ['expires', 'missing', 'invalid_argument'],
      ],
    )
    assert.deepEqual(await health(), ['degraded', ['foreign_keys_violated']])
    await until(() => heard.length > 0)
    assert.equal(heard[0], 'degraded')
    assert.ok(warnings.some(({ code }) => code === 'foreign_keys_violated'))
    await db.run('DELETE FROM children')
    const again = await db.maintain()
    assert.deepEqual([again.foreignKeys, again.expired[0]], [[], { table: 'parents', deleted: 1 }])
    assert.deepEqual(await health(), ['ok', []])
  },
}
