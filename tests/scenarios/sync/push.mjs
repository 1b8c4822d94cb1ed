// Pushes to a real PostgREST: exactly once, whatever is lost on the way.
import assert from 'node:assert/strict'
import { alice, bob, withSchema } from '../run/remote.mjs'

/** Makes a table whose `updated_at` the server sets → its name, its sync options, and its local counterpart. */
async function stamped(remote, values, name = 'text') {
  const table = remote.tableName()
  await remote.table(
    table,
    `id bigint primary key, name ${name}, price numeric, updated_at timestamptz not null default clock_timestamp()`,
    values,
  )
  await remote.sql(`create trigger stamp before update on ${table} for each row execute function touch()`)
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, price NUMERIC TEXT, updated_at TEXT)`
  return { table, synced: { table, cursor: 'updated_at' }, schema }
}

/** Returns inserted, updated, deleted, conflicts and rejected of one table. */
function counts(report, table) {
  const { inserted, updated, deleted, conflicts, rejected } = report.tables.find((each) => each.table === table)
  return [inserted, updated, deleted, conflicts, rejected]
}

const numbers = (count) => Array.from({ length: count }, (_, i) => [i + 1])

export default {
  "local changes are sent in order, in bulk, and come back with the server's values": async ({ memory, remote }) => {
    const parent = await stamped(remote, "(1, 'a', 1.50), (2, 'b', 2.50), (3, 'c', 3.50)")
    const child = remote.tableName()
    await remote.table(child, `id int primary key, parent bigint not null references ${parent.table}, note text`)
    const db = await memory({
      ...withSchema(`${parent.schema}; CREATE TABLE ${child} (id INTEGER PRIMARY KEY,
        parent INTEGER NOT NULL REFERENCES ${parent.table} ON DELETE CASCADE, note TEXT)`),
      remote: remote.options([child, parent.synced]),
    })
    await db.sync.pull()
    await db.transaction(async (tx) => {
      await tx.run(`UPDATE ${parent.table} SET price = '12345678901234567890.10' WHERE id = 1`)
      await tx.run(`DELETE FROM ${parent.table} WHERE id = 2`)
      await tx.run(`INSERT INTO ${parent.table} (id, name) VALUES (9223372036854775807, 'grö"ß,er')`)
      await tx.run(`INSERT INTO ${child} VALUES (10, 9223372036854775807, 'child'), (11, 3, NULL)`)
    })
    const first = await db.sync.push()
    assert.deepEqual(counts(first, parent.table), [1, 1, 1, 0, 0])
    assert.deepEqual(counts(first, child), [2, 0, 0, 0, 0])
    assert.deepEqual(counts(await db.sync.push(), parent.table), [0, 0, 0, 0, 0])
    await db.run(`DELETE FROM ${parent.table} WHERE id = 3`)
    const { push } = await db.sync.run()
    assert.deepEqual([counts(push, parent.table), counts(push, child)], Array(2).fill([0, 0, 1, 0, 0]))
    assert.deepEqual(await db.sync.pending(), [])
    const columns = 'CAST(id AS TEXT) AS id, name, price'
    const rows = [
      { id: '1', name: 'a', price: '12345678901234567890.10' },
      { id: '9223372036854775807', name: 'grö"ß,er', price: null },
    ]
    assert.deepEqual(await remote.sql(`select ${columns} from ${parent.table} order by 1`), rows)
    assert.deepEqual(
      await db.query(`SELECT ${columns} FROM ${parent.table} WHERE updated_at IS NOT NULL ORDER BY id`),
      rows,
    )
  },

  'types follow the local column in both directions: declared, TEXT, no type, and the option types': async (t) => {
    const { memory, remote } = t
    const table = remote.tableName()
    // For each column: the local declaration, the remote type, and the values of two rows.
    const columns = {
      i8: ['INTEGER', 'bigint', '9223372036854775807', '0'],
      num: ['NUMERIC TEXT', 'numeric', '123456789012345678901234567890.123456789012345678900', "'NaN'"],
      f8: ['REAL', 'double precision', '0.1', "'Infinity'"],
      b: ['BOOLEAN', 'boolean', 'true', 'false'],
      raw: ['BLOB', 'bytea', "'\\xdeadbeef00'", "''"],
      j: ['JSON TEXT', 'json', `'{"a":[1,12345678901234567890]}'`, "'[]'"],
      jb: ['JSON TEXT', 'jsonb', `'{"b":{"c":null}}'`, "'true'"],
      ts: ['TEXT', 'timestamptz', "'2026-01-02 03:04:05.678901+00'", "'infinity'"],
      u: ['TEXT', 'uuid', `'${alice}'`, 'null'],
      arr: ['ARRAY TEXT', 'text[]', `array['x','y,"z"', null]`, "'{}'"],
      nums: ['ARRAY TEXT', 'int[]', 'array[1,2]', 'null'],
      t: ['TEXT', 'text', `E'tab\\t"quote" \\\\ 🌿'`, "''"],
      t_number: ['TEXT', 'numeric', '1.2300', 'null'],
      t_object: ['TEXT', 'jsonb', `'{"a": [1, 2.50]}'`, 'null'],
      t_array: ['TEXT', 'jsonb', `'[1, "x"]'`, 'null'],
      u_integer: ['', 'bigint', '9223372036854775807', 'null'],
      u_number: ['', 'numeric', '5.0', 'null'],
      u_text: ['', 'text', "'text'", 'null'],
      o_number: ['', 'numeric', '5', 'null'],
      o_bytes: ['', 'bytea', "'\\x00ff'", 'null'],
      o_flag: ['', 'boolean', 'true', 'false'],
    }
    const list = (show) => Object.entries(columns).map(show).join(', ')
    await remote.table(
      table,
      `id int primary key, ${list(([name, [, there]]) => `${name} ${there}`)}`,
      `(1, ${list(([, [, , one]]) => one)}), (2, ${list(([, [, , , two]]) => two)})`,
    )
    const types = { o_number: 'numeric', o_bytes: 'bytea', o_flag: 'bool' }
    const db = await memory({
      ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, ${list(([name, [local]]) => `${name} ${local}`)})`),
      remote: remote.options([{ table, types }]),
    })
    await db.sync.pull()
    const pulled = await db.get(
      `SELECT t_number, t_object, t_array, u_integer, typeof(u_integer) AS k1, u_number, typeof(u_number) AS k2, u_text,
         o_number, o_bytes, o_flag FROM ${table} WHERE id = 1`,
    )
    assert.deepEqual(Object.values(pulled), [
      ...['1.2300', '{"a":[1,2.50]}', '[1,"x"]', 9223372036854775807n, 'integer', '5.0', 'text', 'text'],
      ...['5', new Uint8Array([0, 255]), 1],
    ])
    // As inserts and as updates, so that every value is sent twice.
    await db.run(`INSERT INTO ${table} SELECT id + 10, ${Object.keys(columns)} FROM ${table}`)
    await db.run(`INSERT INTO ${table} (id) VALUES (21), (22)`)
    await db.sync.push()
    for (const name of Object.keys(columns))
      await db.run(`UPDATE ${table} SET ${name} = (SELECT ${name} FROM ${table} AS o WHERE o.id = ${table}.id - 20)
        WHERE id > 20`)
    await db.sync.push()
    assert.deepEqual(await db.sync.rejected(), [])
    const rows = await remote.sql(`select ${list(([name]) => `${name}::text`)} from ${table} order by id`)
    assert.deepEqual(rows.slice(2), [rows[0], rows[1], rows[0], rows[1]])
  },

  'a lost reply, a dropped connection and a busy server apply nothing twice and lose nothing': async (t) => {
    const { memory, remote } = t
    const survives = async (trouble) => {
      const what = JSON.stringify(trouble)
      const { table, synced, schema } = await stamped(remote, "(1, 'a', 1), (2, 'b', 2), (3, 'c', 3)")
      await remote.sql(
        `create table ${table}_log (what text); grant all on ${table}_log to anon;
         create function ${table}_note() returns trigger language plpgsql as $$ begin
           insert into ${table}_log values (tg_op || ' ' || coalesce(new.id, old.id)); return null; end $$;
         create trigger note after insert or update or delete on ${table} for each row execute function ${table}_note()`,
      )
      const db = await memory({ ...withSchema(schema), remote: remote.options([synced]) })
      await db.sync.pull()
      // Twice, because a browser itself repeats a request on a kept-alive connection that ended.
      const faults = ['POST', 'PATCH', 'DELETE'].map((method) => remote.fault({ table, method, times: 2, ...trouble }))
      await Promise.all(faults)
      await db.exec(`UPDATE ${table} SET name = 'x' WHERE id = 1; DELETE FROM ${table} WHERE id = 2;
        INSERT INTO ${table} (id, name) VALUES (8, 'h'), (9, 'i')`)
      assert.deepEqual(counts(await db.sync.push(), table), [2, 1, 1, 0, 0], what)
      assert.deepEqual([await db.sync.pending(), await db.sync.rejected()], [[], []], what)
      const log = (await remote.sql(`select what from ${table}_log order by what`)).map((row) => row.what)
      assert.deepEqual(log, ['DELETE 2', 'INSERT 8', 'INSERT 9', 'UPDATE 1'], what)
      assert.equal((await db.sync.pull()).tables[0].updated, 0, what)
      for (const fault of faults) assert.equal(await (await fault).met(), 2, what)
    }
    const statuses = [{ status: 503 }, { status: 500, body: { code: '57014' } }, { status: 413 }]
    await Promise.all([{ lostReply: true }, { drop: true }, { cut: 0.5 }, ...statuses].map(survives))
  },

  'after a tab dies with lost responses, its own writes are recognised': async ({ open, remote, failure }) => {
    const { table, synced, schema } = await stamped(remote, "(1, 'a', 1)")
    const given = (more) => ({
      ...withSchema(schema),
      remote: remote.options([{ ...synced, conflict: 'remote-wins' }], { retries: 0, ...more }),
    })
    const loses = async (url, init) => {
      const answer = await fetch(url, init)
      if (init.method === 'POST') throw new TypeError('The connection was lost')
      return answer
    }
    let db = await open(given({ fetch: loses }))
    await db.sync.pull()
    await db.exec(`INSERT INTO ${table} (id, name) VALUES (5, 'first'), (6, 'first')`)
    const { code, retryable } = await failure(db.sync.push())
    assert.deepEqual([code, retryable], ['sync_network', true])
    await db.close()
    db = await open({ ...given(), name: db.name })
    assert.equal((await db.sync.pending()).length, 2)
    await db.exec(`UPDATE ${table} SET name = 'second' WHERE id = 5; DELETE FROM ${table} WHERE id = 6`)
    await db.sync.pull()
    await db.sync.push()
    assert.deepEqual(await remote.sql(`select id, name from ${table} order by id`), [
      { id: '1', name: 'a' },
      { id: '5', name: 'second' },
    ])
  },

  'rejected changes are kept, with the reason, and hold back nothing else': async ({ memory, remote }) => {
    const { table, synced, schema } = await stamped(remote, '', 'text check (name <> $$bad$$)')
    const child = remote.tableName()
    await remote.table(child, `id int primary key, parent bigint references ${table}`)
    const db = await memory({
      ...withSchema(`${schema}; CREATE TABLE ${child} (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES ${table})`),
      remote: remote.options([synced, child]),
    })
    await db.runMany(`INSERT INTO ${table} (id, name) VALUES (?1, iif(?1 = 20, 'bad', 'ok'))`, numbers(50))
    await db.exec(`INSERT INTO ${child} VALUES (1, 20), (2, 21)`)
    assert.deepEqual(counts(await db.sync.push(), table), [49, 0, 0, 0, 1])
    const [refused, ...others] = await db.sync.rejected()
    assert.deepEqual(others, [])
    assert.deepEqual([refused.table, refused.key, refused.op, refused.reason], [table, { id: 20 }, 'insert', 'refused'])
    assert.match(refused.error, /check constraint/)
    assert.deepEqual(
      (await db.sync.pending()).map((entry) => [entry.table, entry.key.id]),
      [[child, 1]],
    )
    const { sync } = await db.health()
    assert.deepEqual([sync.pending, sync.rejected], [1, 1])
    await db.run(`UPDATE ${table} SET name = 'good' WHERE id = 20`)
    await db.sync.retry(refused.id)
    await db.sync.push()
    assert.deepEqual([await db.sync.pending(), await db.sync.rejected()], [[], []])
    assert.deepEqual(await remote.sql(`select name from ${table} join ${child} on parent = ${table}.id order by 1`), [
      { name: 'good' },
      { name: 'ok' },
    ])
  },

  'a table with soft deletions marks its rows, for each type of the column': async (t) => {
    const { memory, remote } = t
    for (const [type, mark] of [
      ['timestamptz', 'now()'],
      ['boolean not null default false', 'true'],
    ]) {
      const table = remote.tableName()
      await remote.table(table, `id int primary key, gone ${type}`, '(1), (2), (3), (4)')
      const db = await memory({
        ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY)`),
        remote: remote.options([{ table, deleted: 'gone' }]),
      })
      await db.sync.pull()
      await db.run(`DELETE FROM ${table} WHERE id < 3`)
      await remote.sql(`update ${table} set gone = ${mark} where id = 3`)
      assert.deepEqual(counts(await db.sync.push(), table), [0, 0, 2, 0, 0], type)
      await db.sync.pull()
      assert.deepEqual(await db.query(`SELECT id FROM ${table}`), [{ id: 4 }], type)
      const there = await remote.sql(
        `select coalesce(gone::text, 'false') <> 'false' as gone from ${table} order by id`,
      )
      assert.deepEqual(
        there.map(({ gone }) => String(gone)[0]),
        ['t', 't', 't', 'f'],
        type,
      )
    }
  },

  'a new row takes the place of one that is marked as deleted': async ({ memory, remote }) => {
    for (const [type, made, note] of [
      ['timestamptz', 'timestamptz', null],
      ['boolean not null default false', 'timestamptz', null],
      // As long as a column must not be NULL, those that are NULL here keep their values there.
      ['timestamptz', 'timestamptz not null default now()', 'old'],
    ]) {
      const table = remote.tableName()
      await remote.table(table, `id text primary key, name text, note text, made ${made}, gone ${type}`)
      const db = await memory({
        ...withSchema(`CREATE TABLE ${table} (id TEXT PRIMARY KEY, name TEXT, note TEXT, made TEXT)`),
        remote: remote.options([{ table, deleted: 'gone' }]),
      })
      await db.run(`INSERT INTO ${table} (id, name, note) VALUES ('tea', 'first', 'old')`)
      await db.sync.run()
      for (const name of ['second', 'third']) {
        await db.run(`DELETE FROM ${table}`)
        await db.sync.run()
        await db.run(`INSERT INTO ${table} (id, name) VALUES ('tea', ?)`, [name])
        await db.sync.run()
        const there = await remote.sql(`select name, note, coalesce(gone::text, 'false') as gone from ${table}`)
        assert.deepEqual(there, [{ name, note, gone: 'false' }], `${type}, ${made}`)
        assert.deepEqual(await db.query(`SELECT name, note FROM ${table}`), [{ name, note }], `${type}, ${made}`)
      }
      assert.deepEqual([await db.sync.pending(), await db.sync.rejected(), await db.sync.conflicts()], [[], [], []])
    }
  },

  'a row that a trigger of the remote skips is refused, and the refusal says so': async ({ memory, remote }) => {
    const { table, synced, schema } = await stamped(remote, "(1, 'a', 1), (2, 'b', 2), (3, 'c', 3)")
    await remote.sql(`create function ${table}_skip() returns trigger language plpgsql as $$ begin
        return case when tg_op = 'DELETE' or new.name = 'skip' then null else new end; end $$;
      create trigger a_skip before insert or update or delete on ${table} for each row execute function ${table}_skip()`)
    const db = await memory({ ...withSchema(schema), remote: remote.options([synced]) })
    await db.sync.pull()
    await db.exec(`INSERT INTO ${table} (id, name) VALUES (11, 'new'), (12, 'skip'), (13, 'new');
      UPDATE ${table} SET name = 'skip' WHERE id = 1; UPDATE ${table} SET name = 'other' WHERE id = 2;
      DELETE FROM ${table} WHERE id = 3`)
    assert.deepEqual(counts(await db.sync.push(), table), [2, 1, 0, 0, 3])
    const rejected = await db.sync.rejected()
    assert.deepEqual(
      rejected.map(({ key, op }) => [key.id, op]),
      [
        [12, 'insert'],
        [1, 'update'],
        [3, 'delete'],
      ],
    )
    for (const { op, error } of rejected) assert.match(error, /trigger.* skipped the row/, op)
  },

  'of a bulk, only the row whose key the remote replaced is refused, and none is stored twice': async (t) => {
    const { memory, remote } = t
    const table = remote.tableName()
    await remote.table(table, 'id bigint primary key, name text, note text', "(5, 'same', null), (6, 'theirs', null)")
    await remote.sql(
      `create sequence ${table}_ids start 1000; grant all on sequence ${table}_ids to anon;
       create function ${table}_number() returns trigger language plpgsql as $$ begin
         if new.id < 0 then new.id := nextval('${table}_ids'); end if; return new; end $$;
       create trigger number before insert on ${table} for each row execute function ${table}_number()`,
    )
    const db = await memory({
      ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, note TEXT)`),
      remote: remote.options([table]),
    })
    // The rows fill different columns, and two keys are taken on the remote: by an equal row, and by another one.
    await db.exec(`INSERT INTO ${table} (id, name) VALUES (5, 'same'), (6, 'mine'), (7, 'new');
      INSERT INTO ${table} (id, note) VALUES (-1, 'numbered there'), (8, 'note')`)
    for (const expected of [
      [3, 0, 0, 1, 2],
      [0, 0, 0, 0, 0],
    ]) {
      assert.deepEqual(counts(await db.sync.push(), table), expected)
      const rejected = (await db.sync.rejected()).map(({ key, reason }) => [key.id, reason])
      assert.deepEqual(rejected.toSorted(), [
        [-1, 'refused'],
        [6, 'conflict'],
      ])
      assert.deepEqual(await db.sync.pending(), [])
      assert.deepEqual(await remote.sql(`select id, name, note from ${table} order by id`), [
        { id: '5', name: 'same', note: null },
        { id: '6', name: 'theirs', note: null },
        { id: '7', name: 'new', note: null },
        { id: '8', name: null, note: 'note' },
        { id: '1000', name: null, note: 'numbered there' },
      ])
    }
  },

  'row security: refusals are kept, and another user’s rows are safe': async ({ memory, remote }) => {
    const table = remote.tableName()
    await remote.table(
      table,
      'id int primary key, owner uuid not null, name text',
      `(1, '${alice}', 'a'), (2, '${bob}', 'b')`,
    )
    await remote.sql(
      `alter table ${table} enable row level security; create policy look on ${table} for select using (true);
       create policy own on ${table} for all using (owner = auth.uid()) with check (owner = auth.uid())`,
    )
    const token = await remote.jwt(alice)
    const db = await memory({
      ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, owner TEXT, name TEXT)`),
      remote: remote.options([table], { accessToken: async () => token }),
    })
    await db.sync.pull()
    await db.exec(`UPDATE ${table} SET name = 'mine'; INSERT INTO ${table} VALUES (3, '${bob}', 'forged')`)
    assert.deepEqual(counts(await db.sync.push(), table), [0, 1, 0, 0, 2])
    assert.deepEqual((await db.sync.rejected()).map((entry) => `${entry.op} ${entry.key.id} ${entry.reason}`).sort(), [
      'insert 3 refused',
      'update 2 refused',
    ])
    assert.deepEqual(await remote.sql(`select name from ${table} order by id`), [{ name: 'mine' }, { name: 'b' }])
  },

  'earlier rows are queued by enqueue, and calls join a running push': async (t) => {
    const { open, remote } = t
    const { table, synced, schema } = await stamped(remote, "(2, 'remote', 1)")
    const options = { name: t.freshName(), ...withSchema(schema) }
    let db = await open(options)
    await db.run(`INSERT INTO ${table} (id, name) VALUES (1, 'old'), (2, 'old')`)
    await db.close()
    db = await open({ ...options, remote: remote.options([synced]) })
    assert.deepEqual(counts(await db.sync.push(), table), [0, 0, 0, 0, 0])
    assert.deepEqual(await db.sync.enqueue(table), { queued: 1 })
    const [push, samePush] = await Promise.all([db.sync.push(), db.sync.push()])
    assert.deepEqual(counts(push, table), [1, 0, 0, 0, 0])
    assert.deepEqual(samePush, push)
    const [pull, samePull] = await Promise.all([db.sync.pull(), db.sync.pull()])
    assert.deepEqual(samePull, pull)
    assert.deepEqual(await remote.sql(`select name from ${table} order by id`), [{ name: 'old' }, { name: 'remote' }])
  },

  'an abort keeps acknowledged changes, and the rest is sent later': async ({ memory, remote, failure }) => {
    const { table, synced, schema } = await stamped(remote)
    const db = await memory({ ...withSchema(schema), remote: remote.options([synced]) })
    await db.runMany(`INSERT INTO ${table} (id) VALUES (?)`, numbers(3000))
    const late = await remote.fault({ table, method: 'POST', delayMs: 3000, skip: 2, times: 99 })
    const controller = new AbortController()
    const onProgress = () => controller.abort(new Error('enough'))
    const { notOurs } = await failure(db.sync.push({ signal: controller.signal, onProgress }))
    assert.equal(notOurs, 'Error: enough')
    const pending = (await db.sync.pending()).length
    assert.ok(pending > 0 && pending < 3000, `${pending}`)
    await late.remove()
    assert.deepEqual(counts(await db.sync.push(), table), [pending, 0, 0, 0, 0])
    await db.run(`DELETE FROM ${table} WHERE id > 1000`)
    assert.deepEqual(counts(await db.sync.push(), table), [0, 0, 2000, 0, 0])
    assert.deepEqual(await remote.sql(`select count(*) as n, max(id) as last from ${table}`), [
      { n: '1000', last: '1000' },
    ])
  },
}
