// The SQL that sqlHelpers gives, on the real PostgreSQL: what it makes, and that it may be run again.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { startRemote } from './index.mjs'

/** The function itself, from its source: these tests need no build of the wasm. */
async function load() {
  const source = fileURLToPath(new URL('../../pkg-js/src/remote/sql-helpers.ts', import.meta.url))
  const { outputFiles } = await build({ entryPoints: [source], bundle: true, format: 'esm', write: false })
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`)
}

const alice = '11111111-1111-4111-8111-111111111111'
const bob = '22222222-2222-4222-8222-222222222222'
const { sqlHelpers } = await load()
let remote

before(async () => {
  remote = await startRemote({ schemas: ['public', 'Other one'] })
  await remote.sql(`
    create table plain (id bigint primary key, name text, updated_at timestamptz);
    insert into plain values (1, 'a', null), (9007199254740993, 'b', '2020-01-01');
    create table "The ""odd"" one's" ("The key" text, b bytea, "user_id" uuid, note json, primary key (b, "The key"));
    alter table "The ""odd"" one's" enable row level security;
    create policy own on "The ""odd"" one's" using (user_id = auth.uid()) with check (user_id = auth.uid());
    create table parents (id int primary key);
    create table children (id int primary key, parent int not null references parents on delete cascade);
    create table "Other one".things (id int primary key);
  `)
  for (let twice = 0; twice < 2; twice++) {
    await remote.sql(sqlHelpers({ tables: ['plain', `The "odd" one's`] }))
    await remote.sql(sqlHelpers({ tables: ['parents', 'children', 'plain'] }))
    await remote.sql(sqlHelpers({ tables: ['things'], schema: 'Other one', updatedAt: 'changed "at"' }))
  }
})
after(() => remote?.stop())

async function call(name, { token, args = {}, method = 'GET', schema, key = remote.publishableKey } = {}) {
  const query = method === 'GET' ? `?${new URLSearchParams(args)}` : ''
  const response = await fetch(`${remote.url}/rest/v1/rpc/${name}${query}`, {
    method,
    headers: {
      apikey: key,
      ...(token && { authorization: `Bearer ${token}` }),
      ...(schema && { [method === 'GET' ? 'accept-profile' : 'content-profile']: schema }),
      ...(method === 'POST' && { 'content-type': 'application/json' }),
    },
    ...(method === 'POST' && { body: JSON.stringify(args) }),
  })
  const text = await response.text()
  assert.equal(response.status, 200, text)
  return JSON.parse(text)
}

test('the server stamps rows, never a client, and only what changes', async () => {
  assert.deepEqual(await remote.sql('select id from plain where updated_at is null'), [])
  await remote.sql(`insert into plain (id, name, updated_at, _xid) values (3, 'c', '2000-01-01', '5')`)
  const row = async () =>
    (
      await remote.sql(
        "select name, updated_at, _xid, now() - updated_at < interval '1 minute' as fresh from plain where id = 3",
      )
    )[0]
  const first = await row()
  assert.equal(first.fresh, 't')
  assert.ok(Number(first._xid) > 5)
  await remote.sql(`update plain set name = 'c', updated_at = '2000-01-01' where id = 3`)
  assert.deepEqual(await row(), first, 'nothing changed')
  await remote.sql(`update plain set name = 'd', updated_at = '2000-01-01' where id = 3`)
  const second = await row()
  assert.ok(second.updated_at > first.updated_at && Number(second._xid) > Number(first._xid))
  const [other] = await remote.sql(
    `insert into "Other one".things (id) values (1) returning "changed ""at""" is not null as stamped`,
  )
  assert.equal(other.stamped, 't')
})

test('a state without a moment to start from tells tables and ceiling, and no tombstones', async () => {
  const state = await call('tidelock_state')
  assert.equal(state.version, 1)
  assert.match(state.cluster, /^\d{10,}$/)
  assert.match(state.ceiling, /^\d+$/)
  assert.deepEqual(state.gone, [])
  const both = { xid: true, tombstones: true }
  assert.deepEqual(state.tables, { plain: both, children: both, parents: both, [`The "odd" one's`]: both })
  assert.deepEqual(Object.keys((await call('tidelock_state', { schema: 'Other one' })).tables), ['things'])
})

