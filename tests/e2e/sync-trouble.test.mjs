// Deletions, guards, keys, and everything that can go wrong on the way.
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
  total,
  withDatabase,
} from './sync-harness.mjs'

test('deleted: compare finds hard deletions, and spares rows with unpushed changes', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id int primary key, a text, updated_at timestamptz default now()',
    Array.from({ length: 40 }, (_, i) => `(${i + 1}, 'a')`).join(','),
  )
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, updated_at TEXT)`
  const name = freshName()
  const remote = remoteOptions([{ table, cursor: 'updated_at', deleted: 'compare' }], { pageSize: 7 })
  await withDatabase(
    { name, schema, remote },
    async (db, { table: t }) => {
      await db.sync.pull()
      await db.run(`UPDATE ${t} SET a = 'mine' WHERE id = 2`)
      await db.run(`INSERT INTO ${t} (id, a) VALUES (100, 'only here')`)
    },
    { table },
  )
  await context.remote.sql(`delete from ${table} where id in (1, 2, 3, 40)`)
  const result = await withDatabase(
    { name, schema, remote },
    async (db, { table: t }) => {
      const report = await db.sync.pull()
      return {
        report,
        ids: (await db.query(`SELECT id FROM ${t} WHERE id < 5 OR id > 38 ORDER BY id`)).map((row) => row.id),
      }
    },
    { table },
  )
  assert.deepEqual(result.ids, [2, 4, 39, 100])
  assert.equal(total(result.report, 'deleted'), 3)
})

test('a soft-delete column deletes', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id int primary key, a text, deleted_at timestamptz, updated_at timestamptz default clock_timestamp()',
    "(1, 'a'), (2, 'b'), (3, 'c')",
  )
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, deleted_at TEXT, updated_at TEXT)`
  const name = freshName()
  const remote = remoteOptions([{ table, cursor: 'updated_at', deleted: 'deleted_at' }])
  await withDatabase({ name, schema, remote }, (db) => db.sync.pull())
  await context.remote.sql(`update ${table} set deleted_at = now(), updated_at = clock_timestamp() where id = 2`)
  const result = await withDatabase(
    { name, schema, remote },
    async (db, { table: t }) => {
      const report = await db.sync.pull()
      return {
        deleted: report.tables[0].deleted,
        ids: (await db.query(`SELECT id FROM ${t} WHERE deleted_at IS NULL ORDER BY id`)).map((row) => row.id),
      }
    },
    { table },
  )
  assert.deepEqual(result, { deleted: 1, ids: [1, 3] })
})

