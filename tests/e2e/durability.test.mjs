// The promise of each durability: when a write's promise resolves, and when its pages are stored.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'
import { reopened } from './killing.mjs'

const context = suite()

test('a reload keeps what was written, in each durability', async () => {
  for (const durability of ['relaxed', 'strict', 'deferred', 'snapshot']) {
    const name = freshName()
    const page = await context.page()
    await page.evaluate(
      async ([given, mode]) => {
        const db = await window.open({ name: given, durability: mode })
        await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT)')
        for (let i = 0; i < 20; i++) await db.run('INSERT INTO t (s) VALUES (?)', [`row ${i}`])
        // A worker stores what is deferred at once, but dies with its page.
        if (mode === 'snapshot' || (mode === 'deferred' && window.thread === 'worker')) await db.flush()
      },
      [name, durability],
    )
    await context.load(page) // no close(): the tab just ends
    const rows = await page.evaluate(async (given) => {
      const db = await window.until(() =>
        window
          .open({ name: given })
          .catch((error) => (error.code === 'database_in_use' ? undefined : Promise.reject(error))),
      )
      const found = await db.query('SELECT s FROM t ORDER BY id')
      await db.close()
      return found.map((row) => row.s)
    }, name)
    assert.deepEqual(
      rows,
      Array.from({ length: 20 }, (_, i) => `row ${i}`),
      durability,
    )
    await page.close()
  }
})

test('a reload in the middle of a snapshot leaves the ones before whole, and loses nothing', async () => {
  const name = freshName()
  const page = await context.page()
  await page.evaluate(async (given) => {
    window.db = await window.open({ name: given, snapshots: { keep: 2 } })
    await window.db.exec('CREATE TABLE t (n INTEGER, filler BLOB)')
    await window.db.runMany(
      'INSERT INTO t VALUES (?, randomblob(4000))',
      Array.from({ length: 1500 }, (_, n) => [n]),
    )
    await window.db.snapshots.create({ label: 'first' })
  }, name)
  for (const wait of [0, 20, 60, 120]) {
    await page.evaluate(async (ms) => {
      await window.db.run('UPDATE t SET filler = randomblob(4000)')
      void window.db.snapshots.create().catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, ms))
    }, wait)
    await context.load(page)
    const found = await page.evaluate(async (given) => {
      window.db = await window.until(() =>
        window
          .open({ name: given, snapshots: { keep: 2 } })
          .catch((error) => (error.code === 'database_in_use' ? undefined : Promise.reject(error))),
      )
      const verified = await Promise.all(
        (await window.db.snapshots.list()).map(async ({ id, label }) => [
          label,
          (await window.db.snapshots.verify(id)).ok,
        ]),
      )
      const rows = await window.db.get('SELECT count(*) AS n FROM t')
      return { verified, rows, integrity: await window.db.query('PRAGMA integrity_check'), warnings: window.warnings }
    }, name)
    assert.ok(found.verified.every(([, ok]) => ok) && found.verified.some(([label]) => label === 'first'), `${wait} ms`)
    assert.deepEqual([found.rows, found.integrity, found.warnings], [{ n: 1500 }, [{ integrity_check: 'ok' }], []])
  }
  await page.evaluate(() => window.db.close())
  await page.close()
})

test('flush resolves when everything is stored', {
  only: 'worker',
  because: 'what is stored then is the same for a page',
}, async () => {
  const name = freshName()
  const page = await context.page()
  await page.evaluate(async (given) => {
    const db = await window.open({ name: given })
    await db.exec('CREATE TABLE t (n)')
    for (let i = 0; i < 50; i++) void db.run('INSERT INTO t VALUES (?)', [i])
    await db.flush()
  }, name)
  await context.browser.kill()
  await context.browser.start()
  assert.deepEqual(await reopened(context, name, (db) => db.get('SELECT count(*) AS n FROM t')), { n: 50 })
})

