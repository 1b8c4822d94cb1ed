// What the contract promises of sync, phrase by phrase, as far as no other spec has it.
import assert from 'node:assert/strict'
import {
  context,
  freshName,
  remoteOptions,
  remoteTable,
  tableName,
  test,
  total,
  withDatabase,
} from './sync-harness.mjs'

const plain = (table) => `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`
const some = (count) => Array.from({ length: count }, (_, i) => `(${i + 1}, 'a')`).join(',')

test('reports, progress, status and outbox have the fields of the contract, and no others', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', some(3))
  const result = await withDatabase(
    { schema: plain(table), remote: remoteOptions([table]) },
    async (db, { table: t }) => {
      const before = await db.sync.status()
      const steps = []
      const pull = await db.sync.pull({ onProgress: (step) => steps.push(step) })
      await db.exec(
        `UPDATE ${t} SET a = 'mine' WHERE id = 1; DELETE FROM ${t} WHERE id = 2; INSERT INTO ${t} VALUES (9, 'new')`,
      )
      const pending = await db.sync.pending()
      const pushSteps = []
      const push = await db.sync.push({ onProgress: (step) => pushSteps.push(step) })
      return {
        before,
        steps,
        pull,
        pending,
        push,
        pushSteps,
        status: await db.sync.status(),
        health: (await db.health()).sync,
      }
    },
    { table },
  )
  const keys = (object) => Object.keys(object).sort()
  assert.deepEqual(keys(result.pull), ['mode', 'ms', 'tables'])
  const { ms, bytes, ...counted } = result.pull.tables[0]
  assert.ok(ms >= 0 && bytes > 0)
  assert.deepEqual(counted, {
    table,
    inserted: 3,
    updated: 0,
    deleted: 0,
    unchanged: 0,
    keptLocal: 0,
    conflicts: 0,
    rejected: 0,
    pages: 1,
    resumed: false,
  })
  assert.deepEqual(keys(result.push), ['ms', 'tables'])
  assert.deepEqual(result.push.tables, [{ table, inserted: 1, updated: 1, deleted: 1, conflicts: 0, rejected: 0 }])
  for (const step of [...result.steps, ...result.pushSteps])
    assert.deepEqual(keys(step), ['bytes', 'rows', 'table', 'total'])
  assert.deepEqual([result.steps.at(-1).rows, result.steps.at(-1).total], [3, 3])
  assert.deepEqual([result.pushSteps.at(-1).rows, result.pushSteps.at(-1).total], [3, 3])
  assert.deepEqual(
    result.pending.map(({ id, time, ...entry }) => {
      assert.equal(typeof id, 'string')
      assert.match(time, /^\d{4}-.*Z$/)
      return entry
    }),
    [
      { table, key: { id: 1 }, op: 'update', columns: ['a'] },
      { table, key: { id: 2 }, op: 'delete', columns: [] },
      { table, key: { id: 9 }, op: 'insert', columns: ['id', 'a'] },
    ],
  )
  const { lastPulledAt, lastPushedAt, lagMs, ...status } = result.status[0]
  assert.deepEqual(status, { table, phase: 'idle', rows: 3, pending: 0, rejected: 0, lastError: null })
  assert.ok(lastPulledAt.endsWith('Z') && lastPushedAt.endsWith('Z') && lagMs >= 0)
  assert.deepEqual([result.before[0].lastPulledAt, result.before[0].lastPushedAt], [null, null])
  assert.deepEqual([result.health.phase, result.health.pending, result.health.rejected], ['idle', 0, 0])
})

