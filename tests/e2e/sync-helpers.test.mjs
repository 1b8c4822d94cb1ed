// A project with tidelock's helpers: late commits, deletions for good, the local schema, and what differs between both sides.
import assert from 'node:assert/strict'
import { isTidelockError, schemaFromRemote, sqlHelpers } from '../../pkg-js/dist/index.js'
import {
  actions,
  alice,
  bob,
  context,
  remoteOptions,
  remoteTable,
  tableName,
  test,
  withDatabase,
} from './sync-harness.mjs'

const quoted = (name) => `"${name.replaceAll('"', '""')}"`
const helped = async (tables, options) => context.remote.sql(sqlHelpers({ tables, ...options }))
/** A remote table with the rows of a query. */
const filledTable = async (name, columns, query) => {
  await remoteTable(name, columns)
  await context.remote.sql(`insert into ${name} ${query}`)
}
const requests = () => context.remote.stats.requests.map(({ method, table, path }) => `${method} ${table || path}`)

test('a row whose transaction commits late is found without overlap, and a quiet table takes two requests', async () => {
  const table = tableName()
  await filledTable(table, 'id int primary key, name text', "select i, 'old' from generate_series(1, 50) i")
  await helped([table])
  const late = await context.remote.session()
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)`
  const remote = remoteOptions([{ table, cursor: 'updated_at', overlapMs: 0 }])
  const hooks = await actions({
    begin: () => late.query(`begin; update ${table} set name = 'late' where id = 1`),
    early: () => context.remote.sql(`update ${table} set name = 'early' where id = 2`),
    commit: () => late.query('commit'),
    reset: () => context.remote.stats.reset(),
    requests,
  })
  try {
    const result = await withDatabase(
      { schema, remote },
      async (db, { url, table: name }, reopen) => {
        const call = (what) => fetch(`${url}/${what}`).then((response) => response.json())
        const rows = () => db.query(`SELECT id, name FROM ${name} WHERE name <> 'old' ORDER BY id`)
        const first = await db.sync.pull()
        await call('begin')
        await call('early')
        const second = await db.sync.pull()
        const meanwhile = await rows()
        await call('commit')
        const third = await db.sync.pull()
        const found = await rows()
        await db.sync.pull()
        await call('reset')
        const quiet = await db.sync.pull()
        const asked = await call('requests')
        const again = await reopen()
        await call('reset')
        const afterwards = await again.sync.pull()
        return { first, second, third, meanwhile, found, quiet, asked, afterwards, askedAgain: await call('requests') }
      },
      { url: hooks.url, table },
    )
    assert.equal(result.first.tables[0].inserted, 50)
    assert.deepEqual(result.meanwhile, [{ id: 2, name: 'early' }])
    assert.deepEqual(result.found, [
      { id: 1, name: 'late' },
      { id: 2, name: 'early' },
    ])
    assert.equal(result.third.tables[0].updated, 1)
    for (const report of [result.quiet, result.afterwards])
      assert.deepEqual([report.tables[0].inserted, report.tables[0].updated, report.tables[0].deleted], [0, 0, 0])
    for (const asked of [result.asked, result.askedAgain]) assert.deepEqual(asked, ['GET rpc', `GET ${table}`])
  } finally {
    await late.end()
    await hooks.stop()
  }
})

test('rows that were deleted for good go, by DELETE, cascade and TRUNCATE, without comparing keys', async () => {
  const [parent, child] = [tableName(), tableName()]
  await filledTable(
    parent,
    'id bigint primary key, name text',
    "select 9007199254740992 + i, 'p' from generate_series(1, 30) i",
  )
  await filledTable(
    child,
    `a text, b int, parent bigint references ${parent} on delete cascade, primary key (a, b)`,
    `select 'k "' || i, i, 9007199254740992 + i from generate_series(1, 30) i`,
  )
  await helped([parent, child])
  const schema = `CREATE TABLE ${parent} (id INTEGER PRIMARY KEY, name TEXT, mine TEXT, updated_at TEXT);
    CREATE TABLE ${child} (a TEXT, b INTEGER, parent INTEGER REFERENCES ${parent} ON DELETE CASCADE, updated_at TEXT, PRIMARY KEY (a, b))`
  const remote = remoteOptions([
    { table: child, cursor: 'updated_at' },
    { table: parent, columns: ['id', 'name'] },
  ])
  const hooks = await actions({
    delete: () =>
      context.remote.sql(`delete from ${parent} where id <= 9007199254740995; delete from ${child} where b = 10;
        update ${child} set a = 'moved' where b = 11; update ${child} set parent = 9007199254741000 where b = 12;
        delete from ${parent} where id = 9007199254741004`),
    back: () => context.remote.sql(`insert into ${parent} values (9007199254740993, 'back')`),
    truncate: () => context.remote.sql(`truncate ${child}`),
  })
  try {
    const result = await withDatabase(
      { schema, remote },
      async (db, { url, parent, child }) => {
        const call = (what) => fetch(`${url}/${what}`).then((response) => response.json())
        const state = async () => ({
          parents: (await db.query(`SELECT CAST(id AS TEXT) AS id FROM ${parent} ORDER BY id LIMIT 3`)).map(
            (row) => row.id,
          ),
          counts: await db.query(
            `SELECT (SELECT count(*) FROM ${parent}) AS parents, (SELECT count(*) FROM ${child}) AS children`,
            [],
            { rowMode: 'array' },
          ),
          moved: await db.query(`SELECT a, b FROM ${child} WHERE b IN (10, 11, 12) ORDER BY b`),
        })
        await db.sync.pull()
        await call('delete')
        const report = await db.sync.pull()
        const deleted = await state()
        await call('back')
        await db.sync.pull()
        const back = await state()
        await call('truncate')
        await db.sync.pull()
        return { report, deleted, back, truncated: await state(), pending: await db.sync.pending() }
      },
      { url: hooks.url, parent, child },
    )
    assert.deepEqual(result.deleted.counts, [[26, 26]])
    assert.deepEqual(result.deleted.parents[0], '9007199254740996')
    assert.deepEqual(result.deleted.moved, [
      { a: 'moved', b: 11 },
      { a: 'k "12', b: 12 },
    ])
    assert.equal(result.back.parents[0], '9007199254740993')
    assert.deepEqual(result.truncated.counts, [[27, 0]])
    assert.deepEqual(result.pending, [])
  } finally {
    await hooks.stop()
  }
})

test('a deletion is told to whose row it was, and to nobody else', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id int primary key, user_id uuid not null, name text',
    `(1, '${alice}', 'a'), (2, '${alice}', 'b'), (3, '${bob}', 'c')`,
  )
  await context.remote.sql(`alter table ${table} enable row level security;
    create policy own on ${table} using (user_id = auth.uid()) with check (user_id = auth.uid())`)
  await helped([table])
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, user_id TEXT, name TEXT)`
  const hooks = await actions({
    away: () =>
      context.remote.sql(
        `delete from ${table} where id in (1, 3); update ${table} set user_id = '${bob}' where id = 2; insert into ${table} values (4, '${alice}', 'd')`,
      ),
  })
  try {
    const result = await withDatabase(
      { schema, remote: remoteOptions([{ table, cursor: 'updated_at' }]) },
      async (db, { url, table }) => {
        const rows = () => db.query(`SELECT id, name FROM ${table} ORDER BY id`)
        await db.sync.pull()
        const first = await rows()
        await fetch(`${url}/away`)
        await db.sync.pull()
        return { first, second: await rows() }
      },
      { token: context.remote.jwtFor(alice), url: hooks.url, table },
    )
    assert.deepEqual(
      result.first.map((row) => row.id),
      [1, 2],
    )
    assert.deepEqual(result.second, [{ id: 4, name: 'd' }], 'the one that became another user’s is gone, too')
  } finally {
    await hooks.stop()
  }
})