/** Counts the transactions that write the log of databases opened from now on, in a page: `await logged()`. */
const countLogTransactions = async () => {
  await window.rigEngine(() => {
    const { transaction } = IDBDatabase.prototype
    globalThis.counted = 0
    IDBDatabase.prototype.transaction = function (stores, mode, ...rest) {
      if (mode === 'readwrite' && [...stores].includes('log')) globalThis.counted++
      return transaction.call(this, stores, mode, ...rest)
    }
  })
  window.logged = () => window.inEngine(() => globalThis.counted)
}

test('concurrent writers share transactions, and each hears of its own', async (_, thread) => {
  const page = await context.page()
  await page.evaluate(countLogTransactions)
  const counts = await page.evaluate(async (given) => {
    const db = await window.open({ name: given })
    await db.exec('CREATE TABLE t (n)')
    const during = async (work) => {
      const before = await window.logged()
      await work()
      return (await window.logged()) - before
    }
    const rows = Array.from({ length: 100 }, (_, i) => i)
    const sequential = await during(async () => {
      for (const n of rows) await db.run('INSERT INTO t VALUES (?)', [n])
    })
    const concurrent = await during(() => Promise.all(rows.map((n) => db.run('INSERT INTO t VALUES (?)', [n]))))
    const chained = await during(() =>
      Promise.all(
        rows.map(async (n) => {
          await db.run('INSERT INTO t VALUES (?)', [n])
          await db.run('INSERT INTO t VALUES (?)', [n])
        }),
      ),
    )
    const { n } = await db.get('SELECT count(*) AS n FROM t')
    await db.close()
    return { sequential, concurrent, chained, n }
  }, freshName())
  assert.deepEqual([counts.sequential, counts.n], [100, 400])
  // To a worker they come one by one: as many share a transaction as come until the one before is stored.
  const [concurrent, chained] = thread === 'worker' ? [25, 50] : [2, 6]
  assert.ok(counts.concurrent <= concurrent && counts.chained <= chained, JSON.stringify(counts))
  await page.close()
})

test("'deferred' gathers writes in few transactions, which follow without a call; one that is rolled back never does", async (_, thread) => {
  const name = freshName()
  const page = await context.page()
  await page.evaluate(countLogTransactions)
  const counts = await page.evaluate(async (given) => {
    const db = await window.open({ name: given, durability: 'deferred' })
    await db.exec('CREATE TABLE t (n)')
    await db.flush()
    const before = await window.logged()
    const started = performance.now()
    for (let n = 0; n < 100; n++) await db.run('INSERT INTO t VALUES (?)', [n])
    const atOnce = (await window.logged()) - before
    const wrote = performance.now() - started
    await window.until(async () => (await window.logged()) > before)
    // The rest of them; and of a transaction that is open there is nothing to store.
    await db.flush()
    const later = (await window.logged()) - before
    await db
      .transaction(async (tx) => {
        await tx.run('INSERT INTO t VALUES (1000)')
        await db.flush()
        window.during = (await window.logged()) - before
        throw new Error('back')
      })
      .catch(() => {})
    return { atOnce, later, during: window.during, most: 3 + Math.ceil(wrote / 20) }
  }, name)
  // One transaction in 20 ms. A worker doesn't gather: it stores at once, as much as has come until the one before is stored.
  const { atOnce, later, most } = counts
  assert.ok(thread === 'worker' || (atOnce <= later && later <= Math.min(most, 50)), JSON.stringify(counts))
  assert.ok(counts.later >= 1 && counts.later <= 100, JSON.stringify(counts))
  assert.equal(counts.during, counts.later, 'an open transaction is nothing to store')
  await context.browser.kill()
  await context.browser.start()
  assert.deepEqual(await reopened(context, name, (db) => db.get('SELECT count(*) AS n FROM t')), { n: 100 })
})

