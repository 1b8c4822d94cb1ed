// Pushing to a real PostgREST: exactly, once, whatever is lost on the way, and conflicts decided as the options say.
import assert from 'node:assert/strict'
import {
  alice,
  bob,
  context,
  freshName,
  remoteOptions,
  remoteTable,
  tableName,
  test,
  withDatabase,
} from './sync-harness.mjs'

/** A table whose `updated_at` is the server's, and its local counterpart. */
async function stamped(values = '', columns = 'name text, price numeric', local = 'name TEXT, price NUMERIC TEXT') {
  const table = tableName()
  await remoteTable(
    table,
    `id bigint primary key, ${columns}, updated_at timestamptz not null default clock_timestamp()`,
    values,
  )
  await context.remote.sql(`create trigger stamp before update on ${table} for each row execute function touch()`)
  return { table, schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, ${local}, updated_at TEXT)` }
}

const rowsOf = (table, columns = 'id, name') => context.remote.sql(`select ${columns} from ${table} order by id`)
const options = (table, more = {}) => remoteOptions([{ table, cursor: 'updated_at', ...more }])

test('what was changed here leaves in order, in bulk, and comes back as the server has it', async () => {
  const parent = await stamped("(1, 'a', 1.50), (2, 'b', 2.50), (3, 'c', 3.50)")
  const child = tableName()
  await remoteTable(child, `id int primary key, parent bigint not null references ${parent.table}, note text`)
  const result = await withDatabase(
    {
      schema: `${parent.schema}; CREATE TABLE ${child} (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES ${parent.table} ON DELETE CASCADE, note TEXT)`,
      remote: remoteOptions([child, { table: parent.table, cursor: 'updated_at' }]),
    },
    async (db, { parent: p, child: c }) => {
      await db.sync.pull()
      await db.transaction(async (tx) => {
        await tx.run(`UPDATE ${p} SET price = '12345678901234567890.10' WHERE id = 1`)
        await tx.run(`DELETE FROM ${p} WHERE id = 2`)
        await tx.run(`INSERT INTO ${p} (id, name) VALUES (9223372036854775807, 'grö"ß,er')`)
        await tx.run(`INSERT INTO ${c} VALUES (10, 9223372036854775807, 'child'), (11, 3, NULL)`)
      })
      const progress = []
      const first = await db.sync.push({ onProgress: (step) => progress.push(step) })
      const second = await db.sync.push()
      await db.run(`DELETE FROM ${p} WHERE id = 3`)
      const third = await db.sync.run()
      return {
        first,
        second,
        third,
        progress,
        pending: await db.sync.pending(),
        status: await db.sync.status(),
        rows: await db.query(
          `SELECT CAST(id AS TEXT) AS id, name, price, updated_at IS NOT NULL AS stamped FROM ${p} ORDER BY id`,
        ),
      }
    },
    { parent: parent.table, child },
  )
  const of = (report, table) => {
    const { inserted, updated, deleted, conflicts, rejected } = report.tables.find((one) => one.table === table)
    return [inserted, updated, deleted, conflicts, rejected]
  }
  assert.deepEqual(of(result.first, parent.table), [1, 1, 1, 0, 0])
  assert.deepEqual(of(result.first, child), [2, 0, 0, 0, 0])
  assert.deepEqual(of(result.second, parent.table), [0, 0, 0, 0, 0])
  assert.deepEqual(
    [of(result.third.push, parent.table), of(result.third.push, child)],
    [
      [0, 0, 1, 0, 0],
      [0, 0, 1, 0, 0],
    ],
  )
  assert.equal(result.third.pull.mode, 'merge')
  assert.deepEqual(result.pending, [])
  assert.deepEqual(result.rows, [
    { id: '1', name: 'a', price: '12345678901234567890.10', stamped: 1 },
    { id: '9223372036854775807', name: 'grö"ß,er', price: null, stamped: 1 },
  ])
  const there = await rowsOf(parent.table, 'id, name, price')
  assert.deepEqual(there, [
    { id: '1', name: 'a', price: '12345678901234567890.10' },
    { id: '9223372036854775807', name: 'grö"ß,er', price: null },
  ])
  assert.equal(result.progress.at(-1).rows, result.progress.at(-1).total)
  assert.ok(result.status.every((table) => table.lastPushedAt && table.pending === 0 && table.lastError === null))
})

test('each type leaves as it came', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id bigint primary key, i8 bigint, num numeric, f8 double precision, b boolean, by bytea, j json, jb jsonb, ts timestamptz, u uuid, arr text[], nums int[], t text, plain jsonb',
    `(1, 9223372036854775807, 123456789012345678901234567890.123456789012345678900, 0.1, true, '\\xdeadbeef00', '{"a": [1, 12345678901234567890]}', '{"b":{"c":null}}',
      '2026-01-02 03:04:05.678901+00', '${alice}', array['x','y,"z"', null], array[1,2], E'tab\\t"quote" \\\\ 🌿', '{"p": 1}'),
     (2, 0, 'NaN', 'Infinity', false, '', '[]', 'true', 'infinity', null, '{}', null, '', null)`,
  )
  const columns = 'i8, num, f8, b, by, j, jb, ts, u, arr, nums, t, plain'
  await withDatabase(
    {
      schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, i8 INTEGER, num NUMERIC TEXT, f8 REAL, b BOOLEAN, by BLOB, j JSON TEXT, jb JSON TEXT, ts TEXT, u TEXT, arr ARRAY TEXT, nums ARRAY TEXT, t TEXT, plain TEXT)`,
      remote: remoteOptions([table]),
    },
    async (db, { table: name, columns: list }) => {
      await db.sync.pull()
      // As new rows, and as changes of others, so that every value is sent twice.
      await db.run(`INSERT INTO ${name} SELECT id + 10, ${list} FROM ${name}`)
      await db.run(`INSERT INTO ${name} (id) VALUES (21), (22)`)
      await db.sync.push()
      for (const column of list.split(', '))
        await db.run(
          `UPDATE ${name} SET ${column} = (SELECT ${column} FROM ${name} AS o WHERE o.id = ${name}.id - 20) WHERE id > 20`,
        )
      await db.sync.push()
    },
    { table, columns },
  )
  const rows = await context.remote.sql(
    `select id, ${columns
      .split(', ')
      .map((one) => (one === 'j' ? 'j::jsonb::text as j' : `${one}::text`))
      .join(', ')} from ${table} order by id`,
  )
  const plain = ({ id: _, ...row }) => row
  for (const [copy, original] of [
    [2, 0],
    [3, 1],
    [4, 0],
    [5, 1],
  ])
    assert.deepEqual(plain(rows[copy]), plain(rows[original]))
})

