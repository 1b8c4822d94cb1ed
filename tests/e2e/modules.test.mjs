// The modules that a page loads when it first needs them: one that doesn't come is a typed error and harms nothing, and the next call
// requests it again.
import assert from 'node:assert/strict'
import { freshName, suite, test, until } from './harness.mjs'

const context = suite()
const here = { only: 'current', because: 'the modules are those of the page' }

/** By module: a call that needs it, in the page, of an open database or with the name of a new one. */
const calls = {
  'snapshot-file': {
    export: async (db) => void (await db.snapshots.export((await db.snapshots.create()).id)),
    import: (db) => window.file.then((file) => db.snapshots.import(file)),
  },
  'check-encryption': { rekey: (db) => db.rekey({ passphrase: 'horse' }) },
  'file-cipher': {
    export: async (db) => {
      const { id } = await db.snapshots.create()
      await db.snapshots.export(id, { encrypt: { passphrase: 'horse' } })
    },
  },
  'row-changes': {
    iterate: async (db) => {
      for await (const { added } of db.live('SELECT x FROM t').changes({ key: 'x' })) return added.length
    },
    subscribe: (db) =>
      new Promise((resolve, reject) => {
        const live = db.live('SELECT x FROM t')
        const end = live.changes({ key: 'x' }).subscribe(
          () => {
            end()
            resolve()
          },
          (error) => {
            end()
            reject(error)
          },
        )
      }),
  },
  'last-results': {
    lastRows: async (db) => void (await (await import('tidelock')).lastRows(db.name, 'SELECT x FROM t')),
  },
  'move-in-worker': {
    moveStorage: async (db) => {
      const { moveStorage, open } = await import('tidelock')
      const name = `${db.name}-moved`
      await (await open({ name })).close()
      await moveStorage(name, { to: 'opfs' })
    },
  },
  replay: { drift: (db) => db.migrations.drift() },
  // As an unreachable remote, after its retries.
  request: {
    schemaFromRemote: async () => {
      const { schemaFromRemote } = await import('tidelock')
      await schemaFromRemote({ url: `${location.origin}/none`, key: 'k', tables: ['t'] })
    },
  },
}
/** By module: options of `open` that need it. */
const options = {
  'lazy-options': { audit: ['t'] },
  'check-encryption': { encryption: { passphrase: 'horse' } },
  functions: { functions: { scalar: {} } },
  'column-key': { columnKey: { passphrase: 'horse', salt: 'stable-salt-of-16' } },
  development: { dev: true, migrations: [{ version: '1', name: 'one', up: 'CREATE TABLE t (x)' }] },
  cron: { snapshots: { cron: '0 3 * * *' } },
  'load-seed': { seed: '/none.sqlite' },
  'open-shared': { tabs: 'shared' },
  'open-in-worker': { thread: 'worker' },
  location: { storage: 'best' },
}
const served = (name) => new RegExp(`/dist/${name}\\.js$`)
/** How a module doesn't come. */
const failures = {
  'no network': (route) => route.abort(),
  'not served': (route) => route.fulfill({ status: 404, body: 'none' }),
}

let turn = 0
/** How a module doesn't come in the tests of one call or option: in one way, by turns, or in both with TIDELOCK_ALL=1. */
const chosen = () =>
  Object.entries(failures).filter((_, at, { length }) => process.env.TIDELOCK_ALL || at === turn % length)

for (const [name, ways] of Object.entries(calls))
  for (const [way, call] of Object.entries(ways)) {
    turn++
    for (const [why, fail] of chosen())
      test(
        `${name} for ${way}, ${why}: wasm_load_failed, the database goes on, and the next call loads it`,
        here,
        async () => {
          const page = await context.page()
          await page.evaluate(async (database) => {
            const migrations = [
              { version: '1', name: 'one', up: async (tx) => void (await tx.exec('CREATE TABLE t (x)')) },
            ]
            window.db = await window.open({ name: database, migrations })
            window.file = db.snapshots.create().then(async ({ id }) => db.export())
            await window.file
            await db.exec('CREATE TABLE other (x)')
          }, freshName())
          await page.route(served(name), fail)
          const attempt = () => page.evaluate(`window.failure((${call})(db))`)
          const failed = await attempt()
          assert.equal(failed?.code, name === 'request' ? 'sync_network' : 'wasm_load_failed', JSON.stringify(failed))
          assert.equal(failed.retryable, true)
          assert.ok(failed.hint)
          const rows = await page.evaluate(async () => {
            await db.run('INSERT INTO other VALUES (1)')
            return db.query('SELECT x FROM other')
          })
          assert.deepEqual(rows, [{ x: 1 }])
          await page.unroute(served(name))
          assert.notEqual((await attempt())?.code, 'wasm_load_failed')
          await page.evaluate(() => db.close())
        },
      )
  }
for (const [name, given] of Object.entries(options)) {
  turn++
  for (const [why, fail] of chosen())
    test(`${name} for open, ${why}: wasm_load_failed, and the next open loads it`, here, async () => {
      const page = await context.page()
      const attempt = () =>
        page.evaluate(
          (all) =>
            window.failure(async () => {
              window.db = await window.open(all)
              await db.query('SELECT 1')
            }),
          { name: database, ...given },
        )
      const database = freshName()
      await page.route(served(name), fail)
      const failed = await attempt()
      assert.equal(failed?.code, 'wasm_load_failed', JSON.stringify(failed))
      await until(
        async () =>
          !(await page.evaluate(
            async (lock) => (await navigator.locks.query()).held.some(({ name }) => name === lock),
            `tidelock/${database}`,
          )),
      )
      await page.unroute(served(name))
      const again = await attempt()
      assert.notEqual(again?.code, 'wasm_load_failed', JSON.stringify(again))
      await page.evaluate(() => window.db?.close())
    })
}

test('a live query with its last result runs without the module, and a later one loads it', here, async () => {
  const page = await context.page()
  await page.evaluate(async (database) => {
    window.db = await window.open({ name: database })
    await db.exec('CREATE TABLE t (x); INSERT INTO t VALUES (1)')
  }, freshName())
  const loads = []
  page.on('request', (request) => served('last-results').test(request.url()) && loads.push(1))
  await page.route(served('last-results'), (route) => route.abort())
  const first = () =>
    page.evaluate(async () => {
      const live = db.live('SELECT x FROM t', [], { initial: 'last' })
      for await (const rows of live) return rows
    })
  assert.deepEqual(await first(), [{ x: 1 }])
  await until(() => loads.length > 0)
  await page.unroute(served('last-results'))
  const before = loads.length
  await until(async () => {
    // The page may detect the failure later than the test, and a query until then doesn't load it again.
    assert.deepEqual(await first(), [{ x: 1 }])
    return loads.length > before
  })
  await page.evaluate(() => db.close())
})
