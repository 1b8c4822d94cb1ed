// Pulling from a real PostgREST: everything, exactly, once, and never over what was changed here.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { beforeEach, test } from 'node:test'
import { freshName, suite } from './harness.mjs'

const context = suite({ remote: { seed: 'shop', schemas: ['public', 'other'] } })
const shop = readFileSync(new URL('../../www/migrations/0001_shop.up.sql', import.meta.url), 'utf8')
const alice = '11111111-1111-4111-8111-111111111111'
const bob = '22222222-2222-4222-8222-222222222222'

beforeEach(() => {
  context.remote.faults.clear()
  context.remote.stats.reset()
})

/** Remote options for these tables, anonymous unless said otherwise. */
function remoteOptions(tables, more = {}) {
  return { url: context.remote.url, key: context.remote.anonKey, tables, ...more }
}

/**
 * Runs `work(db, argument, reopen)` in a fresh tab on a database with this schema and remote. `argument.token` becomes the
 * access token. `reopen(options)` closes and opens again.
 */
async function withDatabase({ schema, remote, options = {}, name = freshName() }, work, argument = {}) {
  const page = await context.page()
  try {
    return await page.evaluate(
      async ([source, given, value]) => {
        const accessToken = value.token ? async () => value.token : undefined
        const full = (changes) => ({ ...given, ...changes, ...(given.remote && { remote: { ...given.remote, accessToken, ...changes?.remote } }) })
        let db = await window.open(full())
        const reopen = async (changes) => {
          await db.close()
          db = await window.open(full(changes))
          return db
        }
        try {
          return await new Function(`return (${source})`)()(db, value, reopen)
        } finally {
          await db.close()
        }
      },
      [work.toString(), { name, migrations: [{ version: '1', name: 'schema', up: schema }], remote, ...options }, argument],
    )
  } finally {
    await page.close()
  }
}

/** Makes a table on the remote: `(name, columns, rows as SQL)`, open to everybody. */
async function remoteTable(name, columns, values = '') {
  await context.remote.sql(`drop table if exists ${name} cascade; create table ${name} (${columns}); ${values ? `insert into ${name} values ${values}` : ''}`)
}

let tables = 0
const tableName = () => `t${++tables}`
const total = (report, column) => report.tables.reduce((sum, table) => sum + table[column], 0)