test('a deleted row leaves its key, by DELETE, cascade, TRUNCATE and a new key', async () => {
  const { ceiling } = await call('tidelock_state')
  const gone = async (more) =>
    (await call('tidelock_state', { args: { since: ceiling }, ...more })).gone.map(([, table, key]) => [table, key])
  await remote.sql(
    'insert into parents values (1), (2), (3); insert into children values (10, 1), (11, 1), (12, 2), (13, 3)',
  )
  await remote.sql('delete from parents where id = 1')
  const cascade = [
    ['parents', { id: 1 }],
    ['children', { id: 10 }],
    ['children', { id: 11 }],
  ]
  assert.deepEqual(await gone(), cascade)
  await remote.sql('update children set id = 14 where id = 13; update children set parent = 2 where id = 14')
  assert.deepEqual((await gone()).at(-1), ['children', { id: 13 }])
  await remote.sql('truncate parents cascade')
  const all = (await gone()).map((each) => JSON.stringify(each))
  for (const one of [
    ['children', { id: 12 }],
    ['children', { id: 14 }],
    ['parents', { id: 2 }],
    ['parents', { id: 3 }],
  ])
    assert.ok(all.includes(JSON.stringify(one)), JSON.stringify(one))
  assert.equal(all.length, 8)
})

test('columns may have the names that the helpers use inside', async () => {
  const names = ['g', 't', 'k', 'b', 'n', 'it', 'gone', 'name', 'change', 'owner', 'key']
  const columns = names.map((name) => `"${name}" jsonb`).join(', ')
  await remote.sql(`create table named (id int primary key, ${columns})`)
  await remote.sql(sqlHelpers({ tables: ['named'] }))
  const odd = JSON.stringify({ id: 77 })
  const row = Object.fromEntries(names.map((name) => [name, { id: 77 }]))
  const changes = [{ op: 'insert', table: 'named', row: { id: 1, ...row } }]
  const push = (changes) => call('tidelock_push', { method: 'POST', args: { push: { client: 'n', changes } } })
  assert.equal((await push(changes)).applied, true)
  const updated = await push([{ op: 'update', table: 'named', key: { id: 1 }, base: row, row: { t: 1 } }])
  assert.deepEqual(
    [updated.applied, updated.results?.[0].row.t, updated.results?.[0].row.id],
    [true, 1, 1],
    updated.message,
  )
  const conflict = await push([{ op: 'update', table: 'named', key: { id: 1 }, base: { t: 2 }, row: { t: 3 } }])
  assert.deepEqual([conflict.applied, conflict.results?.[0].row.id], [false, 1])
  const nothing = await push([{ op: 'update', table: 'named', key: { id: 1 }, base: {}, row: {} }])
  assert.deepEqual([nothing.code, nothing.message], ['22023', 'a change without columns'])
  await remote.sql(`insert into named (id, g) values (2, '${odd}'), (3, '${odd}')`)
  await remote.sql('delete from named where id = 2')
  assert.equal((await push([{ op: 'delete', table: 'named', key: { id: 1 }, base: { t: 1 } }])).applied, true)
  await remote.sql('truncate named')
  const keys = await remote.sql("select key from tidelock.tombstones where tbl = 'named' order by id")
  assert.deepEqual(
    keys.map(({ key }) => JSON.parse(key).id),
    [2, 1, 3],
  )
})

test('tombstones come in pages of 1000, with every digit of their keys', async () => {
  const { ceiling } = await call('tidelock_state')
  await remote.sql(
    'insert into plain (id) select 9007199254740993 + i from generate_series(1, 1500) i; delete from plain where id > 9007199254740993',
  )
  const first = await call('tidelock_state', { args: { since: ceiling } })
  const second = await call('tidelock_state', { args: { since: ceiling, after: first.gone.at(-1)[0] } })
  assert.deepEqual([first.gone.length, second.gone.length], [1000, 500])
  const text = await (
    await fetch(`${remote.url}/rest/v1/rpc/tidelock_state?since=${ceiling}`, { headers: { apikey: remote.anonKey } })
  ).text()
  assert.match(text, /"id": ?9007199254740994\b/)
})

