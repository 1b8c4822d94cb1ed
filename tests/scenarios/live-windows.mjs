// Windows of live queries.
import assert from 'node:assert/strict'

async function numbers(memory) {
  const db = await memory()
  await db.exec(`CREATE TABLE t (n INTEGER PRIMARY KEY);
    INSERT INTO t WITH RECURSIVE k(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM k WHERE i < 100) SELECT i FROM k`)
  return db
}
const list = (rows) => rows.map(({ n }) => n)

export default {
  'a window has its rows and the number of all rows, of one point in time, and follows both': async (t) => {
    const db = await numbers(t.memory)
    const live = db.live('SELECT n FROM t WHERE n > ? ORDER BY n -- all\n;', [10], { limit: 3, offset: 2 })
    assert.deepEqual([live.rows, live.total], [undefined, undefined])
    const seen = []
    live.subscribe((rows) => seen.push([list(rows), live.total]))
    await t.until(() => seen.length === 1)
    await db.run('INSERT INTO t VALUES (101)')
    await t.until(() => seen.length === 2)
    await db.run('DELETE FROM t WHERE n = 12')
    await t.until(() => seen.length === 3)
    const first = [13, 14, 15]
    assert.deepEqual(seen, [
      [first, 90],
      [first, 91],
      [[14, 15, 16], 90],
    ])
  },

  'a window moves, and its differences with it': async (t) => {
    const db = await numbers(t.memory)
    const live = db.live('SELECT n FROM t WHERE n <= :most ORDER BY n', { most: 50 }, { limit: 2 })
    const loop = live.changes({ key: 'n' })[Symbol.asyncIterator]()
    const next = async () => {
      const { added, removed } = (await loop.next()).value
      return [list(added.map(({ row }) => row)), list(removed.map(({ row }) => row))]
    }
    assert.deepEqual(await next(), [[1, 2], []])
    assert.deepEqual(list(await live.setWindow({ offset: 1 })), [2, 3])
    assert.deepEqual(await next(), [[3], [1]])
    assert.deepEqual(list(await live.setWindow({ limit: 4 })), [2, 3, 4, 5])
    assert.deepEqual(list(await live.setWindow({ limit: 0 })), [])
    assert.deepEqual([live.total, list(await live.setWindow({ limit: 9, offset: 48 }))], [50, [49, 50]])
    await loop.return()
  },

  'without a window, total is the number of rows; a fragment and arrays have windows, too': async ({
    memory,
    tidelock,
  }) => {
    const db = await numbers(memory)
    const all = db.live('SELECT n FROM t')
    await all.refresh()
    assert.equal(all.total, 100)
    const { sql } = tidelock
    const rest = db.live(sql`SELECT n, n AS n FROM t WHERE n > ${95}`, undefined, { offset: 3, rowMode: 'array' })
    assert.deepEqual(await rest.refresh(), [
      [99, 99],
      [100, 100],
    ])
    assert.equal(rest.total, 5)
  },

  'a window that cannot be is refused': async ({ memory, failure }) => {
    const db = await numbers(memory)
    for (const options of [{ limit: -1 }, { limit: 1.5 }, { limit: '1' }, { offset: -1 }, { limit: null }])
      assert.equal((await failure(() => db.live('SELECT 1', [], options))).code, 'invalid_argument')
    assert.equal((await failure(db.live('SELECT 1').setWindow({ limit: 1 }))).code, 'invalid_argument')
    const live = db.live('SELECT n FROM t', [], { limit: 1 })
    assert.equal((await failure(live.setWindow({ limit: -1 }))).code, 'invalid_argument')
    const limited = db.live('SELECT n FROM t LIMIT 5', [], { limit: 1 })
    assert.equal((await failure(limited.refresh())).code, 'invalid_argument')
    const unknown = db.live('SELECT n FROM nowhere', [], { limit: 1 })
    assert.equal((await failure(unknown.refresh())).code, 'sqlite_error')
  },
}