test('25,000 rows past the cap of 1,000 come exactly, and a second pull changes nothing', async () => {
  const names = ['customers', 'products', 'orders', 'order_lines']
  const result = await withDatabase({ schema: shop, remote: remoteOptions(names.map((table) => ({ table, cursor: 'updated_at' }))) }, async (db, { names: all }, reopen) => {
    const progress = []
    const first = await db.sync.pull({ onProgress: (each) => progress.push(each) })
    const dump = async () => db.query('SELECT CAST(id AS TEXT) AS id, CAST(order_id AS TEXT) AS order_id, quantity, unit_price, discount, amount, updated_at FROM order_lines ORDER BY id')
    const rows = await dump()
    const types = await db.get('SELECT typeof(id) AS id, typeof(amount) AS amount, typeof(quantity) AS quantity FROM order_lines LIMIT 1')
    const changes = await db.get('SELECT total_changes() AS n')
    const second = await db.sync.pull()
    const again = await reopen()
    const third = await again.sync.pull({ full: true })
    const status = await again.sync.status()
    return { first, second, third, rows, types, progress, status, pending: (await again.sync.pending()).length, same: JSON.stringify(await again.query('SELECT count(*) AS n, total(quantity) AS q FROM order_lines')), changes: changes.n, all }
  }, { names })
  const truth = await context.remote.sql('select id, order_id, quantity::int, unit_price, discount, amount, to_json(updated_at) #>> array[]::text[] as updated_at from order_lines order by id')
  assert.equal(result.rows.length, 26_000)
  for (const [index, row] of truth.entries()) {
    const here = result.rows[index]
    if (['id', 'order_id', 'unit_price', 'discount', 'amount', 'updated_at'].some((column) => here[column] !== row[column]) || String(here.quantity) !== row.quantity) {
      assert.deepEqual(here, { ...row })
    }
  }
  assert.deepEqual(result.types, { id: 'integer', amount: 'text', quantity: 'integer' })
  assert.equal(total(result.first, 'inserted'), 32_920)
  assert.deepEqual(result.first.tables.map((table) => table.table).sort(), [...names].sort())
  assert.equal(result.first.mode, 'merge')
  for (const report of [result.second, result.third]) {
    for (const column of ['inserted', 'updated', 'deleted', 'conflicts', 'keptLocal', 'rejected']) assert.equal(total(report, column), 0, column)
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
    'id bigint primary key, i8 bigint, i4 integer, num numeric, f8 double precision, b boolean, by bytea, j json, jb jsonb, ts timestamptz, d date, u uuid, arr text[], t text, nothing text',
    `(9223372036854775807, -9223372036854775808, -5, 123456789012345678901234567890.123456789012345678900, 0.1, true, '\\xdeadbeef00', '{"a": [1, "é"]}', '{"b":{"c":null}}',
      '2026-01-02 03:04:05.678901+00', '2026-02-28', '11111111-1111-4111-8111-111111111111', array['x','y,"z"'], E'tab\\t"quote" \\\\ 🌿', null),
     (1, 0, 2147483647, -0.00, -1e300, false, '', '[]', 'null', 'infinity', '0001-01-01', null, '{}', '', null)`,
  )
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, i8 INTEGER, i4 INTEGER, num NUMERIC TEXT, f8 REAL, b BOOLEAN, by BLOB, j JSON TEXT, jb JSON TEXT, ts TEXT, d TEXT, u TEXT, arr ARRAY TEXT, t TEXT, nothing TEXT)`
  const rows = await withDatabase({ schema, remote: remoteOptions([table]) }, async (db, { table: name }) => {
    await db.sync.pull()
    return (await db.query(`SELECT *, typeof(by) AS tby, typeof(b) AS tb, typeof(num) AS tnum FROM ${name} ORDER BY id`)).map((row) => ({ ...row, by: [...row.by] }))
  }, { table })
  const [low, high] = rows
  assert.equal(high.id, 9223372036854775807n)
  assert.equal(high.i8, -9223372036854775808n)
  assert.equal(high.num, '123456789012345678901234567890.123456789012345678900')
  assert.deepEqual([high.i4, high.f8, high.b, high.by, high.tby, high.tb, high.tnum], [-5, 0.1, 1, [0xde, 0xad, 0xbe, 0xef, 0], 'blob', 'integer', 'text'])
  assert.deepEqual(JSON.parse(high.j), { a: [1, 'é'] })
  assert.deepEqual(JSON.parse(high.jb), { b: { c: null } })
  assert.deepEqual([high.ts, high.d, high.u, high.t, high.nothing], ['2026-01-02T03:04:05.678901+00:00', '2026-02-28', alice, 'tab\t"quote" \\ 🌿', null])
  assert.deepEqual(JSON.parse(high.arr), ['x', 'y,"z"'])
  assert.deepEqual([low.num, low.f8, low.b, low.by, low.ts, low.d, low.t], ['0.00', -1e300, 0, [], 'infinity', '0001-01-01', ''])
  assert.deepEqual(JSON.parse(low.arr), [])
})

test('a value that the column would alter is refused before its page is applied', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, n numeric', '(1, 5), (2, 12345678901234567890)')
  const result = await withDatabase({ schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, n INTEGER)`, remote: remoteOptions([table]) }, async (db, { table: name }) => ({
    failed: await window.failure(() => db.sync.pull()),
    rows: await db.query(`SELECT * FROM ${name}`),
  }), { table })
  assert.equal(result.failed.code, 'sync_schema_mismatch')
  assert.match(result.failed.message + JSON.stringify(result.failed.details), new RegExp(table))
  assert.deepEqual(result.rows, [])
})

