// Databases in folders, in Node: after closing, after kill -9, and with one process at a time.
import assert from 'node:assert/strict'
import { execFileSync, fork } from 'node:child_process'
import fs, { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import v8 from 'node:v8'
import vm from 'node:vm'
import { deleteDatabase, isTidelockError, open } from '../../pkg-js/dist/index.js'
import { until } from '../scenarios/run/context.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-node-'))
after(() => rmSync(base, { recursive: true, force: true }))

let folders = 0
const folder = () => path.join(base, `db ${++folders}`)
const quiet = { onWarning: () => {} }

async function failure(promise) {
  return promise.then(
    () => assert.fail('this must fail'),
    (error) => {
      assert.ok(isTidelockError(error), String(error?.stack))
      return error
    },
  )
}

/** Starts `writer.mjs`; resolves when it has opened the database. */
async function startWriter(options) {
  const writer = fork(fileURLToPath(new URL('writer.mjs', import.meta.url)), [JSON.stringify(options)], {
    silent: true,
  })
  const acknowledged = []
  let rest = ''
  let complaints = ''
  writer.stderr.on('data', (text) => {
    complaints += text
  })
  const ended = new Promise((resolve) => writer.on('close', (code, signal) => resolve({ code, signal, complaints })))
  await new Promise((resolve, reject) => {
    ended.then(({ complaints }) => reject(new Error(`the writer ended: ${complaints}`)))
    writer.stdout.on('data', (text) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()
      for (const line of lines) line === 'open' ? resolve() : acknowledged.push(Number(line))
    })
  })
  return { writer, acknowledged, ended }
}

test("written data is there after closing, in a folder of the database's name unless path names another one", async () => {
  const where = folder()
  const cwd = process.cwd()
  const before = mkdtempSync(path.join(base, 'cwd-'))
  process.chdir(before)
  try {
    for (const options of [{}, { path: 'shop' }, { storage: 'indexeddb' }])
      assert.equal((await failure(open({ name: 'shop', ...quiet, ...options }))).code, 'unsupported_environment')
    assert.deepEqual(readdirSync(before), [])
    const db = await open({ name: 'shop', storage: 'file', ...quiet })
    await db.exec('CREATE TABLE t (n)')
    await db.close()
    assert.ok(existsSync(path.join(before, 'shop.tidelock/journal.1')))
  } finally {
    process.chdir(cwd)
  }
  for (const durability of ['strict', 'relaxed']) {
    const db = await open({ name: 'shop', storage: 'file', path: where, durability, ...quiet })
    await db.exec('CREATE TABLE IF NOT EXISTS t (n)')
    await db.run('INSERT INTO t VALUES (1)')
    await Promise.all(Array.from({ length: 100 }, () => db.run('INSERT INTO t VALUES (2)')))
    const { storage, lock, status, alerts } = await db.health()
    assert.deepEqual([storage.kind, storage.durability, storage.persisted], ['file', durability, true])
    assert.deepEqual([lock.state, status, alerts], ['held', 'ok', []])
    assert.equal(await db.persist(), true)
    await db.snapshots.create({ label: durability })
    await db.close()
  }
  const db = await open({ name: 'shop', storage: 'file', path: where, ...quiet })
  assert.deepEqual(await db.query('SELECT n, count(*) AS c FROM t GROUP BY n'), [
    { n: 1, c: 2 },
    { n: 2, c: 200 },
  ])
  const snapshots = await db.snapshots.list()
  assert.deepEqual(
    snapshots.map(({ label }) => label),
    ['relaxed', 'strict'],
  )
  await db.snapshots.restore(snapshots[1].id)
  assert.equal((await db.get('SELECT count(*) AS c FROM t')).c, 101)
  assert.deepEqual(await db.snapshots.verify(snapshots[0].id), { ok: true, errors: [] })
  await db.close()
})

test('a folder has one database in a process, however its path is spelled', async () => {
  const options = { name: 'notes', storage: 'file', ...quiet }
  const absolute = folder()
  const db = await open({ ...options, path: absolute })
  await db.exec('CREATE TABLE notes (body TEXT)')
  for (const spelled of [`${absolute}/`, `${absolute}/../${path.basename(absolute)}`, path.relative('.', absolute)]) {
    const other = await open({ ...options, path: spelled })
    assert.deepEqual(await other.query('SELECT * FROM notes'), [])
    await other.close()
  }
  const { message } = await failure(open({ ...options, path: `${absolute}/`, integers: 'bigint' }))
  assert.match(message, /^This process has the database open already, with another value of 'integers'$/)
  await db.close()
})

