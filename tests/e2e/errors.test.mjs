// Errors that only a browser brings about, each by a real act: what it says, and that the database goes on where it should. All others
// are brought about by tests/scenarios.
import assert from 'node:assert/strict'
import { after } from 'node:test'
import { checkForm, Shown } from '../messages/golden.mjs'
import { freshName, suite, test } from './harness.mjs'
import { limitedWasm } from './rigs.mjs'

const context = suite()

// The acts run in a page, as `act(name, argument)`: each gives how it failed, and a database that can be used afterwards, with the SQL
// that then gives 1. What is bound to a statement is `secret`, which no error may show.

/** An opening while a method of the browser throws, or rejects; `arity` says which calls are meant, if not all. */
async function openRefused(name, { kind, method, error, rejects, arity, options = {} }) {
  const { prototype } = globalThis[kind]
  const before = prototype[method]
  prototype[method] = function (...args) {
    if (arity !== undefined && args.length !== arity) return before.apply(this, args)
    const thrown = new DOMException('no', error)
    if (rejects) return Promise.reject(thrown)
    throw thrown
  }
  const failed = await window.failure(window.open({ name, ...options }))
  prototype[method] = before
  return { failed, db: await window.open({ name }) }
}

/** A write while a method of IndexedDB throws: it is stored later. */
async function writeRefused(name, { kind, method, error }) {
  const db = await window.open({ name })
  await db.exec('CREATE TABLE t(a)')
  const { prototype } = globalThis[kind]
  const before = prototype[method]
  prototype[method] = () => {
    throw new DOMException('no', error)
  }
  const failed = await window.failure(db.run('INSERT INTO t VALUES (?)', ['secret']))
  prototype[method] = before
  const flushed = () =>
    db.flush().then(
      () => true,
      () => false,
    )
  await window.until(flushed)
  return { failed, db, sql: 'SELECT count(*) AS one FROM t' }
}

/** An opening with these options of a database that another page has open. */
async function openTwice(name, options) {
  const other = await window.otherPage()
  await other.open({ name })
  const failed = await window.failure(window.open({ name, ...options }))
  other.frameElement.remove()
  return { failed, db: await window.open({ name, lock: { onBusy: 'wait' } }) }
}

/** Makes files like those of a database in the browser's private file system. */
async function withFiles(name) {
  const root = await navigator.storage.getDirectory()
  const folder = await (await root.getDirectoryHandle('tidelock', { create: true })).getDirectoryHandle(`${name}.db`, {
    create: true,
  })
  const file = await (await folder.getFileHandle('journal.1', { create: true })).createWritable()
  await file.write('nonsense')
  await file.close()
}

