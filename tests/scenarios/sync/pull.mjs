// Pulls from a real PostgREST: complete, exact, and without repetition.
import assert from 'node:assert/strict'
import { alice, total, withSchema } from '../run/remote.mjs'

const ids = async (db, table) => (await db.query(`SELECT id FROM ${table} ORDER BY id`)).map((row) => row.id)

/** Asserts that a pull found nothing new. */
function assertNoChange(report) {
  for (const column of ['inserted', 'updated', 'deleted', 'conflicts', 'keptLocal', 'rejected'])
    assert.equal(total(report, column), 0, column)
}

export default {
  '25,000 rows over the cap of 1,000 are pulled exactly, and a second pull changes nothing': async ({
    open,
    remote,
  }) => {
    const names = ['orders', 'order_lines']
    const db = await open({
      ...withSchema(`CREATE TABLE orders (id INTEGER PRIMARY KEY, number TEXT, total NUMERIC TEXT, updated_at TEXT);
        CREATE TABLE order_lines (id INTEGER PRIMARY KEY, order_id INTEGER REFERENCES orders, quantity INTEGER,
          unit_price NUMERIC TEXT, discount NUMERIC TEXT, amount NUMERIC TEXT, updated_at TEXT)`),
      remote: remote.options(names.map((table) => ({ table, cursor: 'updated_at' }))),
    })
    const progress = []
    const first = await db.sync.pull({ onProgress: (each) => each.table === 'order_lines' && progress.push(each) })
    assert.equal(first.mode, 'merge')
    assert.deepEqual(first.tables.map((table) => table.table).sort(), [...names].sort())
    assert.equal(total(first, 'inserted'), 32_500)
    assert.ok(progress.length >= 10, 'progress comes as it goes')
    assert.equal(progress.at(-1).rows, 26_000)
    assert.ok(progress.at(-1).bytes > 1_000_000 && 'total' in progress.at(-1))

    const here =
      await db.query(`SELECT CAST(id AS TEXT) AS id, CAST(order_id AS TEXT) AS order_id, CAST(quantity AS TEXT) AS quantity,
      unit_price, discount, amount, updated_at FROM order_lines ORDER BY order_lines.id`)
    const there = await remote.sql(`select id, order_id, quantity::text, unit_price, discount, amount,
      to_json(updated_at) #>> array[]::text[] as updated_at from order_lines order by id`)
    assert.equal(here.length, 26_000)
    for (const [at, row] of there.entries()) assert.deepEqual(here[at], { ...row })
    assert.deepEqual(
      await db.query(
        'SELECT DISTINCT typeof(id) AS id, typeof(amount) AS amount, typeof(quantity) AS q FROM order_lines',
      ),
      [{ id: 'integer', amount: 'text', q: 'integer' }],
    )

    assertNoChange(await db.sync.pull())
    const full = await db.sync.pull({ full: true })
    assertNoChange(full)
    assert.equal(total(full, 'unchanged'), 32_500)
    assert.deepEqual(await db.sync.pending(), [])
    const { rows, lastPulledAt, lastError, pending, rejected } = (await db.sync.status()).find(
      (entry) => entry.table === 'order_lines',
    )
    assert.deepEqual([rows, lastError, pending, rejected], [26_000, null, 0, 0])
    assert.ok(lastPulledAt)
  },

  'each value crosses the wire by its declared type': async ({ memory, remote }) => {
    const table = remote.tableName()
    await remote.table(
      table,
      `id bigint primary key, i8 bigint, i4 integer, num numeric, f8 double precision, b boolean, by bytea, j json, jb jsonb, ts timestamptz,
       d date, u uuid, arr text[], t text, nada text`,
      `(9223372036854775807, -9223372036854775808, -5, 123456789012345678901234567890.123456789012345678900, 0.1, true, '\\xdeadbeef00',
        '{"a": [1, "é"]}', '{"b":{"c":null}}', '2026-01-02 03:04:05.678901+00', '2026-02-28', '${alice}', array['x','y,"z"'],
        E'tab\\t"quote" \\\\ 🌿', null),
       (1, 0, 2147483647, -0.00, -1e300, false, '', '[]', 'null', 'infinity', '0001-01-01', null, '{}', '', null)`,
    )
    const db = await memory({
      ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, i8 INTEGER, i4 INTEGER, num NUMERIC TEXT, f8 REAL, b BOOLEAN, by BLOB,
        j JSON TEXT, jb JSON TEXT, ts TEXT, d TEXT, u TEXT, arr ARRAY TEXT, t TEXT, nada TEXT)`),
      remote: remote.options([table]),
    })
    await db.sync.pull()
    const [low, high] = (
      await db.query(`SELECT *, typeof(by) AS tby, typeof(b) AS tb, typeof(num) AS tnum FROM ${table} ORDER BY id`)
    ).map((row) => ({
      ...row,
      by: [...row.by],
      j: JSON.parse(row.j),
      jb: JSON.parse(row.jb),
      arr: JSON.parse(row.arr),
    }))
    assert.deepEqual(high, {
      id: 9223372036854775807n,
      i8: -9223372036854775808n,
      i4: -5,
      num: '123456789012345678901234567890.123456789012345678900',
      f8: 0.1,
      b: 1,
      by: [0xde, 0xad, 0xbe, 0xef, 0],
      j: { a: [1, 'é'] },
      jb: { b: { c: null } },
      ts: '2026-01-02T03:04:05.678901+00:00',
      d: '2026-02-28',
      u: alice,
      arr: ['x', 'y,"z"'],
      t: 'tab\t"quote" \\ 🌿',
      nada: null,
      tby: 'blob',
      tb: 'integer',
      tnum: 'text',
    })
    const { num, f8, b, by, j, jb, ts, d, u, arr, t } = low
    assert.deepEqual(
      [num, f8, b, by, j, jb, ts, d, u, arr, t],
      ['0.00', -1e300, 0, [], [], null, 'infinity', '0001-01-01', null, [], ''],
    )
  },

  'an interrupted pull keeps its pages, and resumes where it stopped': async ({ open, remote }) => {
    const table = remote.tableName()
    await remote.table(table, 'id int primary key, a text, updated_at timestamptz default now()')
    await remote.sql(`insert into ${table} select i, 'x' from generate_series(1, 5000) i`)
    const given = {
      ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, updated_at TEXT)`),
      remote: remote.options([{ table, cursor: 'updated_at' }], { pageSize: 500 }),
    }
    let db = await open(given)
    const stop = new AbortController()
    const reason = new Error('stop')
    const stopped = db.sync.pull({ signal: stop.signal, onProgress: ({ rows }) => rows >= 1500 && stop.abort(reason) })
    assert.equal(await stopped.catch((error) => error), reason)
    const { n } = await db.get(`SELECT count(*) AS n FROM ${table}`)
    assert.ok(n >= 500 && n < 5000 && n % 500 === 0, `${n} rows were kept`)
    await db.close()
    db = await open({ ...given, name: db.name })
    const [report] = (await db.sync.pull()).tables
    assert.deepEqual([report.inserted, report.resumed], [5000 - n, true])
    assert.deepEqual(await db.get(`SELECT count(*) AS n FROM ${table}`), { n: 5000 })
    assert.equal(await db.sync.pull({ signal: AbortSignal.abort(reason) }).catch((error) => error), reason)
  },

  'unusual keys and cursors page correctly: composite, text with every special character, equal and NULL cursors':
    async ({ memory, remote }) => {
      const [pairs, texts, nulls] = [remote.tableName(), remote.tableName(), remote.tableName()]
      await remote.table(pairs, 'a int, b text, c text, primary key (a, b)')
      await remote.sql(`insert into ${pairs} select i % 5, 'k' || i, 'x' from generate_series(1, 53) i`)
      const odd = `a,b a.b a:b (a) "a" a\\b a'b a+b a%b a&b=c ä Z _ -a A a 東京 🌿 * null a/b#c?d`
        .split(' ')
        .concat('', 'a b')
      await remote.table(texts, 'id text primary key, updated_at timestamptz')
      await remote.sql(`insert into ${texts} select unnest($1::text[]), '2026-01-01 00:00:00.123456+00'`, [odd])
      await remote.table(
        nulls,
        'id int primary key, updated_at timestamptz',
        "(1, null), (2, '2026-01-01'), (3, null), (4, '2026-01-02'), (5, null)",
      )
      const db = await memory({
        ...withSchema(`CREATE TABLE ${pairs} (a INTEGER, b TEXT, c TEXT, PRIMARY KEY (a, b));
        CREATE TABLE ${texts} (id TEXT PRIMARY KEY, updated_at TEXT);
        CREATE TABLE ${nulls} (id INTEGER PRIMARY KEY, updated_at TEXT)`),
        remote: remote.options(
          [pairs, { table: texts, cursor: 'updated_at' }, { table: nulls, cursor: 'updated_at' }],
          {
            pageSize: 2,
          },
        ),
      })
      assert.equal(total(await db.sync.pull(), 'inserted'), 53 + odd.length + 5)
      assert.deepEqual(await db.get(`SELECT count(*) AS n FROM ${pairs}`), { n: 53 })
      assert.deepEqual((await ids(db, texts)).sort(), odd.sort())
      assert.deepEqual(await ids(db, nulls), [1, 2, 3, 4, 5])
      assertNoChange(await db.sync.pull())
    },

  'filters, another remote name, another schema, some tables only, a bare PostgREST root': async ({
    memory,
    failure,
    remote,
  }) => {
    await remote.sql(`drop table if exists other.things; create table other.things (id int primary key, kind text);
      insert into other.things values (1, 'a'), (2, 'b'), (3, 'a'); grant all on other.things to anon, authenticated`)
    const schema = withSchema(
      'CREATE TABLE mine (id INTEGER PRIMARY KEY, kind TEXT); CREATE TABLE t (id INTEGER PRIMARY KEY)',
    )
    const filtered = { table: 'mine', remoteTable: 'things', filter: { kind: 'eq.a' } }
    const mine = await memory({ ...schema, remote: remote.options([filtered], { schema: 'other' }) })
    await mine.sync.pull()
    assert.deepEqual(await ids(mine, 'mine'), [1, 3])

    const remoteTable = remote.tableName()
    await remote.table(remoteTable, 'id int primary key', '(7)')
    const tables = [
      { table: 't', remoteTable },
      { table: 'mine', remoteTable: 'nowhere' },
    ]
    for (const url of [`${remote.url}/rest/v1`, await remote.another({ prefix: '' })]) {
      const db = await memory({ ...schema, remote: remote.options(tables, { url }) })
      await db.sync.pull({ tables: ['t'] })
      assert.deepEqual(await ids(db, 't'), [7])
      assert.equal((await failure(db.sync.pull({ tables: ['sqlite_schema'] }))).code, 'invalid_argument')
    }
  },

  'parents and children in any order, self references too, with foreign keys on': async ({ memory, remote }) => {
    const [node, leaf] = [remote.tableName(), remote.tableName()]
    await remote.table(node, `id int primary key, up int references ${node}`)
    await remote.table(leaf, `id int primary key, node int not null references ${node}`)
    await remote.sql(`insert into ${node} select i, case when i < 200 then i + 1 end from generate_series(200, 1, -1) i;
      insert into ${leaf} select i, 1 + i % 200 from generate_series(1, 300) i`)
    for (const mode of ['merge', 'replace']) {
      const db = await memory({
        ...withSchema(`CREATE TABLE ${leaf} (id INTEGER PRIMARY KEY, node INTEGER NOT NULL REFERENCES ${node});
          CREATE TABLE ${node} (id INTEGER PRIMARY KEY, up INTEGER REFERENCES ${node})`),
        remote: remote.options([leaf, node], { pageSize: 30 }),
      })
      await db.sync.pull({ mode })
      assert.deepEqual([(await ids(db, node)).length, (await ids(db, leaf)).length], [200, 300], mode)
      assert.deepEqual(await db.query('PRAGMA foreign_key_check'), [])
      assert.deepEqual(await db.query('PRAGMA foreign_keys'), [{ foreign_keys: 1 }])
    }
  },
}
