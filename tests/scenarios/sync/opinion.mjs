// Supabase's own client as an independent check: it reads what was pushed, and writes what is pulled.
import assert from 'node:assert/strict'
import { alice, withSchema } from '../run/remote.mjs'

const inNode = { only: ['node'], because: 'Supabase’s client is installed beside the remote, as a Node package' }

/** Makes a table with a column of each type on both sides, and Supabase's client for it → `{ table, db(filter), client, answer(query) }`. */
async function typed({ memory, remote }) {
  const { PostgrestClient } = await import('../../remote/node_modules/@supabase/postgrest-js/dist/index.mjs')
  const { url, anonKey } = remote
  const headers = { apikey: anonKey, authorization: `Bearer ${anonKey}` }
  const table = remote.tableName()
  await remote.table(
    table,
    `id bigint primary key, i8 bigint, num numeric, f8 double precision, b boolean, by bytea, j jsonb, ts timestamptz, d date, u uuid,
     arr text[], nums int[], t text, n int`,
  )
  return {
    table,
    db: (filter) =>
      memory({
        ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, i8 INTEGER, num NUMERIC TEXT, f8 REAL, b BOOLEAN, by BLOB, j JSON TEXT,
          ts TEXT, d TEXT, u TEXT, arr ARRAY TEXT, nums ARRAY TEXT, t TEXT, n INTEGER)`),
        remote: remote.options([{ table, filter }]),
      }),
    client: () => new PostgrestClient(`${url}/rest/v1`, { headers }).from(table),
    async answer(query) {
      const { data, error } = await query
      assert.equal(error, null)
      return data
    },
  }
}

export default {
  'postgrest-js reads every type as it was written here, after insert, update and delete': {
    ...inNode,
    run: async (t) => {
      const { table, db: open, client, answer } = await typed(t)
      const db = await open()
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
        alice,
        '["x","y,\\"z\\"",null,"{}"]',
        '[1,-2]',
        'tab\t"quote" \\ 🌿 \' ,()',
        -5,
      ]
      const insert = `INSERT INTO ${table} VALUES (${row.map(() => '?').join(', ')})`
      await db.runMany(insert, [row, [2, ...row.slice(1)]])
      await db.run(`INSERT INTO ${table} (id) VALUES (3), (4)`)
      await db.sync.push()
      // Again as updates of a row of NULLs, and back to NULL.
      const names = 'i8, num, f8, b, by, j, ts, d, u, arr, nums, t, n'
      await db.run(`UPDATE ${table} SET (${names}) = (SELECT ${names} FROM ${table} WHERE id = 1) WHERE id = 3`)
      await db.run(`UPDATE ${table} SET (${names}) = (SELECT ${names} FROM ${table} WHERE id = 4) WHERE id = 2`)
      await db.run(`DELETE FROM ${table} WHERE id = 4`)
      await db.sync.push()

      const exact = 'id, i8::text, num::text, f8, b, by, j, ts, d, u, arr, nums, t, n'
      const [first, second, third, ...others] = await answer(client().select(exact).order('id'))
      assert.deepEqual(first, {
        id: 1,
        i8: '9223372036854775807',
        num: '12345678901234567890.123456789012345678900',
        f8: 0.1,
        b: true,
        by: '\\x00deadff',
        // Rounded, as by JSON.parse; the exact text is compared below.
        j: { a: [1, { é: null }], big: Number('12345678901234567890') },
        ts: '2026-01-02T03:04:05.678901+00:00',
        d: '2026-02-28',
        u: alice,
        arr: ['x', 'y,"z"', null, '{}'],
        nums: [1, -2],
        t: 'tab\t"quote" \\ 🌿 \' ,()',
        n: -5,
      })
      assert.deepEqual(third, { ...first, id: 3 })
      assert.deepEqual(second, { ...Object.fromEntries(Object.keys(first).map((name) => [name, null])), id: 2 })
      assert.deepEqual(others, [])
      const [{ text }] = await t.remote.sql(`select j::text as text from ${table} where id = 1`)
      assert.match(text, /"big": 12345678901234567890\b/)
    },
  },

  'rows of postgrest-js are pulled, and its filters and ours find the same rows': {
    ...inNode,
    run: async (t) => {
      const { table, db: open, client, answer } = await typed(t)
      const texts = ['a,b', 'a.b', '(a)', 'a\\b', "a'b", 'a b', 'a+b', 'a%b', 'a&b=c', 'ä', '東京', '🌿', 'null', '*']
      await answer(
        client().insert(texts.map((t, id) => ({ id, t, j: { t }, b: id % 2 === 0, arr: [t], num: id + 0.5 }))),
      )
      for (const [id, t] of texts.entries()) {
        const db = await open({ t: `eq.${t}` })
        await db.sync.pull()
        assert.deepEqual(await answer(client().select('id').eq('t', t)), [{ id }])
        assert.deepEqual(await db.query(`SELECT id, t, j, b, arr, num FROM ${table}`), [
          { id, t, j: JSON.stringify({ t }), b: id % 2 === 0 ? 1 : 0, arr: JSON.stringify([t]), num: `${id + 0.5}` },
        ])
      }
    },
  },
}