test('a lost reply, a dropped connection and a busy server apply nothing twice and lose nothing', async () => {
  for (const trouble of [
    { lostReply: true },
    { drop: true },
    { cut: 0.5 },
    { status: 503 },
    { status: 500, body: { code: '57014' } },
    { status: 413 },
  ]) {
    const { table, schema } = await stamped("(1, 'a', 1), (2, 'b', 2), (3, 'c', 3)")
    await context.remote.sql(
      `create table ${table}_log (n serial, what text); grant all on ${table}_log to anon; grant all on sequence ${table}_log_n_seq to anon;
       create function ${table}_note() returns trigger language plpgsql as $$ begin
         insert into ${table}_log (what) values (tg_op || ' ' || coalesce(new.id, old.id)); return coalesce(new, old); end $$;
       create trigger note after insert or update or delete on ${table} for each row execute function ${table}_note()`,
    )
    for (const method of ['POST', 'PATCH', 'DELETE']) context.remote.faults.add({ table, method, times: 2, ...trouble })
    const report = await withDatabase(
      { schema, remote: options(table) },
      async (db, { table: t }) => {
        await db.sync.pull()
        await db.exec(
          `UPDATE ${t} SET name = 'x' WHERE id = 1; DELETE FROM ${t} WHERE id = 2; INSERT INTO ${t} (id, name) VALUES (8, 'h'), (9, 'i')`,
        )
        const pushed = await db.sync.push()
        return {
          pushed,
          pending: await db.sync.pending(),
          rejected: await db.sync.rejected(),
          again: await db.sync.run(),
        }
      },
      { table },
    )
    const { ms: _, ...pushed } = report.pushed
    assert.deepEqual(
      pushed.tables,
      [{ table, inserted: 2, updated: 1, deleted: 1, conflicts: 0, rejected: 0 }],
      JSON.stringify(trouble),
    )
    assert.deepEqual([report.pending, report.rejected], [[], []])
    const log = await context.remote.sql(`select what from ${table}_log order by what`)
    assert.deepEqual(
      log.map((row) => row.what),
      ['DELETE 2', 'INSERT 8', 'INSERT 9', 'UPDATE 1'],
      JSON.stringify(trouble),
    )
    assert.equal(report.again.pull.tables[0].updated, 0)
    context.remote.faults.clear()
  }
})

