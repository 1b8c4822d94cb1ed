// Rows in every form, and repeated statements.
import assert from 'node:assert/strict'

export default {
  'large results are whole and in order in every form of rows': async ({ memory }) => {
    const db = await memory()
    await db.exec(
      'CREATE TABLE t (id INTEGER PRIMARY KEY, price REAL, large INTEGER, name TEXT, state TEXT, day TEXT, bytes BLOB, mixed)',
    )
    // Short, long, rare and frequent texts: repeated ones are cached.
    const states = ['open', 'öffen', '', 'closed', 'x'.repeat(64), 'x'.repeat(65), null]
    const given = Array.from({ length: 20_000 }, (_, n) => [
      n,
      n / 4 + 0.1,
      2n ** 60n + BigInt(n),
      `name ${n} ✓ ${'é'.repeat(n % 50)}`,
      states[n % 7],
      n < 9000 ? `day ${n}` : `Tag ${n % 700} ✓`,
      n % 7 ? null : new Uint8Array([n & 255, n >> 8]),
      n % 3 ? `${n % 50}` : n % 50,
    ])
    assert.deepEqual(await db.runMany('INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)', given), { changes: 20_000 })
    const same = (one, other) => one === other || (other instanceof Uint8Array && `${one}` === `${other}`)
    const check = (form, rows) => {
      assert.equal(rows.length, given.length, form)
      const wrong = rows.findIndex((row, n) => row.length !== 8 || !row.every((value, at) => same(value, given[n][at])))
      assert.equal(wrong, -1, `${form}: ${rows[wrong]}`)
    }
    const sql = 'SELECT * FROM t ORDER BY id'
    check('objects', (await db.query(sql)).map(Object.values))
    check('arrays', await db.query(sql, [], { rowMode: 'array' }))
    const iterated = []
    for await (const row of db.iterate(sql)) {
      iterated.push(Object.values(row))
      // Each row is an object of its own.
      row.state = 'changed'
    }
    check('iterate', iterated)
    for (const rowMode of ['object', 'array'])
      assert.deepEqual(await db.query('SELECT id, name FROM t WHERE 0', [], { rowMode }), [])
    assert.deepEqual(await db.get("SELECT length(printf('%.*c', 3000000, 'x')) AS n"), { n: 3_000_000 })
  },

  'a loop over the rows of one point in time may write to them': async ({ memory, failure }) => {
    const db = await memory()
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)')
    const given = Array.from({ length: 3000 }, (_, n) => [n, n % 5 ? `name ${n}` : `näme 🌿 ${n}`])
    await db.runMany('INSERT INTO t VALUES (?, ?)', given)
    const names = []
    for await (const { id, name } of db.iterate('SELECT * FROM t WHERE id >= :from ORDER BY id', { from: 1000 })) {
      names.push(name)
      if (id % 100 === 0) await db.run('DELETE FROM t WHERE id > ?', [id])
    }
    assert.deepEqual(
      names,
      given.slice(1000).map(([, name]) => name),
    )
    // A loop that is left early, or fails, blocks no other call.
    const loop = async (sql, enough, options) => {
      let seen = 0
      for await (const _ of db.iterate(sql, [], options)) if (++seen === 700 && enough()) break
    }
    await loop('SELECT * FROM t', () => true)
    const stop = new AbortController()
    const stopped = loop('SELECT * FROM t', () => stop.abort('enough'), { signal: stop.signal })
    assert.equal((await failure(stopped)).notOurs, 'enough')
    assert.equal((await failure(loop('SELECT * FROM nowhere'))).code, 'sqlite_error')
    assert.deepEqual(await db.get('SELECT count(*) AS n FROM t'), { n: 1001 })
  },

  'a statement runs again whatever happened to its tables, its text and other statements': async (t) => {
    const db = await t.memory()
    const look = (on = db) => on.get('SELECT * FROM t WHERE a = ?', [1])
    await db.exec('CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2)')
    assert.deepEqual([await look(), await look()], Array(2).fill({ a: 1, b: 2 }))
    await db.exec('ALTER TABLE t ADD COLUMN c DEFAULT 3')
    assert.deepEqual(await look(), { a: 1, b: 2, c: 3 })
    for (let n = 0; n < 300; n++) await db.get(`SELECT ${n} AS n`)
    assert.deepEqual(await look(), { a: 1, b: 2, c: 3 })
    await db.transaction(async (tx) => {
      await tx.run('UPDATE t SET b = 20')
      assert.deepEqual(await look(tx), { a: 1, b: 20, c: 3 })
    })
    await db.exec('DROP TABLE t')
    assert.equal((await t.failure(look())).code, 'sqlite_error')
    await db.exec('CREATE TABLE t (x, a); INSERT INTO t VALUES (9, 1)')
    assert.deepEqual([await look(), await look()], Array(2).fill({ x: 9, a: 1 }))
  },
}
