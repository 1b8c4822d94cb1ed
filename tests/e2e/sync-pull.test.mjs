// Pulling from a real PostgREST: everything, exactly, and once.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import {
  alice,
  context,
  freshName,
  remoteOptions,
  remoteTable,
  tableName,
  test,
  total,
  withDatabase,
} from './sync-harness.mjs'

const shop = readFileSync(new URL('../../www/migrations/0001_shop.up.sql', import.meta.url), 'utf8')

test('25,000 rows past the cap of 1,000 come exactly, and a second pull changes nothing', async () => {
  const names = ['customers', 'products', 'orders', 'order_lines']
  const result = await withDatabase(
    { schema: shop, remote: remoteOptions(names.map((table) => ({ table, cursor: 'updated_at' }))) },
    async (db, { names: all }, reopen) => {
      const progress = []
      const first = await db.sync.pull({ onProgress: (each) => progress.push(each) })
      const dump = async () =>
        db.query(
          'SELECT CAST(id AS TEXT) AS id, CAST(order_id AS TEXT) AS order_id, quantity, unit_price, discount, amount, updated_at FROM order_lines ORDER BY id',
        )
      const rows = await dump()
      const types = await db.get(
        'SELECT typeof(id) AS id, typeof(amount) AS amount, typeof(quantity) AS quantity FROM order_lines LIMIT 1',
      )
      const changes = await db.get('SELECT total_changes() AS n')
      const second = await db.sync.pull()
      const again = await reopen()
      const third = await again.sync.pull({ full: true })
      const status = await again.sync.status()
      return {
        first,
        second,
        third,
        rows,
        types,
        progress,
        status,
        pending: (await again.sync.pending()).length,
        same: JSON.stringify(await again.query('SELECT count(*) AS n, total(quantity) AS q FROM order_lines')),
        changes: changes.n,
        all,
      }
    },
    { names },
  )
  const truth = await context.remote.sql(
    'select id, order_id, quantity::int, unit_price, discount, amount, to_json(updated_at) #>> array[]::text[] as updated_at from order_lines order by id',
  )
  assert.equal(result.rows.length, 26_000)
  for (const [index, row] of truth.entries()) {
    const here = result.rows[index]
    if (
      ['id', 'order_id', 'unit_price', 'discount', 'amount', 'updated_at'].some(
        (column) => here[column] !== row[column],
      ) ||
      String(here.quantity) !== row.quantity
    ) {
      assert.deepEqual(here, { ...row })
    }
  }
  assert.deepEqual(result.types, { id: 'integer', amount: 'text', quantity: 'integer' })
  assert.equal(total(result.first, 'inserted'), 32_920)
  assert.deepEqual(result.first.tables.map((table) => table.table).sort(), [...names].sort())
  assert.equal(result.first.mode, 'merge')
  for (const report of [result.second, result.third]) {
    for (const column of ['inserted', 'updated', 'deleted', 'conflicts', 'keptLocal', 'rejected'])
      assert.equal(total(report, column), 0, column)
  }
  assert.equal(total(result.third, 'unchanged'), 32_920)
  assert.equal(result.pending, 0)
  const last = result.progress.filter((each) => each.table === 'order_lines').at(-1)
  assert.equal(last.rows, 26_000)
  assert.ok(last.bytes > 1_000_000 && 'total' in last)
  assert.ok(result.progress.filter((each) => each.table === 'order_lines').length >= 10, 'progress comes as it goes')
  const lines = result.status.find((entry) => entry.table === 'order_lines')
  assert.equal(lines.rows, 26_000)
  assert.ok(lines.lastPulledAt && lines.lastError === null && lines.pending === 0 && lines.rejected === 0)
})

