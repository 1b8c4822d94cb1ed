// The two sides of a worker, joined in one thread by a queue of copied messages, over the model of an engine.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Shown } from '../../tests/messages/golden.mjs'
import { checkOptions } from '../src/check-options.ts'
import { LocalUser } from '../src/user.ts'
import { Channel, GivenUp } from '../src/worker/channel.ts'
import { RemoteCalls } from '../src/worker/remote-calls.ts'
import { Server } from '../src/worker/server.ts'
import { fromThrown, toThrown } from '../src/worker/thrown.ts'
import { FakeCore, settle } from './fake-core.mjs'

/** Two channels that know each other: what is posted is copied, or moved, and comes later, in order. */
function pair(left, right) {
  const to = (other) => (message, transfer) => {
    const copy = structuredClone(message, { transfer: [...transfer] })
    setImmediate(() => other().receive(copy))
  }
  const ends = {}
  ends.left = new Channel(
    to(() => ends.right),
    left,
  )
  ends.right = new Channel(
    to(() => ends.left),
    right,
  )
  return ends
}

/** A database over a model of an engine that is "elsewhere"; `workers` are its engines, the newest last. */
async function remoteDatabase(options = {}) {
  const all = {
    name: 'shop',
    storage: 'indexeddb',
    onWarning: (warning) => parts.warnings.push(warning.code),
    ...options,
  }
  const checked = checkOptions(all, { title: '', url: '', files: false, secrets: false })
  const user = new LocalUser(all)
  const parts = { warnings: [], workers: [], posted: [], answered: [] }
  const begin = (connection, number, heard) => {
    const core = new FakeCore()
    const worker = { core, events: undefined, dead: false }
    const instance = {
      Core: {
        async open(_, host) {
          worker.host = host
          await parts.opening?.(number)
          return core
        },
        checkRemote: async () => {},
      },
      memory: core.memory,
    }
    const server = new Server(
      (message, transfer) => {
        parts.answered.push(message)
        const copy = structuredClone(message, { transfer: [...transfer] })
        setImmediate(() => worker.dead || channel.receive(copy))
      },
      async () => instance,
    )
    const channel = new Channel(
      (message, transfer) => {
        parts.posted.push(message)
        const copy = structuredClone(message, { transfer: [...transfer] })
        setImmediate(() => worker.dead || server.channel.receive(copy))
      },
      {
        event: (_, event) => user.handle(event),
        dead: (_, error) => void connection.die(fromThrown(error)),
        migrate: (_, version, direction, ticket) =>
          user.migrate(version, direction, connection.ticketOf(number, ticket)),
      },
    )
    worker.die = () => {
      worker.dead = true
      connection.crashed(number, new Error('killed'))
    }
    const end = (error) => {
      worker.dead = true
      channel.end(error)
    }
    parts.workers.push(worker)
    const has = { seed: false, fetch: false }
    const opened = channel.ask('open', [{ checked, module: {}, encryption: undefined, has, heard }])
    return { session: { channel, end, gone: Promise.resolve() }, opened }
  }
  parts.connection = new RemoteCalls(user.callsOptions(checked), begin, { lasting: true }, () => user.renewed())
  user.connect(parts.connection)
  await parts.connection.open()
  parts.db = user.opened(checked, parts.connection)
  return parts
}

test('values go in and come out as they do in one thread', async () => {
  const { db, workers } = await remoteDatabase()
  const [{ core }] = workers
  const values = [null, 7, 1.5, 2n ** 60n, 'aé😀\0', '', new Uint8Array([1, 2]), 'x'.repeat(5000)]
  core.answer = ({ rows }) => ({
    columns: ['a', 'b', '__proto__'],
    rows: [[rows.length, 'é', 2n ** 60n], values.slice(0, 3), [new Uint8Array([9]), '', 'y'.repeat(5000)]],
  })
  await db.run('x', values)
  assert.deepEqual(core.executed[0].rows[0], [
    null,
    { integer: 7n },
    { real: 1.5 },
    { integer: 2n ** 60n },
    'aé😀\0',
    '',
    new Uint8Array([1, 2]),
    'x'.repeat(5000),
  ])
  for (let again = 0; again < 2; again++) {
    const rows = await db.query('x', { a: 1 }, { rowMode: 'array' })
    assert.deepEqual(rows, [
      [1, 'é', 2n ** 60n],
      [null, 7, 1.5],
      [new Uint8Array([9]), '', 'y'.repeat(5000)],
    ])
    const { a } = await db.get('x')
    assert.equal(a, 0)
  }
  await assert.rejects(db.run('x', [undefined]), { code: 'invalid_argument' })
  await assert.rejects(db.batch([{ sql: 'x' }, { sql: 'x', params: [Number.NaN] }]), {
    code: 'invalid_argument',
    details: { parameter: 1, statement: 2 },
  })
})

