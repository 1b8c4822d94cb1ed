import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deferred, fakeDatabase, settle } from './fake-core.mjs'

/** A database whose query gives the number `n`, which the test moves. */
function counter() {
  const parts = fakeDatabase()
  parts.core.answer = () => ({ columns: ['n'], rows: [[parts.n]] })
  parts.n = 0
  parts.set = async (n) => {
    parts.n = n
    parts.db.changed([...parts.core.watched.keys()])
    await settle()
  }
  return parts
}

test('the first result comes by itself, later ones with changes', async () => {
  const parts = counter()
  const live = parts.db.live('SELECT n')
  assert.equal(live.rows, undefined)
  const seen = []
  live.subscribe((rows) => seen.push(rows[0].n))
  await settle()
  await parts.set(1)
  await parts.set(2)
  assert.deepEqual(seen, [0, 1, 2])
  assert.deepEqual(live.rows, [{ n: 2 }])
  assert.deepEqual([...parts.core.watched.values()], ['SELECT n'])
})

test('a slow reader gets the latest rows, not a backlog', async () => {
  const parts = counter()
  const live = parts.db.live('SELECT n')
  const seen = []
  const gate = deferred()
  const reading = (async () => {
    for await (const [row] of live) {
      seen.push(row.n)
      if (row.n === 0) await gate.promise
      if (row.n === 9) break
    }
  })()
  await settle()
  for (const n of [1, 2, 3, 9]) await parts.set(n)
  gate.resolve()
  await reading
  assert.deepEqual(seen, [0, 9])
  assert.equal(live.closed, false, 'leaving a loop leaves the query open')
})

test('changes during a run give one more run', async () => {
  const parts = counter()
  const live = parts.db.live('SELECT n')
  await settle()
  parts.core.executed.length = 0
  const gate = deferred()
  const transaction = parts.db.transaction(() => gate.promise)
  for (const n of [1, 2, 3]) await parts.set(n)
  gate.resolve()
  await transaction
  await settle()
  assert.deepEqual(live.rows, [{ n: 3 }])
  assert.ok(parts.core.executed.length <= 2, String(parts.core.executed.length))
})

test('a late subscriber gets the present rows; one who left gets nothing', async () => {
  const parts = counter()
  const live = parts.db.live('SELECT n')
  await settle()
  const seen = []
  const leave = live.subscribe((rows) => seen.push(rows[0].n))
  await settle()
  assert.deepEqual(seen, [0])
  leave()
  await parts.set(1)
  assert.deepEqual(seen, [0])
})

test('an error goes to onError, to the loop, or to a warning; the query goes on', async () => {
  const parts = counter()
  const good = parts.core.answer
  const live = parts.db.live('SELECT n')
  await settle()
  const seen = []
  const errors = []
  live.subscribe(
    (rows) => seen.push(rows[0].n),
    (error) => errors.push(error.code),
  )
  live.subscribe(() => {})
  const iterator = live[Symbol.asyncIterator]()
  await iterator.next()
  parts.core.answer = () => {
    throw { code: 'sqlite_error', message: 'no such table: t' }
  }
  await parts.set(1)
  assert.deepEqual(errors, ['sqlite_error'])
  assert.equal(parts.warnings[0].code, 'sqlite_error')
  await assert.rejects(iterator.next(), { code: 'sqlite_error' })
  await assert.rejects(live.refresh(), { code: 'sqlite_error' })
  parts.core.answer = good
  await parts.set(2)
  assert.deepEqual(seen, [0, 2])
})

test('refresh runs it again now', async () => {
  const parts = counter()
  const live = parts.db.live('SELECT n')
  parts.n = 5
  assert.deepEqual(await live.refresh(), [{ n: 5 }])
  assert.deepEqual(live.rows, [{ n: 5 }])
})

test('close, the signal and the end of the database end loops and subscriptions', async () => {
  for (const end of ['close', 'signal', 'database', 'trap']) {
    const parts = counter()
    const controller = new AbortController()
    const live = parts.db.live('SELECT n', [], { signal: controller.signal })
    const seen = []
    live.subscribe((rows) => seen.push(rows[0].n))
    const loop = (async () => {
      let rounds = 0
      for await (const _ of live) rounds++
      return rounds
    })()
    await settle()
    if (end === 'close') live.close()
    if (end === 'signal') controller.abort()
    if (end === 'database') await parts.db.close()
    if (end === 'trap') parts.db.died(parts.calls.die(new WebAssembly.RuntimeError('unreachable')))
    assert.equal(await loop, 1, end)
    assert.equal(live.closed, true)
    if (end === 'close' || end === 'signal') assert.equal(parts.core.watched.size, 0)
    await parts.set(1)
    assert.deepEqual(seen, [0])
  }
})

test('parameters and row mode are those of the call', async () => {
  const parts = counter()
  const params = [1]
  const live = parts.db.live('SELECT n', params, { rowMode: 'array' })
  params[0] = 2
  await parts.set(4)
  assert.deepEqual(live.rows, [[4]])
  assert.deepEqual(parts.core.executed.at(-1).rows, [[{ integer: 1n }]])
})