test("'snapshot' stores nothing but by snapshots, flush and close", {
  only: 'current',
  because: 'in a worker it waits to be asked, too',
}, async () => {
  const name = freshName()
  const page = await context.page()
  await page.evaluate(countLogTransactions)
  const seen = await page.evaluate(async (given) => {
    const db = await window.open({ name: given, durability: 'snapshot' })
    await db.exec('CREATE TABLE t (n)')
    await db.run('INSERT INTO t VALUES (1)')
    await db.snapshots.create()
    const before = await window.logged()
    for (let n = 0; n < 50; n++) await db.run('INSERT INTO t VALUES (2)')
    const logged = (await window.logged()) - before
    // One beside it has stored by itself what was written later.
    const clock = await window.open({ name: `${given}-clock`, durability: 'deferred' })
    await clock.exec('CREATE TABLE t (n)')
    await clock.flush()
    const stored = await window.logged()
    await clock.run('INSERT INTO t VALUES (1)')
    await window.until(async () => (await window.logged()) > stored)
    const after = (await window.logged()) - stored
    return { logged, after, rows: await db.get('SELECT count(*) AS n FROM t') }
  }, name)
  assert.deepEqual(seen, { logged: 0, after: 1, rows: { n: 51 } })
  await context.browser.kill()
  await context.browser.start()
  assert.deepEqual(await reopened(context, name, (db) => db.get('SELECT count(*) AS n FROM t')), { n: 1 })
  const closed = await context.page()
  await closed.evaluate(async (given) => {
    const db = await window.open({ name: given, durability: 'snapshot' })
    await db.run('INSERT INTO t VALUES (3)')
    await db.close()
  }, name)
  await context.browser.kill()
  await context.browser.start()
  assert.deepEqual(await reopened(context, name, (db) => db.get('SELECT count(*) AS n FROM t')), { n: 2 })
})

test("'deferred' writes of a page that navigates away in the same task are stored", {
  only: 'current',
  because: 'a worker hears of the end of its page too late: it stores at once instead',
}, async () => {
  const name = freshName()
  for (let round = 1; round <= 3; round++) {
    const page = await context.page()
    await page.evaluate(async (given) => {
      window.db = await window.open({ name: given, durability: 'deferred' })
      await window.db.exec('CREATE TABLE IF NOT EXISTS t (n)')
      await window.db.flush()
    }, name)
    const gone = page.waitForURL('**/elsewhere')
    const leave = page.evaluate(() => {
      void window.db.run('INSERT INTO t VALUES (1)')
      location.assign('/elsewhere')
    })
    // The page may have ended before it has answered.
    await leave.catch((error) => assert.match(error.message, /context was destroyed|navigation/))
    await gone
    await page.close()
    assert.deepEqual(await reopened(context, name, (db) => db.get('SELECT count(*) AS n FROM t')), { n: round })
  }
})

test('a hidden page stores at once, and takes a snapshot', async () => {
  const name = freshName()
  const page = await context.page()
  await page.evaluate(countLogTransactions)
  const seen = await page.evaluate(async (given) => {
    let state = 'visible'
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state })
    const turn = (to) => {
      state = to
      document.dispatchEvent(new Event('visibilitychange'))
    }
    const fired = []
    const db = await window.open({ name: given, durability: 'deferred' })
    db.addEventListener('snapshot', ({ detail }) => fired.push(detail.snapshot?.reason))
    await db.exec('CREATE TABLE t (n)')
    await db.flush()
    const before = await window.logged()
    await db.run('INSERT INTO t VALUES (1)')
    turn('hidden')
    const atOnce = (await window.logged()) - before
    const list = await window.until(async () => {
      const snapshots = await db.snapshots.list()
      return snapshots.length > 0 && snapshots
    })
    await window.until(() => fired.length > 0)
    await db.close()
    return { atOnce, reasons: list.map((one) => one.reason), fired }
  }, name)
  assert.equal(seen.atOnce, 1, 'before the event was over')
  assert.deepEqual([seen.reasons, seen.fired], [['hidden'], ['hidden']])
  await page.close()
})
