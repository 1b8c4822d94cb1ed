// Databases from outside: listed, deleted, recovered, without opening them.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'

const context = suite()
const inWorker = { only: 'worker', because: 'the lock of a page is the same one' }

/** In the page: opens, writes one row and leaves it open as `window.db`. */
async function opened(page, name) {
  await page.evaluate(async (given) => {
    window.db = await window.open({ name: given })
    await window.db.exec("CREATE TABLE IF NOT EXISTS t (s TEXT); INSERT INTO t VALUES ('stored')")
  }, name)
}

test('databases() tells names, who is open and when; nothing is made by looking', inWorker, async () => {
  const [one, two] = [freshName(), freshName()]
  const [first, second] = [await context.page(), await context.page()]
  await opened(first, one)
  const before = await second.evaluate(() => Date.now())
  await second.evaluate(async (name) => {
    const db = await window.open({ name })
    await db.close()
  }, two)
  // The lock is released a little after its database has closed; so does what an opening made beside it.
  const list = await second.evaluate(
    (closed) =>
      window.until(async () => {
        const list = await window.tidelock.databases()
        const all = (await indexedDB.databases()).length
        return !list.find(({ name }) => name === closed).inUse && all === list.length && list
      }),
    two,
  )
  const mine = list.filter(({ name }) => [one, two].includes(name))
  assert.deepEqual(
    mine.map(({ name, inUse, encrypted }) => ({ name, inUse, encrypted })),
    [
      { name: one, inUse: true, encrypted: false },
      { name: two, inUse: false, encrypted: false },
    ].sort((a, b) => (a.name < b.name ? -1 : 1)),
  )
  assert.ok(Date.parse(mine.find(({ name }) => name === two).openedAt) >= before - 1000)
  await first.close()
  await second.close()
})

test(
  'deleteDatabase deletes what nobody has open, refuses the rest, and one that is not there is no error',
  inWorker,
  async () => {
    const name = freshName()
    const [holder, other] = [await context.page(), await context.page()]
    await opened(holder, name)
    const refused = await other.evaluate((given) => window.failure(() => window.tidelock.deleteDatabase(given)), name)
    assert.equal(refused.code, 'database_in_use')
    assert.match(refused.message, /^Database already in use by tab "A page under test" since \d\d:\d\d$/)
    assert.equal(refused.details.holder.title, 'A page under test')
    const own = await holder.evaluate((given) => window.failure(() => window.tidelock.deleteDatabase(given)), name)
    assert.deepEqual([own.code, own.message], ['database_in_use', 'Database already in use by this page'])
    await holder.evaluate(async () => {
      await window.db.run("INSERT INTO t VALUES ('unharmed')")
      await window.db.close()
    })
    const result = await other.evaluate(async (given) => {
      await window.tidelock.deleteDatabase(given)
      const left = (await window.tidelock.databases()).filter(({ name }) => name === given)
      await window.tidelock.deleteDatabase(given)
      const wrong = [
        await window.failure(() => window.tidelock.deleteDatabase('')),
        await window.failure(() => window.tidelock.deleteDatabase('x', { forced: true })),
      ]
      const db = await window.open({ name: given })
      const tables = await db.query('SELECT name FROM sqlite_schema')
      await db.close()
      return { left, tables, wrong: wrong.map(({ code }) => code) }
    }, name)
    assert.deepEqual(result, { left: [], tables: [], wrong: ['invalid_argument', 'invalid_argument'] })
    await holder.close()
    await other.close()
  },
)

