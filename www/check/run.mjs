// The page under test, and what the steps share.
import assert from 'node:assert/strict'
import path from 'node:path'

export const TABLES = ['customers', 'products', 'orders', 'order_lines']

const NUMBER = new Intl.NumberFormat('en')

/** A number as people read it. */
export const count = (value) => NUMBER.format(value)

/** A column of a report, over all tables. */
export const sum = (report, column) => report.tables.reduce((total, table) => total + table[column], 0)

export class Run {
  name = 'start'
  problems = []
  /** The contact that a customer gets here. */
  contact = 'Zoë Ångström'
  #shots = 0

  constructor(parts) {
    Object.assign(this, parts)
  }

  /** The address of the app, on the thread of this run. */
  address(settings = {}) {
    return `${this.url}/?${new URLSearchParams({ thread: this.thread, ...settings })}`
  }

  /** A tab with the app, once it shows its frame: the one that the steps work in from now on. */
  async open(settings) {
    this.page = await this.browser.page()
    this.watch(this.page)
    await this.page.goto(this.address(settings))
    await this.ready()
    return this.page
  }

  /** Notes the errors of a tab; dialogs are agreed to. */
  watch(page) {
    page.on('pageerror', (error) => this.problems.push(`${this.name}: ${error.stack}`))
    page.on('dialog', (dialog) => dialog.accept())
  }

  async ready() {
    await this.page.waitForSelector('.frame, [data-screen]')
    const failed = await this.page.$('[data-screen]')
    if (failed) throw new Error(await failed.textContent())
  }

  async view(name) {
    const link = `nav a[href="#${name}"]`
    await this.page.click(link)
    await this.page.waitForSelector(`${link}[aria-current=page]`)
  }

  /** Runs a statement in the SQL view, by the keyboard. */
  async sql(text) {
    await this.view('sql')
    await this.page.click('.cm-content')
    await this.page.keyboard.press('Control+A')
    await this.page.keyboard.insertText(text)
    await this.page.keyboard.press('Control+Enter')
  }

  query(sql, params) {
    return this.page.evaluate(([text, values]) => window.db.query(text, values), [sql, params])
  }

  /** The rows of a query that gives text only: as JSON, tens of thousands of them take milliseconds instead of seconds. */
  async texts(sql) {
    return JSON.parse(await this.page.evaluate(async (text) => JSON.stringify(await window.db.query(text)), sql))
  }

  async count(table) {
    return Number((await this.query(`SELECT count(*) AS n FROM ${table}`))[0].n)
  }

  /** The key of a table's nth row (from 1) by that key, as text. */
  async key(table, nth) {
    const [{ id }] = await this.query(
      `SELECT CAST(id AS TEXT) AS id FROM ${table} ORDER BY ${table}.id LIMIT 1 OFFSET ?`,
      [nth - 1],
    )
    return id
  }

  /** Edits a cell of a table's nth row as a person does → the row's key. Resolves when the row is shown as not sent yet. */
  async edit(table, nth, column, text) {
    await this.view(`tables/${table}`)
    const row = `[data-table=${table}] tbody tr:nth-child(${nth})`
    const cell = `${row} td[data-column=${column}]`
    await this.page.dblclick(cell)
    await this.page.fill(`${cell} input`, text)
    await this.page.press(`${cell} input`, 'Enter')
    await this.page.waitForSelector(`${row}.pending td[data-column=${column}]:text-is(${JSON.stringify(text)})`)
    return this.key(table, nth)
  }

  /** Pulls by the button → the report as the page has it. */
  pull() {
    return this.#sync('Pull now')
  }

  /** Pushes and pulls by the button → the report as the page has it; `sent`: that of the push. */
  sync() {
    return this.#sync('Sync now')
  }

  async #sync(button) {
    const { page } = this
    await this.view('sync')
    // The page may show the report of the pull before at any time: the one to read has the next number.
    const before = await page.evaluate(() => Number(document.body.dataset.pulls ?? 0))
    await page.click(`button:has-text("${button}")`)
    let busiest = 0
    while (!(await page.$(`[data-report][data-pull="${before + 1}"]`))) {
      const bars = await page.$$eval('.meter .note', (notes) => notes.map((note) => note.textContent ?? ''))
      busiest = Math.max(busiest, ...bars.map((text) => Number(text.match(/^[\d,]+/)?.[0].replaceAll(',', '') ?? 0)))
      const error = await page.$('.toast.error')
      if (error) throw new Error(`${button} failed: ${await error.textContent()}`)
      await page.waitForTimeout(50)
    }
    return { busiest, tables: await this.grid('[data-report]'), sent: { tables: await this.grid('[data-sent]') } }
  }

  /** The rows of a grid that the page shows. */
  async grid(selector) {
    const [columns = [], ...rows] = await this.page.$$eval(`${selector} tr`, (lines) =>
      lines.map((line) => [...line.children].map((cell) => cell.textContent)),
    )
    const value = (text) => (/^\d{1,15}$/.test(text) ? Number(text) : text)
    return rows.map((cells) => Object.fromEntries(cells.map((text, index) => [columns[index], value(text)])))
  }

  /** Compares rows of a table, by key, in the page and in PostgreSQL, column by column as text → those of PostgreSQL. */
  async sameOnBothSides(table, ids, columns) {
    const here = await this.query(
      `SELECT ${columns.map((column) => `CAST(${column} AS TEXT) AS ${column}`).join(', ')} FROM ${table}
       WHERE id IN (SELECT CAST(value AS INTEGER) FROM json_each(?)) ORDER BY ${table}.id`,
      [JSON.stringify(ids)],
    )
    const there = await this.remote.sql(
      `select ${columns.map((column) => `${REMOTE_TEXT[column] ?? `${column}::text`} as ${column}`).join(', ')} from ${table}
       where id = any($1) order by ${table}.id`,
      [ids],
    )
    assert.deepEqual(here, there, `${table} on both sides`)
    return there
  }

  async shot(name) {
    if (!this.shots) return
    const number = String(++this.#shots).padStart(2, '0')
    await this.page.screenshot({
      path: path.join(this.shots, `${this.thread}-${number}-${name}.png`),
      animations: 'disabled',
    })
  }
}

/** Columns whose text PostgreSQL prints otherwise than it writes them to JSON. */
const REMOTE_TEXT = {
  active: 'active::int::text',
  organic: 'organic::int::text',
  allergens: 'to_json(allergens)::text',
  updated_at: 'to_json(updated_at) #>> array[]::text[]',
  placed_at: 'to_json(placed_at) #>> array[]::text[]',
}