test('many texts come as strings, in every form of rows and slice by slice; the next result has its own', async () => {
  const { db, workers, answered } = await remoteDatabase()
  const [{ core }] = workers
  const rows = Array.from({ length: 600 }, (_, n) => [
    n,
    `näme ${n} 🌿`,
    n % 3 ? `text ${n}` : null,
    new Uint8Array([n]),
  ])
  const columns = ['id', 'name', 'text', 'blob']
  for (const count of [600, 2, 600]) {
    const expected = rows.slice(0, count)
    core.answer = () => ({ columns, rows: expected })
    assert.deepEqual(await db.query('x', [], { rowMode: 'array' }), expected)
    assert.equal(answered.at(-1).value.texts?.length, count > 2 ? 2 : undefined)
    const objects = expected.map((row) => Object.fromEntries(row.map((value, i) => [columns[i], value])))
    assert.deepEqual(await db.query('x'), objects)
    const { values } = await db.query('x', [], { rowMode: 'columns' })
    assert.deepEqual(
      values.map((list) => [...list]),
      columns.map((_, i) => expected.map((row) => row[i])),
    )
    const seen = []
    for await (const row of db.iterate('x')) seen.push(row)
    assert.deepEqual(seen, objects)
    assert.deepEqual(await db.get('x'), objects[0])
  }
})

test('many rows are packed in slices: what their owner does meanwhile changes nothing, and other calls come after them', async () => {
  const { db, workers } = await remoteDatabase()
  const [{ core }] = workers
  core.answer = ({ rows }) => ({ changes: rows.length })
  const rows = Array.from({ length: 200_000 }, (_, n) => [n])
  const many = db.runMany('many', rows)
  const one = db.run('one')
  let beats = 0
  const beat = setInterval(() => beats++, 0)
  for (const row of rows) row[0] = -1
  rows.length = 10
  assert.deepEqual(await many, { changes: 200_000 })
  await one
  clearInterval(beat)
  assert.ok(beats > 0, 'the page did something else')
  const bound = core.executed.filter(({ sql }) => sql === 'many').flatMap((statement) => statement.rows)
  assert.deepEqual(bound[199_999], [{ integer: 199_999n }])
  assert.ok(bound.every(([{ integer }], n) => integer === BigInt(n)))
  assert.deepEqual([core.log[0], ...core.log.slice(-2)], ['begin 1', 'commit 1', 'one'])
})

test('of many rows nothing is left when one cannot be packed or executed, or the call is given up', async () => {
  const { db, workers } = await remoteDatabase()
  const [{ core }] = workers
  core.answer = ({ rows }) => ({ changes: rows.length })
  const rows = Array.from({ length: 100_000 }, (_, n) => [n])
  const bad = rows.with(99_999, [Number.NaN])
  await assert.rejects(db.runMany('x', bad), { code: 'invalid_argument', details: { parameter: 1, row: 100_000 } })
  core.answer = ({ rows: [[{ integer }]] }) => {
    if (integer > 50_000n) throw { code: 'sqlite_error', message: `${integer}`, details: {} }
  }
  await assert.rejects(db.runMany('x', rows), { code: 'sqlite_error', message: /^65536$/ })
  const stop = new AbortController()
  // What the failed call sent before it heard of its failure may still come.
  core.answer = ({ sql }) => sql === 'given up' && stop.abort('enough')
  await assert.rejects(db.runMany('given up', rows, { signal: stop.signal }), (reason) => reason === 'enough')
  await db.run('y')
  const of = (step) => core.log.filter((entry) => entry === step).length
  assert.deepEqual(['begin 1', 'rollback 1', 'commit 1'].map(of), [3, 3, 0])
})

test('a statement that ran before goes by its number in the worker', async () => {
  const { db, workers } = await remoteDatabase()
  const [{ core }] = workers
  core.answer = ({ rows }) => ({ columns: ['a'], rows: rows.map((row) => row.map(({ integer }) => Number(integer))) })
  for (let n = 1; n <= 3; n++) assert.deepEqual(await db.get('x', [n]), { a: n })
  assert.equal(core.runsAgain, 2)
  // Other names, a transaction, and one that the engine has forgotten.
  assert.deepEqual(await db.get('x', { n: 4 }), { a: 4 })
  assert.equal(core.runsAgain, 2)
  await db.transaction(async (tx) => {
    assert.deepEqual(await tx.get('x', { n: 5 }), { a: 5 })
    assert.equal(core.runsAgain, 3)
  })
  core.known.clear()
  assert.deepEqual(await db.get('x', { n: 6 }), { a: 6 })
  assert.equal(core.runsAgain, 3)
})

test('rows that fill several areas are one transaction', async () => {
  const { db, workers } = await remoteDatabase()
  const [{ core }] = workers
  core.answer = ({ rows }) => ({ changes: rows.length })
  const rows = Array.from({ length: 50_000 }, (_, n) => [n])
  assert.deepEqual(await db.runMany('x', rows), { changes: rows.length })
  assert.ok(core.executed.length > 1)
  assert.deepEqual(
    core.executed.flatMap((statement) => statement.rows),
    rows.map(([n]) => [{ integer: BigInt(n) }]),
  )
  assert.deepEqual(
    core.log.filter((step) => step !== 'x'),
    ['begin 1', 'commit 1'],
  )
})

