// Differences between the results of live queries.
import assert from 'node:assert/strict'

async function tasks(memory) {
  const db = await memory()
  await db.exec(`CREATE TABLE tasks (id INTEGER PRIMARY KEY, title TEXT, rank INTEGER);
    INSERT INTO tasks VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30)`)
  return { db, live: db.live('SELECT id, title, rank FROM tasks ORDER BY rank') }
}

const ids = (changes) => ({
  added: changes.added.map(({ row, index }) => [row.id, index]),
  updated: changes.updated.map(({ row, previous, index }) => [row.id, previous.title, row.title, index]),
  removed: changes.removed.map(({ row, index }) => [row.id, index]),
  moved: changes.moved.map(({ row, from, index }) => [row.id, from, index]),
})
const none = { added: [], updated: [], removed: [], moved: [] }

export default {
  'a loop gets all rows as added, then what differs, with positions': async ({ memory }) => {
    const { db, live } = await tasks(memory)
    const loop = live.changes({ key: 'id' })[Symbol.asyncIterator]()
    const next = async () => ids((await loop.next()).value)
    const added = [
      [1, 0],
      [2, 1],
      [3, 2],
    ]
    assert.deepEqual(await next(), { ...none, added })
    await db.run("UPDATE tasks SET title = 'B' WHERE id = 2")
    assert.deepEqual(await next(), { ...none, updated: [[2, 'b', 'B', 1]] })
    await db.run('UPDATE tasks SET rank = 5 WHERE id = 3')
    const { updated, ...rest } = await next()
    assert.deepEqual([updated, rest.moved], [[[3, 'c', 'c', 0]], [[3, 2, 0]]])
    await db.batch([{ sql: 'DELETE FROM tasks WHERE id = 1' }, { sql: "INSERT INTO tasks VALUES (4, 'd', 1)" }])
    assert.deepEqual(await next(), { ...none, added: [[4, 0]], removed: [[1, 1]] })
    await loop.return()
  },

  'a slow reader gets one difference for several commits, and none for a result without one': async (t) => {
    const { db, live } = await tasks(t.memory)
    const loop = live.changes({ key: ['id'] })[Symbol.asyncIterator]()
    await loop.next()
    await db.run("INSERT INTO tasks VALUES (5, 'e', 50)")
    await db.run('DELETE FROM tasks WHERE id = 5')
    await db.run("UPDATE tasks SET title = 'A' WHERE id = 1")
    await db.run('DELETE FROM tasks WHERE id = 2')
    await live.refresh()
    assert.deepEqual(ids((await loop.next()).value), { ...none, updated: [[1, 'a', 'A', 0]], removed: [[2, 1]] })
    const waiting = loop.next()
    await live.refresh()
    await live.refresh()
    await db.run('DELETE FROM tasks WHERE id = 1')
    assert.deepEqual(ids((await waiting).value), { ...none, removed: [[1, 0]] })
    await loop.return()
  },

  'a subscriber gets the differences until it leaves, and the first one of an empty result': async (t) => {
    const db = await t.memory()
    await db.exec('CREATE TABLE t (a, b, PRIMARY KEY (a, b))')
    const seen = []
    const changes = db.live('SELECT a, b FROM t', [], { rowMode: 'array' }).changes({ key: [0, 1] })
    const leave = changes.subscribe(({ added }) => seen.push(added.map(({ row }) => row)))
    await t.until(() => seen.length === 1)
    await db.run('INSERT INTO t VALUES (1, 1)')
    await t.until(() => seen.length === 2)
    leave()
    const other = db.live('SELECT count(*) AS n FROM t')
    await db.run('INSERT INTO t VALUES (1, 2)')
    await t.until(() => other.rows?.[0].n === 2)
    assert.deepEqual(seen, [[], [[1, 1]]])
  },

  'a key that is missing or not unique is an error, and the next unique result goes on from the last': async (t) => {
    const { db } = await tasks(t.memory)
    const live = db.live('SELECT id, title FROM tasks')
    for (const options of [undefined, {}, { key: [] }, { key: [{}] }, { key: 'id', other: 1 }])
      assert.equal((await t.failure(() => live.changes(options))).code, 'invalid_argument')
    const missing = live.changes({ key: 'rank' })[Symbol.asyncIterator]()
    assert.equal((await t.failure(missing.next())).code, 'invalid_argument')
    const seen = []
    const errors = []
    const changes = live.changes({ key: 'title' })
    changes.subscribe(
      (change) => seen.push(ids(change)),
      (error) => errors.push(error),
    )
    changes.subscribe(() => {})
    await t.until(() => seen.length === 1)
    await db.run("UPDATE tasks SET title = 'a' WHERE id = 2")
    await t.until(() => errors.length === 1 && t.warnings.length === 1)
    const error = await t.failure(Promise.reject(errors[0]))
    assert.deepEqual([error.code, t.warnings[0].code], ['invalid_argument', 'invalid_argument'])
    await db.run("UPDATE tasks SET title = 'd' WHERE id = 2")
    await t.until(() => seen.length === 2)
    assert.deepEqual(seen[1], { ...none, added: [[2, 1]], removed: [[2, 1]] })
  },
}
