import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isTidelockError, TidelockError } from '../src/errors.ts'
import { deferred, fakeDatabase, settle } from './fake-core.mjs'

test('concurrent writes all execute, in their order, before the first is waited for', async () => {
  const { db, core } = fakeDatabase()
  const store = deferred()
  core.storing = store.promise
  core.answer = () => ({ changes: 1, wrote: true })
  const writes = Array.from({ length: 100 }, (_, n) => db.run(`w${n}`))
  assert.deepEqual(
    core.log,
    Array.from({ length: 100 }, (_, n) => `w${n}`),
  )
  let done = 0
  for (const write of writes) write.then(() => done++)
  await settle()
  assert.equal(done, 0, 'no promise before the data is stored')
  store.resolve()
  await Promise.all(writes)
})

test('reading waits for no store', async () => {
  const { db, core } = fakeDatabase()
  core.storing = new Promise(() => {})
  core.answer = () => ({ columns: ['a'], rows: [[1]] })
  assert.deepEqual(await db.query('read'), [{ a: 1 }])
  assert.equal(core.storedCalls, 0)
})

test('a failed store rejects with what the core says', async () => {
  const { db, core } = fakeDatabase()
  core.answer = () => ({ wrote: true })
  core.storing = Promise.reject({
    code: 'storage_quota_exceeded',
    message: 'full',
    hint: 'free some',
    details: { applied: true },
  })
  const error = await db.run('w').catch((thrown) => thrown)
  assert.ok(error instanceof TidelockError)
  assert.deepEqual(error.toJSON(), {
    name: 'TidelockError',
    code: 'storage_quota_exceeded',
    message: 'full',
    retryable: false,
    hint: 'free some',
    details: { applied: true },
  })
})

test('an error of SQLite becomes a TidelockError and gives the turn back', async () => {
  const { db, core } = fakeDatabase()
  core.answer = () => {
    throw {
      code: 'sqlite_constraint',
      message: 'UNIQUE constraint failed: t.a',
      details: { sqliteCode: 'SQLITE_CONSTRAINT_UNIQUE' },
    }
  }
  await assert.rejects(db.run('w'), {
    name: 'TidelockError',
    code: 'sqlite_constraint',
    details: { sqliteCode: 'SQLITE_CONSTRAINT_UNIQUE' },
  })
  assert.equal(core.waiting, 0)
})

test('calls wait for a transaction, in their order', async () => {
  const { db, core } = fakeDatabase()
  const gate = deferred()
  const transaction = db.transaction(
    async (tx) => {
      await tx.run('in 1')
      await gate.promise
      await tx.run('in 2')
      return 'value'
    },
    { mode: 'immediate' },
  )
  const after = [db.run('out 1'), db.query('out 2'), db.transaction((tx) => tx.run('out 3')), db.exec('out 4')]
  await settle()
  assert.deepEqual(core.log, ['begin 1 immediate', 'in 1'])
  gate.resolve()
  assert.equal(await transaction, 'value')
  await Promise.all(after)
  assert.deepEqual(core.log, [
    'begin 1 immediate',
    'in 1',
    'in 2',
    'commit 1',
    'out 1',
    'out 2',
    'begin 1',
    'out 3',
    'commit 1',
    'out 4',
  ])
})

test('the next call starts at the commit, not when that is stored', async () => {
  const { db, core } = fakeDatabase()
  const store = deferred()
  core.storing = store.promise
  let committed = false
  const transaction = db
    .transaction((tx) => tx.run('w'))
    .then(() => {
      committed = true
    })
  await db.query('read')
  assert.equal(committed, false)
  store.resolve()
  await transaction
})

test('parameters are taken when the call is made, also when it waits', async () => {
  const { db, core } = fakeDatabase()
  const gate = deferred()
  const transaction = db.transaction(() => gate.promise)
  const row = { a: 1 }
  const rows = [[1], [2]]
  const calls = [db.run('named', row), db.runMany('many', rows)]
  row.a = 99
  rows[1][0] = 99
  rows.push([3])
  gate.resolve()
  await Promise.all([transaction, ...calls])
  assert.deepEqual(
    core.executed.map((one) => one.rows),
    [[[{ integer: 1n }]], [[{ integer: 1n }], [{ integer: 2n }]]],
  )
})

test('an abort ends the wait for the turn with the reason of the signal', async () => {
  const { db, core } = fakeDatabase()
  const gate = deferred()
  const transaction = db.transaction(() => gate.promise)
  const controller = new AbortController()
  const waiting = db.run('never', [], { signal: controller.signal })
  const next = db.run('next')
  const reason = new Error('enough')
  controller.abort(reason)
  await assert.rejects(waiting, (error) => error === reason)
  gate.resolve()
  await Promise.all([transaction, next])
  assert.deepEqual(core.log, ['begin 1', 'commit 1', 'next'])
  await assert.rejects(db.run('never', [], { signal: AbortSignal.abort(reason) }), (error) => error === reason)
})