test('a merge keeps local edits, local rows and local deletions, and takes the rest', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text, b text, updated_at timestamptz default clock_timestamp()', "(1, 'a1', 'b1'), (2, 'a2', 'b2'), (3, 'a3', 'b3'), (4, 'a4', 'b4')")
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, b TEXT, updated_at TEXT); CREATE TABLE only_here (n)`
  const remote = remoteOptions([{ table, cursor: 'updated_at' }])
  const name = freshName()
  const before = await withDatabase({ name, schema, remote }, async (db, { table: t }, reopen) => {
    await db.sync.pull()
    await db.run(`UPDATE ${t} SET a = 'mine' WHERE id = 1`)
    await db.run(`INSERT INTO ${t} (id, a) VALUES (9, 'new here')`)
    await db.run(`DELETE FROM ${t} WHERE id = 3`)
    await db.run('INSERT INTO only_here VALUES (1)')
    const again = await reopen()
    return again.sync.pending()
  }, { table })
  assert.deepEqual(before.map((entry) => entry.op).sort(), ['delete', 'insert', 'update'])
  const update = before.find((entry) => entry.op === 'update')
  assert.equal(update.table, table)
  assert.deepEqual(update.columns, ['a'])
  assert.ok(typeof update.id === 'string' && update.time.endsWith('Z'))
  await context.remote.sql(`update ${table} set a = 'theirs', b = 'theirs', updated_at = clock_timestamp() where id in (1, 2); update ${table} set a = 'theirs', updated_at = clock_timestamp() where id = 3`)
  const result = await withDatabase({ name, schema, remote }, async (db, { table: t }) => {
    const report = await db.sync.pull()
    const full = await db.sync.pull({ full: true })
    return { report, full, rows: await db.query(`SELECT id, a FROM ${t} ORDER BY id`), pending: (await db.sync.pending()).length, local: await db.query('SELECT n FROM only_here') }
  }, { table })
  assert.deepEqual(result.rows, [{ id: 1, a: 'mine' }, { id: 2, a: 'theirs' }, { id: 4, a: 'a4' }, { id: 9, a: 'new here' }])
  assert.equal(result.report.tables[0].updated, 1)
  assert.ok(result.report.tables[0].keptLocal >= 1)
  assert.equal(total(result.full, 'inserted'), 0)
  assert.equal(result.pending, 3)
  assert.deepEqual(result.local, [{ n: 1 }])
})

test('changes are captured from the start, however they are made, and also when opened without a remote', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', "(1, 'a'), (2, 'b'), (3, 'c')")
  const result = await withDatabase({ schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`, remote: remoteOptions([table]) }, async (db, { table: t }, reopen) => {
    await db.sync.pull()
    const states = []
    const note = async (from) => states.push((await from.sync.pending()).map((entry) => `${entry.op} ${JSON.stringify(entry.key).match(/\d+/)[0]}`).sort())
    await db.run(`INSERT OR REPLACE INTO ${t} VALUES (1, 'replaced')`)
    await note(db)
    await db.transaction(async (tx) => {
      await tx.run(`DELETE FROM ${t}`)
      throw new Error('back')
    }).catch(() => {})
    await note(db)
    await db.runMany(`INSERT INTO ${t} VALUES (?, ?)`, [[10, 'x'], [11, 'y']])
    await db.run(`DELETE FROM ${t} WHERE id = 10`) // never told anybody, so nothing to tell
    await note(db)
    await db.exec(`ALTER TABLE ${t} ADD COLUMN more TEXT; UPDATE ${t} SET more = 'm' WHERE id = 2`)
    await note(db)
    const plain = await reopen({ remote: undefined, migrations: undefined })
    await plain.run(`DELETE FROM ${t} WHERE id = 3`)
    const back = await reopen({ migrations: undefined })
    await note(back)
    return states
  }, { table })
  assert.deepEqual(result, [
    ['update 1'], ['update 1'], ['insert 11', 'update 1'], ['insert 11', 'update 1', 'update 2'], ['delete 3', 'insert 11', 'update 1', 'update 2'],
  ])
})

test('replace makes the tables the remote’s as a difference: other columns and children stay', async () => {
  const [parent, child] = [tableName(), tableName()]
  await remoteTable(parent, 'id int primary key, name text', "(1, 'one'), (2, 'two'), (3, 'three')")
  await remoteTable(child, `id int primary key, parent int references ${parent}`, '(10, 1), (20, 2)')
  const schema = `CREATE TABLE ${parent} (id INTEGER PRIMARY KEY, name TEXT, note TEXT DEFAULT 'kept');
    CREATE TABLE ${child} (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES ${parent} ON DELETE CASCADE);
    CREATE TABLE tags (parent INTEGER REFERENCES ${parent} ON DELETE CASCADE, tag TEXT)`
  const result = await withDatabase({ schema, remote: remoteOptions([child, parent]) }, async (db, { parent: p, child: c }) => {
    await db.sync.pull()
    await db.run(`UPDATE ${p} SET note = 'local note ' || id`)
    await db.exec("INSERT INTO tags VALUES (1, 'red'), (2, 'blue')")
    const notes = (await db.sync.pending()).length
    await db.run(`INSERT INTO ${p} (id, name) VALUES (99, 'only here')`)
    await db.run(`UPDATE ${p} SET name = 'edited' WHERE id = 2`)
    const refused = await window.failure(() => db.sync.pull({ mode: 'replace' }))
    const before = await db.query(`SELECT id, name FROM ${p} ORDER BY id`)
    const report = await db.sync.pull({ mode: 'replace', discardUnpushed: true })
    const safety = (await db.snapshots.list()).filter((snapshot) => snapshot.reason === 'safety').length
    return {
      notes, refused, before, report, safety, pending: (await db.sync.pending()).length,
      parents: await db.query(`SELECT * FROM ${p} ORDER BY id`), children: await db.query(`SELECT * FROM ${c} ORDER BY id`), tags: await db.query('SELECT * FROM tags ORDER BY parent'),
      again: await db.sync.pull({ mode: 'replace' }),
    }
  }, { parent, child })
  assert.equal(result.notes, 0, 'columns that are not synced make nothing to push')
  assert.equal(result.refused.code, 'unpushed_changes')
  assert.equal(result.before.length, 4)
  assert.equal(result.report.mode, 'replace')
  assert.deepEqual(result.parents, [1, 2, 3].map((id) => ({ id, name: ['one', 'two', 'three'][id - 1], note: `local note ${id}` })))
  assert.deepEqual(result.children, [{ id: 10, parent: 1 }, { id: 20, parent: 2 }])
  assert.deepEqual(result.tags, [{ parent: 1, tag: 'red' }, { parent: 2, tag: 'blue' }])
  assert.ok(result.safety >= 1)
  assert.equal(result.pending, 0)
  for (const column of ['inserted', 'updated', 'deleted']) assert.equal(total(result.again, column), 0)
})

