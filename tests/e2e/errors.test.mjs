// Every error code, by a real act through the built package: what it says, and that the database goes on where it should.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after } from 'node:test'
import { Shown } from '../messages/golden.mjs'
import { freshName, suite, test } from './harness.mjs'
import { limitedWasm, trapping } from './rigs.mjs'

const context = suite()

const retryable = new Set([
  'timeout',
  'wasm_load_failed',
  'sqlite_busy',
  'database_in_use',
  'lock_timeout',
  'storage_blocked',
  'storage_unavailable',
  'sync_network',
  'sync_server',
  'leader_unreachable',
])

/** What no act here can bring about, and where it is shown instead. */
const elsewhere = {
  sqlite_busy:
    'a database has one connection, whose statements run to their end: only the crate can get it (tests/native/messages/sql.rs)',
  leader_changed: "of tabs: 'shared', see tests/e2e/tabs-death.test.mjs",
  leader_unreachable: "of tabs: 'shared', see tests/e2e/tabs-death.test.mjs",
}

// The acts run in a page, as `act(name)`: each gives how it failed, and whether the database can be used afterwards, where it should.
// What is bound to a statement is `secret`, which no error may show.
const acts = {
  invalid_argument: {
    'a parameter too many': async (name) => {
      const db = await window.open({ name, storage: 'memory' })
      const failed = await window.failure(db.query('SELECT ?', ['secret', 'secret']))
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
    'a key that encrypts nothing': async (name) => {
      const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, true, ['encrypt'])
      return { failed: await window.failure(window.open({ name, encryption: { key } })) }
    },
    'a database to recover that is not there': async (name) => ({
      failed: await window.failure(tidelock.recover(name)),
    }),
  },
  closed: {
    'a call after close': async (name) => {
      const db = await window.open({ name, storage: 'memory' })
      await db.close()
      return { failed: await window.failure(db.query('SELECT ?', ['secret'])) }
    },
  },
  timeout: {
    'a statement without end': async (name) => {
      const db = await window.open({ name, storage: 'memory' })
      const endless = 'WITH n(x) AS (VALUES (?) UNION ALL SELECT x FROM n) SELECT count(*) FROM n'
      const failed = await window.failure(db.query(endless, ['secret'], { timeoutMs: 50 }))
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  internal: {
    'a trap': async (name, { trap }) => {
      await window.rigEngine(trap)
      const other = await window.open({ name: `${name}-other`, storage: 'memory' })
      await window.inEngine(() => globalThis.doomNext())
      const db = await window.open({ name, storage: 'memory' })
      await db.exec('CREATE TABLE t(a)')
      await window.inEngine(() => globalThis.arm())
      const failed = await window.failure(() => db.query('SELECT * FROM t WHERE a = ?', ['secret']))
      return { failed, usable: (await other.get('SELECT 1 AS one')).one }
    },
  },
  unsupported_environment: {
    'a page without Web Locks': async (name) => {
      Object.defineProperty(navigator, 'locks', { value: undefined, configurable: true })
      const failed = await window.failure(window.open({ name }))
      delete navigator.locks
      const db = await window.open({ name })
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
    'functions of its own in a tab that follows': async (name) => {
      const db = await window.open({ name, tabs: 'shared' })
      const functions = { scalar: { one: () => 1 } }
      return {
        failed: await window.failure(window.open({ name, tabs: 'shared', functions })),
        usable: (await db.get('SELECT 1 AS one')).one,
      }
    },
    'a takeover without BroadcastChannel': async (name) => {
      const mend = await window.rigEngine(() => {
        const real = globalThis.BroadcastChannel
        globalThis.BroadcastChannel = undefined
        return () => {
          globalThis.BroadcastChannel = real
        }
      })
      const db = await window.open({ name })
      const failed = await window.failure(window.open({ name, lock: { onBusy: 'takeover' } }))
      await mend()
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
    'a lock that the browser refuses': async (name) => {
      const mend = await window.rigEngine(() => {
        const { request } = LockManager.prototype
        LockManager.prototype.request = function (...given) {
          if (!String(given[0]).startsWith('tidelock/')) return request.apply(this, given)
          return Promise.reject(new DOMException('no', 'SecurityError'))
        }
        return () => {
          LockManager.prototype.request = request
        }
      })
      const failed = await window.failure(window.open({ name }))
      await mend()
      return { failed, usable: (await (await window.open({ name })).get('SELECT 1 AS one')).one }
    },
    'a lock that cannot be asked for': async (name) => {
      const mend = await window.rigEngine(() => {
        const { request } = LockManager.prototype
        LockManager.prototype.request = function (...given) {
          if (!String(given[0]).startsWith('tidelock/')) return request.apply(this, given)
          throw new DOMException('no', 'SecurityError')
        }
        return () => {
          LockManager.prototype.request = request
        }
      })
      const failed = await window.failure(window.open({ name }))
      await mend()
      return { failed, usable: (await (await window.open({ name })).get('SELECT 1 AS one')).one }
    },
    'a browser that does not list its databases': async () => ({
      failed: await window.failure(async () => {
        Object.defineProperty(indexedDB, 'databases', { value: undefined, configurable: true })
        await tidelock.databases()
      }),
    }),
  },
  wasm_load_failed: {
    'a file that is not served': async (name) => {
      const failed = await window.failure(window.open({ name, wasm: new URL('/nowhere.wasm', location.href) }))
      const db = await window.open({ name })
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  out_of_memory: {
    'more than the wasm memory': async (name, { limited }) => {
      const wasm = await new Function(`return (${limited})`)()(48)
      const db = await window.open({ name, storage: 'memory', wasm })
      const failed = await window.failure(db.query('SELECT hex(zeroblob(40000000)), ?', ['secret']))
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  sqlite_error: {
    'a column that is not there': async (name) => {
      const db = await window.open({ name, storage: 'memory' })
      const failed = await window.failure(db.query('SELECT nothing WHERE ? = 1', ['secret']))
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  sqlite_constraint: {
    'a value twice': async (name) => {
      const db = await window.open({ name, storage: 'memory' })
      await db.exec('CREATE TABLE t(a UNIQUE)')
      const failed = await window.failure(db.runMany('INSERT INTO t VALUES (?)', [['secret'], ['secret']]))
      return { failed, usable: (await db.get('SELECT count(*) + 1 AS one FROM t')).one }
    },
  },
  database_corrupt: {
    'a file that is no database': async (name) => {
      const db = await window.open({ name, storage: 'memory' })
      const failed = await window.failure(db.import(new Uint8Array(5000)))
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
    'a head that is damaged': async (name) => {
      const db = await window.open({ name })
      await db.exec('CREATE TABLE t(a)')
      await db.close()
      const request = indexedDB.open(`tidelock/${name}`)
      await new Promise((resolve) => {
        request.onsuccess = resolve
      })
      const transaction = request.result.transaction('meta', 'readwrite')
      transaction.objectStore('meta').put('nonsense', 'head')
      await new Promise((resolve) => {
        transaction.oncomplete = resolve
      })
      request.result.close()
      return { failed: await window.failure(window.open({ name })) }
    },
  },
  database_too_large: {
    'more than maxBytes': async (name) => {
      const db = await window.open({ name, storage: 'memory', maxBytes: 65536 })
      await db.exec('CREATE TABLE t(a)')
      const failed = await window.failure(db.run('INSERT INTO t VALUES (zeroblob(200000) || ?)', ['secret']))
      return { failed, usable: (await db.get('SELECT count(*) + 1 AS one FROM t')).one }
    },
  },
  integer_out_of_range: {
    'a number that would be rounded': async (name) => {
      const db = await window.open({ name, storage: 'memory', integers: 'number' })
      const failed = await window.failure(db.query('SELECT 9007199254740993 AS large'))
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  transaction_closed: {
    'a transaction that is over': async (name) => {
      const db = await window.open({ name, storage: 'memory' })
      let kept
      await db.transaction(async (tx) => {
        kept = tx
      })
      const failed = await window.failure(kept.query('SELECT ?', ['secret']))
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  migration_invalid: {
    'a version without digits': async (name) => ({
      failed: await window.failure(window.open({ name, migrations: [{ version: 'x', name: 'a', up: 'SELECT 1' }] })),
      usable: (await (await window.open({ name })).get('SELECT 1 AS one')).one,
    }),
  },
  migration_checksum_mismatch: {
    'a text that was changed': async (name) => {
      const migrations = (up) => [{ version: '1', name: 'first', up }]
      await (await window.open({ name, migrations: migrations('CREATE TABLE t(a)') })).close()
      const failed = await window.failure(window.open({ name, migrations: migrations('CREATE TABLE t(b)') }))
      const db = await window.open({ name, migrations: migrations('CREATE TABLE t(a)') })
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  migration_missing: {
    'one that is not supplied any more': async (name) => {
      const one = (version) => ({ version, name: `n${version}`, up: 'SELECT 1' })
      await (await window.open({ name, migrations: [one('1'), one('2')] })).close()
      const failed = await window.failure(window.open({ name, migrations: [one('2')] }))
      const db = await window.open({ name, migrations: [one('1'), one('2')] })
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  migration_out_of_order: {
    'one that comes late': async (name) => {
      const one = (version) => ({ version, name: `n${version}`, up: 'SELECT 1' })
      await (await window.open({ name, migrations: [one('2')] })).close()
      const failed = await window.failure(window.open({ name, migrations: [one('1'), one('2')] }))
      const db = await window.open({ name, migrations: [one('1'), one('2')], outOfOrder: 'apply' })
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  migration_failed: {
    'a statement that fails': async (name) => {
      const up = 'CREATE TABLE t(a);\nINSERT INTO nowhere VALUES (1);'
      const failed = await window.failure(window.open({ name, migrations: [{ version: '1', name: 'first', up }] }))
      const db = await window.open({ name })
      return { failed, usable: 1 + (await db.get("SELECT count(*) AS n FROM sqlite_schema WHERE name = 't'")).n }
    },
  },
  migration_irreversible: {
    'one without a way back': async (name) => {
      const migrations = [{ version: '1', name: 'first', up: 'CREATE TABLE t(a)' }]
      const db = await window.open({ name, storage: 'memory', migrations })
      const failed = await window.failure(db.migrations.revert())
      return { failed, usable: (await db.get('SELECT count(*) + 1 AS one FROM t')).one }
    },
  },
  schema_too_new: {
    'data of a newer app': async (name) => {
      const one = (version) => ({ version, name: `n${version}`, up: 'SELECT 1' })
      await (await window.open({ name, migrations: [one('1'), one('2')] })).close()
      const failed = await window.failure(window.open({ name, migrations: [one('1')] }))
      const db = await window.open({ name, migrations: [one('1'), one('2')] })
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  database_in_use: {
    'open elsewhere': async (name) => {
      const db = await window.open({ name })
      const failed = await window.failure(window.open({ name }))
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
    'deleted while it is open': async (name) => {
      const db = await window.open({ name })
      const failed = await window.failure(tidelock.deleteDatabase(name))
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  lock_timeout: {
    'open elsewhere for too long': async (name) => {
      const db = await window.open({ name })
      const failed = await window.failure(window.open({ name, lock: { onBusy: 'wait', timeoutMs: 50 } }))
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  lock_lost: {
    'stolen from': async (name) => {
      const robbed = await window.open({ name })
      const db = await window.open({ name, lock: { onBusy: 'steal' } })
      const failed = await window.failure(robbed.query('SELECT ?', ['secret']))
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  storage_unavailable: {
    'a page without IndexedDB': async (name) => {
      const real = Object.getOwnPropertyDescriptor(window, 'indexedDB')
      Object.defineProperty(window, 'indexedDB', { value: undefined, configurable: true })
      const failed = await window.failure(window.open({ name }))
      if (real) Object.defineProperty(window, 'indexedDB', real)
      else delete window.indexedDB
      const db = await window.open({ name })
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
    'a database that the browser does not make': async (name) => {
      const mend = await window.rigEngine(() => {
        const { open } = IDBFactory.prototype
        IDBFactory.prototype.open = function (...given) {
          // With a version: the one that makes the stores.
          if (given[1] === undefined) return open.apply(this, given)
          throw new DOMException('no', 'UnknownError')
        }
        return () => {
          IDBFactory.prototype.open = open
        }
      })
      const failed = await window.failure(window.open({ name }))
      await mend()
      return { failed, usable: (await (await window.open({ name })).get('SELECT 1 AS one')).one }
    },
    'files in a browser': async (name) => ({ failed: await window.failure(window.open({ name, storage: 'file' })) }),
  },
  storage_blocked: {
    'a tab that does not close its connection': async (name) => {
      await (await window.open({ name })).close()
      const request = indexedDB.open(`tidelock/${name}`)
      await new Promise((resolve) => {
        request.onsuccess = resolve
      })
      const failed = await window.failure(tidelock.deleteDatabase(name))
      request.result.close()
      const db = await window.until(() => window.open({ name }).catch(() => undefined))
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  snapshot_not_found: {
    'an id that there is not': async (name) => {
      const db = await window.open({ name, storage: 'memory' })
      const failed = await window.failure(db.snapshots.restore('77'))
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  snapshot_corrupt: {
    'a file that is none': async (name) => {
      const db = await window.open({ name, storage: 'memory' })
      const failed = await window.failure(db.snapshots.import(new Uint8Array([254, 237])))
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  snapshot_incompatible: {
    'a file of a newer SQLite': async (name) => {
      const db = await window.open({ name, storage: 'memory' })
      await db.exec('CREATE TABLE t(a)')
      const file = await db.export()
      file.fill(9, 18, 20)
      const failed = await window.failure(db.import(file))
      return { failed, usable: (await db.get('SELECT count(*) + 1 AS one FROM t')).one }
    },
  },
  decryption_failed: {
    'another passphrase': async (name) => {
      const encryption = { passphrase: 'right' }
      await (await window.open({ name, encryption })).close()
      const failed = await window.failure(window.open({ name, encryption: { passphrase: 'secret' } }))
      const db = await window.open({ name, encryption })
      return { failed, usable: (await db.get('SELECT 1 AS one')).one }
    },
  },
  worker_crashed: {
    'a worker that dies': async (name) => {
      const db = await window.open({ name, thread: 'worker' })
      await db.exec('CREATE TABLE t(a)')
      const failing = window.failure(
        db.transaction(async (tx) => {
          await tx.run('INSERT INTO t VALUES (?)', ['secret'])
          window.workers.at(-1).terminate()
          await new Promise(() => {})
        }),
      )
      const failed = await failing
      return { failed, usable: (await db.get('SELECT count(*) + 1 AS one FROM t')).one }
    },
  },
}

/** The codes of sync, by what the remote answers to a pull of a table with two local rows, or by what is done. */
const remotes = {
  sync_network: { 'no network': { throws: true } },
  sync_unauthorized: { 'a key that is refused': { status: 401, body: '{"code":"PGRST301","message":"JWT expired"}' } },
  sync_rejected: {
    'a request that is refused': { status: 403, body: '{"code":"42501","message":"permission denied"}' },
  },
  sync_server: { 'a server that fails': { status: 500, body: '' } },
  sync_protocol: { 'a page of another server': { status: 200, body: '<html>' } },
  sync_schema_mismatch: {
    'a table that the remote lacks': { status: 404, body: '{"code":"PGRST205","message":"no"}' },
  },
  sync_user_mismatch: { 'another user': { user: 'two' } },
  unpushed_changes: { 'a replace over local changes': { pull: { mode: 'replace' } } },
  remote_empty: { 'all rows gone': { pushed: true, empty: true } },
}

async function synced(name, { given }) {
  const remote = (userId) => ({
    url: 'https://project.example/rest/v1',
    key: 'k',
    tables: [{ table: 't', deleted: 'compare' }],
    retries: 0,
    userId,
    fetch: (...request) => answer(...request),
  })
  const json = (body, status = 200) => new Response(body, { status, headers: { 'content-type': 'application/json' } })
  const rows = (url) =>
    /gt\.|offset=/.test(decodeURIComponent(String(url.url ?? url))) ? '[]' : '[{"id":1,"name":"a"},{"id":2,"name":"b"}]'
  let answer = async (url) => json(rows(url))
  const options = {
    name,
    migrations: [{ version: '1', name: 't', up: 'CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)' }],
  }
  let db = await window.open({ ...options, remote: remote('one') })
  await db.sync.pull()
  if (given.user) {
    await db.close()
    db = await window.open({ ...options, remote: remote(given.user) })
  }
  if (given.throws) answer = () => Promise.reject(new TypeError('Failed to fetch'))
  if (given.status) answer = async () => json(given.body, given.status)
  if (given.empty) answer = async () => json('[]')
  if (given.pull) await db.run('UPDATE t SET name = ?', ['secret'])
  const failed = await window.failure(db.sync.pull(given.pull))
  return { failed, usable: (await db.get('SELECT count(*) - 1 AS n FROM t')).n }
}

// What IndexedDB refuses a write with: which method of it throws what.
const refusals = {
  storage_unavailable: { 'a connection that is lost': ['IDBDatabase', 'transaction', 'UnknownError'] },
  storage_quota_exceeded: { 'a full disk': ['IDBObjectStore', 'add', 'QuotaExceededError'] },
}

async function refused(name, { given }) {
  const db = await window.open({ name })
  await db.exec('CREATE TABLE t(a)')
  const mend = await window.rigEngine(
    (kind, method, error) => {
      const { prototype } = globalThis[kind]
      const before = prototype[method]
      prototype[method] = () => {
        throw new DOMException('no', error)
      }
      return () => {
        prototype[method] = before
      }
    },
    ...given,
  )
  const failed = await window.failure(db.run('INSERT INTO t VALUES (?)', ['secret']))
  await mend()
  await window.until(() =>
    db.flush().then(
      () => true,
      () => false,
    ),
  )
  return { failed, usable: (await db.get('SELECT count(*) AS n FROM t')).n }
}

/** What an act is given, by its code and what it does. */
const givens = {}
for (const [act, table] of [
  [synced, remotes],
  [refused, refusals],
]) {
  for (const [code, ways] of Object.entries(table)) {
    givens[code] = { ...givens[code], ...ways }
    acts[code] = { ...acts[code], ...Object.fromEntries(Object.keys(ways).map((done) => [done, act])) }
  }
}

const shown = new Shown('browser', (text) =>
  text.replaceAll(/http:\/\/[^\s/]+/g, 'http://<page>').replaceAll(/e2e-\d+-\d+/g, '<name>'),
)
after(() => shown.check())

for (const [code, ways] of Object.entries(acts)) {
  test(`${code}: told, and the database goes on`, async (_, thread) => {
    for (const [done, act] of Object.entries(ways)) {
      const page = await context.page()
      const { failed, usable } = await page.evaluate(
        ([source, name, more]) => new Function(`return (${source})`)()(name, more),
        [
          act.toString(),
          freshName(),
          { trap: trapping.toString(), limited: limitedWasm.toString(), given: givens[code]?.[done] },
        ],
      )
      await page.close()
      const what = `${done}: ${JSON.stringify(failed)}`
      assert.equal(failed.code, code, what)
      assert.equal(failed.retryable, retryable.has(code), what)
      assert.match(failed.message, /^\S.{8,}[^.]$/s, what)
      assert.match(failed.hint ?? '', /^\S.{15,}[^.]$/s, `${done} has no useful hint: ${what}`)
      const json = JSON.parse(failed.json)
      assert.deepEqual(
        [json.name, json.code, json.message, json.hint, json.retryable, typeof json.details],
        ['TidelockError', code, failed.message, failed.hint, failed.retryable, 'object'],
        what,
      )
      assert.ok(!`${failed.json} ${failed.cause}`.includes('secret'), `a bound value is shown: ${what}`)
      if (usable !== undefined) assert.equal(usable, 1, `the database can't be used afterwards: ${what}`)
      if (thread === 'current') shown.add(`${code}: ${done}`, failed)
    }
  })
}

test('every code of the contract is here, or said to be elsewhere', {
  only: 'current',
  because: 'it reads sources',
}, () => {
  const source = readFileSync(new URL('../../src/error.rs', import.meta.url), 'utf8')
  const codes = [...source.matchAll(/^ {4}[A-Z]\w+ => "(\w+)",$/gm)].map(([, code]) => code)
  assert.ok(codes.length >= 43)
  const known = [...Object.keys(acts), ...Object.keys(elsewhere)]
  assert.deepEqual(codes.toSorted(), known.toSorted())
  assert.deepEqual(
    [...retryable].filter((code) => !codes.includes(code)),
    [],
  )
})
