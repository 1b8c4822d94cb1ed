// Transactions, batches and scripts: whole or not at all, one after the other.
import assert from 'node:assert/strict'
import { suite, test } from './harness.mjs'
import { inPage } from './in-page.mjs'

const context = suite()

test('runMany and batch are one transaction each', async () => {
  const result = await inPage(context, async (db) => {
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY)')
    const many = await window.failure(() => db.runMany('INSERT INTO t VALUES (?)', [[1], [2], [1]]))
    const afterMany = await db.get('SELECT count(*) AS n FROM t')
    const batch = await db.batch([
      { sql: 'INSERT INTO t VALUES (?)', params: [7] },
      { sql: 'SELECT * FROM t' },
      { sql: 'SELECT :a AS a', params: { a: 'x' } },
    ])
    const failed = await window.failure(() =>
      db.batch([{ sql: 'INSERT INTO t VALUES (8)' }, { sql: 'INSERT INTO t VALUES (7)' }]),
    )
    return { many, afterMany, batch, failed, left: await db.query('SELECT * FROM t') }
  })
  assert.equal(result.many.code, 'sqlite_constraint')
  assert.equal(result.many.details.sqliteCode, 'SQLITE_CONSTRAINT_PRIMARYKEY')
  assert.deepEqual(result.afterMany, { n: 0 })
  assert.deepEqual(result.batch, [[], [{ id: 7 }], [{ a: 'x' }]])
  assert.equal(result.failed.code, 'sqlite_constraint')
  assert.deepEqual(result.left, [{ id: 7 }])
})

test('a transaction commits on return, rolls back on throw, and passes the error through', async () => {
  const result = await inPage(context, async (db) => {
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY)')
    const returned = await db.transaction(async (tx) => {
      await tx.run('INSERT INTO t VALUES (1)')
      await tx.runMany('INSERT INTO t VALUES (?)', [[2], [3]])
      return (await tx.query('SELECT count(*) AS n FROM t'))[0].n
    })
    const mine = new RangeError('mine')
    let same = false
    await db
      .transaction(async (tx) => {
        await tx.run('INSERT INTO t VALUES (4)')
        throw mine
      })
      .catch((error) => (same = error === mine))
    const sql = await window.failure(
      db.transaction(async (tx) => {
        await tx.run('INSERT INTO t VALUES (5)')
        await tx.run('INSERT INTO t VALUES (1)')
      }),
    )
    const caughtInside = await db.transaction(async (tx) => {
      await tx.run('INSERT INTO t VALUES (6)')
      await tx.run('INSERT INTO t VALUES (1)').catch(() => {})
      return 'went on'
    })
    return {
      returned,
      same,
      sql: sql.code,
      caughtInside,
      rows: (await db.query('SELECT id FROM t ORDER BY id')).map((row) => row.id),
    }
  })
  assert.deepEqual(result, {
    returned: 3,
    same: true,
    sql: 'sqlite_constraint',
    caughtInside: 'went on',
    rows: [1, 2, 3, 6],
  })
})

test('nested transactions are savepoints; calls outside wait; a transaction that ended is closed', async () => {
  const result = await inPage(context, async (db) => {
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY)')
    const order = []
    let kept
    const outer = db.transaction(async (tx) => {
      kept = tx
      await tx.run('INSERT INTO t VALUES (1)')
      const outside = db.query('SELECT count(*) AS n FROM t').then(([row]) => order.push(`outside saw ${row.n}`))
      await tx.transaction(async (inner) => {
        await inner.run('INSERT INTO t VALUES (2)')
        await inner
          .transaction(async (deepest) => {
            await deepest.run('INSERT INTO t VALUES (3)')
            throw new Error('back')
          })
          .catch(() => {})
      })
      await tx
        .transaction(async (inner) => {
          await inner.run('INSERT INTO t VALUES (4)')
          throw new Error('back')
        })
        .catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, 50))
      order.push(`inside saw ${(await tx.get('SELECT count(*) AS n FROM t')).n}`)
      return { outside }
    })
    await (await outer).outside
    return {
      order,
      closed: await window.failure(() => kept.run('INSERT INTO t VALUES (9)')),
      rows: await db.query('SELECT id FROM t ORDER BY id'),
    }
  })
  assert.deepEqual(result.order, ['inside saw 2', 'outside saw 2'])
  assert.equal(result.closed.code, 'transaction_closed')
  assert.deepEqual(result.rows, [{ id: 1 }, { id: 2 }])
})

