// Every message of the TypeScript face and of the command line that needs no browser, as a user reads it, by the built package in Node.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import * as tidelock from '../../pkg-js/dist/index.js'
import { having, Shown } from '../messages/golden.mjs'

const { open, sql } = tidelock
let names = 0

/** How `work` failed, thrown or rejected. */
async function failure(work) {
  try {
    await work()
  } catch (error) {
    assert.ok(tidelock.isTidelockError(error), `${error?.stack ?? error}`)
    assert.ok(error instanceof tidelock.TidelockError)
    return error
  }
  return undefined
}

const memory = (options) => open({ name: `messages-${++names}`, storage: 'memory', onWarning() {}, ...options })

function deferred() {
  const parts = {}
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }))
  return parts
}

/** Throws the error of a snapshot's copy to a target, which an event tells. */
async function copiedTo(target) {
  const db = await memory({ snapshots: { targets: [target], retries: 0 } })
  const failed = new Promise((resolve) =>
    db.addEventListener('snapshot', ({ detail }) => detail.error && resolve(detail.error)),
  )
  await db.snapshots.create()
  const error = await failed
  await db.close()
  throw new tidelock.TidelockError(error.code, error.message, error)
}

async function shows(name, acts, prepare) {
  const shown = new Shown(name)
  const problems = []
  for (const [done, act] of Object.entries(acts)) {
    const given = await prepare?.()
    try {
      const error = await failure(() => act(given))
      if (error === undefined) problems.push(`${done}: it succeeded`)
      else shown.add(done, error)
    } catch (unexpected) {
      problems.push(`${done}: ${unexpected.message}`)
    }
    await given?.close?.()
  }
  assert.deepEqual(problems, [])
  shown.check()
}

const remote = { url: 'https://x.supabase.co', key: 'k', tables: ['t'] }
const key = (usages = ['encrypt', 'decrypt']) =>
  crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, true, usages)

