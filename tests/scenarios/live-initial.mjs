// Live queries that begin with their last known result.
import assert from 'node:assert/strict'
import { having } from './run/having.mjs'
import { change, result } from './run/indexeddb.mjs'

const sql = 'SELECT id, s FROM t WHERE id > ? ORDER BY id'
const table =
  "CREATE TABLE t (id INTEGER PRIMARY KEY, s); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (9007199254740993, x'00ff')"
const first = [
  { id: 2, s: 'b' },
  { id: 9007199254740993n, s: new Uint8Array([0, 255]) },
]

/** Runs live queries once, so that their results are kept, and closes the database. */
async function kept(db, queries) {
  const lives = queries.map((query) => db.live(...query))
  await Promise.all(lives.map((live) => live.refresh()))
  await db.close()
}

/** A query whose last result is read with the others. */
const marker = ['SELECT 1 AS marker', [], { initial: 'last' }]

/** Returns the keys of the records beside the log. */
async function keys(name) {
  let found
  await change(name, async (transaction) => {
    found = await result(transaction.objectStore('meta').getAllKeys())
  })
  return found
}

/** Returns the place of a database, for calls without opening it. */
const placeOf = ({ storage, path }) => ({ storage, path })

export default {
  'the last known result comes while the engine is busy, then the real one, and the difference': async (t) => {
    const options = t.options()
    const db = await t.open(options)
    await db.exec(table)
    await kept(db, [[sql, [1], { initial: 'last' }]])
    const again = await t.open(options)
    const tx = await again.begin()
    const live = again.live(sql, [1], { initial: 'last' })
    const seen = []
    live.subscribe((rows) => seen.push(rows))
    const changes = []
    live.changes({ key: 'id' }).subscribe((one) => changes.push(one))
    await t.until(() => seen.length === 1)
    assert.deepEqual(seen, [first])
    assert.deepEqual([live.rows, live.total], [first, 2])
    await tx.run("UPDATE t SET s = 'new' WHERE id = 2")
    await tx.commit()
    const row = { id: 2, s: 'new' }
    await t.until(() => changes.length === 2)
    assert.deepEqual(seen.at(-1), [row, first[1]])
    const added = first.map((row, index) => ({ row, index }))
    const updated = [{ row, index: 0, previous: first[0] }]
    assert.deepEqual(changes, [
      { added, updated: [], removed: [], moved: [] },
      { added: [], updated, removed: [], moved: [] },
    ])
  },

  'it is that of the same query, parameters, form of rows and window': async (t) => {
    const options = t.options()
    const db = await t.open(options)
    await db.exec(table)
    await kept(db, [
      marker,
      [sql, [0], { initial: 'last', limit: 1 }],
      [sql, [1n], { initial: 'last', rowMode: 'array' }],
      [sql, [2]],
    ])
    const again = await t.open(options)
    for (const [query, rows, total] of [
      [[sql, [0], { initial: 'last', limit: 1 }], [{ id: 1, s: 'a' }], 3],
      [[sql, [1n], { initial: 'last', rowMode: 'array' }], first.map(({ id, s }) => [id, s]), 2],
      [[sql, [0], { initial: 'last', limit: 2 }]],
      [[sql, [0], { initial: 'last' }]],
      [[sql, [1n], { initial: 'last' }]],
      [[sql, [2], { initial: 'last' }]],
      [[sql, [0], { limit: 1 }]],
    ]) {
      const tx = await again.begin()
      const [live, other] = [again.live(...query), again.live(...marker)]
      await t.until(() => other.rows)
      assert.deepEqual(
        [live.rows, live.total],
        [rows, total],
        JSON.stringify(query, (_, one) => String(one)),
      )
      await tx.rollback()
      await live.refresh()
    }
  },

  'lastRows has them before the database is open, and not after its deletion': async (t) => {
    const { lastRows, deleteDatabase } = t.tidelock
    const options = t.options()
    const { name } = options
    assert.equal(await lastRows(name, sql, [1], placeOf(options)), undefined)
    const db = await t.open(options)
    await db.exec(table)
    await kept(db, [
      [sql, [1], { initial: 'last' }],
      [sql, [1], { initial: 'last', offset: 1, rowMode: 'array' }],
    ])
    assert.deepEqual(await lastRows(name, sql, [1], placeOf(options)), first)
    const asked = { ...placeOf(options), offset: 1, rowMode: 'array' }
    assert.deepEqual(await lastRows(name, sql, [1], asked), [[first[1].id, first[1].s]])
    assert.equal(await lastRows(name, sql, [2], placeOf(options)), undefined)
    await deleteDatabase(name, placeOf(options))
    assert.equal(await lastRows(name, sql, [1], placeOf(options)), undefined)
    for (const wrong of [
      () => lastRows('', sql),
      () => lastRows(name, sql, [], { ...placeOf(options), offset: -1 }),
      () => lastRows(name, sql, [], { ...placeOf(options), rowMode: 'columns' }),
      () => lastRows(name, sql, [], { storage: 'memory' }),
    ])
      assert.equal((await t.failure(wrong)).code, 'invalid_argument')
  },

  'nothing readable is kept of what is encrypted': async (t) => {
    const options = t.options()
    const { name } = options
    const live = [sql, [1], { initial: 'last' }]
    const found = () => t.tidelock.lastRows(name, sql, [1], placeOf(options))
    const db = await t.open(options)
    await db.exec(table)
    const other = await t.open(options)
    await kept(other, [live])
    assert.deepEqual(await found(), first)
    const encryption = { passphrase: 'words' }
    await db.rekey(encryption)
    assert.equal(await found(), undefined)
    await kept(db, [live])
    assert.equal(await found(), undefined)
    const again = await t.open({ ...options, encryption })
    await kept(again, [live])
    assert.equal(await found(), undefined)
    const columns = t.options({ columnKey: new Uint8Array(32) })
    const decrypting = await t.open(columns)
    const text = "SELECT decrypt(encrypt('secret')) AS s"
    await kept(decrypting, [[text, [], { initial: 'last' }]])
    assert.equal(await t.tidelock.lastRows(columns.name, text, [], placeOf(columns)), undefined)
  },

  'a hidden page stores results at once; one that another tab has encrypted since stores none, and removes them': {
    only: ['page', 'worker'],
    not: ['opfs'],
    because: 'a folder has no pages, and is locked by one process',
    run: async (t) => {
      const { name } = t.options()
      const db = await t.open({ name, snapshots: { onHidden: false } })
      await db.exec("CREATE TABLE t (s); INSERT INTO t VALUES ('marker-4711')")
      // The engine must not write the head again, in which the test sets the mark of another tab.
      await db.flush()
      const live = db.live('SELECT s FROM t', [], { initial: 'last' })
      const hidden = () =>
        having(document, 'visibilityState', 'hidden', () => document.dispatchEvent(new Event('visibilitychange')))
      const found = () => t.tidelock.lastRows(name, 'SELECT s FROM t')
      await live.refresh()
      await hidden()
      assert.deepEqual(await t.until(found), [{ s: 'marker-4711' }])
      await change(name, async (transaction) => {
        const head = await result(transaction.objectStore('meta').get('head'))
        transaction.objectStore('meta').put({ ...head, features: ['encryption'] }, 'head')
      })
      assert.equal(await found(), undefined)
      assert.deepEqual(await keys(name), ['head', 'head copy', 'last'])
      await live.refresh()
      await hidden()
      await t.until(async () => (await keys(name)).length === 2)
    },
  },

  'a large result is not kept, nor one that it replaces, and the oldest go': async (t) => {
    const options = t.options()
    const db = await t.open(options)
    await db.exec(table)
    const found = (query, params) => t.tidelock.lastRows(options.name, query, params, placeOf(options))
    const text = "SELECT printf('%.*c', s, 'x') AS text, ? AS n FROM t WHERE id = 1"
    await db.run('UPDATE t SET s = 100000 WHERE id = 1')
    await kept(
      db,
      Array.from({ length: 8 }, (_, n) => [text, [n], { initial: 'last' }]),
    )
    const left = await Promise.all(Array.from({ length: 8 }, async (_, n) => (await found(text, [n])) !== undefined))
    assert.deepEqual(left, [false, false, false, true, true, true, true, true])
    const again = await t.open(options)
    await again.run('UPDATE t SET s = 200000 WHERE id = 1')
    await kept(again, [[text, [7], { initial: 'last' }]])
    assert.equal(await found(text, [7]), undefined)
    assert.equal((await found(text, [6]))?.length, 1)
  },

  'a database in memory has no last results, and other values are refused': async (t) => {
    const db = await t.memory()
    await db.exec(table)
    const live = db.live(sql, [1], { initial: 'last' })
    assert.deepEqual(await live.refresh(), first)
    for (const initial of ['first', true, null])
      assert.equal((await t.failure(() => db.live(sql, [1], { initial }))).code, 'invalid_argument')
  },
}
