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
