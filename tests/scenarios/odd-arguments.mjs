// Values that lie about what they are, or throw when anything reads them, in the place of every argument and option: each gets a typed error
// or is no argument at all, and never ends the engine.
import assert from 'node:assert/strict'
import { everyNth } from './run/sample.mjs'

/** A value of which everything throws that reads it; what a function throws when it is called is its caller's own error. */
function hostile(target) {
  const traps = Object.keys(Object.getOwnPropertyDescriptors(Reflect)).filter((trap) => trap !== 'apply')
  const throwing = traps.map((trap) => [
    trap,
    () => {
      throw new Error(`the trap ${trap}`)
    },
  ])
  return new Proxy(target, Object.fromEntries(throwing))
}

/** Bytes with such getters for what describes them. */
function lying(get) {
  const names = ['length', 'byteLength', 'byteOffset']
  return Object.defineProperties(new Uint8Array(4), Object.fromEntries(names.map((name) => [name, { get }])))
}

const tags = [
  'Blob',
  'File',
  'Date',
  'URL',
  'Uint8Array',
  'ArrayBuffer',
  'AbortSignal',
  'CryptoKey',
  'Response',
  'WebAssembly.Module',
]
const odd = {
  'a proxy whose traps throw': () => hostile({}),
  'a proxy of a list whose traps throw': () => hostile([]),
  'a proxy of a function whose traps throw': () => hostile(() => {}),
  'an object whose getter throws': () => ({
    get [Symbol.toStringTag]() {
      throw new Error('a getter')
    },
  }),
  'bytes whose getters throw': () => lying(() => assert.fail('a getter')),
  'bytes that lie about their length': () => lying(() => 2 ** 40),
  ...Object.fromEntries(
    tags.map((tag) => [`an object that says it is a ${tag}`, () => ({ [Symbol.toStringTag]: tag })]),
  ),
}

const openOptions = [
  ...[
    'name',
    'migrations',
    'migrate',
    'outOfOrder',
    'dev',
    'baseline',
    'durability',
    'storage',
    'path',
    'lock',
    'tabs',
    'thread',
  ],
  ...[
    'worker',
    'wasm',
    'snapshots',
    'encryption',
    'seed',
    'remote',
    'mode',
    'integers',
    'functions',
    'columnKey',
    'maxBytes',
  ],
  ...['migrationsTable', 'signal', 'onWarning', 'audit', 'auditTable', 'expires', 'health'],
]
const remote = { url: 'http://127.0.0.1:9', key: 'k', tables: ['t'] }
const remoteOptions = [
  ...[
    'client',
    'url',
    'key',
    'accessToken',
    'perUser',
    'userId',
    'schema',
    'tables',
    'pageSize',
    'fetch',
    'headers',
    'retries',
  ],
  ...['timeoutMs', 'maxResponseBytes', 'maxDeleteRatio', 'realtime'],
]
const tableOptions = [
  'table',
  'remoteTable',
  'primaryKey',
  'columns',
  'types',
  'filter',
  'cursor',
  'overlapMs',
  'deleted',
  'conflict',
  'direction',
]

