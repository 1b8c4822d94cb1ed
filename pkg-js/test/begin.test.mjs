import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { deferred, fakeDatabase, settle } from './fake-core.mjs'

const ended = { code: 'transaction_closed' }

test('a transaction that was begun ends by its own calls', async () => {
  const { db, core } = fakeDatabase()
  const store = deferred()
  core.storing = store.promise
  const tx = await db.begin({ mode: 'immediate' })
  await tx.run('a')
  await tx.transaction((inner) => inner.run('b'))
  let committed = false
  const commit = tx.commit().then(() => {
    committed = true
  })
  await settle()
  assert.deepEqual(core.log, ['begin 1 immediate', 'a', 'begin 2', 'b', 'commit 2', 'commit 1'])
  assert.equal(core.waiting, 0, 'the next one starts at the commit')
  assert.equal(committed, false, 'not before it is stored')
  store.resolve()
  await commit

  core.log.length = 0
  const second = await db.begin()
  await second.run('a')
  await second.rollback()
  assert.deepEqual(core.log, ['begin 1', 'a', 'rollback 1'])
  assert.equal(core.waiting, 0)
  for (const over of [tx, second]) {
    await assert.rejects(over.query('x'), ended)
    await assert.rejects(over.commit(), ended)
    await assert.rejects(over.rollback(), ended)
  }
})

test('an end waits for the calls before it and refuses those after it', async () => {
  const { db, core } = fakeDatabase()
  const tx = await db.begin()
  const gate = deferred()
  const nested = tx.transaction(async (inner) => {
    await gate.promise
    await inner.run('inside')
  })
  const queued = tx.run('queued')
  const commit = tx.commit()
  await assert.rejects(tx.run('late'), ended)
  gate.resolve()
  await Promise.all([nested, queued, commit])
  assert.deepEqual(core.log, ['begin 1', 'begin 2', 'inside', 'commit 2', 'queued', 'commit 1'])
})

test('a commit that fails rolls back, after which a rollback has nothing to do', async () => {
  const { db, core } = fakeDatabase()
  core.failCommit = { code: 'sqlite_constraint', message: 'FOREIGN KEY constraint failed' }
  const tx = await db.begin()
  await assert.rejects(tx.commit(), { code: 'sqlite_constraint' })
  await tx.rollback()
  assert.deepEqual(core.log, ['begin 1', 'commit 1', 'rollback 1'])
  assert.equal(core.waiting, 0)
})

test('it waits for its turn, and gives up by its signal', async () => {
  const { db, core } = fakeDatabase()
  const first = await db.begin()
  const second = db.begin()
  const third = db.begin({ signal: AbortSignal.timeout(5) })
  await assert.rejects(third, { name: 'TimeoutError' })
  await first.rollback()
  await (await second).commit()
  assert.deepEqual(core.log, ['begin 1', 'rollback 1', 'begin 1', 'commit 1'])
  await assert.rejects(db.begin({ mode: 'exclusive' }), { code: 'invalid_argument' })
})

test('closing rolls back what is open, and what only waits never begins', async () => {
  const { db, core } = fakeDatabase()
  const open = await db.begin()
  await open.run('a')
  const waiting = db.begin()
  await db.close()
  assert.deepEqual(core.log.slice(0, 3), ['begin 1', 'a', 'rollback 1'])
  assert.equal(core.log.at(-1), 'close')
  await assert.rejects(waiting, { code: 'closed' })
  await assert.rejects(open.run('b'), ended)
  await assert.rejects(open.commit())
})

test('it warns when it is idle', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  try {
    const { db, warnings } = fakeDatabase()
    const tx = await db.begin()
    mock.timers.tick(5001)
    assert.equal(warnings[0]?.code, 'transaction_idle')
    await tx.rollback()
  } finally {
    mock.timers.reset()
  }
})

test('one that was forgotten is rolled back when the garbage collector finds it', async () => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc')
  const { db, core } = fakeDatabase()
  await (async () => {
    const tx = await db.begin()
    await tx.run('a')
  })()
  const next = db.run('next')
  for (let round = 0; round < 50 && core.log.length < 4; round++) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    gc()
  }
  assert.deepEqual(core.log, ['begin 1', 'a', 'rollback 1', 'next'])
  await next
})
