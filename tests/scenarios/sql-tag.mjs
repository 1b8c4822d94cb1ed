// Queries as templates.
import assert from 'node:assert/strict'
import { journal } from './run/journal.mjs'

export default {
  'the sql tag binds, nests and quotes; its fragments are accepted wherever SQL is': async (t) => {
    const { sql } = t.tidelock
    const db = await t.memory()
    await db.exec('CREATE TABLE "odd ""name" (id INTEGER PRIMARY KEY, n TEXT)')
    const table = sql.identifier('odd "name')
    const evil = 'x\'); DROP TABLE "odd ""name"; --'
    await db.sql`INSERT INTO ${table} (id, n) VALUES (${1}, ${evil}), (${2}, ${null})`
    const where = db.sql`id = ${1} AND ${sql`n = ${evil}`}`
    assert.deepEqual(await db.sql`SELECT id FROM ${table} WHERE ${where} ORDER BY ${sql.raw('id DESC')}`, [{ id: 1 }])
    await db.run(sql`UPDATE ${table} SET n = ${'run'} WHERE id = ${2}`)
    const count = db.sql`SELECT count(*) AS n FROM ${db.sql.identifier('odd "name')} WHERE ${db.sql.raw('id > 0')}`
    assert.deepEqual(await count, [{ n: 2 }])
    assert.deepEqual(await db.batch([sql`SELECT n FROM ${table} WHERE id = ${2}`]), [[{ n: 'run' }]])
    assert.deepEqual(await db.get(sql`SELECT ${7} AS seven`), { seven: 7 })
    assert.equal((await t.failure(db.get(sql`SELECT ${1}`, [1]))).code, 'invalid_argument')
  },

  'an array becomes a list, an empty one an empty list; join and values bind each value': async (t) => {
    const { sql } = t.tidelock
    const db = await t.memory()
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT)')
    const evil = "'); DROP TABLE t; --"
    const rows = [
      [1, 'a'],
      [2, evil],
      [3, sql`upper(${'c'})`],
    ]
    await db.sql`INSERT INTO t (id, n) VALUES ${sql.values(rows)}`
    const ids = async (condition) => (await db.sql`SELECT id FROM t WHERE ${condition} ORDER BY id`).map(({ id }) => id)
    assert.deepEqual(await ids(sql`id IN (${[1, 3]})`), [1, 3])
    assert.deepEqual(await ids(sql`n IN (${[evil, 'C']})`), [2, 3])
    assert.deepEqual(await ids(sql`id IN (${[]})`), [])
    assert.deepEqual(await ids(sql`id NOT IN (${[]})`), [1, 2, 3])
    assert.deepEqual(await ids(sql`NULL NOT IN (${[]})`), [1, 2, 3])
    assert.deepEqual(await ids(sql`id IN (${[sql`1 + 1`]})`), [2])
    assert.deepEqual(await ids(sql.join([sql`id > ${1}`, sql`n = ${evil}`], ' AND ')), [2])
    assert.deepEqual(await ids(db.sql.join([sql`id = ${1}`, db.sql`id = ${3}`], ' OR ')), [1, 3])
    assert.equal(sql.join([]).sql, '')
    const { sql: text, params } = sql`f(${[1, 2]}, ${sql.join(['x', null])}, ${sql.values([
      [1, 2],
      [3, 4],
    ])})`
    assert.equal(text, 'f(?, ?, ?, ?, (?, ?), (?, ?))')
    assert.deepEqual(params, [1, 2, 'x', null, 1, 2, 3, 4])
    for (const call of [
      () => sql('SELECT 1'),
      () => db.sql('SELECT 1'),
      () => sql.values([]),
      () => sql.values([[]]),
      () => sql.values([1, 2]),
      () => sql.values([[1, 2], [3]]),
      () => sql.join('abc'),
      () => sql.join([1, 2], 5),
      () => db.sql`SELECT ${[{ id: 1 }]}`,
      () => db.sql`SELECT ${[[1, 2]]}`,
    ])
      assert.equal((await t.failure(call)).code, 'invalid_argument', `${call}`)
  },

  'a query of the tag runs once and in order, awaited or not; a nested one does not run': async (t) => {
    const { db, write, written } = await journal(t.memory)
    const insert = (what) => db.sql`INSERT INTO journal (what) VALUES (${what})`
    const calls = [write(db, 'a'), insert('b'), write(db, 'c'), insert('d'), insert('e')]
    await Promise.all(calls)
    await calls[1]
    let ended = false
    await insert('f').finally(() => {
      ended = true
    })
    assert.ok(ended)
    insert('nobody awaits')
    await db.sql`SELECT 1 WHERE ${db.sql`(INSERT INTO journal (what) VALUES ('nested'))`}`.catch(() => {})
    assert.deepEqual(await written(), ['a', 'b', 'c', 'd', 'e', 'f', 'nobody awaits'])
    await db.close()
    assert.equal((await t.failure(insert('late'))).code, 'closed')
  },
}
