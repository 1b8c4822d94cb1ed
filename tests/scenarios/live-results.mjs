// Results of live queries: order, readers and end. When they run is in live.mjs.
import assert from 'node:assert/strict'
import { deferred } from './run/journal.mjs'

/** Opens a database with a number: `set(n)` changes it, `live()` follows it. */
async function counter(memory, options) {
  const db = await memory(options)
  await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (0)')
  return {
    db,
    set: (n) => db.run('UPDATE t SET n = ?', [n]),
    live: (options) => db.live('SELECT n FROM t', [], options),
  }
}

const numbers = (seen) => (rows) => void seen.push(rows[0].n)

export default {
  'a slow reader gets the latest rows, not a backlog, and leaves the query open': async ({ memory, until }) => {
    const { set, live } = await counter(memory)
    const query = live()
    const seen = []
    const gate = deferred()
    const reading = (async () => {
      for await (const [{ n }] of query) {
        // A commit that a running query already sees may give the same rows once more.
        if (n === seen.at(-1)) continue
        seen.push(n)
        if (n === 0) await gate.promise
        if (n === 9) set(10)
        if (n === 10) break
      }
    })()
    await until(() => seen.length === 1)
    for (const n of [1, 2, 3, 9]) await set(n)
    await until(() => query.rows[0].n === 9)
    gate.resolve()
    await reading
    assert.deepEqual(seen, [0, 9, 10])
    assert.equal(query.closed, false)
  },

  'changes before the next run give one result, and a change during a run is not missed': async ({ memory, until }) => {
    const { db, set, live } = await counter(memory)
    const seen = []
    live().subscribe(numbers(seen))
    await until(() => seen.length === 1)
    const tx = await db.begin()
    const writes = Array.from({ length: 50 }, (_, n) => set(n + 1))
    await tx.rollback()
    await Promise.all(writes)
    await until(() => seen.at(-1) === 50)
    assert.ok(seen.length <= 3, `${seen}`)
    // With so many rows the page makes objects of them in slices, between which other calls run.
    const many =
      'WITH RECURSIVE k(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM k WHERE i < 40000) SELECT n, i FROM t, k'
    const large = db.live(many)
    await large.refresh()
    const refreshed = large.refresh()
    await new Promise((resolve) => setTimeout(resolve))
    await set(51)
    await refreshed
    await until(() => large.rows[0].n === 51)
  },

  'the first result comes without a call, a late subscriber gets the latest one, and refresh runs the query': async (
    t,
  ) => {
    const { set, live } = await counter(t.memory)
    const query = live()
    assert.equal(query.rows, undefined)
    // Vue's ref() recognises by this tag that it must not wrap the object.
    assert.equal(String(query), '[object LiveQuery]')
    assert.deepEqual(await query.refresh(), [{ n: 0 }])
    const seen = []
    const leave = query.subscribe(numbers(seen))
    await t.until(() => seen.length === 1)
    assert.deepEqual(seen, [0])
    leave()
    await set(1)
    assert.deepEqual(await query.refresh(), [{ n: 1 }])
    assert.deepEqual(query.rows, [{ n: 1 }])
    assert.deepEqual(seen, [0])
  },

  'a query stops when its last reader leaves, and starts again with the next one': async ({ memory, until }) => {
    const { db, set, live } = await counter(memory)
    const runs = async () => (await db.health()).queries.count
    const queries = Array.from({ length: 20 }, () => live())
    for (const query of queries) {
      const leave = query.subscribe(() => {})
      for await (const _ of query) break
      leave()
    }
    const before = await runs()
    await set(1)
    await set(2)
    assert.equal((await runs()) - before, 2)
    const [query] = queries
    assert.deepEqual([query.closed, query.rows], [false, [{ n: 0 }]])
    const seen = []
    const leave = query.subscribe(numbers(seen))
    await until(() => seen.at(-1) === 2)
    await set(3)
    await until(() => seen.at(-1) === 3)
    assert.deepEqual(seen, [2, 3])
    // A reader that leaves in the same task in which the next one comes, as in frameworks, causes no run.
    const then = await runs()
    leave()
    const stay = query.subscribe(numbers(seen))
    await until(() => seen.length === 3)
    assert.deepEqual([seen.at(-1), await runs()], [3, then])
    stay()
    await set(4)
    const loop = query[Symbol.asyncIterator]()
    assert.deepEqual((await loop.next()).value, [{ n: 4 }])
    await loop.return()
    await set(5)
    assert.deepEqual(await query.refresh(), [{ n: 5 }])
    const last = await runs()
    await set(6)
    assert.equal((await runs()) - last, 1)
    await db.close()
    assert.equal(query.closed, true)
  },

  'an error goes to onError, to the loop, or to a warning; the query continues': async (t) => {
    const { db, set, live } = await counter(t.memory)
    const query = live()
    const seen = []
    const errors = []
    query.subscribe(numbers(seen), (error) => errors.push(error.code))
    query.subscribe(() => {})
    const loop = query[Symbol.asyncIterator]()
    await loop.next()
    await t.until(() => seen.length === 1)
    // It may fail before the call that causes it resolves.
    const failing = t.failure(loop.next())
    await db.exec('ALTER TABLE t RENAME TO away')
    assert.equal((await failing).code, 'sqlite_error')
    await t.until(() => errors.length > 0)
    assert.deepEqual([errors[0], t.warnings[0].code], ['sqlite_error', 'sqlite_error'])
    assert.equal((await t.failure(query.refresh())).code, 'sqlite_error')
    await db.exec('ALTER TABLE away RENAME TO t')
    await set(2)
    await t.until(() => seen.at(-1) === 2)
  },

  'close, the signal and closing the database end loops and subscriptions': async ({ memory, until }) => {
    for (const end of ['close', 'signal', 'database']) {
      const { db, set, live } = await counter(memory)
      const stop = new AbortController()
      const query = live({ signal: stop.signal })
      const seen = []
      query.subscribe(numbers(seen))
      let rounds = 0
      const loop = (async () => {
        for await (const _ of query) rounds++
      })()
      await until(() => rounds === 1 && seen.length === 1)
      if (end === 'close') query.close()
      else if (end === 'signal') stop.abort()
      else await db.close()
      await loop
      assert.equal(query.closed, true, end)
      // Another query, registered after it, reports the change.
      if (end !== 'database') {
        const other = live()
        await other.refresh()
        await set(1)
        await until(() => other.rows[0].n === 1)
      }
      assert.deepEqual([rounds, seen], [1, [0]], end)
    }
  },

  'refresh and setWindow of an ended live query reject, also those that wait behind a transaction': async (t) => {
    const { db } = await counter(t.memory)
    const why = new Error('why')
    const aborted = await t.failure(Promise.reject(why))
    for (const end of ['close', 'signal']) {
      const check = async (call) => {
        const error = await t.failure(call)
        if (end === 'close') assert.equal(error.code, 'closed')
        else assert.deepEqual(error, aborted)
      }
      const begin = () => {
        const stop = new AbortController()
        const live = db.live('SELECT n FROM t', [], { limit: 1, signal: stop.signal })
        return { live, stop: () => (end === 'close' ? live.close() : stop.abort(why)) }
      }
      // Before and after its first result.
      for (const isRead of [false, true]) {
        const { live, stop } = begin()
        if (isRead) await live.refresh()
        stop()
        await check(live.refresh())
        await check(live.setWindow({ offset: 1 }))
      }
      const { live, stop } = begin()
      const tx = await db.begin()
      const calls = [live.refresh(), live.setWindow({ limit: 2 })].map(check)
      const loop = live[Symbol.asyncIterator]().next()
      stop()
      await Promise.all(calls)
      assert.deepEqual(await loop, { done: true, value: undefined })
      await tx.rollback()
    }
    const live = db.live('SELECT n FROM t', [], { signal: AbortSignal.abort(why) })
    assert.deepEqual(await t.failure(live.refresh()), aborted)
    live.close()
    assert.deepEqual(await t.failure(live.refresh()), aborted, 'the first end counts')
    // Loops end, subscribers aren't called, and no other promise rejects.
    live.subscribe(assert.fail, assert.fail)
    for await (const rows of live) assert.fail(rows)
    await db.close()
    assert.equal((await t.failure(live.refresh())).message, 'The database is closed')
  },

  'parameters and row mode are those of the call': async ({ memory, failure, until }) => {
    const { db, set } = await counter(memory)
    const params = [7]
    const query = db.live('SELECT n, ? FROM t', params, { rowMode: 'array' })
    params[0] = 8
    await until(() => query.rows)
    await set(4)
    await until(() => query.rows[0][0] === 4)
    assert.deepEqual(query.rows, [[4, 7]])
    assert.equal((await failure(() => db.live('SELECT 1', [], { rowMode: 'columns' }))).code, 'invalid_argument')
  },

  'a change event has its tables, and its listener may use the database; close is reported once': async (t) => {
    const { db, set } = await counter(t.memory)
    const told = []
    db.addEventListener('change', ({ detail }) =>
      told.push(db.get('SELECT n FROM t').then(({ n }) => [detail.tables, n])),
    )
    let closes = 0
    db.addEventListener('close', ({ detail }) => {
      assert.equal(detail.reason, 'closed')
      closes++
    })
    await set(5)
    await t.until(() => told.length === 1)
    assert.deepEqual(await told[0], [['t'], 5])
    await Promise.all([db.close(), db.close()])
    assert.equal(closes, 1)
  },
}