test('with row security a tombstone is seen by whose row it was, and by nobody else', async () => {
  const { ceiling } = await call('tidelock_state')
  await remote.sql(
    `insert into "The ""odd"" one's" values ('k', '\\x00ff', '${alice}', '{}'), ('l', '\\x01', '${bob}', '{}')`,
  )
  await remote.sql(`update "The ""odd"" one's" set user_id = '${bob}' where b = '\\x00ff'`)
  await remote.sql(`delete from "The ""odd"" one's" where b = '\\x01'`)
  const seen = async (token, key) =>
    (await call('tidelock_state', { args: { since: ceiling }, token, key })).gone.map(([, , each]) => each)
  assert.deepEqual(await seen(), [])
  assert.deepEqual(await seen(remote.jwtFor(alice)), [{ b: '\\x00ff', 'The key': 'k' }], "it became another one's")
  assert.deepEqual(await seen(remote.jwtFor(bob)), [{ b: '\\x01', 'The key': 'l' }])
  assert.equal((await seen(undefined, remote.secretKey)).length, 2)
  // A policy that shows some rows to some: without an owner's column no client is informed.
  await remote.sql(`create table secret (id int primary key, team int); alter table secret enable row level security;
    create policy team on secret using (team = 1); insert into secret values (1, 1)`)
  await remote.sql(sqlHelpers({ tables: ['secret'] }))
  await remote.sql('delete from secret')
  assert.deepEqual(await seen(remote.jwtFor(alice)), [{ b: '\\x00ff', 'The key': 'k' }])
  assert.deepEqual((await call('tidelock_state')).tables.secret, { xid: true, tombstones: false })
  const direct = await fetch(`${remote.url}/rest/v1/tombstones`, {
    headers: { apikey: remote.anonKey, 'accept-profile': 'tidelock' },
  })
  assert.equal(direct.status, 406, 'the API does not have it')
})

test('a ceiling lies below every transaction that is still open', async () => {
  const client = await remote.session()
  try {
    await client.query('begin; insert into plain (id) values (70)')
    const { rows } = await client.query('select _xid from plain where id = 70')
    await remote.sql('insert into plain (id) values (71)')
    const { ceiling } = await call('tidelock_state')
    assert.ok(Number(ceiling) <= Number(rows[0]._xid))
    await client.query('commit')
    assert.ok(Number((await call('tidelock_state')).ceiling) > Number(rows[0]._xid))
  } finally {
    await client.end()
  }
})

test('numbers of another cluster are replaced when the helpers are run again', async () => {
  await remote.sql(
    `alter table plain disable trigger zz_tidelock_stamp; update plain set _xid = '999999999999' where id = 3; alter table plain enable trigger zz_tidelock_stamp`,
  )
  await remote.sql(sqlHelpers({ tables: ['plain'] }))
  const [row] = await remote.sql('select _xid from plain where id = 3')
  assert.ok(Number(row._xid) < 999999999999)
})

test('a push is one transaction: all of it or nothing', async () => {
  await remote.sql(
    `create table stock (sku text primary key, n int not null check (n >= 0), parts text[], big numeric, raw bytea)`,
  )
  await remote.sql(sqlHelpers({ tables: ['stock'] }))
  const push = (changes, more = {}) =>
    call('tidelock_push', { method: 'POST', args: { push: { client: 'c', ...more, changes } } })
  const rows = () => remote.sql('select sku, n, parts, big, raw from stock order by sku')
  const insert = (row) => ({ op: 'insert', table: 'stock', row })
  const first = await push([
    insert({ sku: 'a', n: 1, parts: ['x', 'y z'], raw: '\\x00ff' }),
    insert({ sku: 'b', n: 2 }),
  ])
  assert.equal(first.applied, true)
  assert.deepEqual(
    first.results.map(({ status, row }) => [status, row.sku, row.n]),
    [
      ['done', 'a', 1],
      ['done', 'b', 2],
    ],
  )
  assert.deepEqual({ ...(await rows())[0] }, { sku: 'a', n: '1', parts: '{x,"y z"}', big: null, raw: '\\x00ff' })
  const base = { updated_at: first.results[0].row.updated_at }

  const before = await rows()
  const refused = await push([
    { op: 'update', table: 'stock', key: { sku: 'a' }, row: { n: 5 }, base },
    { op: 'delete', table: 'stock', key: { sku: 'b' } },
    { op: 'update', table: 'stock', key: { sku: 'a' }, row: { n: -1 } },
  ])
  assert.deepEqual([refused.applied, refused.failed, refused.code], [false, 2, '23514'])
  assert.deepEqual(await rows(), before)

  const stale = await push([
    insert({ sku: 'c', n: 3 }),
    { op: 'update', table: 'stock', key: { sku: 'a' }, row: { n: 6 }, base: { updated_at: '2000-01-01' } },
  ])
  assert.deepEqual(
    [stale.applied, stale.failed, stale.results[1].status, stale.results[1].row.n],
    [false, 1, 'conflict', 1],
  )
  assert.deepEqual(await rows(), before)
  const taken = await push([insert({ sku: 'a', n: 9 })])
  assert.deepEqual([taken.applied, taken.results[0].status], [false, 'conflict'])

  const good = await push([
    { op: 'update', table: 'stock', key: { sku: 'a' }, row: { n: 5 }, base },
    { op: 'delete', table: 'stock', key: { sku: 'b' } },
    { op: 'delete', table: 'stock', key: { sku: 'never' } },
  ])
  assert.equal(good.applied, true)
  assert.deepEqual(
    (await rows()).map(({ sku, n }) => [sku, n]),
    [['a', '5']],
  )
  assert.equal((await push([{ op: 'delete', table: 'pg_class', key: {} }])).code, '42P01')
  assert.equal((await push([{ op: 'delete', table: 'stock', key: {} }])).code, '22023')
  assert.deepEqual((await rows()).length, 1)
})