test('a timeout ends the wait for the turn; what is left of it goes to the statement', async () => {
  const { db, core } = fakeDatabase()
  const gate = deferred()
  const transaction = db.transaction(() => gate.promise)
  await assert.rejects(db.run('never', [], { timeoutMs: 5 }), { code: 'timeout', retryable: true })
  const late = db.run('late', [], { timeoutMs: 10_000 })
  await new Promise((resolve) => setTimeout(resolve, 20))
  gate.resolve()
  await Promise.all([transaction, late])
  await db.run('free', [], { timeoutMs: 10_000 })
  const [first, second] = core.executed.map((one) => one.timeoutMs)
  assert.ok(first > 5000 && first < 10_000, String(first))
  assert.equal(second, 10_000)
})

test('an abort after the commit is ignored', async () => {
  const { db, core } = fakeDatabase()
  const store = deferred()
  core.storing = store.promise
  core.answer = () => ({ changes: 1, wrote: true })
  const controller = new AbortController()
  const write = db.run('w', [], { signal: controller.signal })
  controller.abort()
  store.resolve()
  assert.equal((await write).changes, 1)
})

test('options of calls are checked', async () => {
  const { db } = fakeDatabase()
  for (const options of [{ timeoutMs: 0 }, { timeoutMs: 'x' }, { signal: {} }, { typo: 1 }, 5, { rowMode: 'list' }]) {
    await assert.rejects(db.query('x', [], options), { code: 'invalid_argument' })
  }
  await assert.rejects(db.query(5), { code: 'invalid_argument' })
  await assert.rejects(db.transaction('x'), { code: 'invalid_argument' })
  await assert.rejects(
    db.transaction(() => {}, { mode: 'exclusive' }),
    { code: 'invalid_argument' },
  )
  await assert.rejects(db.exec(undefined), { code: 'invalid_argument' })
})

test('a batch is one transaction; its error says which statement', async () => {
  const { db, core } = fakeDatabase()
  core.answer = ({ sql }) => {
    if (sql === 'bad') throw { code: 'sqlite_error', message: 'no', details: { offset: 3 } }
    return { columns: ['a'], rows: [[sql]] }
  }
  assert.deepEqual(await db.batch([{ sql: 'x' }, { sql: 'y', params: [1] }]), [[{ a: 'x' }], [{ a: 'y' }]])
  assert.deepEqual(core.log, ['begin 1', 'x', 'y', 'commit 1'])
  core.log.length = 0
  await assert.rejects(db.batch([{ sql: 'x' }, { sql: 'bad' }]), {
    code: 'sqlite_error',
    details: { offset: 3, statement: 2 },
  })
  assert.deepEqual(core.log, ['begin 1', 'x', 'bad', 'rollback 1'])
  await assert.rejects(db.batch('x'), { code: 'invalid_argument' })
  await assert.rejects(db.batch([null]), { code: 'invalid_argument' })
})

test('close lets finish what was called before it and refuses what comes after', async () => {
  const { db, core } = fakeDatabase()
  const gate = deferred()
  const closes = []
  db.addEventListener('close', (event) => closes.push(event.detail))
  const transaction = db.transaction(async (tx) => {
    await gate.promise
    await tx.run('in')
  })
  const before = db.run('before')
  const closing = db.close()
  assert.equal(db.close(), closing)
  assert.equal(db.closed, true)
  await assert.rejects(db.run('after'), { code: 'closed' })
  gate.resolve()
  await Promise.all([transaction, before, closing])
  assert.deepEqual(core.log, ['begin 1', 'in', 'commit 1', 'before', 'close'])
  await assert.rejects(db.query('after'), { code: 'closed' })
  await assert.rejects(db.snapshots.list(), { code: 'closed' })
  assert.throws(() => db.live('x'), { code: 'closed' })
  assert.equal(closes.length, 1)
  const health = await db.health()
  assert.equal(health.status, 'failed')
  assert.equal(health.name, 'test')
})

test('disposing is closing', async () => {
  const { db, core } = fakeDatabase()
  await db[Symbol.asyncDispose]()
  assert.equal(db.closed, true)
  assert.deepEqual(core.log, ['close'])
})