/** Calls of an open database with an odd value, by what they are given it for. */
function callsOf(db, id, { sql }) {
  const last = (call) => [(x) => call(x), (x) => call({ signal: x }), (x) => call({ timeoutMs: x })]
  const all = async (rows) => {
    for await (const _ of rows) return
  }
  const live = async (...given) => {
    const query = db.live(...given)
    try {
      await query.refresh()
    } finally {
      query.close()
    }
  }
  return [
    ...['query', 'get', 'run', 'explain'].flatMap((call) => [
      (x) => db[call](x),
      (x) => db[call]('SELECT 1', x),
      (x) => db[call]('SELECT ?', [x]),
      (x) => db[call]('SELECT :a', { a: x }),
      ...last((x) => db[call]('SELECT 1', [], x)),
    ]),
    (x) => db.query('SELECT 1', [], { rowMode: x }),
    (x) => all(db.iterate(x)),
    (x) => all(db.iterate('SELECT 1', x)),
    ...last((x) => all(db.iterate('SELECT 1', [], x))),
    (x) => db.runMany(x, [[1]]),
    (x) => db.runMany('SELECT ?', x),
    (x) => db.runMany('SELECT ?', [x]),
    (x) => db.runMany('SELECT ?', [[x]]),
    ...last((x) => db.runMany('SELECT ?', [[1]], x)),
    (x) => db.batch(x),
    (x) => db.batch([x]),
    (x) => db.batch([{ sql: x }]),
    (x) => db.batch([{ sql: 'SELECT 1', params: x }]),
    ...last((x) => db.batch([{ sql: 'SELECT 1' }], x)),
    (x) => db.exec(x),
    ...last((x) => db.exec('SELECT 1', x)),
    (x) => db.sql(x),
    (x) => db.sql`SELECT ${x}`,
    (x) => db.sql`SELECT ${[x]}`,
    (x) => sql`SELECT ${x}`,
    (x) => sql.identifier(x),
    (x) => sql.raw(x),
    (x) => sql.join(x),
    (x) => sql.join([x]),
    (x) => sql.join([sql`1`, sql`2`], x),
    (x) => sql.values(x),
    (x) => sql.values([x]),
    (x) => sql.values([[x]]),
    (x) => db.transaction(x),
    (x) => db.transaction(() => {}, { mode: x }),
    ...last((x) => db.transaction(() => {}, x)),
    (x) => db.transaction((tx) => tx.query('SELECT ?', [x])),
    (x) => db.transaction((tx) => tx.transaction(x)),
    (x) => db.transaction((tx) => tx.batch(x)),
    ...last(async (x) => (await db.begin(x)).rollback()),
    (x) => live(x),
    (x) => live('SELECT 1', x),
    (x) => live('SELECT ?', [x]),
    ...['limit', 'offset', 'initial', 'rowMode', 'signal', 'timeoutMs'].map(
      (name) => (x) => live('SELECT 1', [], { [name]: x }),
    ),
    (x) => live('SELECT 1', [], x),
    (x) => db.live('SELECT 1').subscribe(x)(),
    (x) => db.live('SELECT 1').changes(x),
    (x) => db.live('SELECT 1').changes({ key: x }),
    (x) => db.live('SELECT 1').changes({ key: [x] }),
    (x) => db.live('SELECT 1', [], { limit: 1 }).setWindow(x),
    (x) => db.live('SELECT 1', [], { limit: 1 }).setWindow({ offset: x }),
    (x) => db.export(x),
    (x) => db.export({ format: x }),
    ...last((x) => db.export(x)),
    (x) => db.import(x),
    (x) => db.import(new Uint8Array(8), x),
    (x) => db.import(new Uint8Array(8), { baseline: x }),
    (x) => db.import(new Uint8Array(8), { force: x }),
    ...['maintain', 'health', 'flush', 'persist', 'rotateKey'].flatMap((call) => last((x) => db[call](x))),
    (x) => db.rekey(x),
    (x) => db.rekey({ passphrase: x }),
    (x) => db.rekey({ key: x }),
    (x) => {
      db.actor = x
    },
    ...['create', 'list', 'prune', 'status'].flatMap((call) => last((x) => db.snapshots[call](x))),
    (x) => db.snapshots.create({ label: x }),
    ...['verify', 'delete', 'restore', 'export'].flatMap((call) => [
      (x) => db.snapshots[call](x),
      ...(call === 'delete' ? [] : last((x) => db.snapshots[call](id, x))),
    ]),
    (x) => db.snapshots.restore({ at: x }),
    (x) => db.snapshots.restore(id, { force: x }),
    ...['format', 'compress', 'encrypt'].map((name) => (x) => db.snapshots.export(id, { [name]: x })),
    (x) => db.snapshots.export(id, { encrypt: { passphrase: x } }),
    (x) => db.snapshots.export(id, { encrypt: { key: x } }),
    (x) => db.snapshots.import(x),
    (x) => db.snapshots.import(new Uint8Array(8), x),
    (x) => db.snapshots.import(new Uint8Array(8), { decrypt: x }),
    ...['status', 'run', 'revert', 'redo', 'reset', 'drift', 'lint', 'drop'].flatMap((call) =>
      last((x) => db.migrations[call](x)),
    ),
    ...['to', 'steps', 'dryRun', 'atomic'].flatMap((name) => [
      (x) => db.migrations.run({ [name]: x }),
      (x) => db.migrations.revert({ [name]: x }),
    ]),
    ...['baseline', 'forget', 'generate', 'sync'].flatMap((call) => [
      (x) => db.migrations[call](x),
      ...last((x) => db.migrations[call]('1', x)),
    ]),
    (x) => db.migrations.generate('SELECT 1', { renames: x }),
    (x) => db.migrations.generate('SELECT 1', { renames: { t: x } }),
    ...['pull', 'push', 'run', 'start', 'status', 'pending', 'rejected', 'conflicts'].flatMap((call) =>
      last(async (x) => db.sync[call](x)),
    ),
    ...['mode', 'tables', 'full', 'allowEmpty', 'discardUnpushed', 'onProgress'].map(
      (name) => (x) => db.sync.pull({ [name]: x }),
    ),
    async (x) => db.sync.start({ intervalMs: x }),
    (x) => db.sync.conflicts({ limit: x }),
    ...['retry', 'discard', 'enqueue'].flatMap((call) => [
      (x) => db.sync[call](x),
      ...last((x) => db.sync[call]('1', x)),
    ]),
  ]
}

