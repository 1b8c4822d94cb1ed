// Calls of a database: order, parameters, options, and closing.
import assert from 'node:assert/strict'
import { journal } from './run/journal.mjs'

export default {
  'a NUL in an SQL text is refused, and nothing of the text is kept': async ({ memory, failure }) => {
    const up = 'CREATE TABLE one(a);\0 CREATE TABLE two(a)'
    const migration = await failure(memory({ migrations: [{ version: '1', name: 'x', up }] }))
    assert.deepEqual([migration.code, migration.details.version], ['migration_invalid', '1'])
    assert.match(migration.message, /NUL/)
    const db = await memory()
    await db.exec('CREATE TABLE t(a); INSERT INTO t VALUES (1)')
    const deletion = 'DELETE FROM t\0 WHERE a = 2'
    for (const call of [
      () => db.exec(deletion),
      () => db.exec('INSERT INTO t VALUES (2);\0 INSERT INTO t VALUES (3)'),
      () => db.exec('\0'),
      () => db.run(deletion),
      () => db.get('SELECT 1\0'),
      () => db.batch([{ sql: deletion }]),
      () => db.transaction((tx) => tx.exec(deletion)),
      () => db.runMany('INSERT INTO t VALUES (?)\0', [[2]]),
      () => db.migrations.generate('CREATE TABLE y(a);\0 CREATE TABLE z(a)'),
    ]) {
      const { code, message } = await failure(call)
      assert.equal(code, 'invalid_argument', `${call}`)
      assert.match(message, /NUL/, `${call}`)
    }
    assert.deepEqual(await db.query("SELECT a, instr(?, 'b') AS at FROM t", ['a\0b']), [{ a: 1, at: 3 }])
  },

  'calls run and settle in the order in which they were made, and wait for a transaction': async ({ memory }) => {
    const { db, insert, write, written } = await journal(memory)
    const settled = []
    const all = async (calls) => {
      await Promise.all(calls.map((call, n) => call.then(() => settled.push(n))))
      return settled.splice(0)
    }
    const hundred = Array.from({ length: 100 }, (_, n) => n)
    // The first time, and again as a known statement.
    for (const _ of [1, 2]) assert.deepEqual(await all(hundred.map((n) => write(db, n))), hundred)
    assert.deepEqual(await written(), [...hundred, ...hundred])
    await db.run('DELETE FROM journal')

    const tx = await db.begin({ mode: 'immediate' })
    const waiting = all([
      write(db, 'run'),
      db.query(insert, ['query']),
      db.transaction(async (tx) => {
        await write(tx, 'transaction')
        await tx.transaction((inner) => write(inner, 'savepoint'))
      }),
      db.exec("INSERT INTO journal (what) VALUES ('exec')"),
      db.batch([{ sql: insert, params: ['batch'] }]),
      db.runMany(insert, [['many'], ['more']]),
      db.sql`INSERT INTO journal (what) VALUES (${'sql'})`,
      db.run(insert, ['last'], { timeoutMs: 10_000, signal: new AbortController().signal }),
    ])
    await write(tx, 'first')
    await tx.commit()
    await waiting
    const order = 'first run query transaction savepoint exec batch many more sql last'
    assert.equal((await written()).join(' '), order)
  },

  'parameters are copied at the call, also when it waits': async ({ memory }) => {
    const { db, insert, written } = await journal(memory)
    await db.run(insert, ['known'])
    const tx = await db.begin()
    const [params, named, rows] = [[1], { a: 1 }, [[1], [2]]]
    const calls = [
      db.run(insert, params),
      db.run('INSERT INTO journal (what) VALUES (:a)', named),
      db.runMany(insert, rows),
    ]
    params[0] = named.a = rows[0][0] = 99
    rows.push([3])
    await tx.rollback()
    await Promise.all(calls)
    assert.deepEqual(await written(), ['known', 1, 1, 1, 2])
  },

  // The arguments of most calls are in arguments.mjs.
  'the options of calls are checked': async ({ memory, failure, tidelock }) => {
    const db = await memory()
    const wrong = async (...calls) => {
      for (const call of calls) assert.equal((await failure(call)).code, 'invalid_argument', String(call))
    }
    for (const options of [{ timeoutMs: 0 }, { timeoutMs: 'x' }, { signal: {} }, { typo: 1 }, 5, { rowMode: 'list' }])
      await wrong(() => db.query('SELECT 1', [], options))
    await wrong(
      () => db.transaction('x'),
      () => db.transaction(() => {}, { mode: 'exclusive' }),
      () => db.begin({ mode: 'exclusive' }),
      () => db.migrations.run({ atomic: 'some' }),
      () => db.migrations.revert({ atomic: 'all' }),
      () => db.migrations.forget(),
      () => db.migrations.generate(),
      () => db.migrations.sync(),
    )
    for (const renames of [[], 'a', { a: 1 }, { a: '' }]) await wrong(() => db.migrations.generate('', { renames }))
    for (const force of [undefined, {}, { force: false }, { force: 1 }, { force: true, more: 1 }])
      await wrong(
        () => db.migrations.reset(force),
        () => db.migrations.drop(force),
      )
    for (const encryption of [undefined, {}, { passphrase: '' }, 'words']) await wrong(() => db.rekey(encryption))
    // An invalid time, and one without a time zone.
    for (const at of [undefined, 5, '', '2026-11-20', '2026-11-20T12:00:00', 'soon', new Date(Number.NaN)])
      await wrong(() => db.snapshots.restore({ at }))
    for (const point of [null, 5, '', {}, { at: new Date(), id: '1' }]) await wrong(() => db.snapshots.restore(point))
    assert.deepEqual(await db.sync.pending(), [])
    assert.deepEqual(await db.get(tidelock.sql`SELECT 1 AS one`, undefined, { timeoutMs: 10_000 }), { one: 1 })
  },

  'a time may be a text with any time zone': async ({ open, failure }) => {
    const db = await open()
    // The time is valid, but nothing was stored before it.
    for (const at of ['2000-01-01T12:00:00.5+02:00', '2000-01-01T10:00:00Z', new Date(5)])
      assert.equal((await failure(db.snapshots.restore({ at }))).code, 'snapshot_not_found')
  },

  'the error of a batch has the number of the statement': async ({ memory, failure }) => {
    const db = await memory()
    const failed = await failure(db.batch([{ sql: 'SELECT 1' }, { sql: 'SELECT wrong' }]))
    assert.deepEqual([failed.code, failed.details.statement, failed.details.offset], ['sqlite_error', 2, 7])
  },

  'explain shows the plan': async ({ memory }) => {
    const db = await memory()
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a); CREATE INDEX ta ON t (a)')
    const plan = await db.explain('SELECT * FROM t WHERE a = ?', [1])
    assert.match(plan.map((step) => step.detail).join(' '), /ta/)
  },

  'close finishes earlier calls, and later calls are refused': async ({ memory, failure }) => {
    const { db, write } = await journal(memory)
    const transaction = db.transaction(async (tx) => {
      await tx.get('SELECT 1')
      await new Promise((resolve) => setTimeout(resolve))
      return tx.get('SELECT count(*) AS n FROM journal')
    })
    const before = write(db, 'before')
    // Some browsers have no such symbol yet.
    const closing = Symbol.asyncDispose ? db[Symbol.asyncDispose]() : db.close()
    assert.equal(db.close(), closing)
    assert.equal(db.closed, true)
    assert.equal((await failure(db.query('SELECT 1'))).code, 'closed')
    assert.deepEqual(await transaction, { n: 0 })
    assert.equal((await before).changes, 1)
    await closing
    assert.equal((await failure(() => db.live('SELECT 1'))).code, 'closed')
    const { status, name } = await db.health()
    assert.deepEqual([status, name], ['failed', db.name])
  },
  'a transaction that commits while the database closes resolves, wherever it is stored': async (t) => {
    for (const open of [t.memory, t.open]) {
      const { db, write } = await journal(open)
      const transaction = db.transaction((tx) => write(tx, 'begun before the end'))
      const closing = db.close()
      assert.equal((await transaction).changes, 1)
      await closing
    }
  },
}