test('a trap rejects all that waits with internal, then the database is closed', async () => {
  const { db, core, dead } = fakeDatabase()
  const closes = []
  db.addEventListener('close', (event) => closes.push(event.detail.reason))
  core.storing = new Promise(() => {})
  core.answer = ({ sql }) => {
    if (sql === 'trap') throw new WebAssembly.RuntimeError('unreachable')
    return { wrote: true }
  }
  const stored = db.run('w')
  await settle()
  const trapped = db.run('trap')
  for (const call of [stored, trapped]) {
    const error = await call.catch((thrown) => thrown)
    assert.ok(isTidelockError(error, 'internal'))
    assert.ok(error.cause instanceof WebAssembly.RuntimeError)
  }
  assert.equal(db.closed, true)
  assert.equal(dead.length, 1)
  const after = await db.run('x').catch((thrown) => thrown)
  assert.ok(isTidelockError(after, 'closed'))
  assert.ok(isTidelockError(after.cause, 'internal'))
  await db.close()
  assert.equal((await db.health()).status, 'failed')
})

test('a trap also ends a transaction whose function hangs, and those in line', async () => {
  const { db, calls } = fakeDatabase()
  const transaction = db.transaction(() => new Promise(() => {}))
  const inLine = db.run('w')
  calls.die(new WebAssembly.RuntimeError('unreachable'))
  await assert.rejects(transaction, { code: 'internal' })
  await assert.rejects(inLine, { code: 'internal' })
})

test('what migrations are asked for reaches the engine checked', async () => {
  const { db, core } = fakeDatabase()
  const given = []
  for (const call of ['Run', 'Redo', 'Reset', 'Forget', 'Drop', 'Drift', 'Generate', 'Sync', 'Lint'])
    core[`migrations${call}`] = async (...args) => {
      given.push([call, ...args])
    }
  await db.migrations.run({ atomic: 'all', steps: 2 })
  await db.migrations.reset({ force: true })
  await db.migrations.forget('2')
  await db.migrations.generate('', { renames: { a: 'b', 'c.d': 'c.e' } })
  await db.migrations.sync('CREATE TABLE a(b)')
  assert.deepEqual(given, [
    ['Run', { steps: 2, atomic: 'all' }],
    ['Reset'],
    ['Forget', '2'],
    ['Generate', '', ['a', 'b', 'c.d', 'c.e']],
    ['Sync', 'CREATE TABLE a(b)'],
  ])
  const wrong = { code: 'invalid_argument' }
  for (const force of [undefined, {}, { force: false }, { force: 1 }, { force: true, more: 1 }]) {
    await assert.rejects(db.migrations.reset(force), wrong)
    await assert.rejects(db.migrations.drop(force), wrong)
  }
  for (const renames of [[], 'a', { a: 1 }, { a: '' }])
    await assert.rejects(db.migrations.generate('', { renames }), wrong)
  for (const call of ['forget', 'generate', 'sync']) await assert.rejects(db.migrations[call](), wrong)
  await assert.rejects(db.migrations.run({ atomic: 'some' }), wrong)
  await assert.rejects(db.migrations.revert({ atomic: 'all' }), wrong)
  assert.equal(given.length, 5)
})

test('rekey takes a passphrase, a key or null', async () => {
  const { db, core } = fakeDatabase()
  const given = []
  core.rekey = async (encryption) => {
    given.push(encryption)
  }
  await db.rekey({ passphrase: 'words' })
  await db.rekey(null)
  assert.deepEqual(given, [{ passphrase: 'words' }, null])
  for (const wrong of [undefined, {}, { passphrase: '' }, 'words'])
    await assert.rejects(db.rekey(wrong), { code: 'invalid_argument' })
  assert.equal(given.length, 2)
})

test('a moment goes to the core in milliseconds; what is none, or names no zone, is refused', async () => {
  const { db, core } = fakeDatabase()
  const asked = []
  core.snapshotsRestoreAt = async (at, options) => asked.push([at, options.force])
  await db.snapshots.restore({ at: '2026-11-20T12:00:00.5+02:00' })
  await db.snapshots.restore({ at: new Date(5) }, { force: true })
  assert.deepEqual(asked, [
    [Date.UTC(2026, 10, 20, 10, 0, 0, 500), false],
    [5, true],
  ])
  for (const at of [undefined, 5, '', '2026-11-20', '2026-11-20T12:00:00', 'soon', new Date(Number.NaN)])
    await assert.rejects(db.snapshots.restore({ at }), { code: 'invalid_argument' })
  for (const wrong of [null, 5, '', {}, { at: new Date(), id: '1' }])
    await assert.rejects(db.snapshots.restore(wrong), { code: 'invalid_argument' })
  assert.equal(asked.length, 2)
})