test('calls take their turn in the order in which they were made', async () => {
  const result = await inPage(context, async (db) => {
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)')
    const done = []
    await Promise.all(
      Array.from({ length: 100 }, (_, i) => db.run('INSERT INTO t (n) VALUES (?)', [i]).then(() => done.push(i))),
    )
    const rows = await db.query('SELECT n FROM t ORDER BY id')
    return { done, rows: rows.map((row) => row.n) }
  })
  const expected = Array.from({ length: 100 }, (_, i) => i)
  assert.deepEqual(result, { done: expected, rows: expected })
})

test('exec runs a script whole or not at all, or as its own BEGIN and COMMIT say', async () => {
  const result = await inPage(context, async (db) => {
    await db.exec(
      "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT); INSERT INTO t VALUES (1, 'a;b'); -- a comment; with a semicolon\n INSERT INTO t VALUES (2, '')",
    )
    const failed = await window.failure(() => db.exec('INSERT INTO t VALUES (3, NULL); INSERT INTO nowhere VALUES (1)'))
    await db.exec("BEGIN; INSERT INTO t VALUES (4, 'x'); COMMIT; BEGIN; INSERT INTO t VALUES (5, 'y'); ROLLBACK")
    const open = await window.failure(() => db.exec('BEGIN; INSERT INTO t VALUES (6, NULL)'))
    await db.exec(
      'CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET s = NEW.id; SELECT 1; END; INSERT INTO t VALUES (7, NULL)',
    )
    await db.exec('VACUUM')
    await db.exec('')
    return {
      failed: failed.code,
      open: open.code,
      rows: await db.query('SELECT id FROM t ORDER BY id'),
      usable: await db.get('SELECT 1 AS one'),
    }
  })
  assert.equal(result.failed, 'sqlite_error')
  assert.equal(result.open, 'invalid_argument')
  assert.deepEqual(
    result.rows.map((row) => row.id),
    [1, 2, 4, 7],
  )
  assert.deepEqual(result.usable, { one: 1 })
})

test('statements that would go behind the engine’s back are refused with a hint', async () => {
  const refused = [
    'BEGIN',
    'COMMIT',
    'ROLLBACK',
    'END',
    'SAVEPOINT s',
    'RELEASE s',
    "ATTACH ':memory:' AS other",
    'PRAGMA journal_mode = WAL',
    'PRAGMA locking_mode = NORMAL',
    'PRAGMA synchronous = 2',
    'PRAGMA cache_spill = 1',
    'PRAGMA page_size = 1024',
    'PRAGMA writable_schema = 1',
    'PRAGMA main.journal_mode=delete',
    '/* hidden */ BEGIN IMMEDIATE',
    'pragma JOURNAL_MODE(off)',
  ]
  const result = await inPage(
    context,
    async (db, statements) => {
      const refusals = []
      for (const sql of statements) refusals.push([sql, await window.failure(() => db.query(sql))])
      const inTransaction = await window.failure(db.transaction((tx) => tx.query('PRAGMA foreign_keys = off')))
      return {
        refusals,
        inTransaction,
        reads: [
          await db.query('PRAGMA foreign_keys'),
          await db.query('PRAGMA recursive_triggers'),
          await db.query('PRAGMA integrity_check'),
        ],
        allowed: [await db.query('PRAGMA user_version = 7'), await db.query('PRAGMA user_version')],
      }
    },
    { argument: refused },
  )
  for (const [sql, failed] of [...result.refusals, ['foreign_keys in a transaction', result.inTransaction]]) {
    assert.equal(failed.code, 'invalid_argument', sql)
    assert.ok(failed.hint, `a hint for ${sql}`)
  }
  assert.deepEqual(result.reads, [[{ foreign_keys: 1 }], [{ recursive_triggers: 1 }], [{ integrity_check: 'ok' }]])
  assert.deepEqual(result.allowed[1], [{ user_version: 7 }])
})