test('helpers that come later are noticed, and the first pull is not counted twice', async () => {
  const table = tableName()
  await filledTable(table, 'id int primary key, name text', "select i, 'old' from generate_series(1, 2500) i")
  await helped([table])
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)`
  const result = await withDatabase(
    { schema, remote: remoteOptions([{ table, cursor: 'updated_at' }]) },
    async (db) => {
      const first = await db.sync.pull()
      const second = await db.sync.pull({ full: true })
      return { first, second }
    },
  )
  assert.equal(result.first.tables[0].inserted, 2500)
  assert.deepEqual([result.second.tables[0].unchanged, result.second.tables[0].inserted], [2500, 0])
})

test('the schema of the remote makes local tables that hold every value exactly', { timeout: 120_000 }, async () => {
  const [main, other] = [`Odd "${tableName()}"`, tableName()]
  await remoteTable(other, 'code text primary key, n int not null default 7')
  await context.remote.sql(`
    do $$ begin create type mood as enum ('fine', 'low'); exception when duplicate_object then null; end $$;
    create table ${quoted(main)} (
      a bigint, "b c" text, i2 smallint, i4 int not null default 4, r real, d double precision, n numeric, n2 numeric(20, 4) default 0.10,
      yes boolean not null default true, bin bytea, j json, jb jsonb default '{"a": [1.50]}', tags text[] not null default '{}', nums int[],
      at timestamptz not null default now(), local timestamp, day date, t time, span interval, u uuid default gen_random_uuid(), m mood default 'fine',
      chars varchar(5), ip inet, of text references ${other}, twice bigint generated always as (i4 * 2) stored, primary key (a, "b c"));
    insert into ${other} values ('x'), ('y');
    insert into ${quoted(main)} (a, "b c", i2, r, d, n, n2, bin, j, jb, nums, at, local, day, t, span, ip, of, chars) values
      (9007199254740993, 'é, "q"', -5, 0.1, 1e-300, 12345678901234567890.123456789, 1.5, '\\x00ff', '{"b": 1,  "a": 2.50}', '[1, {"x": null}]', '{1,null,3}',
        '2026-01-02 03:04:05.678901+00', '2026-01-02 03:04:05.5', '2026-02-28', '23:59:59.5', '1 day 02:03:04', '10.0.0.1', 'x', 'abc'),
      (1, '', null, null, null, null, null, null, null, null, null, 'infinity', null, null, null, null, null, null, null)`)
  await helped([main, other])
  const { url, publishableKey, secretKey } = context.remote
  const migration = await schemaFromRemote({ url, key: publishableKey, tables: [main, other] })
  assert.deepEqual([migration.version, migration.name], ['0001', 'remote_schema'])
  assert.doesNotMatch(migration.up, /_xid/)
  const result = await withDatabase(
    { schema: migration.up, remote: remoteOptions([main, other]) },
    async (db, { main: name }) => {
      const table = `"${name.replaceAll('"', '""')}"`
      const first = await db.sync.pull()
      const columns = (await db.query(`SELECT name FROM pragma_table_info(?)`, [name])).map((column) => column.name)
      const cell = (column) =>
        `CASE typeof("${column}") WHEN 'blob' THEN '\\x' || lower(hex("${column}")) ELSE CAST("${column}" AS TEXT) END AS "${column}"`
      const rows = await db.query(`SELECT ${columns.map(cell)} FROM ${table} ORDER BY a`)
      await db.run(`INSERT INTO ${table} (a, "b c", of) VALUES (2, 'mine', 'y')`)
      await db.run(`UPDATE ${table} SET i4 = 9, twice = 1 WHERE a = 1`)
      const pushed = await db.sync.push()
      const mine = await db.query(
        `SELECT i4, n2, yes, jb, tags, m, twice, length(u) AS u, at IS NOT NULL AS at FROM ${table} WHERE a IN (1, 2) ORDER BY a`,
      )
      return {
        first,
        rows,
        pushed,
        mine,
        rejected: await db.sync.rejected(),
        foreign: await db.query('PRAGMA foreign_key_check'),
      }
    },
    { main },
  )
  assert.deepEqual(result.rejected, [])
  const [truth] = await context.remote.sql(
    `select json_agg(to_json(r) order by a) as rows, (select json_object_agg(attname, format_type(atttypid, null)) from pg_attribute where attrelid = '${quoted(main)}'::regclass and attnum > 0) as types
     from (select * from ${quoted(main)} where a <> 2 and i4 <> 9 or a = 9007199254740993) r`,
  )
  const types = JSON.parse(truth.types)
  // Every value as the text that PostgreSQL sends, without JSON.parse; two kinds are written in another way here.
  const expected = await context.remote.sql(
    `select ${Object.keys(types)
      .filter((name) => name !== '_xid')
      .map((name) => `to_json(r)->>'${name}' as ${quoted(name)}`)} from ${quoted(main)} r where a = 9007199254740993`,
  )
  const here = result.rows.find((row) => row.a === '9007199254740993')
  for (const [name, text] of Object.entries(expected[0])) {
    if (name === 'yes') assert.equal(here[name], text === 'true' ? '1' : '0')
    else if (/^(json|jsonb)$|\[\]$/.test(types[name])) assert.deepEqual(JSON.parse(here[name]), JSON.parse(text), name)
    else if (/^(real|double)/.test(types[name])) assert.equal(Number(here[name]), Number(text), name)
    else assert.equal(here[name], text, name)
  }
  assert.equal(here.j, '{"b":1,"a":2.50}')
  assert.equal(result.rows.find((row) => row.a === '1').at, 'infinity')
  const [one, two] = result.mine
  assert.deepEqual([one.i4, one.twice], [9, 18], 'what the remote computes is not sent')
  assert.deepEqual(
    { ...two },
    { i4: 4, n2: '0.1000', yes: 1, jb: '{"a":[1.50]}', tags: '[]', m: 'fine', twice: 8, u: 36, at: 1 },
  )
  assert.deepEqual(result.foreign, [])
  // A secret key reads the OpenAPI document: tables that nobody has helped with, too.
  const plain = tableName()
  await remoteTable(plain, `id uuid primary key default gen_random_uuid(), of text references ${other}, x int not null`)
  const secret = await schemaFromRemote({ url, key: secretKey, tables: [plain, other] })
  assert.match(secret.up, new RegExp(`FOREIGN KEY \\("of"\\) REFERENCES "${other}" \\("code"\\)`))
  assert.ok(secret.up.indexOf(`"${other}" (`) < secret.up.indexOf(`"${plain}" (`))
  await assert.rejects(
    schemaFromRemote({ url, key: publishableKey, tables: [plain] }),
    (error) => isTidelockError(error, 'sync_schema_mismatch') && error.details.table === plain,
  )
  const warnings = []
  await context.remote.sql('create table if not exists keyless (x int)')
  const all = await schemaFromRemote({ url, key: secretKey, onWarning: (warning) => warnings.push(warning) })
  assert.match(all.up, /CREATE TABLE "order_lines"/)
  assert.ok(warnings[0].message.includes('keyless'))
})

