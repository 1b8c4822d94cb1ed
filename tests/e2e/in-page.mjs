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
