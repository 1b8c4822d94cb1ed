// A large table from a real PostgREST: in spans of its key side by side, cut and resumed, while others write, within bounded memory.
import assert from 'node:assert/strict'
import { context, freshName, remoteOptions, remoteTable, tableName, test, withDatabase } from './sync-harness.mjs'

/** How many rows the largest pull has: a million are asked for by the environment. */
const LARGE = Number(process.env.TIDELOCK_PULL_ROWS ?? 200_000)

const quiet = (table) => [{ table, cursor: 'updated_at' }]
const requestsOf = (table) => context.remote.stats.requests.filter((request) => request.table === table)

test('six spans at once, each page once, and then at most two requests', async () => {
  const table = tableName()
  await remoteTable(table, "id bigint primary key, name text, updated_at timestamptz default '2026-01-01'")
  await context.remote.sql(`insert into ${table}(id, name) select n * 7, 'name ' || n from generate_series(1, 12000) n`)
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)`
  const result = await withDatabase({ schema, remote: remoteOptions(quiet(table)) }, async (db) => {
    const seen = []
    const first = await db.sync.pull({ onProgress: ({ rows, total }) => seen.push([rows, total]) })
    return {
      first: first.tables[0],
      seen,
      rows: await db.get(`SELECT count(*) AS n, sum(id) AS ids FROM ${first.tables[0].table}`),
    }
  })
  assert.equal(result.first.inserted, 12_000)
  // Also where the ends of the spans come late: the first one doesn't read beyond its own.
  assert.equal(result.first.pages, 12)
  assert.deepEqual(result.rows, { n: 12_000, ids: (7 * 12_000 * 12_001) / 2 })
  assert.deepEqual(result.seen.at(-1), [12_000, 12_000])
  // The newest row, five ends, twelve pages, the empty one, and what is newer: nothing.
  assert.equal(requestsOf(table).length, 1 + 5 + 12 + 1 + 1)
  for (const { headers } of requestsOf(table)) assert.match(headers['accept-encoding'], /gzip/)
  const sent = requestsOf(table).reduce((sum, { bytes }) => sum + bytes, 0)
  assert.ok(sent < result.first.bytes / 4, `${sent} bytes on the wire for ${result.first.bytes}`)
  const spans = requestsOf(table).filter(({ path }) => path.includes('.lte.'))
  assert.ok(spans.length >= 8, `${spans.length} pages of closed spans`)
})

test('where spans end among keys without many gaps is guessed', async () => {
  const table = tableName()
  await remoteTable(table, "id bigint primary key, name text, updated_at timestamptz default '2026-01-01'")
  // A few gaps, and a newest row that isn't the last one: the greatest key is asked for.
  await context.remote.sql(`insert into ${table}(id, name) select n, 'name ' || n from generate_series(1, 12000) n where n % 100 <> 0;
    update ${table} set updated_at = '2026-01-02' where id = 77`)
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)`
  const result = await withDatabase({ schema, remote: remoteOptions(quiet(table)) }, async (db) => {
    const { tables } = await db.sync.pull()
    return { first: tables[0], rows: await db.get(`SELECT count(*) AS n, sum(id) AS ids FROM ${tables[0].table}`) }
  })
  assert.deepEqual([result.first.inserted, result.first.unchanged], [11_880, 0])
  assert.deepEqual(result.rows, { n: 11_880, ids: (12_000 * 12_001) / 2 - (100 * 120 * 121) / 2 })
  const asked = requestsOf(table).map(({ path }) => path)
  assert.ok(asked.some((path) => path.endsWith('order=id.desc&limit=1')))
  assert.ok(!asked.some((path) => path.includes('offset=')), 'no end is asked for')
  assert.ok(asked.filter((path) => path.includes('.lte.')).length >= 12)
})