test('a tab that dies with its answers lost knows its own writes again', async () => {
  const { table, schema } = await stamped("(1, 'a', 1)")
  const remote = remoteOptions([{ table, cursor: 'updated_at', conflict: 'remote-wins' }], { retries: 0 })
  const name = freshName()
  // Browsers themselves send a request again when a kept connection ends.
  context.remote.faults.add({ table, method: 'POST', lostReply: true, times: 9 })
  const error = await withDatabase(
    { name, schema, remote },
    async (db, { table: t }) => {
      await db.sync.pull()
      await db.exec(`INSERT INTO ${t} (id, name) VALUES (5, 'first'), (6, 'first')`)
      return window.failure(() => db.sync.push())
    },
    { table },
  )
  context.remote.faults.clear()
  assert.equal(error.code, 'sync_network')
  assert.ok(error.retryable)
  await withDatabase(
    { name, schema, remote },
    async (db, { table: t }) => {
      await db.exec(`UPDATE ${t} SET name = 'second' WHERE id = 5; DELETE FROM ${t} WHERE id = 6`)
      await db.sync.pull()
      await db.sync.push()
    },
    { table },
  )
  assert.deepEqual(await rowsOf(table), [
    { id: '1', name: 'a' },
    { id: '5', name: 'second' },
  ])
})

test('what the remote refuses for good is kept, with the reason, and holds back nothing else', async () => {
  const { table, schema } = await stamped('', 'name text check (name <> $$bad$$), price numeric')
  const child = tableName()
  await remoteTable(child, `id int primary key, parent bigint references ${table}`)
  const result = await withDatabase(
    {
      schema: `${schema}; CREATE TABLE ${child} (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES ${table})`,
      remote: remoteOptions([{ table, cursor: 'updated_at' }, child]),
    },
    async (db, { table: t, child: c }) => {
      await db.runMany(
        `INSERT INTO ${t} (id, name) VALUES (?, ?)`,
        Array.from({ length: 50 }, (_, i) => [i, i === 20 ? 'bad' : 'ok']),
      )
      await db.exec(`INSERT INTO ${c} VALUES (1, 20), (2, 21)`)
      const first = await db.sync.push()
      const rejected = await db.sync.rejected()
      const pending = await db.sync.pending()
      const health = (await db.health()).sync
      await db.run(`UPDATE ${t} SET name = 'good' WHERE id = 20`)
      await db.sync.retry(rejected[0].id)
      const second = await db.sync.push()
      return {
        first,
        rejected,
        pending,
        health,
        second,
        left: [...(await db.sync.pending()), ...(await db.sync.rejected())],
        unknown: await window.failure(() => db.sync.retry('999')),
      }
    },
    { table, child },
  )
  assert.equal(result.first.tables.find((one) => one.table === table).inserted, 49)
  assert.equal(result.first.tables.find((one) => one.table === table).rejected, 1)
  const [refused] = result.rejected
  assert.deepEqual([refused.table, refused.key, refused.op, refused.reason], [table, { id: 20 }, 'insert', 'refused'])
  assert.match(refused.error, /check constraint/)
  assert.deepEqual(
    result.pending.map((entry) => [entry.table, entry.key.id]),
    [[child, 1]],
  )
  assert.deepEqual([result.health.pending, result.health.rejected], [1, 1])
  assert.deepEqual(result.left, [])
  assert.equal(result.unknown.code, 'invalid_argument')
  assert.equal((await context.remote.sql(`select count(*) as n from ${child}`))[0].n, '2')
})

