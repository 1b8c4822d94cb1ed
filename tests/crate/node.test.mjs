// A folder written by Node opens in a native program, and the other way around: the example native-notes, and the package.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { isTidelockError, migrationsFrom, open } from '../../pkg-js/dist/index.js'

const root = path.join(import.meta.dirname, '../..')
const program = path.join(root, 'target/debug/examples/native-notes')
assert.ok(existsSync(program), `${program} is missing: run ./build.sh test tests/crate/node.test.mjs`)

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-crate-'))
after(() => rmSync(base, { recursive: true, force: true }))

let folders = 0
const newFolder = () => path.join(base, `notes ${++folders}`)

const text = (name) => readFileSync(path.join(root, 'examples/native-notes/migrations', name), 'utf8')
const names = ['0001_notes.sql', '0002_made_at.sql']
const migrations = migrationsFrom(Object.fromEntries(names.map((name) => [name, text(name)])))

/** Opens a folder in this process. */
const openHere = (folder, options) =>
  open({ name: 'notes', storage: 'file', path: folder, migrations, onWarning() {}, ...options })

/** Runs the program → its lines, or its error's text. */
function notes(folder, words, env = {}) {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, NOTES_FOLDER: folder, ...env } }
    execFile(program, words, options, (error, stdout, stderr) =>
      resolve(error === null ? { lines: stdout.trim().split('\n') } : { failure: stderr.trim() }),
    )
  })
}

const bodies = async (db) => (await db.query('SELECT body FROM notes ORDER BY id')).map(({ body }) => body)

test('a folder goes back and forth between Node and a native program', async () => {
  const folder = newFolder()
  assert.deepEqual(await notes(folder, ['add', 'native', 'ünïcode 🌊']), { lines: ['1 - native', '2 - ünïcode 🌊'] })
  for (let round = 0; round < 3; round++) {
    const db = await openHere(folder)
    assert.deepEqual((await bodies(db)).slice(0, 2), ['native', 'ünïcode 🌊'])
    assert.deepEqual(
      (await db.migrations.status()).map(({ state }) => state),
      ['applied', 'applied'],
    )
    await db.run('INSERT INTO notes(body) VALUES (?)', [`node ${round}`])
    await db.snapshots.create()
    // More than one segment of the journal.
    await db.run('UPDATE notes SET made_at = hex(randomblob(2000000)) WHERE id = 1')
    await db.close()
    const { lines } = await notes(folder, ['add', `native ${round}`])
    assert.deepEqual(lines.slice(-2), [`${3 + 2 * round} - node ${round}`, `${4 + 2 * round} - native ${round}`])
  }
  const db = await openHere(folder)
  assert.equal((await bodies(db)).length, 8)
  assert.ok((await db.snapshots.list()).length >= 3)
  assert.deepEqual((await db.maintain()).integrity, [])
  await db.close()
})

test('the one waits for the lock of the other, and is told who has it', async () => {
  const folder = newFolder()
  const db = await openHere(folder)
  const { failure } = await notes(folder, [])
  assert.match(failure, /^lock_timeout: /)
  const waiting = notes(folder, ['add', 'after Node'])
  await db.run("INSERT INTO notes(body) VALUES ('before')")
  await db.close()
  assert.deepEqual(await waiting, { lines: ['1 - before', '2 - after Node'] })
})

test('a passphrase of the one is that of the other', async () => {
  const folder = newFolder()
  const secret = { NOTES_PASSPHRASE: 'correct horse' }
  assert.deepEqual(await notes(folder, ['add', 'secret'], secret), { lines: ['1 - secret'] })
  await assert.rejects(openHere(folder), (error) => isTidelockError(error, 'decryption_failed'))
  const db = await openHere(folder, { encryption: { passphrase: 'correct horse' } })
  await db.run("INSERT INTO notes(body) VALUES ('of Node')")
  await db.close()
  assert.match((await notes(folder, [])).failure, /^decryption_failed: /)
  assert.deepEqual(await notes(folder, ['done', '1'], secret), { lines: ['1 changed', '1 x secret', '2 - of Node'] })
})

test('a program that is killed in the middle leaves its folder to the other', async () => {
  const folder = newFolder()
  await notes(folder, ['add', 'kept'])
  const many = Array.from({ length: 5000 }, (_, at) => `note ${at}`)
  const started = execFile(program, ['add', ...many], { env: { ...process.env, NOTES_FOLDER: folder } })
  started.on('error', () => {})
  // biome-ignore lint/plugin: at any time, before or after its commit
  await new Promise((resolve) => setTimeout(resolve, 30))
  started.kill('SIGKILL')
  await new Promise((resolve) => started.on('close', resolve))
  const db = await openHere(folder)
  const count = (await bodies(db)).length
  assert.ok(count === 1 || count === 5001, String(count))
  await db.close()
})
