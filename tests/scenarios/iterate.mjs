// Loops over rows: how they begin and end. Writing during a loop is in rows.mjs.
import assert from 'node:assert/strict'
import { aborted } from './run/journal.mjs'

const numbers = 'WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < 999) SELECT i FROM n'
const steps = (db, ...query) => db.iterate(...query)[Symbol.asyncIterator]()

export default {
  'each loop runs the query when it begins, with the parameters of the call': async ({ memory }) => {
    const db = await memory()
    await db.exec('CREATE TABLE t (a)')
    const params = [1]
    const rows = db.iterate('SELECT ? AS given, count(*) AS n FROM t', params)
    params[0] = 2
    for (const n of [1, 2]) {
      await db.run('INSERT INTO t VALUES (1)')
      for await (const row of rows) assert.deepEqual(row, { given: 1, n })
    }
    for await (const row of db.iterate('SELECT 1 WHERE 0')) assert.fail(`a row: ${Object.keys(row)}`)
  },

  'a loop that was left has ended, and steps that were not awaited come in order': async ({ memory }) => {
    const db = await memory()
    const over = { done: true, value: undefined }
    const loop = steps(db, numbers)
    const first = await Promise.all([loop.next(), loop.next(), loop.next()])
    assert.deepEqual(
      first.map(({ value }) => value.i),
      [0, 1, 2],
    )
    assert.deepEqual(await loop.return(), over)
    assert.deepEqual(await loop.next(), over)
    // The loop is left while the query runs.
    const early = steps(db, numbers)
    const step = early.next()
    await early.return()
    assert.deepEqual(await step, over)
  },

  'a signal ends a loop before it begins, while it waits, and at the very row where it aborts': async ({ memory }) => {
    const db = await memory()
    const reason = new Error('enough')
    assert.equal(await aborted(steps(db, numbers, [], { signal: AbortSignal.abort(reason) }).next()), reason)
    const tx = await db.begin()
    const stop = new AbortController()
    const waiting = steps(db, numbers, [], { signal: stop.signal }).next()
    stop.abort(reason)
    assert.equal(await aborted(waiting), reason)
    await tx.rollback()
    const last = new AbortController()
    let seen
    const looping = async () => {
      for await (const { i } of db.iterate(numbers, [], { signal: last.signal, timeoutMs: 10_000 })) {
        seen = i
        if (i === 400) last.abort(reason)
      }
    }
    assert.equal(await aborted(looping()), reason)
    assert.equal(seen, 400)
  },

  'the loop throws the error of the query once': async ({ memory, failure }) => {
    const db = await memory()
    const loop = steps(db, 'SELECT * FROM nowhere')
    assert.equal((await failure(loop.next())).code, 'sqlite_error')
    assert.deepEqual(await loop.next(), { done: true, value: undefined })
    assert.equal((await failure(() => db.iterate('SELECT 1', [], { rowMode: 'array' }))).code, 'invalid_argument')
    await db.close()
    assert.equal((await failure(steps(db, 'SELECT 1').next())).code, 'closed')
  },
}