test('types follow the local column in both directions: TEXT, no type, and the option types', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id int primary key, t1 numeric, t2 jsonb, t3 jsonb, u1 bigint, u2 numeric, u3 text, big numeric, moment timestamptz, flag boolean',
    `(1, 1.2300, '{"a": [1, 2.50]}', '[1, "x"]', 9223372036854775807, 5.0, 'text', 123456789012345678901234567890, '2026-01-02 03:04:05.678901+00', true)`,
  )
  const result = await withDatabase(
    {
      schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, t1 TEXT, t2 TEXT, t3 TEXT, u1, u2, u3, big TEXT, moment TEXT, flag INT)`,
      remote: remoteOptions([{ table, types: { big: 'numeric', moment: 'timestamptz', flag: 'bool' } }]),
    },
    async (db, { table: t }) => {
      await db.sync.pull()
      const [row] = await db.query(`SELECT *, typeof(u1) AS k1, typeof(u2) AS k2 FROM ${t}`)
      await db.run(`INSERT INTO ${t} SELECT id + 1, t1, t2, t3, u1, u2, u3, big, moment, flag FROM ${t}`)
      await db.run(`UPDATE ${t} SET t2 = '{"b":3}', u2 = '7.50', flag = 0 WHERE id = 1`)
      const report = await db.sync.push()
      return { row, report, rejected: await db.sync.rejected() }
    },
    { table },
  )
  const { row } = result
  assert.deepEqual(
    [row.t1, row.t2, row.t3, row.u1, row.k1, row.u2, row.k2, row.u3, row.big, row.moment, row.flag],
    [
      '1.2300',
      '{"a":[1,2.50]}',
      '[1,"x"]',
      9223372036854775807n,
      'integer',
      '5.0',
      'text',
      'text',
      '123456789012345678901234567890',
      '2026-01-02T03:04:05.678901+00:00',
      1,
    ],
  )
  assert.deepEqual(result.rejected, [])
  assert.deepEqual([total(result.report, 'inserted'), total(result.report, 'updated')], [1, 1])
  const there = await context.remote.sql(
    `select t1::text, t2::text, jsonb_typeof(t2) as k2, t3::text, u1::text, u2::text, u3, big::text, moment::text, flag::text from ${table} order by id`,
  )
  assert.deepEqual({ ...there[1] }, { ...there[0], t2: '{"a": [1, 2.50]}', u2: '5.0', flag: 'true' })
  assert.deepEqual([there[0].t2, there[0].u2, there[0].flag], ['{"b": 3}', '7.50', 'false'])
})

test('a value that does not fit stops before the page that shows it; earlier pages stay', async () => {
  for (const [declared, type, value] of [
    ['INTEGER', 'numeric', '1.5'],
    ['NUMERIC', 'numeric', '12.50'],
    ['REAL', 'numeric', '0.12345678901234567890'],
    ['BOOLEAN', 'int', '2'],
    ['UUID', 'text', "'0012'"],
  ]) {
    const table = tableName()
    await remoteTable(table, `id int primary key, v ${type}`, `(1, null), (2, null), (3, ${value}), (4, null)`)
    const result = await withDatabase(
      {
        schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, v ${declared})`,
        remote: remoteOptions([table], { pageSize: 2 }),
      },
      async (db, { table: t }) => ({
        failed: await window.failure(() => db.sync.pull()),
        rows: (await db.query(`SELECT id FROM ${t} ORDER BY id`)).map((row) => row.id),
      }),
      { table },
    )
    assert.equal(result.failed.code, 'sync_schema_mismatch', declared)
    assert.deepEqual([result.failed.details.table, result.failed.details.column], [table, 'v'])
    assert.ok(result.failed.hint)
    assert.ok(!result.failed.json.includes(value), 'the value is in no error')
    assert.deepEqual(result.rows, [1, 2], declared)
  }
})

test('the guard against an empty remote: all rows of any table, more than maxDeleteRatio of one over 20, in both modes', async () => {
  for (const [rows, left, ratio, refused] of [
    [3, 0, 0.5, true],
    [20, 1, 0.5, false],
    [22, 11, 0.5, false],
    [22, 10, 0.5, true],
  ]) {
    for (const mode of ['merge', 'replace']) {
      const table = tableName()
      await remoteTable(table, 'id int primary key, a text', some(rows))
      const options = {
        name: freshName(),
        schema: plain(table),
        remote: remoteOptions([{ table, deleted: 'compare' }], { maxDeleteRatio: ratio }),
      }
      await withDatabase(options, (db) => db.sync.pull())
      await context.remote.sql(`delete from ${table} where id > ${left}`)
      const result = await withDatabase(
        options,
        async (db, { table: t, mode: how }) => {
          const first = await window.failure(() => db.sync.pull({ mode: how }))
          const { n } = await db.get(`SELECT count(*) AS n FROM ${t}`)
          const allowed = await db.sync.pull({ mode: how, allowEmpty: true })
          return {
            code: first.code,
            details: first.details,
            n,
            deleted: allowed.tables[0].deleted,
            after: (await db.get(`SELECT count(*) AS n FROM ${t}`)).n,
          }
        },
        { table, mode },
      )
      const what = `${rows} to ${left} at ${ratio}, ${mode}`
      assert.equal(result.code, refused ? 'remote_empty' : undefined, what)
      assert.deepEqual([result.n, result.after], [refused ? rows : left, left], what)
      if (refused)
        assert.deepEqual([result.details.table, result.details.rows, result.deleted], [table, rows, rows - left], what)
    }
  }
})

