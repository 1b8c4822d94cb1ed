// Messages of other tabs of the origin, to a leader with an engine, and to a follower.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { bundled } from '../bundled.mjs'
import { anyValue } from '../random.mjs'
import { mustBeTyped } from '../rules.mjs'

const dist = new URL('../../../pkg-js/dist/', import.meta.url)
const compiled = new Map()
function moduleOf(part) {
  if (!compiled.has(part)) compiled.set(part, WebAssembly.compile(readFileSync(new URL(`tidelock_${part}.wasm`, dist))))
  return compiled.get(part)
}

const statements = [
  'SELECT 1',
  'SELECT * FROM mine',
  'INSERT INTO t VALUES (?)',
  'INSERT INTO t VALUES (:a)',
  'SELECT',
  '',
  'BEGIN',
  'COMMIT',
  'CREATE TABLE IF NOT EXISTS u (a); DROP TABLE u',
  'PRAGMA user_version = 5',
  "SELECT json('{}'), x'00', 9223372036854775807, 1e999, NULL",
  'WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 3000) SELECT x, hex(x) FROM n',
]
/** The methods, with the kinds of their arguments, most of which pass the validators. */
const methods = {
  run: ['work', 'id', 'limit', 'writeId'],
  acquire: ['limit'],
  release: ['id'],
  begin: ['id', 'flag'],
  commit: ['id', 'id', 'writeId'],
  rollback: ['id', 'id'],
  stored: ['id'],
  watch: ['sql', 'areas'],
  unwatch: ['id'],
  subscribe: ['text'],
  actor: ['text'],
  applied: ['id'],
}
/** The engine's methods with their arguments: those that a tab may call, and, at the end, those that it may not. */
const ofCore = {
  cancel: ['id'],
  dropCancel: ['id'],
  exportBytes: [],
  exportSql: [],
  flush: [],
  health: ['options'],
  importBytes: ['bytes', 'options', 'id'],
  maintain: ['list', 'id'],
  migrationsBaseline: ['text', 'options'],
  migrationsDrift: ['bytes', 'options'],
  migrationsForget: ['text', 'options'],
  migrationsGenerate: ['sql', 'list', 'options'],
  migrationsLint: [],
  migrationsRedo: ['options'],
  migrationsRevert: ['options'],
  migrationsRun: ['options'],
  migrationsStatus: [],
  persist: [],
  rotateKey: ['id'],
  snapshotsCreate: ['options'],
  snapshotsDelete: ['text'],
  snapshotsExport: ['text', 'flag'],
  snapshotsExportAt: ['number', 'options'],
  snapshotsHistory: ['limit'],
  snapshotsImport: ['bytes', 'text', 'id'],
  snapshotsList: [],
  snapshotsPrune: [],
  snapshotsRestore: ['text', 'options'],
  snapshotsRestoreAt: ['number', 'options'],
  snapshotsStatus: [],
  snapshotsVerify: ['text'],
  syncConflicts: ['number'],
  syncDiscard: ['text', 'options'],
  syncEnqueue: ['text', 'options'],
  syncPending: [],
  syncPull: ['options', 'nothing', 'id'],
  syncPush: ['nothing', 'id'],
  syncReady: [],
  syncRejected: [],
  syncRetry: ['text', 'options'],
  syncStart: ['number', 'number', 'flag'],
  syncStatus: [],
  syncStop: ['number', 'flag'],
  close: [],
  free: [],
  rekey: ['text'],
  constructor: [],
}

/** Makers of the work that an engine runs. */
const works = [
  (random) => ['explain', random.pick(statements)],
  (random) => ['script', random.pick(statements)],
  (random) => ['batch', argument.statements(random)],
  (random) => ['statement', random.below(5), random.pick(statements), argument.areas(random)],
]

const argument = {
  work: (random) => {
    const parts = random.pick(works)(random)
    if (random.oneIn(10)) parts.splice(random.below(parts.length + 1), random.below(2), anyValue(random))
    return parts
  },
  sql: (random) => random.pick(statements),
  areas: (random) => (random.oneIn(2) ? [] : random.some(3, () => area(random))),
  limit: (random) =>
    random.oneIn(2)
      ? undefined
      : { timeoutMs: random.pick([0, 1, 1000, -1, 1e300]), since: random.pick([0, Date.now(), 1e300]) },
  writeId: (random) =>
    random.oneIn(2) ? undefined : { id: number(random), acknowledged: number(random), again: random.oneIn(2) },
  statements: (random) => random.some(4, () => ({ sql: random.pick(statements), params: argument.areas(random) })),
  id: (random) => random.pick([0, 1, 2, 3, 4, 5, 2 ** 31, 2 ** 32, 2 ** 53 - 1]),
  number: (random) => random.pick([0, 1, -1, 0.5, 1000, 2 ** 32, 1e300, -1e300]),
  flag: (random) => random.oneIn(2),
  text: (random) => random.pick(['', '1', 'change', 'mine', 'quick_check', '\0', '\ud800', 'x'.repeat(5000)]),
  bytes: (random) => new Uint8Array(random.below(9000)).fill(random.below(256)),
  options: (random) =>
    random.oneIn(2)
      ? {}
      : { to: 'x', steps: -1, label: 'x', mode: 'replace', force: true, dryRun: true, full: 1, tables: [{}] },
  list: (random) =>
    random.oneIn(3) ? [{ table: 'mine', column: 'id', before: 9e15 }] : [random.pick(['a=b', {}, { sql: 1 }])],
  nothing: () => undefined,
}