test('events come over, those of each commit once somebody listens; parameters may be changed after the call', async () => {
  const { db, workers } = await remoteDatabase()
  const [{ core, host }] = workers
  let telling = 0
  core.tellChanges = () => telling++
  const heard = []
  db.addEventListener('change', ({ detail }) => heard.push(detail.tables))
  const params = [1]
  const running = db.run('x', params)
  params[0] = 2
  await running
  assert.equal(telling, 1)
  host.emit({ type: 'change', detail: { tables: ['t'] } })
  for (let turn = 0; turn < 3; turn++) await settle()
  assert.deepEqual(heard, [['t']])
  assert.deepEqual(core.executed[0].rows, [[{ integer: 1n }]])
})

test('while one opens in the place of another, calls wait for it in their order; its migrations come first', async () => {
  const parts = await remoteDatabase()
  const { db, workers } = parts
  let open
  parts.opening = () => new Promise((resolve) => (open = resolve))
  const lost = db.run('lost')
  workers[0].die()
  await assert.rejects(lost, { code: 'worker_crashed', details: { applied: null } })
  const calls = [db.run('a'), db.transaction((tx) => tx.run('b')), db.exec('c')]
  await settle()
  assert.equal(workers.length, 2)
  open()
  await Promise.all(calls)
  assert.deepEqual(workers[1].core.log, ['a', 'begin 1', 'b', 'commit 1', 'c'])
  assert.deepEqual(parts.warnings, ['worker_crashed'])
})

test('a ticket of a dead engine is never used on the next one', async () => {
  const parts = await remoteDatabase()
  const { db, workers } = parts
  let first
  await parts.connection.withTurn(undefined, async ({ ticket }) => {
    first = ticket
    return [undefined, false]
  })
  let wake
  const transaction = db.transaction(async (tx) => {
    await new Promise((resolve) => (wake = resolve))
    await tx.run('late')
  })
  while (wake === undefined) await settle()
  workers[0].die()
  const shown = new Shown('workers')
  await assert.rejects(transaction, (error) => shown.add('a transaction whose worker died', error) ?? true)
  wake()
  shown.add('a step of it', await parts.connection.begin(first, false).catch((error) => error))
  shown.check()
  const other = db.transaction((tx) => tx.run('mine'))
  await other
  assert.deepEqual(workers[1].core.log, ['begin 1', 'mine', 'commit 1'])
})

test('when no other one can open the database, it is closed, and says why', async () => {
  const parts = await remoteDatabase()
  const { db, workers } = parts
  const closes = []
  db.addEventListener('close', ({ detail }) => closes.push(detail.reason))
  parts.opening = () => Promise.reject({ code: 'lock_timeout', message: 'still in use' })
  workers[0].die()
  await assert.rejects(db.query('x'), { code: 'lock_timeout' })
  await assert.rejects(db.query('x'), (error) => error.code === 'closed' && error.cause.code === 'lock_timeout')
  assert.deepEqual(closes, ['lock_timeout'])
  await db.close()
})

test('a trap elsewhere ends the database as it does here', async () => {
  const { db, workers } = await remoteDatabase()
  workers[0].core.answer = () => {
    throw new WebAssembly.RuntimeError('unreachable')
  }
  await assert.rejects(db.query('x'), { code: 'internal' })
  await settle()
  await assert.rejects(db.query('x'), { code: 'closed' })
  assert.equal(workers.length, 1)
})

test('errors keep what they carry on their way, and causes of causes', () => {
  const mine = new TypeError('mine')
  const there = (error) => fromThrown(structuredClone(toThrown(error)))
  const seen = there({ code: 'sqlite_error', message: 'm', hint: 'h', details: { offset: 3 }, cause: mine })
  assert.deepEqual([seen.code, seen.message, seen.hint, seen.details], ['sqlite_error', 'm', 'h', { offset: 3 }])
  assert.deepEqual([seen.cause.name, seen.cause.message], ['TypeError', 'mine'])
  assert.equal(there('text'), 'text')
  assert.equal(there({ code: 'sqlite_error', message: 'm', details: { f: () => 1 } }).details.f, '() => 1')
})

test('a channel calls functions of the caller, gives up, and rejects all when it ends', async () => {
  let stop
  const { left } = pair(
    {},
    {
      steps: async (_, tell) => {
        for (let n = 1; n <= 3; n++) tell(n)
        return 'done'
      },
      forever: (signal) =>
        new Promise((_, reject) => {
          signal?.addEventListener('abort', () => {
            stop = signal.reason
            reject(stop)
          })
        }),
    },
  )
  const told = []
  assert.equal(await left.ask('steps', [(n) => told.push(n)]), 'done')
  assert.deepEqual(told, [1, 2, 3])
  const controller = new AbortController()
  const given = left.ask('forever', [], { signal: controller.signal })
  controller.abort('enough')
  await assert.rejects(given, (error) => error instanceof GivenUp && error.reason === 'enough')
  assert.equal(stop.name, 'AbortError')
  const waiting = left.ask('forever', [])
  left.end(new Error('over'))
  await assert.rejects(waiting, /over/)
  await assert.rejects(left.ask('steps', []), /over/)
})