test('a replace is refused while its tables have pending or rejected changes, and touches nothing that is not its', async () => {
  const [both, pushed, outside] = [tableName(), tableName(), tableName()]
  await remoteTable(both, 'id int primary key, a text check (a <> $$bad$$)', some(4))
  await remoteTable(pushed, 'id int primary key, a text', some(2))
  const result = await withDatabase(
    {
      schema: `${plain(both)}; ${plain(pushed)}; CREATE TABLE ${outside} (id INTEGER PRIMARY KEY, owner INTEGER REFERENCES ${both} ON DELETE CASCADE)`,
      remote: remoteOptions([both, { table: pushed, direction: 'push' }]),
    },
    async (db, { both: b, pushed: p, outside: o }) => {
      await db.sync.pull()
      await db.exec(`INSERT INTO ${p} VALUES (7, 'here only'); INSERT INTO ${o} VALUES (1, 1), (2, NULL)`)
      const other = await window.failure(() => db.sync.pull({ mode: 'replace' }))
      await db.run(`UPDATE ${b} SET a = 'bad' WHERE id = 1`)
      const pending = await window.failure(() => db.sync.pull({ mode: 'replace' }))
      await db.sync.push()
      const rejected = await window.failure(() => db.sync.pull({ mode: 'replace' }))
      const merged = await window.failure(() => db.sync.pull())
      const discarded = await window.failure(() => db.sync.pull({ mode: 'replace', discardUnpushed: true }))
      return {
        codes: [other, pending, rejected, merged, discarded].map((one) => one.code ?? 'done'),
        counts: [pending.details, rejected.details],
        left: [(await db.sync.pending()).length, (await db.sync.rejected()).length],
        rows: [
          await db.query(`SELECT * FROM ${b} ORDER BY id`),
          await db.query(`SELECT * FROM ${p}`),
          await db.query(`SELECT * FROM ${o} ORDER BY id`),
        ],
      }
    },
    { both, pushed, outside },
  )
  assert.deepEqual(result.codes, ['done', 'unpushed_changes', 'unpushed_changes', 'done', 'done'])
  assert.deepEqual(
    result.counts.map(({ pending, rejected }) => [pending, rejected]),
    [
      [1, 0],
      [0, 1],
    ],
  )
  assert.deepEqual(result.left, [0, 0])
  assert.deepEqual(
    result.rows[0].map((row) => row.a),
    ['a', 'a', 'a', 'a'],
  )
  assert.deepEqual(result.rows[1], [{ id: 7, a: 'here only' }])
  assert.deepEqual(result.rows[2], [
    { id: 1, owner: 1 },
    { id: 2, owner: null },
  ])
})

test('direction: pulled tables are never pushed, pushed ones never read', async () => {
  const [pulled, pushed] = [tableName(), tableName()]
  await remoteTable(pulled, 'id int primary key, a text', some(2))
  await remoteTable(pushed, 'id int primary key, a text', some(2))
  const result = await withDatabase(
    {
      schema: `${plain(pulled)}; ${plain(pushed)}`,
      remote: remoteOptions([
        { table: pulled, direction: 'pull' },
        { table: pushed, direction: 'push' },
      ]),
    },
    async (db, { pulled: p, pushed: q }) => {
      await db.exec(`INSERT INTO ${p} VALUES (1, 'mine'), (50, 'mine'); INSERT INTO ${q} VALUES (60, 'sent')`)
      const report = await db.sync.run()
      await db.run(`UPDATE ${q} SET a = 'again'`)
      await db.sync.run()
      return {
        report,
        pulled: await db.query(`SELECT * FROM ${p} ORDER BY id`),
        pushed: await db.query(`SELECT * FROM ${q}`),
        enqueue: (await window.failure(() => db.sync.enqueue(p))).code,
      }
    },
    { pulled, pushed },
  )
  assert.deepEqual(
    result.report.push.tables.map((table) => table.table),
    [pushed],
  )
  assert.deepEqual(
    result.report.pull.tables.map((table) => table.table),
    [pulled],
  )
  assert.deepEqual(result.pulled, [
    { id: 1, a: 'a' },
    { id: 2, a: 'a' },
    { id: 50, a: 'mine' },
  ])
  assert.deepEqual(result.pushed, [{ id: 60, a: 'again' }])
  assert.equal(result.enqueue, 'invalid_argument')
  assert.equal(context.remote.stats.of(pushed, 'GET'), 0)
  assert.equal(context.remote.stats.requests.filter((one) => one.table === pulled && one.method !== 'GET').length, 0)
  assert.equal((await context.remote.sql(`select a from ${pushed} where id = 60`))[0].a, 'again')
})

