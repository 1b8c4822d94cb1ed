// Encrypted folders in Node, which has WebCrypto, too; rekey leaves no file with old data, and rotateKey survives kill -9.
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { open } from '../../pkg-js/dist/index.js'
import '../scenarios/run/quick-secrets.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-node-'))
after(() => rmSync(base, { recursive: true, force: true }))

const marker = 'marker-of-a-secret-4711'

function isReadable(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true }).some(
    (entry) => entry.isFile() && readFileSync(path.join(entry.parentPath ?? entry.path, entry.name)).includes(marker),
  )
}

/** Whether the newest head of a folder has a next data key. */
function isRotating(folder) {
  const journals = readdirSync(folder).filter((name) => name.startsWith('journal.'))
  const number = (name) => Number(name.slice('journal.'.length))
  const newest = journals.sort((a, b) => number(a) - number(b)).map((name) => readFileSync(path.join(folder, name)))
  const all = Buffer.concat(newest)
  const at = all.lastIndexOf('encryption')
  return all.subarray(at, at + 30).includes('rotation')
}

const code = (promise) =>
  promise.then(
    () => 'opened',
    (error) => error.code,
  )

test('a folder goes from plain to encrypted and back, with snapshots and log', async () => {
  const options = { name: 'shop', storage: 'file', path: path.join(base, 'shop') }
  const encryption = { passphrase: 'words' }
  let db = await open(options)
  await db.exec('CREATE TABLE t (s TEXT)')
  await db.run('INSERT INTO t VALUES (?)', [marker])
  await db.snapshots.create({ label: marker })
  await db.run('INSERT INTO t VALUES (?)', [marker])
  assert.equal(isReadable(options.path), true)
  await db.rekey(encryption)
  await db.run('INSERT INTO t VALUES (?)', [marker])
  await db.close()
  assert.equal(isReadable(options.path), false)
  assert.equal(await code(open(options)), 'decryption_failed')
  assert.equal(await code(open({ ...options, encryption: { passphrase: 'other' } })), 'decryption_failed')
  db = await open({ ...options, encryption })
  assert.deepEqual(await db.get('SELECT count(*) AS n FROM t'), { n: 3 })
  const [snapshot] = await db.snapshots.list()
  assert.deepEqual(await db.snapshots.verify(snapshot.id), { ok: true, errors: [] })
  assert.equal(snapshot.label, marker)
  await db.rekey(null)
  await db.close()
  db = await open(options)
  assert.deepEqual(await db.get('SELECT count(*) AS n FROM t'), { n: 3 })
  await db.close()
})

test('kill -9 during rotations of the key: all data is there, and the next process continues', async () => {
  const options = { name: 'shop', storage: 'file', path: path.join(base, 'rotated'), onWarning() {} }
  const encryption = { passphrase: 'words' }
  let db = await open({ ...options, encryption })
  await db.exec(`CREATE TABLE t (b BLOB);
    WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
    INSERT INTO t SELECT randomblob(1000) FROM n`)
  const { id } = await db.snapshots.create({ label: 'kept' })
  await db.close()
  let interrupted = 0
  for (let round = 0; round < 8; round++) {
    const rotator = fork(new URL('./rotator.mjs', import.meta.url), [options.path])
    const [message] = await once(rotator, 'message')
    assert.equal(message, 'rotating')
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 200))
    rotator.kill('SIGKILL')
    await once(rotator, 'exit')
    interrupted += isRotating(options.path) ? 1 : 0
    db = await open({ ...options, encryption })
    assert.deepEqual(await db.get('SELECT count(*) AS n, total(length(b)) AS bytes FROM t'), {
      n: 5000 + round,
      bytes: 5_000_000 + round,
    })
    assert.deepEqual(await db.snapshots.verify(id), { ok: true, errors: [] })
    await db.run("INSERT INTO t VALUES ('x')")
    await db.close()
  }
  assert.ok(interrupted > 0)
  db = await open({ ...options, encryption })
  await db.rotateKey()
  await db.close()
  assert.equal(isRotating(options.path), false)
})

test('sensitive columns are readable with their key only, and in no file of the folder', async () => {
  const options = { name: 'columns', storage: 'file', path: path.join(base, 'columns') }
  const columnKey = { passphrase: 'words', salt: 'the salt of one user' }
  let db = await open({ ...options, columnKey })
  await db.exec('CREATE TABLE t (s BLOB)')
  await db.run('INSERT INTO t VALUES (encrypt(?))', [marker])
  await db.snapshots.create({ label: 'encrypted' })
  await db.close()
  assert.equal(isReadable(options.path), false)
  db = await open({ ...options, columnKey: { ...columnKey, passphrase: 'other' } })
  await assert.rejects(db.query('SELECT decrypt(s) FROM t'), { code: 'decryption_failed' })
  await db.close()
  db = await open({ ...options, columnKey })
  assert.deepEqual(await db.get('SELECT decrypt(s) AS s FROM t'), { s: marker })
  await db.close()
})
