// Unusual scripts of migrations run; forbidden statements are reported with version and line, and leave nothing behind.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { migrationsFrom, open } from '../../pkg-js/dist/index.js'

let names = 0
const openWith = (migrations) => open({ name: `malformed-${++names}`, storage: 'memory', migrations, onWarning() {} })
const tablesOf = async (db) =>
  (await db.query("SELECT name FROM sqlite_schema WHERE name NOT GLOB 'sqlite_*' ORDER BY name"))
    .map((row) => row.name)
    .filter((name) => name !== 'schema_migrations')

const trigger = 'CREATE TRIGGER r AFTER INSERT ON t BEGIN\n  DELETE FROM t WHERE a < 0;\n'

/** The file, and the resulting tables. */
const works = {
  'line ends of Windows': ["-- it's\r\nCREATE TABLE t(a);\r\n/* ' */\r\nCREATE TABLE u(a);\r\n", ['t', 'u']],
  'line ends of old Macs': ['CREATE TABLE t(a);\r\rCREATE TABLE u(a);\r', ['t', 'u']],
  'a byte order mark': ['\ufeffCREATE TABLE t(a);', ['t']],
  'a byte order mark and VACUUM': ['\ufeff-- migrate:up transaction:false\nVACUUM;', []],
  'only comments': ['-- This is an empty migration.', []],
  'only semicolons': [';;\n;', []],
  'nothing on the way forth': ['-- migrate:up\n\n-- migrate:down\nDROP TABLE t;', []],
  'no semicolon at the end': ['CREATE TABLE t(a)', ['t']],
  'a trigger with CASE, comments and texts': [
    `CREATE TABLE t(a);\nCREATE TRIGGER r AFTER INSERT ON t BEGIN\n SELECT CASE WHEN 1 THEN ';END;' END; -- END;\n DELETE FROM t; /* ; */ END`,
    ['r', 't'],
  ],
  'breakpoints at both ends and twice': [
    '--> statement-breakpoint\nCREATE TABLE t(a);\n--> statement-breakpoint\n\n--> statement-breakpoint\nCREATE TABLE u(a);--> statement-breakpoint',
    ['t', 'u'],
  ],
  'breakpoints in place of semicolons': [
    `CREATE TABLE t(a)\n--> statement-breakpoint\n${trigger}END\n--> statement-breakpoint\nCREATE TABLE u(a)`,
    ['r', 't', 'u'],
  ],
  'a breakpoint in a trigger and in a text': [
    `CREATE TABLE t(a);\n${trigger}--> statement-breakpoint\nEND;\nCREATE TABLE u(a DEFAULT '\n--> statement-breakpoint\n');`,
    ['r', 't', 'u'],
  ],
  'pragmas of a table that is rebuilt': [
    'PRAGMA foreign_keys=OFF;\nCREATE TABLE t(a);\nPRAGMA foreign_keys=ON;',
    ['t'],
  ],
}

for (const [what, [text, tables]] of Object.entries(works)) {
  test(`works: ${what}`, async () => {
    const db = await openWith(migrationsFrom({ 'm/0001_a.sql': text }))
    assert.deepEqual(await tablesOf(db), tables)
    assert.deepEqual(
      (await db.migrations.status()).map(({ version, state }) => [version, state]),
      [['0001', 'applied']],
    )
    assert.deepEqual(await db.migrations.drift(), { added: [], removed: [], changed: [] })
    await db.close()
  })
}

/** The statement in the third line, and the subject of the hint. */
const fails = {
  BEGIN: ['BEGIN; CREATE TABLE u(a); COMMIT;', /leave BEGIN and COMMIT out/],
  COMMIT: ['COMMIT;', /leave BEGIN and COMMIT out/],
  ROLLBACK: ['ROLLBACK;', /leave BEGIN and COMMIT out/],
  VACUUM: ['VACUUM;', /./],
  ATTACH: ["ATTACH 'other.db' AS other;", /./],
  DETACH: ['DETACH main;', /./],
  'a pragma that is refused': ['PRAGMA journal_mode = WAL;', /./],
  'a typo': ['CREAT TABLE u(a);', /./],
}

for (const [what, [statement, hint]] of Object.entries(fails)) {
  test(`fails: ${what}`, async () => {
    const migrations = migrationsFrom({ 'm/0001_a.sql': `CREATE TABLE t(a);\r\n-- it's\r\n${statement}\r\n` })
    const opening = openWith(migrations).then((db) => db.close())
    await assert.rejects(opening, (error) => {
      assert.equal(error.code, 'migration_failed', error.message)
      assert.deepEqual([error.details.version, error.details.line], ['0001', 3])
      assert.ok(statement.startsWith(error.details.statement), error.details.statement)
      assert.match(error.hint, hint)
      return true
    })
    const db = await open({ name: `malformed-${names}`, storage: 'memory', onWarning() {} })
    assert.deepEqual(await tablesOf(db), [])
    await db.close()
  })
}

/** Migrations written as objects: a version instead of a file, and a line where there is one. */
const one = { version: '1', name: 'a', up: 'SELECT 1' }
const byHand = {
  'equal versions': [[one, { ...one, name: 'b' }], { version: '1' }],
  'a version without digits': [[{ ...one, version: 'first' }], { version: 'first' }],
  'no name': [[{ ...one, name: ' ' }], { version: '1' }],
  'an empty up': [[{ ...one, up: ' \n' }], { version: '1' }],
  'no up': [[{ version: '1', name: 'a', down: 'SELECT 1' }], { version: '1' }],
  'a NUL in up': [[{ ...one, up: 'CREATE TABLE t(a);\n\0CREATE TABLE u(a)' }], { version: '1', line: 2 }],
  'a NUL in down': [[{ ...one, down: 'SELECT 1;\r\n-- \0' }], { version: '1', line: 2 }],
  'a promise of a text': [[{ ...one, up: Promise.resolve('SELECT 1') }], { version: '1' }],
  'a null': [[one, null], { index: 1 }],
}

for (const [what, [migrations, details]] of Object.entries(byHand)) {
  test(`refused by hand: ${what}`, async () => {
    const opening = openWith(migrations).then((db) => db.close())
    await assert.rejects(opening, (error) => {
      assert.equal(error.code, 'migration_invalid', error.message)
      assert.deepEqual(error.details, details)
      assert.ok(error.hint)
      return true
    })
  })
}

test('a long comment of line ends, and a long text like a name, are read in the time of their length', async () => {
  // With the square of the length, each would take minutes.
  const texts = [`--${'\r'.repeat(500_000)}\nSELECT 1`, `${'.sql?'.repeat(100_000)} x`]
  assert.equal((await migrationsFrom({ '0001_a.sql': texts[0] })).length, 1)
  assert.equal((await migrationsFrom({ '0001_a.sql': texts[1] })).length, 1)
})