const number = (random) => random.pick([0, 1, 2, 7, 2 ** 32 + 1, 2 ** 53 - 1])

/** Packed parameters, often malformed. */
function area(random) {
  const bytes = Uint8Array.from({ length: 8 * random.below(12) }, () => random.pick([0, 1, 2, 3, 4, 5, 8, 16, 255]))
  return {
    buffer: bytes.buffer,
    bytes: random.oneIn(4) ? number(random) : bytes.length,
    names: random.pick(['', 'a', ':a\0@b', '\0\0']),
  }
}

function request(random, id) {
  const isCore = random.oneIn(3)
  const table = isCore ? ofCore : methods
  const method = random.pick(Object.keys(table))
  const args = table[method].map((kind) => (random.oneIn(25) ? anyValue(random) : argument[kind](random)))
  if (random.oneIn(20)) args.splice(random.below(args.length + 1), random.below(2), anyValue(random))
  return {
    id: random.oneIn(15) ? anyValue(random) : id,
    method: isCore ? 'core' : random.oneIn(30) ? anyValue(random) : method,
    args: isCore ? [method, ...args] : args,
    ...(random.oneIn(20) ? { functions: random.pick([[0], [1e9], [-1], ['x']]) } : {}),
    ...(random.oneIn(4) ? { cancellable: true } : {}),
  }
}

function make(random) {
  const messages = random.some(12, () => {
    const id = 1 + random.below(20)
    const said = { v: 2, term: 'term', message: request(random, id) }
    const kind = random.below(14)
    if (kind === 0)
      said.message = random.pick([
        { cancel: id },
        { answer: id, value: anyValue(random) },
        { called: id, which: 0, args: [] },
      ])
    if (kind === 1)
      said.message = {
        answer: id,
        thrown: random.pick([{ ours: { code: 'x', message: 'y' } }, { text: 'z' }, anyValue(random)]),
      }
    if (kind === 2)
      said.message = { id, method: 'event', args: [random.pick([{ type: 'change', detail: {} }, anyValue(random)])] }
    if (kind === 3)
      return {
        v: 2,
        hello: 'tab',
        nonce: 'n',
        info: { integers: 'auto', migrate: true, outOfOrder: 'error', migrations: [anyValue(random)] },
      }
    if (kind === 4)
      return random.pick([
        { v: 2, term: 'term', proof: new Uint8Array(3) },
        { v: 2, term: 'term', refused: anyValue(random) },
        anyValue(random),
      ])
    if (random.oneIn(10)) said[random.pick(['v', 'term', 'message', 'say'])] = anyValue(random)
    if (random.oneIn(12)) said.v = random.pick([1, 3, 2.5, -2, '2', 2n, [2], 2 ** 53, 'x'.repeat(100_000)])
    return said
  })
  return { messages }
}

export async function setUp() {
  const [{ engineHere }, parsers, { Channel }, { checkOptions }] = await Promise.all(
    ['tabs/engine.ts', 'tabs/messages.ts', 'rpc/channel.ts', 'options/check-options.ts'].map(bundled),
  )
  const around = { title: '', url: '', server: false, secrets: false }
  const checked = checkOptions({ name: 'shared', storage: 'memory', snapshots: { onHidden: false } }, around)
  /** Starts the leader's engine. */
  async function started() {
    const engine = engineHere({ event() {}, dead() {}, part: (_, part) => moduleOf(part) })
    const opening = {
      checked,
      module: await moduleOf('bg'),
      has: { seed: false, fetch: false },
      eventTypes: [],
      tabs: { own: 'own', alive: ['own'] },
    }
    await engine.channel.ask('open', [opening])
    const script = 'CREATE TABLE mine (id INTEGER PRIMARY KEY); INSERT INTO mine VALUES (1); CREATE TABLE t (a)'
    await engine.channel.ask('run', [['script', script], 0, undefined])
    return engine
  }
  let engine = await started()
  let clients = 0

  return {
    make,
    async run({ messages }) {
      const answers = []
      const client = engine.attach(`client-${++clients}`, (message) => answers.push(message))
      const follower = new Channel(() => {}, { event() {} })
      let understood = 0
      for (const data of messages) {
        parsers.parseBroadcast(data)
        parsers.helloOfOtherVersion(data)
        parsers.versionMismatch(data)
        parsers.rejectionFor(data)
        const toFollower = parsers.parseLeaderMessage(data)
        if (toFollower !== undefined && 'message' in toFollower) follower.receive(toFollower.message)
        const said = parsers.parseTabMessage(data)
        if (said === undefined || !('message' in said)) continue
        understood++
        client.post(said.message)
        await new Promise((resolve) => setImmediate(resolve))
      }
      // The client's transactions are rolled back with it, and the leader goes on.
      client.end()
      const work = ['statement', 0, 'SELECT count(*) FROM mine', []]
      const { results } = await engine.channel.ask('run', [work, 0, undefined])
      assert.ok(results[0].buffer.byteLength > 0)
      for (const { thrown } of answers) if (thrown !== undefined) mustBeOurs(thrown)
      if (clients % 50 === 0) {
        engine.end(new Error('done'))
        engine = await started()
      }
      return understood === 0 ? 'not understood' : 'understood'
    },
  }
}

/** Asserts that a serialized error is a typed one. */
function mustBeOurs(thrown) {
  assert.ok('ours' in thrown, `It failed with ${inspect(thrown)}`)
  const { code, message } = thrown.ours
  mustBeTyped(Object.assign(new Error(message), { name: 'TidelockError', code }))
}
