// Sync where tabs share a database: any tab may ask for it, and all get its events.
import assert from 'node:assert/strict'
import { until } from '../scenarios/run/context.mjs'
import { context, freshName, remoteOptions, remoteTable, tableName, test } from './sync-harness.mjs'
import { close, leaderOf, opened } from './tabs-harness.mjs'

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

/** Makes tables on the remote, and returns options for a local database of them. */
async function automatic(table, more = {}) {
  await remoteTable(table, 'id bigint primary key, name text')
  const up = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT)`
  return { name: freshName(), migrations: [{ version: '1', name: 'one', up }], remote: remoteOptions([table]), ...more }
}

const start = (page) => page.evaluate(() => window.db.sync.start({ intervalMs: 20 }))
const pending = (page) => page.evaluate(async () => (await window.db.sync.pending()).length)
const insert = (page, table) => page.evaluate((t) => window.db.run(`INSERT INTO ${t} (name) VALUES ('new')`), table)

/** Returns whether a database is in sync: whether it pushes a write before another one, which is, has pushed two in a row. */
async function pushes(page, table, other) {
  await insert(page, table)
  for (let n = 0; n < 2; n++) {
    await insert(other.page, other.table)
    await until(async () => (await pending(other.page)) === 0)
  }
  return (await pending(page)) === 0
}

/** Opens a database that is in sync, for comparison. It pushes only because of writes, as a database with the default interval does. */
async function inSync() {
  const table = tableName()
  const [page] = await opened(context, 1, await automatic(table, { tabs: 'exclusive' }))
  await page.evaluate(() => window.db.sync.start())
  return { page, table }
}

/** Resolves when these tabs have a leader that has executed what they sent it at the change. */
async function served(pages) {
  await leaderOf(pages)
  await Promise.all(pages.map((page) => page.evaluate(() => window.db.sync.status())))
}

test('the last start or stop of any tab counts after a change of leader, also that of a tab that was closed', async () => {
  const other = await inSync()
  // Tabs are numbered in the order of their opening: those that start or stop, and those that are closed then, the leader last.
  const cases = {
    'a stop before a start': { calls: ['1 start', '1 stop', '2 start'], closed: [0], isOn: true },
    'a stop before a start of an earlier tab': { calls: ['2 start', '2 stop', '1 start'], closed: [0], isOn: true },
    'a start before a stop': { calls: ['1 start', '2 stop'], closed: [0], isOn: false },
    'a start before a stop of an earlier tab': { calls: ['2 start', '1 stop'], closed: [0], isOn: false },
    'a stop of a closed tab': { calls: ['1 start', '2 stop'], closed: [2, 0], isOn: false },
    'a start of a closed tab': { calls: ['1 stop', '0 start'], closed: [0], isOn: true },
    "the mode 'cloud'": { calls: [], closed: [1, 0], isOn: true, mode: 'cloud' },
    'a stop before the remaining tab opened': {
      calls: ['1 stop', '2 open'],
      closed: [1, 0],
      isOn: false,
      mode: 'cloud',
    },
  }
  const found = {}
  for (const [name, { calls, closed, mode = 'local' }] of Object.entries(cases)) {
    const table = tableName()
    const given = await automatic(table, { mode })
    const pages = await opened(context, calls.includes('2 open') ? 2 : 3, given)
    for (const [tab, call] of calls.map((one) => one.split(' '))) {
      if (call === 'start') await start(pages[tab])
      else if (call === 'stop') await pages[tab].evaluate(() => window.db.sync.stop())
      else pages.push(...(await opened(context, 1, given)))
    }
    for (const tab of closed) await pages[tab].close()
    const left = pages.filter((_, tab) => !closed.includes(tab))
    await served(left)
    found[name] = await pushes(left[0], table, other)
    await close(left)
  }
  assert.deepEqual(found, Object.fromEntries(Object.entries(cases).map(([name, { isOn }]) => [name, isOn])))
  await other.page.close()
})

const crash = { only: 'worker', because: 'only a worker dies without its page' }

test('the last start or stop of any object of a page counts after a crash of the worker', crash, async () => {
  const other = await inSync()
  const found = []
  for (const calls of ['0 stop 1 start', '1 stop 0 start', '0 start 1 stop', '1 start 0 stop']) {
    const table = tableName()
    const given = await automatic(table, { tabs: 'exclusive' })
    const page = await context.page()
    await page.evaluate(
      async ([options, [first, one, second, other]]) => {
        const both = [await window.open(options), await window.open(options)]
        const call = { start: (db) => db.sync.start({ intervalMs: 20 }), stop: (db) => db.sync.stop() }
        await call[one](both[first])
        await call[other](both[second])
        window.db = both[0]
        window.workers.at(-1).terminate()
        await window.failure(window.db.sync.status())
        await window.db.sync.status()
      },
      [given, calls.split(' ')],
    )
    found.push(await pushes(page, table, other))
    await page.close()
  }
  assert.deepEqual(found, [true, true, false, false])
  await other.page.close()
})