test('each type crosses the wire as the declared type says', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id bigint primary key, i8 bigint, i4 integer, num numeric, f8 double precision, b boolean, by bytea, j json, jb jsonb, ts timestamptz, d date, u uuid, arr text[], t text, nada text',
    `(9223372036854775807, -9223372036854775808, -5, 123456789012345678901234567890.123456789012345678900, 0.1, true, '\\xdeadbeef00', '{"a": [1, "é"]}', '{"b":{"c":null}}',
      '2026-01-02 03:04:05.678901+00', '2026-02-28', '11111111-1111-4111-8111-111111111111', array['x','y,"z"'], E'tab\\t"quote" \\\\ 🌿', null),
     (1, 0, 2147483647, -0.00, -1e300, false, '', '[]', 'null', 'infinity', '0001-01-01', null, '{}', '', null)`,
  )
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, i8 INTEGER, i4 INTEGER, num NUMERIC TEXT, f8 REAL, b BOOLEAN, by BLOB, j JSON TEXT, jb JSON TEXT, ts TEXT, d TEXT, u TEXT, arr ARRAY TEXT, t TEXT, nada TEXT)`
  const rows = await withDatabase(
    { schema, remote: remoteOptions([table]) },
    async (db, { table: name }) => {
      await db.sync.pull()
      return (
        await db.query(`SELECT *, typeof(by) AS tby, typeof(b) AS tb, typeof(num) AS tnum FROM ${name} ORDER BY id`)
      ).map((row) => ({ ...row, by: [...row.by] }))
    },
    { table },
  )
  const [low, high] = rows
  assert.equal(high.id, 9223372036854775807n)
  assert.equal(high.i8, -9223372036854775808n)
  assert.equal(high.num, '123456789012345678901234567890.123456789012345678900')
  assert.deepEqual(
    [high.i4, high.f8, high.b, high.by, high.tby, high.tb, high.tnum],
    [-5, 0.1, 1, [0xde, 0xad, 0xbe, 0xef, 0], 'blob', 'integer', 'text'],
  )
  assert.deepEqual(JSON.parse(high.j), { a: [1, 'é'] })
  assert.deepEqual(JSON.parse(high.jb), { b: { c: null } })
  assert.deepEqual(
    [high.ts, high.d, high.u, high.t, high.nada],
    ['2026-01-02T03:04:05.678901+00:00', '2026-02-28', alice, 'tab\t"quote" \\ 🌿', null],
  )
  assert.deepEqual(JSON.parse(high.arr), ['x', 'y,"z"'])
  assert.deepEqual(
    [low.num, low.f8, low.b, low.by, low.ts, low.d, low.t],
    ['0.00', -1e300, 0, [], 'infinity', '0001-01-01', ''],
  )
  assert.deepEqual(JSON.parse(low.arr), [])
})

test('a value that the column would alter is refused before its page is applied', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, n numeric', '(1, 5), (2, 12345678901234567890)')
  const result = await withDatabase(
    { schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, n INTEGER)`, remote: remoteOptions([table]) },
    async (db, { table: name }) => ({
      failed: await window.failure(() => db.sync.pull()),
      rows: await db.query(`SELECT * FROM ${name}`),
    }),
    { table },
  )
  assert.equal(result.failed.code, 'sync_schema_mismatch')
  assert.match(result.failed.message + JSON.stringify(result.failed.details), new RegExp(table))
  assert.deepEqual(result.rows, [])
})