test('rows vanishing by absence are guarded: all of them, or too many', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id int primary key, a text',
    Array.from({ length: 30 }, (_, i) => `(${i + 1}, 'a')`).join(','),
  )
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`
  const name = freshName()
  const options = { name, schema, remote: remoteOptions([{ table, deleted: 'compare' }]) }
  await withDatabase(options, (db) => db.sync.pull())
  const tries = async () =>
    withDatabase(
      options,
      async (db, { table: t }) => {
        const codes = []
        for (const mode of ['merge', 'replace']) codes.push((await window.failure(() => db.sync.pull({ mode }))).code)
        return { codes, n: (await db.get(`SELECT count(*) AS n FROM ${t}`)).n }
      },
      { table },
    )
  await context.remote.sql(`delete from ${table} where id > 10`)
  assert.deepEqual(await tries(), { codes: ['remote_empty', 'remote_empty'], n: 30 })
  await context.remote.sql(`delete from ${table}`)
  assert.deepEqual(await tries(), { codes: ['remote_empty', 'remote_empty'], n: 30 })
  const allowed = await withDatabase(
    options,
    async (db, { table: t }) => {
      await db.sync.pull({ mode: 'replace', allowEmpty: true })
      return (await db.get(`SELECT count(*) AS n FROM ${t}`)).n
    },
    { table },
  )
  assert.equal(allowed, 0)
})

test('row security that hides everything empties nothing', async () => {
  const schema = 'CREATE TABLE visits (id TEXT PRIMARY KEY, owner TEXT, report TEXT, updated_at TEXT)'
  const name = freshName()
  const options = {
    name,
    schema,
    remote: remoteOptions([{ table: 'visits', cursor: 'updated_at', deleted: 'compare' }]),
  }
  const signedIn = await withDatabase(
    options,
    async (db) => {
      await db.sync.pull()
      return (await db.get('SELECT count(*) AS n FROM visits')).n
    },
    { token: context.remote.jwtFor(alice) },
  )
  assert.equal(signedIn, 20)
  const anonymous = await withDatabase(options, async (db) => {
    const codes = []
    for (const mode of ['merge', 'replace']) codes.push((await window.failure(() => db.sync.pull({ mode }))).code)
    return { codes, n: (await db.get('SELECT count(*) AS n FROM visits')).n }
  })
  assert.equal(anonymous.n, 20)
  assert.ok(
    anonymous.codes.every((code) => ['remote_empty', 'sync_user_mismatch'].includes(code)),
    anonymous.codes.join(),
  )
  context.remote.stats.reset()
  const other = await withDatabase(options, async (db) => (await window.failure(() => db.sync.pull())).code, {
    token: context.remote.jwtFor(bob),
  })
  assert.equal(other, 'sync_user_mismatch')
  assert.equal(context.remote.stats.count, 0, 'before any request')
})

test('trouble that passes is waited for, and no row is lost to it', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id int primary key, a text',
    Array.from({ length: 25 }, (_, i) => `(${i + 1}, repeat('x', 300))`).join(','),
  )
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`
  const troubles = {
    '429 with Retry-After': {
      status: 429,
      headers: { 'retry-after': '1', 'access-control-expose-headers': 'Retry-After' },
      times: 2,
    },
    503: { status: 503, times: 2 },
    500: { status: 500 },
    '504 with HTML': { status: 504, body: '<html>Bad gateway</html>', headers: { 'content-type': 'text/html' } },
    'a dropped connection': { drop: true, times: 2 },
    'a broken body': { cut: 0.5, times: 2 },
    'a body that ends early': { truncate: 0.6, times: 2 },
    'a late answer': { delayMs: 300 },
  }
  for (const [label, fault] of Object.entries(troubles)) {
    const met = context.remote.faults.add({ table, skip: 1, method: 'GET', ...fault })
    const result = await withDatabase(
      { schema, remote: remoteOptions([table], { pageSize: 10 }) },
      async (db, { table: t }) => {
        const outcome = await window.failure(() => db.sync.pull())
        return {
          outcome: outcome.resolved ? 'pulled' : outcome,
          n: await db.get(`SELECT count(*) AS n, sum(length(a)) AS l FROM ${t}`),
        }
      },
      { table },
    )
    assert.deepEqual(result, { outcome: 'pulled', n: { n: 25, l: 7500 } }, label)
    assert.equal(met.met, fault.times ?? 1, label)
    context.remote.faults.clear()
  }
})

