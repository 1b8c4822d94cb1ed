// A tab without `tabs: 'shared'` steals the database from tabs that share it, in the midst of their writes, and closes it: each write that
// was acknowledged is there once, and of the others what their errors say.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'
import { close, opened } from './tabs-harness.mjs'

const context = suite()

/** Writes in a tab until it is asked to stop; returns what each error said of its row. */
const write = (page, tab) =>
  page.evaluate(async (tab) => {
    Object.assign(window, { acknowledged: [], failed: [], stop: false })
    for (let n = 1; !window.stop; n++) {
      const id = tab * 1e6 + n
      await window.db.run('INSERT INTO t VALUES (?)', [id]).then(
        () => window.acknowledged.push(id),
        ({ code, details }) => window.failed.push({ id, code, applied: details.applied }),
      )
    }
    return { acknowledged: window.acknowledged, failed: window.failed }
  }, tab)

/** How often the tab steals, and how many writes of each other tab are acknowledged before that. */
const STEALS = process.env.TIDELOCK_ALL ? 5 : 3
const WRITES = 5

const because = 'each thread loses its storage in its own way'

/** By storage: the threads of the engine. A usual run has each storage and each thread once, with TIDELOCK_ALL=1 all pairs of them. */
const threads = process.env.TIDELOCK_ALL
  ? { indexeddb: ['current', 'worker'], opfs: ['current', 'worker'] }
  : { indexeddb: ['current'], opfs: ['worker'] }

for (const [storage, only] of Object.entries(threads).flatMap(([storage, all]) => all.map((one) => [storage, one])))
  test(`writes of shared tabs happen once while another tab steals their database (${storage})`, {
    only,
    because,
  }, async () => {
    const name = freshName()
    const pages = await opened(context, 3, { name, storage })
    await pages[0].evaluate(() => window.db.exec('CREATE TABLE t (id INTEGER)'))
    const written = pages.map((page, tab) => write(page, tab + 1))
    const thief = await context.page()
    for (let times = 0; times < STEALS; times++) {
      const before = await Promise.all(pages.map((page) => page.evaluate(() => window.acknowledged.length)))
      await Promise.all(
        pages.map((page, tab) =>
          page.evaluate((most) => window.until(() => window.acknowledged.length > most), before[tab] + WRITES),
        ),
      )
      await thief.evaluate(
        async (options) => {
          const db = await window.open({ ...options, lock: { onBusy: 'steal' } })
          await db.run('INSERT INTO t VALUES (-1)')
          await db.close()
        },
        { name, storage },
      )
    }
    for (const page of pages) await page.evaluate(() => (window.stop = true))
    const results = await Promise.all(written)
    const rows = await pages[0].evaluate(() => window.db.query('SELECT id, count(*) n FROM t GROUP BY id'))
    const times = new Map(rows.map(({ id, n }) => [id, n]))
    assert.equal(times.get(-1), STEALS)
    for (const { acknowledged, failed } of results) {
      assert.ok(acknowledged.length > STEALS * WRITES)
      assert.deepEqual(
        acknowledged.filter((id) => times.get(id) !== 1),
        [],
      )
      for (const { id, code, applied } of failed) {
        const said = JSON.stringify({ id, code, applied, times: times.get(id) })
        assert.equal(code, 'leader_changed', said)
        assert.ok(applied === null && (times.get(id) ?? 0) <= 1, said)
      }
    }
    await thief.close()
    await close(pages)
  })
