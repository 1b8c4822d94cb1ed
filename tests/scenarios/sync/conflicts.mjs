// Conflicts with a real PostgREST: resolved by the options, kept for the user where they can't be, and listed in the log.
import assert from 'node:assert/strict'
import { withSchema } from '../run/remote.mjs'

/** Opens a pulled database with rows of these ids, all named 'base', and functions that read both sides. */
async function pulled({ memory, remote }, ids, synced, options) {
  const table = remote.tableName()
  const columns = 'id bigint primary key, name text, price int, updated_at timestamptz default clock_timestamp()'
  await remote.table(table, columns, ids.map((id) => `(${id}, 'base', 1)`).join())
  await remote.sql(`create trigger stamp before update on ${table} for each row execute function touch()`)
  const db = await memory({
    ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, price INTEGER, updated_at TEXT)`),
    remote: remote.options([{ table, cursor: 'updated_at', ...synced }], options),
  })
  await db.sync.pull()
  const left = async () => [(await db.sync.pending()).length, (await db.sync.rejected()).length]
  const shown = `SELECT CAST(id AS TEXT) || ' ' || name || ' ' || price AS row FROM ${table} ORDER BY id`
  /** Returns the rows, after a check that both sides have the same. */
  const rows = async () => {
    const here = await db.query(shown)
    assert.deepEqual(here, await remote.sql(shown))
    return here.map(({ row }) => row)
  }
  return { db, table, left, rows }
}

export default {
  'conflicts: each policy decides, different columns merge, and the log has them': async (t) => {
    for (const [conflict, expected] of [
      ['keep-local', 'mine'],
      ['remote-wins', 'theirs'],
    ]) {
      const { db, table, rows } = await pulled(t, [1, 2], { conflict })
      await db.exec(`UPDATE ${table} SET name = 'mine' WHERE id = 1; UPDATE ${table} SET price = 7 WHERE id = 2`)
      await t.remote.sql(`update ${table} set name = 'theirs'`)
      const report = await db.sync.push()
      assert.equal(report.tables[0].conflicts, 2)
      assert.deepEqual(await rows(), [`1 ${expected} 1`, '2 theirs 7'])
      const log = await db.sync.conflicts({ limit: 5 })
      assert.equal(log.length, 2)
      assert.equal((await db.sync.conflicts({ limit: 1 })).length, 1)
      const { time, key, base, local, remote, result, ...met } = log.find((entry) => entry.key.id === 1)
      assert.match(time, /^\d{4}-.*Z$/)
      assert.deepEqual([met, key], [{ table }, { id: 1 }])
      assert.deepEqual(
        [base, local, remote, result].map((row) => row.name),
        ['base', 'mine', 'theirs', expected],
      )
      assert.equal((await db.sync.pull()).tables[0].updated, 0)
    }
  },

  'what others wrote after a write whose answer was lost is a conflict, too': async (t) => {
    for (const conflict of ['keep-local', 'remote-wins'])
      for (const [edit, expected] of [
        ['UPDATE', conflict === 'keep-local' ? ['1 mine 3'] : ['1 mine 2']],
        ['DELETE', []],
      ]) {
        // Browsers send a request again whose connection ends without an answer, so it is lost here.
        let loses = false
        const losing = async (url, init) => {
          const answer = await fetch(url, init)
          if (loses && init.method === 'PATCH') throw new TypeError('The connection was lost')
          return answer
        }
        const { db, table, left, rows } = await pulled(t, [1], { conflict }, { retries: 0, fetch: losing })
        await db.run(`UPDATE ${table} SET name = 'mine'`)
        loses = true
        assert.equal((await t.failure(db.sync.push())).code, 'sync_network')
        loses = false
        await t.remote.sql(`update ${table} set price = 2`)
        await db.run(edit === 'UPDATE' ? `UPDATE ${table} SET price = 3` : `DELETE FROM ${table}`)
        await db.sync.run()
        await db.sync.run()
        assert.deepEqual(await rows(), expected, `${conflict} ${edit}`)
        assert.deepEqual(await left(), [0, 0])
        const [entry, ...more] = await db.sync.conflicts()
        assert.deepEqual([entry.remote.price, more], [2, []], `${conflict} ${edit}`)
      }
  },

  'last-write-wins: the later of the two stays, by the cursor that was written or the time of the change': async (
    t,
  ) => {
    const { db, table, rows } = await pulled(t, [1, 2, 3, 4], { conflict: 'last-write-wins' })
    await t.remote.sql(`drop trigger stamp on ${table}`)
    await db.exec(
      `UPDATE ${table} SET name = 'mine', updated_at = '2020-03-01T00:00:00Z' WHERE id = 1;
       UPDATE ${table} SET name = 'mine', updated_at = '2020-02-01T00:00:00.000001+00:00' WHERE id = 2;
       UPDATE ${table} SET name = 'mine' WHERE id > 2`,
    )
    await t.remote.sql(
      `update ${table} set name = 'theirs', updated_at = '2020-02-01 00:00:00.000002+00';
       update ${table} set updated_at = now() + interval '1 hour' where id = 4`,
    )
    await db.sync.push()
    assert.deepEqual(await rows(), ['1 mine 1', '2 theirs 1', '3 mine 1', '4 theirs 1'])
  },

  'a function decides with base, local and remote, at pull and at push, again if the row changed': async (t) => {
    for (const way of ['pull', 'push']) {
      const met = []
      let edited = false
      const conflict = async ({ table, key, base, local, remote }) => {
        met.push([table, key.id, base?.name, local?.name, remote?.name])
        if (key.id === 4 && !edited) {
          edited = true
          await db.run(`UPDATE ${table} SET name = 'edited meanwhile' WHERE id = 4`)
        }
        return key.id === 1 || key.id === 3 ? null : { name: `${local?.name} + ${remote?.name}` }
      }
      const { db, table, rows, left } = await pulled(t, [1, 2, 3, 4, 9007199254740993n], { conflict })
      await db.exec(
        `DELETE FROM ${table} WHERE id = 1; UPDATE ${table} SET name = 'mine';
           INSERT INTO ${table} (id, name, price) VALUES (7, 'mine', 1)`,
      )
      await t.remote.sql(
        `delete from ${table} where id = 2; update ${table} set name = 'theirs'; insert into ${table} values (7, 'theirs', 1)`,
      )
      if (way === 'pull') await db.sync.pull()
      await db.sync.push()
      met.sort((one, other) => Number(one[1]) - Number(other[1]) || met.indexOf(one) - met.indexOf(other))
      assert.deepEqual(
        met,
        [
          [table, 1, 'base', undefined, 'theirs'],
          [table, 2, 'base', 'mine', undefined],
          [table, 3, 'base', 'mine', 'theirs'],
          [table, 4, 'base', 'mine', 'theirs'],
          [table, 4, 'base', 'edited meanwhile', 'theirs'],
          [table, 7, undefined, 'mine', 'theirs'],
          [table, 9007199254740993n, 'base', 'mine', 'theirs'],
        ],
        way,
      )
      assert.deepEqual(
        await rows(),
        [
          '2 mine + undefined 1',
          '4 edited meanwhile + theirs 1',
          '7 mine + theirs 1',
          '9007199254740993 mine + theirs 1',
        ],
        way,
      )
      assert.deepEqual(await left(), [0, 0], way)
    }
  },

  'a conflict function that fails stops the call and loses nothing': async (t) => {
    const wrong = [
      () => {
        throw new Error('no idea')
      },
      () => 'not a row',
      () => ({ name: { not: 'a value' } }),
      () => ['a', 'list'],
      () => new Map([['name', 'mine']]),
    ]
    let decide
    const { db, table, left } = await pulled(t, [1], { conflict: (met) => decide(met) })
    await db.run(`UPDATE ${table} SET name = 'mine'`)
    await t.remote.sql(`update ${table} set name = 'theirs'`)
    for (decide of wrong) {
      assert.equal((await t.failure(db.sync.push())).code, 'invalid_argument')
      assert.deepEqual(await left(), [1, 0])
      assert.deepEqual(await db.get(`SELECT name FROM ${table}`), { name: 'mine' })
    }
  },

  'deleted on one side and changed on the other waits for a person: retry sends it, discard takes the remote’s row':
    async (t) => {
      for (const [decision, expected] of [
        ['retry', ['2 mine 1', '3 base 1', '7 mine 1']],
        ['discard', ['1 theirs 1', '3 base 1', '7 theirs 1']],
      ]) {
        const { db, table, rows, left } = await pulled(t, [1, 2, 3])
        await db.exec(
          `DELETE FROM ${table} WHERE id = 1; UPDATE ${table} SET name = 'mine' WHERE id = 2;
           INSERT INTO ${table} (id, name, price) VALUES (7, 'mine', 1)`,
        )
        await t.remote.sql(
          `update ${table} set name = 'theirs' where id = 1; delete from ${table} where id = 2;
           insert into ${table} values (7, 'theirs', 1)`,
        )
        assert.equal((await db.sync.push()).tables[0].rejected, 3)
        const rejected = await db.sync.rejected()
        assert.deepEqual(rejected.map(({ key, op, reason }) => `${op} ${key.id} ${reason}`).sort(), [
          'delete 1 conflict',
          'insert 7 conflict',
          'update 2 conflict',
        ])
        for (const { id, error } of rejected) {
          assert.ok(error)
          await db.sync[decision](id)
        }
        await db.sync.run()
        assert.deepEqual(await rows(), expected, decision)
        assert.deepEqual(await left(), [0, 0], decision)
      }
    },

  'the same new key for different rows, and the same row twice': async (t) => {
    const { db, table, rows, left } = await pulled(t, [])
    await t.remote.sql(`insert into ${table} values (5, 'theirs', 1), (6, 'same', 2)`)
    await db.exec(`INSERT INTO ${table} (id, name) VALUES (5, 'mine'), (6, 'same')`)
    await db.sync.push()
    const [entry, ...others] = await db.sync.rejected()
    assert.deepEqual(others, [])
    assert.deepEqual([entry.key.id, entry.reason], [5, 'conflict'])
    assert.match(entry.error, /another row with this key/)
    const [{ base, local, remote }] = await db.sync.conflicts()
    assert.deepEqual([base, local.name, remote.name], [null, 'mine', 'theirs'])
    await db.sync.discard(entry.id)
    assert.deepEqual(await rows(), ['5 theirs 1', '6 same 2'])
    assert.deepEqual(await left(), [0, 0])
  },
}