test('a push may defer constraints that are deferrable', async () => {
  await remote.sql(`
    create table shelf (id int primary key, place int not null, unique (place) deferrable);
    create table fixed (id int primary key, place int not null unique);
    insert into shelf values (1, 1), (2, 2), (3, 3);
    insert into fixed values (1, 1), (2, 2)`)
  await remote.sql(sqlHelpers({ tables: ['shelf', 'fixed'] }))
  const move = (table, places, deferred) =>
    call('tidelock_push', {
      method: 'POST',
      args: {
        push: {
          deferred,
          changes: places.map(([id, place]) => ({ op: 'update', table, key: { id }, row: { place } })),
        },
      },
    })
  const places = async (table) => (await remote.sql(`select place from ${table} order by id`)).map(({ place }) => place)
  const swap = [
    [1, 2],
    [2, 1],
  ]
  assert.deepEqual([(await move('shelf', swap)).failed, await places('shelf')], [0, ['1', '2', '3']])
  assert.deepEqual([(await move('shelf', swap, true)).applied, await places('shelf')], [true, ['2', '1', '3']])
  const taken = await move('shelf', [...swap.map(([id, place]) => [id, 3 - place]), [1, 3]], true)
  assert.deepEqual([taken.applied, taken.code, await places('shelf')], [false, '23505', ['2', '1', '3']])
  assert.deepEqual([(await move('fixed', swap, true)).failed, await places('fixed')], [0, ['1', '2']])
  // What is deferred ends with the call.
  assert.equal((await move('shelf', [[1, 1]])).code, '23505')
})

test('a mutation that is sent again is applied once and answered alike', async () => {
  await remote.sql('create table counters (id int primary key, n int)')
  await remote.sql(sqlHelpers({ tables: ['counters'] }))
  const push = (mutation, n, token) =>
    call('tidelock_push', {
      method: 'POST',
      token,
      args: { push: { client: 'me', mutation, changes: [{ op: 'insert', table: 'counters', row: { id: n, n } }] } },
    })
  const first = await push('1', 1)
  assert.equal(first.applied, true)
  assert.deepEqual(await push('1', 1), first)
  await remote.sql('delete from counters')
  assert.deepEqual(await push('1', 1), first)
  assert.deepEqual(await remote.sql('select * from counters'), [])
  // What failed may be sent again under the same number.
  assert.equal((await push('2', 2)).applied, true)
  assert.equal((await push('3', 2)).applied, false)
  await remote.sql('delete from counters where id = 2')
  assert.equal((await push('3', 2)).applied, true)
  // Two at once: one of them waits for the other's end.
  const both = await Promise.all([push('4', 4), push('4', 4)])
  assert.deepEqual(both[0], both[1])
})