test('a sync without a remote says what is missing; the outbox can be read', async () => {
  const { db, core } = fakeDatabase()
  core.syncPending = async () => []
  await assert.rejects(db.sync.pull(), { code: 'invalid_argument', hint: /remote/ })
  assert.deepEqual(await db.sync.pending(), [])
})

test('an aborted pull tells the core and rejects with the reason, unless it went through', async () => {
  const { db, core } = fakeDatabase({ remote: {} })
  const pull = deferred()
  core.syncPull = (options, progress, cancel) => {
    core.pulled = { options, cancel }
    progress({ table: 't', rows: 1, total: null, bytes: 9 })
    return pull.promise
  }
  const steps = []
  const controller = new AbortController()
  const running = db.sync.pull({ signal: controller.signal, onProgress: (step) => steps.push(step) })
  assert.deepEqual(core.pulled, {
    options: { mode: 'merge', full: false, allowEmpty: false, discardUnpushed: false },
    cancel: 7,
  })
  assert.equal(steps[0].table, 't')
  controller.abort('stop')
  await null
  assert.deepEqual(core.cancelled, [7])
  pull.reject({ code: 'internal', message: 'cancelled' })
  await assert.rejects(running, (error) => error === 'stop')

  const second = new AbortController()
  core.syncPull = async () => {
    second.abort()
    return { mode: 'merge', tables: [], ms: 1 }
  }
  assert.equal((await db.sync.pull({ signal: second.signal })).mode, 'merge')
})

test('a statement that ran before runs again by its number, without its text', async () => {
  const { db, core } = fakeDatabase()
  core.answer = ({ rows }) => ({ columns: ['a'], rows: [[rows[0]?.[0] ?? null]] })
  for (const value of ['x', 'y', 'z']) assert.deepEqual(await db.get('q', [value]), { a: value })
  assert.equal(core.runsAgain, 2)
  assert.deepEqual(await db.query('q', { b: 'named' }), [{ a: 'named' }])
  assert.equal(core.runsAgain, 2, 'other names have to be told')
  assert.deepEqual(await db.query('q', { b: 'again' }), [{ a: 'again' }])
  assert.deepEqual(core.executed.at(-1).names, ['b'])
  assert.equal(core.runsAgain, 3)
  core.known.clear()
  assert.deepEqual(await db.query('q', { b: 'forgotten' }), [{ a: 'forgotten' }])
  await db.transaction(async (tx) => {
    assert.deepEqual(await tx.get('q', { b: 'inside' }), { a: 'inside' })
  })
  assert.equal(core.runsAgain, 4)
  assert.equal(core.waiting, 0)
})

test('what runs again waits for its turn, and its error gives the turn back', async () => {
  const { db, core } = fakeDatabase()
  await db.run('w')
  core.log.length = 0
  const gate = deferred()
  const transaction = db.transaction(async (tx) => {
    await gate.promise
    await tx.run('inside')
  })
  const params = [1]
  const waiting = db.run('w', params)
  params[0] = 2
  await settle()
  assert.deepEqual(core.log, ['begin 1'])
  gate.resolve()
  await Promise.all([transaction, waiting])
  assert.deepEqual(core.log, ['begin 1', 'inside', 'commit 1', 'w'])
  assert.deepEqual(core.executed.at(-1).rows, [[{ integer: 1n }]], 'as they were at the call')
  core.answer = () => {
    throw { code: 'sqlite_constraint', message: 'UNIQUE constraint failed' }
  }
  await assert.rejects(db.run('w'), (error) => isTidelockError(error, 'sqlite_constraint'))
  await assert.rejects(db.run('w', [Number.NaN]), { code: 'invalid_argument' })
  assert.equal(core.waiting, 0)
})

test('more statements than are kept: those that were replaced are told as text', async () => {
  const { db, core } = fakeDatabase()
  core.answer = () => ({ columns: ['a'], rows: [[1]] })
  // The fake core gives all of them the same place.
  for (const sql of ['a', 'b', 'a', 'b', 'b']) assert.deepEqual(await db.get(sql), { a: 1 })
  assert.equal(core.runsAgain, 1)
})

test('commits are told only where somebody listens', () => {
  const { db, core } = fakeDatabase()
  db.addEventListener('close', () => {})
  assert.equal(core.tellsChanges, false)
  db.addEventListener('change', () => {})
  assert.equal(core.tellsChanges, true)
})

test('calls settle in the order in which they were made, those that run again too', async () => {
  const { db, core } = fakeDatabase()
  core.answer = () => ({ changes: 1, wrote: true })
  const done = []
  await Promise.all(Array.from({ length: 5 }, (_, n) => db.run('w', [n]).then(() => done.push(n))))
  assert.deepEqual(done, [0, 1, 2, 3, 4])
  assert.equal(core.runsAgain, 4)
})
