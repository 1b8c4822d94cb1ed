// Databases in folders without opening them: listed, deleted, recovered.
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { databases, deleteDatabase, moveStorage, open, recover } from '../../pkg-js/dist/index.js'
import { listing } from './listing.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-stored-'))
after(() => rmSync(base, { recursive: true, force: true }))

const quiet = { storage: 'file', snapshots: { onHidden: false }, onWarning() {} }

/** Makes a folder with databases in these subfolders; each database has a row. */
async function folderOf(...names) {
  const around = mkdtempSync(path.join(base, 'around-'))
  for (const name of names) {
    const db = await open({ ...quiet, name, path: path.join(around, name) })
    await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    await db.snapshots.create()
    await db.close()
  }
  return around
}

const code = (call) =>
  call.then(
    () => 'done',
    (error) => error.code,
  )

test('a folder is no storage that databases move to', async () => {
  assert.equal(await code(moveStorage('shop', { to: 'opfs' })), 'unsupported_environment')
  assert.equal(await code(moveStorage('shop', { to: 'file' })), 'invalid_argument')
  assert.equal(await code(open({ name: 'shop', storage: 'best' })), 'unsupported_environment')
})

test('databases in folders are listed without being opened', async () => {
  const around = await folderOf('b.tidelock', 'a%2fb.tidelock', 'plain')
  const key = await crypto.subtle.importKey('raw', new Uint8Array(32), 'AES-GCM', false, ['encrypt', 'decrypt'])
  const used = await open({ ...quiet, name: 'c', path: path.join(around, 'c.tidelock'), encryption: { key } })
  mkdirSync(path.join(around, 'empty.tidelock'))
  writeFileSync(path.join(around, 'file.tidelock'), 'x')
  symlinkSync('plain', path.join(around, 'link.tidelock'))
  const before = listing(around)
  const found = await databases({ storage: 'file', path: around })
  assert.deepEqual(listing(around), before)
  assert.ok(found.every(({ storage }) => storage === 'file'))
  const seen = found.map(({ name, path: where, inUse, encrypted, openedAt }) => {
    assert.ok(Math.abs(Date.parse(openedAt) - Date.now()) < 600_000)
    return [name, path.relative(around, where), inUse, encrypted]
  })
  assert.deepEqual(seen, [
    ['a/b', 'a%2fb.tidelock', false, false],
    ['b', 'b.tidelock', false, false],
    ['c', 'c.tidelock', true, true],
    ['plain', 'plain', false, false],
  ])
  await used.close()
  const own = await databases({ storage: 'file', path: path.join(around, 'c.tidelock') })
  assert.deepEqual(
    own.map(({ name, inUse }) => [name, inUse]),
    [['c', false]],
  )
  assert.deepEqual(await databases({ storage: 'file', path: path.join(around, 'nowhere') }), [])
  writeFileSync(path.join(around, 'b.tidelock', 'journal.1'), 'damaged')
  const [, damaged] = await databases({ storage: 'file', path: around })
  assert.deepEqual([damaged.name, damaged.encrypted, damaged.openedAt], ['b', null, null])
})

for (const [left, lost] of [
  ['packs', /^journal\./],
  ['space', /^(journal|pack)\./],
])
  test(`${left} without a journal are a damaged database, which can be deleted`, async () => {
    const around = await folderOf('shop')
    const where = path.join(around, 'shop')
    const inShop = { storage: 'file', path: where }
    const db = await open({ ...quiet, name: 'shop', path: where })
    await db.snapshots.create()
    await db.close()
    for (const name of readdirSync(where)) if (lost.test(name)) rmSync(path.join(where, name))
    for (const refused of [open({ ...quiet, name: 'shop', path: where }), recover('shop', inShop)]) {
      const error = await refused.catch((error) => error)
      assert.equal(error.code, 'database_corrupt')
      assert.match(error.message, /journal is missing/)
    }
    const [found] = await databases({ storage: 'file', path: around })
    assert.deepEqual([found.name, found.encrypted], ['shop', null])
    await deleteDatabase('shop', inShop)
    assert.deepEqual(await databases({ storage: 'file', path: around }), [])
    assert.equal(await code(recover('shop', inShop)), 'invalid_argument')
  })

test('a database in a folder is deleted, and nothing else', async () => {
  const around = await folderOf('shop', 'other')
  const where = path.join(around, 'shop')
  const inShop = { storage: 'file', path: where }
  const outside = path.join(around, 'outside')
  writeFileSync(outside, 'precious')

  const db = await open({ ...quiet, name: 'shop', path: where })
  const before = listing(where)
  assert.equal(await code(deleteDatabase('shop', inShop)), 'database_in_use')
  assert.equal(await code(deleteDatabase('shop', { ...inShop, force: true })), 'unsupported_environment')
  assert.deepEqual(listing(where), before)
  assert.deepEqual(await db.query('SELECT n FROM t'), [{ n: 1 }])
  await db.close()

  writeFileSync(path.join(where, 'mine.txt'), 'mine')
  await deleteDatabase('shop', inShop)
  assert.deepEqual(readdirSync(where), ['mine.txt'])
  await deleteDatabase('other', { storage: 'file', path: path.join(around, 'other') })
  assert.deepEqual(readdirSync(around).sort(), ['outside', 'shop'])
  await deleteDatabase('other', { storage: 'file', path: path.join(around, 'other') })
  assert.equal(readFileSync(outside, 'utf8'), 'precious')
})

