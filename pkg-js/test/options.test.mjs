import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkEncryption } from '../src/files/check-encryption.ts'
import { partsOf } from '../src/instance/instance.ts'
import { checkOptions } from '../src/options/check-options.ts'
import { checkLazyOptions } from '../src/options/lazy-options.ts'

const page = { title: 'Shop', url: 'https://shop.example/', server: false, secrets: false }
/** Removes undefined values: to the engine they are the same as missing ones. */
const withoutUndefined = (value) => {
  if (Array.isArray(value)) return value.map(withoutUndefined)
  if (typeof value !== 'object' || value === null) return value
  const given = Object.entries(value).filter(([, one]) => one !== undefined)
  return Object.fromEntries(given.map(([name, one]) => [name, withoutUndefined(one)]))
}
const check = (options, around = page) => {
  const given = { name: 'shop', ...options }
  if (given.encryption !== undefined) checkEncryption(given.encryption)
  return withoutUndefined({ ...checkOptions(given, around), ...checkLazyOptions(given, around.secrets) })
}
const remote = {
  url: 'https://x.supabase.co',
  key: 'k',
  tables: ['a', { table: 'b', primaryKey: 'id', cursor: 'updated_at' }],
}

test('the options decide which parts of the wasm are loaded', () => {
  const up = (text) => ({ migrations: [{ version: '1', name: 'one', up: text }] })
  for (const [options, parts] of [
    [{}, []],
    [{ migrations: [] }, ['migrations']],
    [up('CREATE VIRTUAL TABLE notes USING FTS5(body)'), ['migrations', 'fts5']],
    [up(async () => {}), ['migrations']],
    [{ remote, mode: 'cloud', tabs: 'shared', thread: 'worker' }, ['sync']],
    [{ encryption: { passphrase: 'words' }, columnKey: { passphrase: 'words' } }, ['encryption']],
    [{ audit: ['t'], functions: {}, seed: '/seed.sqlite' }, ['tools']],
    [{ storage: 'memory' }, ['stores']],
  ])
    assert.deepEqual(partsOf({ name: 'shop', storage: 'indexeddb', ...options }), parts)
  assert.deepEqual(partsOf({ name: 'shop' }), ['stores'], 'a folder is the default in Node')
})

test('the defaults are those of the contract', () => {
  assert.deepEqual(check({}), {
    name: 'shop',
    storage: 'indexeddb',
    durability: 'relaxed',
    integers: 'auto',
    cacheBytes: 32 * 2 ** 20,
    onBusy: 'fail',
    lockTimeoutMs: 10_000,
    holder: { title: 'Shop', url: 'https://shop.example/' },
    migrate: true,
    outOfOrder: 'error',
    migrationsTable: 'schema_migrations',
    snapshots: {
      enabled: true,
      timedByUser: false,
      intervalMs: 3_600_000,
      keep: 3,
      retries: 3,
      backoffMs: 1000,
      onHidden: true,
      compress: true,
      verify: 'quick',
      logRetentionMs: 604_800_000,
    },
    mode: 'local',
  })
  assert.deepEqual(check({ remote }).remote, {
    url: 'https://x.supabase.co',
    key: 'k',
    schema: 'public',
    tables: [{ table: 'a' }, { table: 'b', cursor: 'updated_at', primaryKey: ['id'] }],
    pageSize: 1000,
    headers: {},
    retries: 5,
    timeoutMs: 30_000,
    maxResponseBytes: 67_108_864,
    maxDeleteRatio: 0.5,
    realtime: false,
    hasAccessToken: false,
    secretsAllowed: false,
  })
})

test('undefined is the same as a missing option', () => {
  const names = [
    'migrations',
    'storage',
    'durability',
    'lock',
    'snapshots',
    'seed',
    'encryption',
    'remote',
    'signal',
    'onWarning',
    'wasm',
  ]
  assert.deepEqual(check(Object.fromEntries(names.map((name) => [name, undefined]))), check({}))
})

