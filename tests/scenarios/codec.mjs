// Values to the engine and back: random ones of every kind in every form of rows, and values that are refused.
import assert from 'node:assert/strict'
import { everyNth } from './run/sample.mjs'

/** Random whole numbers from 0 up to `n`, the same for the same seed. */
function randomBy(seed) {
  let state = seed
  return (n) => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * n)
  }
}

/** Returns a text as UTF-8 keeps it: a lone surrogate becomes U+FFFD. */
const wellFormed = (text) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(text))

const bits = new DataView(new ArrayBuffer(8))
const pieces = ['a', 'Z', ' ', '\0', 'é', 'ß', '\ufeff', '€', '東', '😀', '\ud83d', '\ude00']
const lengths = [0, 1, 2, 5, 30, 95, 96, 97, 200]
class Bytes extends Uint8Array {}

/** Random values by kind: the parameter, and the result. */
const kinds = {
  null: () => [null, null],
  boolean: (any) => (any(2) === 0 ? [false, 0] : [true, 1]),
  integer(any) {
    const value = [any(300) - 150, any(2 ** 32), 2 ** 53 - 1 - any(9), any(9) - 2 ** 53 + 1, -0][any(5)]
    return [value, value + 0]
  },
  real(any) {
    bits.setUint32(0, any(2 ** 32))
    bits.setUint32(4, any(2 ** 32))
    const value = [bits.getFloat64(0), any(1000) / 7, 2 ** 53 * (1 + any(9)), 5e-324, -1e300][any(5)]
    return Number.isFinite(value) ? [value, Object.is(value, -0) ? 0 : value] : [0.5, 0.5]
  },
  bigint(any) {
    bits.setUint32(0, any(2 ** 32))
    bits.setUint32(4, any(2 ** 32))
    // Some of these bit patterns are NaNs as doubles.
    const value = [bits.getBigInt64(0), -(2n ** 63n) + 0x7ff0000000000001n, 2n ** 63n - 1n, BigInt(any(99))][any(4)]
    return [value, Number.isSafeInteger(Number(value)) ? Number(value) : value]
  },
  ascii(any) {
    const text = Array.from({ length: lengths[any(lengths.length)] }, () => String.fromCharCode(any(128))).join('')
    return [text, text]
  },
  wide(any) {
    const length = lengths[any(lengths.length)]
    const text = Array.from({ length }, () => pieces[any(pieces.length)]).join('')
    return [text, wellFormed(text)]
  },
  again(any) {
    const text = ['open', 'öffen', '', 'closed', 'x'.repeat(70)][any(5)]
    return [text, text]
  },
  blob(any) {
    const value = Uint8Array.from({ length: any(40) }, () => any(256))
    return [[value, Bytes.from(value), value.buffer, new Uint8Array([1, ...value, 2]).subarray(1, -1)][any(4)], value]
  },
  date(any) {
    const value = new Date(any(2 ** 41))
    return [value, value.toISOString()]
  },
}

/** Makes rows of random values, as parameters and as results. A column has one kind of values, or all. */
function randomRows(any, columns, count) {
  const all = Object.values(kinds)
  const ofColumns = columns.map(() =>
    any(3) === 0
      ? () => all[any(all.length)]
      : (
          (kind) => () =>
            kind
        )(all[any(all.length)]),
  )
  const rows = Array.from({ length: count }, () => ofColumns.map((kind) => kind()(any)))
  return { given: rows.map((row) => row.map(([one]) => one)), stored: rows.map((row) => row.map(([, one]) => one)) }
}

const named = (columns, row) => Object.fromEntries(columns.map((name, at) => [name, row[at]]))
const countOf = async (db) => (await db.get('SELECT count(*) AS n FROM t')).n

