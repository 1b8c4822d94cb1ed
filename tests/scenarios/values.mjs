// Values, parameters and results.
import assert from 'node:assert/strict'

/** Values: the parameter, the result, and the type as which SQLite stores it. */
const stored = [
  [null, null, 'null'],
  [true, 1, 'integer'],
  [false, 0, 'integer'],
  [0, 0, 'integer'],
  [1, 1, 'integer'],
  [-1, -1, 'integer'],
  [1.5, 1.5, 'real'],
  [-1e300, -1e300, 'real'],
  [5e-324, 5e-324, 'real'],
  [2 ** 53 - 1, 2 ** 53 - 1, 'integer'],
  [-(2 ** 53 - 1), -(2 ** 53 - 1), 'integer'],
  [2 ** 53, 2 ** 53, 'real'],
  [2n ** 53n, 2n ** 53n, 'integer'],
  [2n ** 63n - 1n, 2n ** 63n - 1n, 'integer'],
  [-(2n ** 63n), -(2n ** 63n), 'integer'],
  [7n, 7, 'integer'],
  ['', '', 'text'],
  ['text', 'text', 'text'],
  ['a\0b', 'a\0b', 'text'],
  ['\uFEFFwith a BOM', '\uFEFFwith a BOM', 'text'],
  ['Zoë 🌿 東京 👩‍👩‍👧', 'Zoë 🌿 東京 👩‍👩‍👧', 'text'],
  [new Uint8Array([0, 1, 255]), new Uint8Array([0, 1, 255]), 'blob'],
  [new Uint8Array(0), new Uint8Array(0), 'blob'],
  [new Uint8Array([9, 8]).buffer, new Uint8Array([9, 8]), 'blob'],
  [new Date('2026-02-03T04:05:06.789Z'), '2026-02-03T04:05:06.789Z', 'text'],
]

