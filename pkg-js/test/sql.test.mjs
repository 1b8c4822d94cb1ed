import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from '../src/base/sql.ts'

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
