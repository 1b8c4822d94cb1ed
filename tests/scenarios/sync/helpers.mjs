// A project with tidelock's SQL helpers: late commits, hard deletions, and the local schema from the remote.
import assert from 'node:assert/strict'
import { alice, bob, withSchema } from '../run/remote.mjs'

const quoted = (name) => `"${name.replaceAll('"', '""')}"`

/** Runs the SQL of the helpers for these tables on the remote. */
const help = ({ remote, tidelock }, tables, options) => remote.sql(tidelock.sqlHelpers({ tables, ...options }))

/** Opens a database with this schema, which syncs these tables. */
const synced = ({ open, remote }, schema, tables, more) =>
  open({ ...withSchema(schema), remote: remote.options(tables, more) })

/** Returns rows of the database as arrays. */
const here = (db, sql) => db.query(sql, [], { rowMode: 'array' })

const counts = ({ tables: [{ inserted, updated, deleted, unchanged }] }) => [inserted, updated, deleted, unchanged]

export default {
  'a row that is committed late is found without overlap, and an unchanged table takes two requests': async (t) => {
    const { remote } = t
    const table = remote.tableName()
    await remote.table(table, 'id int primary key, name text')
    await remote.sql(`insert into ${table} select i, 'old' from generate_series(1, 50) i`)
    await help(t, [table])
    const db = await synced(t, `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)`, [
      { table, cursor: 'updated_at', overlapMs: 0 },
    ])
    const changed = () => here(db, `SELECT id, name FROM ${table} WHERE name <> 'old' ORDER BY id`)
    // The client may learn of the helpers after the first rows: these rows are read again, unchanged.
    assert.deepEqual(counts(await db.sync.pull()).slice(0, 3), [50, 0, 0])
    const late = await remote.session()
    try {
      await late.query(`begin; update ${table} set name = 'late' where id = 1`)
      await remote.sql(`update ${table} set name = 'early' where id = 2`)
      await db.sync.pull()
      assert.deepEqual(await changed(), [[2, 'early']])
      await late.query('commit')
    } finally {
      await late.end()
    }
    assert.equal((await db.sync.pull()).tables[0].updated, 1)
    assert.deepEqual(await changed(), [
      [1, 'late'],
      [2, 'early'],
    ])
    await db.sync.pull()
    await remote.resetRequests()
    assert.deepEqual(counts(await db.sync.pull()).slice(0, 3), [0, 0, 0])
    const requests = await remote.requests()
    assert.deepEqual(
      requests.map((request) => request.table),
      ['rpc', table],
    )
  },

  'hard deletions arrive, by DELETE, cascade and TRUNCATE, without comparing keys': async (t) => {
    const { remote } = t
    const [parent, child] = [remote.tableName(), remote.tableName()]
    await remote.table(parent, 'id bigint primary key, name text')
    await remote.table(child, `a text, b int, parent bigint references ${parent} on delete cascade, primary key (a, b)`)
    await remote.sql(
      `insert into ${parent} select 9007199254740992 + i, 'p' from generate_series(1, 30) i;
       insert into ${child} select 'k "' || i, i, 9007199254740992 + i from generate_series(1, 30) i`,
    )
    await help(t, [parent, child])
    const db = await synced(
      t,
      `CREATE TABLE ${parent} (id INTEGER PRIMARY KEY, name TEXT, mine TEXT, updated_at TEXT);
       CREATE TABLE ${child} (a TEXT, b INTEGER, parent INTEGER REFERENCES ${parent} ON DELETE CASCADE, updated_at TEXT, PRIMARY KEY (a, b))`,
      [
        { table: child, cursor: 'updated_at' },
        { table: parent, columns: ['id', 'name'] },
      ],
    )
    /** Returns the numbers of parents and children, and the last digits of the first parent's key, after a pull. */
    const state = async () => {
      await db.sync.pull()
      return here(
        db,
        `SELECT (SELECT count(*) FROM ${parent}), count(*), (SELECT min(id) % 1000 FROM ${parent}) FROM ${child}`,
      )
    }
    assert.deepEqual(await state(), [[30, 30, 993]])
    await remote.sql(
      `delete from ${parent} where id <= 9007199254740995; delete from ${child} where b = 10;
       update ${child} set a = 'moved' where b = 11; update ${child} set parent = 9007199254741000 where b = 12;
       delete from ${parent} where id = 9007199254741004`,
    )
    assert.deepEqual(await state(), [[26, 26, 996]])
    assert.deepEqual(await here(db, `SELECT a, b FROM ${child} WHERE b IN (10, 11, 12) ORDER BY b`), [
      ['moved', 11],
      ['k "12', 12],
    ])
    await remote.sql(`insert into ${parent} values (9007199254740993, 'back')`)
    assert.deepEqual(await state(), [[27, 26, 993]])
    await remote.sql(`truncate ${child}`)
    assert.deepEqual(await state(), [[27, 0, 993]])
    assert.deepEqual(await db.sync.pending(), [])
  },

  'a tombstone is visible to the owner of the row, and a row that got another owner is deleted': async (t) => {
    const { remote } = t
    const table = remote.tableName()
    await remote.table(
      table,
      'id int primary key, user_id uuid not null, name text',
      `(1, '${alice}', 'a'), (2, '${alice}', 'b'), (3, '${bob}', 'c')`,
    )
    await remote.sql(
      `alter table ${table} enable row level security;
       create policy own on ${table} using (user_id = auth.uid()) with check (user_id = auth.uid())`,
    )
    await help(t, [table])
    const token = await remote.jwt(alice)
    const db = await synced(
      t,
      `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, user_id TEXT, name TEXT)`,
      [{ table, cursor: 'updated_at' }],
      { accessToken: async () => token },
    )
    await db.sync.pull()
    assert.deepEqual(await here(db, `SELECT id FROM ${table} ORDER BY id`), [[1], [2]])
    await remote.sql(
      `delete from ${table} where id in (1, 3); update ${table} set user_id = '${bob}' where id = 2;
       insert into ${table} values (4, '${alice}', 'd')`,
    )
    await db.sync.pull()
    assert.deepEqual(await here(db, `SELECT id, name FROM ${table}`), [[4, 'd']])
  },

  'rows exchange values of a deferrable constraint in a column that can not be NULL': async (t) => {
    const { remote } = t
    const table = remote.tableName()
    await remote.table(
      table,
      `id int primary key, list text not null, place int not null, updated_at timestamptz default clock_timestamp(),
       unique (list, place) deferrable`,
    )
    await remote.sql(`insert into ${table} select i, 'l' || i % 2, i from generate_series(1, 12) i`)
    await help(t, [table])
    const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, list TEXT NOT NULL, place INTEGER NOT NULL,
      updated_at TEXT, UNIQUE (list, place))`
    const db = await synced(t, schema, [{ table, cursor: 'updated_at' }])
    await db.sync.pull()
    for (const [from, to] of [
      [1, 5],
      [11, 3],
      [2, 12],
    ]) {
      // A row is dropped at another place, and those between move on.
      await db.transaction(async (tx) => {
        const [{ list }] = await tx.query(`SELECT list FROM ${table} WHERE id = ?`, [from])
        const order = (await tx.query(`SELECT id FROM ${table} WHERE list = ? ORDER BY place`, [list])).map(
          ({ id }) => id,
        )
        const moved = order.filter((id) => id !== from)
        moved.splice(order.indexOf(to), 0, from)
        await tx.exec(`UPDATE ${table} SET place = -id WHERE list = '${list}'`)
        for (const [at, id] of moved.entries())
          await tx.run(`UPDATE ${table} SET place = ? WHERE id = ?`, [at * 2 + 1, id])
      })
      await db.sync.push()
      assert.deepEqual(await db.sync.rejected(), [])
      const places = `SELECT id, place FROM ${table} ORDER BY id`
      assert.deepEqual(
        (await remote.sql(places)).map(({ id, place }) => [Number(id), Number(place)]),
        (await db.query(places)).map(({ id, place }) => [id, place]),
      )
    }
    await db.close()
  },

  'helpers that are installed later are used, and the first pull does not count rows twice': async (t) => {
    const { remote } = t
    const table = remote.tableName()
    await remote.table(table, 'id int primary key, name text, updated_at timestamptz default clock_timestamp()')
    await remote.sql(`insert into ${table} select i, 'old' from generate_series(1, 2500) i`)
    const db = await synced(t, `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)`, [
      { table, cursor: 'updated_at' },
    ])
    assert.deepEqual(counts(await db.sync.pull()), [2500, 0, 0, 0])
    await help(t, [table])
    assert.deepEqual(counts(await db.sync.pull({ full: true })).slice(0, 3), [0, 0, 0])
    await remote.sql(`delete from ${table} where id = 1`)
    assert.deepEqual(counts(await db.sync.pull()).slice(0, 3), [0, 0, 1])
  },

  'a remote that shows no schema is reported': async (t) => {
    const { remote, failure } = t
    const { url, publishableKey } = remote
    const refused = (options) => failure(t.tidelock.schemaFromRemote({ url, key: publishableKey, ...options }))
    // No earlier scenario has installed the helpers in the other schema.
    const other = await refused({ schema: 'other' })
    assert.equal(other.code, 'sync_unauthorized')
    assert.match(other.hint, /sqlHelpers/)
    assert.equal((await refused({ key: 'sb_wrong' })).code, 'sync_unauthorized')
    assert.equal((await refused({ url: 'http://127.0.0.1:9', retries: 0 })).code, 'sync_network')
    for (const options of [{ tables: 'a' }, { more: 1 }, { url: 'x' }, { version: 5 }])
      assert.equal((await refused(options)).code, 'invalid_argument', JSON.stringify(options))
    const table = remote.tableName()
    await remote.table(table, 'id int primary key')
    const unknown = await refused({ tables: [table] })
    assert.deepEqual([unknown.code, unknown.details?.table], ['sync_schema_mismatch', table])
  },

  'a page reads the schema with a publishable key, and refuses a secret one': {
    only: ['page'],
    because: 'a secret key is refused in pages only, and no database is opened',
    run: async (t) => {
      const { remote, failure } = t
      const { url, publishableKey, secretKey } = remote
      assert.equal((await failure(t.tidelock.schemaFromRemote({ url, key: secretKey }))).code, 'invalid_argument')
      const table = remote.tableName()
      await remote.table(table, 'id int primary key')
      await help(t, [table])
      const { up } = await t.tidelock.schemaFromRemote({ url, key: publishableKey, tables: [table] })
      assert.ok(up.includes(`CREATE TABLE "${table}"`))
    },
  },

  'a secret key reads the schema of tables without helpers': {
    only: ['node'],
    because: 'pages refuse secret keys',
    run: async ({ remote, tidelock }) => {
      const { url, secretKey: key } = remote
      const [child, parent, keyless] = [remote.tableName(), remote.tableName(), remote.tableName()]
      await remote.table(parent, 'code text primary key')
      await remote.table(
        child,
        `id uuid primary key default gen_random_uuid(), of text references ${parent}, x int not null`,
      )
      await remote.table(keyless, 'x int')
      const { up } = await tidelock.schemaFromRemote({ url, key, tables: [child, parent] })
      assert.ok(up.includes(`FOREIGN KEY ("of") REFERENCES "${parent}" ("code")`))
      assert.ok(up.indexOf(`"${parent}" (`) < up.indexOf(`"${child}" (`), 'parents first')
      const warnings = []
      const all = await tidelock.schemaFromRemote({ url, key, onWarning: (warning) => warnings.push(warning) })
      assert.match(all.up, /CREATE TABLE "order_lines"/)
      assert.ok(warnings[0].message.includes(keyless))
    },
  },

  'the schema of the remote makes local tables that hold every value exactly': async (t) => {
    const { remote, tidelock } = t
    const [main, other] = [`Odd "${remote.tableName()}"`, remote.tableName()]
    await remote.table(other, 'code text primary key, n int not null default 7', "('x'), ('y')")
    await remote.sql(
      `drop type if exists mood cascade; create type mood as enum ('fine', 'low');
       create table ${quoted(main)} (
         a bigint, "b c" text, i2 smallint, i4 int not null default 4, r real, d double precision, n numeric, n2 numeric(20, 4) default 0.10,
         yes boolean not null default true, bin bytea, j json, jb jsonb default '{"a": [1.50]}', tags text[] not null default '{}', nums int[],
         at timestamptz not null default now(), local timestamp, day date, t time, span interval, u uuid default gen_random_uuid(), m mood default 'fine',
         chars varchar(5), ip inet, of text references ${other}, twice bigint generated always as (i4 * 2) stored, primary key (a, "b c"));
       insert into ${quoted(main)} (a, "b c", i2, r, d, n, n2, bin, j, jb, nums, at, local, day, t, span, ip, of, chars) values
         (9007199254740993, 'é, "q"', -5, 0.1, 1e-300, 12345678901234567890.123456789, 1.5, '\\x00ff', '{"b": 1,  "a": 2.50}', '[1, {"x": null}]', '{1,null,3}',
           '2026-01-02 03:04:05.678901+00', '2026-01-02 03:04:05.5', '2026-02-28', '23:59:59.5', '1 day 02:03:04', '10.0.0.1', 'x', 'abc'),
         (1, '', null, null, null, null, null, null, null, null, null, 'infinity', null, null, null, null, null, null, null)`,
    )
    await help(t, [main, other])
    const migration = await tidelock.schemaFromRemote({
      url: remote.url,
      key: remote.publishableKey,
      tables: [main, other],
    })
    assert.deepEqual([migration.version, migration.name], ['0001', 'remote_schema'])
    assert.doesNotMatch(migration.up, /_xid/)
    const db = await synced(t, migration.up, [main, other])
    await db.sync.pull()

    const types = new Map(
      (
        await remote.sql(
          `select attname, format_type(atttypid, null) as type from pg_attribute
           where attrelid = '${quoted(main)}'::regclass and attnum > 0 and attname <> '_xid'`,
        )
      ).map(({ attname, type }) => [attname, type]),
    )
    const columns = [...types.keys()]
    const [expected] = await remote.sql(
      `select ${columns.map((name) => `to_json(whole)->>'${name}' as ${quoted(name)}`)} from ${quoted(main)} whole where a > 1`,
    )
    const cells = columns.map((name) => {
      const column = quoted(name)
      return `CASE typeof(${column}) WHEN 'blob' THEN '\\x' || lower(hex(${column})) ELSE CAST(${column} AS TEXT) END AS ${column}`
    })
    const [found] = await db.query(`SELECT ${cells} FROM ${quoted(main)} WHERE a > 1`)
    // Compares every value as the text of PostgreSQL; some types are formatted differently here.
    for (const [name, type] of types) {
      const [is, text] = [found[name], expected[name]]
      if (type === 'boolean') assert.equal(is, text === 'true' ? '1' : '0')
      else if (/^jsonb?$|\[\]$/.test(type)) assert.deepEqual(JSON.parse(is), JSON.parse(text), name)
      else if (/^(real|double)/.test(type)) assert.equal(Number(is), Number(text), name)
      else assert.equal(is, text, name)
    }
    assert.equal(found.j, '{"b":1,"a":2.50}')

    await db.exec(
      `INSERT INTO ${quoted(main)} (a, "b c", of) VALUES (2, 'mine', 'y'); UPDATE ${quoted(main)} SET i4 = 9, twice = 1 WHERE a = 1`,
    )
    await db.sync.push()
    assert.deepEqual(await db.sync.rejected(), [])
    // Generated columns were not sent; columns that the remote fills came back.
    assert.deepEqual(await db.get(`SELECT i4, twice, at FROM ${quoted(main)} WHERE a = 1`), {
      i4: 9,
      twice: 18,
      at: 'infinity',
    })
    assert.deepEqual(
      await db.get(
        `SELECT i4, n2, yes, jb, tags, m, twice, length(u) AS u, at IS NOT NULL AS at FROM ${quoted(main)} WHERE a = 2`,
      ),
      { i4: 4, n2: '0.1000', yes: 1, jb: '{"a":[1.50]}', tags: '[]', m: 'fine', twice: 8, u: 36, at: 1 },
    )
    assert.deepEqual(await db.query('PRAGMA foreign_key_check'), [])
  },

  'quoted names, generated columns of the remote, and another schema, in both directions': async (t) => {
    const { remote, tidelock } = t
    const name = `The, "odd" ${remote.tableName()}`
    await remote.sql(
      `create table other.${quoted(name)} ("Key, one" text primary key, "näme (x)" text, "N" int, "double" int generated always as ("N" * 2) stored, changed timestamptz);
       insert into other.${quoted(name)} values ('a,b)', 'x', 1)`,
    )
    await help(t, [name], { schema: 'other', updatedAt: 'changed' })
    const { url, publishableKey: key } = remote
    const { up } = await tidelock.schemaFromRemote({ url, key, schema: 'other', tables: [name] })
    const db = await synced(t, up, [{ table: name, cursor: 'changed' }], { schema: 'other' })
    const all = `SELECT "Key, one", "näme (x)", "N", "double" FROM ${quoted(name)} ORDER BY 1`
    await db.sync.pull()
    assert.deepEqual(await here(db, all), [['a,b)', 'x', 1, 2]])
    await db.exec(
      `INSERT INTO ${quoted(name)} ("Key, one", "näme (x)", "N", "double") VALUES ('c.d"', 'y', 5, 1);
       UPDATE ${quoted(name)} SET "näme (x)" = 'z', "N" = 2 WHERE "Key, one" = 'a,b)'`,
    )
    await db.sync.run()
    assert.deepEqual(await db.sync.rejected(), [])
    const rows = [
      ['a,b)', 'z', 2, 4],
      ['c.d"', 'y', 5, 10],
    ]
    assert.deepEqual(await here(db, all), rows)
    const written = await remote.sql(all.replace('FROM ', 'FROM other.'))
    assert.deepEqual(
      written.map(Object.values),
      rows.map((row) => row.map(String)),
    )
  },
}