const wrong = {
  encryption: [
    'words',
    {},
    { passphrase: '' },
    { passphrase: 5 },
    { key: 'words' },
    { key: new Uint8Array(32) },
    { passphrase: 'x', key: {} },
    { salt: 'x' },
  ],
  name: ['', undefined, 5, 'a'.repeat(129), 'a\nb', 'a\u0085b', 'a\ud800', '\udc00\ud800'],
  migrations: ['x', {}],
  migrate: ['yes', 1],
  outOfOrder: ['ignore'],
  baseline: ['', 1],
  durability: ['full', true],
  storage: ['floppy', null],
  lock: [{ onBusy: 'kill' }, { timeoutMs: -1 }, { timeoutMs: 'x' }, { wait: true }, 'wait'],
  tabs: ['all'],
  thread: ['main'],
  worker: ['./worker.js', {}, true],
  wasm: ['./x.wasm', 5],
  snapshots: [
    true,
    { intervalMs: 0 },
    { intervalMs: Number.NaN },
    { keep: 0 },
    { keep: 1.5 },
    { retries: -1 },
    { compress: 1 },
    { verify: 'yes' },
    { retentionDays: 0 },
    { retentionDays: '7' },
    { logRetentionMs: -1 },
    { logMaxBytes: 1.5 },
    { onHidden: 1 },
    { every: 5 },
    { targets: {} },
    { targets: [{ kind: 'x' }] },
  ],
  remote: [
    {},
    { ...remote, url: 'nowhere' },
    { ...remote, url: 'file:///x' },
    { ...remote, key: '' },
    { ...remote, tables: 'a' },
    { ...remote, tables: [5] },
    { ...remote, tables: [{}] },
    { ...remote, tables: [{ table: 'a', cursr: 'x' }] },
    { ...remote, tables: [{ table: 'a', conflict: 'mine' }] },
    { ...remote, tables: [{ table: 'a', types: { b: 'varchar' } }] },
    { ...remote, tables: [{ table: 'a', filter: { b: 5 } }] },
    { ...remote, tables: [{ table: 'a', direction: 'up' }] },
    { ...remote, pageSize: 0 },
    { ...remote, fetch: 'x' },
    { ...remote, accessToken: 'token' },
    { ...remote, headers: { a: 1 } },
    { ...remote, maxDeleteRatio: 2 },
    { ...remote, realtime: 'yes' },
    { ...remote, apiKey: 'x' },
  ],
  mode: ['remote', 'cloud'],
  integers: ['exact'],
  maxBytes: [0, 1.5, '1 GiB'],
  migrationsTable: ['', 5],
  seed: ['', 5, {}, ['x']],
  signal: [{}, true],
  onWarning: ['log'],
  Name: ['typo'],
}

for (const [option, values] of Object.entries(wrong)) {
  test(`a wrong ${option} is refused by its name`, () => {
    for (const value of values) {
      assert.throws(
        () => check({ [option]: value }),
        (error) =>
          error.code === 'invalid_argument' && (error.message + JSON.stringify(error.details)).includes(option),
        `${option}: ${String(value)}`,
      )
    }
  })
}

test('options of the wrong kind are refused', () => {
  for (const options of [undefined, null, 'shop', []])
    assert.throws(() => checkOptions(options, page), { code: 'invalid_argument' })
})

test('encryption takes a passphrase or a key, which are not passed to the engine as plain data', async () => {
  const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])
  for (const encryption of [{ passphrase: 'words' }, { key }]) assert.deepEqual(check({ encryption }), check({}))
})