test('the same new key for different rows, and the same row twice', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text, b text', "(5, 'theirs', null), (6, 'same', 'filled there')")
  const result = await withDatabase(
    { schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, b TEXT)`, remote: remoteOptions([table]) },
    async (db, { table: t }) => {
      await db.exec(`INSERT INTO ${t} (id, a) VALUES (5, 'mine'), (6, 'same')`)
      const report = await db.sync.push()
      const rejected = await db.sync.rejected()
      const log = await db.sync.conflicts()
      await db.sync.discard(rejected[0].id)
      return {
        report,
        rejected,
        log,
        rows: await db.query(`SELECT * FROM ${t} ORDER BY id`),
        left: (await db.sync.pending()).length,
      }
    },
    { table },
  )
  assert.deepEqual(
    result.rejected.map((entry) => [entry.key.id, entry.reason]),
    [[5, 'conflict']],
  )
  assert.match(result.rejected[0].error, /another row with this key/)
  assert.deepEqual([result.log[0].base, result.log[0].local.a, result.log[0].remote.a], [null, 'mine', 'theirs'])
  assert.deepEqual(result.rows, [
    { id: 5, a: 'theirs', b: null },
    { id: 6, a: 'same', b: 'filled there' },
  ])
  assert.equal(result.left, 0)
})

test('a function decides deletions and new rows, may be slow, and is asked again when the row changed meanwhile', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', "(1, 'base'), (2, 'base'), (3, 'base')")
  const result = await withDatabase(
    { schema: plain(table), remote: remoteOptions([table]) },
    async (db, { table: t, remote }, reopen) => {
      await db.sync.pull()
      await db.exec(
        `DELETE FROM ${t} WHERE id = 1; UPDATE ${t} SET a = 'mine' WHERE id IN (2, 3); INSERT INTO ${t} VALUES (7, 'mine')`,
      )
      const headers = { apikey: remote.key, authorization: `Bearer ${remote.key}`, 'content-type': 'application/json' }
      const write = (method, query, body) =>
        fetch(`${remote.url}/rest/v1/${t}${query}`, { method, headers, body: body && JSON.stringify(body) })
      await write('PATCH', '?id=in.(1,3)', { a: 'theirs' })
      await write('DELETE', '?id=eq.2')
      await write('POST', '', { id: 7, a: 'theirs' })
      window.met = []
      let edited = false
      const again = await reopen({
        remote: {
          tables: [
            {
              table: t,
              conflict: async (met) => {
                window.met.push([
                  met.table,
                  met.key.id,
                  met.base?.a ?? null,
                  met.local?.a ?? null,
                  met.remote?.a ?? null,
                ])
                await new Promise((resolve) => setTimeout(resolve, 20))
                if (met.key.id === 3 && !edited) {
                  edited = true
                  await db2().run(`UPDATE ${t} SET a = 'edited while it was asked' WHERE id = 3`)
                }
                return met.key.id === 1 ? null : { a: `${met.local?.a} + ${met.remote?.a}` }
              },
            },
          ],
        },
      })
      function db2() {
        return again
      }
      const report = await again.sync.push()
      await again.sync.run()
      return {
        met: window.met,
        report,
        rows: await again.query(`SELECT * FROM ${t} ORDER BY id`),
        left: [(await again.sync.pending()).length, (await again.sync.rejected()).length],
        log: (await again.sync.conflicts({ limit: 2 })).length,
      }
    },
    { table, remote: remoteOptions([table]) },
  )
  assert.deepEqual(result.met.filter(([, id]) => id === 1)[0], [table, 1, 'base', null, 'theirs'])
  assert.deepEqual(result.met.filter(([, id]) => id === 2)[0], [table, 2, 'base', 'mine', null])
  assert.deepEqual(result.met.filter(([, id]) => id === 7)[0], [table, 7, null, 'mine', 'theirs'])
  assert.deepEqual(
    result.met.filter(([, id]) => id === 3).map((met) => met[3]),
    ['mine', 'edited while it was asked'],
  )
  assert.deepEqual(result.rows, [
    { id: 2, a: 'mine + undefined' },
    { id: 3, a: 'edited while it was asked + theirs' },
    { id: 7, a: 'mine + theirs' },
  ])
  assert.deepEqual(result.left, [0, 0])
  assert.equal(result.log, 2)
  assert.deepEqual(
    (await context.remote.sql(`select a from ${table} order by id`)).map((row) => row.a),
    result.rows.map((row) => row.a),
  )
})

test('a conflict function that fails stops the call and loses nothing', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', "(1, 'base')")
  const name = freshName()
  const options = { name, schema: plain(table), remote: remoteOptions([table]) }
  await withDatabase(
    options,
    async (db, { table: t }) => {
      await db.sync.pull()
      await db.run(`UPDATE ${t} SET a = 'mine'`)
    },
    { table },
  )
  await context.remote.sql(`update ${table} set a = 'theirs'`)
  const result = await withDatabase(
    options,
    async (_db, { table: t }, reopen) => {
      const outcomes = []
      for (const conflict of [
        () => {
          throw new Error('no idea')
        },
        () => 'not a row',
        () => ({ a: { not: 'a value' } }),
      ]) {
        const again = await reopen({ remote: { tables: [{ table: t, conflict }] } })
        const failed = await window.failure(() => again.sync.push())
        outcomes.push([failed.code, (await again.sync.pending()).length, (await again.get(`SELECT a FROM ${t}`)).a])
      }
      return outcomes
    },
    { table },
  )
  assert.deepEqual(result, Array(3).fill(['invalid_argument', 1, 'mine']))
})

test('last-write-wins: the later of the two stays, by the cursor that was written or the time of the change', async () => {
  const table = tableName()
  const columns = 'id int primary key, a text, updated_at timestamptz'
  await remoteTable(table, columns, "(1, 'base', '2020-01-01'), (2, 'base', '2020-01-01'), (3, 'base', '2020-01-01')")
  const name = freshName()
  const options = {
    name,
    schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, updated_at TEXT)`,
    remote: remoteOptions([{ table, cursor: 'updated_at', conflict: 'last-write-wins' }]),
  }
  await withDatabase(
    options,
    async (db, { table: t }) => {
      await db.sync.pull()
      await db.exec(
        `UPDATE ${t} SET a = 'mine', updated_at = '2020-03-01T00:00:00Z' WHERE id = 1; UPDATE ${t} SET a = 'mine', updated_at = '2020-02-01T00:00:00.000001+00:00' WHERE id = 2; UPDATE ${t} SET a = 'mine' WHERE id = 3`,
      )
    },
    { table },
  )
  await context.remote.sql(`update ${table} set a = 'theirs', updated_at = '2020-02-01 00:00:00.000002+00'`)
  const rows = await withDatabase(
    options,
    async (db, { table: t }) => {
      await db.sync.push()
      return (await db.query(`SELECT a FROM ${t} ORDER BY id`)).map((row) => row.a)
    },
    { table },
  )
  assert.deepEqual(rows, ['mine', 'theirs', 'mine'])
  assert.deepEqual(
    (await context.remote.sql(`select a from ${table} order by id`)).map((row) => row.a),
    rows,
  )
})

