import assert from 'node:assert/strict'
import { test } from 'node:test'
import { op } from '../src/core.ts'
import { isTidelockError } from '../src/errors.ts'
import { fakeDatabase } from './fake-core.mjs'

const max = 2n ** 63n - 1n
const min = -(2n ** 63n)

async function bound(params) {
  const { db, core } = fakeDatabase()
  await db.run('x', params)
  return core.executed[0]
}

test('each kind of value is bound as the contract says', async () => {
  const date = new Date('2026-01-02T03:04:05.678Z')
  const { rows } = await bound([
    null,
    true,
    false,
    7,
    -0,
    2 ** 53 - 1,
    2 ** 53,
    1.5,
    max,
    min,
    'aé😀\0\ufeff',
    '',
    date,
    new Uint8Array([1, 2]),
    new Uint8Array([3, 4]).buffer,
    new Uint8Array(0),
    Buffer.from('hi'),
  ])
  assert.deepEqual(rows, [
    [
      null,
      { integer: 1n },
      { integer: 0n },
      { integer: 7n },
      { integer: 0n },
      { integer: 2n ** 53n - 1n },
      { real: 2 ** 53 },
      { real: 1.5 },
      { integer: max },
      { integer: min },
      'aé😀\0\ufeff',
      '',
      '2026-01-02T03:04:05.678Z',
      new Uint8Array([1, 2]),
      new Uint8Array([3, 4]),
      new Uint8Array(0),
      new Uint8Array([104, 105]),
    ],
  ])
})

test('bigint bits that look like a NaN survive, in short and long rows', async () => {
  const nan = -(2n ** 63n) + 0x7ff0_0000_0000_0001n
  for (const length of [1, 40]) {
    const { rows } = await bound(new Array(length).fill(nan))
    assert.deepEqual(rows[0], new Array(length).fill({ integer: nan }))
  }
})

test('half a character at the end of one text does not join the next', async () => {
  const { rows } = await bound(['a\ud83d', '\ude00b', '\ud83d'])
  assert.deepEqual(rows, [['a\ufffd', '\ufffdb', '\ufffd']])
})

test('a long text outside of ASCII fits the area exactly', async () => {
  const text = `${'é'.repeat(1 << 20)}😀ー`
  const { rows } = await bound([text, 'end'])
  assert.equal(rows[0][0] === text, true)
  assert.equal(rows[0][1], 'end')
})

test('named parameters go by name, with or without their prefix', async () => {
  const { names, rows } = await bound({ a: 1, ':b': 'x', $c: null })
  assert.deepEqual(names, ['a', 'b', 'c'])
  assert.deepEqual(rows, [[{ integer: 1n }, 'x', null]])
  assert.deepEqual((await bound({})).rows, [])
  assert.deepEqual((await bound([])).rows, [])
})

for (const [what, value, says] of [
  ['NaN', Number.NaN, 'NaN'],
  ['Infinity', -Infinity, 'infinite'],
  ['undefined', undefined, 'undefined'],
  ['an object', { secret: 1 }, 'Object'],
  ['a function', () => 'secret', 'function'],
  ['a symbol', Symbol('secret'), 'symbol'],
  ['an array', ['secret'], 'array'],
  ['an invalid date', new Date('secret'), 'invalid Date'],
  ['a bigint of 64 bits and one', max + 1n, '64 bits'],
  ['a negative one', min - 1n, '64 bits'],
  ['another view', new Float32Array(1), 'Float32Array'],
  ['a boxed string', new String('secret'), 'String'],
]) {
  test(`${what} is refused by the parameter's name, never shown`, async () => {
    const { db, core } = fakeDatabase()
    for (const [params, parameter] of [
      [[1, value], 2],
      [{ ok: 1, bad: value }, 'bad'],
    ]) {
      const error = await db.run('x', params).catch((thrown) => thrown)
      assert.ok(isTidelockError(error, 'invalid_argument'), String(error))
      assert.equal(error.details.parameter, parameter)
      assert.match(error.message, new RegExp(says))
      assert.doesNotMatch(JSON.stringify(error), /secret|9223372036854775/)
    }
    const error = await db.runMany('x', [[1], [value]]).catch((thrown) => thrown)
    assert.deepEqual(error.details, { parameter: 1, row: 2 })
    assert.equal(core.executed.length, 0)
    assert.equal(core.waiting, 0, 'the turn is given back')
  })
}

test('parameters that are neither an array nor a plain object are refused', async () => {
  const { db } = fakeDatabase()
  for (const params of [null, 'a', 1, new Map(), new Date(), new Uint8Array(1), new (class User {})()]) {
    await assert.rejects(db.run('x', params), { code: 'invalid_argument' })
  }
  await assert.rejects(db.run('x', { a: 1, ':a': 2 }), { code: 'invalid_argument' })
})

