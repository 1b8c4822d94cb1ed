// Databases in folders without opening them: listed, deleted, recovered.
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
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

test('packs without a journal are a damaged database, which can be deleted', async () => {
  const around = await folderOf('shop')
  const where = path.join(around, 'shop')
  const inShop = { storage: 'file', path: where }
  const db = await open({ ...quiet, name: 'shop', path: where })
  await db.snapshots.create()
  await db.close()
  for (const name of readdirSync(where)) if (name.startsWith('journal.')) rmSync(path.join(where, name))
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
  const writer = fork(new URL('writer.mjs', import.meta.url).pathname, [JSON.stringify(options)], { silent: true })
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

test('on a server only the storage that was asked for is searched', async () => {
  const codes = [databases(), deleteDatabase('shop'), recover('shop')].map(code)
  assert.deepEqual(await Promise.all(codes), Array(3).fill('unsupported_environment'))
  const wrong = [databases({ path: '.' }), deleteDatabase('shop', { path: '.' }), databases({ storage: 'memory' })]
  assert.deepEqual(await Promise.all(wrong.map(code)), Array(3).fill('invalid_argument'))
})
