// Values, parameters and rows: what goes in comes out.
import assert from 'node:assert/strict'
import { suite, test } from './harness.mjs'
import { inPage } from './in-page.mjs'

const context = suite()

test('values come back as they went in', async () => {
  const result = await inPage(context, async (db) => {
    await db.run('CREATE TABLE v (k INTEGER PRIMARY KEY, a)')
    const values = [
      null,
      true,
      false,
      0,
      1,
      -1,
      1.5,
      -1e300,
      5e-324,
      2 ** 53 - 1,
      -(2 ** 53 - 1),
      2 ** 53,
      2n ** 53n,
      2n ** 63n - 1n,
      -(2n ** 63n),
      7n,
      '',
      'text',
      'a\0b',
      '\uFEFFwith a BOM',
      'Zoë 🌿 東京 👩‍👩‍👧',
      new Uint8Array([0, 1, 255]),
      new Uint8Array(0),
      new Uint8Array([9, 8]).buffer,
      new Date('2026-02-03T04:05:06.789Z'),
    ]
    await db.runMany(
      'INSERT INTO v (a) VALUES (?)',
      values.map((value) => [value]),
    )
    const rows = await db.query('SELECT a, typeof(a) AS t FROM v ORDER BY k')
    const again = []
    for (let i = 0; i < values.length; i++) again.push((await db.get('SELECT ? AS a', [values[i]])).a)
    const plain = (value) =>
      value instanceof Uint8Array ? ['blob', ...value] : typeof value === 'bigint' ? `${value}n` : value
    return { rows: rows.map((row) => [plain(row.a), row.t]), again: again.map(plain) }
  })
  const expected = [
    [null, 'null'],
    [1, 'integer'],
    [0, 'integer'],
    [0, 'integer'],
    [1, 'integer'],
    [-1, 'integer'],
    [1.5, 'real'],
    [-1e300, 'real'],
    [5e-324, 'real'],
    [2 ** 53 - 1, 'integer'],
    [-(2 ** 53 - 1), 'integer'],
    [2 ** 53, 'real'],
    ['9007199254740992n', 'integer'],
    ['9223372036854775807n', 'integer'],
    ['-9223372036854775808n', 'integer'],
    [7, 'integer'],
    ['', 'text'],
    ['text', 'text'],
    ['a\0b', 'text'],
    ['\uFEFFwith a BOM', 'text'],
    ['Zoë 🌿 東京 👩‍👩‍👧', 'text'],
    [['blob', 0, 1, 255], 'blob'],
    [['blob'], 'blob'],
    [['blob', 9, 8], 'blob'],
    ['2026-02-03T04:05:06.789Z', 'text'],
  ]
  assert.deepEqual(result.rows, expected)
  assert.deepEqual(
    result.again,
    expected.map(([value]) => value),
  )
})

test('values that SQLite has no place for are refused by name, and never shown', async () => {
  const result = await inPage(context, async (db) => {
    const out = []
    for (const bad of [
      NaN,
      Infinity,
      -Infinity,
      undefined,
      {},
      [],
      () => 0,
      Symbol('s'),
      2n ** 63n,
      -(2n ** 63n) - 1n,
      new Date(NaN),
      /x/,
      new Map(),
    ]) {
      out.push(await window.failure(() => db.query('SELECT ?, ?', [1, bad])))
      out.push(await window.failure(() => db.query('SELECT :fine, :wrong', { fine: 1, wrong: bad })))
    }
    await db.exec('CREATE TABLE secrets (s TEXT UNIQUE)')
    await db.run('INSERT INTO secrets VALUES (?)', ['hunter2-4711'])
    out.push(await window.failure(() => db.run('INSERT INTO secrets VALUES (?)', ['hunter2-4711'])))
    return out
  })
  const constraint = result.pop()
  for (const [index, failed] of result.entries()) {
    assert.equal(failed.code, 'invalid_argument', `refusal ${index}: ${JSON.stringify(failed)}`)
    assert.match(failed.message, index % 2 ? /wrong/ : /2/, 'names the parameter')
  }
  assert.equal(constraint.code, 'sqlite_constraint')
  assert.equal(constraint.details.sqliteCode, 'SQLITE_CONSTRAINT_UNIQUE')
  assert.ok(!constraint.json.includes('4711') && !constraint.message.includes('4711'), constraint.json)
})

