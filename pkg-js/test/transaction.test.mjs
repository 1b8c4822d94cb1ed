import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { deferred, fakeDatabase, settle } from './fake-core.mjs'

test('a transaction rolls back when its function throws, with that very error', async () => {
  const { db, core } = fakeDatabase()
  const error = new Error('mine')
  await assert.rejects(
    db.transaction(async (tx) => {
      await tx.run('w')
      throw error
    }),
    (thrown) => thrown === error,
  )
  assert.deepEqual(core.log, ['begin 1', 'w', 'rollback 1'])
  assert.equal(core.waiting, 0)
})

test('a commit that fails is rolled back', async () => {
  const { db, core } = fakeDatabase()
  core.failCommit = { code: 'sqlite_constraint', message: 'FOREIGN KEY constraint failed' }
  await assert.rejects(
    db.transaction((tx) => tx.run('w')),
    { code: 'sqlite_constraint' },
  )
  assert.deepEqual(core.log, ['begin 1', 'w', 'commit 1', 'rollback 1'])
})

test('every call on a transaction that has ended rejects', async () => {
  const { db, core } = fakeDatabase()
  let kept
  await db.transaction((tx) => {
    kept = tx
  })
  core.log.length = 0
  const closed = { code: 'transaction_closed' }
  await assert.rejects(kept.query('x'), closed)
  await assert.rejects(kept.get('x'), closed)
  await assert.rejects(kept.run('x'), closed)
  await assert.rejects(kept.runMany('x', [[1]]), closed)
  await assert.rejects(kept.batch([{ sql: 'x' }]), closed)
  await assert.rejects(kept.exec('x'), closed)
  await assert.rejects(
    kept.transaction(() => {}),
    closed,
  )
  await assert.rejects(kept.sql`x`, closed)
  assert.deepEqual(core.log, [])
})

test('nested transactions are savepoints: calls on the outer one wait', async () => {
  const { db, core } = fakeDatabase()
  const gate = deferred()
  await db.transaction(async (tx) => {
    await tx.run('a')
    const inner = tx.transaction(async (inside) => {
      await inside.run('b')
      await gate.promise
      await inside.run('c')
    })
    const after = [tx.run('d'), tx.transaction((inside) => inside.run('e')), tx.run('f')]
    await settle()
    assert.deepEqual(core.log, ['begin 1', 'a', 'begin 2', 'b'])
    gate.resolve()
    await Promise.all([inner, ...after])
  })
  assert.deepEqual(core.log, [
    'begin 1',
    'a',
    'begin 2',
    'b',
    'c',
    'commit 2',
    'd',
    'begin 2',
    'e',
    'commit 2',
    'f',
    'commit 1',
  ])
})

test('a nested one that throws takes back only itself', async () => {
  const { db, core } = fakeDatabase()
  await db.transaction(async (tx) => {
    await tx.run('a')
    await assert.rejects(
      tx.transaction(async (inner) => {
        await inner.transaction((innermost) => innermost.run('b'))
        throw new Error('no')
      }),
      { message: 'no' },
    )
    await tx.run('c')
  })
  assert.deepEqual(core.log, ['begin 1', 'a', 'begin 2', 'begin 3', 'b', 'commit 3', 'rollback 2', 'c', 'commit 1'])
})

test('a nested one that nobody awaited is finished before the commit', async () => {
  const { db, core } = fakeDatabase()
  await db.transaction(async (tx) => {
    tx.transaction(async (inner) => {
      await settle()
      await inner.run('a')
    })
  })
  assert.deepEqual(core.log, ['begin 1', 'begin 2', 'a', 'commit 2', 'commit 1'])
})

test('an abort rolls everything back, ends what is nested, and frees the turn', async () => {
  const { db, core } = fakeDatabase()
  const controller = new AbortController()
  let inner
  let nested
  const running = db.transaction(
    async (tx) => {
      nested = tx.transaction(async (inside) => {
        inner = inside
        await new Promise((resolve) => setTimeout(resolve, 20))
        await inside.run('too late')
      })
      await nested
    },
    { signal: controller.signal },
  )
  await settle()
  controller.abort('reason')
  await assert.rejects(running, (error) => error === 'reason')
  assert.deepEqual(core.log, ['begin 1', 'begin 2', 'rollback 1'])
  await db.run('next')
  await assert.rejects(inner.run('x'), { code: 'transaction_closed' })
  await assert.rejects(nested, { code: 'transaction_closed' })
  assert.deepEqual(core.log, ['begin 1', 'begin 2', 'rollback 1', 'next'])
})

test('a transaction that takes too long is rolled back', async () => {
  const { db, core } = fakeDatabase()
  await assert.rejects(
    db.transaction(() => new Promise(() => {}), { timeoutMs: 5 }),
    { code: 'timeout' },
  )
  assert.deepEqual(core.log, ['begin 1', 'rollback 1'])
})

test('in a transaction calls run in their order, whatever they are', async () => {
  const { db, core } = fakeDatabase()
  await db.transaction(async (tx) => {
    await Promise.all([tx.run('a'), tx.exec('b'), tx.sql`c`, tx.batch([{ sql: 'd' }]), tx.get('e')])
  })
  assert.deepEqual(core.log, ['begin 1', 'a', 'b', 'c', 'begin 2', 'd', 'commit 2', 'e', 'commit 1'])
  assert.equal(core.storedCalls, 1)
})

test('an idle transaction is warned about once', async () => {
  mock.timers.enable({ apis: ['setTimeout'] })
  let now = 0
  mock.method(Date, 'now', () => now)
  const pass = (ms) => {
    now += ms
    mock.timers.tick(ms)
  }
  try {
    const { db, warnings } = fakeDatabase()
    const gate = deferred()
    const transaction = db.transaction(async (tx) => {
      pass(4000)
      await tx.run('a')
      pass(4000)
      assert.deepEqual(warnings, [])
      pass(1500)
      assert.equal(warnings[0]?.code, 'transaction_idle')
      pass(60_000)
      await gate.promise
    })
    gate.resolve()
    await transaction
    assert.equal(warnings.length, 1)
    pass(60_000)
    assert.equal(warnings.length, 1)
  } finally {
    mock.reset()
    mock.timers.reset()
  }
})
