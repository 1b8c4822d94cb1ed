// Manual transactions: begun and ended by the caller.
import assert from 'node:assert/strict'
import { aborted, journal } from './run/journal.mjs'

export default {
  'an end waits for the calls before it and refuses those after it': async ({ memory, failure, until }) => {
    const { db, write, written } = await journal(memory)
    const tx = await db.begin()
    let release
    const nested = tx.transaction(async (inner) => {
      await new Promise((resolve) => (release = resolve))
      await write(inner, 'inside')
    })
    const queued = write(tx, 'queued')
    const commit = tx.commit()
    assert.equal((await failure(write(tx, 'late'))).code, 'transaction_closed')
    await until(() => release)
    release()
    await Promise.all([nested, queued, commit])
    assert.deepEqual(await written(), ['inside', 'queued'])
    for (const call of [() => tx.query('SELECT 1'), () => tx.commit(), () => tx.rollback()])
      assert.equal((await failure(call)).code, 'transaction_closed')
  },

  'a failed commit is rolled back, of a function and of a caller, who may call rollback then': async (t) => {
    const { db, write, written } = await journal(t.memory)
    await db.exec(
      'CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p DEFERRABLE INITIALLY DEFERRED)',
    )
    const orphan = async (tx) => {
      await write(tx, 'in vain')
      await tx.run('INSERT INTO c VALUES (1)')
    }
    assert.equal((await t.failure(db.transaction(orphan))).code, 'sqlite_constraint')
    const tx = await db.begin()
    await orphan(tx)
    assert.equal((await t.failure(tx.commit())).code, 'sqlite_constraint')
    await tx.rollback()
    assert.deepEqual(await written(), [])
  },

  'a begin that waits is cancelled by its signal, or by closing the database': async (t) => {
    const { db, write } = await journal(t.memory)
    const first = await db.begin()
    const reason = new Error('enough')
    const stop = new AbortController()
    const [stopped, second, third] = [db.begin({ signal: stop.signal }), db.begin({ mode: 'immediate' }), db.begin()]
    stop.abort(reason)
    assert.equal(await aborted(stopped), reason)
    await first.rollback()
    await write(await second, 'open')
    const closing = db.close()
    assert.equal((await t.failure(third)).code, 'closed')
    await closing
    const open = await second
    assert.equal((await t.failure(write(open, 'late'))).code, 'transaction_closed')
    assert.equal((await t.failure(open.commit())).code, 'transaction_closed')
  },
}
