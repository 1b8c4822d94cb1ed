// What a close waits for, and what it ends.
import assert from 'node:assert/strict'

export default {
  'close finishes the calls made so far, also those that first load or read something': async (t) => {
    const calls = {
      verify: async (db, { id }) => assert.equal((await db.snapshots.verify(id)).ok, true),
      'snapshots.export': async (db, { id }) => assert.ok((await db.snapshots.export(id)).size > 0),
      history: async (db) => assert.ok((await db.snapshots.history()).points.length > 0),
      create: (db) => db.snapshots.create(),
      delete: (db, { id }) => db.snapshots.delete(id),
      import: (db, { file }) => db.import(new Blob([file])),
      'snapshots.import': (db, { file }) => db.snapshots.import(file),
      restore: (db, { id }) => db.snapshots.restore(id),
      'restore by time': (db, { at }) => db.snapshots.restore({ at }),
      maintain: async (db) => assert.equal((await db.maintain()).ok, true),
      rekey: (db) => db.rekey({ passphrase: 'next' }),
      health: async (db) => assert.equal((await db.health()).status, 'ok'),
    }
    for (const [call, work] of Object.entries(calls)) {
      const name = t.freshName()
      const db = await t.open({ name, snapshots: false })
      await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
      const { id, createdAt } = await db.snapshots.create()
      const file = await db.export()
      await t.until(() => Date.now() > Date.parse(createdAt))
      await db.run('INSERT INTO t VALUES (2)')
      const working = work(db, { id, file, at: createdAt })
      const closing = db.close()
      const refused = await t.failure(() => db.query('SELECT 1'))
      assert.equal(refused.code, 'closed', call)
      await Promise.all([working, closing])
      const encryption = call === 'rekey' ? { passphrase: 'next' } : undefined
      const again = await t.open({ name, encryption })
      const rows = /^(import|restore)/.test(call) ? 1 : 2
      assert.equal((await again.query('SELECT n FROM t')).length, rows, call)
      await again.close()
    }
  },

  "open waits for a close that finishes calls, and needn't have the same options": async (t) => {
    const name = t.freshName()
    const db = await t.open({ name })
    await db.exec('CREATE TABLE t (n)')
    const maintaining = db.maintain()
    const closing = db.close()
    const again = await t.open({ name, integers: 'bigint' })
    assert.equal((await maintaining).ok, true)
    await closing
    assert.equal((await again.get('SELECT count(*) AS n FROM t')).n, 0n)
  },

  'close ends what waits for the remote': async (t) => {
    const remote = {
      url: 'https://example.test',
      key: 'anon',
      tables: ['t'],
      fetch: () => new Promise(() => {}),
    }
    for (const call of [(sync) => sync.enqueue('t'), (sync) => sync.discard('1'), (sync) => sync.retry('1')]) {
      const db = await t.open({ remote })
      await db.exec('CREATE TABLE t (id TEXT PRIMARY KEY, updated_at TEXT)')
      const waiting = [db.sync.pull(), db.sync.push(), call(db.sync)].map((each) => t.failure(each))
      await new Promise((resolve) => setTimeout(resolve))
      await db.close()
      for (const failed of await Promise.all(waiting)) assert.equal(failed.code, 'closed', JSON.stringify(failed))
    }
  },
}
