// Two processes at one folder, on a disk without hard links, and on two machines.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { deleteDatabase, isTidelockError, open, recover } from '../../pkg-js/dist/index.js'

const entry = fileURLToPath(new URL('../../pkg-js/dist/index.js', import.meta.url))
const base = fs.mkdtempSync(path.join(os.tmpdir(), 'tidelock-lock-'))
after(() => fs.rmSync(base, { recursive: true, force: true }))
const optionsOf = (name) => ({ name, storage: 'file', path: path.join(base, name), onWarning() {} })

/** Lets this process have a disk without hard links. */
function withoutLinks() {
  fs.linkSync = () => {
    throw Object.assign(new Error('no links'), { code: 'EPERM' })
  }
  syncBuiltinESMExports()
}

/** Lets this process be one of another machine. */
function elsewhere() {
  os.hostname = () => 'elsewhere'
  syncBuiltinESMExports()
}

/** Starts a process that runs `change`, opens the database, adds a row, and keeps it open → the process. */
async function holder(options, change) {
  const program = `
    import fs from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    import os from 'node:os'
    ;(${change})()
    const { open } = await import(${JSON.stringify(entry)})
    const db = await open(${JSON.stringify({ ...options, onWarning: undefined })})
    await db.exec('CREATE TABLE IF NOT EXISTS t (a); INSERT INTO t VALUES (1)')
    console.log('open')
    process.stdin.resume()
  `
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [said] = await once(child.stdout, 'data')
  assert.equal(String(said), 'open\n')
  return child
}

async function killed(child) {
  child.kill('SIGKILL')
  await once(child, 'exit')
}

async function rows(options) {
  const db = await open(options)
  const [{ count }] = await db.query('SELECT count(*) AS count FROM t')
  await db.close()
  return count
}

const inUse = (error) => isTidelockError(error, 'database_in_use')

test('on a disk without hard links one process has the folder, and a dead one is replaced', async () => {
  const options = optionsOf('links')
  const { linkSync } = fs
  withoutLinks()
  try {
    const first = await holder(options, withoutLinks)
    await assert.rejects(open(options), inUse)
    await killed(first)
    assert.equal(await rows(options), 1)
    const second = await holder(options, withoutLinks)
    await assert.rejects(open(options), inUse)
    await killed(second)
    assert.equal(await rows(options), 2)
    assert.equal(fs.readdirSync(options.path).filter((name) => name.startsWith('lock')).length, 1)
  } finally {
    fs.linkSync = linkSync
    syncBuiltinESMExports()
  }
})

test('a process elsewhere has the folder while it lives, and is replaced 10 seconds after it died', async () => {
  const options = optionsOf('elsewhere')
  const first = await holder(options, elsewhere)
  for (let times = 3; times > 0; times--) await assert.rejects(open(options), inUse)
  await killed(first)
  const began = performance.now()
  assert.equal(await rows(options), 1)
  assert.ok(performance.now() - began > 8_000, 'its last beat was at most two seconds ago')
})

test('a thread that ended without closing loses its lock, one that lives keeps it', {
  skip: !fs.existsSync('/proc/thread-self') && 'only Linux lists threads',
}, async () => {
  const options = { ...optionsOf('thread'), onWarning: undefined }
  const program = `
    const { parentPort, workerData } = require('node:worker_threads')
    import(workerData.entry).then(async ({ open }) => {
      const db = await open(workerData.options)
      await db.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1)')
      parentPort.on('message', () => {}) // It lives until it is terminated.
      parentPort.postMessage('open')
    })
  `
  const thread = new Worker(program, { eval: true, workerData: { entry, options } })
  await once(thread, 'message')
  await assert.rejects(open(options), inUse)
  await thread.terminate()
  assert.equal(await rows(options), 1)
})

test('no file stays open after a database was closed, refused or deleted', {
  skip: !fs.existsSync('/proc/self/fd') && 'only Linux lists them',
}, async () => {
  const options = { ...optionsOf('files'), encryption: { passphrase: 'right' } }
  const openFiles = () => {
    const files = fs.readdirSync('/proc/self/fd').map((file) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${file}`)
      } catch {
        return '' // That of the listing itself.
      }
    })
    return files.filter((file) => file.startsWith(options.path))
  }
  const db = await open(options)
  await db.close()
  assert.deepEqual(openFiles(), [])
  await assert.rejects(open({ ...options, encryption: { passphrase: 'wrong' } }), { code: 'decryption_failed' })
  assert.deepEqual(openFiles(), [])
  const inFolder = { storage: 'file', path: options.path }
  await recover('files', { ...inFolder, encryption: options.encryption })
  assert.deepEqual(openFiles(), [])
  await deleteDatabase('files', inFolder)
  assert.deepEqual(openFiles(), [])
})