test('options of open', () =>
  shows('options', {
    'no options': () => open(),
    'an empty name': () => memory({ name: '' }),
    'a name too long': () => memory({ name: 'x'.repeat(129) }),
    'an option that there is not': () => memory({ nmae: 'x' }),
    'an option that is null': () => memory({ durability: null }),
    'a text for a number': () => memory({ maxBytes: 'large' }),
    'a number out of its range': () => memory({ lock: { timeoutMs: -1 } }),
    'a word that is none of those': () => memory({ durability: 'sometimes' }),
    'a text for true or false': () => memory({ migrate: 'yes' }),
    'a text for a function': () => memory({ onWarning: 'print' }),
    'no text for a text': () => memory({ baseline: '' }),
    'a number for an object': () => memory({ lock: 5 }),
    'no array of texts': () => memory({ audit: { tables: 't' } }),
    'no signal': () => memory({ signal: {} }),
    'snapshot durability without snapshots': () => memory({ durability: 'snapshot', snapshots: false }),
    'a number for a worker': () => memory({ worker: 5 }),
    'cloud mode without a remote': () => memory({ mode: 'cloud' }),
    'a path without files': () => memory({ path: '/somewhere' }),
    'two timetables': () => memory({ snapshots: { cron: '0 3 * * *', intervalMs: 5 } }),
    'a timetable that is none': () => memory({ snapshots: { cron: 'daily' } }),
    'targets that are none': () => memory({ snapshots: { targets: 5 } }),
    'a threshold that is none': () => memory({ health: { syncLagMs: 'long' } }),
    'snapshots kept for no time': () => memory({ snapshots: { retentionDays: 0 } }),
    'wasm that is none': () => memory({ wasm: 5 }),
    'wasm that does not compile': () => memory({ wasm: new Uint8Array([1, 2, 3]) }),
    'an audit in the table of migrations': () => memory({ audit: ['t'], auditTable: 'x', migrationsTable: 'x' }),
    'an audit kept for no time': () => memory({ audit: { tables: ['t'], retentionDays: 0 } }),
    'no encryption': () => memory({ encryption: {} }),
    'a key that is none': () => memory({ encryption: { key: 5 } }),
    'a seed that is none': () => memory({ seed: 5 }),
    'a seed that fails': () =>
      memory({
        seed: () => {
          throw new Error('no seed today')
        },
      }),
    'a seed from nowhere': () => memory({ seed: 'http://127.0.0.1:1/seed.sqlite' }),
    'migrations that are none': () => memory({ migrations: 5 }),
    'a migration that is none': () => memory({ migrations: [5] }),
    'a migration with a property too many': () =>
      memory({ migrations: [{ version: '1', name: 'a', up: 'SELECT 1', dwon: '' }] }),
    'a migration without up': () => memory({ migrations: [{ version: '1', name: 'a' }] }),
    'a function that columnKey defines': () =>
      memory({ columnKey: { passphrase: 'words', salt: 'of this user' }, functions: { scalar: { encrypt: () => 1 } } }),
    'functions for a worker': () => memory({ thread: 'worker', functions: { scalar: { f: () => 1 } } }),
    'a module of functions that is none': () => memory({ functions: { module: 5 } }),
    'a module of functions that is not there': () => memory({ functions: { module: new URL('file:///nowhere.mjs') } }),
    'a function without a name': () => memory({ functions: { scalar: { '': () => 1 } } }),
    'tables of a remote that are none': () => memory({ remote: { ...remote, tables: 5 } }),
    'the URL of a remote that is none': () => memory({ remote: { ...remote, url: 'x' } }),
    'headers that are none': () => memory({ remote: { ...remote, headers: 5 } }),
    'a ratio beyond one': () => memory({ remote: { ...remote, maxDeleteRatio: 5 } }),
    'no WebAssembly': () => having(globalThis, 'WebAssembly', undefined, () => memory()),
    'no WebCrypto': () =>
      having(globalThis, 'crypto', undefined, () => memory({ encryption: { passphrase: 'words' } })),
    'IndexedDB in Node': () => memory({ storage: 'indexeddb' }),
    'a page without Web Locks': () =>
      having(globalThis, 'indexedDB', {}, () =>
        having(globalThis, 'navigator', {}, () => memory({ storage: 'indexeddb' })),
      ),
    'no Workers': () => memory({ thread: 'worker' }),
    'a worker that does not begin': () =>
      having(globalThis, 'Worker', EventTarget, () =>
        memory({
          thread: 'worker',
          worker: () => {
            const worker = { postMessage() {}, terminate() {} }
            setTimeout(() => worker.onerror({ message: 'no such file' }))
            return worker
          },
        }),
      ),
    'tabs that share what only one has': () => memory({ tabs: 'shared' }),
    'processes that share a folder': () => memory({ storage: 'file', path: tmpdir(), tabs: 'shared' }),
    'tabs that cannot speak with each other': () =>
      having(globalThis, 'indexedDB', {}, () =>
        having(globalThis, 'navigator', { locks: {} }, () =>
          having(globalThis, 'BroadcastChannel', undefined, () => memory({ storage: 'indexeddb', tabs: 'shared' })),
        ),
      ),
    'a package of which a file is not served': async () => {
      const folder = mkdtempSync(path.join(tmpdir(), 'tidelock-part-'))
      try {
        cpSync(new URL('../../pkg-js/dist/', import.meta.url), folder, { recursive: true })
        rmSync(path.join(folder, 'tidelock_memory.wasm'))
        const robbed = await import(pathToFileURL(path.join(folder, 'index.js')))
        await robbed.open({ name: 'robbed', storage: 'memory' })
      } catch (error) {
        throw new tidelock.TidelockError(error.code, error.message, error)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
  }))

test('configFromEnv, openGroup, sqlHelpers, migrationsFrom', () =>
  shows('helpers', {
    'no environment': () => tidelock.configFromEnv(),
    'an environment that names nothing': () => tidelock.configFromEnv({}),
    'a URL without a key': () => tidelock.configFromEnv({ SUPABASE_URL: 'https://x.supabase.co' }),
    'a URL that is none': () => tidelock.configFromEnv({ SUPABASE_URL: 'x', SUPABASE_ANON_KEY: 'k' }),
    'an interval that is none': () =>
      tidelock.configFromEnv({ TIDELOCK_DATABASE: 'x', TIDELOCK_SNAPSHOT_INTERVAL_MS: 'often' }),
    'a group that is none': () => tidelock.openGroup(5),
    'a group of none': () => tidelock.openGroup({}),
    'a name that the group needs': () => tidelock.openGroup({ health: { name: 'a' } }),
    'the same database twice': () => tidelock.openGroup({ one: { name: 'a' }, two: { name: 'a' } }),
    'one of a group that does not open': () =>
      tidelock.openGroup({ one: { name: 'group-1', storage: 'memory', migrations: 5 } }),
    'helpers for no table': () => tidelock.sqlHelpers({ tables: [] }),
    'helpers for a name that is none': () => tidelock.sqlHelpers({ tables: ['t'.repeat(64)] }),
    'files that are none': () => tidelock.migrationsFrom(null),
    'a file that is no text': () => tidelock.migrationsFrom({ '0001_a.sql': 5 }),
    'a file without a version': () => tidelock.migrationsFrom({ 'a.sql': 'SELECT 1' }),
    'files of one version': () => tidelock.migrationsFrom({ '1_a.sql': 'SELECT 1', '01_b.sql': 'SELECT 1' }),
    'a file with only the way back': () => tidelock.migrationsFrom({ '1_a.down.sql': 'SELECT 1' }),
    'a file with a marker of no tool': () => tidelock.migrationsFrom({ '1_a.sql': 'SELECT 1;\n-- migrate:undo' }),
    'a file with both ways under a name for one': () =>
      tidelock.migrationsFrom({ '1_a.up.sql': 'SELECT 1;\n-- migrate:down\nSELECT 2' }),
    'a file with a text that is not closed': () => tidelock.migrationsFrom({ '1_a.sql': "SELECT 1;\nSELECT 'a" }),
    'a file with a trigger that has no end': () =>
      tidelock.migrationsFrom({ '1_a.sql': 'CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a;' }),
    'a file of another encoding': () => tidelock.migrationsFrom({ '1_a.sql': 'SELECT 1;\nSELECT caf\ufffd' }),
    'a file with a lone carriage return behind a comment': () =>
      tidelock.migrationsFrom({ '1_a.sql': '-- a\rSELECT 1' }),
    'a migration with a NUL': () => memory({ migrations: [{ version: '1', name: 'a', up: 'SELECT 1;\n\0' }] }),
    'a target that is none': () => tidelock.directoryTarget(5),
  }))

test('calls of a database', () =>
  shows(
    'calls',
    {
      'a batch that is none': (db) => db.batch(5),
      'a batch of what is no statement': (db) => db.batch([5]),
      'a batch that fails': (db) => db.batch([{ sql: 'SELECT 1' }, { sql: 'SELECT wrong' }]),
      'a script that is none': (db) => db.exec(5),
      'a query that is none': (db) => db.query(5),
      'parameters for a fragment': (db) => db.query(sql`SELECT 1`, [1]),
      'an identifier that is none': () => sql.identifier(''),
      'raw SQL that is none': () => sql.raw(5),
      'parameters that are none': (db) => db.query('SELECT ?', 5),
      'rows that are none': (db) => db.runMany('SELECT ?', 5),
      'a row that is none': (db) => db.runMany('SELECT ?', [[1], 5]),
      'a parameter without a name': (db) => db.query('SELECT :a', { '': 1 }),
      'a parameter twice': (db) => db.query('SELECT :a', { ':a': 1, '@a': 2 }),
      'a bigint too large': (db) => db.query('SELECT ?', [2n ** 70n]),
      'undefined as a parameter': (db) => db.query('SELECT ?', [undefined]),
      'an object as a parameter': (db) => db.query('SELECT ?', [{ secret: 1 }]),
      'a constraint': (db) =>
        db
          .exec('CREATE TABLE c(a UNIQUE)')
          .then(() => db.runMany('INSERT INTO c VALUES (?)', [['secret'], ['secret']])),
      'an option of a call that there is not': (db) => db.query('SELECT 1', [], { tiemoutMs: 5 }),
      'a moment that is none': (db) => db.snapshots.restore({ at: 'yesterday' }),
      'a statement without end': (db) =>
        db.query('WITH n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n', [], { timeoutMs: 20 }),
      'a wait for the turn': async (db) => {
        const tx = await db.begin()
        const waited = failure(() => db.query('SELECT 1', [], { timeoutMs: 20 }))
        const error = await waited
        await tx.rollback()
        throw error
      },
      'a function that fails': async () => {
        const db = await memory({
          functions: {
            scalar: {
              broken: () => {
                throw new Error('no')
              },
            },
          },
        })
        const error = await failure(() => db.query('SELECT broken()'))
        await db.close()
        throw error
      },
      'an argument that would be rounded': async () => {
        const db = await memory({ integers: 'number', functions: { scalar: { same: (n) => n } } })
        try {
          await db.query('SELECT same(9007199254740993) IS NULL')
        } catch (error) {
          throw new tidelock.TidelockError('integer_out_of_range', error.cause)
        } finally {
          await db.close()
        }
      },
      'a migration that is a function and fails elsewhere only': async () => {
        const up = async (tx) => {
          if (++runs > 1) await tx.exec('SELECT wrong')
        }
        let runs = 0
        const db = await memory({ migrations: [{ version: '1', name: 'a', up }] })
        try {
          await db.migrations.drift()
        } finally {
          await db.close()
        }
      },
      'a target that fails': async () => {
        const target = tidelock.directoryTarget({
          kind: 'directory',
          getFileHandle: () => Promise.reject(new Error('no room')),
          getDirectoryHandle: () => Promise.reject(new Error('no room')),
          entries: () => [],
          removeEntry() {},
        })
        await copiedTo(target)
      },
      'a migration that is a function and fails': () =>
        memory({ migrations: [{ version: '1', name: 'a', up: (tx) => tx.exec('SELECT 1;\nSELECT wrong;') }] }),
      'a transaction after its end': async (db) => {
        let kept
        await db.transaction(async (tx) => {
          kept = tx
        })
        await kept.query('SELECT 1')
      },
      'an inner transaction after the outer one': async (db) => {
        let inner
        await db.transaction(async (tx) => {
          await tx.transaction(async (nested) => {
            inner = nested
          })
        })
        await inner.query('SELECT 1')
      },
      'a transaction begun in one that has ended': async (db) => {
        let kept
        await db.transaction(async (tx) => {
          kept = tx
        })
        await kept.transaction(async () => {})
      },
      'a reset without force': (db) => db.migrations.reset(),
      'a schema that is none': (db) => db.migrations.generate(5),
      'renames that are none': (db) => db.migrations.generate('SELECT 1', { renames: 5 }),
      'a restore of nothing': (db) => db.snapshots.restore(5),
      'a pull without a remote': (db) => db.sync.pull(),
      'the id of no change': (db) => db.sync.retry('x'),
      'an import of nothing': (db) => db.import(5),
      'a compressed file that is damaged': (db) =>
        db.snapshots.import(new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3])),
      'a compressed file that is too large': async () => {
        const db = await memory({ maxBytes: 65536 })
        try {
          await db.snapshots.import(gzipSync(new Uint8Array(5_000_000)))
        } finally {
          await db.close()
        }
      },
      'no CompressionStream': async (db) => {
        const { id } = await db.snapshots.create()
        await having(globalThis, 'CompressionStream', undefined, () => db.snapshots.export(id, { compress: true }))
      },
      'no DecompressionStream': (db) =>
        having(globalThis, 'DecompressionStream', undefined, () =>
          db.snapshots.import(new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])),
        ),
      'a file encrypted with nothing': async (db) => {
        const { id } = await db.snapshots.create()
        await db.snapshots.export(id, { encrypt: {} })
      },
      'a file encrypted with another key': async (db) => {
        const { id } = await db.snapshots.create()
        const other = await crypto.subtle.generateKey({ name: 'AES-KW', length: 256 }, true, ['wrapKey', 'unwrapKey'])
        await db.snapshots.export(id, { encrypt: { key: other } })
      },
      'an encrypted file and no WebCrypto': async (db) => {
        const { id } = await db.snapshots.create()
        await having(globalThis, 'crypto', undefined, () => db.snapshots.export(id, { encrypt: { passphrase: 'w' } }))
      },
      'an encrypted file with another passphrase': async (db) => {
        const { id } = await db.snapshots.create()
        const file = await db.snapshots.export(id, { encrypt: { passphrase: 'right' } })
        await db.snapshots.import(file, { encrypt: { passphrase: 'wrong' } })
      },
      'an encrypted file with a key': async (db) => {
        const { id } = await db.snapshots.create()
        const file = await db.snapshots.export(id, { encrypt: { passphrase: 'right' } })
        await db.snapshots.import(file, { encrypt: { key: await key() } })
      },
      'an encrypted file of a newer version': async (db) => {
        const { id } = await db.snapshots.create()
        const file = await db.snapshots.export(id, { encrypt: { passphrase: 'right' } })
        const bytes = new Uint8Array(await file.arrayBuffer())
        bytes[8] = 99
        await db.snapshots.import(bytes, { encrypt: { passphrase: 'right' } })
      },
      'an encrypted file and nothing for it': async (db) => {
        const { id } = await db.snapshots.create()
        await db.snapshots.import(await db.snapshots.export(id, { encrypt: { passphrase: 'right' } }))
      },
      'a closed database': async (db) => {
        await db.close()
        await db.query('SELECT 1')
      },
    },
    () => memory({}),
  ))

