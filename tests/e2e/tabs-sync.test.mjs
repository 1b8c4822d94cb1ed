// Sync where tabs share a database: any tab may ask for it, and all get its events.
import assert from 'node:assert/strict'
import { until } from '../scenarios/run/context.mjs'
import { context, freshName, remoteOptions, remoteTable, tableName, test } from './sync-harness.mjs'
import { close, opened } from './tabs-harness.mjs'

test('a follower pulls and pushes, hears of the progress, and may cancel', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id bigint primary key, name text, updated_at timestamptz not null default clock_timestamp()',
    Array.from({ length: 250 }, (_, n) => `(${n}, 'n${n}')`).join(),
  )
  const migrations = [
    { version: '1', name: 'one', up: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)` },
  ]
  const remote = remoteOptions([{ table, cursor: 'updated_at' }], { pageSize: 50 })
  const pages = await opened(context, 2, { name: freshName(), migrations, remote })
  const result = await pages[1].evaluate(async (t) => {
    const { db } = window
    const out = { phases: new Set() }
    db.addEventListener('sync', ({ detail }) => out.phases.add(detail.phase))
    const stop = new AbortController()
    const given = window.failure(db.sync.pull({ signal: stop.signal }))
    stop.abort('enough')
    out.given = (await given).notOurs
    const steps = []
    const pulled = await db.sync.pull({ onProgress: ({ rows }) => steps.push(rows) })
    out.pulled = pulled.tables[0].table
    out.steps = steps.length
    out.rows = await db.get(`SELECT count(*) AS n FROM ${t}`)
    await db.run(`UPDATE ${t} SET name = 'changed here' WHERE id = 7`)
    out.pending = (await db.sync.pending()).length
    out.pushed = (await db.sync.push()).tables[0].updated
    await db.sync.ready
    out.phases = [...out.phases].length > 0
    out.status = (await db.sync.status())[0].pending
    return out
  }, table)
  assert.deepEqual(result, {
    ...result,
    given: 'enough',
    pulled: table,
    rows: { n: 250 },
    pending: 1,
    pushed: 1,
    phases: true,
    status: 0,
  })
  assert.ok(result.steps > 0)
  const [{ name }] = await context.remote.sql(`select name from ${table} where id = 7`)
  assert.equal(name, 'changed here')
  assert.deepEqual(await pages[0].evaluate((t) => window.db.query(`SELECT name FROM ${t} WHERE id = 7`), table), [
    { name: 'changed here' },
  ])
  await close(pages)
})

test('a filter function of the leader holds for all tabs, and a sign-out in any tab ends a pull of the leader', async () => {
  const table = tableName()
  await remoteTable(table, 'id bigint primary key, project int', '(1, 1), (2, 1), (3, 2)')
  const migrations = [
    { version: '1', name: 'one', up: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, project INTEGER)` },
  ]
  const given = { name: freshName(), tabs: 'shared', migrations, remote: remoteOptions([table]) }
  const pages = [await context.page(), await context.page()]
  for (const page of pages) {
    await page.evaluate(async ({ remote: { url, key, tables }, ...options }) => {
      window.project = 1
      const filter = () => ({ project: `eq.${window.project}` })
      // A client without sessions yet, whose user the test changes.
      const listeners = new Set()
      window.changeUser = (session) => {
        for (const listener of listeners) listener('SIGNED_IN', session)
      }
      const auth = {
        getSession: async () => ({ data: { session: null }, error: null }),
        onAuthStateChange(listener) {
          listeners.add(listener)
          listener('INITIAL_SESSION', null)
          return { data: { subscription: { unsubscribe: () => listeners.delete(listener) } } }
        },
      }
      const client = { supabaseUrl: url, supabaseKey: key, auth }
      window.db = await window.open({ ...options, remote: { client, tables: [{ table: tables[0], filter }] } })
    }, given)
  }
  const pulled = () =>
    pages[1].evaluate(async (t) => {
      await window.db.sync.pull()
      return (await window.db.query(`SELECT id FROM ${t}`)).map(({ id }) => id)
    }, table)
  assert.deepEqual(await pulled(), [1, 2])
  await pages[1].evaluate(() => {
    window.project = 2
  })
  assert.deepEqual(await pulled(), [1, 2], 'the leader gives the filter')
  await pages[0].evaluate(() => {
    window.project = 2
  })
  assert.deepEqual(await pulled(), [3])
  const fault = context.remote.faults.add({ table, delayMs: 5000 })
  const failed = pages[0].evaluate(() => window.failure(window.db.sync.pull()))
  await until(() => fault.met)
  await pages[1].evaluate(() => window.changeUser({ access_token: 'another' }))
  assert.equal((await failed).code, 'sync_unauthorized')
  await close(pages)
})
