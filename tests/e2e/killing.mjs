// Ending a browser in the middle of work, and looking at what is left.
import assert from 'node:assert/strict'

/** Opens the database in a fresh tab, with these options, and gives what `work(db, argument)` returns. */
export async function reopened(context, name, work, argument, options = {}) {
  const page = await context.page()
  try {
    return await page.evaluate(
      async ([source, options, value]) => {
        const db = await window.open(options)
        try {
          return await new Function(`return (${source})`)()(db, value)
        } catch (error) {
          // Whether the browser itself lost everything is the first thing to know.
          const { lock } = await db.health()
          error.message += ` (epoch ${lock.epoch}; made anew: ${JSON.stringify(window.madeAnew)})`
          throw error
        } finally {
          await db.close()
        }
      },
      [work.toString(), { name, ...options }, argument],
    )
  } finally {
    await page.close()
  }
}

/** The numbers of the rounds with a kill: as many as usual, as with TIDELOCK_ALL=1, or as `./build.sh simulate kills` wants. */
export function rounds(usual, all = usual) {
  const { TIDELOCK_ALL, TIDELOCK_KILLS } = process.env
  return Array.from({ length: Number(TIDELOCK_KILLS ?? (TIDELOCK_ALL ? all : usual)) }, (_, index) => index + 1)
}

/** The tables of pairs: a transaction writes one row into each. */
export const pairTables =
  'CREATE TABLE IF NOT EXISTS debit (n INTEGER, round INTEGER); CREATE TABLE IF NOT EXISTS credit (n INTEGER, round INTEGER)'

/** Checks that the pairs of a round that were promised are there, and nothing but whole ones, without a gap. */
export async function wholePairs(context, name, round, promised, options) {
  const found = await reopened(
    context,
    name,
    async (db, given) => ({
      debit: (await db.query('SELECT n FROM debit WHERE round = ? ORDER BY n', [given])).map((row) => row.n),
      credit: (await db.query('SELECT n FROM credit WHERE round = ? ORDER BY n', [given])).map((row) => row.n),
      integrity: await db.query('PRAGMA integrity_check'),
    }),
    round,
    options,
  )
  assert.ok(found.debit.length >= promised, `${promised} were promised, ${found.debit.length} are there`)
  assert.deepEqual(
    found.debit,
    Array.from({ length: found.debit.length }, (_, i) => i + 1),
  )
  assert.deepEqual(found.credit, found.debit)
  assert.deepEqual(found.integrity, [{ integrity_check: 'ok' }])
}

/**
 * Starts `write(db, acknowledged)` in a tab, kills the browser once `enough` writes were acknowledged, and starts it again
 * → how many were acknowledged `settleMs` before.
 */
export async function killDuring(context, name, options, setup, write, enough, settleMs = 0) {
  const page = await context.page()
  let acknowledged = 0
  const heard = []
  await page.exposeFunction('acknowledged', (count) => {
    acknowledged = Math.max(acknowledged, count)
    heard.push([acknowledged, Date.now()])
  })
  const failed = page
    .evaluate(
      async ([before, during, given]) => {
        const db = await window.open(given)
        await db.exec(before)
        await new Function(`return (${during})`)()(db, window.acknowledged)
      },
      [setup, write.toString(), { name, ...options }],
    )
    .then(
      () => new Error('the writes ended by themselves'),
      (error) => error,
    )
  const deadline = Date.now() + 60_000
  const safe = () => heard.findLast(([, at]) => at <= Date.now() - settleMs)?.[0] ?? 0
  while (acknowledged < enough || safe() === 0) {
    const early = await Promise.race([failed, new Promise((resolve) => setTimeout(resolve, 5))])
    if (early) throw early
    assert.ok(Date.now() < deadline, `only ${acknowledged} of ${enough} writes in time`)
  }
  const early = settleMs > 0 ? safe() : 0
  await context.browser.kill()
  const promised = settleMs > 0 ? early : acknowledged
  await failed
  await context.browser.start()
  return promised
}