test('a restored image follows the remote at the next pull, the rows that it had changed too', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id int primary key, a text, updated_at timestamptz',
    "(1, 'one', '2026-01-01'), (2, 'two', '2026-01-01'), (3, 'three', '2026-01-02')",
  )
  const result = await withDatabase(
    {
      schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, updated_at TEXT)`,
      remote: remoteOptions([{ table, cursor: 'updated_at', overlapMs: 0 }]),
    },
    async (db, { table: t }) => {
      await db.sync.pull()
      await db.exec(
        `UPDATE ${t} SET a = 'mine' WHERE id = 1; DELETE FROM ${t} WHERE id = 2; INSERT INTO ${t} (id, a) VALUES (9, 'new')`,
      )
      const { id } = await db.snapshots.create({ label: 'then' })
      await db.snapshots.restore(id, { force: true })
      const rejected = await db.sync.rejected()
      const pushed = await db.sync.push()
      await db.sync.pull()
      const pulled = await db.query(`SELECT id, a FROM ${t} ORDER BY id`)
      const again = await db.sync.pull()
      for (const entry of rejected.filter((one) => one.op !== 'delete')) await db.sync.retry(entry.id)
      await db.sync.push()
      return { rejected, pushed, pulled, again, left: (await db.sync.rejected()).map((entry) => entry.op) }
    },
    { table },
  )
  assert.deepEqual(
    result.rejected.map((entry) => [entry.op, entry.reason]),
    [
      ['update', 'restored'],
      ['delete', 'restored'],
      ['insert', 'restored'],
    ],
  )
  assert.deepEqual(
    [total(result.pushed, 'inserted'), total(result.pushed, 'updated'), total(result.pushed, 'deleted')],
    [0, 0, 0],
  )
  assert.deepEqual(result.pulled, [
    { id: 1, a: 'one' },
    { id: 2, a: 'two' },
    { id: 3, a: 'three' },
    { id: 9, a: 'new' },
  ])
  assert.equal(result.again.tables[0].pages, 0, 'the cursor is back at its place')
  assert.deepEqual(result.left, ['delete'])
  assert.deepEqual(
    (await context.remote.sql(`select id, a from ${table} order by id`)).map((row) => [Number(row.id), row.a]),
    [
      [1, 'mine'],
      [2, 'two'],
      [3, 'three'],
      [9, 'new'],
    ],
  )
})

test('a seed or an imported file loses its outbox and its user, and follows the remote at the next pull', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id int primary key, a text, updated_at timestamptz',
    "(1, 'one', '2026-01-01'), (2, 'two', '2026-01-02')",
  )
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, updated_at TEXT)`
  const remote = remoteOptions([{ table, cursor: 'updated_at', overlapMs: 0 }])
  const result = await withDatabase(
    { schema, remote: { ...remote, userId: 'alice' } },
    async (db, { table: t, given, name }) => {
      await db.sync.pull()
      await db.run(`UPDATE ${t} SET a = 'mine' WHERE id = 1`)
      const bytes = await db.export()
      const seen = []
      for (const way of ['seed', 'import']) {
        const other = await window.open({
          name: `${name}-${way}`,
          migrations: [{ version: '1', name: 'schema', up: given.up }],
          remote: { ...given.remote, userId: 'bob' },
          ...(way === 'seed' && { seed: bytes }),
        })
        if (way === 'import') await other.import(bytes)
        const carried = (await other.query(`SELECT a FROM ${t} ORDER BY id`)).map((row) => row.a)
        const queued = [(await other.sync.pending()).length, (await other.sync.rejected()).length]
        await other.sync.run()
        seen.push([carried, queued, (await other.query(`SELECT a FROM ${t} ORDER BY id`)).map((row) => row.a)])
        await other.close()
      }
      return seen
    },
    { table, given: { up: schema, remote }, name: freshName() },
  )
  const expected = [
    ['mine', 'two'],
    [0, 0],
    ['one', 'two'],
  ]
  assert.deepEqual(result, [expected, expected])
})

