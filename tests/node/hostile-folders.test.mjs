// Imported folders: files outside of them are left alone, and reading them changes nothing.
import assert from 'node:assert/strict'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { deleteDatabase, isTidelockError, open } from '../../pkg-js/dist/index.js'
import { ordinaryUser, runCommand } from './command-line.mjs'
import { listing } from './listing.mjs'
import { lockFile } from './lock-file.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-hostile-'))
after(() => rmSync(base, { recursive: true, force: true }))
const quiet = { onWarning: () => {} }
let folders = 0

/** Makes a folder with a database of some commits and snapshots. */
async function made() {
  const around = path.join(base, `case ${++folders}`)
  const where = path.join(around, 'shop.tidelock')
  const db = await open({ name: 'shop', storage: 'file', path: where, ...quiet })
  await db.exec('CREATE TABLE t (n)')
  await db.snapshots.create({ label: 'one' })
  await db.run('INSERT INTO t VALUES (1)')
  await db.snapshots.create({ label: 'two' })
  await db.run('INSERT INTO t VALUES (2)')
  await db.close()
  return { around, where }
}

/** Runs the command line → { code, out, err }. */
const run = (args, options) => runCommand(args, { cwd: base, ...options })

/** The commands that only read a folder, and their output for an intact one. */
const looks = [
  [['inspect'], /t: 2 rows/],
  [['verify'], /^ok, with 2 snapshots$/m],
  [['types'], /t: \{/],
  [['snapshot', 'list', '--db'], /"two"/],
]

test('inspect, verify, types and snapshot list write nothing, even after a crash', async () => {
  const { where } = await made()
  // No process has this id: the largest of Linux is 2^22.
  const dead = lockFile(4194305)
  for (const leftovers of [false, true]) {
    if (leftovers) {
      writeFileSync(path.join(where, 'pack.7'), 'chunks that nothing names')
      writeFileSync(path.join(where, 'journal.2'), 'tdlk half a segment')
      writeFileSync(path.join(where, 'journal.0'), 'an old segment')
      writeFileSync(path.join(where, 'lock.1000'), dead)
      const journal = path.join(where, 'journal.1')
      writeFileSync(journal, Buffer.concat([readFileSync(journal), Buffer.from('tdlk half a frame')]))
    }
    const before = listing(where)
    for (const [args, expected] of looks) {
      const { code, out, err } = await run([...args, where])
      assert.equal(code, 0, `${args}: ${err}`)
      assert.match(out, expected)
      assert.deepEqual(listing(where), before, `${args}`)
    }
  }
  const db = await open({ name: 'shop', storage: 'file', path: where, ...quiet })
  assert.deepEqual(await db.query('SELECT n FROM t'), [{ n: 1 }, { n: 2 }])
  await db.close()
  assert.ok(!readdirSync(where).includes('pack.7'), 'opening it does tidy up')
})

test('a read-only folder can be read', async () => {
  const { around, where } = await made()
  for (const name of readdirSync(where)) chmodSync(path.join(where, name), 0o444)
  chmodSync(where, 0o555)
  chmodSync(base, 0o755)
  const before = listing(around)
  for (const [args, expected] of looks) {
    const { code, out, err } = await run([...args, where], ordinaryUser)
    assert.equal(code, 0, `${args}: ${err}`)
    assert.match(out, expected)
  }
  assert.deepEqual(listing(around), before)
  chmodSync(where, 0o755)
})

test('a command that needs a database creates none in a folder without one', async () => {
  const empty = path.join(base, 'empty')
  const migrations = path.join(base, 'migrations')
  mkdirSync(empty)
  mkdirSync(migrations)
  writeFileSync(path.join(migrations, '0001_a.sql'), 'CREATE TABLE a (n)')
  const env = { SUPABASE_URL: 'http://127.0.0.1:1', SUPABASE_SECRET_KEY: 'the-key-of-this-project' }
  for (const args of [
    ['inspect', empty],
    ['inspect', empty, '--web'],
    ['verify', empty],
    ['types', empty],
    ['push', empty, '--tables', 'a'],
    ['migrate', 'revert', empty],
    ['snapshot', 'create', empty],
    ['snapshot', 'create', '--db', empty],
    ['snapshot', 'list', empty],
    ['snapshot', 'restore', '1', empty],
    ['snapshot', 'restore', empty, '--at', '2026-03-01T12:00:00Z'],
  ]) {
    const { code, out, err } = await run(args, { env })
    assert.deepEqual([code, out], [1, ''], `${args}: ${err}`)
    assert.match(err, /contains no database \(invalid_argument\)\nhint: Pass the folder of a database/, `${args}`)
    assert.deepEqual(readdirSync(empty), [], `${args}`)
  }
  // The first migrations make a database, and before that their state can be seen.
  for (const args of [
    ['migrate', 'status', empty],
    ['migrate', 'run', empty, '--dry-run'],
  ]) {
    assert.equal((await run(args)).code, 0, `${args}`)
    assert.deepEqual(readdirSync(empty), [], `${args}`)
  }
  assert.equal((await run(['migrate', 'run', empty])).code, 0)
  assert.equal((await run(['snapshot', 'create', empty])).code, 0)
})

test('a command on what is left of a database says that it is damaged', async () => {
  for (const left of ['pack.', 'reserve']) {
    const { where } = await made()
    for (const name of readdirSync(where)) if (!name.startsWith(left)) rmSync(path.join(where, name))
    for (const args of [['verify'], ['snapshot', 'create']]) {
      const { code, err } = await run([...args, where])
      assert.equal(code, 1)
      assert.match(err, /journal is missing.*\(database_corrupt\)/, left)
    }
  }
})

test('a folder in the place of a file stays when its database is deleted', async () => {
  const where = path.join(base, 'deleted')
  await (await open({ name: 'shop', storage: 'file', path: where, ...quiet })).close()
  mkdirSync(path.join(where, 'last-results'))
  await deleteDatabase('shop', { storage: 'file', path: where })
  assert.deepEqual(readdirSync(where), ['last-results'])
})

test('a symbolic link in a folder is refused, and its target does not change', async () => {
  for (const name of ['pack.1', 'journal.1', 'lock.1', 'lock.7', 'journal.7']) {
    const { around, where } = await made()
    const elsewhere = path.join(around, 'elsewhere')
    mkdirSync(elsewhere)
    writeFileSync(path.join(elsewhere, 'precious'), 'precious')
    const target = path.join(elsewhere, 'target')
    if (name.endsWith('7')) writeFileSync(target, 'precious')
    else renameSync(path.join(where, name), target)
    symlinkSync(target, path.join(where, name))
    const before = listing(around)
    const error = await open({ name: 'shop', storage: 'file', path: where, ...quiet }).then(
      () => assert.fail(`${name}: it was opened`),
      (error) => error,
    )
    assert.ok(isTidelockError(error, 'database_corrupt'), String(error.stack))
    assert.match(error.message, /symbolic link/)
    assert.equal(error.details.path, path.join(where, name))
    for (const command of ['inspect', 'verify']) {
      const { code, err } = await run([command, where])
      assert.equal(code, 1)
      assert.match(err, /symbolic link.*\(database_corrupt\)/)
    }
    assert.deepEqual(listing(around), before, name)
  }
})

test('a frame that claims to be longer than its file ends the journal', async () => {
  const { where } = await made()
  const journal = path.join(where, 'journal.1')
  const bytes = readFileSync(journal)
  const frames = []
  for (let at = 0; at < bytes.length; at += 36 + bytes.readUInt32LE(at + 8)) frames.push(at)
  assert.ok(frames.length > 5)
  for (const at of frames) {
    for (const length of [0xffffffff, 0x40000000, bytes.length]) {
      const claims = Buffer.from(bytes)
      claims.writeUInt32LE(length, at + 8)
      writeFileSync(journal, claims)
      const before = process.memoryUsage().arrayBuffers
      const opened = await open({ name: 'shop', storage: 'file', path: where, ...quiet }).catch((error) => error)
      assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 28, 'nothing is allocated for the claim')
      if (isTidelockError(opened)) assert.equal(opened.code, 'database_corrupt', String(opened))
      else {
        assert.ok((await opened.query('SELECT n FROM t')).length <= 2)
        await opened.close()
      }
    }
  }
})

