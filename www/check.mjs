// The main job, driven in headless Chromium as a person would do it, and compared with what PostgreSQL itself says.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { Browser } from '../tests/e2e/browser.mjs'

const NUMBER = new Intl.NumberFormat('en')
const TABLES = ['customers', 'products', 'orders', 'order_lines']

/** The rows of a table as both sides must give them: exact numbers as text, times as the wire has them. */
const TRUTH = {
  order_lines: {
    columns: ['id', 'order_id', 'line_no', 'product_id', 'quantity', 'unit_price', 'discount', 'amount', 'updated_at'],
    remote:
      'id, order_id, line_no, product_id, quantity, unit_price, discount, amount, to_json(updated_at) #>> array[]::text[] as updated_at',
  },
  products: {
    columns: ['id', 'sku', 'unit_price', 'unit_cost', 'stock', 'organic', 'allergens'],
    remote:
      'id, sku, unit_price, unit_cost, stock, organic::int as organic, to_json(allergens) #>> array[]::text[] as allergens',
  },
}

/** Runs every step, prints a line for each → the exit code. */
export async function check({ remote, url, shots, cleanups, startedIn }) {
  if (shots) mkdirSync(shots, { recursive: true })
  const started = performance.now()
  console.log(`ok    ${startedIn.padStart(6)} s  PostgreSQL, PostgREST and the page are up: ${url}/`)
  const browser = new Browser({ viewport: { width: 1320, height: 860 } })
  cleanups.push(() => browser.dispose())
  const run = new Run({ remote, url, shots, browser })
  try {
    await browser.start()
    for (const step of STEPS) {
      const from = performance.now()
      run.name = step.name
      const said = await step(run)
      console.log(`ok    ${((performance.now() - from) / 1000).toFixed(2).padStart(6)} s  ${said}`)
    }
    assert.deepEqual(run.problems, [], 'the page reported errors')
  } catch (error) {
    console.log(`FAIL           ${run.name}: ${error.message}`)
    if (run.problems.length > 0) console.log(run.problems.join('\n'))
    await run.shot('failed').catch(() => {})
    return 1
  }
  console.log(`${STEPS.length} steps passed, 0 failed, in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  return 0
}

/** The page under test, and what the steps share. */
class Run {
  name = 'start'
  problems = []
  #shots = 0

  constructor(parts) {
    Object.assign(this, parts)
  }

  /** A tab with the app, once it shows its frame. */
  async open() {
    this.page = await this.browser.page()
    this.page.on('pageerror', (error) => this.problems.push(`${this.name}: ${error.stack}`))
    this.page.on('dialog', (dialog) => dialog.accept())
    await this.page.goto(`${this.url}/`)
    await this.ready()
  }

  async ready() {
    await this.page.waitForSelector('.frame, [data-screen]')
    const failed = await this.page.$('[data-screen]')
    if (failed) throw new Error(await failed.textContent())
  }

  async view(name) {
    await this.page.click(`nav a[href="#${name}"]`)
  }

  query(sql, params) {
    return this.page.evaluate(([text, values]) => window.db.query(text, values), [sql, params])
  }

  async count(table) {
    return Number((await this.query(`SELECT count(*) AS n FROM ${table}`))[0].n)
  }

  /** Pulls by the button → the report as the page has it. */
  async pull() {
    await this.view('sync')
    // The page may show the report of the pull before at any time: the one to read has the next number.
    const before = await this.page.evaluate(() => Number(document.body.dataset.pulls ?? 0))
    await this.page.click('button:has-text("Pull now")')
    let busiest = 0
    while (!(await this.page.$(`[data-report][data-pull="${before + 1}"]`))) {
      const bars = await this.page.$$eval('.meter .note', (notes) => notes.map((note) => note.textContent ?? ''))
      busiest = Math.max(busiest, ...bars.map((text) => Number(text.match(/^[\d,]+/)?.[0].replaceAll(',', '') ?? 0)))
      const error = await this.page.$('.toast.error')
      if (error) throw new Error(`the pull failed: ${await error.textContent()}`)
      await this.page.waitForTimeout(50)
    }
    const rows = await this.page.$$eval('[data-report] tr', (lines) =>
      lines.map((line) => [...line.children].map((cell) => cell.textContent)),
    )
    const [columns, ...tables] = rows
    const number = (text) => (/^[\d]+$/.test(text) ? Number(text) : text)
    return {
      busiest,
      tables: tables.map((cells) => Object.fromEntries(cells.map((text, index) => [columns[index], number(text)]))),
    }
  }

  async shot(name) {
    if (!this.shots) return
    await this.page.waitForTimeout(300)
    await this.page.screenshot({ path: path.join(this.shots, `${String(++this.#shots).padStart(2, '0')}-${name}.png`) })
  }
}

const sum = (report, column) => report.tables.reduce((total, table) => total + table[column], 0)

const STEPS = [
  async function opens(run) {
    await run.open()
    const said = await run.page.textContent('.pill.wide')
    return `Opened an empty database: ${said.split('·')[1].trim()}`
  },

  async function migrates(run) {
    await run.view('migrations')
    await run.page.waitForSelector('.badge.applied')
    const states = await run.page.$$eval('tbody .badge', (badges) => badges.map((badge) => badge.textContent))
    assert.deepEqual(states, ['applied', 'applied', 'applied'])
    await run.shot('migrations')
    return `Ran ${states.length} migrations`
  },

  async function pulls(run) {
    const report = await run.pull()
    const expected = await Promise.all(
      TABLES.map(async (table) => Number((await run.remote.sql(`select count(*) as n from ${table}`))[0].n)),
    )
    assert.deepEqual(await Promise.all(TABLES.map((table) => run.count(table))), expected)
    assert.equal(
      sum(report, 'inserted'),
      expected.reduce((a, b) => a + b),
    )
    assert.ok(expected[3] >= 25_000 && report.busiest > 0, 'the progress bar moved')
    await run.shot('pulled')
    return `Pulled ${NUMBER.format(sum(report, 'inserted'))} rows (${NUMBER.format(expected[3])} order lines, past the cap of 1,000) in ${sum(report, 'pages')} pages`
  },

  async function isExact(run) {
    let compared = 0
    for (const [table, { columns, remote }] of Object.entries(TRUTH)) {
      const cast = columns.map((column) => `CAST(${column} AS TEXT) AS ${column}`).join(', ')
      const here = await run.query(`SELECT ${cast} FROM ${table} ORDER BY id`)
      const there = await run.remote.sql(`select ${remote} from ${table} order by id`)
      assert.equal(here.length, there.length)
      for (let i = 0; i < here.length; i++) {
        for (const column of columns) {
          compared++
          if (here[i][column] !== there[i][column])
            assert.fail(`${table}.${column} of ${there[i].id}: ${here[i][column]} isn't ${there[i][column]}`)
        }
      }
    }
    const [beyond] = await run.query('SELECT id, amount FROM order_lines ORDER BY length(amount) DESC LIMIT 1')
    assert.equal(typeof beyond.id, 'bigint')
    assert.equal(beyond.amount, '123456789012345678.123456789012')
    return `${NUMBER.format(compared)} values are exactly PostgreSQL's: ids beyond 2^53, numerics like ${beyond.amount}, microseconds`
  },

  async function changesNothing(run) {
    const fingerprint = () =>
      run.query('SELECT count(*) AS n, sum(length(amount)) AS a, max(updated_at) AS u, total(id) AS i FROM order_lines')
    const before = await fingerprint()
    const report = await run.pull()
    for (const column of ['inserted', 'updated', 'deleted', 'conflicts'])
      assert.equal(sum(report, column), 0, `${column} of the second pull`)
    assert.deepEqual(await fingerprint(), before)
    return 'A second pull changed nothing'
  },

  async function restores(run) {
    await run.view('snapshots')
    await run.page.fill('input[aria-label=Label]', 'before the stocktaking')
    await run.page.click('button:has-text("Take a snapshot")')
    const card = run.page.locator('.snapshot', { hasText: 'before the stocktaking' })
    await card.locator('button:has-text("Verify")').click()
    await card.locator('.note.good').waitFor()
    const rows = await run.count('order_lines')
    await run.page.evaluate(() => window.db.run("DELETE FROM orders WHERE status = 'delivered'"))
    const left = await run.count('order_lines')
    assert.ok(left < rows)
    await run.shot('snapshots')
    await card.locator('button:has-text("Restore")').click()
    await run.page.waitForSelector('.toast:has-text("Back at")')
    assert.equal(await run.count('order_lines'), rows)
    const kinds = await run.page.$$eval('.snapshot .badge', (badges) => badges.map((badge) => badge.textContent))
    assert.ok(kinds.includes('safety'), 'what was there before became a snapshot')
    return `Took and verified a snapshot, deleted ${NUMBER.format(rows - left)} rows, restored all of them`
  },

  async function keepsLocalEdits(run) {
    const [mine, other] = (await run.query('SELECT id FROM customers ORDER BY id LIMIT 2 OFFSET 2')).map((row) =>
      String(row.id),
    )
    await run.view('table/customers')
    await run.page.dblclick('tbody tr:nth-child(3) td[data-column=contact]')
    await run.page.keyboard.type('Zoë Ångström')
    await run.page.keyboard.press('Enter')
    await run.page.waitForSelector('tr.pending')
    await run.page.evaluate(() => window.db.run('INSERT INTO tasks (title) VALUES (?)', ['Only here']))
    await run.remote.sql('update customers set contact = $1 where id = any($2)', [
      'Changed by the office',
      [mine, other],
    ])
    await run.shot('pending')
    const report = await run.pull()
    const contacts = await run.query('SELECT contact FROM customers ORDER BY id LIMIT 2 OFFSET 2')
    assert.deepEqual(
      contacts.map((row) => row.contact),
      ['Zoë Ångström', 'Changed by the office'],
    )
    const customers = report.tables.find((table) => table.table === 'customers')
    assert.equal(customers.keptLocal, 1)
    assert.equal(await run.count("tasks WHERE title = 'Only here'"), 1)
    await run.shot('kept')
    return 'Kept a local edit that the office had changed too, took the office’s other change, left a local table alone'
  },

  async function survivesReload(run) {
    const before = await Promise.all(TABLES.map((table) => run.count(table)))
    await run.page.reload()
    await run.ready()
    assert.deepEqual(await Promise.all(TABLES.map((table) => run.count(table))), before)
    assert.equal(await run.count("customers WHERE contact = 'Zoë Ångström'"), 1)
    assert.equal((await run.page.evaluate(() => window.db.sync.pending())).length, 1)
    return `A reload keeps everything, the unsent edit too: ${(await run.page.textContent('.pill.wide')).split('·')[1].trim()}`
  },

  async function survivesKill(run) {
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
  },

  async function refusesSecondTab(run) {
    const first = run.page
    const second = await run.browser.page(`${run.url}/`)
    await second.waitForSelector('[data-screen=busy]')
    assert.equal(await second.textContent('h1'), 'Database already in use')
    const facts = await second.textContent('.facts')
    for (const expected of ['Fennel & Rye', run.url, 'database_in_use'])
      assert.ok(facts.includes(expected), `${expected} in ${facts}`)
    run.page = second
    await run.shot('second-tab')
    await second.click('button:has-text("Wait for it")')
    await first.close()
    await second.waitForSelector('.frame')
    assert.equal(await run.count("customers WHERE contact = 'Zoë Ångström'"), 1)
    return '“Database already in use” in a second tab, with the holder’s title, address and time; it got in when the first one closed'
  },

  async function isHealthy(run) {
    await run.view('health')
    const health = JSON.parse(await run.page.locator('pre.json', { hasText: '"status"' }).textContent())
    assert.equal(health.status, 'ok', JSON.stringify(health.alerts))
    assert.equal(health.lock.state, 'held')
    assert.deepEqual([health.migrations.pending, health.migrations.modified], [0, 0])
    assert.equal(health.sync.pending, 1)
    await run.shot('health')
    if (run.shots) await portraits(run)
    return `Health is ok: epoch ${health.lock.epoch}, ${NUMBER.format(health.storage.bytes)} bytes stored, ${health.snapshot.count} snapshots, 1 edit waits to be sent`
  },
]

/** The other faces of the page: SQL, its errors, the dark one, and the one on a phone. */
async function portraits(run) {
  const { page } = run
  await run.view('sql')
  await page.click('button:has-text("Revenue by month")')
  await page.waitForSelector('.outcome table')
  await run.shot('sql')
  await page.click('button:has-text("A mistake")')
  await page.waitForSelector('.problem')
  await run.shot('sql-error')
  await run.view('lock')
  await run.shot('lock')
  await page.emulateMedia({ colorScheme: 'dark' })
  await run.view('table/orders')
  await run.shot('dark')
  await page.setViewportSize({ width: 420, height: 860 })
  await run.shot('phone')
}