test('conflicts: each policy decides, different columns merge, and the log tells', async () => {
  for (const [conflict, expected] of [
    ['keep-local', 'mine'],
    ['remote-wins', 'theirs'],
    ['last-write-wins', 'theirs'],
  ]) {
    const { table, schema } = await stamped("(1, 'base', 1), (2, 'base', 1)")
    const name = freshName()
    const remote = options(table, { conflict })
    await withDatabase(
      { name, schema, remote },
      async (db, { table: t }) => {
        await db.sync.pull()
        await db.exec(`UPDATE ${t} SET name = 'mine' WHERE id = 1; UPDATE ${t} SET price = '7' WHERE id = 2`)
      },
      { table },
    )
    await new Promise((resolve) => setTimeout(resolve, 1100))
    await context.remote.sql(`update ${table} set name = 'theirs'`)
    const result = await withDatabase(
      { name, schema, remote },
      async (db) => ({
        report: await db.sync.push(),
        log: await db.sync.conflicts({ limit: 5 }),
        pull: await db.sync.pull(),
      }),
      { table },
    )
    assert.deepEqual(await rowsOf(table, 'id, name, price'), [
      { id: '1', name: expected, price: '1' },
      { id: '2', name: 'theirs', price: '7' },
    ])
    assert.equal(result.report.tables[0].conflicts, 2)
    const one = result.log.find((entry) => entry.key.id === 1)
    assert.deepEqual(
      [one.table, one.base.name, one.local.name, one.remote.name, one.result.name],
      [table, 'base', 'mine', 'theirs', expected],
    )
    assert.ok(one.time.endsWith('Z'))
    assert.equal(result.pull.tables[0].updated, 0)
  }
})

test('a function decides with base, local and remote, at pull and at push', async () => {
  for (const way of ['pull', 'push']) {
    const { table, schema } = await stamped("(1, 'a', 10), (2, 'b', 10), (9007199254740993, 'c', 10)")
    const name = freshName()
    const remote = options(table)
    const result = await withDatabase(
      { name, schema, remote, options: {} },
      async (db, { table: t, remoteOptions: given, way: when }, reopen) => {
        await db.sync.pull()
        await db.exec(`UPDATE ${t} SET price = price + 5`)
        window.seen = []
        const decide = async (met) => {
          window.seen.push(met)
          await new Promise((resolve) => setTimeout(resolve, 5))
          if (met.key.id === 2) return null
          return {
            ...met.local,
            price: String(Number(met.local.price) + Number(met.remote.price) - Number(met.base.price)),
          }
        }
        await fetch(`${given.url}/rest/v1/${t}?id=gt.0`, {
          method: 'PATCH',
          headers: { apikey: given.key, authorization: `Bearer ${given.key}`, 'content-type': 'application/json' },
          body: JSON.stringify({ price: 100 }),
        })
        const again = await reopen({ remote: { ...given, tables: [{ ...given.tables[0], conflict: decide }] } })
        if (when === 'pull') await again.sync.pull()
        await again.sync.push()
        return {
          rows: await again.query(`SELECT name, price FROM ${t} ORDER BY id`),
          seen: window.seen.map((met) => [
            String(met.key.id),
            typeof met.key.id,
            met.base.price,
            met.local.price,
            met.remote.price,
          ]),
          left: (await again.sync.pending()).length,
        }
      },
      { table, remoteOptions: remote, way },
    )
    assert.deepEqual(
      result.seen.sort(),
      [
        ['1', 'number', '10', '15', '100'],
        ['2', 'number', '10', '15', '100'],
        ['9007199254740993', 'bigint', '10', '15', '100'],
      ],
      way,
    )
    assert.deepEqual(await rowsOf(table, 'name, price, id').then((rows) => rows.map((row) => [row.name, row.price])), [
      ['a', '105'],
      ['c', '105'],
    ])
    assert.deepEqual(
      result.rows.map((row) => row.price),
      ['105', '105'],
    )
    assert.equal(result.left, 0)
  }
})

