// Tests of both sides of a worker, connected in one thread by a queue of copied messages, over the real engine.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { having, Shown } from '../../tests/messages/golden.mjs'
import begin from '../../tests/scenarios/begin.mjs'
import calls from '../../tests/scenarios/calls.mjs'
import codec from '../../tests/scenarios/codec.mjs'
import iterate from '../../tests/scenarios/iterate.mjs'
import liveResults from '../../tests/scenarios/live-results.mjs'
import rows from '../../tests/scenarios/rows.mjs'
import { runScenario, scenariosOf } from '../../tests/scenarios/run/context.mjs'
import savepoints from '../../tests/scenarios/savepoints.mjs'
import sqlTag from '../../tests/scenarios/sql-tag.mjs'
import { isTidelockError, TidelockError } from '../src/base/errors.ts'
import { sql } from '../src/base/sql.ts'
import { DatabaseClient } from '../src/instance/database-client.ts'
import { Cancelled, Channel } from '../src/rpc/channel.ts'
import { ChannelConnection } from '../src/rpc/channel-connection.ts'
import { deserializeError, serializeError } from '../src/rpc/serialized-error.ts'
import { Server } from '../src/rpc/server.ts'
import { createEngine, optionsOf, settle, trap } from './engine.mjs'

/** Returns a `post` to a channel: messages are copied or transferred, and arrive later, in order. */
const to = (other) => (message, transfer) => {
  const copy = structuredClone(message, { transfer: [...transfer] })
  setImmediate(() => other()?.receive(copy))
}

/** Opens a database whose engines are behind channels: `workers` has them, the newest last. Waits for `opening(number)` before each. */
async function openElsewhere(given, opening = async () => {}) {
  const warnings = []
  const { options, checked } = optionsOf(given, warnings)
  const client = new DatabaseClient(options)
  const workers = []
  const beginSession = (connection, number, eventTypes) => {
    let dead = false
    let engine
    const replaced = () => ({})
    replaced.open = async (open) => {
      await opening(number)
      return open()
    }
    const server = new Server(
      to(() => (dead ? undefined : channel)),
      async (_module, _part, onTrap) => {
        engine = await createEngine(onTrap, replaced)
        return engine
      },
    )
    const channel = new Channel(
      to(() => (dead ? undefined : server.channel)),
      {
        event: (_, event) => client.handle(event),
        dead: (_, error) => void connection.die(deserializeError(error)),
        migrate: (_, version, direction, permitId) =>
          client.migrate(version, direction, connection.permitIdOf(number, permitId)),
      },
    )
    workers.push({
      die() {
        dead = true
        // Otherwise calls that wait in it would keep Node alive.
        if (engine !== undefined) trap(engine)
        connection.crashed(number, new Error('killed'))
      },
    })
    const end = (error) => {
      dead = true
      channel.end(error)
    }
    const has = { seed: false, fetch: false }
    const opened = channel.ask('open', [{ checked, module: {}, encryption: undefined, has, eventTypes }])
    return { session: { channel, end, released: Promise.resolve() }, opened }
  }
  const connection = new ChannelConnection(client.connectionOptions(checked), beginSession, { lasting: true }, () =>
    client.renewed(),
  )
  client.connect(connection)
  await connection.open()
  client.opened(checked)
  return { db: client.attach(), connection, workers, warnings }
}

const environment = {
  tidelock: { open: async (options) => (await openElsewhere(options)).db, isTidelockError, TidelockError, sql },
  host: 'node',
  thread: 'worker',
  prefix: 'elsewhere',
  defaults: () => ({ storage: 'memory' }),
}

for (const [name, module] of Object.entries({ begin, calls, codec, iterate, liveResults, rows, savepoints, sqlTag })) {
  describe(`the scenarios of ${name}`, () => {
    for (const [title, work] of scenariosOf({ default: module }, environment))
      test(title, () => runScenario(work, environment))
  })
}

const migrations = [{ version: '1', name: 'a', up: (tx) => tx.exec('CREATE TABLE t (what)') }]
const write = (on, what) => on.run('INSERT INTO t VALUES (?)', [what])
const written = async (db) => (await db.query('SELECT what FROM t ORDER BY rowid')).map(({ what }) => what)