// Each claim was checked by reading as much as it claimed: 80,000 times a megabyte.
test('a journal full of frames that claim to be long is refused', { timeout: 120_000 }, async () => {
  const { where } = await made()
  const claim = Buffer.alloc(36)
  claim.write('tdlk')
  claim[4] = 1
  claim.writeUInt32LE(1_000_000, 8)
  const journal = path.join(where, 'journal.1')
  const intact = readFileSync(journal)
  writeFileSync(journal, Buffer.concat([intact, ...Array(80_000).fill(claim)]))
  await assert.rejects(open({ name: 'shop', storage: 'file', path: where, ...quiet }), (error) => {
    assert.ok(isTidelockError(error, 'database_corrupt'), String(error))
    assert.equal(error.details.file, 'journal.1')
    return true
  })
  writeFileSync(journal, intact)
  const db = await open({ name: 'shop', storage: 'file', path: where, ...quiet })
  assert.deepEqual(await db.query('SELECT n FROM t'), [{ n: 1 }, { n: 2 }])
  await db.close()
})

test('a folder behind a link opens as usual', async () => {
  const { around, where } = await made()
  const link = path.join(around, 'link')
  symlinkSync(where, link)
  const db = await open({ name: 'shop', storage: 'file', path: link, ...quiet })
  assert.deepEqual(await db.query('SELECT n FROM t'), [{ n: 1 }, { n: 2 }])
  await db.close()
})