test('seeds and uploads over a network', async () => {
  let answer = (_request, response) => response.end('[]')
  const server = createServer((request, response) => answer(request, response))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${server.address().port}`
  const status = (code, body = '') => {
    answer = (_request, response) => {
      response.statusCode = code
      response.end(body)
    }
  }
  let name = 'theirs'
  /** A database whose remote has one row, of that name. */
  const synced = async (options, work) => {
    const fetch = async (asked) => {
      const isNext = /gt\./.test(decodeURIComponent(asked.url ?? asked))
      const headers = { 'content-type': 'application/json' }
      return new Response(isNext ? '[]' : JSON.stringify([{ id: 1, name }]), { headers })
    }
    const migrations = [{ version: '1', name: 't', up: 'CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)' }]
    const db = await memory({ migrations, ...options, remote: { ...remote, retries: 0, fetch, ...options.remote } })
    try {
      await work(db)
    } finally {
      await db.close()
    }
  }
  /** Why changes of the remote are not told at once. */
  const untold = async (WebSocket) => {
    const told = deferred()
    const onWarning = ({ message }) => told.resolve(message)
    await having(globalThis, 'WebSocket', WebSocket, () =>
      synced({ mode: 'cloud', onWarning, remote: { realtime: true } }, () => told.promise),
    )
    const [, message] = /: (.*)/.exec(await told.promise)
    throw new tidelock.TidelockError('sync_network', message)
  }
  try {
    await shows('network', {
      'an accessToken that fails': () =>
        synced(
          {
            remote: {
              accessToken: () => {
                throw new Error('nobody')
              },
            },
          },
          (db) => db.sync.pull(),
        ),
      'a conflict function that fails': () => {
        const conflict = () => {
          throw new Error('undecided')
        }
        return synced({ remote: { tables: [{ table: 't', deleted: 'compare', conflict }] } }, async (db) => {
          await db.sync.pull()
          await db.run("UPDATE t SET name = 'mine'")
          name = 'changed'
          await db.sync.pull()
        })
      },
      'no WebSocket': () => untold(undefined),
      'a WebSocket that may not be made': () =>
        untold(function refused() {
          throw new Error('Content-Security-Policy')
        }),
      'a seed that is not there': () => {
        status(404)
        return memory({ seed: `${url}/seed.sqlite` })
      },
      'an upload that is refused': async () => {
        status(403, 'expired')
        const target = tidelock.uploadTarget({ url: () => `${url}/put` })
        await target.write({ name: 'backup.sqlite' }, new Blob(['x']), new AbortController().signal)
      },
      'a copy that fails': async () => {
        status(403, 'expired')
        const target = tidelock.uploadTarget({ url: () => `${url}/put` })
        await copiedTo(target)
      },
    })
  } finally {
    server.close()
  }
})

const cli = fileURLToPath(new URL('../../pkg-js/dist/cli/main.js', import.meta.url))

test('the command line', async () => {
  const base = mkdtempSync(path.join(tmpdir(), 'tidelock-messages-'))
  let child
  const run = (args) =>
    new Promise((resolve) => {
      const env = { PATH: process.env.PATH, HOME: base }
      const options = { cwd: base, env }
      child = execFile(process.execPath, [cli, ...args, '--json'], options, (_error, out) => resolve(out))
    })
  // A remote that has no table `u`, and that is slow with `t`: meanwhile the user presses Ctrl-C.
  const server = createServer((request, response) => {
    if (request.url.includes('/t?')) return child.kill('SIGINT')
    response.statusCode = 404
    response.end('{}')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const there = `http://127.0.0.1:${server.address().port}`
  const shown = new Shown('command-line', (text) =>
    text.replaceAll(base, '<folder>').replaceAll(/\.\d+\.new/g, '.<process>.new'),
  )
  try {
    mkdirSync(path.join(base, 'migrations'))
    writeFileSync(path.join(base, 'migrations', '0001_a.sql'), 'CREATE TABLE t(a);')
    writeFileSync(path.join(base, 'text.sqlite'), 'no database')
    writeFileSync(path.join(base, 'schema.sql'), 'CREATE TABLE t(id INTEGER PRIMARY KEY);')
    writeFileSync(path.join(base, 'keyless.env'), 'SUPABASE_URL=http://127.0.0.1:1\n')
    writeFileSync(path.join(base, 'full.env'), 'SUPABASE_URL=http://127.0.0.1:1\nSUPABASE_ANON_KEY=k\n')
    writeFileSync(path.join(base, 'there.env'), `SUPABASE_URL=${there}\nSUPABASE_ANON_KEY=k\n`)
    const full = ['--env', 'full.env']
    for (const [done, args] of Object.entries({
      'a command that there is not': ['fly'],
      'an option that there is not': ['doctor', '--fast'],
      'an operand too few': ['inspect'],
      'an operand too many': ['inspect', 'a', 'b'],
      'an option that is needed': ['pull', '--tables', 't', ...full],
      'a file that is not there': ['inspect', 'nowhere.sqlite'],
      'a file that is none': ['verify', 'text.sqlite'],
      'an environment that is not there': ['pull', '--tables', 't', '--out', 'x.sqlite', '--env', 'nowhere.env'],
      'no remote': ['pull', '--tables', 't', '--out', 'x.sqlite'],
      'no key': ['pull', '--tables', 't', '--out', 'x.sqlite', '--env', 'keyless.env'],
      'tables and all of them': ['pull', '--tables', 't', '--all', '--out', 'x.sqlite', ...full],
      'a table that the schema lacks': [
        'pull',
        '--tables',
        'u',
        '--schema',
        'schema.sql',
        '--out',
        'x.sqlite',
        ...full,
      ],
      'a key for all tables': ['pull', '--all', '--pk', 't=id', '--out', 'x.sqlite', ...full],
      'a key that is not understood': ['pull', '--tables', 't', '--pk', 't', '--out', 'x.sqlite', ...full],
      'a key for another table': ['pull', '--tables', 't', '--pk', 'u=id', '--out', 'x.sqlite', ...full],
      'a schema for what has one': ['pull', '--tables', 't', '--schema', 'schema.sql', '--out', 'made.sqlite', ...full],
      'a folder of migrations that is not there': ['migrate', 'status', '--dir', 'nowhere', 'x.sqlite'],
      'a migration without a name': ['migrate', 'new', '!!!'],
      'a table that the remote lacks': [
        'pull',
        '--tables',
        'u',
        '--pk',
        'u=id',
        '--out',
        'x.sqlite',
        '--env',
        'there.env',
      ],
      'a remote that is not there': ['pull', '--tables', 'u', '--pk', 'u=id', '--out', 'x.sqlite', ...full],
      'a pull that is interrupted': [
        'pull',
        '--tables',
        't',
        '--schema',
        'schema.sql',
        '--out',
        'x.sqlite',
        '--env',
        'there.env',
      ],
      'a file in a folder that is not there': ['types', 'made.sqlite', '--out', 'nowhere/types.ts'],
      'steps that are none': ['migrate', 'revert', 'made.sqlite', '--steps', 'two'],
      'types of two schemas': ['types', 'made.sqlite', '--schema', 'schema.sql'],
      'nothing to restore': ['snapshot', 'restore', 'made.sqlite'],
      'snapshots of a file': ['snapshot', 'list', 'made.sqlite'],
    })) {
      if (done === 'a schema for what has one') {
        const db = await memory({})
        await db.exec('CREATE TABLE t(id INTEGER PRIMARY KEY)')
        writeFileSync(path.join(base, 'made.sqlite'), await db.export())
        await db.close()
      }
      const out = await run(args)
      let error
      try {
        error = JSON.parse(out).error
      } catch {
        assert.fail(`${done}: ${out}`)
      }
      assert.ok(error, `${done}: ${out}`)
      shown.add(done, error)
    }
    shown.check()
  } finally {
    server.closeAllConnections()
    server.close()
    rmSync(base, { recursive: true, force: true })
  }
})
