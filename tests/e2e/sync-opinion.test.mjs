// A second opinion: Supabase's own client reads back what was pushed, and writes what is pulled.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { context, remoteOptions, remoteTable, tableName, test, withDatabase } from './sync-harness.mjs'

// It is installed where the remote is.
const require = createRequire(new URL('../remote/package.json', import.meta.url))
const { PostgrestClient } = await import(pathToFileURL(require.resolve('@supabase/postgrest-js')).href)

/** Supabase's client for the remote, as an app would have it. */
function client() {
  const { url, anonKey } = context.remote
  return new PostgrestClient(`${url}/rest/v1`, { headers: { apikey: anonKey, authorization: `Bearer ${anonKey}` } })
}

/** What it says, or why it doesn't. */
async function told(query) {
  const { data, error } = await query
  assert.equal(error, null)
  return data
}

const columns =
  'id bigint primary key, i8 bigint, num numeric, f8 double precision, b boolean, by bytea, j jsonb, ts timestamptz, d date, u uuid, arr text[], nums int[], t text, n int'
const local =
  'id INTEGER PRIMARY KEY, i8 INTEGER, num NUMERIC TEXT, f8 REAL, b BOOLEAN, by BLOB, j JSON TEXT, ts TEXT, d TEXT, u TEXT, arr ARRAY TEXT, nums ARRAY TEXT, t TEXT, n INTEGER'
const exact = 'id, i8::text, num::text, f8, b, by, j, ts, d, u, arr, nums, t, n'

test('postgrest-js reads every type as it was written here, after insert, update and delete', async () => {
  const table = tableName()
  await remoteTable(table, columns)
  await withDatabase(
    { schema: `CREATE TABLE ${table} (${local})`, remote: remoteOptions([table]) },
    async (db, { table: t }) => {
      const row = [
        1,
        9223372036854775807n,
        '12345678901234567890.123456789012345678900',
        0.1,
        true,
        new Uint8Array([0, 222, 173, 255]),
        '{"a":[1,{"é":null}],"big":12345678901234567890}',
        '2026-01-02T03:04:05.678901+00:00',
        '2026-02-28',
        '11111111-1111-4111-8111-111111111111',
        '["x","y,\\"z\\"",null,"{}"]',
        '[1,-2]',
        'tab\t"quote" \\ 🌿 \' ,()',
        -5,
      ]
      const insert = `INSERT INTO ${t} VALUES (${row.map(() => '?').join(', ')})`
      await db.run(insert, row)
      await db.run(insert, [2, ...row.slice(1)])
      await db.run(`INSERT INTO ${t} (id) VALUES (3), (4)`)
      await db.sync.push()
      // The same once more as changes of a row of NULLs, and back to NULL.
      const names = 'i8, num, f8, b, by, j, ts, d, u, arr, nums, t, n'
      await db.run(`UPDATE ${t} SET (${names}) = (SELECT ${names} FROM ${t} WHERE id = 1) WHERE id = 3`)
      await db.run(`UPDATE ${t} SET (${names}) = (SELECT ${names} FROM ${t} WHERE id = 4) WHERE id = 2`)
      await db.run(`DELETE FROM ${t} WHERE id = 4`)
      await db.sync.push()
    },
    { table },
  )
  const rows = await told(client().from(table).select(exact).order('id'))
  const { id: _, ...first } = rows[0]
  assert.deepEqual(
    rows.map((row) => row.id),
    [1, 2, 3],
  )
  assert.deepEqual(first, {
    i8: '9223372036854775807',
    num: '12345678901234567890.123456789012345678900',
    f8: 0.1,
    b: true,
    by: '\\x00deadff',
    // As JSON.parse rounds it; the text is looked at below.
    j: { a: [1, { é: null }], big: Number('12345678901234567890') },
    ts: '2026-01-02T03:04:05.678901+00:00',
    d: '2026-02-28',
    u: '11111111-1111-4111-8111-111111111111',
    arr: ['x', 'y,"z"', null, '{}'],
    nums: [1, -2],
    t: 'tab\t"quote" \\ 🌿 \' ,()',
    n: -5,
  })
  assert.deepEqual({ ...rows[2], id: 0 }, { ...rows[0], id: 0 })
  assert.ok(Object.entries(rows[1]).every(([name, value]) => name === 'id' || value === null))
  const [{ text }] = await context.remote.sql(`select j::text as text from ${table} where id = 1`)
  assert.match(text, /"big": 12345678901234567890\b/)
  const { count } = await client().from(table).select('*', { count: 'exact', head: true })
  assert.equal(count, 3)
})

test('what postgrest-js writes is pulled, and its filters and ours find the same rows', async () => {
  const table = tableName()
  await remoteTable(table, columns)
  const texts = ['a,b', 'a.b', '(a)', 'a\\b', "a'b", 'a b', 'a+b', 'a%b', 'a&b=c', 'ä', '東京', '🌿', 'null', '*']
  await told(
    client()
      .from(table)
      .insert(texts.map((t, id) => ({ id, t, j: { t }, b: id % 2 === 0, arr: [t], num: id + 0.5 }))),
  )
  for (const t of ['a,b', '(a)', 'a\\b', 'a+b', '🌿']) {
    const id = texts.indexOf(t)
    const pulled = await withDatabase(
      { schema: `CREATE TABLE ${table} (${local})`, remote: remoteOptions([{ table, filter: { t: `eq.${t}` } }]) },
      async (db, { table: name }) => {
        await db.sync.pull()
        return db.query(`SELECT id, t, j, b, arr, num FROM ${name}`)
      },
      { table },
    )
    const theirs = await told(client().from(table).select('id').eq('t', t))
    assert.deepEqual(theirs, [{ id }])
    assert.deepEqual(pulled, [
      { id, t, j: JSON.stringify({ t }), b: id % 2 === 0 ? 1 : 0, arr: JSON.stringify([t]), num: `${id + 0.5}` },
    ])
  }
})