test('while a worker replaces a crashed one, calls wait for it in their order; its migrations run first', async () => {
  let open = () => {}
  const opening = (number) => (number === 1 ? undefined : new Promise((resolve) => (open = resolve)))
  const { db, workers, warnings } = await openElsewhere({ migrations }, opening)
  const lost = write(db, 'lost')
  workers[0].die()
  await assert.rejects(lost, { code: 'worker_crashed', details: { applied: null } })
  const calls = [write(db, 'a'), db.transaction((tx) => write(tx, 'b')), db.exec("INSERT INTO t VALUES ('c')")]
  while (workers.length < 2) await settle()
  for (let round = 0; round < 10; round++) await settle()
  open()
  await Promise.all(calls)
  assert.deepEqual(await written(db), ['a', 'b', 'c'])
  assert.deepEqual(
    warnings.map(({ code }) => code),
    ['worker_crashed'],
  )
  await db.close()
})

test('a crash before the commit is requested applies nothing of a transaction; after it that is unknown', async () => {
  const { db, connection, workers } = await openElsewhere({ migrations })
  const crash = async () => {
    const count = workers.length
    workers.at(-1).die()
    while (workers.length === count) await settle()
  }
  const appliedOf = (call) =>
    call.then(
      () => 'done',
      ({ code, details }) => `${code} ${details.applied}`,
    )
  // It waits for the mutex, for its statement, or for its own function.
  let step
  let wake
  const first = db.transaction(async (tx) => {
    step = appliedOf(write(tx, 'in the worker'))
    await new Promise((resolve) => (wake = resolve))
  })
  const waiting = db.transaction((tx) => write(tx, 'never begun'))
  const outcomes = [appliedOf(first), appliedOf(waiting)]
  while (wake === undefined) await settle()
  await crash()
  assert.deepEqual(await Promise.all([...outcomes, step]), Array(3).fill('worker_crashed false'))
  wake()
  // The statement of a nested transaction.
  const inNested = (tx) => {
    wake = 0
    return write(tx, 'nested')
  }
  const nested = appliedOf(db.transaction((tx) => tx.transaction(inNested)))
  while (wake !== 0) await settle()
  await crash()
  assert.equal(await nested, 'worker_crashed false')
  // The commit is on its way.
  const tx = await db.begin()
  await write(tx, 'committed')
  const { commit } = connection
  const requested = new Promise((resolve) => {
    connection.commit = (...args) => {
      resolve()
      return commit.apply(connection, args)
    }
  })
  const committing = appliedOf(tx.commit())
  await requested
  await crash()
  assert.equal(await committing, 'worker_crashed null')
  assert.deepEqual(await written(db), [])
  await db.close()
})

test('a database whose workers crash again and again closes, and says so', async () => {
  const { db, workers } = await openElsewhere({ migrations })
  const closed = new Promise((resolve) => db.addEventListener('close', ({ detail }) => resolve(detail)))
  let waiting
  for (let crash = 0; crash < 6; crash++) {
    while (workers.length <= crash) await settle()
    assert.equal(db.closed, false, `after ${crash} crashes`)
    waiting = db.query('SELECT 1')
    waiting.catch(() => {})
    workers[crash].die()
  }
  const message = 'More than 5 workers of this database crashed within 60 s'
  await assert.rejects(waiting, ({ code, hint }) => code === 'worker_crashed' && /open it again/.test(hint))
  assert.deepEqual(await closed, { reason: 'worker_crashed', message })
  await assert.rejects(db.query('SELECT 1'), {
    code: 'closed',
    message: `The database was closed by an error: ${message}`,
  })
  assert.equal(workers.length, 6)
  await db.close()
})

test('a permit of a dead engine is never used on the next one', async () => {
  const { db, connection, workers } = await openElsewhere({ migrations })
  let first
  await connection.withPermit(undefined, async ({ permitId }) => {
    first = permitId
    return [undefined, false]
  })
  let wake
  const transaction = db.transaction(async (tx) => {
    await new Promise((resolve) => (wake = resolve))
    await write(tx, 'late')
  })
  while (wake === undefined) await settle()
  workers[0].die()
  const shown = new Shown('workers')
  await assert.rejects(transaction, (error) => shown.add('a transaction whose worker died', error) ?? true)
  wake()
  shown.add('a step of it', await connection.begin(first, false).catch((error) => error))
  shown.check()
  await db.transaction((tx) => write(tx, 'mine'))
  assert.deepEqual(await written(db), ['mine'])
  await db.close()
})