test('trouble that stays becomes a typed error after the retries, and what was there stays', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', "(1, 'a')")
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`
  const troubles = {
    500: [{ status: 500 }, 'sync_server', true],
    503: [{ status: 503 }, 'sync_server', true],
    429: [{ status: 429 }, 'sync_server', true],
    'no connection': [{ drop: true }, 'sync_network', true],
    'no JSON': [
      { status: 200, body: '<html>Sign in to the Wi-Fi</html>', headers: { 'content-type': 'text/html' } },
      'sync_protocol',
      false,
    ],
    401: [{ status: 401, body: { message: 'JWT expired', code: 'PGRST301' } }, 'sync_unauthorized', false],
    403: [{ status: 403, body: { message: 'permission denied', code: '42501' } }, 'sync_rejected', false],
    'too late': [{ delayMs: 5000 }, 'sync_network', true],
  }
  for (const [label, [fault, code, retryable]] of Object.entries(troubles)) {
    context.remote.stats.reset()
    context.remote.faults.add({ table, times: 1000, ...fault })
    const result = await withDatabase(
      { schema, remote: remoteOptions([table], { retries: 1, timeoutMs: 1500 }) },
      async (db, { table: t }) => {
        await db.run(`INSERT INTO ${t} VALUES (5, 'here')`)
        const failed = await window.failure(() => db.sync.pull())
        const status = await db.sync.status()
        return {
          failed,
          rows: await db.query(`SELECT * FROM ${t}`),
          lastError: Boolean(status[0].lastError),
          usable: (await db.health()).status !== 'failed',
        }
      },
      { table },
    )
    assert.equal(result.failed.code, code, `${label}: ${JSON.stringify(result.failed)}`)
    assert.equal(result.failed.retryable, retryable, label)
    assert.deepEqual(result.rows, [{ id: 5, a: 'here' }])
    assert.deepEqual([result.lastError, result.usable], [true, true], label)
    if (['500', '503', '429'].includes(label))
      assert.equal(context.remote.stats.of(table), 2, `${label}: once and one retry`)
    context.remote.faults.clear()
  }
})

test('a wrong key, an unknown table and an unknown column say which', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', "(1, 'a')")
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT); CREATE TABLE not_there (id INTEGER PRIMARY KEY, a TEXT)`
  const pull = async (db) => window.failure(() => db.sync.pull())
  const wrongKey = await withDatabase(
    { schema, remote: { ...remoteOptions([table]), key: 'sb_publishable_wrong' } },
    pull,
  )
  const unknownTable = await withDatabase({ schema, remote: remoteOptions(['not_there']) }, pull)
  const unknownColumn = await withDatabase(
    { schema, remote: remoteOptions([{ table, columns: ['id', 'a', 'missing'] }]) },
    async (db) => window.failure(() => db.sync.pull()),
  )
  const unknownFilter = await withDatabase({ schema, remote: remoteOptions([{ table, cursor: 'nope' }]) }, async (db) =>
    window.failure(() => db.sync.pull()),
  )
  const unknownLocal = await withDatabase({ schema, remote: remoteOptions(['customers']) }, async (db) =>
    window.failure(() => db.sync.pull()),
  )
  assert.equal(wrongKey.code, 'sync_unauthorized')
  assert.equal(unknownTable.code, 'sync_schema_mismatch')
  assert.match(unknownTable.message, /not_there/)
  assert.equal(unknownColumn.code, 'sync_schema_mismatch')
  assert.match(unknownColumn.message + JSON.stringify(unknownColumn.details), /missing/)
  assert.equal(unknownFilter.code, 'sync_schema_mismatch')
  assert.equal(unknownLocal.code, 'sync_schema_mismatch')
  for (const failed of [wrongKey, unknownTable, unknownColumn, unknownFilter, unknownLocal]) {
    assert.ok(failed.hint, `a hint for: ${failed.message}`)
  }
})

test('an expired token is refreshed once', async () => {
  const table = 'visits'
  const result = await withDatabase(
    {
      schema: 'CREATE TABLE visits (id TEXT PRIMARY KEY, owner TEXT, report TEXT)',
      remote: remoteOptions([table]),
      options: {},
    },
    async (_db, { tokens }, reopen) => {
      let asked = 0
      const again = await reopen({ remote: { accessToken: async () => tokens[Math.min(asked++, tokens.length - 1)] } })
      await again.sync.pull()
      return { n: (await again.get('SELECT count(*) AS n FROM visits')).n, asked }
    },
    {
      tokens: [
        context.remote.jwtFor(alice, { exp: Math.floor(Date.now() / 1000) - 100 }),
        context.remote.jwtFor(alice),
      ],
    },
  )
  assert.equal(result.n, 20)
  assert.ok(result.asked >= 2)
})

test('the key goes where it belongs', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key', '(1)')
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY)`
  const sent = async (key, token) => {
    context.remote.stats.reset()
    await withDatabase({ schema, remote: { ...remoteOptions([table]), key } }, (db) => db.sync.pull(), { token })
    const { headers } = context.remote.stats.requests.find((request) => request.table === table)
    return [headers.apikey, headers.authorization]
  }
  const { anonKey, publishableKey } = context.remote
  const token = context.remote.jwtFor(alice)
  assert.deepEqual(await sent(anonKey), [anonKey, `Bearer ${anonKey}`])
  assert.deepEqual(await sent(publishableKey), [publishableKey, undefined])
  assert.deepEqual(await sent(publishableKey, token), [publishableKey, `Bearer ${token}`])
  assert.deepEqual(await sent(anonKey, token), [anonKey, `Bearer ${token}`])
})