test('deleted on one side and changed on the other waits for a person: retry sends it, discard takes the remote’s row', async () => {
  for (const decision of ['retry', 'discard']) {
    const { table, schema } = await stamped("(1, 'a', 1), (2, 'b', 2), (3, 'c', 3)")
    const name = freshName()
    const remote = options(table)
    await withDatabase(
      { name, schema, remote },
      async (db, { table: t }) => {
        await db.sync.pull()
        await db.exec(
          `DELETE FROM ${t} WHERE id = 1; UPDATE ${t} SET name = 'mine' WHERE id = 2; INSERT INTO ${t} (id, name) VALUES (7, 'mine')`,
        )
      },
      { table },
    )
    await context.remote.sql(
      `update ${table} set name = 'theirs' where id = 1; delete from ${table} where id = 2; insert into ${table} values (7, 'theirs')`,
    )
    const result = await withDatabase(
      { name, schema, remote },
      async (db, { table: t, decision: call }) => {
        const report = await db.sync.push()
        const rejected = await db.sync.rejected()
        for (const entry of rejected) await db.sync[call](entry.id)
        await db.sync.run()
        return {
          report,
          rejected,
          rows: await db.query(`SELECT id, name FROM ${t} ORDER BY id`),
          left: (await db.sync.pending()).length,
        }
      },
      { table, decision },
    )
    assert.equal(result.report.tables[0].rejected, 3)
    assert.ok(result.rejected.every((entry) => entry.reason === 'conflict' && entry.error))
    const expected =
      decision === 'retry'
        ? [
            [2, 'mine'],
            [3, 'c'],
            [7, 'mine'],
          ]
        : [
            [1, 'theirs'],
            [3, 'c'],
            [7, 'theirs'],
          ]
    assert.deepEqual(
      result.rows.map((row) => [row.id, row.name]),
      expected,
    )
    assert.deepEqual(
      (await rowsOf(table)).map((row) => [Number(row.id), row.name]),
      expected,
    )
    assert.equal(result.left, 0)
  }
})

