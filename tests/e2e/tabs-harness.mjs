// Tabs that share a database.
import { freshName } from './harness.mjs'

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

/** What each of these tabs is at present. */
export const roles = (pages) => Promise.all(pages.map((page) => page.evaluate(() => window.db.role)))

export const close = (pages) => Promise.all(pages.map((page) => page.close()))