test('rows must all have what the first has', async () => {
  const { db } = fakeDatabase()
  await assert.rejects(db.runMany('x', [[1, 2], [1]]), { code: 'invalid_argument', details: { row: 2 } })
  await assert.rejects(db.runMany('x', [{ a: 1 }, { a: 1, b: 2 }]), { code: 'invalid_argument', details: { row: 2 } })
  await assert.rejects(db.runMany('x', [{ a: 1 }, { b: 2 }]), { code: 'invalid_argument' })
  await assert.rejects(db.runMany('x', [{ a: 1 }, [1]]), { code: 'invalid_argument', details: { row: 2 } })
  await assert.rejects(db.runMany('x', 'abc'), { code: 'invalid_argument' })
})

test('results of every kind come out in both row modes', async () => {
  const { db, core } = fakeDatabase()
  const rows = [
    [1, 1.5, 'aé😀', null, new Uint8Array([1, 2]), max],
    [-2, 0, '', 'ß', new Uint8Array(0), min],
    [3, 1e300, '\ufeffx\0y', 'a text longer than a few bytes', new Uint8Array([9]), 2n ** 60n],
  ]
  const columns = ['i', 'r', 't', 'n', 'b', 'big']
  core.answer = () => ({ columns, rows })
  assert.deepEqual(await db.query('x', [], { rowMode: 'array' }), rows)
  assert.deepEqual(
    await db.query('x'),
    rows.map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at]]))),
  )
  assert.deepEqual(await db.get('x'), Object.fromEntries(columns.map((name, at) => [name, rows[0][at]])))
  core.answer = () => ({ columns, rows: [] })
  assert.deepEqual(await db.query('x'), [])
  assert.equal(await db.get('x'), undefined)
})

test('a blob of a result is a copy of its own', async () => {
  const { db, core } = fakeDatabase()
  core.answer = () => ({ columns: ['b'], rows: [[new Uint8Array([1, 2, 3])]] })
  const { b } = await db.get('x')
  assert.equal(b.buffer.byteLength, 3)
  core.answer = () => ({ columns: ['b'], rows: [[new Uint8Array([7, 7, 7])]] })
  await db.get('x')
  assert.deepEqual(b, new Uint8Array([1, 2, 3]))
})

test('a column called __proto__ is an ordinary property', async () => {
  const { db, core } = fakeDatabase()
  core.answer = () => ({ columns: ['__proto__', 'constructor', 'a'], rows: [['x', 'y', 1]] })
  const row = await db.get('x')
  assert.deepEqual(Object.entries(row), [
    ['__proto__', 'x'],
    ['constructor', 'y'],
    ['a', 1],
  ])
  assert.equal(Object.getPrototypeOf(row), Object.prototype)
  assert.equal({}.x, undefined)
})

test('of columns with the same name the last counts', async () => {
  const { db, core } = fakeDatabase()
  core.answer = () => ({ columns: ['a', 'a'], rows: [[1, 2]] })
  assert.deepEqual(await db.get('x'), { a: 2 })
})

test('changes and lastInsertRowid, exact beyond 2^53', async () => {
  const { db, core } = fakeDatabase()
  core.answer = () => ({ changes: 2, rowid: 5n })
  assert.deepEqual(await db.run('x'), { changes: 2, lastInsertRowid: 5 })
  core.answer = () => ({ changes: 1, rowid: max })
  assert.deepEqual(await db.run('x'), { changes: 1, lastInsertRowid: max })
  const big = fakeDatabase({ integers: 'bigint' })
  big.core.answer = () => ({ changes: 1, rowid: 5n })
  assert.deepEqual(await big.db.run('x'), { changes: 1, lastInsertRowid: 5n })
})

