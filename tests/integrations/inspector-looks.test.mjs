// Each view of the inspector at two widths, light and dark: with rows, empty, while it loads, after failures, and with very long contents.
// Nothing serious by axe, no page that scrolls sideways. The screenshots are in .cache/inspector.
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { screenshots, startPages } from './inspector/pages.mjs'

const VIEWS = ['tables', 'sql', 'schema', 'migrations', 'history', 'sync', 'queries', 'tabs', 'health']

/** What shows that a view with data is drawn. */
const withData = {
  tables: '[data-table=customers] tbody tr',
  sql: '.outcome th',
  schema: '.diagram svg',
  migrations: 'td .badge',
  history: '[data-difference]',
  sync: '[data-rejected]',
  queries: '[aria-label="Live queries"]',
  tabs: '.badge.held',
  health: '[data-tile=Status]',
}

/** The states: how the page opens the database, what happens before, and what shows that a view is drawn. */
const STATES = {
  full: { prepare: fillViews, drawn: withData },
  empty: {
    given: { isEmpty: true, storage: 'memory' },
    drawn: { sql: '.cm-content', tabs: 'dl', health: '[data-tile=Status]' },
    otherwise: '.empty:not(:has(.late))',
  },
  loading: {
    start: 'withBusy',
    drawn: { sql: '.cm-content', tabs: 'dl', queries: 'dl', health: '[data-tile=Status]' },
    otherwise: '.empty',
  },
  closed: { start: 'withClosed', drawn: {}, otherwise: '.empty:text("is closed")' },
  refused: {
    start: 'withRefusals',
    drawn: { sql: '.outcome .problem', sync: '.flaw', health: '[data-tile=Status]' },
    otherwise: '.body > *',
  },
  long: {
    start: 'withLong',
    drawn: { ...withData, tables: '[data-table^=measurements] tbody tr' },
  },
}
let pages
before(async () => {
  pages = await startPages()
  rmSync(screenshots, { recursive: true, force: true })
  mkdirSync(screenshots, { recursive: true })
})
after(() => pages?.close())

/** What gives the views something to show. */
async function fillViews({ page }) {
  await page.evaluate(async () => {
    const { db, remote } = globalThis
    await db.snapshots.create({ label: 'before the sale' })
    await db.run("UPDATE customers SET name = 'here' WHERE id = 'c1'")
    await db.run("UPDATE customers SET name = 'refused' WHERE id = 'c5'")
    remote.update('customers', { id: 'c1' }, { name: 'there' })
    await db.sync.run()
    await db.run("UPDATE customers SET name = 'Not sent yet' WHERE id = 'c7'")
    globalThis.live = db.live("SELECT * FROM orders WHERE status = 'open' ORDER BY total LIMIT 10")
    globalThis.live.subscribe(() => {})
  })
}

/** What the SQL view runs in a state. */
const SQL = {
  full: "SELECT c.name, count(*) AS orders, sum(o.total) AS total, 'text' AS a\nFROM orders o JOIN customers c ON c.id = o.customer_id -- all\nGROUP BY c.id\nORDER BY total DESC",
  closed: 'SELECT 1',
  refused: 'SELECT * FROM orders\nWHERE statu = 1',
  long: 'SELECT m.*, m.note AS again FROM measurements_of_all_sensors_in_all_buildings_by_the_hour_and_the_day m',
}

/** What a user does in a view before the screenshot. */
const STEPS = {
  async sql(page, state) {
    if (state === 'closed') return
    await page.waitForSelector('.cm-content')
    if (SQL[state] === undefined) return
    await page.click('.cm-content')
    await page.keyboard.insertText(SQL[state])
    await page.keyboard.press('Control+Enter')
  },
  async history(page, state) {
    if (state !== 'full' && state !== 'long') return
    await page.waitForSelector('input[type=range]')
    await page.press('input[type=range]', 'ArrowLeft')
    await page.press('input[type=range]', 'ArrowLeft')
  },
}

/**
 * Views with rows are drawn wide and light. All other states are drawn narrow and dark, each in half of the views: those that the state before
 * it leaves out. With TIDELOCK_ALL=1, all in all ways.
 */
const isUsual = (state, width, colorScheme) =>
  state === 'full' ? width === 1280 && colorScheme === 'light' : width === 360 && colorScheme === 'dark'
