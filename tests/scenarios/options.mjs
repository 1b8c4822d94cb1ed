// Options that `open` and other functions refuse: code and option here, messages in tests/messages/golden/scenarios/options.txt.
import assert from 'node:assert/strict'
import { having } from './run/having.mjs'

const url = 'https://x.supabase.co'
const remote = { url, key: 'k', tables: ['t'] }
const migration = { version: '1', name: 'a', up: 'SELECT 1' }
const throwing = (text) => () => {
  throw new Error(text)
}
const withRemote = (...changes) => changes.map((change) => ({ ...remote, ...change }))
const withTable = (...changes) => withRemote(...changes.map((change) => ({ tables: [{ table: 'a', ...change }] })))

/** Wrong values by option. */
const wrong = {
  name: ['', undefined, 5, 'a'.repeat(129), 'a\nb', 'a\u0085b', 'a\ud800'],
  nmae: ['a typo'],
  storage: ['floppy', null],
  durability: ['full', true, null],
  integers: ['exact'],
  maxBytes: [0, 1.5, '1 GiB'],
  migrate: ['yes', 1],
  outOfOrder: ['ignore'],
  baseline: ['', 1],
  migrations: ['x', {}],
  migrationsTable: ['', 5],
  lock: [{ onBusy: 'kill' }, { timeoutMs: -1 }, { timeoutMs: 'x' }, { wait: true }, 'wait'],
  tabs: ['all', 'shared'],
  thread: ['main'],
  worker: ['./worker.js', {}, true],
  wasm: ['./x.wasm', 5],
  signal: [{}, true],
  onWarning: ['log'],
  mode: ['remote', 'cloud'],
  path: ['/somewhere'],
  snapshots: [
    true,
    { intervalMs: 0 },
    { intervalMs: Number.NaN },
    { cron: '0 3 * * *', intervalMs: 5 },
    { cron: 'daily' },
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
  health: [{ storageRatio: 0 }, { syncLagMs: 'long' }, { other: 1 }],
  audit: ['a', [''], {}, { tables: 't' }, { tables: ['a'], redact: 'x' }, { tables: ['a'], retentionDays: 0 }],
  auditTable: ['', 'Schema_Migrations'],
  expires: [{ a: 1 }, 'a'],
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
  seed: ['', 5, {}, ['x'], throwing('no seed today')],
  functions: [{ module: 5 }, { module: new URL('data:text/javascript,throw 1') }, { scalar: { '': () => 1 } }],
  remote: [
    {},
    ...withRemote(
      { url: 'nowhere' },
      { url: 'file:///x' },
      { key: '' },
      { tables: 'a' },
      { tables: [5] },
      { tables: [{}] },
      { pageSize: 0 },
      { fetch: 'x' },
      { accessToken: 'token' },
      { headers: 5 },
      { headers: { a: 1 } },
      { maxDeleteRatio: 2 },
      { realtime: 'yes' },
      { apiKey: 'x' },
    ),
    ...withTable(
      { cursr: 'x' },
      { conflict: 'mine' },
      { types: { b: 'varchar' } },
      { filter: { b: 5 } },
      { direction: 'up' },
    ),
  ],
}

/** Options that exclude each other, and the one that is refused. */
const together = [
  ['durability', { durability: 'snapshot', snapshots: false }],
  [
    'functions',
    { columnKey: { passphrase: 'words', salt: 'of this user' }, functions: { scalar: { encrypt: () => 1 } } },
  ],
]

/** Malformed migrations by flaw. */
const malformed = [
  null,
  5,
  { ...migration, version: 1 },
  { ...migration, version: 'x' },
  { version: '1', up: '' },
  { version: '1', name: 'a' },
  { ...migration, up: 5 },
  { ...migration, down: 5 },
  { ...migration, dwon: '' },
  { ...migration, up: 'SELECT 1;\n\0' },
]

const inNode = { only: ['node'], because: 'a browser has it, or does not let it go' }

export default {
  'wrong options of open are refused by their name': async ({ failure, options, tidelock }) => {
    const refused = async (option, given) => {
      const failed = await failure(() =>
        tidelock.open({ ...options({ storage: 'memory', path: undefined, thread: 'current' }), ...given }),
      )
      const what = `${option}: ${JSON.stringify(given)} → ${JSON.stringify(failed)}`
      assert.equal(failed.code, 'invalid_argument', what)
      assert.ok((failed.message + JSON.stringify(failed.details)).includes(option), what)
    }
    for (const [option, values] of Object.entries(wrong))
      for (const value of values)
        await refused(option, option === 'auditTable' ? { audit: ['a'], [option]: value } : { [option]: value })
    for (const [option, given] of together) await refused(option, given)
    for (const given of [undefined, null, 'shop', []])
      assert.equal((await failure(() => tidelock.open(given))).code, 'invalid_argument', String(given))
  },

  'malformed migrations are migration_invalid': async ({ failure, memory }) => {
    for (const one of malformed)
      assert.equal((await failure(() => memory({ migrations: [one] }))).code, 'migration_invalid', JSON.stringify(one))
  },

  'wrong arguments of configFromEnv, openGroup, migrationsFrom and sqlHelpers are invalid_argument': async (t) => {
    const { configFromEnv, openGroup, migrationsFrom, sqlHelpers, directoryTarget, uploadTarget, sql } = t.tidelock
    const [one, two] = [
      t.options({ storage: 'memory', path: undefined, thread: 'current' }),
      t.options({ storage: 'memory', path: undefined, thread: 'current' }),
    ]
    for (const work of [
      () => configFromEnv(),
      () => configFromEnv({}),
      () => configFromEnv({ SUPABASE_URL: url }),
      () => configFromEnv({ SUPABASE_URL: 'x', SUPABASE_ANON_KEY: 'k' }),
      () => configFromEnv({ TIDELOCK_DATABASE: 'x', TIDELOCK_SNAPSHOT_INTERVAL_MS: 'often' }),
      () => openGroup(5),
      () => openGroup({}),
      () => openGroup({ health: one }),
      () => openGroup({ one, two: one }),
      () => openGroup({ one, two: { ...two, migrations: 5 } }),
      () => migrationsFrom(null),
      () => sqlHelpers({ tables: [] }),
      () => sqlHelpers({ tables: ['t'.repeat(64)] }),
      () => directoryTarget(5),
      () => uploadTarget({}),
      () => uploadTarget({ url }),
      () => uploadTarget({ url: () => '', retries: 1 }),
      () => sql.identifier(''),
      () => sql.raw(5),
    ]) {
      const failed = await t.failure(work)
      assert.equal(failed.code, 'invalid_argument', `${work}: ${JSON.stringify(failed)}`)
    }
  },

  // pkg-js/test/migrations-malformed.test.mjs tests that each flaw and its line are found: this is for the messages.
  'files that are not migrations are migration_invalid': async ({ failure, tidelock }) => {
    for (const files of [
      { '0001_a.sql': 5 },
      { 'a.sql': 'SELECT 1' },
      { '1_a.sql': 'SELECT 1', '01_b.sql': 'SELECT 1' },
      { '1_a.down.sql': 'SELECT 1' },
      { '1_a.sql': 'SELECT 1;\n-- migrate:undo' },
      { '1_a.up.sql': 'SELECT 1;\n-- migrate:down\nSELECT 2' },
      { '1_a.sql': "SELECT 1;\nSELECT 'a" },
      { '1_a.sql': 'CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM a;' },
      { '1_a.sql': 'SELECT 1;\nSELECT caf\ufffd' },
      { '1_a.sql': '-- a\rSELECT 1' },
    ])
      assert.equal(
        (await failure(() => tidelock.migrationsFrom(files))).code,
        'migration_invalid',
        JSON.stringify(files),
      )
  },

  'missing features of a host are reported before anything is opened': {
    ...inNode,
    run: async ({ failure, memory, open }) => {
      const missing = async (names, given) => {
        let work = () => memory(given)
        for (const [name, value] of Object.entries(names)) {
          const inner = work
          work = () => having(globalThis, name, value, inner)
        }
        return (await failure(work)).code
      }
      const indexedDB = {}
      const tab = { storage: 'indexeddb', path: undefined }
      const worker = () => ({
        postMessage() {},
        terminate() {},
        set onerror(tell) {
          setTimeout(() => tell({ message: 'no such file' }))
        },
      })
      assert.deepEqual(
        [
          await missing({ WebAssembly: undefined }),
          await missing({ crypto: undefined }, { encryption: { passphrase: 'words' } }),
          await missing({ window: {} }, tab),
          await missing({}, tab),
          await missing({ indexedDB, navigator: {} }, tab),
          await missing(
            { indexedDB, navigator: { locks: {} }, BroadcastChannel: undefined },
            { ...tab, tabs: 'shared' },
          ),
          await missing({}, { thread: 'worker' }),
          await missing({}, { thread: 'worker', functions: { scalar: { f: () => 1 } } }),
          await missing({ Worker: EventTarget }, { thread: 'worker', worker }),
          await missing({ Worker: EventTarget }, { thread: 'worker', worker, storage: 'file' }),
          await missing({}, { wasm: new Uint8Array([1, 2, 3]) }),
          (await failure(() => open({ tabs: 'shared' }))).code,
        ],
        [
          'unsupported_environment',
          'unsupported_environment',
          'storage_unavailable',
          ...Array(5).fill('unsupported_environment'),
          'wasm_load_failed',
          'unsupported_environment',
          'wasm_load_failed',
          'unsupported_environment',
        ],
      )
    },
  },
}