/** Functions of the package with an odd value. */
function functionsOf(tidelock, options) {
  const opened = async (given) => {
    const db = await tidelock.open(given)
    await db.close()
  }
  const functions = { scalar: { f: () => 1 } }
  return [
    opened,
    ...openOptions.map((name) => Object.assign((x) => opened({ ...options(), [name]: x }), { option: name })),
    ...['onBusy', 'timeoutMs'].map((name) => (x) => opened({ ...options(), lock: { [name]: x } })),
    ...['intervalMs', 'cron', 'keep', 'retentionDays', 'verify', 'targets', 'compress'].map(
      (name) => (x) => opened({ ...options(), snapshots: { [name]: x } }),
    ),
    (x) => opened({ ...options(), snapshots: { targets: [x] } }),
    ...remoteOptions.map((name) => (x) => opened({ ...options(), remote: { ...remote, [name]: x } })),
    (x) => opened({ ...options(), remote: { ...remote, tables: [x] } }),
    ...tableOptions.map(
      (name) => (x) => opened({ ...options(), remote: { ...remote, tables: [{ table: 't', [name]: x }] } }),
    ),
    (x) => opened({ ...options(), migrations: [x] }),
    ...['version', 'name', 'up', 'down', 'checksum', 'transaction'].map(
      (name) => (x) => opened({ ...options(), migrations: [{ version: '1', name: 'one', up: 'SELECT 1', [name]: x }] }),
    ),
    ...['scalar', 'aggregate', 'window', 'collation', 'module'].flatMap((name) => [
      (x) => opened({ ...options(), functions: { [name]: x } }),
      (x) => opened({ ...options(), functions: { ...functions, [name]: { g: x } } }),
    ]),
    ...['passphrase', 'key'].map((name) => (x) => opened({ ...options(), encryption: { [name]: x } })),
    ...['key', 'passphrase', 'salt'].map(
      (name) => (x) => opened({ ...options(), columnKey: { passphrase: 'p', salt: 's', [name]: x } }),
    ),
    (x) => opened({ ...options(), columnKey: [x] }),
    ...['tables', 'redact', 'retentionDays'].map(
      (name) => (x) => opened({ ...options(), audit: { tables: ['t'], [name]: x } }),
    ),
    (x) => opened({ ...options(), expires: { t: x } }),
    (x) => opened({ ...options(), seed: () => x }),
    (x) => tidelock.openGroup(x),
    (x) => tidelock.openGroup({ primary: x }),
    (x) => tidelock.databases(x),
    (x) => tidelock.databases({ storage: x }),
    (x) => tidelock.databases({ storage: 'file', path: x }),
    ...['deleteDatabase', 'recover'].flatMap((call) => [
      (x) => tidelock[call](x),
      (x) => tidelock[call](options().name, x),
      ...['force', 'from', 'encryption', 'storage', 'path'].map(
        (name) => (x) => tidelock[call](options().name, { [name]: x }),
      ),
    ]),
    (x) => tidelock.moveStorage(x, { to: 'opfs' }),
    (x) => tidelock.moveStorage(options().name, x),
    (x) => tidelock.moveStorage(options().name, { to: x }),
    ...['encryption', 'worker', 'wasm'].map(
      (name) => (x) => tidelock.moveStorage(options().name, { to: 'opfs', [name]: x }),
    ),
    (x) => tidelock.lastRows(x, 'SELECT 1'),
    (x) => tidelock.lastRows('n', x),
    (x) => tidelock.lastRows('n', 'SELECT 1', x),
    (x) => tidelock.lastRows('n', 'SELECT 1', [x]),
    (x) => tidelock.lastRows('n', 'SELECT 1', [], x),
    (x) => tidelock.lastRows('n', 'SELECT 1', [], { rowMode: x }),
    (x) => tidelock.migrationsFrom(x),
    (x) => tidelock.migrationsFrom({ '0001_a.sql': x }),
    (x) => tidelock.configFromEnv(x),
    (x) => tidelock.configFromEnv({ TIDELOCK_DATABASE: x }),
    (x) => tidelock.sqlHelpers(x),
    (x) => tidelock.sqlHelpers({ tables: x }),
    (x) => tidelock.sqlHelpers({ tables: [x] }),
    (x) => tidelock.schemaFromRemote(x),
    (x) => tidelock.schemaFromRemote({ url: x, key: 'k', tables: ['t'] }),
    (x) => tidelock.schemaFromRemote({ url: remote.url, key: x, tables: ['t'] }),
    (x) => tidelock.schemaFromRemote({ url: remote.url, key: 'k', tables: x }),
    (x) => tidelock.doctor(x),
    (x) => tidelock.doctor({ remote: x }),
    (x) => tidelock.doctor({ storage: x }),
    (x) => tidelock.healthResponse(x),
    (x) => tidelock.directoryTarget(x),
    (x) => tidelock.uploadTarget(x),
    (x) => tidelock.uploadTarget({ url: x }),
    (x) => tidelock.isTidelockError(x),
    (x) => tidelock.isTidelockError(new tidelock.TidelockError('closed', 'x'), x),
  ]
}