const viewsOf = (state) => {
  const place = Object.keys(STATES).indexOf(state)
  return VIEWS.filter((_, at) => process.env.TIDELOCK_ALL || state === 'full' || (place + at) % 2 === 0)
}

for (const width of [1280, 360])
  for (const colorScheme of ['light', 'dark'])
    for (const [state, { given = {}, start = 'start', prepare, drawn, otherwise }] of Object.entries(STATES)) {
      if (!process.env.TIDELOCK_ALL && !isUsual(state, width, colorScheme)) continue
      test(`${state} at ${width} px, ${colorScheme}`, async () => {
        const media = { colorScheme, viewport: { width, height: 800 } }
        const opened = await pages.open(given, { start, ...media })
        const { page, view } = opened
        await prepare?.(opened)
        for (const name of viewsOf(state)) {
          await view(name)
          await STEPS[name]?.(page, state)
          await page.waitForSelector(drawn[name] ?? otherwise)
          if (name === 'sync' && drawn.sync === '[data-rejected]') await page.click('[data-conflict] summary')
          await looksRight(opened, `${state}-${name}-${width}-${colorScheme}`)
        }
        if (drawn.history !== undefined) {
          await view('tables')
          await page.click(`${drawn.tables} td`)
          await page.click('text=History of row')
          await page.waitForSelector('[data-row]:not([aria-busy])', { timeout: 60_000 })
          await looksRight(opened, `${state}-row-${width}-${colorScheme}`)
        }
        await opened.check()
        await page.close()
      })
    }

test('the picture of the documents; UPDATE_GOLDEN=1 writes it', async () => {
  const { page, view } = await pages.open({}, { viewport: { width: 960, height: 600 } })
  await page.evaluate(async () => {
    const { db } = globalThis
    const names = ['Ada Lovelace', 'Grace Hopper', 'Edsger Dijkstra', 'Barbara Liskov']
    await db.runMany(
      'UPDATE customers SET name = ? WHERE id = ?',
      names.map((name, at) => [name, `c${at + 1}`]),
    )
    await db.snapshots.create({ label: 'before the sale' })
    await db.run("UPDATE customers SET name = 'Grace M. Hopper', credit = 120 WHERE id = 'c2'")
    await db.run("INSERT INTO orders (id, customer_id, status, total) VALUES (131, 'c2', 'open', '49.90')")
    await db.run("UPDATE orders SET status = 'paid' WHERE id IN (4, 7)")
    await db.run('DELETE FROM orders WHERE id = 99')
    await db.snapshots.create({ label: 'after the sale' })
  })
  await view('history')
  await page.waitForSelector('input[type=range]')
  for (let n = 0; n < 4; n++) await page.press('input[type=range]', 'ArrowLeft')
  await page.waitForSelector('[data-difference=orders]')
  await page.waitForSelector('[data-difference=customers]')
  await page.evaluate(() => document.querySelector('tidelock-inspector').shadowRoot.activeElement?.blur())
  const file = path.join(screenshots, 'picture.png')
  await page.screenshot({ path: file, animations: 'disabled' })
  if (process.env.UPDATE_GOLDEN) copyFileSync(file, path.join(import.meta.dirname, '../../docs/inspector.png'))
  await page.close()
})

/** Takes screenshots: of the window, and of the whole view if that is longer. */
async function looksRight(opened, name) {
  const { page } = opened
  const { scrollWidth, innerWidth, height, tallest } = await page.evaluate(() => {
    const body = document.querySelector('tidelock-inspector').shadowRoot.querySelector('.body')
    return {
      tallest: Math.max(0, ...Array.from(body.querySelectorAll('tr'), (row) => row.clientHeight)),
      scrollWidth: Math.max(document.documentElement.scrollWidth, body.scrollWidth),
      innerWidth,
      height: innerHeight - body.clientHeight + body.scrollHeight,
    }
  })
  assert.ok(scrollWidth <= innerWidth, `${name} is ${scrollWidth} px wide`)
  // A narrow column wraps a long text letter by letter.
  assert.ok(tallest <= 400, `${name} has a row of ${tallest} px`)
  assert.deepEqual(await opened.flaws(), [], name)
  await page.setViewportSize({ width: innerWidth, height: Math.min(Math.max(800, height), 3000) })
  await page.screenshot({ path: path.join(screenshots, `${name}.png`), animations: 'disabled' })
  await page.setViewportSize({ width: innerWidth, height: 800 })
}