test('what tells no schema says so', { only: 'current', because: 'no database is opened' }, async () => {
  const { url, publishableKey } = context.remote
  await remoteTable('first_helped', 'id int primary key')
  // Twice: it may be run again.
  for (let run = 0; run < 2; run++) await helped(['first_helped'])
  const refused = (options) =>
    schemaFromRemote({ url, key: publishableKey, ...options }).then(
      () => assert.fail('this must fail'),
      (error) => (isTidelockError(error) ? error : assert.fail(error)),
    )
  const other = await refused({ schema: 'other' })
  assert.equal(other.code, 'sync_unauthorized')
  assert.match(other.hint, /sqlHelpers/)
  assert.equal((await refused({ key: 'sb_wrong' })).code, 'sync_unauthorized')
  assert.equal((await refused({ url: 'http://127.0.0.1:9', retries: 0 })).code, 'sync_network')
  for (const options of [{ tables: 'a' }, { more: 1 }, { url: 'x' }, { version: 5 }])
    assert.equal((await refused(options)).code, 'invalid_argument', JSON.stringify(options))
  const page = await context.page()
  try {
    const inPage = await page.evaluate(
      ([url, key]) => window.tidelock.schemaFromRemote({ url, key }).catch((error) => error.code),
      [url, context.remote.secretKey],
    )
    assert.equal(inPage, 'invalid_argument', 'a secret key in a page')
    const up = await page.evaluate(
      ([url, key]) =>
        window.tidelock.schemaFromRemote({ url, key, tables: ['first_helped'] }).then((migration) => migration.up),
      [url, publishableKey],
    )
    assert.match(up, /CREATE TABLE "first_helped"/)
  } finally {
    await page.close()
  }
})