test('the audit has defaults, and redacts columns by name and by table', () => {
  assert.deepEqual(check({ audit: ['a'] }).audit, { table: 'audit_log', tables: ['a'], redact: [] })
  const full = { tables: ['a', 'b'], redact: ['x', 'b.y'], retentionDays: 0.5 }
  assert.deepEqual(check({ audit: full, auditTable: 'log' }).audit, {
    table: 'log',
    tables: ['a', 'b'],
    redact: [{ column: 'x' }, { table: 'b', column: 'y' }],
    retentionDays: 0.5,
  })
  const byTable = { tables: ['a'], redact: { a: ['x', 'y'], b: ['z'] } }
  assert.deepEqual(
    check({ audit: byTable }).audit.redact,
    [
      ['a', 'x'],
      ['a', 'y'],
      ['b', 'z'],
    ].map(([table, column]) => ({ table, column })),
  )
  assert.deepEqual(check({ expires: { a: 'b', c: 'd' } }).expires, [
    { table: 'a', column: 'b' },
    { table: 'c', column: 'd' },
  ])
  assert.deepEqual(check({ health: { storageRatio: 0.5 } }).health, { storageRatio: 0.5 })
  for (const wrong of [
    { audit: 'a' },
    { audit: [''] },
    { audit: {} },
    { audit: { tables: ['a'], redact: 'x' } },
    { audit: { tables: ['a'], retentionDays: 0 } },
    { audit: { tables: ['a'], other: 1 } },
    { audit: ['a'], auditTable: 'Schema_Migrations' },
    { audit: ['a'], auditTable: '' },
    { expires: { a: 1 } },
    { expires: 'a' },
    { health: { storageRatio: 0 } },
    { health: { other: 1 } },
  ])
    assert.throws(() => check(wrong), { code: 'invalid_argument' }, JSON.stringify(wrong))
})

test('only databases in the browser can be shared by tabs', () => {
  assert.equal(check({ tabs: 'shared' }).name, 'shop')
  assert.throws(() => check({ tabs: 'shared', storage: 'memory' }), { code: 'invalid_argument' })
  assert.throws(() => check({ tabs: 'shared', storage: 'file' }), { code: 'unsupported_environment' })
})

test('cloud mode needs a remote, and realtime is off unless asked for', () => {
  assert.throws(() => check({ mode: 'cloud' }), { code: 'invalid_argument' })
  assert.equal(check({ mode: 'cloud', remote }).mode, 'cloud')
  assert.equal(check({ remote }).remote.realtime, false)
  assert.equal(check({ remote: { ...remote, realtime: true } }).remote.realtime, true)
})

test('durability and onHidden are passed to the engine', () => {
  for (const durability of ['strict', 'relaxed', 'deferred', 'snapshot'])
    assert.equal(check({ durability }).durability, durability)
  assert.equal(check({}).snapshots.onHidden, true)
  assert.equal(check({ snapshots: { onHidden: false } }).snapshots.onHidden, false)
})

test('retention of snapshots and log is passed to the engine, without values where there is no default', () => {
  const { snapshots } = check({ snapshots: { retentionDays: 0.5, logRetentionMs: 0, logMaxBytes: 0 } })
  assert.deepEqual([snapshots.retentionDays, snapshots.logRetentionMs, snapshots.logMaxBytes], [0.5, 0, 0])
  assert.ok(!('retentionDays' in check({}).snapshots || 'logMaxBytes' in check({}).snapshots))
})

test("durability 'snapshot' without snapshots is refused", () => {
  assert.throws(() => check({ durability: 'snapshot', snapshots: false }), { code: 'invalid_argument' })
  assert.equal(check({ snapshots: false }).snapshots.enabled, false)
})

test("files are in a folder of the database's name, unless path names another one", () => {
  const server = { ...page, server: true }
  const folder = (options) => {
    const { storage, path } = check({ storage: 'file', ...options }, server)
    return [storage, path]
  }
  assert.deepEqual(folder({ name: 'shop' }), ['file', './shop.tidelock/'])
  assert.deepEqual(folder({ name: 'Läden 🌊' }), ['file', './Läden 🌊.tidelock/'])
  assert.deepEqual(folder({ name: '../a\\b:c' }), ['file', './..%2fa%5cb%3ac.tidelock/'])
  assert.deepEqual(folder({ path: '/data/shop' }), ['file', '/data/shop'])
  assert.deepEqual(folder({ storage: 'memory' }), ['memory', undefined])
  assert.equal(check({}).path, undefined)
  for (const bad of [{ path: '/data', storage: 'memory' }, { path: '' }, { path: 5 }])
    assert.throws(() => check({ storage: 'file', ...bad }, server), {
      code: 'invalid_argument',
      details: { option: 'path' },
    })
  assert.throws(() => check({ path: '/data' }), { code: 'invalid_argument' })
})

