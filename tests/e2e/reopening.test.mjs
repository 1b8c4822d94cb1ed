// A worker that dies when another one can't open the database at once.
import assert from 'node:assert/strict'
import { freshName, suite, test, until } from './harness.mjs'

const context = suite()
const inWorker = { only: 'worker', because: 'only a worker dies without its page' }

for (const tabs of ['exclusive', 'shared']) {
  test(`a worker that dies after it stored a new secret, before its answer: ${tabs}`, inWorker, async () => {
    const secrets = [{ passphrase: 'one' }, { passphrase: 'two' }]
    const changes = [secrets, [undefined, secrets[1]], [secrets[0], undefined]]
    for (const [before, after] of changes) {
      const page = await context.page()
      const seen = await page.evaluate(
        async ([options, before, after]) => {
          const db = await window.open({ ...options, encryption: before })
          await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
          // The answer to `rekey` ends the worker instead.
          const [worker] = window.workers
          const { postMessage, onmessage } = worker
          let asked
          worker.postMessage = function (messages, transfer) {
            const call = [messages].flat().find(({ method, args }) => method === 'core' && args[0] === 'rekey')
            asked ??= call?.id
            return postMessage.call(this, messages, transfer)
          }
          worker.onmessage = (event) => {
            if ([event.data].flat().every(({ answer }) => asked === undefined || answer !== asked)) onmessage(event)
            else worker.terminate()
          }
          const failed = await window.failure(() => db.rekey(after ?? null))
          const rows = await window.failure(() => db.query('SELECT n FROM t'))
          const again = await window.failure(() => db.rekey(after ?? null))
          const { closed } = db
          await db.close()
          const next = await window.open({ ...options, encryption: after })
          const kept = await next.query('SELECT n FROM t')
          await next.close()
          const { applied } = failed.details ?? {}
          return { applied, rows: rows.resolved ?? rows.code, again: again.code, closed, kept }
        },
        [{ name: freshName(), tabs }, before, after],
      )
      const rows = [{ n: 1 }]
      assert.deepEqual(seen, { applied: null, rows, again: undefined, closed: false, kept: rows })
      await page.close()
    }
  })
}

/** What keeps another worker from opening the database, until the returned function is called. */
const obstacles = {
  'a script that the network does not give': {
    code: 'wasm_load_failed',
    raise: async (page) => {
      await page.route('**/rigged-worker.js', (route) => route.abort('internetdisconnected'))
      return () => page.unroute('**/rigged-worker.js')
    },
  },
  'a full disk': { code: 'storage_quota_exceeded', raise: (page) => breakStorage(page, 'QuotaExceededError') },
  'a storage without connection': { code: 'storage_unavailable', raise: (page) => breakStorage(page, 'UnknownError') },
}

async function breakStorage(page, name) {
  await page.evaluate(async (error) => {
    const broken = (error) => {
      const { transaction } = IDBDatabase.prototype
      IDBDatabase.prototype.transaction = () => {
        throw new DOMException('the storage is broken', error)
      }
      return () => {
        IDBDatabase.prototype.transaction = transaction
      }
    }
    window.repair = await window.rigEngine(broken, error)
  }, name)
  return () => page.evaluate(() => window.repair())
}

for (const tabs of ['exclusive', 'shared']) {
  for (const [obstacle, { code, raise }] of Object.entries(obstacles)) {
    test(`a worker dies, and ${obstacle} keeps the next one from opening: ${tabs}`, inWorker, async () => {
      const page = await context.page()
      const options = { name: freshName(), tabs }
      await page.evaluate(async (options) => {
        window.db = await window.open(options)
        await window.db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
        window.seen = []
        const live = window.db.live('SELECT count(*) AS n FROM t')
        live.subscribe(
          ([{ n }]) => window.seen.push(n),
          (error) => window.seen.push(error.code),
        )
        await window.until(() => window.seen.length > 0)
        await window.db.flush()
      }, options)
      const remove = await raise(page)
      const down = await page.evaluate(async () => {
        window.workers[0].terminate()
        // What the dead worker was asked may have happened.
        const failing = (call) =>
          window.until(async () => {
            const failed = await window.failure(call)
            return failed.details?.applied !== null && failed
          })
        const insert = await failing(() => window.db.run('INSERT INTO t VALUES (2)'))
        const inside = await failing(() => window.db.transaction((tx) => tx.run('INSERT INTO t VALUES (2)')))
        const read = await failing(() => window.db.query('SELECT * FROM t'))
        return {
          codes: [insert, inside, read].map((failed) => failed.code),
          applied: [insert, inside].map((failed) => failed.details?.applied),
          closed: window.db.closed,
        }
      })
      // Between two leaders, a live query only waits.
      if (tabs === 'exclusive') await until(() => page.evaluate((code) => window.seen.at(-1) === code, code))
      assert.deepEqual(down, { codes: [code, code, code], applied: [false, false], closed: false })
      await remove()
      // No call is needed for the live query.
      const runs = await page.evaluate(() => window.seen.length)
      await until(() => page.evaluate((runs) => window.seen.length > runs && window.seen.at(-1) === 1, runs))
      const after = await page.evaluate(async () => {
        await window.db.run('INSERT INTO t VALUES (3)')
        const rows = await window.db.query('SELECT n FROM t')
        await window.until(() => window.seen.at(-1) === 2)
        return rows
      })
      assert.deepEqual(after, [{ n: 1 }, { n: 3 }])
      // Again, and now the database is closed meanwhile.
      const removeAgain = await raise(page)
      const closed = await page.evaluate(async (code) => {
        window.workers[0].terminate()
        await window.until(async () => (await window.failure(() => window.db.query('SELECT 1'))).code === code)
        const failed = await window.failure(() => window.db.close())
        await window.until(async () => {
          const { held, pending } = await navigator.locks.query()
          return held.length + pending.length === 0
        })
        return failed.code
      }, code)
      assert.equal(closed, undefined)
      await removeAgain()
      const kept = await page.evaluate(async (options) => {
        const db = await window.open(options)
        const rows = await db.query('SELECT n FROM t')
        await db.close()
        return rows
      }, options)
      assert.deepEqual(kept, [{ n: 1 }, { n: 3 }])
      await page.close()
    })
  }
}
