// Running in one transaction, running again, and beginning anew.
import assert from 'node:assert/strict'
import { suite, test } from './harness.mjs'
import { onFreshName } from './in-page.mjs'

const context = suite()

const inPage = (work) => onFreshName(context, work)

test('a dry run shows the scripts, and all run in one transaction or not at all', async () => {
  const result = await inPage(async (name) => {
    const good = [
      { version: '1', name: 'a', up: 'CREATE TABLE a (n)', down: 'DROP TABLE a' },
      { version: '2', name: 'b', up: async (tx) => tx.exec('CREATE TABLE b (n); INSERT INTO b VALUES (1)') },
    ]
    const broken = { version: '3', name: 'c', up: 'CREATE TABLE c (n);\nINSERT INTO nowhere VALUES (1)' }
    const db = await window.open({ name, migrate: false, migrations: [...good, broken] })
    const tables = async () =>
      (await db.query("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name")).map(
        (row) => row.name,
      )
    const dry = await db.migrations.run({ dryRun: true })
    const untouched = await tables()
    const failed = await window.failure(db.migrations.run({ atomic: 'all' }))
    const none = await tables()
    const some = await db.migrations.run({ atomic: 'all', to: '2' })
    const out = { dry, untouched, failed, none, some: some.applied.map((one) => one.version), after: await tables() }
    out.rows = await db.query('SELECT n FROM b')
    out.wrong = await window.failure(db.migrations.run({ atomic: 'some' }))
    await db.close()
    return out
  })
  assert.deepEqual(
    result.dry.planned.map(({ version, direction, sql }) => [version, direction, sql]),
    [
      ['1', 'up', 'CREATE TABLE a (n)'],
      ['2', 'up', null],
      ['3', 'up', 'CREATE TABLE c (n);\nINSERT INTO nowhere VALUES (1)'],
    ],
  )
  assert.deepEqual([result.dry.applied, result.untouched, result.none], [[], [], []])
  assert.equal(result.failed.code, 'migration_failed')
  assert.deepEqual([result.failed.details.version, result.failed.details.line], ['3', 2])
  assert.match(result.failed.details.statement, /nowhere/)
  assert.deepEqual([result.some, result.after, result.rows], [['1', '2'], ['a', 'b', 'schema_migrations'], [{ n: 1 }]])
  assert.equal(result.wrong.code, 'invalid_argument')
})

test('redo, forget, reset and drop', async () => {
  const result = await inPage(async (name) => {
    const migrations = [
      { version: '1', name: 'a', up: 'CREATE TABLE a (n)' },
      {
        version: '2',
        name: 'b',
        up: 'CREATE TABLE IF NOT EXISTS b (n); INSERT INTO b VALUES (1)',
        down: 'DROP TABLE b',
      },
    ]
    const db = await window.open({ name, migrations })
    const numbers = async () => (await db.query('SELECT n FROM b')).map((row) => row.n)
    const states = async () => (await db.migrations.status()).map((row) => row.state)
    await db.run('INSERT INTO b VALUES (2)')
    const out = { told: [] }
    db.addEventListener('migration', ({ detail }) =>
      out.told.push([detail.version, detail.direction, detail.done, detail.total]),
    )
    const redone = await db.migrations.redo()
    await window.until(() => out.told.length === 2)
    out.redone = [redone.reverted.length, redone.applied.length, await numbers()]
    await db.migrations.forget('2')
    out.forgotten = await states()
    await db.migrations.run()
    out.again = await numbers()
    out.unknown = await window.failure(db.migrations.forget('7'))
    out.unforced = [
      await window.failure(db.migrations.reset()),
      await window.failure(db.migrations.drop({ force: false })),
    ].map((error) => error.code)
    await db.exec('CREATE TABLE mine (n); INSERT INTO a VALUES (5)')
    const live = db.live('SELECT count(*) AS n FROM a')
    const seen = []
    live.subscribe((rows) => seen.push(rows[0].n))
    await window.until(() => seen.length > 0)
    const reset = await db.migrations.reset({ force: true })
    out.reset = [reset.applied.map((one) => one.version), await numbers()]
    await window.until(() => seen.at(-1) === 0)
    live.close()
    out.mine = (await window.failure(db.query('SELECT * FROM mine'))).code
    const [safety] = (await db.snapshots.list()).filter((one) => one.reason === 'safety')
    await db.close()
    const next = await window.open({ name, migrations })
    out.stored = (await next.query('SELECT n FROM b')).map((row) => row.n)
    await next.snapshots.restore(safety.id)
    out.restored = await next.query('SELECT n FROM a')
    await next.migrations.drop({ force: true })
    out.dropped = await next.query('SELECT name FROM sqlite_schema')
    out.pending = (await next.health()).migrations.pending
    await next.close()
    return out
  })
  assert.deepEqual(result.told.slice(0, 2), [
    ['2', 'down', 0, 1],
    ['2', 'up', 0, 1],
  ])
  assert.deepEqual(result.redone, [1, 1, [1]])
  assert.deepEqual(result.forgotten, ['applied', 'pending'])
  assert.deepEqual(result.again, [1, 1])
  assert.equal(result.unknown.code, 'invalid_argument')
  assert.deepEqual(result.unforced, ['invalid_argument', 'invalid_argument'])
  assert.deepEqual(result.reset, [['1', '2'], [1]])
  assert.equal(result.mine, 'sqlite_error')
  assert.deepEqual([result.stored, result.restored], [[1], [{ n: 5 }]])
  assert.deepEqual([result.dropped, result.pending], [[], 2])
})

test('a reset whose migrations fail leaves everything as it was', async () => {
  const result = await inPage(async (name) => {
    let fail = false
    const migrations = [
      { version: '1', name: 'a', up: 'CREATE TABLE a (n)' },
      {
        version: '2',
        name: 'b',
        up: async (tx) => {
          await tx.run('INSERT INTO a VALUES (1)')
          if (fail) throw new Error('not today')
        },
      },
    ]
    const db = await window.open({ name, migrations })
    await db.run('INSERT INTO a VALUES (2)')
    fail = true
    const failed = await window.failure(db.migrations.reset({ force: true }))
    const rows = await db.query('SELECT n FROM a')
    const states = (await db.migrations.status()).map((row) => row.state)
    await db.close()
    return { failed, rows, states }
  })
  assert.equal(result.failed.code, 'migration_failed')
  assert.match(result.failed.cause, /not today/)
  assert.deepEqual(result.rows, [{ n: 1 }, { n: 2 }])
  assert.deepEqual(result.states, ['applied', 'applied'])
})
