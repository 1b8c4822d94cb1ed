// What needs no network: opening, migrations, snapshots, reloads, kills, health.
import assert from 'node:assert/strict'
import { count, TABLES } from './run.mjs'

export async function opens(run) {
  await run.open()
  assert.equal(run.page.workers().length, run.thread === 'worker' ? 1 : 0, 'workers of the page')
  const said = await run.page.textContent('.pill.wide')
  return `Opened an empty database ${run.thread === 'worker' ? 'in a worker' : 'in the page'}: ${said.split('·')[1].trim()}`
}

export async function migrates(run) {
  await run.view('migrations')
  await run.page.waitForSelector('.badge.applied')
  const states = await run.page.$$eval('tbody .badge', (badges) => badges.map((badge) => badge.textContent))
  assert.deepEqual(states, ['applied', 'applied', 'applied'])
  const revert = run.page.locator('button:has-text("Roll back the last")')
  assert.equal(await revert.isDisabled(), true)
  assert.equal(await revert.getAttribute('title'), '0003 tasks has no down script')
  await run.shot('migrations')
  return `Ran ${states.length} migrations`
}

export async function restores(run) {
  const { page } = run
  await run.view('history')
  await page.fill('input[aria-label=Label]', 'before the stocktaking')
  await page.click('button:has-text("Take a snapshot")')
  const card = page.locator('[data-snapshot]', { hasText: 'before the stocktaking' })
  await card.locator('button:has-text("Verify")').click()
  await card.locator('text=✓ whole and readable').waitFor()
  const rows = await run.count('order_lines')
  await page.evaluate(() => window.db.run("DELETE FROM orders WHERE status = 'delivered'"))
  const left = await run.count('order_lines')
  assert.ok(left < rows)
  // What the newest commit changed, then the state before it.
  await page.selectOption('select[aria-label="What to show"]', 'commit')
  const changed = page.locator('[data-difference=order_lines] summary', { hasText: `${count(rows - left)} deleted` })
  await changed.waitFor()
  await run.shot('time-travel')
  await page.press('input[type=range]', 'ArrowLeft')
  await page.click('button:has-text("Restore this state")')
  await page.click('dialog button.danger')
  // The deletions weren't sent.
  await page.click('dialog:has-text("unsent changes") button.danger')
  await page.waitForSelector('.message:has-text("Restored the state of")')
  assert.equal(await run.count('order_lines'), rows)
  await page.waitForSelector('[data-snapshot] .badge.safety')
  await run.shot('snapshots')
  return `Took and verified a snapshot, deleted ${count(rows - left)} rows, saw them on the timeline, restored all of them`
}

export async function survivesReload(run) {
  const before = await Promise.all(TABLES.map((table) => run.count(table)))
  await run.page.reload()
  await run.ready()
  assert.deepEqual(await Promise.all(TABLES.map((table) => run.count(table))), before)
  assert.equal(await run.count(`customers WHERE contact = '${run.contact}'`), 1)
  assert.equal((await run.page.evaluate(() => window.db.sync.pending())).length, 1)
  return `A reload keeps everything, the unsent edit too: ${(await run.page.textContent('.pill.wide')).split('·')[1].trim()}`
}

export async function survivesKill(run) {
  let acknowledged = 0
  await run.page.exposeFunction('acknowledged', (number) => {
    acknowledged = Math.max(acknowledged, number)
  })
  // Each transaction writes two rows: a half of one would show.
  run.page
    .evaluate(async () => {
      for (let i = 1; ; i++) {
        await window.db.transaction(async (tx) => {
          await tx.run('INSERT INTO tasks (title) VALUES (?)', [`kill ${i} a`])
          await tx.run('INSERT INTO tasks (title) VALUES (?)', [`kill ${i} b`])
        })
        window.acknowledged(i)
      }
    })
    .catch(() => {}) // the browser dies under it
  const deadline = Date.now() + 30_000
  while (acknowledged < 250 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10))
  assert.ok(acknowledged >= 250, `only ${acknowledged} writes were acknowledged in time`)
  await run.browser.kill()
  const promised = acknowledged
  await run.browser.start()
  await run.open()
  const found = await run.query("SELECT title FROM tasks WHERE title LIKE 'kill %' ORDER BY id")
  const titles = found.map((row) => row.title)
  assert.ok(titles.length >= 2 * promised, `${2 * promised} rows were acknowledged, ${titles.length} are there`)
  assert.deepEqual(
    titles,
    Array.from({ length: titles.length }, (_, i) => `kill ${Math.floor(i / 2) + 1} ${i % 2 ? 'b' : 'a'}`),
  )
  assert.equal(titles.length % 2, 0, 'whole transactions only')
  assert.deepEqual(await run.query('PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
  return `kill -9 of the browser in the middle of writes: ${promised} transactions were acknowledged, ${titles.length / 2} are there, whole`
}

export async function isHealthy(run) {
  await run.view('health')
  const report = run.page.locator('.report pre', { hasText: '"status"' })
  await report.waitFor({ state: 'attached' })
  const health = JSON.parse(await report.textContent())
  assert.equal(health.status, 'ok', JSON.stringify(health.alerts))
  assert.equal(health.lock.state, 'held')
  assert.deepEqual([health.migrations.pending, health.migrations.modified], [0, 0])
  assert.deepEqual([health.sync.pending, health.sync.rejected], [0, 0])
  await run.shot('health')
  if (run.shots) await portraits(run)
  return `Health is ok: epoch ${health.lock.epoch}, ${count(health.storage.bytes)} bytes stored, ${health.snapshot.count} snapshots, nothing left to send`
}

/** The other faces of the page: SQL, its errors, the dark one, and the one on a phone. */
async function portraits(run) {
  const { page } = run
  await run.sql('SELECT status, count(*) AS orders FROM orders GROUP BY status')
  await page.waitForSelector('.outcome table')
  await run.shot('sql')
  await run.sql('SELECT name, FROM customers')
  await page.waitForSelector('.outcome .problem')
  await run.shot('sql-error')
  for (const view of ['schema', 'queries', 'history']) {
    await run.view(view)
    await page.waitForSelector({ schema: '.diagram svg', queries: 'dl', history: 'input[type=range]' }[view])
    await run.shot(view)
  }
  await run.view('lock')
  await run.shot('lock')
  await page.emulateMedia({ colorScheme: 'dark' })
  await run.view('tables/orders')
  await page.waitForSelector('[data-table=orders] tbody tr')
  await run.shot('dark')
  await page.setViewportSize({ width: 420, height: 860 })
  await run.shot('phone')
  await run.view('sync')
  await run.page.locator('[data-conflicts] table').waitFor()
  await run.shot('phone-sync')
  await run.view('lock')
  await run.shot('phone-lock')
}
