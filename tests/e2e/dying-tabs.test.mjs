// Tabs that open one database in the browser's private files, take it from each other, and die.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'
import { pairTables, reopened, rounds } from './killing.mjs'
import { crash } from './tabs-harness.mjs'

const context = suite()
/** Ten in a long run of kills and with TIDELOCK_ALL=1. */
const tabs = process.env.TIDELOCK_KILLS || process.env.TIDELOCK_ALL ? 10 : 5
const opfs = { storage: 'opfs' }

/** What a tab may meet when another one takes its database, or its worker dies. */
const expected = ['lock_lost', 'lock_timeout', 'closed', 'storage_blocked', 'storage_unavailable', 'worker_crashed']

/** Runs in a page, until that dies: opens, writes pairs of rows, each with a number of its own, and closes or loses the lock. */
async function live([name, tab]) {
  const below = (count) => Math.floor(Math.random() * count)
  const ways = ['wait', 'wait', 'takeover', 'steal']
  for (let n = tab * 1_000_000; ; ) {
    let db
    try {
      db = await window.open({ name, storage: 'opfs', lock: { onBusy: ways[below(ways.length)] } })
      for (let left = below(40); left > 0; left--) {
        n++
        await db.transaction(async (tx) => {
          await tx.run('INSERT INTO debit VALUES (?, 0)', [n])
          await tx.run('INSERT INTO credit VALUES (?, 0)', [n])
        })
        window.acknowledged(n)
        if (below(100) === 0) window.workers.at(-1)?.terminate()
      }
      await db.close()
    } catch (error) {
      window.failed(error.code ?? String(error.stack ?? error))
      // A database whose lock is lost, or that can't store its last commits, says so again.
      await db?.close().catch(() => {})
    }
  }
}

/** The ways in which a tab dies: closed, reloaded, or its process killed. */
const deaths = [
  (page) => page.close(),
  (page) => context.load(page),
  async (page) => {
    await crash(page)
    await page.close()
  },
]

test('tabs that open, steal and die at random lose, double and halve no commit', async (t) => {
  const name = freshName()
  await reopened(context, name, (db, tables) => db.exec(tables), pairTables, opfs)
  const acknowledged = new Set()
  const failures = new Map()
  let [made, heard] = [0, () => {}]
  const begin = (page) => {
    // It ends with the page.
    page.evaluate(live, [name, ++made]).catch(() => {})
    return page
  }
  const born = async () => {
    const page = await context.page()
    await page.exposeFunction('acknowledged', (n) => {
      acknowledged.add(n)
      heard()
    })
    await page.exposeFunction('failed', (code) => {
      failures.set(code, (failures.get(code) ?? 0) + 1)
    })
    return begin(page)
  }
  const pages = await Promise.all(Array.from({ length: tabs }, born))
  for (const _ of rounds(1)) {
    // Each of them dies once, after some commits.
    for (let at = 0; at < tabs; at++) {
      const enough = acknowledged.size + Math.floor(Math.random() * 20)
      await new Promise((resolve) => {
        heard = () => acknowledged.size >= enough && resolve()
        heard()
      })
      const die = deaths[Math.floor(Math.random() * deaths.length)]
      await die(pages[at])
      pages[at] = pages[at].isClosed() ? await born() : begin(pages[at])
    }
  }
  await Promise.all(pages.map((page) => page.close()))

  const found = await reopened(
    context,
    name,
    async (db) => ({
      debit: (await db.query('SELECT n FROM debit ORDER BY n')).map(({ n }) => n),
      credit: (await db.query('SELECT n FROM credit ORDER BY n')).map(({ n }) => n),
      integrity: await db.query('PRAGMA integrity_check'),
    }),
    undefined,
    opfs,
  )
  t.diagnostic(
    `${acknowledged.size} acknowledged, ${found.debit.length} found; ${JSON.stringify(Object.fromEntries(failures))}`,
  )
  const there = new Set(found.debit)
  assert.deepEqual(
    [...acknowledged].filter((n) => !there.has(n)),
    [],
  )
  assert.equal(there.size, found.debit.length)
  assert.deepEqual(found.credit, found.debit)
  assert.deepEqual(found.integrity, [{ integrity_check: 'ok' }])
  for (const code of failures.keys()) assert.ok(expected.includes(code), code)
})