test('deleting a database does not follow links in its folder', async () => {
  const around = await folderOf('shop')
  const where = path.join(around, 'shop')
  writeFileSync(path.join(around, 'precious'), 'precious')
  rmSync(path.join(where, 'pack.1'), { force: true })
  symlinkSync('../precious', path.join(where, 'pack.1'))
  assert.equal(await code(deleteDatabase('shop', { storage: 'file', path: where })), 'database_corrupt')
  assert.equal(readFileSync(path.join(around, 'precious'), 'utf8'), 'precious')
})

test('a database that a dead process had open can be deleted', async () => {
  const around = await folderOf()
  const where = path.join(around, 'shop')
  const options = { name: 'shop', storage: 'file', path: where }
  const writer = fork(new URL('writer.mjs', import.meta.url), [JSON.stringify(options)], { silent: true })
  await new Promise((resolve) => writer.stdout.once('data', resolve))
  assert.equal(await code(deleteDatabase('shop', { storage: 'file', path: where })), 'database_in_use')
  writer.kill('SIGKILL')
  await new Promise((resolve) => writer.once('close', resolve))
  await deleteDatabase('shop', { storage: 'file', path: where })
  assert.deepEqual(readdirSync(around), [])
})

test('a database in a folder is recovered without being opened', async () => {
  const around = await folderOf('shop')
  const where = path.join(around, 'shop')
  const inShop = { storage: 'file', path: where }
  const sound = await recover('shop', inShop)
  assert.deepEqual([sound.changed, sound.lostBatches], [false, 0])
  const db = await open({ ...quiet, name: 'shop', path: where })
  const [{ id }] = await db.snapshots.list()
  await db.run('INSERT INTO t VALUES (2)')
  assert.equal(await code(recover('shop', inShop)), 'database_in_use')
  await db.close()
  const report = await recover('shop', { ...inShop, from: id })
  assert.deepEqual([report.changed, report.snapshotId], [true, id])
  const back = await open({ ...quiet, name: 'shop', path: where })
  assert.deepEqual(await back.query('SELECT n FROM t'), [{ n: 1 }])
  await back.close()
  assert.equal(await code(recover('shop', { storage: 'file', path: path.join(around, 'nowhere') })), 'invalid_argument')
  assert.deepEqual(readdirSync(around), ['shop'])
})

test('a database whose newest journal is cut short is recovered as it was when the one before ended', async () => {
  const [around, name] = [await folderOf('long'), 'long']
  const given = { ...quiet, name, path: path.join(around, name) }
  const db = await open(given)
  const journals = () => readdirSync(given.path).filter((file) => file.startsWith('journal.'))
  let rows = 1
  for (; journals().length === 1 && rows < 30; rows++) await db.run('INSERT INTO t VALUES (randomblob(1000000))')
  await db.run('INSERT INTO t VALUES (0)')
  await db.close()
  const newest = path.join(given.path, journals().sort().at(-1))
  writeFileSync(newest, readFileSync(newest).subarray(0, 100))
  const refused = await open(given).catch((error) => error)
  assert.equal(refused.code, 'database_corrupt')
  assert.match(refused.hint, /recover/)
  const { changed, problems } = await recover(name, { storage: 'file', path: given.path })
  assert.equal(changed, true)
  assert.match(problems.join(), new RegExp(path.basename(newest)))
  const again = await open(given)
  assert.equal((await again.get('SELECT count(*) AS n FROM t')).n, rows)
  await again.close()
})

test('on a server only the storage that was asked for is searched', async () => {
  const codes = [databases(), deleteDatabase('shop'), recover('shop')].map(code)
  assert.deepEqual(await Promise.all(codes), Array(3).fill('unsupported_environment'))
  const wrong = [databases({ path: '.' }), deleteDatabase('shop', { path: '.' }), databases({ storage: 'memory' })]
  assert.deepEqual(await Promise.all(wrong.map(code)), Array(3).fill('invalid_argument'))
})