test('a quiet table costs at most two requests', async () => {
  const table = tableName()
  await remoteTable(table, "id bigint primary key, name text, updated_at timestamptz default '2026-01-01'")
  await context.remote.sql(`insert into ${table}(id, name) select n, 'x' from generate_series(1, 5000) n`)
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)`
  const name = freshName()
  const given = { schema, name, remote: remoteOptions(quiet(table)) }
  await withDatabase(given, async (db) => (await db.sync.pull()).tables[0].inserted)
  context.remote.stats.reset()
  const report = await withDatabase(given, async (db) => (await db.sync.pull()).tables[0])
  assert.deepEqual([report.inserted, report.updated, report.unchanged], [0, 0, 0])
  assert.ok(requestsOf(table).length <= 2, `${requestsOf(table).length} requests`)
})

test('keys of several columns, of text that the server orders its own way', async () => {
  const table = tableName()
  await remoteTable(table, 'a text, b int, v text, primary key (a, b)')
  const texts = [`_x`, `-a`, `a`, `A`, `a,b`, `(a)`, `"q"`, `é`, `Z`, `a.b:c`, `b\\c`, ` `, `%2B`, `a+b`]
  await context.remote.sql(
    `insert into ${table} select t, n, t || n from unnest($1::text[]) t, generate_series(1, 500) n`,
    [texts],
  )
  const schema = `CREATE TABLE ${table} (a TEXT, b INTEGER, v TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID`
  const result = await withDatabase(
    { schema, remote: remoteOptions([{ table }], { pageSize: 500 }) },
    async (db, { table }) => {
      const first = await db.sync.pull()
      return { first: first.tables[0], rows: await db.query(`SELECT * FROM ${table} ORDER BY v`) }
    },
    { table },
  )
  assert.equal(result.first.inserted, texts.length * 500)
  assert.equal(result.first.unchanged, 0)
  const truth = await context.remote.sql(`select a, b::int, v from ${table} order by v collate "C"`)
  const sorted = (rows) => rows.map(({ a, b, v }) => `${v}|${a}|${b}`).sort()
  assert.deepEqual(sorted(result.rows), sorted(truth))
  assert.ok(
    requestsOf(table).some(({ path }) => path.includes('.lte.')),
    'spans of a composite key',
  )
})

test('what is written while it is read is there after the next pull, late commits too', async () => {
  const table = tableName()
  await remoteTable(table, 'id bigint primary key, name text, updated_at timestamptz default now()')
  await context.remote.sql(
    `insert into ${table} select n, 'old', '2026-01-01'::timestamptz + n * interval '1 ms' from generate_series(1, 9000) n;
     create trigger touch before update on ${table} for each row execute function touch()`,
  )
  const write = (method, query, body) =>
    fetch(`${context.remote.url}/rest/v1/${table}${query}`, {
      method,
      headers: { apikey: context.remote.serviceKey, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    }).then((response) => assert.ok(response.ok, `${response.status}`))
  // A transaction that is open all the while: its rows carry the time of its beginning.
  await context.remote.sql(`begin; insert into ${table}(id, name) values (-1, 'late'), (4000000, 'late')`)
  await context.remote.sql(`update ${table} set name = 'late' where id in (17, 4500)`)
  context.remote.faults.add({ table, times: 1000, delayMs: 60 })
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)`
  const name = freshName()
  const given = { schema, name, remote: remoteOptions([{ table, cursor: 'updated_at', deleted: 'compare' }]) }
  let writing = true
  const others = (async () => {
    // Not the rows of that transaction: it would hold the writer up.
    const some = (n) => `?id=eq.${1 + (n % 9000)}&id=not.in.(17,4500)`
    for (let n = 0; writing; n++) {
      await write('PATCH', some(n * 1237), { name: `new ${n}` })
      await write('POST', '', [{ id: 100_000 + ((n * 7919) % 50_000), name: `added ${n}` }])
      if (n % 5 === 0) await write('DELETE', some(n * 911))
    }
  })()
  const pull = (options) => withDatabase(given, async (db, options) => (await db.sync.pull(options)).tables[0], options)
  const first = await pull({})
  assert.ok(first.inserted >= 8_000, `${first.inserted} rows`)
  await context.remote.sql('commit')
  await pull({})
  writing = false
  await others
  context.remote.faults.clear()
  await pull({})
  const here = await withDatabase(given, (db, { table }) => db.query(`SELECT * FROM ${table} ORDER BY id`), { table })
  const truth = await context.remote.sql(
    `select id::int, name, to_json(updated_at) #>> array[]::text[] as updated_at from ${table} order by id`,
  )
  const lines = (rows) => rows.map(({ id, name, updated_at }) => `${id}|${name}|${updated_at}`)
  assert.deepEqual(lines(here), lines(truth))
  assert.equal(here.filter((row) => row.name === 'late').length, 4)
})