test('a replace that fails leaves the old data standing', async () => {
  const [one, two] = [tableName(), tableName()]
  await remoteTable(one, 'id int primary key, a text', "(1, 'old')")
  await remoteTable(two, 'id int primary key, a text', "(1, 'old')")
  const schema = [one, two].map((table) => `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`).join(';')
  const name = freshName()
  const remote = remoteOptions([one, two], { retries: 0 })
  await withDatabase({ name, schema, remote }, (db) => db.sync.pull())
  await context.remote.sql(`update ${one} set a = 'new'; update ${two} set a = 'new'`)
  context.remote.faults.add({ status: 500, table: two, times: 50 })
  const result = await withDatabase({ name, schema, remote }, async (db, { one: a, two: b }) => ({
    failed: (await window.failure(() => db.sync.pull({ mode: 'replace' }))).code,
    rows: await db.query(`SELECT a FROM ${a} UNION ALL SELECT a FROM ${b}`),
  }), { one, two })
  assert.deepEqual(result, { failed: 'sync_server', rows: [{ a: 'old' }, { a: 'old' }] })
})

test('deleted: compare finds hard deletions, and spares rows with unpushed changes', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text, updated_at timestamptz default now()', Array.from({ length: 40 }, (_, i) => `(${i + 1}, 'a')`).join(','))
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, updated_at TEXT)`
  const name = freshName()
  const remote = remoteOptions([{ table, cursor: 'updated_at', deleted: 'compare' }], { pageSize: 7 })
  await withDatabase({ name, schema, remote }, async (db, { table: t }) => {
    await db.sync.pull()
    await db.run(`UPDATE ${t} SET a = 'mine' WHERE id = 2`)
    await db.run(`INSERT INTO ${t} (id, a) VALUES (100, 'only here')`)
  }, { table })
  await context.remote.sql(`delete from ${table} where id in (1, 2, 3, 40)`)
  const result = await withDatabase({ name, schema, remote }, async (db, { table: t }) => {
    const report = await db.sync.pull()
    return { report, ids: (await db.query(`SELECT id FROM ${t} WHERE id < 5 OR id > 38 ORDER BY id`)).map((row) => row.id) }
  }, { table })
  assert.deepEqual(result.ids, [2, 4, 39, 100])
  assert.equal(total(result.report, 'deleted'), 3)
})

test('a soft-delete column deletes', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text, deleted_at timestamptz, updated_at timestamptz default clock_timestamp()', "(1, 'a'), (2, 'b'), (3, 'c')")
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, deleted_at TEXT, updated_at TEXT)`
  const name = freshName()
  const remote = remoteOptions([{ table, cursor: 'updated_at', deleted: 'deleted_at' }])
  await withDatabase({ name, schema, remote }, (db) => db.sync.pull())
  await context.remote.sql(`update ${table} set deleted_at = now(), updated_at = clock_timestamp() where id = 2`)
  const result = await withDatabase({ name, schema, remote }, async (db, { table: t }) => {
    const report = await db.sync.pull()
    return { deleted: report.tables[0].deleted, ids: (await db.query(`SELECT id FROM ${t} WHERE deleted_at IS NULL ORDER BY id`)).map((row) => row.id) }
  }, { table })
  assert.deepEqual(result, { deleted: 1, ids: [1, 3] })
})