export default {
  'values come back as they went in': async ({ memory }) => {
    const db = await memory()
    await db.run('CREATE TABLE v (k INTEGER PRIMARY KEY, a)')
    await db.runMany(
      'INSERT INTO v (a) VALUES (?)',
      stored.map(([given]) => [given]),
    )
    assert.deepEqual(
      await db.query('SELECT a, typeof(a) FROM v ORDER BY k', [], { rowMode: 'array' }),
      stored.map(([, value, type]) => [value, type]),
    )
    for (const [given, value] of stored) assert.deepEqual(await db.get('SELECT ? AS a', [given]), { a: value })
  },

  'parameters: positional, named by each prefix, none missing, none unknown': async ({ memory, failure }) => {
    const db = await memory()
    assert.deepEqual(await db.get('SELECT ? + ? AS n', [40, 2]), { n: 42 })
    assert.deepEqual(await db.get('SELECT :a || @b || $c AS t', { a: 'x', b: 'y', c: 'z' }), { t: 'xyz' })
    assert.deepEqual(await db.get('SELECT :a + :a AS n', { a: 21 }), { n: 42 })
    for (const [parameter, ...call] of [
      [2, 'SELECT ?, ?', [1]],
      [2, 'SELECT ?', [1, 2]],
      [1, 'SELECT ?'],
      ['b', 'SELECT :a, :b', { a: 1 }],
      ['b', 'SELECT :a', { a: 1, b: 2 }],
    ]) {
      const { code, details } = await failure(db.query(...call))
      assert.deepEqual([code, details.parameter], ['invalid_argument', parameter])
    }
    assert.equal((await failure(db.runMany('SELECT ?, ?', [[1, 2], [3]]))).code, 'invalid_argument')
  },

  'integers: auto, bigint and number': async ({ memory, failure }) => {
    for (const [integers, small, large] of [
      [undefined, 2 ** 53 - 1, 2n ** 53n + 1n],
      ['bigint', 2n ** 53n - 1n, 2n ** 53n + 1n],
      ['number', 2 ** 53 - 1, 'integer_out_of_range'],
    ]) {
      const db = await memory({ integers })
      assert.deepEqual(await db.get('SELECT 9007199254740991 AS i'), { i: small })
      const { resolved, code } = await failure(db.get('SELECT 9007199254740993 AS i'))
      assert.equal(resolved?.i ?? code, large)
    }
  },

  'query, get, run, runMany: shapes of their results': async ({ memory }) => {
    const db = await memory()
    await db.run('CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)')
    assert.deepEqual(await db.run('INSERT INTO t (name) VALUES (?)', ['a']), { changes: 1, lastInsertRowid: 1 })
    const rows = [
      { id: 10, name: 'b' },
      { id: 9007199254740993n, name: 'c' },
    ]
    assert.deepEqual(await db.runMany('INSERT INTO t (id, name) VALUES (:id, :name)', rows), { changes: 2 })
    assert.equal((await db.run("UPDATE t SET name = name || '!'")).changes, 3)
    const all = await db.query('SELECT * FROM t ORDER BY id')
    assert.deepEqual(all, [
      { id: 1, name: 'a!' },
      { id: 10, name: 'b!' },
      { id: 9007199254740993n, name: 'c!' },
    ])
    assert.equal(Object.getPrototypeOf(all[0]), Object.prototype)
    const arrays = await db.query('SELECT id, id, name FROM t WHERE id = 10', [], { rowMode: 'array' })
    assert.deepEqual(arrays, [[10, 10, 'b!']])
    assert.equal(await db.get('SELECT 1 WHERE 0'), undefined)
    assert.deepEqual(await db.query('SELECT 1 WHERE 0'), [])
    assert.deepEqual(await db.query('DELETE FROM t WHERE id = 10 RETURNING name'), [{ name: 'b!' }])
  },

  "SQL's mathematical functions compute as those of C": async ({ memory }) => {
    const db = await memory()
    const functions = {
      ...{ sin: [1], cos: [1], tan: [1], asin: [0.5], acos: [0.5], atan: [0.5], atan2: [1, -2] },
      ...{ sinh: [1], cosh: [1], tanh: [1], asinh: [2], acosh: [2], atanh: [0.5] },
      ...{ exp: [1], ln: [10], log10: [1000], log2: [8], sqrt: [2] },
    }
    for (const [name, args] of Object.entries(functions)) {
      const { value } = await db.get(`SELECT ${name}(${args}) AS value`)
      const expected = Math[name === 'ln' ? 'log' : name](...args)
      assert.ok(Math.abs(value - expected) <= 1e-15 * Math.abs(expected), `${name}: ${value} for ${expected}`)
    }
    // Cases in which JavaScript's own functions and operators differ, or could.
    const edges = await db.query(
      `SELECT pow(2, 10), power(-8, 3), pow(2, 0.5), pow(1, 9e999), pow(-1, -9e999), pow(-8, 1.0/3),
         mod(7, 3), mod(-7, 3), mod(5.5, -2), mod(1, 0), mod(5, 9e999), acos(2), ln(-1)`,
      [],
      { rowMode: 'array' },
    )
    assert.deepEqual(edges, [[1024, -512, Math.SQRT2, 1, 1, null, 1, -1, 1.5, null, 5, null, null]])
  },

  'objects of another window are accepted: values, parameters, options': {
    only: ['page', 'worker'],
    because: 'Node has no other window',
    run: async ({ open, memory, failure, until }) => {
      const frame = document.createElement('iframe')
      document.body.append(frame)
      const other = frame.contentWindow
      const there = (source) => other.eval(`(${source})`)
      const db = await open()
      await db.exec('CREATE TABLE t (a)')
      const count = async (on = db) => (await on.get('SELECT count(*) AS n FROM t')).n
      assert.deepEqual(
        await db.get(
          'SELECT ? AS d, hex(?) AS b, hex(?) AS f, ? IS NULL AS n',
          there('[new Date(0), new Uint8Array([1, 2]), new Uint8Array([3]).buffer, null]'),
        ),
        { d: '1970-01-01T00:00:00.000Z', b: '0102', f: '03', n: 1 },
      )
      assert.deepEqual(await db.get('SELECT :a AS a', there('({ a: 7 })')), { a: 7 })
      const invalid = await failure(db.query('SELECT ?', there('[new Date(NaN)]')))
      assert.equal(invalid.message, "Parameter 1 can't be bound: it is an invalid Date")

      await db.run('INSERT INTO t VALUES (1)')
      const at = Date.now()
      await until(() => Date.now() > at)
      await db.run('DELETE FROM t')
      await db.snapshots.restore({ at: there(`new Date(${at})`) })
      assert.equal(await count(), 1)

      other.file = await db.export()
      for (const file of ['new Blob([file])', 'new Uint8Array(file).buffer']) {
        await db.exec('DELETE FROM t')
        await db.import(there(file))
        assert.equal(await count(), 1)
      }
      assert.equal(await count(await memory({ seed: there('new File([file], "seed.sqlite")') })), 1)

      const given = there('new AbortController()')
      given.abort(new Error('mine'))
      assert.equal((await failure(db.query('SELECT 1', [], { signal: given.signal }))).notOurs, 'Error: mine')
      frame.remove()
    },
  },
}