export default {
  'random values of every kind come back in every form of rows': async ({ memory }) => {
    const db = await memory()
    for (const seed of everyNth(
      4,
      Array.from({ length: 40 }, (_, at) => at + 1),
    )) {
      const any = randomBy(seed)
      const columns = Array.from({ length: [1, 2, 5, 17][any(4)] }, (_, n) => `c${n}`)
      const { given, stored } = randomRows(any, columns, [1, 3, 20, 300][any(4)])
      const check = (form, rows) => assert.deepEqual(rows, stored, `seed ${seed}, ${form}`)
      await db.exec(`DROP TABLE IF EXISTS t; CREATE TABLE t (id INTEGER PRIMARY KEY, ${columns})`)
      const asObjects = any(2) === 0
      await db.runMany(
        `INSERT INTO t (${columns}) VALUES (${columns.map((name) => (asObjects ? `:${name}` : '?'))})`,
        asObjects ? given.map((row) => named(columns, row)) : given,
      )
      const select = `SELECT ${columns} FROM t ORDER BY id`
      check('objects', (await db.query(select)).map(Object.values))
      check('arrays', await db.query(select, [], { rowMode: 'array' }))
      const iterated = []
      for await (const row of db.iterate(select)) iterated.push(Object.values(row))
      check('iterated', iterated)
      const first = named(columns, stored[0])
      assert.deepEqual(await db.get(select), first, `seed ${seed}, get`)
      assert.deepEqual(await db.transaction((tx) => tx.get(select)), first, `seed ${seed}, in a transaction`)
    }
  },

  'random values come back as parameters of a statement that runs again, by position and by name': async ({
    memory,
  }) => {
    const db = await memory()
    const any = randomBy(20261121)
    for (const count of [1, 3, 40]) {
      const columns = Array.from({ length: count }, (_, n) => `c${n}`)
      const { given, stored } = randomRows(any, columns, 50)
      const sql = (parameter) => `SELECT ${columns.map((name) => `${parameter(name)} AS ${name}`)}`
      for (const [n, row] of given.entries()) {
        const expected = named(columns, stored[n])
        assert.deepEqual(
          await db.get(
            sql(() => '?'),
            row,
          ),
          expected,
        )
        assert.deepEqual(
          await db.get(
            sql((name) => `$${name}`),
            named(columns, row),
          ),
          expected,
        )
      }
    }
    // The same statement with its parameters in another order, with their prefix, or by position.
    const sql = 'SELECT :a AS a, :b AS b'
    for (const params of [{ a: 1, b: 2 }, { b: 2, a: 1 }, { ':a': 1, ':b': 2 }, [1, 2], { a: 1, b: 2 }])
      assert.deepEqual(await db.get(sql, params), { a: 1, b: 2 })
    for (const none of [[], {}, undefined]) assert.deepEqual(await db.get('SELECT 1 AS one', none), { one: 1 })
  },

  'half a character at the end of a text does not join the next one': async ({ memory }) => {
    const db = await memory()
    const rows = [['a\ud83d', '\ude00b', '\ud83d']]
    assert.deepEqual(await db.query('SELECT ?, ?, ?', rows[0], { rowMode: 'array' }), [
      ['a\ufffd', '\ufffdb', '\ufffd'],
    ])
  },

  'long texts and bytes come back whole': async ({ memory }) => {
    const db = await memory()
    for (const text of [`${'é'.repeat(1 << 20)}😀ー`, '東'.repeat(100_000)]) {
      const bytes = new Uint8Array(3 << 20).fill(7)
      const row = await db.get('SELECT ? AS text, ? AS bytes, ? AS last', [text, bytes, 'end'])
      assert.ok(row.text === text && row.last === 'end')
      assert.ok(row.bytes.length === bytes.length && row.bytes.every((byte) => byte === 7))
      assert.ok((await db.get('SELECT ? AS text', [text])).text === text)
    }
  },

  'values that SQLite can not store are refused by the name of their parameter, and never shown': async (t) => {
    const db = await t.memory()
    await db.exec('CREATE TABLE t (a)')
    for (const [value, says] of [
      [Number.NaN, 'it is NaN'],
      [-Infinity, 'it is infinite'],
      [undefined, 'it is undefined'],
      [{ secret: 1 }, 'it is an object (Object)'],
      [() => 'secret', 'it is a function'],
      [Symbol('secret'), 'it is a symbol'],
      [['secret'], 'it is an array'],
      [new Date('secret'), 'it is an invalid Date'],
      [2n ** 63n, 'beyond 64 bits'],
      [-(2n ** 63n) - 1n, 'beyond 64 bits'],
      [new Float32Array(1), 'it is an object (Float32Array)'],
      [new String('secret'), 'it is an object (String)'],
      [/secret/, 'it is an object (RegExp)'],
      [new Map(), 'it is an object (Map)'],
    ]) {
      const failed = await t.failure(db.run('INSERT INTO t VALUES (:ok + :bad)', { ok: 1, bad: value }))
      assert.deepEqual([failed.code, failed.details], ['invalid_argument', { parameter: 'bad' }])
      assert.ok(failed.message.includes(says), `${failed.message}: ${says}`)
      assert.doesNotMatch(failed.json, /secret|9223372036854775/)
    }
    const insert = 'INSERT INTO t VALUES (?)'
    for (const [details, call] of [
      [{ parameter: 2 }, () => db.run('INSERT INTO t VALUES (? + ?)', [1, Number.NaN])],
      [{ parameter: 1, row: 2 }, () => db.runMany(insert, [[1], [Number.NaN]])],
      [{ parameter: 1, statement: 2 }, () => db.batch([1, Number.NaN].map((one) => ({ sql: insert, params: [one] })))],
    ]) {
      const failed = await t.failure(call)
      assert.deepEqual([failed.code, failed.details], ['invalid_argument', details])
    }
    assert.equal(await countOf(db), 0)
    await db.exec('CREATE TABLE secrets (s TEXT UNIQUE)')
    await db.run('INSERT INTO secrets VALUES (?)', ['hunter2-4711'])
    const constraint = await t.failure(db.run('INSERT INTO secrets VALUES (?)', ['hunter2-4711']))
    assert.deepEqual(constraint.details, {
      sqliteCode: 'SQLITE_CONSTRAINT_UNIQUE',
      sql: 'INSERT INTO secrets VALUES (?)',
    })
    assert.doesNotMatch(constraint.json, /4711/)
  },

  'parameters that are neither an array nor a plain object, and rows unlike the first, are refused': async (t) => {
    const db = await t.memory()
    await db.exec('CREATE TABLE t (a, b)')
    const given = [null, 'a', 1, new Map(), new Date(0), new Uint8Array(1), new (class User {})(), { a: 1, ':a': 2 }]
    for (const params of given) assert.equal((await t.failure(db.query('SELECT :a', params))).code, 'invalid_argument')
    for (const [rows, row] of [
      ['abc', undefined],
      [[[1, 2], [1]], 2],
      [[{ a: 1, b: 2 }, { a: 1 }], 2],
      [[{ a: 1, b: 2 }, [1, 2]], 2],
      [[[1, 2], 5], 2],
    ]) {
      const failed = await t.failure(db.runMany(`INSERT INTO t VALUES (${rows[0].a ? ':a, :b' : '?, ?'})`, rows))
      assert.deepEqual([failed.code, failed.details?.row], ['invalid_argument', row])
    }
    const other = await t.failure(db.runMany('INSERT INTO t VALUES (:a, 1)', [{ a: 1 }, { b: 1 }]))
    assert.equal(other.code, 'invalid_argument')
    assert.equal(await countOf(db), 0)
  },

  'each row is a new object, whatever its columns are called': async ({ memory }) => {
    const db = await memory()
    const sql = 'SELECT ? AS b'
    const given = [new Uint8Array([1, 2, 3])]
    const own = [
      (await db.get(sql, given)).b,
      (await db.query(sql, given))[0].b,
      (await db.query(sql, given, { rowMode: 'array' }))[0][0],
    ]
    for await (const { b } of db.iterate(sql, given)) own.push(b)
    await db.query(sql, [new Uint8Array([7, 7, 7])])
    for (const bytes of own) {
      assert.deepEqual(bytes, given[0])
      assert.equal(bytes.buffer.byteLength, 3)
    }

    for (const row of [
      await db.get("SELECT 'x' AS __proto__, 'y' AS constructor, 1 AS a"),
      (await db.query("SELECT 'x' AS __proto__, 'y' AS constructor, 1 AS a"))[0],
    ]) {
      assert.deepEqual(Object.entries(row), [
        ['__proto__', 'x'],
        ['constructor', 'y'],
        ['a', 1],
      ])
      assert.equal(Object.getPrototypeOf(row), Object.prototype)
    }
    // Of columns with the same name the last counts; arrays have all of them.
    const twice = 'SELECT 1 AS a, NULL AS a'
    assert.deepEqual(await db.get(twice), { a: null })
    assert.deepEqual(await db.query(twice, [], { rowMode: 'array' }), [[1, null]])
  },

  'a key column called __proto__ is an own property of what waits for a push': async ({ memory }) => {
    const db = await memory({
      migrations: [
        { version: '1', name: 'keyed', up: 'CREATE TABLE t ("__proto__" TEXT PRIMARY KEY, constructor TEXT)' },
      ],
      remote: { url: 'http://localhost:1', key: 'k', tables: [{ table: 't' }] },
    })
    await db.run("INSERT INTO t VALUES ('x', 'y')")
    const [{ key, columns }] = await db.sync.pending()
    assert.deepEqual(Object.entries(key), [['__proto__', 'x']])
    assert.equal(Object.getPrototypeOf(key), Object.prototype)
    assert.deepEqual(columns, ['__proto__', 'constructor'])
  },

  'changes and lastInsertRowid are exact, in the form of the option integers': async ({ memory }) => {
    for (const [integers, five] of [
      ['auto', 5],
      ['bigint', 5n],
    ]) {
      const db = await memory({ integers })
      await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY)')
      const insert = (id) => db.run('INSERT INTO t VALUES (?)', [id])
      assert.deepEqual(await insert(5), { changes: 1, lastInsertRowid: five })
      assert.deepEqual(await insert(2n ** 63n - 1n), { changes: 1, lastInsertRowid: 2n ** 63n - 1n })
      assert.equal((await db.run('DELETE FROM t')).changes, 2)
    }
  },

  'many rows are one transaction, and are copied at the call, however large they are': async ({ memory, failure }) => {
    const db = await memory()
    await db.exec('CREATE TABLE t (a UNIQUE, b)')
    const insert = 'INSERT INTO t VALUES (?, ?)'
    const rows = Array.from({ length: 40_000 }, (_, n) => [n, `row ${n}`])
    const [last] = rows.slice(-1)
    // A wrong value, and a failing statement, after most rows were executed.
    const bad = await failure(db.runMany(insert, [...rows, [Number.NaN, '']]))
    assert.deepEqual([bad.code, bad.details], ['invalid_argument', { parameter: 1, row: 40_001 }])
    assert.equal((await failure(db.runMany(insert, [...rows, last]))).code, 'sqlite_constraint')
    assert.equal(await countOf(db), 0)
    // Whether the signal is in time or not: all or nothing.
    const stop = new AbortController()
    const stopped = failure(db.runMany(insert, rows, { signal: stop.signal }))
    setTimeout(() => stop.abort('enough'))
    const { resolved, notOurs } = await stopped
    assert.ok(resolved !== undefined || notOurs === 'enough', notOurs)
    assert.equal(await countOf(db), resolved === undefined ? 0 : 40_000)
    await db.run('DELETE FROM t')

    const given = rows.map((row) => [...row])
    const many = db.runMany(insert, given)
    const next = db.get('SELECT max(rowid) AS n FROM t')
    for (const row of given) row[0] = -1
    given.length = 10
    assert.deepEqual(await many, { changes: 40_000 })
    assert.deepEqual(await next, { n: 40_000 }, 'the next call comes after them')
    assert.deepEqual(await db.query('SELECT a, b FROM t ORDER BY a', [], { rowMode: 'array' }), rows)

    const blob = new Uint8Array(9 << 20)
    const text = 'x'.repeat(1 << 19)
    const large = [blob, blob.subarray(1), blob.subarray(2), text, `${text}y`].map((b) => ({ b }))
    assert.deepEqual(await db.runMany('INSERT INTO t (b) VALUES (:b)', large), { changes: 5 })
    assert.deepEqual(
      await db.query('SELECT length(b) FROM t WHERE a IS NULL ORDER BY rowid', [], { rowMode: 'array' }),
      [[9 << 20], [(9 << 20) - 1], [(9 << 20) - 2], [1 << 19], [(1 << 19) + 1]],
    )
  },

  'without rows nothing changes, but a wrong statement is an error': async ({ memory, failure }) => {
    const db = await memory()
    await db.exec('CREATE TABLE t (a)')
    await db.query('SELECT ?', [new Uint8Array(10)])
    assert.deepEqual(await db.runMany('INSERT INTO t VALUES (?)', []), { changes: 0 })
    assert.equal(await countOf(db), 0)
    const { code, details } = await failure(db.runMany('INSERT INTO nowhere VALUES (?)', []))
    assert.deepEqual([code, details.sqliteCode], ['sqlite_error', 'SQLITE_ERROR'])
  },
}