test('parameters: positional, named by each prefix, none missing, none unknown', async () => {
  const result = await inPage(context, async (db) => ({
    positional: await db.get('SELECT ? + ? AS n', [40, 2]),
    named: await db.get('SELECT :a || @b || $c AS t', { a: 'x', b: 'y', c: 'z' }),
    repeated: await db.get('SELECT :a + :a AS n', { a: 21 }),
    tooFew: await window.failure(() => db.query('SELECT ?, ?', [1])),
    tooMany: await window.failure(() => db.query('SELECT ?', [1, 2])),
    none: await window.failure(() => db.query('SELECT ?')),
    missing: await window.failure(() => db.query('SELECT :a, :b', { a: 1 })),
    unknown: await window.failure(() => db.query('SELECT :a', { a: 1, b: 2 })),
    inMany: await window.failure(() => db.runMany('SELECT ?, ?', [[1, 2], [3]])),
  }))
  assert.deepEqual(result.positional, { n: 42 })
  assert.deepEqual(result.named, { t: 'xyz' })
  assert.deepEqual(result.repeated, { n: 42 })
  for (const name of ['tooFew', 'tooMany', 'none', 'missing', 'unknown', 'inMany'])
    assert.equal(result[name].code, 'invalid_argument', name)
  assert.match(result.missing.message, /b/)
  assert.match(result.unknown.message, /b/)
})

test('integers: auto, bigint and number', async () => {
  const work = async (db) => {
    await db.exec('CREATE TABLE n (i INTEGER); INSERT INTO n VALUES (5), (9007199254740991)')
    const small = await db.query('SELECT i FROM n')
    const big = await window.failure(async () => (await db.get('SELECT 9007199254740993 AS i')).i)
    return {
      small: small.map((row) => [typeof row.i, String(row.i)]),
      big: big.resolved === undefined ? big.code : [typeof big.resolved, String(big.resolved)],
    }
  }
  assert.deepEqual(await inPage(context, work), {
    small: [
      ['number', '5'],
      ['number', '9007199254740991'],
    ],
    big: ['bigint', '9007199254740993'],
  })
  assert.deepEqual(await inPage(context, work, { options: { integers: 'bigint' } }), {
    small: [
      ['bigint', '5'],
      ['bigint', '9007199254740991'],
    ],
    big: ['bigint', '9007199254740993'],
  })
  assert.deepEqual(await inPage(context, work, { options: { integers: 'number' } }), {
    small: [
      ['number', '5'],
      ['number', '9007199254740991'],
    ],
    big: 'integer_out_of_range',
  })
})

test('query, get, run, runMany: shapes of what they give', async () => {
  const result = await inPage(context, async (db) => {
    await db.run('CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)')
    const inserted = await db.run('INSERT INTO t (name) VALUES (?)', ['a'])
    const many = await db.runMany('INSERT INTO t (id, name) VALUES (:id, :name)', [
      { id: 10, name: 'b' },
      { id: 9007199254740993n, name: 'c' },
    ])
    const updated = await db.run("UPDATE t SET name = name || '!'")
    const rows = await db.query('SELECT * FROM t ORDER BY id')
    return {
      inserted,
      many,
      updated,
      rows,
      arrays: await db.query('SELECT id, id, name FROM t WHERE id = 10', [], { rowMode: 'array' }),
      none: await db.get('SELECT 1 WHERE 0'),
      empty: await db.query('SELECT 1 WHERE 0'),
      returning: await db.query('DELETE FROM t WHERE id = 10 RETURNING name'),
      plain: Object.getPrototypeOf(rows[0]) === Object.prototype,
    }
  })
  assert.equal(Number(result.inserted.changes), 1)
  assert.equal(Number(result.inserted.lastInsertRowid), 1)
  assert.equal(Number(result.many.changes), 2)
  assert.equal(Number(result.updated.changes), 3)
  assert.deepEqual(result.rows, [
    { id: 1, name: 'a!' },
    { id: 10, name: 'b!' },
    { id: 9007199254740993n, name: 'c!' },
  ])
  assert.deepEqual(result.arrays, [[10, 10, 'b!']])
  assert.equal(result.none, undefined)
  assert.deepEqual(result.empty, [])
  assert.deepEqual(result.returning, [{ name: 'b!' }])
  assert.ok(result.plain)
})

test('large results are whole and in order', async () => {
  const result = await inPage(context, async (db) => {
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT, r REAL, b BLOB, big INTEGER)')
    const rows = Array.from({ length: 20_000 }, (_, i) => [
      i,
      `row ${i} ✓ ${'é'.repeat(i % 50)}`,
      i / 3,
      i % 7 ? null : new Uint8Array([i & 255, i >> 8]),
      2n ** 60n + BigInt(i),
    ])
    const inserted = await db.runMany('INSERT INTO t VALUES (?, ?, ?, ?, ?)', rows)
    const back = await db.query('SELECT * FROM t ORDER BY id')
    const wrong = back.findIndex(
      (row, i) =>
        row.id !== i ||
        row.s !== rows[i][1] ||
        row.r !== rows[i][2] ||
        String(row.b) !== String(rows[i][3]) ||
        row.big !== rows[i][4],
    )
    return {
      inserted: Number(inserted.changes),
      length: back.length,
      wrong,
      text: (await db.get("SELECT length(printf('%.*c', 3000000, 'x')) AS n")).n,
    }
  })
  assert.deepEqual(result, { inserted: 20_000, length: 20_000, wrong: -1, text: 3_000_000 })
})

