// Pages in the browser's back/forward cache: they run no code, keep their locks, and may come back as they were.
import assert from 'node:assert/strict'
import { Browser } from './browser.mjs'
import { freshName, suite, test } from './harness.mjs'
import { close, opened } from './tabs-harness.mjs'

const context = suite()
// The headless shell has no such cache, and Playwright switches it off.
context.browser = new Browser({ shell: false, ignoreDefaultArgs: ['--disable-back-forward-cache'] })

/** Leaves the page by a link, so that the browser keeps it in the cache. */
const leave = (page) => page.goto(`${context.url}/page/assert.js`)

/** Comes back; a page of the cache fires no `load`. */
const comeBack = async (page) => {
  await page.goBack({ waitUntil: 'commit' })
  await page.waitForFunction(() => window.ready === true)
}

test('a page that comes back from the cache goes on with its database', async () => {
  const name = freshName()
  const page = await context.page()
  await page.evaluate(async (given) => {
    window.db = await window.open({ name: given })
    await window.db.exec('CREATE TABLE t (n)')
    window.writing = window.db.run('INSERT INTO t VALUES (1)')
  }, name)
  await leave(page)
  await comeBack(page)
  const rows = await page.evaluate(async () => {
    await window.writing
    await window.db.run('INSERT INTO t VALUES (2)')
    return window.db.query('SELECT n FROM t ORDER BY n')
  })
  assert.deepEqual(rows, [{ n: 1 }, { n: 2 }])
  await page.close()
})

test('a transaction of a follower in the cache does not keep the other tabs waiting', async () => {
  const [leader, follower] = await opened(context, 2)
  await leader.evaluate(() => window.db.exec('CREATE TABLE t (n)'))
  await follower.evaluate(async () => {
    window.tx = await window.db.begin()
    await window.tx.run('INSERT INTO t VALUES (1)')
  })
  await leave(follower)
  await leader.evaluate(() => window.db.run('INSERT INTO t VALUES (2)', [], { timeoutMs: 10_000 }))
  assert.deepEqual(await leader.evaluate(() => window.db.query('SELECT n FROM t')), [{ n: 2 }])
  await comeBack(follower)
  // The browser may have dropped the page meanwhile.
  const back = await follower.evaluate(
    async () =>
      window.db && [(await window.failure(window.tx.commit())).code, await window.db.query('SELECT n FROM t')],
  )
  if (back !== undefined) assert.deepEqual(back, ['leader_changed', [{ n: 2 }]])
  await close([leader, follower])
})