test('options: fetch, headers, and what is refused', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', some(1))
  const result = await withDatabase(
    { schema: plain(table), remote: remoteOptions([table], { headers: { 'X-App': 'shop' } }) },
    async (_db, { remote, name }, reopen) => {
      let sent = 0
      const again = await reopen({
        remote: {
          fetch: (...given) => {
            sent++
            return fetch(...given)
          },
        },
      })
      await again.sync.pull()
      const codes = {}
      for (const [label, options] of Object.entries({
        ratio: { remote: { ...remote, maxDeleteRatio: 2 } },
        page: { remote: { ...remote, pageSize: 0 } },
        twice: { remote: { ...remote, tables: ['a', 'A'] } },
        internal: { remote: { ...remote, tables: ['tidelock_outbox'] } },
        later: { remote: { ...remote, tables: [{ table: 'a', conflict: 'last-write-wins' }] } },
        type: { remote: { ...remote, tables: [{ table: 'a', types: { b: 'varchar' } }] } },
        typo: { remote: { ...remote, tabels: [] } },
      }))
        codes[label] = (await window.failure(() => window.open({ name, storage: 'memory', ...options }))).code
      return {
        sent,
        codes,
        none: (await window.failure(async () => (await window.open({ name, storage: 'memory' })).sync.pull())).code,
      }
    },
    { remote: remoteOptions([table]), name: freshName() },
  )
  assert.ok(result.sent >= 1)
  assert.equal(context.remote.stats.requests[0].headers['x-app'], 'shop')
  assert.deepEqual([...new Set(Object.values(result.codes))], ['invalid_argument'], JSON.stringify(result.codes))
  assert.equal(result.none, 'invalid_argument')
})