test('rows that wait behind a large result are not overwritten by later results', async () => {
  const { db } = await openElsewhere({ migrations })
  const numbers = 'WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i FROM n'
  const gathered = async (rows) => {
    const sum = []
    for await (const { i } of rows) sum.push(i)
    return sum
  }
  // Some of these results have exactly the size of the buffer that small results are copied into.
  const counts = Array.from({ length: 24 }, (_, n) => 205 + n)
  const large = db.query(numbers, [60_000])
  const waiting = []
  const after = []
  for (const count of counts) {
    waiting.push(gathered(db.iterate(numbers, [count])))
    after.push(db.get('SELECT 7 AS i'))
  }
  assert.equal((await large).length, 60_000)
  for (const [n, rows] of (await Promise.all(waiting)).entries())
    assert.deepEqual(
      rows,
      Array.from({ length: counts[n] }, (_, at) => at + 1),
    )
  await Promise.all(after)
  await db.close()
})

test('errors keep their details, and causes of causes, between threads', () => {
  const mine = new TypeError('mine')
  const there = (error) => deserializeError(structuredClone(serializeError(error)))
  const seen = there({ code: 'sqlite_error', message: 'm', hint: 'h', details: { offset: 3 }, cause: mine })
  assert.deepEqual([seen.code, seen.message, seen.hint, seen.details], ['sqlite_error', 'm', 'h', { offset: 3 }])
  assert.deepEqual([seen.cause.name, seen.cause.message], ['TypeError', 'mine'])
  assert.equal(there('text'), 'text')
  assert.equal(there({ code: 'sqlite_error', message: 'm', details: { f: () => 1 } }).details.f, '() => 1')
})

test('a channel calls functions of the caller, cancels calls, and rejects all when it ends', async () => {
  let stop
  const methods = {
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
  }
  const asking = new Channel(
    to(() => serving),
    {},
  )
  const serving = new Channel(
    to(() => asking),
    methods,
  )
  const told = []
  assert.equal(await asking.ask('steps', [(n) => told.push(n)]), 'done')
  assert.deepEqual(told, [1, 2, 3])
  const controller = new AbortController()
  const given = asking.ask('forever', [], { signal: controller.signal })
  controller.abort('enough')
  await assert.rejects(given, (error) => error instanceof Cancelled && error.reason === 'enough')
  assert.equal(stop.name, 'AbortError')
  const waiting = asking.ask('forever', [])
  asking.end(new Error('over'))
  await assert.rejects(waiting, /over/)
  await assert.rejects(asking.ask('steps', []), /over/)
})

test('a channel forwards calls and their cancellation to another one', async () => {
  const pair = (handlers) => {
    const asking = new Channel(
      to(() => serving),
      {},
    )
    const serving = new Channel(
      to(() => asking),
      handlers,
    )
    return asking
  }
  const waiting = (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  const far = pair({ add: (_, a, b) => a + b, forever: waiting })
  const near = pair(far.forwarders(['add', 'forever']))
  assert.equal(await near.stubs(['add']).add(1, 2), 3)
  const controller = new AbortController()
  const given = near.ask('forever', [], { signal: controller.signal })
  controller.abort('enough')
  await assert.rejects(given, (error) => error instanceof Cancelled && error.reason === 'enough')
})

test("a timeout names the call's timeoutMs, of which a part has passed before the call reaches the engine", async () => {
  const { db } = await openElsewhere()
  const { now } = Date
  let late = 0
  const calls = {
    query: (options) => db.query('SELECT 1', [], options),
    batch: (options) => db.batch([{ sql: 'SELECT 1' }], options),
    'with a signal': (options) => db.run('SELECT 1', [], { ...options, signal: new AbortController().signal }),
    transaction: (options) => db.transaction(() => {}, options),
  }
  const tx = await db.begin()
  const seen = await having(
    Date,
    'now',
    () => now.call(Date) + 5 * late++,
    async () => {
      const failed = Object.values(calls).map((call) => call({ timeoutMs: 100 }).catch((error) => error))
      return Promise.all(failed)
    },
  )
  assert.deepEqual(
    seen.map(({ message, details }) => [message, details]),
    Object.keys(calls).map(() => ['Call exceeded timeoutMs (100 ms)', { timeoutMs: 100 }]),
  )
  await tx.rollback()
  await db.close()
})
