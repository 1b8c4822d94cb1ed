// Concurrent writes during a sync, on the server and in another client. In the end all sides are equal.
import assert from 'node:assert/strict'
import { withSchema } from '../run/remote.mjs'

const stamped = 'updated_at timestamptz not null default clock_timestamp()'
const touched = (table) => `create trigger stamp before update on ${table} for each row execute function touch()`

export default {
  'rows that are written, moved, deleted and committed late during a pull are right after the next one': async ({
    memory,
    remote,
  }) => {
    const table = remote.tableName()
    await remote.table(table, `id int primary key, a text, ${stamped}`)
    await remote.sql(`insert into ${table} select i, 'seed' from generate_series(1, 4000) i; ${touched(table)}`)
    const db = await memory({
      ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, updated_at TEXT)`),
      // The first pull reads spans, each of many pages; other writers write between the pages.
      remote: remote.options([{ table, cursor: 'updated_at', deleted: 'compare' }], { pageSize: 200 }),
    })
    const late = await remote.session()
    for (let round = 0; round < 3; round++) {
      // A transaction whose rows have smaller cursors than the writes below, and which commits after the pull has passed them.
      await late.query(`begin; insert into ${table} (id, a) values (${-1 - round}, 'late'), (${4_000_000 + round}, 'late');
        update ${table} set a = 'late' where id in (${3001 + round}, ${4000 - round})`)
      let reading = true
      let pulling
      for (let n = 0; reading && n < 500; n++) {
        const id = 1 + ((n * 997 + round * 31) % 3000)
        await remote.sql(`update ${table} set a = 'written ${round}.${n}' where id <= 3000 and id % 50 = ${id % 50};
          delete from ${table} where id = ${id}; insert into ${table} (id, a) values (${10_000 * (round + 1) + n}, 'new')`)
        pulling ??= db.sync.pull().finally(() => (reading = false))
      }
      await pulling
      await late.query('commit')
    }
    await late.end()
    await db.sync.pull()
    const here = await db.query(`SELECT CAST(id AS TEXT) AS id, a FROM ${table} ORDER BY ${table}.id`)
    const there = await remote.sql(`select id::text, a from ${table} order by ${table}.id`)
    for (const [at, row] of there.entries()) assert.deepEqual(here[at], { ...row })
    assert.equal(here.length, there.length)
    assert.equal(here.filter((row) => row.a === 'late').length, 12)
    const { inserted, updated, deleted } = (await db.sync.pull({ full: true })).tables[0]
    assert.deepEqual([inserted, updated, deleted], [0, 0, 0])
  },

  'two clients write the same rows at once, and others on the server: all converge, nothing is lost or doubled':
    async ({ memory, remote }) => {
      const table = remote.tableName()
      await remote.table(table, `id int primary key, a text, b text, n int not null default 0, ${stamped}`)
      await remote.sql(`insert into ${table} (id) select i from generate_series(1, 60) i; ${touched(table)}`)
      const client = () =>
        memory({
          ...withSchema(
            `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, b TEXT, n INTEGER NOT NULL DEFAULT 0, updated_at TEXT)`,
          ),
          remote: remote.options([{ table, cursor: 'updated_at', deleted: 'compare' }]),
        })
      const clients = [await client(), await client()]
      await Promise.all(clients.map((db) => db.sync.pull()))
      // Each client changes its own column; a third writer changes rows on the server.
      const write = async (db, who, round) => {
        const column = 'ab'[who]
        await db.run(`UPDATE ${table} SET ${column} = ? WHERE id % 3 <> ?`, [`${column}${round}`, round % 3])
        await db.run(`INSERT INTO ${table} (id, ${column}) VALUES (?, 'new')`, [1000 * (who + 1) + round])
        const pushing = db.sync.push()
        await db.run(`UPDATE ${table} SET ${column} = ? WHERE id = 1`, [`${column}${round} meanwhile`])
        await pushing
        await db.sync.run()
      }
      for (let round = 0; round < 4; round++) {
        const other = remote.sql(`update ${table} set n = n + 1 where id <= 60`)
        await Promise.all([...clients.map((db, who) => write(db, who, round)), other])
      }
      for (const db of [...clients, ...clients]) await db.sync.run()
      const there = await remote.sql(`select id::text, a, b, n::text from ${table} order by ${table}.id`)
      for (const db of clients) {
        const here = await db.query(
          `SELECT CAST(id AS TEXT) AS id, a, b, CAST(n AS TEXT) AS n FROM ${table} ORDER BY ${table}.id`,
        )
        assert.deepEqual(
          here,
          there.map((row) => ({ ...row })),
        )
        assert.deepEqual([await db.sync.pending(), await db.sync.rejected()], [[], []])
      }
      assert.equal(there.length, 68)
      for (const { id, a, b, n } of there.slice(0, 60)) {
        assert.equal(n, '4', 'each edit on the server counts once, and no client took one back')
        // Round 3 skips the rows divisible by 3, round 2 those with the remainder 2.
        const last = id === '1' ? '3 meanwhile' : Number(id) % 3 === 0 ? '2' : '3'
        assert.deepEqual([a, b], [`a${last}`, `b${last}`], `row ${id}`)
      }
    },
}