test('columns that one side lacks: named ones are told, new ones are read again once they are here', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id int primary key, name text, extra text, n int not null',
    "(1, 'a', 'x', 1), (2, 'b', 'y', 2)",
  )
  const hooks = await actions({
    drop: () => context.remote.sql(`alter table ${table} drop column name`),
    type: () => context.remote.sql(`alter table ${table} alter column n type text using 'n' || n`),
    demand: () =>
      context.remote.sql(
        `alter table ${table} alter column n type int using 1, add column must int not null default 1; alter table ${table} alter column must drop default`,
      ),
  })
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, n INTEGER)`
  try {
    const result = await withDatabase(
      { schema, remote: remoteOptions([{ table, columns: ['name', 'n'] }]) },
      async (db, { url, table }) => {
        const call = (what) => fetch(`${url}/${what}`).then((response) => response.json())
        const told = (promise) =>
          promise.then(
            () => undefined,
            (error) => error.toJSON(),
          )
        await db.sync.pull()
        await call('drop')
        const pulled = await told(db.sync.pull())
        await db.run(`UPDATE ${table} SET name = 'mine' WHERE id = 1`)
        const pushed = await told(db.sync.push())
        const pending = (await db.sync.pending()).length
        return { pulled, pushed, pending }
      },
      { url: hooks.url, table },
    )
    for (const error of [result.pulled, result.pushed]) {
      assert.equal(error.code, 'sync_schema_mismatch')
      assert.deepEqual([error.details.table, error.details.column], [table, 'name'], error.message)
      assert.ok(error.hint)
    }
    assert.equal(result.pending, 1, 'nothing is dropped')
    const both = await withDatabase(
      { schema, remote: remoteOptions([table]) },
      async (db, { url, table }) => {
        const call = (what) => fetch(`${url}/${what}`).then((response) => response.json())
        const told = (promise) =>
          promise.then(
            () => undefined,
            (error) => error.toJSON(),
          )
        await db.sync.pull()
        const first = await db.query(`SELECT * FROM ${table} ORDER BY id`)
        await db.exec(`ALTER TABLE ${table} ADD COLUMN extra TEXT`)
        await db.sync.pull()
        const second = await db.query(`SELECT * FROM ${table} ORDER BY id`)
        await call('type')
        const typed = await told(db.sync.pull())
        await call('demand')
        await db.sync.pull()
        await db.run(`INSERT INTO ${table} (id, n) VALUES (9, 9)`)
        await db.sync.push()
        return { first, second, typed, rejected: await db.sync.rejected() }
      },
      { url: hooks.url, table },
    )
    assert.deepEqual(both.first[0], { id: 1, name: null, n: 1 })
    assert.deepEqual(both.second[0], { id: 1, name: null, n: 1, extra: 'x' })
    assert.equal(both.typed.code, 'sync_schema_mismatch')
    assert.deepEqual([both.typed.details.table, both.typed.details.column], [table, 'n'])
    assert.equal(both.rejected.length, 1)
    assert.match(both.rejected[0].error, /must/)
  } finally {
    await hooks.stop()
  }
})

test('quoted names, columns that the remote computes, and another schema, in both directions', async () => {
  const name = `The, "odd" ${tableName()}`
  await context.remote.sql(`create table other.${quoted(name)} ("Key, one" text primary key, "näme (x)" text, "N" int, "double" int generated always as ("N" * 2) stored, changed timestamptz);
    insert into other.${quoted(name)} values ('a,b)', 'x', 1)`)
  await helped([name], { schema: 'other', updatedAt: 'changed' })
  const migration = await schemaFromRemote({
    url: context.remote.url,
    key: context.remote.publishableKey,
    schema: 'other',
    tables: [name],
  })
  const result = await withDatabase(
    { schema: migration.up, remote: remoteOptions([{ table: name, cursor: 'changed' }], { schema: 'other' }) },
    async (db, { name }) => {
      const table = `"${name.replaceAll('"', '""')}"`
      await db.sync.pull()
      const first = await db.query(`SELECT * FROM ${table}`)
      await db.run(`INSERT INTO ${table} ("Key, one", "näme (x)", "N", "double") VALUES ('c.d"', 'y', 5, 1)`)
      await db.run(`UPDATE ${table} SET "näme (x)" = 'z', "N" = 2 WHERE "Key, one" = 'a,b)'`)
      const report = await db.sync.run()
      return {
        first,
        report,
        rows: await db.query(`SELECT "Key, one", "näme (x)", "N", "double" FROM ${table} ORDER BY 1`),
        rejected: await db.sync.rejected(),
      }
    },
    { name },
  )
  assert.equal(result.first[0].double, 2)
  assert.deepEqual(result.rejected, [])
  const rows = [
    { 'Key, one': 'a,b)', 'näme (x)': 'z', N: 2, double: 4 },
    { 'Key, one': 'c.d"', 'näme (x)': 'y', N: 5, double: 10 },
  ]
  assert.deepEqual(result.rows, rows)
  const there = await context.remote.sql(
    `select "Key, one", "näme (x)", "N"::int, "double" from other.${quoted(name)} order by 1`,
  )
  assert.deepEqual(
    there.map((row) => ({ ...row, N: Number(row.N), double: Number(row.double) })),
    rows,
  )
})