const acts = {
  'invalid_argument: a database to recover that is not there': async (name) => ({
    failed: await window.failure(tidelock.recover(name)),
  }),
  'invalid_argument: a database to move that is not there': async (name) => ({
    failed: await window.failure(tidelock.moveStorage(name, { to: 'opfs' })),
  }),
  'invalid_argument: a database to move that is there twice': [
    async (name, files) => {
      const db = await window.open({ name })
      await db.close()
      await new Function(`return (${files})`)()(name)
      return {
        failed: await window.failure(tidelock.moveStorage(name, { to: 'opfs' })),
        db: await window.open({ name }),
      }
    },
    withFiles.toString(),
  ],
  'invalid_argument: another storage than that of the database': async (name) => {
    const db = await window.open({ name })
    await db.close()
    const failed = await window.failure(window.open({ name, storage: 'opfs', thread: 'worker' }))
    return { failed, db: await window.open({ name }) }
  },
  'invalid_argument: another storage than that of the database, made while its lock was awaited': [
    async (name, files) => {
      let release
      await new Promise((held) => {
        const released = new Promise((resolve) => {
          release = resolve
        })
        navigator.locks.request(`tidelock/${name}`, () => {
          held()
          return released
        })
      })
      const opening = window.failure(window.open({ name, lock: { onBusy: 'wait' } }))
      await window.until(async () => (await navigator.locks.query()).pending.some((one) => one.name.includes(name)))
      await new Function(`return (${files})`)()(name)
      release()
      return { failed: await opening }
    },
    withFiles.toString(),
  ],
  'database_in_use: moved while it is open': async (name) => {
    const db = await window.open({ name })
    return { failed: await window.failure(tidelock.moveStorage(name, { to: 'opfs' })), db }
  },
  'worker_crashed: a worker that dies while it moves a database': async (name) => {
    await (await window.open({ name })).close()
    const moving = window.failure(tidelock.moveStorage(name, { to: 'opfs' }))
    const started = (one) => one.name.startsWith('tidelock-worker/')
    await window.until(async () => (await navigator.locks.query()).pending.some(started))
    window.workers.at(-1).terminate()
    return { failed: await moving, db: await window.open({ name }) }
  },
  'unsupported_environment: functions of its own in a tab that follows': async (name) => {
    const functions = { scalar: { one: () => 1 } }
    const other = await window.otherPage()
    await other.open({ name, tabs: 'shared' })
    const failed = await window.failure(window.open({ name, tabs: 'shared', functions }))
    return { failed, db: await window.open({ name, tabs: 'shared' }) }
  },
  'unsupported_environment: a takeover without BroadcastChannel': async (name) => {
    const other = await window.otherPage()
    await other.open({ name })
    const real = globalThis.BroadcastChannel
    globalThis.BroadcastChannel = undefined
    const failed = await window.failure(window.open({ name, lock: { onBusy: 'takeover' } }))
    globalThis.BroadcastChannel = real
    other.frameElement.remove()
    return { failed, db: await window.open({ name, lock: { onBusy: 'wait' } }) }
  },
  'unsupported_environment: a lock that the browser refuses': [
    openRefused,
    { kind: 'LockManager', method: 'request', error: 'SecurityError', rejects: true },
  ],
  'unsupported_environment: a lock that the browser refuses to shared tabs': [
    openRefused,
    { kind: 'LockManager', method: 'request', error: 'SecurityError', rejects: true, options: { tabs: 'shared' } },
  ],
  'unsupported_environment: a lock for a deletion that the browser refuses': async (name) => {
    const { request } = LockManager.prototype
    LockManager.prototype.request = () => Promise.reject(new DOMException('no', 'SecurityError'))
    const failed = await window.failure(tidelock.deleteDatabase(name))
    LockManager.prototype.request = request
    return { failed, db: await window.open({ name }) }
  },
  'unsupported_environment: a lock that cannot be asked for': [
    openRefused,
    { kind: 'LockManager', method: 'request', error: 'SecurityError' },
  ],
  'unsupported_environment: a browser that does not list its databases': async () => {
    Object.defineProperty(indexedDB, 'databases', { value: undefined, configurable: true })
    return { failed: await window.failure(tidelock.databases()) }
  },
  'wasm_load_failed: a file that is not served': async (name) => {
    const failed = await window.failure(window.open({ name, wasm: new URL('/nowhere.wasm', location.href) }))
    return { failed, db: await window.open({ name }) }
  },
  'wasm_load_failed: a page in the place of the file': async (name) => {
    const failed = await window.failure(window.open({ name, wasm: new URL('/index.html', location.href) }))
    return { failed, db: await window.open({ name }) }
  },
  'wasm_load_failed: a part that is not served': async (name) => {
    const real = window.fetch
    window.fetch = (given, ...more) =>
      String(given.url ?? given).endsWith('tidelock_stores.wasm')
        ? Promise.resolve(new Response('', { status: 404 }))
        : real(given, ...more)
    const failed = await window.failure(window.open({ name, storage: 'memory' }))
    window.fetch = real
    return { failed, db: await window.open({ name, storage: 'memory' }) }
  },
  'out_of_memory: more than the wasm memory': [
    async (name, limited) => {
      const wasm = await new Function(`return (${limited})`)()(48)
      const db = await window.open({ name, storage: 'memory', wasm })
      return { failed: await window.failure(db.query('SELECT hex(zeroblob(40000000)), ?', ['secret'])), db }
    },
    limitedWasm.toString(),
  ],
  'database_corrupt: a head that is damaged, as is its copy': async (name) => {
    await (await window.open({ name })).close()
    const request = indexedDB.open(`tidelock/${name}`)
    await new Promise((resolve) => {
      request.onsuccess = resolve
    })
    const transaction = request.result.transaction('meta', 'readwrite')
    for (const key of ['head', 'head copy']) transaction.objectStore('meta').put('nonsense', key)
    await new Promise((resolve) => {
      transaction.oncomplete = resolve
    })
    request.result.close()
    return { failed: await window.failure(window.open({ name })) }
  },
  'database_in_use: deleted while it is open': async (name) => {
    const db = await window.open({ name })
    return { failed: await window.failure(tidelock.deleteDatabase(name)), db }
  },
  'lock_timeout: open elsewhere for too long': [openTwice, { lock: { onBusy: 'wait', timeoutMs: 50 } }],
  'lock_lost: stolen from': async (name) => {
    const stolen = await window.open({ name })
    const other = await window.otherPage()
    await (await other.open({ name, lock: { onBusy: 'steal' } })).close()
    const failed = await window.failure(stolen.query('SELECT ?', ['secret']))
    return { failed, db: await window.open({ name }) }
  },
  // With a version: the opening that makes the stores.
  'storage_unavailable: a database that the browser does not make': [
    openRefused,
    { kind: 'IDBFactory', method: 'open', error: 'UnknownError', arity: 2 },
  ],
  'storage_unavailable: files in a browser': async (name) => ({
    failed: await window.failure(window.open({ name, storage: 'file' })),
  }),
  'storage_unavailable: a connection that is lost': [
    writeRefused,
    { kind: 'IDBDatabase', method: 'transaction', error: 'UnknownError' },
  ],
  'storage_quota_exceeded: a full disk': [
    writeRefused,
    { kind: 'IDBObjectStore', method: 'add', error: 'QuotaExceededError' },
  ],
  'storage_blocked: a tab that does not close its connection': async (name) => {
    await (await window.open({ name })).close()
    const request = indexedDB.open(`tidelock/${name}`)
    await new Promise((resolve) => {
      request.onsuccess = resolve
    })
    const failed = await window.failure(tidelock.deleteDatabase(name))
    request.result.close()
    return { failed, db: await window.until(() => window.open({ name }).catch(() => undefined)) }
  },
  'worker_crashed: a worker that dies': async (name) => {
    const db = await window.open({ name, thread: 'worker' })
    await db.exec('CREATE TABLE t(a)')
    const dying = db.transaction(async (tx) => {
      await tx.run('INSERT INTO t VALUES (?)', ['secret'])
      window.workers.at(-1).terminate()
      await new Promise(() => {})
    })
    return { failed: await window.failure(dying), db, sql: 'SELECT count(*) + 1 AS one FROM t' }
  },
}

const shown = new Shown('browser', (text) =>
  text.replaceAll(/http:\/\/[^\s/]+/g, 'http://<page>').replaceAll(/e2e-\d+-\d+/g, '<name>'),
)
after(() => shown.check())

for (const [done, given] of Object.entries(acts)) {
  const [act, argument] = Array.isArray(given) ? given : [given]
  test(`${done}: told, and the database goes on`, {
    only: 'current',
    because: 'how errors come out of a worker is the matter of all scenarios',
  }, async () => {
    const page = await context.page()
    const { failed, one } = await page.evaluate(
      async ([source, name, argument]) => {
        const { failed, db, sql = 'SELECT 1 AS one' } = await new Function(`return (${source})`)()(name, argument)
        return { failed, one: db === undefined ? 1 : (await db.get(sql)).one }
      },
      [act.toString(), freshName(), argument],
    )
    await page.close()
    assert.equal(failed.code, done.split(':')[0], JSON.stringify(failed))
    checkForm(failed, failed.json)
    assert.ok(!`${failed.json} ${failed.cause}`.includes('secret'), `a bound value is shown: ${failed.json}`)
    assert.equal(one, 1, 'the database can be used afterwards')
    shown.add(done, failed)
  })
}
