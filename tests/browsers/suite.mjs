// What runs in each browser of another engine than Chromium's, with the engine on the page's thread and in a worker: the scenarios of
// what is another engine's work there (IndexedDB, streams, cryptography, workers, fetch), and what only a browser shows.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { packed } from '../e2e/package.mjs'
import { pagesOf } from '../e2e/scenarios.mjs'
import { serve } from '../e2e/serve.mjs'
import { until } from '../scenarios/run/context.mjs'
import { local, withRemote } from '../scenarios/run/modules.mjs'

/**
 * What another engine may do in another way, divided between the threads. Not what takes minutes with interpreted WebAssembly, as WebKit's
 * here is: long pulls, snapshots of large databases, and encryption, which is the wasm's own work.
 */
const MODULES = {
  current: ['values', 'iterate', 'files', 'columns', 'sync/first-example'],
  worker: ['rows', 'transactions', 'live', 'moving'],
}

/** Whether some modules and scenarios are left out: neither all nor named ones are asked for. */
const isUsual = !process.env.TIDELOCK_ALL && !process.env.TIDELOCK_SCENARIOS

/** The modules that run with the engine there: with `TIDELOCK_ALL=1` all, with `TIDELOCK_SCENARIOS` those that it names. */
function modulesIn(thread, elsewhere) {
  const usual = MODULES[thread].filter((name) => !elsewhere.includes(name))
  return [...local, ...withRemote].filter(({ name }) => !isUsual || usual.includes(name))
}

/** The threads of a test that is about the browser: one, or both with `TIDELOCK_ALL=1`. */
const threadsOf = (usual) => (process.env.TIDELOCK_ALL ? ['current', 'worker'] : [usual])

/**
 * Registers all of it as tests, in that browser → `{ open(thread) }`, which opens a page under test. `inOpfs`: modules that run over databases
 * in the browser's private file system, in a worker instead of IndexedDB. `without`: modules that don't run over IndexedDB in a usual run.
 * `slow`: the titles of scenarios that a usual run leaves out.
 */
export async function suite(browser, { inOpfs = [], without = [], slow = [] } = {}) {
  const { begin, open, load, scenarios } = pagesOf(browser)
  begin()
  const chosen = local.filter(({ name }) => inOpfs.includes(name))
  await scenarios('worker', chosen, 'opfs')
  await scenarios(
    'current',
    chosen.filter(({ name }) => name === 'snapshots'),
    'opfs',
  )
  const left = isUsual ? slow : []
  for (const thread of ['current', 'worker'])
    await scenarios(thread, modulesIn(thread, [...inOpfs, ...without]), undefined, left)

  for (const thread of threadsOf('current'))
    test(`what was written is there after a reload (${thread})`, async () => {
      const page = await open(thread)
      await page.evaluate(async () => {
        const db = await window.open({ name: 'reloaded' })
        await db.exec('DROP TABLE IF EXISTS t; CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b BLOB)')
        const rows = Array.from({ length: 5000 }, (_, n) => [`Zeile ä ${n} 𝄞`, new Uint8Array([n % 256])])
        await db.runMany('INSERT INTO t (a, b) VALUES (?, ?)', rows)
        await db.run('INSERT INTO t (id) VALUES (?)', [2n ** 53n])
      })
      await load(page, thread) // without db.close()
      const read = await page.evaluate(async () => {
        const db = await window.open({ name: 'reloaded', lock: { onBusy: 'wait' } })
        const row = await db.get(
          'SELECT a, hex(b) AS b, (SELECT CAST(max(id) AS TEXT) FROM t) AS id FROM t WHERE id = 4',
        )
        const { n } = await db.get('SELECT count(*) AS n FROM t')
        await db.close()
        return { ...row, n, warnings: window.warnings }
      })
      assert.deepEqual(read, { a: 'Zeile ä 3 𝄞', b: '03', id: `${2n ** 53n}`, n: 5001, warnings: [] })
      await page.close()
    })

  for (const thread of threadsOf('worker'))
    test(`tabs: refused, waiting, taken over, stolen (${thread})`, async () => {
      const name = `tabs-${thread}`
      const write = (page) => page.evaluate(() => window.failure(window.db.run('INSERT INTO t VALUES (1)')))
      const openIn = (page, lock) =>
        page.evaluate(
          async (options) => {
            window.db = await window.open(options)
            await window.db.exec('CREATE TABLE IF NOT EXISTS t (a); INSERT INTO t VALUES (1)')
            return (await window.db.get('SELECT count(*) AS n FROM t')).n
          },
          { name, lock },
        )
      const first = await open(thread)
      const second = await open(thread)
      assert.equal(await openIn(first), 1)
      const refused = await second.evaluate((name) => window.failure(window.open({ name })), name)
      assert.equal(refused.code, 'database_in_use')
      assert.equal(refused.details.holder.title, 'A page under test')
      assert.equal(await openIn(second, { onBusy: 'takeover' }), 2)
      assert.equal((await write(first)).code, 'closed')
      assert.equal(await openIn(first, { onBusy: 'steal' }), 3)
      assert.equal((await write(second)).code, 'lock_lost')
      await second.evaluate((name) => {
        window.waiting = window.open({ name, lock: { onBusy: 'wait' } })
      }, name)
      const queued = async (lock) => (await navigator.locks.query()).pending.some(({ name }) => name === lock)
      await until(() => second.evaluate(queued, `tidelock/${name}`))
      assert.equal((await write(first)).resolved.changes, 1)
      await first.close() // without db.close()
      const waited = await second.evaluate(async () => {
        const db = await window.waiting
        const { n } = await db.get('SELECT count(*) AS n FROM t')
        await db.close()
        return n
      })
      assert.equal(waited, 4)
      await second.close()
    })

  test('modules of another origin start a worker', async () => {
    const headersOf = () => ({ 'access-control-allow-origin': '*' })
    const other = await serve({ folders: { '/': packed() }, headersOf })
    try {
      const page = await open('current')
      const rows = await page.evaluate(async (module) => {
        const { open } = await import(module)
        const db = await open({ name: 'another origin', thread: 'worker' })
        const rows = await db.query('SELECT 1 AS one')
        await db.close()
        return rows
      }, `${other.url}/dist/index.js`)
      assert.deepEqual(rows, [{ one: 1 }])
      await page.close()
    } finally {
      await other.close()
    }
  })

  test('doctor finds everything there', async () => {
    const page = await open('current')
    const { ok, checks } = await page.evaluate(() => window.tidelock.doctor())
    assert.deepEqual(
      checks.filter((check) => !check.ok),
      [],
    )
    assert.equal(ok, true)
    assert.ok(
      ['indexeddb', 'web-locks', 'worker', 'crypto'].every((name) => checks.some((check) => check.name === name)),
    )
    await page.close()
  })

  return { open }
}