test('details.option is the whole name of an option, and no other words', () => {
  const optionOf = (work) => {
    try {
      work()
    } catch (error) {
      assert.equal(error.code, 'invalid_argument')
      return error.details.option
    }
  }
  const tables = (table) => ({ remote: { url: 'https://a.test', key: 'k', tables: [table] } })
  const refused = [
    [undefined, () => checkOptions(null, page)],
    ['nonsense', () => check({ nonsense: 1 })],
    ['durability', () => check({ durability: null })],
    ['snapshots', () => check({ snapshots: 5 })],
    ['snapshots.keep', () => check({ snapshots: { keep: null } })],
    ['snapshots.nonsense', () => check({ snapshots: { nonsense: 1 } })],
    ['remote.tables[0]', () => check(tables(5))],
    ['remote.tables[0].cursor', () => check(tables({ table: 't', cursor: null }))],
  ]
  for (const [option, work] of refused) assert.equal(optionOf(work), option)
})

test('on a server storage must be given', () => {
  const refusal = (options) => {
    try {
      check(options, { ...page, server: true })
    } catch (error) {
      return [error.code, error.details.option, error.hint]
    }
  }
  const inBrowser =
    "Open the database in the browser: in an effect, or in a component of the client only. In a Node program pass storage: 'file' with path, or storage: 'memory'"
  assert.deepEqual(refusal({}), ['unsupported_environment', 'storage', inBrowser])
  for (const storage of ['indexeddb', 'opfs', 'best'])
    assert.deepEqual(refusal({ storage }), ['unsupported_environment', 'storage', inBrowser])
  const inFolder = "Add storage: 'file' to path for a database in that folder"
  assert.deepEqual(refusal({ path: '/data/shop' }), ['unsupported_environment', 'storage', inFolder])
  assert.equal(refusal({ storage: 'file' }), undefined)
  assert.equal(refusal({ storage: 'memory' }), undefined)
})

test('unknown options are refused', () => {
  assert.throws(() => check({ storage: 'floppy' }), { code: 'invalid_argument' })
  assert.throws(() => check({ cacheByte: 1 }), { code: 'invalid_argument' })
})

test('migrations are passed to the engine as data, functions stay in this thread', () => {
  const { migrations } = check({
    migrations: [
      { version: '1', name: 'a', up: 'A', down: 'B', checksum: 'c', transaction: false },
      { version: '2', name: 'b', up: async () => {}, down: async () => {} },
    ],
  })
  assert.deepEqual(migrations, [
    {
      version: '1',
      name: 'a',
      up: 'A',
      down: 'B',
      checksum: 'c',
      transaction: false,
      upIsFunction: false,
      downIsFunction: false,
    },
    { version: '2', name: 'b', transaction: true, upIsFunction: true, downIsFunction: true },
  ])
  for (const bad of [
    null,
    'x',
    { version: 1, name: 'a', up: '' },
    { version: '1', up: '' },
    { version: '1', name: 'a' },
    { version: '1', name: 'a', up: 5 },
    { version: '1', name: 'a', up: '', down: 5 },
    { version: '1', name: 'a', up: '', sql: '' },
  ]) {
    assert.throws(() => check({ migrations: [bad] }), { code: 'migration_invalid' }, JSON.stringify(bad))
  }
})

test('a conflict function stays in this thread and is called back', () => {
  const [table] = check({ remote: { ...remote, tables: [{ table: 'a', conflict: () => null }] } }).remote.tables
  assert.deepEqual(table, { table: 'a', conflict: 'function' })
})

test('a filter function stays in this thread and is called back', () => {
  const [table] = check({ remote: { ...remote, tables: [{ table: 'a', filter: () => ({}) }] } }).remote.tables
  assert.deepEqual(table, { table: 'a', hasFilterFunction: true })
})