test('without the functions of its tables, a database is not recovered, and nothing of it is lost', async () => {
  const where = mkdtempSync(path.join(base, 'functions-'))
  const functions = {
    collation: { backwards: (one, other) => (one < other ? 1 : one > other ? -1 : 0) },
    scalar: { half: { deterministic: true, fn: (n) => n / 2 } },
  }
  const options = { ...quiet, name: 'functions', path: where, functions }
  const db = await open(options)
  await db.exec(
    `CREATE TABLE t (name TEXT PRIMARY KEY COLLATE backwards, bytes BLOB);
     CREATE TABLE u (n INTEGER, bytes BLOB); CREATE INDEX halves ON u (half(n))`,
  )
  const numbers = Array.from({ length: 200 }, (_, n) => [n])
  await db.runMany("INSERT INTO t VALUES ('name ' || ?, randomblob(1500))", numbers)
  await db.runMany('INSERT INTO u VALUES (?, randomblob(1500))', numbers)
  await db.snapshots.create()
  await db.close()
  /** Changes the bytes at these places. */
  const flip = (file, places) => {
    const bytes = readFileSync(path.join(where, file))
    for (const at of places(bytes.length)) bytes[at] ^= 1
    writeFileSync(path.join(where, file), bytes)
  }
  // A chunk of the snapshot, and the log all over.
  flip('pack.1', (length) => [Math.floor(0.6 * length)])
  flip('journal.1', (length) => Array.from({ length: Math.floor(length / 50_000) }, (_, n) => 3000 + n * 50_000))
  const recovering = (given) => recover('functions', { storage: 'file', path: where, functions: given })
  for (const missing of [undefined, { scalar: functions.scalar }, { collation: functions.collation }]) {
    const error = await recovering(missing).catch((thrown) => thrown)
    assert.deepEqual([error.code, error.details], ['invalid_argument', { option: 'functions' }])
    assert.match(error.message, missing?.collation ? /halves.*half/ : /Table t .*backwards/)
    assert.match(error.hint, /option functions/)
  }
  const report = await recovering(functions)
  assert.ok(report.changed, report.problems.join('\n'))
  const again = await open(options)
  const [{ t, u }] = await again.query('SELECT (SELECT count(*) FROM t) AS t, (SELECT count(*) FROM u) AS u')
  assert.ok(t > 100 && u > 100, `${t} and ${u} rows`)
  assert.deepEqual(await again.query("SELECT name FROM sqlite_schema WHERE name = 'halves'"), [{ name: 'halves' }])
  await again.close()
})

test('a database that was recovered without rows of its history of migrations opens, and lost nothing from before', async () => {
  const where = mkdtempSync(path.join(base, 'history-'))
  const migrations = [
    { version: '1', name: 't', up: 'CREATE TABLE t (id INTEGER PRIMARY KEY, bytes BLOB)' },
    { version: '2', name: 'u', up: 'CREATE TABLE u (x)' },
  ]
  const options = { ...quiet, name: 'history', path: where, migrations }
  const file = (name) => path.join(where, name)
  const db = await open(options)
  const ends = []
  /** Adds rows, each in a millisecond of its own, so that no two have the same time. */
  const add = async (count) => {
    for (let row = 0; row < count; row++) {
      await db.run('INSERT INTO t (bytes) VALUES (randomblob(3000))')
      for (const now = Date.now(); Date.now() === now; ) await new Promise(setImmediate)
    }
  }
  for (let times = 0; times < 3; times++) {
    await add(30)
    await db.snapshots.create()
    ends.push({ pack: statSync(file('pack.1')).size, journal: statSync(file('journal.1')).size })
  }
  await add(3)
  await db.close()
  /** Changes a byte. */
  const flip = (name, at) => {
    const bytes = readFileSync(file(name))
    bytes[at] ^= 1
    writeFileSync(file(name), bytes)
  }
  // The first chunk of the newest snapshot and its copy, and the log shortly before it.
  flip('pack.1', ends[1].pack + 500)
  flip('pack.1', ends[2].pack - 500)
  flip('journal.1', Math.floor(ends[1].journal + (ends[2].journal - ends[1].journal) * 0.9))
  const refused = await open(options).catch((error) => error)
  assert.equal(refused.code, 'database_corrupt')
  const report = await recover('history', { storage: 'file', path: where })
  assert.ok(
    report.problems.some((problem) => problem.includes('schema_migrations lacks')),
    report.problems.join('\n'),
  )
  const again = await open(options)
  const status = await again.migrations.status()
  assert.deepEqual(
    status.map(({ version, state }) => [version, state]),
    [
      ['1', 'applied'],
      ['2', 'applied'],
    ],
  )
  const rows = async () => (await again.get('SELECT count(*) AS rows FROM t')).rows
  const left = await rows()
  assert.ok(left > 60 && left < 93, `${left} rows`)
  const { lastGoodAt } = refused.details
  const told = `Nothing from before ${lastGoodAt} is lost: snapshots.restore({ at }) returns to an earlier time`
  assert.ok(report.problems.includes(told), report.problems.join('\n'))
  await again.snapshots.restore({ at: new Date(Date.parse(lastGoodAt) - 1) })
  const { last, all } = await again.get('SELECT max(id) AS last, count(*) AS "all" FROM t')
  assert.ok(last > 70 && last === all, `${all} rows up to ${last}`)
  await again.close()
})