test('rows vanishing by absence are guarded: all of them, or too many', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', Array.from({ length: 30 }, (_, i) => `(${i + 1}, 'a')`).join(','))
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`
  const name = freshName()
  const options = { name, schema, remote: remoteOptions([{ table, deleted: 'compare' }]) }
  await withDatabase(options, (db) => db.sync.pull())
  const tries = async () =>
    withDatabase(options, async (db, { table: t }) => {
      const codes = []
      for (const mode of ['merge', 'replace']) codes.push((await window.failure(() => db.sync.pull({ mode }))).code)
      return { codes, n: (await db.get(`SELECT count(*) AS n FROM ${t}`)).n }
    }, { table })
  await context.remote.sql(`delete from ${table} where id > 10`)
  assert.deepEqual(await tries(), { codes: ['remote_empty', 'remote_empty'], n: 30 })
  await context.remote.sql(`delete from ${table}`)
  assert.deepEqual(await tries(), { codes: ['remote_empty', 'remote_empty'], n: 30 })
  const allowed = await withDatabase(options, async (db, { table: t }) => {
    await db.sync.pull({ mode: 'replace', allowEmpty: true })
    return (await db.get(`SELECT count(*) AS n FROM ${t}`)).n
  }, { table })
  assert.equal(allowed, 0)
})

test('row security that hides everything empties nothing', async () => {
  const schema = 'CREATE TABLE visits (id TEXT PRIMARY KEY, owner TEXT, report TEXT, updated_at TEXT)'
  const name = freshName()
  const options = { name, schema, remote: remoteOptions([{ table: 'visits', cursor: 'updated_at', deleted: 'compare' }]) }
  const signedIn = await withDatabase(options, async (db) => {
    await db.sync.pull()
    return (await db.get('SELECT count(*) AS n FROM visits')).n
  }, { token: context.remote.jwtFor(alice) })
  assert.equal(signedIn, 20)
  const anonymous = await withDatabase(options, async (db) => {
    const codes = []
    for (const mode of ['merge', 'replace']) codes.push((await window.failure(() => db.sync.pull({ mode }))).code)
    return { codes, n: (await db.get('SELECT count(*) AS n FROM visits')).n }
  })
  assert.equal(anonymous.n, 20)
  assert.ok(anonymous.codes.every((code) => ['remote_empty', 'sync_user_mismatch'].includes(code)), anonymous.codes.join())
  context.remote.stats.reset()
  const other = await withDatabase(options, async (db) => (await window.failure(() => db.sync.pull())).code, { token: context.remote.jwtFor(bob) })
  assert.equal(other, 'sync_user_mismatch')
  assert.equal(context.remote.stats.count, 0, 'before any request')
})

test('trouble that passes is waited for, and no row is lost to it', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', Array.from({ length: 25 }, (_, i) => `(${i + 1}, repeat('x', 300))`).join(','))
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`
  const troubles = {
    '429 with Retry-After': { status: 429, headers: { 'retry-after': '1', 'access-control-expose-headers': 'Retry-After' }, times: 2 },
    '503': { status: 503, times: 2 }, '500': { status: 500 }, '504 with HTML': { status: 504, body: '<html>Bad gateway</html>', headers: { 'content-type': 'text/html' } },
    'a dropped connection': { drop: true, times: 2 }, 'a broken body': { cut: 0.5, times: 2 }, 'a body that ends early': { truncate: 0.6, times: 2 }, 'a late answer': { delayMs: 300 },
  }
  for (const [label, fault] of Object.entries(troubles)) {
    const met = context.remote.faults.add({ table, skip: 1, method: 'GET', ...fault })
    const result = await withDatabase({ schema, remote: remoteOptions([table], { pageSize: 10 }) }, async (db, { table: t }) => {
      const outcome = await window.failure(() => db.sync.pull())
      return { outcome: outcome.resolved ? 'pulled' : outcome, n: (await db.get(`SELECT count(*) AS n, sum(length(a)) AS l FROM ${t}`)) }
    }, { table })
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
    500: [{ status: 500 }, 'sync_server', true], 503: [{ status: 503 }, 'sync_server', true], 429: [{ status: 429 }, 'sync_server', true], 'no connection': [{ drop: true }, 'sync_network', true],
    'no JSON': [{ status: 200, body: '<html>Sign in to the Wi-Fi</html>', headers: { 'content-type': 'text/html' } }, 'sync_protocol', false],
    401: [{ status: 401, body: { message: 'JWT expired', code: 'PGRST301' } }, 'sync_unauthorized', false],
    403: [{ status: 403, body: { message: 'permission denied', code: '42501' } }, 'sync_unauthorized', false],
    'too late': [{ delayMs: 5000 }, 'sync_network', true],
  }
  for (const [label, [fault, code, retryable]] of Object.entries(troubles)) {
    context.remote.stats.reset()
    context.remote.faults.add({ table, times: 1000, ...fault })
    const result = await withDatabase({ schema, remote: remoteOptions([table], { retries: 1, timeoutMs: 1500 }) }, async (db, { table: t }) => {
      await db.run(`INSERT INTO ${t} VALUES (5, 'here')`)
      const failed = await window.failure(() => db.sync.pull())
      const status = await db.sync.status()
      return { failed, rows: await db.query(`SELECT * FROM ${t}`), lastError: Boolean(status[0].lastError), usable: (await db.health()).status !== 'failed' }
    }, { table })
    assert.equal(result.failed.code, code, `${label}: ${JSON.stringify(result.failed)}`)
    assert.equal(result.failed.retryable, retryable, label)
    assert.deepEqual(result.rows, [{ id: 5, a: 'here' }])
    assert.deepEqual([result.lastError, result.usable], [true, true], label)
    if (['500', '503', '429', 'no connection'].includes(label)) assert.equal(context.remote.stats.of(table), 2, `${label}: once and one retry`)
    context.remote.faults.clear()
  }
})

