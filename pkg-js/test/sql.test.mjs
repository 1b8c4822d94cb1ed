import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from '../src/sql.ts'
import { fakeDatabase } from './fake-core.mjs'

test('values are bound, fragments nest', () => {
  const open = sql`status = ${'open'}`
  const both = sql`${open} AND total > ${100}`
  const query = sql`SELECT * FROM ${sql.identifier('or"ders')} WHERE ${both} OR ${sql.raw('1 = 0')} LIMIT ${5}`
  assert.equal(query.sql, 'SELECT * FROM "or""ders" WHERE status = ? AND total > ? OR 1 = 0 LIMIT ?')
  assert.deepEqual(query.params, ['open', 100, 5])
})

test('text that looks like SQL stays a value', () => {
  const query = sql`SELECT ${"'; DROP TABLE users; --"}`
  assert.equal(query.sql, 'SELECT ?')
})

test('an identifier must be a name', () => {
  for (const name of ['', 'a\0b', 5, undefined]) assert.throws(() => sql.identifier(name), { code: 'invalid_argument' })
  assert.throws(() => sql.raw(5), { code: 'invalid_argument' })
})

test('db.sql runs, awaited or not, and what is nested in another does not run by itself', async () => {
  const { db, core } = fakeDatabase()
  core.answer = () => ({ columns: ['a'], rows: [[1]] })
  assert.deepEqual(await db.sql`SELECT ${1} WHERE ${db.sql`x = ${'y'}`} AND ${sql`z`}`, [{ a: 1 }])
  assert.deepEqual(
    core.executed.map((one) => one.sql),
    ['SELECT ? WHERE x = ? AND z'],
  )
  assert.deepEqual(core.executed[0].rows, [[{ integer: 1n }, 'y']])
  core.executed.length = 0
  db.sql`alone`
  await null
  await null
  assert.deepEqual(
    core.executed.map((one) => one.sql),
    ['alone'],
  )
})

test('db.sql keeps its place among the calls and runs once', async () => {
  const { db, core } = fakeDatabase()
  const calls = [db.run('a'), db.sql`b`, db.run('c'), db.sql`d`, db.sql`e`]
  await Promise.all(calls)
  await calls[1]
  assert.deepEqual(core.log, ['a', 'b', 'c', 'd', 'e'])
})

test('a fragment goes wherever SQL does, with its own parameters', async () => {
  const { db, core } = fakeDatabase()
  await db.run(sql`DELETE FROM t WHERE a = ${1}`)
  await db.batch([sql`b ${2}`])
  assert.deepEqual(
    core.executed.map((one) => [one.sql, one.rows]),
    [
      ['DELETE FROM t WHERE a = ?', [[{ integer: 1n }]]],
      ['b ?', [[{ integer: 2n }]]],
    ],
  )
  await assert.rejects(db.run(sql`x`, [1]), { code: 'invalid_argument' })
})

test('db.sql has the helpers, and is a promise', async () => {
  const { db } = fakeDatabase()
  assert.equal(db.sql.identifier('a').sql, '"a"')
  assert.equal(db.sql.raw('a').sql, 'a')
  let ended = false
  await db.sql`x`.finally(() => {
    ended = true
  })
  assert.ok(ended)
  await db.close()
  assert.equal(await db.sql`x`.catch((error) => error.code), 'closed')
})