test('a closed database leaves nothing of its wasm instance in memory', async () => {
  v8.setFlagsFromString('--expose-gc')
  const collect = vm.runInNewContext('gc')
  const { instantiate } = WebAssembly
  const instances = []
  WebAssembly.instantiate = async (...given) => {
    const made = await instantiate(...given)
    instances.push(new WeakRef(made.instance ?? made))
    return made
  }
  try {
    // A function of its own: no variable of this one holds a database.
    const openAndClose = async (options) => {
      const db = await open({ ...quiet, name: 'short', ...options })
      await db.exec('CREATE TABLE t (x); INSERT INTO t VALUES (1)')
      await db.close()
    }
    for (const storage of ['file', 'file', 'memory'])
      await openAndClose({ storage, ...(storage === 'file' && { path: folder() }) })
  } finally {
    WebAssembly.instantiate = instantiate
  }
  assert.ok(instances.length >= 3, String(instances.length))
  await until(() => {
    collect()
    return instances.every((instance) => instance.deref() === undefined)
  })
})

test('one process at a time: the second one gets the holder, waits, and opens', async () => {
  const where = folder()
  const { writer, ended } = await startWriter({ name: 'shop', storage: 'file', path: where, rows: 3 })
  const refused = await failure(open({ name: 'shop', storage: 'file', path: where, ...quiet }))
  assert.equal(refused.code, 'database_in_use')
  assert.match(refused.message, new RegExp(`^Database already in use by process ${writer.pid} since \\d\\d:\\d\\d$`))
  assert.match(
    refused.hint,
    /^End the other process, .* In a copy of a folder in use, remove its lock files \(lock\.\*\)$/,
  )
  assert.match(refused.details.holder.id, new RegExp(`^${writer.pid}-`))
  assert.match(refused.details.holder.title, /writer\.mjs$/)
  const lock = readdirSync(where).filter((name) => name.startsWith('lock.'))
  assert.match(readFileSync(path.join(where, lock[0]), 'utf8'), new RegExp(`^pid ${writer.pid}$`, 'm'))
  for (const onBusy of ['takeover', 'steal']) {
    const error = await failure(open({ name: 'shop', storage: 'file', path: where, lock: { onBusy }, ...quiet }))
    assert.equal(error.code, 'unsupported_environment')
  }
  const late = await failure(
    open({ name: 'shop', storage: 'file', path: where, lock: { onBusy: 'wait', timeoutMs: 200 }, ...quiet }),
  )
  assert.equal(late.code, 'lock_timeout')
  const waiting = open({ name: 'shop', storage: 'file', path: where, lock: { onBusy: 'wait' }, ...quiet })
  writer.send('close')
  const db = await waiting
  assert.equal((await db.get('SELECT count(*) AS c FROM t')).c, 6)
  const deleting = deleteDatabase('shop', { storage: 'file', path: where })
  assert.equal((await failure(deleting)).message, 'Database already in use by this process')
  await db.close()
  assert.deepEqual(await ended, { code: 0, signal: null, complaints: '' })
})

test('kill -9 again and again: the dead lock is replaced, commits are whole, and no acknowledged one is lost', async () => {
  const where = folder()
  let total = 0
  let before = 0
  for (let round = 0; round < 6; round++) {
    const durability = round % 3 === 0 ? 'strict' : 'relaxed'
    const { writer, acknowledged, ended } = await startWriter({
      name: 'shop',
      storage: 'file',
      path: where,
      durability,
    })
    // At a random time, but after the writer has begun.
    const wanted = 10 + Math.random() * 50
    await until(() => acknowledged.length >= wanted)
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 20))
    writer.kill('SIGKILL')
    assert.equal((await ended).signal, 'SIGKILL')
    const db = await open({ name: 'shop', storage: 'file', path: where, ...quiet })
    const halves = await db.query('SELECT n, group_concat(half) AS halves FROM t GROUP BY n')
    assert.ok(
      halves.every((row) => row.halves === '1,2'),
      'whole commits',
    )
    const last = acknowledged.at(-1) ?? before
    const stored = (await db.get('SELECT coalesce(max(n), 0) AS n FROM t')).n
    assert.ok(stored >= last, `round ${round}: ${last} was acknowledged, ${stored} is there`)
    assert.ok(stored <= last + 1, 'nothing came after the one under way')
    assert.deepEqual(await db.query('PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
    total += acknowledged.length
    before = stored
    await db.close()
  }
  assert.ok(total > 50, `${total} commits`)
  assert.equal(readdirSync(where).filter((name) => name.endsWith('.tmp')).length, 0)
})