test('some rows go in one call, many in several of one transaction', async () => {
  const { db, core } = fakeDatabase()
  core.answer = ({ rows }) => ({ changes: rows.length, wrote: true })
  const rows = Array.from({ length: 50_000 }, (_, n) => [n, `row ${n}`, n / 2, null])
  assert.deepEqual(await db.runMany('insert', rows), { changes: 50_000 })
  const parts = core.executed.length
  assert.ok(parts > 1)
  assert.deepEqual(core.log, ['begin 1', ...new Array(parts).fill('insert'), 'commit 1'])
  assert.deepEqual(
    core.executed.map(({ op }) => op),
    [...new Array(parts - 1).fill(op.runPart), op.runMany],
  )
  const arrived = core.executed.flatMap(({ rows }) => rows)
  assert.equal(arrived.length, 50_000)
  assert.deepEqual(arrived[49_999], [{ integer: 49_999n }, 'row 49999', { real: 24_999.5 }, null])

  core.log.length = core.executed.length = 0
  assert.deepEqual(await db.runMany('insert', rows.slice(0, 1000)), { changes: 1000 })
  assert.deepEqual(core.log, ['insert'])

  core.log.length = core.executed.length = 0
  const blob = new Uint8Array(9 << 20)
  assert.deepEqual(await db.runMany('insert', [{ b: blob }, { b: blob }, { b: blob }]), { changes: 3 })
  assert.deepEqual(core.log, ['begin 1', 'insert', 'insert', 'commit 1'])
  assert.deepEqual(
    core.executed.map(({ rows }) => rows.length),
    [2, 1],
  )
  const text = 'x'.repeat(1 << 19)
  core.executed.length = 0
  assert.deepEqual(await db.runMany('insert', [[text], [text], ['end']]), { changes: 3 })
  assert.deepEqual(
    core.executed.map(({ rows }) => rows[0][0].length),
    [1 << 19, 1 << 19, 3],
  )
})

test('a bad row in a later part takes the earlier parts back', async () => {
  const { db, core } = fakeDatabase()
  const blob = new Uint8Array(9 << 20)
  await assert.rejects(db.runMany('insert', [[blob], [blob], [undefined]]), {
    code: 'invalid_argument',
    details: { parameter: 1, row: 3 },
  })
  assert.deepEqual(core.log, ['begin 1', 'insert', 'rollback 1'])
})

test('no rows change nothing, but a wrong statement is found', async () => {
  const { db, core } = fakeDatabase()
  assert.deepEqual(await db.runMany('insert', []), { changes: 0 })
  assert.equal(core.executed.length, 0)
  await assert.rejects(db.runMany('wrong', []), { code: 'sqlite_error', details: { offset: 0 } })
})

const mixed = {
  columns: ['n', 'd', 'big', 't', 'b', 'mix'],
  rows: [
    [1, 1.5, max, 'é😀', new Uint8Array([1]), 1],
    [-2, 2, min, 'plain', new Uint8Array([2, 3]), 'one'],
    [3, 0.25, max, null, new Uint8Array(0), max],
  ],
}

test('rows come column by column: numbers in typed arrays, anything else in plain ones', async () => {
  const { db, core } = fakeDatabase()
  core.answer = () => mixed
  const expected = {
    columns: mixed.columns,
    rows: 3,
    values: [
      new Float64Array([1, -2, 3]),
      new Float64Array([1.5, 2, 0.25]),
      new BigInt64Array([max, min, max]),
      ['é😀', 'plain', null],
      [new Uint8Array([1]), new Uint8Array([2, 3]), new Uint8Array(0)],
      [1, 'one', max],
    ],
  }
  const columns = { rowMode: 'columns' }
  assert.deepEqual(await db.query('q', [], columns), expected)
  assert.deepEqual(await db.query('q', [], { ...columns, timeoutMs: 1000 }), expected)
  await db.transaction(async (tx) => assert.deepEqual(await tx.query('q', undefined, columns), expected))
  core.answer = () => ({ columns: ['a', 'b'], rows: [] })
  assert.deepEqual(await db.query('none', [], columns), { columns: ['a', 'b'], rows: 0, values: [[], []] })
  core.answer = () => ({ columns: ['a', 'a'], rows: [[1, null]] })
  assert.deepEqual(await db.query('twice', [], columns), {
    columns: ['a', 'a'],
    rows: 1,
    values: [new Float64Array([1]), [null]],
  })
  await assert.rejects(db.query('q', [], { rowMode: 'column' }), { code: 'invalid_argument' })
  assert.throws(() => db.live('q', [], columns), { code: 'invalid_argument' })
})

test('short and long texts in and out of ASCII keep their places', async () => {
  const { db, core } = fakeDatabase()
  for (const length of [0, 1, 5, 30, 95, 96, 97, 200, 5000]) {
    const pieces = ['a', 'é', '\ufeff', '€', '😀', '\0', 'z']
    const text = Array.from({ length }, (_, n) => pieces[n % pieces.length]).join('')
    const rows = [
      [text, 'x'.repeat(length), 'ß'],
      ['', text, 'y'],
    ]
    core.answer = () => ({ columns: ['a', 'b', 'c'], rows })
    assert.deepEqual(await db.query('q', [], { rowMode: 'array' }), rows)
    assert.deepEqual(await db.get(`get ${length}`), { a: text, b: 'x'.repeat(length), c: 'ß' })
  }
})