test('a wrong key, an unknown table and an unknown column say which', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', "(1, 'a')")
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT); CREATE TABLE not_there (id INTEGER PRIMARY KEY, a TEXT)`
  const pull = async (db) => window.failure(() => db.sync.pull())
  const wrongKey = await withDatabase({ schema, remote: { ...remoteOptions([table]), key: 'sb_publishable_wrong' } }, pull)
  const unknownTable = await withDatabase({ schema, remote: remoteOptions(['not_there']) }, pull)
  const unknownColumn = await withDatabase({ schema, remote: remoteOptions([{ table, columns: ['id', 'a', 'missing'] }]) }, async (db) => window.failure(() => db.sync.pull()))
  const unknownFilter = await withDatabase({ schema, remote: remoteOptions([{ table, cursor: 'nope' }]) }, async (db) => window.failure(() => db.sync.pull()))
  const unknownLocal = await withDatabase({ schema, remote: remoteOptions(['customers']) }, async (db) => window.failure(() => db.sync.pull()))
  assert.equal(wrongKey.code, 'sync_unauthorized')
  assert.equal(unknownTable.code, 'sync_schema_mismatch')
  assert.match(unknownTable.message, /not_there/)
  assert.equal(unknownColumn.code, 'sync_schema_mismatch')
  assert.match(unknownColumn.message + JSON.stringify(unknownColumn.details), /missing/)
  assert.equal(unknownFilter.code, 'sync_schema_mismatch')
  assert.equal(unknownLocal.code, 'sync_schema_mismatch')
  for (const failed of [wrongKey, unknownTable, unknownColumn]) assert.ok(failed.hint)
})

test('an expired token is refreshed once', async () => {
  const table = 'visits'
  const result = await withDatabase({ schema: 'CREATE TABLE visits (id TEXT PRIMARY KEY, owner TEXT, report TEXT)', remote: remoteOptions([table]), options: {} }, async (db, { tokens }, reopen) => {
    let asked = 0
    const again = await reopen({ remote: { accessToken: async () => tokens[Math.min(asked++, tokens.length - 1)] } })
    await again.sync.pull()
    return { n: (await again.get('SELECT count(*) AS n FROM visits')).n, asked }
  }, { tokens: [context.remote.jwtFor(alice, { exp: Math.floor(Date.now() / 1000) - 100 }), context.remote.jwtFor(alice)] })
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
    const { headers } = context.remote.stats.requests[0]
    return [headers.apikey, headers.authorization]
  }
  const { anonKey, publishableKey } = context.remote
  const token = context.remote.jwtFor(alice)
  assert.deepEqual(await sent(anonKey), [anonKey, `Bearer ${anonKey}`])
  assert.deepEqual(await sent(publishableKey), [publishableKey, undefined])
  assert.deepEqual(await sent(publishableKey, token), [publishableKey, `Bearer ${token}`])
  assert.deepEqual(await sent(anonKey, token), [anonKey, `Bearer ${token}`])
})

test('a pull that was stopped keeps its pages, and goes on where it stopped', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text, updated_at timestamptz default now()')
  await context.remote.sql(`insert into ${table} select i, 'x' from generate_series(1, 5000) i`)
  const result = await withDatabase({ schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, updated_at TEXT)`, remote: remoteOptions([{ table, cursor: 'updated_at' }], { pageSize: 500 }) }, async (db, { table: t }, reopen) => {
    const controller = new AbortController()
    const reason = new Error('stop')
    const stopped = await db.sync.pull({ signal: controller.signal, onProgress: ({ rows }) => rows >= 1500 && controller.abort(reason) }).then(() => 'went on', (error) => error === reason)
    const { n } = await db.get(`SELECT count(*) AS n FROM ${t}`)
    const again = await reopen()
    const report = await again.sync.pull()
    const already = await again.sync.pull({ signal: AbortSignal.abort(reason) }).catch((error) => error === reason)
    return { stopped, n, report, already, total: (await again.get(`SELECT count(*) AS n FROM ${t}`)).n }
  }, { table })
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
  const odd = ['a,b', 'a.b', 'a:b', '(a)', '"a"', 'a\\b', "a'b", 'a b', 'a+b', 'a%b', 'a&b=c', '', 'ä', 'Z', '_', '-a', 'A', 'a', '東京', '🌿', '*', 'null', 'a/b#c?d']
  await remoteTable(texts, 'id text primary key, updated_at timestamptz default now()')
  for (const id of odd) await context.remote.sql(`insert into ${texts} values ($1, '2026-01-01 00:00:00.123456+00')`, [id])
  await remoteTable(nulls, "id int primary key, updated_at timestamptz", "(1, null), (2, '2026-01-01'), (3, null), (4, '2026-01-02'), (5, null)")
  const schema = `CREATE TABLE ${pairs} (a INTEGER, b TEXT, c TEXT, PRIMARY KEY (a, b)); CREATE TABLE ${texts} (id TEXT PRIMARY KEY, updated_at TEXT); CREATE TABLE ${nulls} (id INTEGER PRIMARY KEY, updated_at TEXT)`
  const remote = remoteOptions([pairs, { table: texts, cursor: 'updated_at' }, { table: nulls, cursor: 'updated_at' }], { pageSize: 2 })
  const result = await withDatabase({ schema, remote }, async (db, argument) => {
    const first = await db.sync.pull()
    const second = await db.sync.pull()
    return { first, second, pairs: (await db.get(`SELECT count(*) AS n FROM ${argument.pairs}`)).n, texts: (await db.query(`SELECT id FROM ${argument.texts}`)).map((row) => row.id), nulls: (await db.query(`SELECT id FROM ${argument.nulls} ORDER BY id`)).map((row) => row.id) }
  }, { pairs, texts, nulls })
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
  const ids = await withDatabase(options, async (db, { table: t }) => {
    await db.sync.pull()
    return (await db.query(`SELECT id FROM ${t} ORDER BY id`)).map((row) => row.id)
  }, { table })
  assert.deepEqual(ids, [1, 2, 3])
})

