// Running a piece of a test inside a page, on a database of its own.
import { freshName } from './harness.mjs'

/** Runs `work(name)` in a fresh tab, with a name that no other database has; with an argument `work([name, argument])`. */
export async function onFreshName(context, work, argument) {
  const page = await context.page()
  try {
    return await page.evaluate(work, argument === undefined ? freshName() : [freshName(), argument])
  } finally {
    await page.close()
  }
}

/** Runs `work(db, argument)` in a fresh tab on a fresh database, in memory unless the options say otherwise. */
export async function inPage(context, work, { options = {}, argument } = {}) {
  const page = await context.page()
  try {
    return await page.evaluate(
      async ([source, given, value]) => {
        const db = await window.open({ storage: 'memory', ...given })
        try {
          return await new Function(`return (${source})`)()(db, value)
        } finally {
          await db.close()
        }
      },
      [work.toString(), { name: freshName(), ...options }, argument],
    )
  } finally {
    await page.close()
  }
}