test(`${LARGE} rows, killed in the middle and resumed, in little more memory than the database needs`, async (t) => {
  const table = tableName()
  await remoteTable(
    table,
    "id bigint primary key, name text, quantity int, updated_at timestamptz default '2026-01-01'",
  )
  await context.remote.sql(
    `insert into ${table}(id, name, quantity) select n, 'A name of some length, ' || n, n % 97 from generate_series(1, ${LARGE}) n`,
  )
  const given = {
    name: freshName(),
    migrations: [
      {
        version: '1',
        name: 'items',
        up: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, quantity INTEGER, updated_at TEXT)`,
      },
    ],
    remote: remoteOptions(quiet(table)),
  }
  const half = Math.round(LARGE * 0.4)
  const page = await context.page()
  const reached = new Promise((resolve) => page.exposeFunction('reached', resolve))
  const ended = page
    .evaluate(
      async ([given, half]) => {
        const db = await window.open(given)
        await db.sync.pull({ onProgress: ({ rows }) => rows >= half && window.reached(rows) })
      },
      [given, half],
    )
    .catch(() => 'killed')
  await Promise.race([reached, ended.then((how) => assert.fail(`it ended: ${how}`))])
  await context.browser.kill()
  assert.equal(await ended, 'killed')
  await context.browser.start()

  const again = await context.page()
  const result = await again.evaluate(
    async ([given, table]) => {
      await window.rigEngine(() => {
        for (const make of ['instantiate', 'instantiateStreaming']) {
          const original = WebAssembly[make]
          WebAssembly[make] = async (...args) => {
            const made = await original.apply(WebAssembly, args)
            const { memory } = (made.instance ?? made).exports
            if (memory) globalThis.wasmMemory = memory
            return made
          }
        }
      })
      const db = await window.open(given)
      const before = await db.get(`SELECT count(*) AS n FROM ${table}`)
      const started = performance.now()
      const report = await db.sync.pull()
      const ms = performance.now() - started
      const after = await db.get(`SELECT count(*) AS n, sum(id) AS ids, sum(quantity) AS quantity FROM ${table}`)
      const { bytes } = (await db.health()).storage
      const memory = await window.inEngine(() => globalThis.wasmMemory.buffer.byteLength)
      const quiet = await db.sync.pull()
      await db.close()
      return { before: before.n, report: report.tables[0], ms, after, bytes, memory, quiet: quiet.tables[0] }
    },
    [given, table],
  )
  await again.close()
  t.diagnostic(
    `${result.before} rows before the end of the browser, the others in ${Math.round(result.ms)} ms; the database has ${result.bytes >> 20} MiB, the wasm memory ${result.memory >> 20}`,
  )
  assert.ok(result.before > 0 && result.before < LARGE, `${result.before} rows were stored`)
  assert.equal(result.report.resumed, true)
  assert.equal(result.report.inserted, LARGE - result.before)
  assert.equal(result.report.unchanged, 0, 'no page came twice')
  const [truth] = await context.remote.sql(`select count(*), sum(id) as ids, sum(quantity) as quantity from ${table}`)
  assert.deepEqual(Object.values(result.after).map(String), Object.values(truth))
  assert.deepEqual([result.quiet.inserted, result.quiet.updated, result.quiet.unchanged], [0, 0, 0])
  assert.ok(result.memory <= result.bytes + 64 * 2 ** 20, `${result.memory} bytes of memory for ${result.bytes}`)
  await context.remote.sql(`drop table ${table}`)
})