test('a damaged chunk, a torn journal and a journal with a damaged start lose nothing', async () => {
  const where = folder()
  const db = await open({ name: 'shop', storage: 'file', path: where, ...quiet })
  await db.exec('CREATE TABLE t (n)')
  await db.snapshots.create()
  await db.run('INSERT INTO t VALUES (1)')
  await db.snapshots.create()
  await db.run('INSERT INTO t VALUES (2)')
  await db.close()

  // The state after a process was killed during a write.
  const journal = path.join(where, 'journal.1')
  writeFileSync(journal, Buffer.concat([readFileSync(journal), Buffer.from('tdlk half a frame')]))
  const torn = await open({ name: 'shop', storage: 'file', path: where, ...quiet })
  assert.deepEqual(await torn.query('SELECT n FROM t'), [{ n: 1 }, { n: 2 }])
  await torn.close()

  const warnings = []
  writeFileSync(path.join(where, 'pack.1'), 'rot')
  const rotten = await open({
    name: 'shop',
    storage: 'file',
    path: where,
    onWarning: ({ code }) => warnings.push(code),
  })
  assert.deepEqual(await rotten.query('SELECT n FROM t'), [{ n: 1 }, { n: 2 }], 'the log has it all')
  await until(() => warnings.includes('snapshot_corrupt'))
  await rotten.close()

  const bytes = readFileSync(journal)
  bytes[60] ^= 1
  writeFileSync(journal, bytes)
  const repaired = await open({ name: 'shop', storage: 'file', path: where, ...quiet })
  assert.deepEqual(await repaired.query('SELECT n FROM t'), [{ n: 1 }, { n: 2 }], 'that frame is known without it')
  await repaired.close()
})

test('a folder is encrypted, gets another secret, and is decrypted; no old data is left in it', async () => {
  const where = folder()
  const everything = () => Buffer.concat(readdirSync(where).map((name) => readFileSync(path.join(where, name))))
  const marker = 'a sentence that stands in the clear'
  const db = await open({ name: 'shop', storage: 'file', path: where, snapshots: { compress: false }, ...quiet })
  await db.exec('CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)')
  await db.run('INSERT INTO t VALUES (1, ?)', [marker])
  await db.snapshots.create()
  await db.run('INSERT INTO t VALUES (2, ?)', [marker])
  assert.ok(everything().includes(marker))
  await db.rekey({ passphrase: 'one' })
  assert.ok(!everything().includes(marker))
  await db.run('INSERT INTO t VALUES (3, ?)', [marker])
  await db.rekey({ passphrase: 'two' })
  await db.close()
  assert.ok(!everything().includes(marker))
  for (const encryption of [undefined, { passphrase: 'one' }])
    assert.equal(
      (await failure(open({ name: 'shop', storage: 'file', path: where, encryption, ...quiet }))).code,
      'decryption_failed',
    )
  const again = await open({ name: 'shop', storage: 'file', path: where, encryption: { passphrase: 'two' }, ...quiet })
  assert.deepEqual(await again.query('SELECT n FROM t'), [{ n: 1 }, { n: 2 }, { n: 3 }])
  await again.rekey(null)
  await again.close()
  const plain = await open({ name: 'shop', storage: 'file', path: where, ...quiet })
  assert.deepEqual(await plain.query('SELECT n, text FROM t WHERE n = 2'), [{ n: 2, text: marker }])
  const [snapshot] = await plain.snapshots.list()
  assert.deepEqual(await plain.snapshots.verify(snapshot.id), { ok: true, errors: [] })
  await plain.close()
})

