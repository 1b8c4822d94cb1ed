// Tabs that share a database.
import assert from 'node:assert/strict'
import { freshName, until } from './harness.mjs'

/** So many tabs that have opened the database, as `db`, the leader first; `roles` are the events that each has heard. */
export async function opened(context, count, options = {}) {
  const name = options.name ?? freshName()
  const pages = []
  for (let n = 0; n < count; n++) {
    const page = await context.page()
    await page.evaluate(
      async (given) => {
        window.roles = []
        window.db = await window.open({ tabs: 'shared', ...given })
        window.db.addEventListener('role', ({ detail }) => window.roles.push(detail.role))
      },
      { name, ...options },
    )
    pages.push(page)
  }
  return pages
}

/** Ends the process of a page, as a crash does. */
export async function crash(page) {
  const session = await page.context().newCDPSession(page)
  const crashed = new Promise((resolve) => page.once('crash', resolve))
  session.send('Page.crash').catch(() => {})
  await crashed
}

/** Waits until each of these tabs has its role. */
export async function haveRoles(pages, expected) {
  let last
  const have = async () => {
    last = await Promise.all(pages.map((page) => page.evaluate(() => window.db.role)))
    return String(last) === String(expected)
  }
  await until(have).catch(() => assert.deepEqual(last, expected))
}

/** Those of these tabs that lead, once one does. */
export async function leaderOf(pages) {
  const leads = (page) => page.evaluate(() => window.db.role === 'leader')
  return until(async () => {
    const leading = await Promise.all(pages.map(leads))
    return pages[leading.indexOf(true)]
  })
}

/**
 * Hangs a tab: a synchronous request, which gets no answer yet, keeps all of its JavaScript. Resolves when it hangs, with what lets it
 * go on: → what `work(hang)` gave, which runs there and calls `hang()` once.
 */
export async function hang(page, work = (stop) => stop()) {
  let answer
  const asked = new Promise((resolve) => {
    answer = resolve
  })
  await page.route('**/hang', async (route) => answer(route))
  const working = page.evaluate((source) => {
    const stop = () => {
      const request = new XMLHttpRequest()
      request.open('GET', '/hang', false)
      request.send()
    }
    return new Function(`return (${source})`)()(stop)
  }, work.toString())
  const route = await Promise.race([asked, working.then(() => assert.fail('it never hung'))])
  return async () => {
    await route.fulfill({ body: '' })
    return working
  }
}

export const close = (pages) => Promise.all(pages.map((page) => page.close()))