test('a pull that was stopped keeps its pages, and goes on where it stopped', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text, updated_at timestamptz default now()')
  await context.remote.sql(`insert into ${table} select i, 'x' from generate_series(1, 5000) i`)
  const result = await withDatabase(
    {
      schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, updated_at TEXT)`,
      remote: remoteOptions([{ table, cursor: 'updated_at' }], { pageSize: 500 }),
    },
    async (db, { table: t }, reopen) => {
      const controller = new AbortController()
      const reason = new Error('stop')
      const stopped = await db.sync
        .pull({ signal: controller.signal, onProgress: ({ rows }) => rows >= 1500 && controller.abort(reason) })
        .then(
          () => 'went on',
          (error) => error === reason,
        )
      const { n } = await db.get(`SELECT count(*) AS n FROM ${t}`)
      const again = await reopen()
      const report = await again.sync.pull()
      const already = await again.sync.pull({ signal: AbortSignal.abort(reason) }).catch((error) => error === reason)
      return { stopped, n, report, already, total: (await again.get(`SELECT count(*) AS n FROM ${t}`)).n }
    },
    { table },
  )
  assert.equal(result.stopped, true)
  assert.ok(result.n >= 500 && result.n < 5000 && result.n % 500 === 0, `${result.n} rows were kept`)
  assert.equal(result.total, 5000)
  assert.ok(result.report.tables[0].inserted + result.n === 5000)
  assert.equal(result.report.tables[0].resumed, true)
  assert.equal(result.already, true)
})

test('odd keys page rightly: composite, text with every special character, equal and NULL cursors', async () => {
  const [pairs, texts, nulls] = [tableName(), tableName(), tableName()]
  await remoteTable(pairs, 'a int, b text, c text, primary key (a, b)')
  await context.remote.sql(`insert into ${pairs} select i % 5, 'k' || i, 'x' from generate_series(1, 53) i`)
  const odd = [
    'a,b',
    'a.b',
    'a:b',
    '(a)',
    '"a"',
    'a\\b',
    "a'b",
    'a b',
    'a+b',
    'a%b',
    'a&b=c',
    '',
    'ä',
    'Z',
    '_',
    '-a',
    'A',
    'a',
    '東京',
    '🌿',
    '*',
    'null',
    'a/b#c?d',
  ]
  await remoteTable(texts, 'id text primary key, updated_at timestamptz default now()')
  for (const id of odd)
    await context.remote.sql(`insert into ${texts} values ($1, '2026-01-01 00:00:00.123456+00')`, [id])
  await remoteTable(
    nulls,
    'id int primary key, updated_at timestamptz',
    "(1, null), (2, '2026-01-01'), (3, null), (4, '2026-01-02'), (5, null)",
  )
  const schema = `CREATE TABLE ${pairs} (a INTEGER, b TEXT, c TEXT, PRIMARY KEY (a, b)); CREATE TABLE ${texts} (id TEXT PRIMARY KEY, updated_at TEXT); CREATE TABLE ${nulls} (id INTEGER PRIMARY KEY, updated_at TEXT)`
  const remote = remoteOptions(
    [pairs, { table: texts, cursor: 'updated_at' }, { table: nulls, cursor: 'updated_at' }],
    { pageSize: 2 },
  )
  const result = await withDatabase(
    { schema, remote },
    async (db, argument) => {
      const first = await db.sync.pull()
      const second = await db.sync.pull()
      return {
        first,
        second,
        pairs: (await db.get(`SELECT count(*) AS n FROM ${argument.pairs}`)).n,
        texts: (await db.query(`SELECT id FROM ${argument.texts}`)).map((row) => row.id),
        nulls: (await db.query(`SELECT id FROM ${argument.nulls} ORDER BY id`)).map((row) => row.id),
      }
    },
    { pairs, texts, nulls },
  )
  assert.equal(result.pairs, 53)
  assert.deepEqual([...result.texts].sort(), [...odd].sort())
  assert.deepEqual(result.nulls, [1, 2, 3, 4, 5])
  assert.equal(total(result.first, 'inserted'), 53 + odd.length + 5)
  for (const column of ['inserted', 'updated', 'deleted']) assert.equal(total(result.second, column), 0)
})

test('a row committed late, behind the cursor, is found by the overlap', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, updated_at timestamptz default clock_timestamp()', '(1), (2)')
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, updated_at TEXT)`
  const options = { name: freshName(), schema, remote: remoteOptions([{ table, cursor: 'updated_at' }]) }
  await withDatabase(options, (db) => db.sync.pull())
  await context.remote.sql(`insert into ${table} values (3, clock_timestamp() - interval '20 seconds')`)
  const ids = await withDatabase(
    options,
    async (db, { table: t }) => {
      await db.sync.pull()
      return (await db.query(`SELECT id FROM ${t} ORDER BY id`)).map((row) => row.id)
    },
    { table },
  )
  assert.deepEqual(ids, [1, 2, 3])
})

