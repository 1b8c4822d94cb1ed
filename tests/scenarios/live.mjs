// Live queries.
import assert from 'node:assert/strict'

export default {
  'a live query follows its own tables only, once per commit': async ({ memory, until, failure }) => {
    const db = await memory()
    await db.exec('CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)')
    const seen = { a: [], b: [] }
    const follow = (table) => {
      const live = db.live(`SELECT count(*) AS n FROM ${table}`)
      return { live, stop: live.subscribe(([{ n }]) => seen[table].push(n)) }
    }
    const { live, stop } = follow('a')
    follow('b')
    // When `b` has a result of this commit, `a` would have one, too.
    const heard = (n) => until(() => seen.b.at(-1) === n)
    await until(() => seen.a.length === 1)
    await db.transaction(async (tx) => {
      await tx.run('INSERT INTO a VALUES (1)')
      await tx.run('INSERT INTO a VALUES (2)')
    })
    await until(() => seen.a.length === 2)
    await db.run('INSERT INTO b VALUES (1)')
    await heard(1)
    await failure(
      db.transaction(async (tx) => {
        await tx.run('INSERT INTO a VALUES (3)')
        throw new Error('back')
      }),
    )
    await db.run('INSERT INTO b VALUES (2)')
    await heard(2)
    assert.deepEqual(live.rows, [{ n: 2 }])
    assert.deepEqual(seen, { a: [0, 2], b: [0, 1, 2] })
    stop()
    await db.run('INSERT INTO a VALUES (4)')
    await db.run('INSERT INTO b VALUES (3)')
    await heard(3)
    assert.deepEqual(seen.a, [0, 2])
  },

  'a loop over a live query gets each result': async ({ memory, until }) => {
    const db = await memory()
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (4)')
    const seen = []
    const reading = (async () => {
      for await (const [{ n }] of db.live('SELECT max(id) AS n FROM t')) if (seen.push(n) === 2) break
    })()
    await until(() => seen.length === 1)
    await db.run('INSERT INTO t VALUES (50)')
    await reading
    assert.deepEqual(seen, [4, 50])
  },

  'the error of a live query goes to its subscriber': async ({ memory, failure }) => {
    const db = await memory()
    const failed = new Promise((rows, error) => db.live('SELECT * FROM nowhere').subscribe(rows, error))
    assert.equal((await failure(failed)).code, 'sqlite_error')
  },
}