test('filters, another remote name, another schema, some tables only, a bare PostgREST root', async () => {
  await context.remote.sql("drop table if exists other.things; create table other.things (id int primary key, kind text); insert into other.things values (1, 'a'), (2, 'b'), (3, 'a'); grant all on other.things to anon, authenticated")
  const table = tableName()
  await remoteTable(table, 'id int primary key', '(7)')
  const schema = `CREATE TABLE mine (id INTEGER PRIMARY KEY, kind TEXT); CREATE TABLE ${table} (id INTEGER PRIMARY KEY)`
  const filtered = await withDatabase({ schema, remote: remoteOptions([{ table: 'mine', remoteTable: 'things', filter: { kind: 'eq.a' } }], { schema: 'other' }) }, async (db) => {
    await db.sync.pull()
    return (await db.query('SELECT id FROM mine ORDER BY id')).map((row) => row.id)
  })
  assert.deepEqual(filtered, [1, 3])
  const root = { ...remoteOptions([table, { table: 'mine', remoteTable: 'nowhere' }]), url: `${context.remote.url}/rest/v1` }
  const some = await withDatabase({ schema, remote: root }, async (db, { table: t }) => {
    await db.sync.pull({ tables: [t] })
    const unknown = await window.failure(() => db.sync.pull({ tables: ['sqlite_schema'] }))
    return { rows: await db.query(`SELECT id FROM ${t}`), unknown: unknown.code }
  }, { table })
  assert.deepEqual(some, { rows: [{ id: 7 }], unknown: 'invalid_argument' })
})

test('parents and children in any order, self references too, with foreign keys on', async () => {
  const [node, leaf] = [tableName(), tableName()]
  await remoteTable(node, `id int primary key, up int references ${node}`)
  await context.remote.sql(`insert into ${node} select i, case when i < 200 then i + 1 end from generate_series(200, 1, -1) i`)
  await remoteTable(leaf, `id int primary key, node int not null references ${node}`)
  await context.remote.sql(`insert into ${leaf} select i, 1 + i % 200 from generate_series(1, 300) i`)
  const schema = `CREATE TABLE ${leaf} (id INTEGER PRIMARY KEY, node INTEGER NOT NULL REFERENCES ${node}); CREATE TABLE ${node} (id INTEGER PRIMARY KEY, up INTEGER REFERENCES ${node})`
  for (const mode of ['merge', 'replace']) {
    const result = await withDatabase({ schema, remote: remoteOptions([leaf, node], { pageSize: 30 }) }, async (db, { node: n, leaf: l, mode: how }) => {
      await db.sync.pull({ mode: how })
      return { nodes: (await db.get(`SELECT count(*) AS n FROM ${n}`)).n, leaves: (await db.get(`SELECT count(*) AS n FROM ${l}`)).n, broken: await db.query('PRAGMA foreign_key_check'), on: await db.query('PRAGMA foreign_keys') }
    }, { node, leaf, mode })
    assert.deepEqual(result, { nodes: 200, leaves: 300, broken: [], on: [{ foreign_keys: 1 }] }, mode)
  }
})