test('deleted by force, the one who had it open gets lock_lost, and nothing of it comes back', async () => {
  const name = freshName()
  const [holder, other] = [await context.page(), await context.page()]
  await opened(holder, name)
  await other.evaluate(async (given) => {
    await window.tidelock.deleteDatabase(given, { force: true })
    window.db = await window.open({ name: given })
    await window.db.exec('CREATE TABLE fresh (n)')
  }, name)
  const late = await holder.evaluate(async () => {
    // Its connection closes first; the lock is free then, too.
    const write = () => window.failure(() => window.db.run("INSERT INTO t VALUES ('too late')"))
    const first = await write()
    await window.until(async () => (await write()).code === 'lock_lost')
    await window.db.close().catch(() => {})
    return first.code
  })
  assert.ok(['lock_lost', 'storage_unavailable'].includes(late), late)
  const tables = await other.evaluate(async (given) => {
    await window.db.close()
    const db = await window.open({ name: given })
    const found = await db.query('SELECT name FROM sqlite_schema')
    await db.close()
    return found
  }, name)
  assert.deepEqual(tables, [{ name: 'fresh' }])
  await holder.close()
  await other.close()
})

/** In the page: deletes the records of the log whose lsn `which` names, counted from the end. */
async function damageLog(page, name, fromEnd) {
  await page.evaluate(
    ([given, back]) =>
      new Promise((resolve, reject) => {
        const request = indexedDB.open(`tidelock/${given}`)
        request.onerror = () => reject(request.error)
        request.onsuccess = () => {
          const transaction = request.result.transaction('log', 'readwrite')
          const store = transaction.objectStore('log')
          const keys = store.getAllKeys()
          keys.onsuccess = () => store.delete(keys.result.at(-back))
          transaction.oncomplete = () => {
            request.result.close()
            resolve()
          }
        }
      }),
    [name, fromEnd],
  )
}

test('a database that no longer opens is recovered to its last good state; a sound one is left alone', {
  only: 'current',
  because: 'recover runs in the thread that calls it',
}, async () => {
  const name = freshName()
  const page = await context.page()
  const snapshot = await page.evaluate(async (given) => {
    const db = await window.open({ name: given })
    await db.exec('CREATE TABLE t (n)')
    await db.run('INSERT INTO t VALUES (1)')
    const { id } = await db.snapshots.create({ label: 'one' })
    for (let n = 2; n <= 5; n++) await db.run('INSERT INTO t VALUES (?)', [n])
    await db.close()
    return id
  }, name)
  const sound = await page.evaluate((given) => window.tidelock.recover(given), name)
  assert.deepEqual([sound.changed, sound.lostBatches], [false, 0])
  await damageLog(page, name, 2)
  const result = await page.evaluate(
    async ([given, id]) => {
      const refused = await window.failure(() => window.open({ name: given }))
      const unknown = await window.failure(() => window.tidelock.recover(`${given}-nowhere`))
      const wrong = await window.failure(() => window.tidelock.recover(given, { from: '999' }))
      const report = await window.tidelock.recover(given)
      const db = await window.open({ name: given })
      const rows = await db.query('SELECT n FROM t')
      const held = await window.failure(() => window.tidelock.recover(given))
      await db.run('INSERT INTO t VALUES (10)')
      await db.close()
      const back = await window.tidelock.recover(given, { from: id })
      const again = await window.open({ name: given })
      const first = await again.query('SELECT n FROM t')
      await again.close()
      const names = (await indexedDB.databases()).map((entry) => entry.name)
      return {
        codes: [refused.code, unknown.code, wrong.code, held.code],
        report,
        rows,
        from: [back.changed, back.snapshotId],
        first,
        made: names.includes(`tidelock/${given}-nowhere`),
      }
    },
    [name, snapshot],
  )
  const { recoveredTo, bytes, quarantined, ...report } = result.report
  assert.deepEqual(report, { snapshotId: snapshot, lostBatches: 2, problems: [], changed: true })
  assert.ok(recoveredTo.endsWith('Z') && bytes > 0 && quarantined.to > quarantined.from)
  assert.deepEqual(result.codes, ['database_corrupt', 'invalid_argument', 'snapshot_not_found', 'database_in_use'])
  assert.deepEqual(result.rows, [{ n: 1 }, { n: 2 }, { n: 3 }])
  assert.deepEqual(result.from, [true, snapshot])
  assert.deepEqual([result.first, result.made], [[{ n: 1 }], false])
  await page.close()
})
