// A large table is read in spans of its key, in parallel: each page once.
import assert from 'node:assert/strict'
import { withSchema } from '../run/remote.mjs'

export default {
  'six spans at once, each page once, and then at most two requests': async ({ memory, remote }) => {
    for (const { keys, newest, count, sum, requests } of [
      // The newest row, the ends of five spans, twelve pages, the empty one, and the newer rows: none.
      { keys: 'n * 7', newest: 84_000, count: 12_000, sum: 504_042_000, requests: 1 + 5 + 12 + 1 + 1 },
      { keys: 'nullif(n, n / 100 * 100)', newest: 77, count: 11_880, sum: 71_280_000, requests: 1 + 5 + 12 + 1 + 1 },
    ]) {
      const table = remote.tableName()
      await remote.table(table, "id bigint primary key, name text, updated_at timestamptz default '2026-01-01'")
      await remote.sql(`insert into ${table} (id, name) select id, 'name ' || id
          from (select ${keys} from generate_series(1, 12000) n) keys (id) where id is not null;
        update ${table} set updated_at = '2026-01-02' where id = ${newest}`)
      const db = await memory({
        ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)`),
        remote: remote.options([{ table, cursor: 'updated_at' }]),
      })
      await remote.resetRequests()
      let last
      const [report] = (await db.sync.pull({ onProgress: ({ rows, total }) => (last = [rows, total]) })).tables
      // Also when the ends of the spans arrive late: the first span doesn't read beyond its own end.
      assert.deepEqual([report.inserted, report.unchanged, report.pages], [count, 0, 12])
      assert.deepEqual(last, [count, count])
      assert.deepEqual(await db.get(`SELECT count(*) AS count, sum(id) AS sum FROM ${table}`), { count, sum })
      const sent = await remote.requests({ table })
      assert.equal(sent.length, requests)
      const bytes = sent.reduce((all, each) => all + each.bytes, 0)
      assert.ok(bytes < report.bytes / 4, `${bytes} bytes on the wire for ${report.bytes}: compressed`)

      await remote.resetRequests()
      const [quiet] = (await db.sync.pull()).tables
      assert.deepEqual([quiet.inserted, quiet.updated, quiet.unchanged], [0, 0, 0])
      const asked = (await remote.requests({ table })).length
      assert.ok(asked <= 2, `${asked} requests`)
    }
  },

  'keys of several columns, of text that the server orders its own way': async ({ memory, remote }) => {
    const table = remote.tableName()
    await remote.table(table, 'a text, b int, v text, primary key (a, b)')
    const texts = [`_x`, `-a`, `a`, `A`, `a,b`, `(a)`, `"q"`, `é`, `Z`, `a.b:c`, `b\\c`, ` `, `%2B`, `a+b`]
    await remote.sql(`insert into ${table} select t, n, t || n from unnest($1::text[]) t, generate_series(1, 500) n`, [
      texts,
    ])
    const db = await memory({
      ...withSchema(`CREATE TABLE ${table} (a TEXT, b INTEGER, v TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID`),
      remote: remote.options([table], { pageSize: 500 }),
    })
    const [report] = (await db.sync.pull()).tables
    assert.deepEqual([report.inserted, report.unchanged], [texts.length * 500, 0])
    const there = await remote.sql(`select a, b::text, v from ${table} order by v collate "C"`)
    const here = await db.query(`SELECT a, CAST(b AS TEXT) AS b, v FROM ${table} ORDER BY v`)
    assert.equal(here.length, there.length)
    for (const [at, row] of there.entries()) assert.deepEqual(here[at], { ...row })
    const closed = (await remote.requests({ table })).filter(({ path }) => path.includes('.lte.'))
    assert.ok(closed.length > 0, 'a composite key has spans too')
  },
}