/**
 * Makes each call with three or four of the odd values, so that each value is in a fifth of the calls; in a long run with all. Returns what
 * went wrong, one line each. Their errors are not recorded: they are those of other tests.
 */
async function problemsOf(calls, { isTidelockError }) {
  const codeOf = async (work) => {
    try {
      await work()
      return {}
    } catch (error) {
      return isTidelockError(error) ? error : { notOurs: String(error) }
    }
  }
  const problems = []
  const cases = calls.flatMap((call) => Object.entries(odd).map(([what, make]) => ({ call, what, make })))
  for (const { call, what, make } of everyNth(5, cases)) {
    let timer
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, 10_000, { code: 'none in 10 s' })
    })
    const failed = await Promise.race([codeOf(() => call(make())), late])
    clearTimeout(timer)
    if (failed.notOurs || ['internal', 'worker_crashed', 'closed', 'none in 10 s'].includes(failed.code))
      problems.push(
        `${call.option ?? call} with ${what}: ${failed.notOurs ?? `${failed.code}: ${failed.message} (${failed.cause})`}`,
      )
  }
  return problems.join('\n')
}

export default {
  'odd values as the arguments of a database: typed errors, and the database goes on': async ({ memory, tidelock }) => {
    const db = await memory({
      migrations: [{ version: '1', name: 'one', up: 'CREATE TABLE t (x)', down: 'DROP TABLE t' }],
    })
    const { id } = await db.snapshots.create()
    const problems = await problemsOf(callsOf(db, id, tidelock), tidelock)
    assert.ok(problems === '', problems)
    assert.deepEqual(await db.query('SELECT 1 AS one'), [{ one: 1 }])
  },

  'odd values as the arguments of functions and as options': async ({ options, tidelock }) => {
    const problems = await problemsOf(
      functionsOf(tidelock, () => options({ storage: 'memory', path: undefined })),
      tidelock,
    )
    assert.ok(problems === '', problems)
  },
}