test('a soft-delete table marks its rows, whatever the column’s type', async () => {
  for (const type of ['timestamptz', 'boolean not null default false']) {
    const table = tableName()
    await remoteTable(table, `id int primary key, name text, gone ${type}`, "(1, 'a'), (2, 'b'), (3, 'c')")
    const result = await withDatabase(
      {
        schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT)`,
        remote: remoteOptions([{ table, deleted: 'gone' }]),
      },
      async (db, { table: t }) => {
        await db.sync.pull()
        await db.run(`DELETE FROM ${t} WHERE id < 3`)
        const report = await db.sync.push()
        await db.sync.pull()
        return { report, rows: await db.query(`SELECT id FROM ${t}`) }
      },
      { table },
    )
    assert.equal(result.report.tables[0].deleted, 2, type)
    assert.deepEqual(result.rows, [{ id: 3 }])
    const there = await context.remote.sql(
      `select id, gone is not null and gone::text <> 'false' as gone from ${table} order by id`,
    )
    assert.deepEqual(
      there.map((row) => row.gone),
      ['t', 't', 'f'].map((flag) => (typeof there[0].gone === 'boolean' ? flag === 't' : flag)),
    )
  }
})

test('row security: refusals are kept, a token is renewed once, another user’s rows are safe', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id int primary key, owner uuid not null, name text',
    `(1, '${alice}', 'a'), (2, '${bob}', 'b')`,
  )
  await context.remote.sql(
    `alter table ${table} enable row level security;
     create policy look on ${table} for select using (true);
     create policy own on ${table} for all using (owner::text = current_setting('request.jwt.claims', true)::json ->> 'sub')
       with check (owner::text = current_setting('request.jwt.claims', true)::json ->> 'sub')`,
  )
  const result = await withDatabase(
    { schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, owner TEXT, name TEXT)`, remote: remoteOptions([table]) },
    async (db, { table: t, bob: other }) => {
      await db.sync.pull()
      await db.exec(`UPDATE ${t} SET name = 'mine'; INSERT INTO ${t} VALUES (3, '${other}', 'forged')`)
      const report = await db.sync.push()
      return { report, rejected: (await db.sync.rejected()).map((entry) => [entry.op, entry.key.id]) }
    },
    { table, bob, token: context.remote.jwtFor(alice) },
  )
  assert.deepEqual(result.rejected.sort(), [
    ['insert', 3],
    ['update', 2],
  ])
  assert.equal(result.report.tables[0].updated, 1)
  assert.deepEqual(
    (await rowsOf(table)).map((row) => row.name),
    ['mine', 'b'],
  )
  context.remote.faults.add({ table, status: 401, body: { code: 'PGRST303', message: 'JWT expired' } })
  await withDatabase(
    { schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, owner TEXT, name TEXT)`, remote: remoteOptions([table]) },
    async (db, { table: t, alice: me }) => {
      await db.run(`INSERT INTO ${t} VALUES (4, '${me}', 'after a fresh token')`)
      await db.sync.push()
    },
    { table, alice, token: context.remote.jwtFor(alice) },
  )
  assert.equal((await rowsOf(table)).length, 3)
})

test('rows that were there before are queued by hand, and calls join what is under way', async () => {
  const { table, schema } = await stamped("(2, 'remote', 1)")
  const name = freshName()
  await withDatabase(
    { name, schema },
    async (db, { table: t }) => db.run(`INSERT INTO ${t} (id, name) VALUES (1, 'old'), (2, 'old')`),
    { table },
  )
  const result = await withDatabase(
    { name, schema, remote: options(table) },
    async (db, { table: t }) => {
      const nothing = await db.sync.push()
      const queued = await db.sync.enqueue(t)
      const [first, second] = await Promise.all([db.sync.push(), db.sync.push()])
      const pulls = await Promise.all([db.sync.pull(), db.sync.pull()])
      return { nothing, queued, first, second, pulls }
    },
    { table },
  )
  assert.equal(result.nothing.tables[0].inserted, 0)
  assert.deepEqual(result.queued, { queued: 1 })
  assert.equal(result.first.tables[0].inserted + result.second.tables[0].inserted >= 1, true)
  assert.deepEqual(result.pulls[0], result.pulls[1])
  assert.deepEqual(
    (await rowsOf(table)).map((row) => row.name),
    ['old', 'remote'],
  )
})

test('10,000 changes leave in few requests, six at a time', async () => {
  const seed = Array.from({ length: 1000 }, (_, i) => `(${i + 1}, 'seed', 1)`).join(',')
  const { table, schema } = await stamped(seed)
  const result = await withDatabase(
    { schema, remote: options(table) },
    async (db, { table: t }) => {
      await db.sync.pull()
      await db.runMany(
        `INSERT INTO ${t} (id, name, price) VALUES (?, ?, ?)`,
        Array.from({ length: 9000 }, (_, i) => [i + 5000, `row ${i}`, `${i}.50`]),
      )
      await db.exec(`UPDATE ${t} SET name = 'changed' WHERE id <= 500; DELETE FROM ${t} WHERE id BETWEEN 501 AND 1000`)
      const report = await db.sync.push()
      return { report, pending: (await db.sync.pending()).length, pull: (await db.sync.pull({ full: true })).tables[0] }
    },
    { table },
  )
  const { inserted, updated, deleted } = result.report.tables[0]
  assert.deepEqual([inserted, updated, deleted, result.pending], [9000, 500, 500, 0])
  assert.deepEqual([result.pull.inserted, result.pull.updated, result.pull.deleted], [0, 0, 0])
  const requests = context.remote.stats
  assert.ok(requests.of(table, 'POST') <= 20, `${requests.of(table, 'POST')} inserts`)
  assert.ok(requests.of(table, 'DELETE') <= 20, `${requests.of(table, 'DELETE')} deletions`)
  assert.equal(requests.of(table, 'PATCH'), 500)
  const [there] = await context.remote.sql(`select count(*) as n, sum(price) as sum from ${table}`)
  assert.deepEqual(there, { n: '9500', sum: (40_495_500 + 4500 + 500).toFixed(2) })
})

test('an abort keeps what was acknowledged', async () => {
  const { table, schema } = await stamped()
  context.remote.faults.add({ table, method: 'POST', delayMs: 3000, skip: 2, times: 99 })
  const result = await withDatabase(
    { schema, remote: options(table) },
    async (db, { table: t }) => {
      await db.runMany(
        `INSERT INTO ${t} (id, name) VALUES (?, 'n')`,
        Array.from({ length: 3000 }, (_, i) => [i]),
      )
      const controller = new AbortController()
      const aborted = await db.sync
        .push({ signal: controller.signal, onProgress: () => controller.abort(new Error('enough')) })
        .catch((error) => error.message)
      return {
        aborted,
        pending: (await db.sync.pending()).length,
        more: (await db.query(`SELECT count(*) AS n FROM ${t}`))[0].n,
      }
    },
    { table },
  )
  assert.equal(result.aborted, 'enough')
  assert.ok(result.pending > 0 && result.pending < 3000, `${result.pending}`)
  assert.equal(result.more, 3000)
})
