// Rows in other forms than all at once, and transactions that their caller ends.
import assert from 'node:assert/strict'
import { suite, test } from './harness.mjs'
import { inPage } from './in-page.mjs'

const context = suite()

test('rows column by column', async () => {
  const { kinds, equal, big, none } = await inPage(context, async (db) => {
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, price REAL, name TEXT, note TEXT, large INTEGER)')
    const rows = Array.from({ length: 5000 }, (_, n) => [n, n / 4, `näme ${n}`, n % 2 ? null : `note ${n}`, 2n ** 60n])
    await db.runMany('INSERT INTO t VALUES (?, ?, ?, ?, ?)', rows)
    const columns = await db.query('SELECT * FROM t ORDER BY id', [], { rowMode: 'columns' })
    const arrays = await db.query('SELECT * FROM t ORDER BY id', [], { rowMode: 'array' })
    const none = await db.query('SELECT * FROM t WHERE 0', [], { rowMode: 'columns' })
    return {
      kinds: columns.values.map((values) => values.constructor.name),
      equal:
        columns.rows === 5000 && arrays.every((row, n) => row.every((value, at) => value === columns.values[at][n])),
      big: String(columns.values[4][4999]),
      none,
    }
  })
  assert.deepEqual(kinds, ['Float64Array', 'Float64Array', 'Array', 'Array', 'BigInt64Array'])
  assert.equal(equal, true)
  assert.equal(big, String(2n ** 60n))
  assert.deepEqual(none, { columns: ['id', 'price', 'name', 'note', 'large'], rows: 0, values: [[], [], [], [], []] })
})

test('texts that come again are the same in every form of rows', async () => {
  const wrong = await inPage(context, async (db) => {
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, state TEXT, day TEXT, mixed)')
    const states = ['open', 'öffen', '', 'closed', 'x'.repeat(64), 'x'.repeat(65), null]
    const rows = Array.from({ length: 20_000 }, (_, n) => [
      n,
      `name ${n}`,
      states[n % 7],
      n < 9000 ? `day ${n}` : `Tag ${n % 700} ✓`,
      n % 3 ? `${n % 50}` : n % 50,
    ])
    await db.runMany('INSERT INTO t VALUES (?, ?, ?, ?, ?)', rows)
    const wrong = []
    const check = (form, row, n) => {
      if (row.length !== 5 || row.some((value, at) => value !== rows[n][at])) wrong.push(`${form} ${n}: ${row}`)
    }
    const sql = 'SELECT * FROM t ORDER BY id'
    for (const [n, row] of (await db.query(sql)).entries()) check('object', Object.values(row), n)
    for (const [n, row] of (await db.query(sql, [], { rowMode: 'array' })).entries()) check('array', row, n)
    const { values } = await db.query(sql, [], { rowMode: 'columns' })
    for (const n of rows.keys()) {
      const row = values.map((column) => column[n])
      check('columns', row, n)
    }
    let n = 0
    for await (const row of db.iterate(sql)) {
      check('iterate', Object.values(row), n++)
      // A row is its reader's own.
      row.state = 'changed'
    }
    if (n !== rows.length) wrong.push(`iterate: ${n} rows`)
    return wrong.slice(0, 5)
  })
  assert.deepEqual(wrong, [])
})

test('a loop over the rows of one moment may write to them', async () => {
  const result = await inPage(context, async (db) => {
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)')
    await db.runMany(
      'INSERT INTO t VALUES (?, ?)',
      Array.from({ length: 3000 }, (_, n) => [n, n % 5 ? `name ${n}` : `näme 🌿 ${n}`]),
    )
    const names = []
    for await (const { id, name } of db.iterate('SELECT * FROM t WHERE id >= :from ORDER BY id', { from: 1000 })) {
      names.push(name)
      if (id % 100 === 0) await db.run('DELETE FROM t WHERE id > ?', [id])
    }
    let left = 0
    for await (const _ of db.iterate('SELECT * FROM t')) {
      left++
      if (left === 700) break
    }
    const after = await db.get('SELECT count(*) AS n FROM t')
    const stop = new AbortController()
    let seen = 0
    let reason
    try {
      for await (const _ of db.iterate('SELECT * FROM t', [], { signal: stop.signal })) {
        if (++seen === 10) stop.abort('enough')
      }
    } catch (error) {
      reason = error
    }
    let code
    try {
      for await (const _ of db.iterate('SELECT * FROM nowhere')) seen++
    } catch (error) {
      code = error.code
    }
    return { count: names.length, first: names[0], last: names.at(-1), left, after: after.n, seen, reason, code }
  })
  assert.deepEqual(result, {
    count: 2000,
    first: 'näme 🌿 1000',
    last: 'name 2999',
    left: 700,
    after: 1001,
    seen: 10,
    reason: 'enough',
    code: 'sqlite_error',
  })
})

test('a transaction that was begun is committed, rolled back, or ended by closing', async () => {
  const work = async (db) => {
    await db.exec('CREATE TABLE t (a)')
    const count = async (on = db) => (await on.get('SELECT count(*) AS n FROM t')).n
    const first = await db.begin()
    await first.run('INSERT INTO t VALUES (1)')
    const outside = count()
    await first.transaction((inner) => inner.run('INSERT INTO t VALUES (2)'))
    await first.commit()
    const committed = await outside
    const second = await db.begin({ mode: 'immediate' })
    await second.run('DELETE FROM t')
    const inside = await count(second)
    await second.rollback()
    const rolledBack = await count()
    const codes = []
    for (const call of [() => second.run('DELETE FROM t'), () => first.commit(), () => second.rollback()])
      codes.push(await call().catch((error) => error.code))
    const open_ = await db.begin()
    await open_.run('DELETE FROM t')
    await db.close()
    codes.push(await open_.query('SELECT 1').catch((error) => error.code))
    const again = await window.open({ name: db.name })
    const kept = await count(again)
    await again.close()
    return { committed, inside, rolledBack, codes, kept }
  }
  const result = await inPage(context, work, { options: { storage: 'indexeddb' } })
  const ended = 'transaction_closed'
  assert.deepEqual(result, { committed: 2, inside: 0, rolledBack: 2, codes: [ended, ended, ended, ended], kept: 2 })
})

test('a statement runs again whatever happened to its tables, its text and its neighbours', async () => {
  const result = await inPage(context, async (db) => {
    await db.exec('CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2)')
    const sql = 'SELECT * FROM t WHERE a = ?'
    const seen = []
    const look = async () => seen.push(JSON.stringify(await db.get(sql, [1])))
    await look()
    await look()
    await db.exec('ALTER TABLE t ADD COLUMN c DEFAULT 3')
    await look()
    for (let n = 0; n < 300; n++) await db.get(`SELECT ${n} AS n`)
    await look()
    await db.transaction(async (tx) => {
      await tx.run('UPDATE t SET b = 20')
      seen.push(JSON.stringify(await tx.get(sql, [1])))
    })
    await db.exec('DROP TABLE t')
    seen.push((await db.get(sql, [1]).catch((error) => error)).code)
    await db.exec('CREATE TABLE t (x, a); INSERT INTO t VALUES (9, 1)')
    await look()
    await look()
    return seen
  })
  const [before, after] = ['{"a":1,"b":2}', '{"a":1,"b":2,"c":3}']
  const end = '{"x":9,"a":1}'
  assert.deepEqual(result, [before, before, after, after, '{"a":1,"b":20,"c":3}', 'sqlite_error', end, end])
})
