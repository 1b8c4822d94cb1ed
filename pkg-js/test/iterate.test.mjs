import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deferred, fakeDatabase, settle } from './fake-core.mjs'

const count = 1000

function thousand() {
  const fake = fakeDatabase()
  fake.core.answer = ({ sql }) =>
    sql === 'w'
      ? { changes: 1, wrote: true }
      : {
          columns: ['n', 't', 'b'],
          rows: Array.from({ length: count }, (_, n) => [n, n % 3 ? `text ${n}` : `tëxt 😀 ${n}`, new Uint8Array([n])]),
        }
  return fake
}

const row = (n) => ({ n, t: n % 3 ? `text ${n}` : `tëxt 😀 ${n}`, b: new Uint8Array([n]) })

test('a loop gets all rows of one moment, and may write', async () => {
  const { db, core } = thousand()
  let n = 0
  for await (const found of db.iterate('q', [1])) {
    assert.deepEqual(found, row(n))
    // Other results come and go in the memory that this one came from.
    if (n % 200 === 0) await db.run('w', [n])
    if (n === 300) assert.equal((await db.query('other')).length, count)
    n++
  }
  assert.equal(n, count)
  assert.equal(core.log.filter((sql) => sql === 'q').length, 1)
  assert.equal(core.waiting, 0)
})

test('nothing runs before the loop begins, each loop runs anew, and parameters are those of the call', async () => {
  const { db, core } = thousand()
  const params = [1]
  const rows = db.iterate('q', params)
  params[0] = 2
  assert.deepEqual(core.log, [])
  for (let loop = 1; loop <= 2; loop++) {
    for await (const found of rows) {
      assert.deepEqual(found, row(0))
      break
    }
    assert.equal(core.executed.length, loop)
  }
  assert.deepEqual(core.executed[1].rows, [[{ integer: 1n }]])
})

test('a loop that is left is over', async () => {
  const { db } = thousand()
  const loop = db.iterate('q')[Symbol.asyncIterator]()
  assert.deepEqual(await loop.next(), { done: false, value: row(0) })
  assert.deepEqual(await loop.return(), { done: true, value: undefined })
  assert.deepEqual(await loop.next(), { done: true, value: undefined })
  const early = db.iterate('q')[Symbol.asyncIterator]()
  const first = early.next()
  await early.return()
  assert.deepEqual(await first, { done: true, value: undefined })
})

test('steps that nobody awaited come in order', async () => {
  const { db } = thousand()
  const loop = db.iterate('q')[Symbol.asyncIterator]()
  const steps = await Promise.all([loop.next(), loop.next(), loop.next()])
  assert.deepEqual(
    steps.map(({ value }) => value.n),
    [0, 1, 2],
  )
})

test('a signal ends a loop before it begins, while it waits, and between rows', async () => {
  const { db, core } = thousand()
  const reason = new Error('enough')
  const same = (error) => error === reason
  const all = async (options) => {
    let n = 0
    for await (const found of db.iterate('q', [], options)) {
      n++
      if (found.n === 400) stop.abort(reason)
    }
    return n
  }
  let stop = new AbortController()
  await assert.rejects(all({ signal: AbortSignal.abort(reason) }), same)
  await assert.rejects(all({ signal: stop.signal }), same)
  stop = new AbortController()
  const gate = deferred()
  const transaction = db.transaction(() => gate.promise)
  const waiting = all({ signal: stop.signal })
  await settle()
  stop.abort(reason)
  await assert.rejects(waiting, same)
  gate.resolve()
  await transaction
  assert.equal(core.waiting, 0)
  assert.equal(await all({ timeoutMs: 10_000, signal: new AbortController().signal }), count)
})

test('what the query rejects with, the loop throws, once', async () => {
  const { db } = thousand()
  const loop = db.iterate('wrong')[Symbol.asyncIterator]()
  await assert.rejects(loop.next(), { code: 'sqlite_error', details: { offset: 0 } })
  assert.deepEqual(await loop.next(), { done: true, value: undefined })
  assert.throws(() => db.iterate('q', [], { rowMode: 'array' }), { code: 'invalid_argument' })
  await db.close()
  await assert.rejects(db.iterate('q')[Symbol.asyncIterator]().next(), { code: 'closed' })
})

test('no rows, no steps', async () => {
  const { db, core } = thousand()
  core.answer = () => ({ columns: ['a'], rows: [] })
  for await (const found of db.iterate('q')) assert.fail(found)
})