test('a failed opening releases the lock; an impossible folder is storage_unavailable', async () => {
  const where = folder()
  const broken = [{ version: '1', name: 'broken', up: 'SELECT nonsense' }]
  assert.equal(
    (await failure(open({ name: 'shop', storage: 'file', path: where, migrations: broken, ...quiet }))).code,
    'migration_failed',
  )
  const db = await open({ name: 'shop', storage: 'file', path: where, ...quiet })
  await db.close()
  const file = path.join(base, 'a file')
  writeFileSync(file, '')
  const refused = await failure(open({ name: 'shop', storage: 'file', path: path.join(file, 'below'), ...quiet }))
  assert.equal(refused.code, 'storage_unavailable')
  assert.match(String(refused.cause), /ENOTDIR|EEXIST/)
})

test('a program that does not close the database can end, and leaves a lock that is replaced', async () => {
  const where = folder()
  const { writer, ended } = await startWriter({ name: 'shop', storage: 'file', path: where, rows: 1, snapshots: false })
  writer.kill('SIGTERM')
  await ended
  const db = await open({ name: 'shop', storage: 'file', path: where, ...quiet })
  await db.close()
  assert.equal(readdirSync(where).filter((name) => name.startsWith('lock.')).length, 1)
})

test("close fails when the disk doesn't sync the last commits, and the database is closed", async () => {
  const options = { name: 'shop', storage: 'file', path: folder(), ...quiet }
  for (const durability of ['deferred', 'relaxed']) {
    const db = await open({ ...options, durability })
    await db.exec('CREATE TABLE IF NOT EXISTS t (n); INSERT INTO t VALUES (1)')
    const { fsyncSync } = fs
    fs.fsyncSync = () => {
      throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' })
    }
    syncBuiltinESMExports()
    try {
      assert.equal((await failure(db.close())).code, 'storage_unavailable', durability)
    } finally {
      fs.fsyncSync = fsyncSync
      syncBuiltinESMExports()
    }
    assert.equal((await failure(db.query('SELECT 1'))).code, 'closed')
  }
  const db = await open(options)
  assert.deepEqual(await db.query('SELECT n FROM t'), [{ n: 1 }, { n: 1 }])
  await db.close()
})

test('close on a full disk says that what waited is lost', async () => {
  const options = { name: 'shop', storage: 'file', path: folder(), ...quiet }
  for (const durability of ['deferred', 'relaxed', 'snapshot']) {
    const db = await open({ ...options, durability })
    await db.exec('CREATE TABLE IF NOT EXISTS t (n)')
    await db.flush()
    const { writeSync } = fs
    fs.writeSync = () => {
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    }
    syncBuiltinESMExports()
    try {
      const refused = durability === 'relaxed' && (await failure(db.run('INSERT INTO t VALUES (1)')))
      if (durability === 'relaxed')
        assert.deepEqual([refused.code, refused.details.applied], ['storage_quota_exceeded', true])
      else await db.run('INSERT INTO t VALUES (1)')
      const closing = await failure(db.close())
      assert.deepEqual([closing.code, closing.details.applied], ['storage_quota_exceeded', false], durability)
      assert.match(closing.hint, /is lost: before close\(\), call flush\(\)/)
    } finally {
      fs.writeSync = writeSync
      syncBuiltinESMExports()
    }
    assert.ok(db.closed)
  }
  const db = await open(options)
  assert.deepEqual(await db.query('SELECT n FROM t'), [])
  await db.close()
})

test("a folder that can't be made is refused, and named", async () => {
  const file = folder()
  writeFileSync(file, '')
  // Linux says of the existing /proc that it doesn't exist, where something is made in it.
  for (const where of [path.join(file, 'shop'), '/proc/shop']) {
    const program = `import { open } from ${JSON.stringify(new URL('../../pkg-js/dist/index.js', import.meta.url).href)}
      const failed = await open({ name: 'shop', storage: 'file', path: ${JSON.stringify(where)} }).catch((error) => error)
      console.log(JSON.stringify([failed.code, failed.details]))`
    const found = execFileSync(process.execPath, ['--input-type=module', '-e', program], { timeout: 60_000 })
    const [code, { path: named }] = JSON.parse(found)
    assert.deepEqual([code, named], ['storage_unavailable', where])
  }
  const odd = await failure(open({ name: 'shop', storage: 'file', path: 'a\0b', ...quiet }))
  assert.deepEqual([odd.code, odd.details.option], ['invalid_argument', 'path'])
})