test('filters, another remote name, another schema, some tables only, a bare PostgREST root', async () => {
  await context.remote.sql(
    "drop table if exists other.things; create table other.things (id int primary key, kind text); insert into other.things values (1, 'a'), (2, 'b'), (3, 'a'); grant all on other.things to anon, authenticated",
  )
  const table = tableName()
  await remoteTable(table, 'id int primary key', '(7)')
  const schema = `CREATE TABLE mine (id INTEGER PRIMARY KEY, kind TEXT); CREATE TABLE ${table} (id INTEGER PRIMARY KEY)`
  const filtered = await withDatabase(
    {
      schema,
      remote: remoteOptions([{ table: 'mine', remoteTable: 'things', filter: { kind: 'eq.a' } }], { schema: 'other' }),
    },
    async (db) => {
      await db.sync.pull()
      return (await db.query('SELECT id FROM mine ORDER BY id')).map((row) => row.id)
    },
  )
  assert.deepEqual(filtered, [1, 3])
  const root = {
    ...remoteOptions([table, { table: 'mine', remoteTable: 'nowhere' }]),
    url: `${context.remote.url}/rest/v1`,
  }
  const some = await withDatabase(
    { schema, remote: root },
    async (db, { table: t }) => {
      await db.sync.pull({ tables: [t] })
      const unknown = await window.failure(() => db.sync.pull({ tables: ['sqlite_schema'] }))
      return { rows: await db.query(`SELECT id FROM ${t}`), unknown: unknown.code }
    },
    { table },
  )
  assert.deepEqual(some, { rows: [{ id: 7 }], unknown: 'invalid_argument' })
})

test('parents and children in any order, self references too, with foreign keys on', async () => {
  const [node, leaf] = [tableName(), tableName()]
  await remoteTable(node, `id int primary key, up int references ${node}`)
  await context.remote.sql(
    `insert into ${node} select i, case when i < 200 then i + 1 end from generate_series(200, 1, -1) i`,
  )
  await remoteTable(leaf, `id int primary key, node int not null references ${node}`)
  await context.remote.sql(`insert into ${leaf} select i, 1 + i % 200 from generate_series(1, 300) i`)
  const schema = `CREATE TABLE ${leaf} (id INTEGER PRIMARY KEY, node INTEGER NOT NULL REFERENCES ${node}); CREATE TABLE ${node} (id INTEGER PRIMARY KEY, up INTEGER REFERENCES ${node})`
  for (const mode of ['merge', 'replace']) {
    const result = await withDatabase(
      { schema, remote: remoteOptions([leaf, node], { pageSize: 30 }) },
      async (db, { node: n, leaf: l, mode: how }) => {
        await db.sync.pull({ mode: how })
        return {
          nodes: (await db.get(`SELECT count(*) AS n FROM ${n}`)).n,
          leaves: (await db.get(`SELECT count(*) AS n FROM ${l}`)).n,
          broken: await db.query('PRAGMA foreign_key_check'),
          on: await db.query('PRAGMA foreign_keys'),
        }
      },
      { node, leaf, mode },
    )
    assert.deepEqual(result, { nodes: 200, leaves: 300, broken: [], on: [{ foreign_keys: 1 }] }, mode)
  }
})

test('two rows that swapped a unique value are taken', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id int primary key, slug text unique, updated_at timestamptz default clock_timestamp()',
    "(1, 'one'), (2, 'two')",
  )
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, slug TEXT UNIQUE, updated_at TEXT)`
  const options = { name: freshName(), schema, remote: remoteOptions([{ table, cursor: 'updated_at' }]) }
  await withDatabase(options, (db) => db.sync.pull())
  await context.remote.sql(
    `update ${table} set slug = 'three' where id = 1; update ${table} set slug = 'one', updated_at = clock_timestamp() where id = 2; update ${table} set slug = 'two', updated_at = clock_timestamp() where id = 1`,
  )
  const rows = await withDatabase(
    options,
    async (db, { table: t }) => {
      await db.sync.pull()
      return db.query(`SELECT id, slug FROM ${t} ORDER BY id`)
    },
    { table },
  )
  assert.deepEqual(rows, [
    { id: 1, slug: 'two' },
    { id: 2, slug: 'one' },
  ])
})