test('two rows that swapped a unique value are taken', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, slug text unique, updated_at timestamptz default clock_timestamp()', "(1, 'one'), (2, 'two')")
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, slug TEXT UNIQUE, updated_at TEXT)`
  const options = { name: freshName(), schema, remote: remoteOptions([{ table, cursor: 'updated_at' }]) }
  await withDatabase(options, (db) => db.sync.pull())
  await context.remote.sql(`update ${table} set slug = 'three' where id = 1; update ${table} set slug = 'one', updated_at = clock_timestamp() where id = 2; update ${table} set slug = 'two', updated_at = clock_timestamp() where id = 1`)
  const rows = await withDatabase(options, async (db, { table: t }) => {
    await db.sync.pull()
    return db.query(`SELECT id, slug FROM ${t} ORDER BY id`)
  }, { table })
  assert.deepEqual(rows, [{ id: 1, slug: 'two' }, { id: 2, slug: 'one' }])
})

test('a restore takes its cursor along: the next pull brings the remote’s state, and the image’s outbox is not sent', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text, updated_at timestamptz default clock_timestamp()', "(1, 'one'), (2, 'two')")
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, updated_at TEXT)`
  const options = { name: freshName(), schema, remote: remoteOptions([{ table, cursor: 'updated_at', overlapMs: 0 }]) }
  await withDatabase(options, async (db, { table: t }) => {
    await db.sync.pull()
    await db.run(`UPDATE ${t} SET a = 'pending then' WHERE id = 1`)
    await db.snapshots.create({ label: 'then' })
  }, { table })
  await context.remote.sql(`insert into ${table} values (3, 'three')`)
  const result = await withDatabase(options, async (db, { table: t }) => {
    await db.sync.pull()
    const { id } = (await db.snapshots.list()).find((snapshot) => snapshot.label === 'then')
    const refused = await window.failure(() => db.snapshots.restore(id))
    await db.snapshots.restore(id, { force: true })
    const restored = (await db.query(`SELECT id FROM ${t} ORDER BY id`)).map((row) => row.id)
    const rejected = await db.sync.rejected()
    await db.sync.pull()
    const pulled = (await db.query(`SELECT id FROM ${t} ORDER BY id`)).map((row) => row.id)
    const health = await db.health()
    return { refused: refused.code, restored, rejected: rejected.map((entry) => entry.reason), pending: (await db.sync.pending()).length, pulled, status: health.status, alerts: health.alerts.map((alert) => alert.code) }
  }, { table })
  assert.deepEqual([result.refused, result.restored, result.rejected, result.pending, result.pulled], ['unpushed_changes', [1, 2], ['restored'], 0, [1, 2, 3]])
  assert.equal(result.status, 'degraded')
  assert.ok(result.alerts.includes('rejected_changes'))
})

test('user triggers run on pulled rows, and what they write elsewhere is theirs', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', "(1, 'one')")
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT); CREATE TABLE log (id INTEGER); CREATE TRIGGER g AFTER INSERT ON ${table} BEGIN INSERT INTO log VALUES (NEW.id); END`
  const result = await withDatabase({ schema, remote: remoteOptions([table]) }, async (db) => {
    await db.sync.pull()
    await db.sync.pull()
    return { log: await db.query('SELECT id FROM log'), pending: (await db.sync.pending()).length }
  })
  assert.deepEqual(result, { log: [{ id: 1 }], pending: 0 })
})

test('writes go on while a pull waits for the network', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', "(1, 'one')")
  context.remote.faults.add({ table, delayMs: 1500 })
  const result = await withDatabase({ schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`, remote: remoteOptions([table]) }, async (db, { table: t }) => {
    const pulling = db.sync.pull()
    await new Promise((resolve) => setTimeout(resolve, 100))
    const started = performance.now()
    await db.run(`INSERT INTO ${t} VALUES (2, 'meanwhile')`)
    const took = performance.now() - started
    await pulling
    return { quick: took < 1000, rows: await db.query(`SELECT id FROM ${t} ORDER BY id`) }
  }, { table })
  assert.deepEqual(result, { quick: true, rows: [{ id: 1 }, { id: 2 }] })
})
