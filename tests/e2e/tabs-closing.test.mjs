// A tab that closes a shared database finishes the calls made so far, also while its leader, its engine or its role changes.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'
import { close, crash, opened } from './tabs-harness.mjs'

const context = suite()
const tabs = (count, options) => opened(context, count, options)

/** A leader and a follower with a table; no tab receives what the leader sends from now on. */
async function silentLeader(name) {
  const pages = await tabs(2, { name })
  await pages[0].evaluate(() => window.db.exec('CREATE TABLE t (v)'))
  await pages[1].evaluate(() => window.db.query('SELECT 1'))
  await pages[0].evaluate(() => {
    BroadcastChannel.prototype.postMessage = () => {}
  })
  return pages
}

/** Begins a transaction in a tab with a first row, as `window.transaction`; `window.goOn` lets it add a second one and commit. */
const beginTransaction = (page) =>
  page.evaluate(
    () =>
      new Promise((begin) => {
        window.transaction = window.failure(
          window.db.transaction(async (tx) => {
            await tx.run('INSERT INTO t VALUES (1)')
            await new Promise((resolve) => {
              window.goOn = resolve
              begin()
            })
            await tx.run('INSERT INTO t VALUES (2)')
          }),
        )
      }),
  )

/** Begins a write in a tab: → its result or error in `written`. */
const write = (page) =>
  page.evaluate(() => {
    window.written = window.failure(window.db.run('INSERT INTO t VALUES (1)'))
  })

/** Opens the database for a page alone → the rows of its table. */
const rowsAlone = (page, name) =>
  page.evaluate(
    (given) =>
      window.failure(async () => {
        const db = await window.open({ name: given })
        const rows = await db.query('SELECT v FROM t')
        await db.close()
        return rows
      }),
    name,
  )

test('a follower that becomes the leader while it closes finishes its calls, and releases the database', async () => {
  const name = freshName()
  const [leader, page] = await silentLeader(name)
  await write(page)
  await leader.evaluate(() => window.until(async () => (await window.db.query('SELECT 1 FROM t')).length === 1))
  await leader.evaluate(() => window.db.flush())
  await page.evaluate(() => {
    window.closing = window.db.close()
  })
  await crash(leader)
  await page.evaluate(() => window.closing)
  assert.equal((await page.evaluate(() => window.written)).resolved.changes, 1)
  assert.deepEqual(await rowsAlone(page, name), { resolved: [{ v: 1 }] })
  await close([page])
})

test('a tab that closes before its own engine serves finishes the calls of the former leader first', async () => {
  const name = freshName()
  const [leader, page] = await silentLeader(name)
  const holder = await context.page()
  // Delays the opening of the next engine.
  await holder.evaluate((lock) => {
    window.held = new Promise((granted) => {
      navigator.locks.request(lock, () => {
        granted()
        return new Promise((resolve) => {
          window.release = resolve
        })
      })
    })
  }, `tidelock/${name}`)
  await write(page)
  await leader.evaluate(() => window.until(async () => (await window.db.query('SELECT 1 FROM t')).length === 1))
  await leader.evaluate(() => window.db.flush())
  await crash(leader)
  await holder.evaluate(() => window.held)
  await page.evaluate(
    (lock) => window.until(async () => (await navigator.locks.query()).pending.some(({ name }) => name === lock)),
    `tidelock/${name}`,
  )
  await page.evaluate(() => {
    window.closing = window.db.close()
  })
  await holder.evaluate(() => window.release())
  await page.evaluate(() => window.closing)
  assert.equal((await page.evaluate(() => window.written)).resolved.changes, 1)
  assert.deepEqual(await rowsAlone(page, name), { resolved: [{ v: 1 }] })
  await close([page, holder])
})

test('a tab whose worker dies before it closes finishes its calls with the next one', {
  only: 'worker',
  because: 'it is about the worker',
}, async () => {
  const name = freshName()
  const [page] = await tabs(1, { name })
  const written = await page.evaluate(async () => {
    await window.db.exec('CREATE TABLE t (v)')
    await window.db.flush()
    const [worker] = window.workers
    window.workers = []
    Object.getPrototypeOf(Object.getPrototypeOf(worker)).terminate.call(worker)
    const writes = [1, 2].map((v) => window.failure(window.db.run('INSERT INTO t VALUES (?)', [v])))
    await window.db.close()
    return (await Promise.all(writes)).map(({ resolved, code }) => resolved?.changes ?? code)
  })
  assert.deepEqual(written, [1, 1])
  assert.deepEqual(await rowsAlone(page, name), { resolved: [{ v: 1 }, { v: 2 }] })
  await close([page])
})

test('a follower that closes finishes its transaction first', async () => {
  const name = freshName()
  const [leader, page] = await tabs(2, { name })
  await leader.evaluate(() => window.db.exec('CREATE TABLE t (v)'))
  await beginTransaction(page)
  const committed = await page.evaluate(async () => {
    const closing = window.db.close()
    await new Promise((resolve) => setTimeout(resolve))
    window.goOn()
    await closing
    return window.transaction
  })
  assert.deepEqual(committed, { resolved: undefined })
  assert.deepEqual(await leader.evaluate(() => window.db.query('SELECT v FROM t')), [{ v: 1 }, { v: 2 }])
  await close([leader, page])
})

test('a follower that closes rolls back a transaction that its caller has not ended', async () => {
  const [leader, page] = await tabs(2)
  await leader.evaluate(() => window.db.exec('CREATE TABLE t (v)'))
  await page.evaluate(async () => {
    const tx = await window.db.begin()
    await tx.run('INSERT INTO t VALUES (1)')
    await window.db.close()
  })
  assert.deepEqual(await leader.evaluate(() => window.db.query('SELECT v FROM t')), [])
  await close([leader, page])
})

for (const [what, end] of Object.entries({
  closes: ([leader]) =>
    leader.evaluate(() => {
      window.closing = window.db.close()
    }),
  'hands over': ([, follower]) =>
    follower.evaluate(() => {
      window.closing = window.db.rekey({ passphrase: 'two-secret-2' })
    }),
}))
  test(`a leader that ${what} keeps its lock while its own transaction runs`, async () => {
    const pages = await tabs(2, { encryption: { passphrase: 'one-secret-1' } })
    await pages[0].evaluate(() => window.db.exec('CREATE TABLE t (v)'))
    await beginTransaction(pages[0])
    await pages[1].evaluate(() => {
      window.pings = 0
      const { postMessage } = BroadcastChannel.prototype
      BroadcastChannel.prototype.postMessage = function (message) {
        if (message.say === 'ping') window.pings++
        postMessage.call(this, message)
      }
    })
    await end(pages)
    // More than it takes to count a silent leader as frozen, after the second in which a leader waits for followers.
    await pages[1].evaluate(() => window.until(() => window.pings > 6))
    await pages[0].evaluate(() => window.goOn())
    assert.deepEqual(await pages[0].evaluate(() => window.transaction), { resolved: undefined })
    await Promise.all(pages.map((page) => page.evaluate(() => window.closing)))
    assert.deepEqual(await pages[1].evaluate(() => window.db.query('SELECT v FROM t')), [{ v: 1 }, { v: 2 }])
    await close(pages)
  })