test("a push has its caller's rights", async () => {
  const table = `The "odd" one's`
  const push = (row, token) =>
    call('tidelock_push', { method: 'POST', token, args: { push: { changes: [{ op: 'insert', table, row }] } } })
  const row = { 'The key': 'mine', b: '\\x07', user_id: alice }
  assert.equal((await push(row, remote.jwtFor(bob))).code, '42501')
  assert.equal((await push(row, remote.jwtFor(alice))).applied, true)
})

test('the schema tells columns, keys and references of the tables that were given, also to a publishable key', async () => {
  await remote.sql(`create type mood as enum ('fine', 'low'); create domain price as numeric(10, 2);
    create table kinds (id bigint generated always as identity primary key, m mood not null default 'fine', p price, tags text[] not null default '{}',
      half numeric generated always as (p / 2) stored, code varchar(10) unique, parent bigint references kinds on delete set null)`)
  await remote.sql(sqlHelpers({ tables: ['kinds'] }))
  const { tables } = await call('tidelock_schema')
  assert.ok(!tables.some((table) => table.name === 'tidelock' || table.name === 'things'))
  const kinds = tables.find((table) => table.name === 'kinds')
  assert.deepEqual(
    kinds.columns.map(({ name, type, notNull, generated }) => [name, type, notNull, generated]),
    [
      ['id', 'bigint', true, true],
      ['m', 'enum', true, false],
      ['p', 'numeric', false, false],
      ['tags', 'array', true, false],
      ['half', 'numeric', false, true],
      ['code', 'character varying', false, false],
      ['parent', 'bigint', false, false],
      ['updated_at', 'timestamp with time zone', true, false],
      ['_xid', 'xid8', true, false],
    ],
  )
  assert.deepEqual([kinds.primaryKey, kinds.unique], [['id'], [['code']]])
  assert.deepEqual(kinds.foreignKeys, [
    { columns: ['parent'], table: 'kinds', references: ['id'], onDelete: 'SET NULL' },
  ])
  assert.deepEqual(tables.find((table) => table.name === `The "odd" one's`).primaryKey, ['b', 'The key'])
})

test('what can not be helped with is said', async () => {
  await remote.sql('create table keyless (a int)')
  await assert.rejects(remote.sql(sqlHelpers({ tables: ['keyless'] })), /public\.keyless has no primary key/)
  await assert.rejects(remote.sql(sqlHelpers({ tables: ['nowhere'] })), /no table public\.nowhere/)
  for (const options of [
    {},
    { tables: [] },
    { tables: [''] },
    { tables: ['x'.repeat(64)] },
    { tables: ['a'], more: 1 },
  ])
    assert.throws(() => sqlHelpers(options), { code: 'invalid_argument' })
})

/** What the helpers make in the database, by kind and name. */
const made = () =>
  remote.sql(`
    select 'schema' as kind, nspname as name from pg_namespace where nspname = 'tidelock'
    union all select 'function', proname from pg_proc where proname like 'tidelock%'
    union all select 'trigger', tgname from pg_trigger where tgname like '%tidelock%'
    union all select 'index', relname from pg_class where relname like '%tidelock%'
    union all select 'column', attrelid::regclass::text from pg_attribute where attname = '_xid' and not attisdropped`)

test('the SQL of the documents removes all that the helpers made, and they can be created again', async () => {
  const document = await readFile(new URL('../../docs/supabase.md', import.meta.url), 'utf8')
  const sql = /### Removing the helpers[\s\S]*?```sql\n([\s\S]*?)```/.exec(document)[1]
  assert.deepEqual(new Set((await made()).map(({ kind }) => kind)).size, 5)
  await remote.sql('create table dropped (id int primary key)')
  await remote.sql(sqlHelpers({ tables: ['dropped'] }))
  await remote.sql('drop table dropped')
  for (const time of ['first', 'second']) {
    await remote.sql(sql)
    assert.deepEqual(await made(), [], time)
  }
  await remote.sql(`insert into plain (id, name) values (500, 'a'); update plain set name = 'b' where id = 500;
    delete from plain where id = 500; truncate parents cascade`)
  const answer = await fetch(`${remote.url}/rest/v1/rpc/tidelock_state`, { headers: { apikey: remote.publishableKey } })
  assert.equal(answer.status, 404, await answer.text())
  await remote.sql(sqlHelpers({ tables: ['plain', 'parents'] }))
  assert.deepEqual(Object.keys((await call('tidelock_state')).tables).sort(), ['parents', 'plain'])
})
