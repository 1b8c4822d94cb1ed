// The number of requests of the sync: at rest, and for many changes.
import assert from 'node:assert/strict'
import { withSchema } from '../run/remote.mjs'

const stamped = 'updated_at timestamptz not null default clock_timestamp()'

/** A trigger that sets the cursor at each write, by the server's clock. */
const stamps = (table) => `create or replace function ${table}_stamp() returns trigger language plpgsql as
  'begin new.updated_at = clock_timestamp(); return new; end';
  create trigger stamp before insert or update on ${table} for each row execute function ${table}_stamp()`

const count = async (remote, work) => {
  await remote.resetRequests()
  await work()
  return (await remote.requests()).length
}

export default {
  'at rest a table costs one request, and one more where deletions are found by comparing': async ({
    memory,
    remote,
  }) => {
    const [orders, lines, countries] = [remote.tableName(), remote.tableName(), remote.tableName()]
    for (const table of [orders, lines, countries]) {
      await remote.table(table, `id int primary key, name text, ${stamped}`)
      await remote.sql(`insert into ${table} (id, name) select n, 'name ' || n from generate_series(1, 500) n`)
      await remote.sql(`update ${table} set updated_at = now() - interval '1 hour'; ${stamps(table)}`)
    }
    const db = await memory({
      ...withSchema(
        [orders, lines, countries]
          .map((table) => `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)`)
          .join(';'),
      ),
      remote: remote.options([
        { table: orders, cursor: 'updated_at', deleted: 'compare' },
        { table: lines, cursor: 'updated_at', deleted: 'compare' },
        countries,
      ]),
    })
    await db.sync.pull()
    assert.equal(await count(remote, () => db.sync.pull()), 2 + 2 + 1)
    // The count is the same by chance, but one row is new, so one must be deleted.
    await remote.sql(`delete from ${orders} where id = 7; insert into ${orders} (id, name) values (999, 'new')`)
    const [report] = (await db.sync.pull()).tables
    assert.deepEqual([report.inserted, report.deleted], [1, 1])
    const ids = (await db.query(`SELECT id FROM ${orders} ORDER BY id`)).map(({ id }) => id)
    assert.ok(!ids.includes(7) && ids.includes(999) && ids.length === 500)
  },

  'each request is an event after its end, without keys and values': async ({ memory, remote }) => {
    const table = remote.tableName()
    await remote.table(table, 'id int primary key, name text', "(1, 'one'), (2, 'two')")
    const db = await memory({
      ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT)`),
      remote: remote.options([table]),
    })
    const events = []
    db.addEventListener('request', ({ detail }) => events.push(detail))
    await remote.resetRequests()
    await db.sync.pull()
    await db.run(`UPDATE ${table} SET name = 'secret' WHERE id = 2`)
    await remote.fault({ method: 'PATCH', table, drop: true })
    await db.sync.push()
    const sent = await remote.requests()
    assert.deepEqual(events.map(({ method }) => method).sort(), sent.map(({ method }) => method).sort())
    const pulled = events.find(({ method, url }) => method === 'GET' && url.endsWith(`/${table}`))
    assert.deepEqual([pulled.rows, pulled.error, pulled.sentBytes], [2, null, 0])
    assert.ok(pulled.receivedBytes > 10 && pulled.ms >= 0 && Date.parse(pulled.at) > 0)
    const failed = events.find(({ status }) => status === null)
    assert.ok(failed.method === 'PATCH' && failed.error !== null && failed.sentBytes > 0, JSON.stringify(failed))
    assert.ok(events.some(({ method, status }) => method === 'PATCH' && status === 200))
    assert.doesNotMatch(JSON.stringify(events), /secret|\?|eyJ/)
  },

  'new rows with different columns are sent together': async ({ memory, remote }) => {
    const table = remote.tableName()
    await remote.table(table, `id int primary key, a text default 'theirs', b text, c int, d text, ${stamped}`)
    const db = await memory({
      ...withSchema(
        `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, b TEXT, c INTEGER, d TEXT, updated_at TEXT)`,
      ),
      remote: remote.options([{ table, cursor: 'updated_at' }]),
    })
    await db.sync.pull()
    await db.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
      INSERT INTO ${table} (id, a, b, c, d)
        SELECT i, iif(i % 2, 'a' || i, NULL), iif(i % 3, 'b' || i, NULL), iif(i % 5, i, NULL), iif(i % 7, 'd', NULL) FROM n`)
    const requests = await count(remote, () => db.sync.push())
    assert.ok(requests <= 10, `${requests} requests`)
    const [there] = await remote.sql(
      `select count(*)::int as n, count(a)::int as a, count(*) filter (where a = 'theirs')::int as filled, count(c)::int as c from ${table}`,
    )
    assert.deepEqual({ ...there }, { n: '2000', a: '2000', filled: '1000', c: '1600' })
    const rows = `SELECT count(*) AS n, count(a) AS a, count(updated_at) AS stamped FROM ${table}`
    assert.deepEqual(await db.get(rows), { n: 2000, a: 2000, stamped: 2000 })
  },

  'updates to the same values are sent together, each guarded by its own row': async ({ memory, remote }) => {
    const table = remote.tableName()
    await remote.table(table, `id int primary key, done boolean, note text, ${stamped}`)
    await remote.sql(`insert into ${table} select n, false, null from generate_series(1, 400) n; ${stamps(table)}`)
    const db = await memory({
      ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, done BOOLEAN, note TEXT, updated_at TEXT)`),
      remote: remote.options([{ table, cursor: 'updated_at' }]),
    })
    await db.sync.pull()
    await remote.sql(`update ${table} set note = 'theirs' where id = 17`)
    await db.run(`UPDATE ${table} SET done = 1`)
    let report
    const requests = await count(remote, async () => {
      report = (await db.sync.push()).tables[0]
    })
    assert.ok(requests <= 10, `${requests} requests`)
    assert.deepEqual([report.updated, report.conflicts, report.rejected], [400, 1, 0])
    const [there] = await remote.sql(
      `select count(*) filter (where done)::int as done, max(note) as note from ${table}`,
    )
    assert.deepEqual({ ...there }, { done: '400', note: 'theirs' })
  },

  'updates to different values are sent together where the project has the helpers, or nothing guards them': async (
    t,
  ) => {
    const { memory, remote, tidelock } = t
    for (const helped of [true, false]) {
      const table = remote.tableName()
      await remote.table(table, `id int primary key, name text, n int${helped ? `, ${stamped}` : ''}`)
      await remote.sql(`insert into ${table} (id, name, n) select n, 'base', n from generate_series(1, 2000) n`)
      if (helped) await remote.sql(tidelock.sqlHelpers({ tables: [table] }))
      const db = await memory({
        ...withSchema(
          `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, n INTEGER${helped ? ', updated_at TEXT' : ''})`,
        ),
        remote: remote.options([helped ? { table, cursor: 'updated_at' } : table]),
      })
      await db.sync.pull({ full: true })
      await remote.sql(`update ${table} set n = -1 where id in (5, 1700); delete from ${table} where id = 900`)
      await db.run(`UPDATE ${table} SET name = 'mine ' || id`)
      let report
      const requests = await count(remote, async () => {
        report = (await db.sync.push()).tables[0]
      })
      assert.ok(requests <= 40, `${requests} requests, helped: ${helped}`)
      assert.deepEqual([report.updated, report.conflicts, report.rejected], [1999, 3, 1], `helped: ${helped}`)
      const [there] = await remote.sql(
        `select count(*)::int as n, count(*) filter (where name = 'mine ' || id)::int as mine, sum(n)::int as sum from ${table}`,
      )
      assert.deepEqual({ ...there }, { n: '1999', mine: '1999', sum: String(2001000 - 900 - 5 - 1700 - 2) })
      assert.deepEqual(
        (await db.sync.rejected()).map(({ key }) => key.id),
        [900],
      )
      // The session of an earlier scenario may still know the helpers of this table.
      if (helped) await remote.sql(`delete from tidelock.tables where tbl = '${table}'`)
    }
  },
}
