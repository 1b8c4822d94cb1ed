// Unique values and references that move from a deleted row to a new one, in one transaction of the remote.
import assert from 'node:assert/strict'
import { withSchema } from '../run/remote.mjs'

/** A team is replaced by another one with the same name, to which its person moves. */
async function replacedTeam(t, { deleted, cursor, action, helpers }) {
  const { remote } = t
  const [team, person] = [remote.tableName(), remote.tableName()]
  const stamps = 'updated_at timestamptz not null default clock_timestamp(), gone boolean not null default false'
  await remote.table(team, `id int primary key, name text, ${stamps}`)
  await remote.table(person, `id int primary key, team int references ${team} ${action}, ${stamps}`)
  await remote.sql(`create unique index on ${team} (name) where not gone`)
  if (helpers) await remote.sql(t.tidelock.sqlHelpers({ tables: [team, person] }))
  await remote.sql(`insert into ${team} values (1, 'blue'), (9, 'red'); insert into ${person} values (1, 1), (2, 9)`)
  const local = 'updated_at TIMESTAMPTZ TEXT, gone BOOLEAN'
  const options = { ...(cursor ? { cursor: 'updated_at' } : {}), ...(deleted === undefined ? {} : { deleted }) }
  const db = await t.memory({
    ...withSchema(`CREATE TABLE ${team} (id INTEGER PRIMARY KEY, name TEXT UNIQUE, ${local});
      CREATE TABLE ${person} (id INTEGER PRIMARY KEY, team INTEGER REFERENCES ${team} ${action}, ${local})`),
    remote: remote.options(
      [team, person].map((table) => ({ table, ...options })),
      { maxDeleteRatio: 1 },
    ),
  })
  await db.sync.pull()
  await remote.sql(`begin;
    ${deleted === 'gone' ? `update ${team} set gone = true, updated_at = clock_timestamp()` : `update ${team} set name = null`} where id = 1;
    insert into ${team} values (3, 'blue');
    update ${person} set team = 3, updated_at = clock_timestamp() where id = 1;
    ${deleted === 'gone' ? '' : `delete from ${team} where id = 1;`}
    commit`)
  const rows = async () => ({
    teams: await db.query(`SELECT id, name FROM ${team} ORDER BY id`),
    people: await db.query(`SELECT id, team FROM ${person} ORDER BY id`),
  })
  return { db, rows }
}

const expected = {
  teams: [
    { id: 3, name: 'blue' },
    { id: 9, name: 'red' },
  ],
  people: [
    { id: 1, team: 3 },
    { id: 2, team: 9 },
  ],
}
const configurations = [{ deleted: 'compare' }, { deleted: 'gone' }, { helpers: true }].flatMap((way, at) =>
  ['', 'ON DELETE CASCADE', 'ON DELETE SET NULL'].map((action, n) => ({ ...way, action, cursor: (at + n) % 2 === 0 })),
)

export default {
  'a pull follows, however deletions are found': async (t) => {
    for (const configuration of configurations) {
      const { db, rows } = await replacedTeam(t, configuration)
      const report = await db.sync.pull()
      const what = JSON.stringify([configuration, report.tables])
      assert.deepEqual(await rows(), expected, what)
      assert.deepEqual([await db.sync.pending(), await db.sync.rejected()], [[], []], what)
      assert.deepEqual(
        report.tables.map(({ rejected }) => rejected),
        [0, 0],
        what,
      )
      assert.deepEqual(await db.query('PRAGMA foreign_key_check'), [], what)
      await db.close()
    }
  },

  'so does a replace': async (t) => {
    for (const configuration of configurations.filter(({ action }) => action.endsWith('CASCADE'))) {
      const { db, rows } = await replacedTeam(t, configuration)
      await db.sync.pull({ mode: 'replace' })
      assert.deepEqual(await rows(), expected, JSON.stringify(configuration))
      await db.close()
    }
  },
}
