// The steps of a transaction: order, nesting, and end.
import assert from 'node:assert/strict'
import { aborted, deferred, journal } from './run/journal.mjs'

export default {
  'calls on a transaction run in their order, and wait for a nested one': async ({ memory }) => {
    const { db, insert, write, written } = await journal(memory)
    await db.transaction(async (tx) => {
      const gate = deferred()
      const begun = deferred()
      const calls = [
        write(tx, 'run'),
        tx.transaction(async (inner) => {
          await write(inner, 'nested')
          begun.resolve()
          await gate.promise
          await write(inner, 'nested, later')
        }),
        tx.exec("INSERT INTO journal (what) VALUES ('exec')"),
        tx.sql`INSERT INTO journal (what) VALUES (${'sql'})`,
        tx.batch([{ sql: insert, params: ['batch'] }]),
        tx.transaction((inner) => write(inner, 'nested again')),
        tx.runMany(insert, [['many'], ['more']]),
        tx.get('SELECT count(*) AS n FROM journal').then(({ n }) => assert.equal(n, 9)),
      ]
      await begun.promise
      gate.resolve()
      await Promise.all(calls)
    })
    const order = ['run', 'nested', 'nested, later', 'exec', 'sql', 'batch', 'nested again', 'many', 'more']
    assert.deepEqual(await written(), order)
  },

  'a nested transaction that is not awaited is finished before the commit': async ({ memory }) => {
    const { db, write, written } = await journal(memory)
    await db.transaction((tx) => {
      tx.transaction(async (inner) => {
        await write(inner, 'first')
        await new Promise((resolve) => setTimeout(resolve))
        await write(inner, 'second')
      })
    })
    assert.deepEqual(await written(), ['first', 'second'])
  },

  'every call on a transaction that has ended is refused': async ({ memory, failure }) => {
    const { db, insert, written } = await journal(memory)
    let kept
    await db.transaction((tx) => {
      kept = tx
    })
    for (const call of [
      () => kept.query('SELECT 1'),
      () => kept.get('SELECT 1'),
      () => kept.run(insert, ['late']),
      () => kept.runMany(insert, [['late']]),
      () => kept.batch([{ sql: insert, params: ['late'] }]),
      () => kept.exec("INSERT INTO journal (what) VALUES ('late')"),
      () => kept.transaction((inner) => inner.run(insert, ['late'])),
      () => kept.sql`INSERT INTO journal (what) VALUES ('late')`,
    ])
      assert.equal((await failure(call)).code, 'transaction_closed', String(call))
    assert.deepEqual(await written(), [])
  },

  'a signal or a timeout rolls everything back, ends nested transactions, and the next call begins': async (t) => {
    const { db, write, written } = await journal(t.memory)
    const gate = deferred()
    let inner
    let nested
    const work = async (tx) => {
      await write(tx, 'outer')
      nested = tx.transaction(async (inside) => {
        inner = inside
        await write(inside, 'inner')
        await gate.promise
        await write(inside, 'too late')
      })
      nested.catch(() => {})
      await nested
    }
    const stop = new AbortController()
    const stopped = db.transaction(work, { signal: stop.signal })
    await t.until(() => inner)
    stop.abort('enough')
    assert.equal(await aborted(stopped), 'enough')
    await write(db, 'next')
    assert.equal((await t.failure(write(inner, 'too late'))).code, 'transaction_closed')
    gate.resolve()
    assert.equal((await t.failure(nested)).code, 'transaction_closed')

    const hanging = async (tx) => {
      await write(tx, 'in vain')
      await new Promise(() => {})
    }
    assert.equal((await t.failure(db.transaction(hanging, { timeoutMs: 20 }))).code, 'timeout')
    assert.deepEqual(await written(), ['next'])
  },
}
