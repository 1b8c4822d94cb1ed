import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Bridge, openHere } from '../src/bridge.ts'
import { checkOptions } from '../src/check-options.ts'
import { checkRareOptions } from '../src/rare-options.ts'
import { LocalUser } from '../src/user.ts'
import { FakeCore, settle } from './fake-core.mjs'

/** Opens over a fake core; `during(host, core)` is what happens inside. */
function opening(options, during = async () => {}) {
  const all = { name: 'shop', storage: 'memory', onWarning: (warning) => parts.warnings.push(warning), ...options }
  const core = new FakeCore()
  const around = { title: '', url: '', files: false, secrets: false }
  const checked = { ...checkOptions(all, around), ...checkRareOptions(all, false) }
  const user = new LocalUser(all)
  const bridge = new Bridge(checked, all, user)
  const parts = { core, bridge, warnings: [], released: 0 }
  const open = async (coreOptions, host) => {
    parts.host = host
    parts.coreOptions = coreOptions
    host.locked(() => parts.released++)
    await during(host, core)
    return core
  }
  const loaded = []
  const instance = {
    Core: { open, checkRemote: async () => {} },
    memory: core.memory,
    loadPart: async (part) => void loaded.push(part),
    addFts5() {},
  }
  parts.opened = openHere(bridge, checked, user, instance)
  return parts
}

test('what the instance tells reaches the listeners, never within its own call', async () => {
  const parts = opening()
  const db = await parts.opened
  const seen = []
  for (const type of ['lock', 'snapshot', 'sync', 'change', 'health', 'warning', 'close']) {
    db.addEventListener(type, (event) => seen.push([event.type, event.detail]))
  }
  parts.host.emit({ type: 'lock', detail: { state: 'lost' } })
  parts.host.emit({ type: 'change', detail: { tables: ['t'], all: false } })
  parts.host.emit({ type: 'warning', detail: { code: 'c', message: 'm' } })
  parts.host.emit({ type: 'close', detail: { reason: 'lock_lost' } })
  assert.deepEqual(seen, [])
  await settle()
  assert.deepEqual(seen, [
    ['lock', { state: 'lost' }],
    ['change', { tables: ['t'], all: false }],
    ['warning', { code: 'c', message: 'm' }],
    ['close', { reason: 'lock_lost' }],
  ])
  assert.deepEqual(parts.warnings, [{ code: 'c', message: 'm' }])
  await db.close()
  assert.equal(seen.length, 4, 'one close is told once')
  assert.equal(parts.released, 0, 'the instance gives back its lock by itself')
})

test('a warning before there is a database goes to onWarning', async () => {
  const parts = opening({}, async (host) => host.emit({ type: 'warning', detail: { code: 'skipped', message: 'm' } }))
  await parts.opened
  assert.deepEqual(parts.warnings, [{ code: 'skipped', message: 'm' }])
})

test('live queries run again when the instance says so', async () => {
  const parts = opening()
  const db = await parts.opened
  parts.core.answer = () => ({ columns: ['n'], rows: [[parts.core.executed.length]] })
  const live = db.live('SELECT n')
  await settle()
  parts.host.emit({ type: 'live', detail: { ids: [1] } })
  await settle()
  assert.deepEqual(live.rows, [{ n: 2 }])
})

test('a failed opening rejects with its typed error', async () => {
  const parts = opening({}, async () => {
    throw { code: 'database_in_use', message: 'Database already in use', details: { holder: { id: 'x' } } }
  })
  await assert.rejects(parts.opened, {
    name: 'TidelockError',
    code: 'database_in_use',
    retryable: true,
    details: { holder: { id: 'x' } },
  })
})

test('a trap while opening rejects, though the instance never answers, and frees the lock', async () => {
  const parts = opening({}, () => new Promise(() => {}))
  await settle()
  const cause = new WebAssembly.RuntimeError('unreachable')
  parts.bridge.trapped(cause)
  await assert.rejects(parts.opened, (error) => error.code === 'internal' && error.cause === cause)
  assert.equal(parts.released, 1)
})

test('a trap in a late timer closes the database and frees the lock', async () => {
  const parts = opening()
  const db = await parts.opened
  const closes = []
  db.addEventListener('close', (event) => closes.push(event.detail.reason))
  parts.bridge.trapped(new RangeError('Maximum call stack size exceeded'))
  assert.equal(parts.released, 1)
  assert.deepEqual(closes, ['internal'])
  await assert.rejects(db.run('x'), { code: 'closed' })
  await db.close()
  assert.equal((await db.health()).alerts[0].code, 'internal')
})

/** As the real one does: the migration in a transaction, before it begins to serve. */
const startWithMigration = (parts) => async () => {
  const { core } = parts
  const ticket = core.enter()
  core.begin(ticket, false)
  try {
    await parts.host.migrate('1', 'up', ticket)
    core.commit(ticket, 1)
  } catch (error) {
    core.rollback(ticket, 1)
    throw { code: 'migration_failed', message: 'Migration 1 failed', details: { version: '1' }, cause: String(error) }
  } finally {
    core.leave(ticket)
  }
}

test('a migration that is a function works on the given turn, before open resolves', async () => {
  const work = {
    up: async (tx) => {
      await tx.run('CREATE TABLE t(a)')
      await tx.transaction((inner) => inner.run('INSERT INTO t VALUES (1)'))
    },
    down: async (tx) => void (await tx.exec('DROP TABLE t')),
  }
  const parts = opening({ migrations: [{ version: '1', name: 'a', ...work }] })
  parts.core.start = startWithMigration(parts)
  await parts.opened
  assert.deepEqual(parts.core.log, [
    'begin 1',
    'CREATE TABLE t(a)',
    'begin 2',
    'INSERT INTO t VALUES (1)',
    'commit 2',
    'commit 1',
  ])
  const ticket = parts.core.enter()
  parts.core.log.length = 0
  await parts.host.migrate('1', 'down', ticket)
  assert.deepEqual(parts.core.log, ['DROP TABLE t'])
  await assert.rejects(parts.host.migrate('2', 'up', ticket), { code: 'internal' })
})

test('what a migration function threw is the cause of the failed opening', async () => {
  const mine = new TypeError('mine')
  const up = async () => {
    throw mine
  }
  const parts = opening({ migrations: [{ version: '1', name: 'a', up }] })
  parts.core.start = startWithMigration(parts)
  await assert.rejects(parts.opened, (error) => error.code === 'migration_failed' && error.cause === mine)
  assert.deepEqual(parts.core.log, ['begin 1', 'rollback 1'])
})

test('a trap in the second step of opening rejects too', async () => {
  const parts = opening()
  parts.core.start = () => new Promise(() => {})
  await settle()
  parts.bridge.trapped(new WebAssembly.RuntimeError('unreachable'))
  await assert.rejects(parts.opened, { code: 'internal' })
  assert.equal(parts.released, 1)
})

test("requests go through the user's fetch, tokens through accessToken", async () => {
  const requests = []
  const remote = {
    url: 'https://x.supabase.co',
    key: 'k',
    tables: [],
    fetch: async (input) => void requests.push(input),
    accessToken: async () => 'token',
  }
  const parts = opening({ remote })
  await parts.opened
  await parts.host.fetch('https://x', {})
  assert.deepEqual(requests, ['https://x'])
  assert.equal(await parts.host.accessToken(), 'token')
  assert.equal(parts.core.remote.hasAccessToken, true)
  assert.equal('accessToken' in parts.core.remote, false)
  const bare = opening({})
  await bare.opened
  assert.equal(await bare.host.accessToken(), null)
})
