// A large table from a real PostgREST, whose pull is killed with the browser and resumed, within bounded memory.
import assert from 'node:assert/strict'
import { context, freshName, remoteOptions, remoteTable, tableName, test } from './sync-harness.mjs'

/** How many rows the largest pull has: a million are asked for by the environment. */
const LARGE = Number(process.env.TIDELOCK_PULL_ROWS ?? 200_000)

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
    remote: remoteOptions([{ table, cursor: 'updated_at' }]),
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
