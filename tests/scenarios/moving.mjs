// Databases that move between the storages of a browser.
import assert from 'node:assert/strict'

const inBrowser = { only: ['worker'], not: ['opfs'], because: 'only workers of a browser have both storages' }

/** Returns whether the browser has a private file system: some refuse it. */
async function hasFiles({ doctor }) {
  const { checks } = await doctor()
  return checks.find(({ name }) => name === 'opfs').hint === null
}

export default {
  'a database moves there and back, with its snapshots': {
    ...inBrowser,
    run: async (t) => {
      if (!(await hasFiles(t.tidelock))) return
      const { databases, moveStorage } = t.tidelock
      const options = t.options()
      const { name } = options
      const db = await t.open(options)
      await db.exec("CREATE TABLE t (s, b); INSERT INTO t VALUES ('first', randomblob(300000))")
      const { id } = await db.snapshots.create({ label: 'kept' })
      await db.run("INSERT INTO t VALUES ('second', randomblob(300000))")
      assert.equal((await t.failure(moveStorage(name, { to: 'opfs' }))).code, 'database_in_use')
      await db.close()
      for (const [from, to] of [
        ['indexeddb', 'opfs'],
        ['opfs', 'indexeddb'],
      ]) {
        await moveStorage(name, { to })
        const listed = (await databases()).filter((one) => one.name === name)
        assert.deepEqual(
          listed.map(({ storage }) => storage),
          [to],
        )
        const elsewhere = await t.failure(t.open({ ...options, storage: from }))
        assert.deepEqual([elsewhere.code, elsewhere.details.option], ['invalid_argument', 'storage'])
        const moved = await t.open({ ...options, storage: 'best' })
        assert.equal((await moved.health()).storage.kind, to)
        assert.deepEqual(await moved.query('SELECT s, length(b) AS n FROM t'), [
          { s: 'first', n: 300_000 },
          { s: 'second', n: 300_000 },
        ])
        assert.equal((await moved.snapshots.verify(id)).ok, true)
        await moved.close()
      }
    },
  },

  'what is no name, no storage or no database is refused': {
    ...inBrowser,
    run: async (t) => {
      const { moveStorage } = t.tidelock
      const refused = async (name, options) => (await t.failure(moveStorage(name, options))).code
      assert.equal(await refused('', { to: 'opfs' }), 'invalid_argument')
      assert.equal(await refused('n'), 'invalid_argument')
      assert.equal(await refused('n', { to: 'memory' }), 'invalid_argument')
      assert.equal(await refused('n', { to: 'opfs', force: true }), 'invalid_argument')
      if (await hasFiles(t.tidelock)) assert.equal(await refused(t.freshName(), { to: 'opfs' }), 'invalid_argument')
    },
  },
}