test("SQL's mathematical functions compute as C's do", async () => {
  const rows = await inPage(context, (db) =>
    db.query(
      `SELECT sin(1) AS sin, cos(1) AS cos, tan(1) AS tan, asin(0.5) AS asin, acos(0.5) AS acos, atan(0.5) AS atan,
         atan2(1, -2) AS atan2, sinh(1) AS sinh, cosh(1) AS cosh, tanh(1) AS tanh, asinh(2) AS asinh, acosh(2) AS acosh,
         atanh(0.5) AS atanh, exp(1) AS exp, ln(10) AS ln, log10(1000) AS log10, log2(8) AS log2, sqrt(2) AS sqrt`,
    ),
  )
  for (const [name, value] of Object.entries(rows[0])) {
    const args = { atan2: [1, -2], exp: [1], ln: [10], log10: [1000], log2: [8], sqrt: [2], asinh: [2], acosh: [2] }[
      name
    ]
    const expected = Math[name === 'ln' ? 'log' : name](...(args ?? [/^a/.test(name) ? 0.5 : 1]))
    assert.ok(Math.abs(value - expected) <= 1e-15 * Math.abs(expected), `${name}: ${value} for ${expected}`)
  }
  // Where JavaScript's own functions and operators would say something else, or could.
  const edges = await inPage(context, (db) =>
    db.query(
      `SELECT pow(2, 10), power(-8, 3), pow(2, 0.5), pow(1, 9e999), pow(-1, -9e999), pow(-8, 1.0/3),
         mod(7, 3), mod(-7, 3), mod(5.5, -2), mod(1, 0), mod(5, 9e999), acos(2), ln(-1)`,
      [],
      { rowMode: 'array' },
    ),
  )
  assert.deepEqual(edges, [[1024, -512, Math.SQRT2, 1, 1, null, 1, -1, 1.5, null, 5, null, null]])
})

test('what another window made is what it is: values, parameters, options', async () => {
  const result = await inPage(
    context,
    async (db) => {
      const frame = document.createElement('iframe')
      document.body.append(frame)
      const other = frame.contentWindow
      const there = (source) => other.eval(`(${source})`)
      await db.exec('CREATE TABLE t (a)')
      const values = await db.get(
        'SELECT ? AS d, hex(?) AS b, hex(?) AS f, ? IS NULL AS n',
        there('[new Date(0), new Uint8Array([1, 2]), new Uint8Array([3]).buffer, null]'),
      )
      const named = await db.get('SELECT :a AS a', there('({ a: 7 })'))
      const invalid = await window.failure(db.query('SELECT ?', there('[new Date(NaN)]')))
      await db.run('INSERT INTO t VALUES (1)')
      const at = new Date()
      await new Promise((resolve) => setTimeout(resolve, 20))
      await db.run('DELETE FROM t')
      await db.snapshots.restore({ at: there(`new Date(${at.getTime()})`) })
      const restored = await db.get('SELECT count(*) AS n FROM t')
      const file = await db.export()
      await db.exec('DELETE FROM t')
      other.file = file
      await db.import(there('new Blob([file])'))
      const imported = await db.get('SELECT count(*) AS n FROM t')
      await db.exec('DELETE FROM t')
      await db.import(there('new Uint8Array(file).buffer'))
      const again = await db.get('SELECT count(*) AS n FROM t')
      const seeded = await window.open({
        name: `${db.name}-seeded`,
        storage: 'memory',
        seed: there('new File([file], "seed.sqlite")'),
      })
      const seed = await seeded.get('SELECT count(*) AS n FROM t')
      await seeded.close()
      const given = there('new AbortController()')
      given.abort(new Error('mine'))
      const stopped = await window.failure(db.query('SELECT 1', [], { signal: given.signal }))
      return { values, named, invalid: invalid.message, restored, imported, again, seed, stopped: stopped.notOurs }
    },
    { options: { storage: 'indexeddb' } },
  )
  assert.deepEqual(result, {
    values: { d: '1970-01-01T00:00:00.000Z', b: '0102', f: '03', n: 1 },
    named: { a: 7 },
    invalid: "Parameter 1 can't be bound: it is an invalid Date",
    restored: { n: 1 },
    imported: { n: 1 },
    again: { n: 1 },
    seed: { n: 1 },
    stopped: 'Error: mine',
  })
})
