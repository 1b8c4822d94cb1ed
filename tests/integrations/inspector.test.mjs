// The inspector in Chromium, over the built package: what each view does, by mouse and keyboard, under a strict policy with Trusted Types.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { until } from '../scenarios/run/context.mjs'
import { startPages } from './inspector/pages.mjs'

let pages
before(async () => {
  pages = await startPages()
})
after(() => pages?.close())

/** Runs `work` in a page with an inspector, and checks its errors and its policy. */
const inPage = (options, work, settings) => async () => {
  const opened = await pages.open(options, settings)
  try {
    await work(opened)
    await opened.check()
  } finally {
    await opened.page.close()
  }
}

const texts = (page, selector) => page.$$eval(selector, (found) => found.map((one) => one.textContent))
const column = (page, name) => texts(page, `td[data-column="${name}"]`)

test(
  'tables: listed, paged, sorted, filtered',
  inPage({}, async ({ page }) => {
    await page.waitForSelector('[data-table=customers] tbody tr')
    assert.deepEqual(await texts(page, '.list .item'), [
      'customers',
      'open_ordersview',
      'order_lines',
      'orders',
      'schema_migrations',
    ])
    await page.click('.list .item:has(span:text-is("orders"))')
    await page.waitForSelector('[data-table=orders] tbody tr')
    assert.equal(await page.textContent('.footer .summary'), '1–50 of 130 rows')
    await page.click('text=Next →')
    await page.waitForSelector('.summary:has-text("51–100")')
    assert.equal((await column(page, 'id'))[0], '51')
    await page.click('th button:has-text("id")')
    await page.waitForSelector('th[aria-sort=ascending]')
    await page.click('th button:has-text("id")')
    await page.waitForSelector('th[aria-sort=descending]')
    assert.equal((await column(page, 'id'))[0], '130')
    await page.selectOption('select[aria-label="Column to filter"]', 'status')
    await page.fill('input[type=search]', 'PAI')
    await page.waitForSelector('.summary:has-text("of 43 rows")')
    assert.ok((await column(page, 'status')).every((status) => status === 'paid'))
    await page.fill('input[type=search]', 'no such')
    await page.waitForSelector('text=No row matches the filter.')
    await page.check('text=internal tables')
    await page.waitForSelector('.list .item:has-text("tidelock_outbox")')
  }),
)

test(
  'tables: NULL, BLOB, long and exact values are shown, and in full in a dialog',
  inPage({}, async ({ page }) => {
    await page.waitForSelector('[data-table=customers] tbody tr')
    const row = page.locator('tr', { hasText: 'Customer 2' }).filter({ hasText: 'A long text' })
    assert.equal(await row.locator('td[data-column=logo]').textContent(), '0001020304050607… (300 B)')
    assert.ok((await row.locator('td[data-column=notes]').textContent()).length <= 201)
    assert.equal(await page.locator('td.null').first().textContent(), 'NULL')
    await row.locator('td[data-column=logo]').press('Shift+Enter')
    await page.waitForSelector('dialog')
    assert.match(await page.textContent('dialog'), /BLOB, 300 B/)
    assert.equal(await page.locator('dialog select').inputValue(), 'BLOB')
    await page.keyboard.press('Escape')
    await page.waitForSelector('dialog', { state: 'detached' })
    await page.click('.list .item:has(span:text-is("orders"))')
    await page.waitForSelector('text=9007199254740993')
  }),
)

test(
  'tables: a cell is edited in place, by its rowid or primary key; a refused value shows message and hint',
  inPage({}, async ({ page }) => {
    const cell = (at, name) => `[data-table] tbody tr:nth-child(${at}) td[data-column=${name}]`
    // A table that is shown again between the two clicks gets none of them.
    const edit = (at, name) =>
      until(async () => {
        await page.dblclick(cell(at, name))
        return page.locator(`${cell(at, name)} input`).isVisible()
      })
    await edit(1, 'name')
    await page.fill(`${cell(1, 'name')} input`, 'Renamed')
    await page.keyboard.press('Enter')
    await page.waitForSelector(`tr.pending >> text=Renamed`)
    assert.deepEqual(await page.evaluate(() => globalThis.db.query("SELECT name FROM customers WHERE id = 'c1'")), [
      { name: 'Renamed' },
    ])
    await edit(1, 'credit')
    await page.fill(`${cell(1, 'credit')} input`, '-5')
    await page.keyboard.press('Enter')
    await page.waitForSelector('.problem:has-text("CHECK")')
    assert.match(await page.textContent('.problem'), /sqlite_constraint · SQLITE_CONSTRAINT_CHECK/)
    assert.deepEqual(await page.evaluate(() => globalThis.db.get("SELECT credit FROM customers WHERE id = 'c1'")), {
      credit: 0,
    })
    await edit(2, 'name')
    await page.keyboard.press('Escape')
    assert.equal(await page.locator('td input').count(), 0)
    // WITHOUT ROWID, and NULL by the dialog.
    await page.click('.list .item:has-text("order_lines")')
    await page.waitForSelector('[data-table=order_lines] tbody tr')
    await page.press(cell(3, 'product'), 'F2')
    await page.selectOption('dialog select', 'NULL')
    await page.click('dialog button.primary')
    await page.waitForSelector('dialog', { state: 'detached' })
    await page.waitForSelector(`${cell(3, 'product')}.null`)
    // A view and a row that changed meanwhile.
    await page.evaluate(() =>
      globalThis.db.run("UPDATE order_lines SET product = 'other' WHERE order_id = 1 AND line = 1"),
    )
    await page.waitForSelector('text=other')
    await page.click('.list .item:has-text("open_orders")')
    await page.waitForSelector('[data-table=open_orders] tbody tr')
    await page.press(cell(1, 'status'), 'Enter')
    assert.equal(await page.locator('dialog textarea').count(), 0, 'a view is not edited')
  }),
)

/** Replaces the text of the editor. */
async function type(page, sql) {
  await page.click('.cm-content')
  await page.keyboard.press('Control+A')
  await page.keyboard.insertText(sql)
}

test(
  'SQL: runs, shows columns of equal names, pages, explains, completes, remembers',
  inPage({ view: 'sql' }, async ({ page }) => {
    await page.waitForSelector('.cm-content')
    await type(
      page,
      'SELECT 1 AS a, 2 AS a, 3 AS "2", 4 AS "1", o.id, c.id FROM orders o JOIN customers c ON c.id = o.customer_id -- all',
    )
    await page.keyboard.press('Control+Enter')
    await page.waitForSelector('.summary:has-text("130 rows")')
    assert.deepEqual(await texts(page, '.outcome th'), ['a', 'a', '2', '1', 'id', 'id'])
    assert.deepEqual((await texts(page, '.outcome tbody tr:first-child td')).slice(0, 4), ['1', '2', '3', '4'])
    await page.click('.outcome >> text=Next →')
    await page.waitForSelector('.summary:has-text("101–130")')
    await type(page, 'SELECT * FROM orders WHERE status IN (SELECT status FROM open_orders)')
    await page.click('text=Explain')
    await page.waitForSelector('.plan .plan li')
    assert.ok((await texts(page, '.plan code')).some((step) => step.startsWith('SCAN')))
    await type(page, 'SELECT naame FROM customers')
    await page.click('button.primary:has-text("Run")')
    await page.waitForSelector('.outcome .problem mark')
    assert.equal(await page.textContent('.outcome mark'), 'naame')
    await type(page, "CREATE TABLE made (a); INSERT INTO made VALUES (1), ('x')")
    await page.keyboard.press('Control+Enter')
    await page.waitForSelector('text=The script ran in')
    await type(page, 'INSERT INTO made VALUES (7) RETURNING a, a * 2')
    await page.keyboard.press('Control+Enter')
    await page.waitForSelector('.summary:has-text("1 row in")')
    assert.deepEqual(
      await page.evaluate(() => globalThis.db.get('SELECT count(*) AS n FROM made')),
      { n: 3 },
      'it ran once',
    )
    await type(page, 'SELECT * FROM made WHERE 0')
    await page.keyboard.press('Control+Enter')
    await page.waitForSelector('.outcome .empty')
    await type(page, 'SELECT nam')
    await type(page, 'SELECT cust')
    await page.keyboard.type('o')
    await page.waitForSelector('.cm-tooltip-autocomplete:has-text("customers")')
    await page.keyboard.press('Escape')
    await page.selectOption('select[aria-label=Statements]', { index: 2 })
    assert.match(await page.textContent('.cm-content'), /RETURNING/)
  }),
)

test(
  'schema: a diagram with foreign keys, and every object as text',
  inPage({ view: 'schema' }, async ({ page }) => {
    await page.waitForSelector('.diagram svg')
    assert.equal(await page.locator('.diagram .box').count(), 4)
    assert.deepEqual(await texts(page, '.edge title'), [
      'order_lines.order_id → orders',
      'orders.customer_id → customers',
    ])
    assert.match(await page.getAttribute('.diagram svg', 'aria-label'), /orders to customers/)
    await page.click('summary:has(b:text-is("orders"))')
    assert.ok((await texts(page, 'details[open] pre')).some((sql) => sql.includes('CREATE INDEX orders_customer')))
    await page.evaluate(() =>
      globalThis.db.exec(`CREATE TABLE later (a REFERENCES orders); CREATE TABLE dropped (n);
                          CREATE VIEW broken AS SELECT n FROM dropped; DROP TABLE dropped`),
    )
    await page.waitForSelector('.box title:text-is("later")', { state: 'attached' })
    await page.waitForSelector('summary:has(b:text-is("broken")):has-text("0 columns")')
    await page.click('.box:has-text("later")')
    await page.waitForSelector('[data-table=later]')
  }),
)

test(
  'migrations: pending ones are applied, the last is rolled back after a question',
  inPage(
    {},
    async ({ page }) => {
      await page.waitForSelector('.badge.pending')
      await page.click('text=Apply 1 pending migration')
      await page.waitForSelector('.badge.pending', { state: 'detached' })
      assert.deepEqual(await texts(page, 'td .badge'), ['applied', 'applied'])
      await page.click('text=Roll back the last…')
      await page.click('dialog >> text=Cancel')
      assert.deepEqual(await texts(page, 'td .badge'), ['applied', 'applied'])
      await page.click('text=Roll back the last…')
      await page.click('dialog button.danger')
      await page.waitForSelector('.badge.pending')
    },
    { start: 'withPending' },
  ),
)

/** Moves the slider to a commit, counted from the end: 0 is the newest. */
async function moveTo(page, fromEnd) {
  await page.$eval(
    'input[type=range]',
    (slider, back) => {
      slider.value = String(Number(slider.max) - back)
      slider.dispatchEvent(new Event('input'))
    },
    fromEnd,
  )
}

test(
  'history: the rows of a time, what changed row by row, snapshots, and a restore',
  inPage({ view: 'history', isSynced: false }, async ({ page }) => {
    await page.waitForSelector('input[type=range]')
    await page.evaluate(async () => {
      await globalThis.db.run("INSERT INTO customers (id, name) VALUES ('old', 'Old')")
      await globalThis.db.run("UPDATE customers SET name = 'Later' WHERE id = 'c3'")
      await globalThis.db.run("DELETE FROM customers WHERE id = 'old'")
      await globalThis.db.run("INSERT INTO customers (id, name) VALUES ('new', 'New')")
    })
    const points = () => page.$eval('input[type=range]', (slider) => Number(slider.max))
    await until(
      async () =>
        (await points()) ===
        (await page.evaluate(async () => (await globalThis.db.snapshots.history()).points.length)) - 1,
    )
    // The slider stays where it is moved while the history is read once more.
    await page.evaluate(() => {
      const { snapshots } = globalThis.db
      const { history } = snapshots
      globalThis.held = new Promise((resolve) => {
        snapshots.history = async (...given) => {
          delete snapshots.history
          const read = await history.apply(snapshots, given)
          resolve()
          await new Promise((goOn) => Object.assign(globalThis, { goOn }))
          return read
        }
      })
      return globalThis.db.snapshots.create().then(() => globalThis.held)
    })
    await moveTo(page, 3)
    await page.evaluate(() => globalThis.goOn())
    // The difference of another point may be there until then.
    await page.waitForSelector('[data-difference=customers] summary:has-text("1 added, 1 changed, 1 deleted")')
    assert.match(await page.textContent('tr.changed'), /Customer 3 → Later/)
    await page.selectOption('select[aria-label="What to show"]', 'commit')
    await moveTo(page, 2)
    await page.waitForSelector('[data-difference=customers] summary span:text-is("1 changed")')
    assert.match(await page.textContent('tr.changed'), /Customer 3 → Later/)
    await page.selectOption('select[aria-label="What to show"]', 'rows')
    await page.selectOption('select[aria-label=Table]', 'customers')
    await page.waitForSelector('.outcome td:has-text("Later")')
    assert.equal(await page.locator('.outcome td:text-is("old")').count(), 1)
    await page.selectOption('select[aria-label="What to show"]', 'since')
    await page.click('tr.deleted button:text-is("old")')
    for (const kind of ['deleted', 'added']) await page.waitForSelector(`[data-row="customers old"] tr.${kind}`)
    await page.click('#tab-tables')
    await page.click('td:text-is("new")')
    await page.click('text=History of row')
    await page.waitForSelector('[data-row="customers new"] tr.added td:has-text("New")')
    await page.selectOption('select[aria-label="What to show"]', 'rows')
    await moveTo(page, 2)
    await page.click('text=Restore this state…')
    await page.click('dialog button.danger')
    await page.waitForSelector('.message:has-text("Restored the state of")')
    assert.equal(
      (await page.evaluate(() => globalThis.db.get("SELECT count(*) AS n FROM customers WHERE id IN ('old', 'new')")))
        .n,
      1,
    )
    await page.waitForSelector('[data-snapshot] .badge.safety')
    // The button below stands still from then on: a click that it moves away from is none.
    await page.waitForSelector('.outcome [data-table], .outcome .grid')
    await page.fill('input[aria-label=Label]', 'kept')
    await page.click('text=Take a snapshot')
    const card = page.locator('[data-snapshot]', { hasText: 'kept' })
    await card.locator('text=Verify').click()
    await card.locator('text=✓ whole and readable').waitFor()
    // The list is drawn again before the verification ends.
    await page.evaluate(() => {
      const { snapshots } = globalThis.db
      const verify = snapshots.verify.bind(snapshots)
      snapshots.verify = async (id) => {
        const result = await verify(id)
        const finished = new Promise((resolve) => (globalThis.finishVerification = resolve))
        await snapshots.create({ label: 'meanwhile' })
        await finished
        return result
      }
    })
    const results = page.locator('[data-snapshot] [role=status]', { hasText: 'whole and readable' })
    await page
      .locator('[data-snapshot]', { has: page.locator('.badge.safety') })
      .locator('text=Verify')
      .click()
    await page.locator('[data-snapshot]', { hasText: 'meanwhile' }).waitFor()
    await page.evaluate(() => globalThis.finishVerification())
    await until(async () => (await results.count()) === 2)
    await card.locator('text=Delete…').click()
    await page.click('dialog button.danger')
    await card.waitFor({ state: 'detached' })
  }),
)

test(
  'sync: pull and push, a rejected change, a conflict side by side',
  inPage({ view: 'sync' }, async ({ page }) => {
    await page.waitForSelector('text=No change waits to be sent.')
    await page.evaluate(async () => {
      await globalThis.db.run("UPDATE customers SET name = 'here' WHERE id = 'c1'")
      await globalThis.db.run("UPDATE customers SET name = 'refused' WHERE id = 'c5'")
      globalThis.remote.update('customers', { id: 'c1' }, { name: 'there' })
    })
    await page.waitForSelector('h3:has-text("Outbox: 2 changes to send")')
    await page.click('button:text-is("Push and pull")')
    await page.waitForSelector('[data-rejected=c5]')
    await page.waitForSelector('h3:has-text("The last pull: merge")')
    await page.click('[data-conflict=c1] summary')
    // It stays open when the view is drawn again.
    await page.locator('[data-conflict=c1][open]').evaluate((card) => card.setAttribute('data-seen', ''))
    await page.evaluate(() => globalThis.db.exec('CREATE TABLE unsynced (a)'))
    await page.waitForSelector('[data-conflict=c1]:not([data-seen])[open]')
    assert.deepEqual(await texts(page, '[data-conflict=c1] thead th'), ['column', 'before', 'here', 'remote', 'result'])
    assert.deepEqual((await texts(page, '[data-conflict=c1] tr:has-text("name") td')).slice(1), [
      'Customer 1',
      'here',
      'there',
      'here',
    ])
    await page.click('[data-conflict=c1] >> text=Use the remote’s values…')
    await page.click('dialog button.danger')
    await page.waitForSelector('h3:has-text("Outbox: 1 change to send")')
    await page.click('[data-rejected=c5] >> text=Edit the row')
    await page.waitForSelector('[data-table=customers] .summary:has-text("of 1 row")')
    assert.deepEqual(await column(page, 'id'), ['c5'])
    await page.click('#tab-sync')
    await page.click('[data-rejected=c5] >> text=Discard…')
    await page.click('dialog button.danger')
    await page.waitForSelector('[data-rejected=c5]', { state: 'detached' })
    assert.equal(
      (await page.evaluate(() => globalThis.db.get("SELECT name FROM customers WHERE id = 'c5'"))).name,
      'Customer 5',
    )
    assert.ok((await texts(page, '[aria-label=Steps] td')).includes('pushing'))
    const requests = await texts(page, '[aria-label=Requests] tbody tr')
    assert.ok(
      requests.some((row) => /GET200\/rest\/v1\/customers/.test(row)),
      requests.join('\n'),
    )
    assert.ok(
      requests.some((row) => /PATCH400\/rest\/v1\/customers/.test(row)),
      requests.join('\n'),
    )
  }),
)

test(
  'queries, tabs and health',
  inPage({ view: 'queries' }, async ({ page, view }) => {
    await page.waitForSelector('text=None. db.live(…) makes one.')
    await page.evaluate(async () => {
      globalThis.live = globalThis.db.live('SELECT count(*) AS n FROM orders')
      globalThis.live.subscribe(() => {})
      await globalThis.live.refresh()
      await globalThis.db.run('DELETE FROM orders WHERE id = 130')
    })
    await page.waitForSelector('[aria-label="Live queries"] td:has-text("SELECT count(*) AS n FROM orders")')
    await until(async () => Number((await texts(page, '[aria-label="Live queries"] td'))[3]) >= 3)
    await view('tabs')
    await page.waitForSelector('.badge.held')
    await page.waitForSelector('[aria-label=Locks] td:has-text("tidelock/shop-")')
    await view('health')
    await page.waitForSelector('[data-tile=Status].ok')
    await until(async () => (await page.locator('.chart path.line').first().getAttribute('d')).includes('L'))
    await page.click('text=Maintain')
    await page.waitForSelector('.message:has-text("0 findings")')
  }),
)

test(
  'an empty database, one without a remote, and one that is closed',
  inPage({ isEmpty: true }, async ({ page, view }) => {
    await page.waitForSelector('text=This database has no tables yet.')
    for (const [name, text] of [
      ['schema', 'This database has no tables yet.'],
      ['migrations', 'This database was opened without the option migrations.'],
      ['history', 'No row differs.'],
      ['sync', 'This database has no remote'],
    ]) {
      await view(name)
      await page.waitForSelector(`text=${text}`)
    }
    await page.evaluate(() => globalThis.db.close())
    await page.waitForSelector('text=The database was closed.')
    await view('schema')
    await page.waitForSelector('text=This database is closed.')
    // A promise, as of `open`.
    await page.evaluate(() => {
      document.querySelector('tidelock-inspector').database = Promise.reject(new Error('It was refused'))
    })
    await page.waitForSelector('text=The inspector couldn’t be loaded: It was refused')
    await page.evaluate(() => {
      document.querySelector('tidelock-inspector').database = Promise.resolve(globalThis.db)
    })
    await page.waitForSelector('text=This database is closed.')
  }),
)

test(
  'by keyboard alone: tabs, lists, cells',
  inPage({}, async ({ page }) => {
    await page.waitForSelector('[data-table=customers] tbody tr')
    const active = () =>
      page.evaluate(() => document.querySelector('tidelock-inspector').shadowRoot.activeElement?.textContent)
    await page.keyboard.press('Tab')
    assert.equal(await active(), 'Tables')
    await page.keyboard.press('ArrowRight')
    assert.equal(await active(), 'SQL')
    await page.keyboard.press('End')
    assert.equal(await active(), 'Health')
    await page.keyboard.press('Home')
    await page.waitForSelector('[data-table=customers] tbody tr')
    const isInGrid = () =>
      page.evaluate(() => document.querySelector('tidelock-inspector').shadowRoot.activeElement?.tagName === 'TD')
    for (let n = 0; n < 30 && !(await isInGrid()); n++) await page.keyboard.press('Tab')
    assert.equal(await active(), 'c1')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowRight')
    assert.equal(await active(), 'Customer 10')
    await page.keyboard.press('Enter')
    await page.keyboard.type('By keys')
    await page.keyboard.press('Enter')
    await page.waitForSelector('td:text-is("By keys")')
    await page.keyboard.press('Shift+Tab')
    assert.notEqual(await active(), 'By keys')
  }),
)

for (const [thread, options] of [
  ['a worker', { thread: 'worker' }],
  ['shared tabs', { tabs: 'shared' }],
])
  test(
    `the same in ${thread}`,
    inPage(
      { ...options, isSynced: false },
      async ({ page, view }) => {
        await page.waitForSelector('[data-table=customers] tbody tr')
        await view('sql')
        await page.waitForSelector('.cm-content')
        await type(page, 'SELECT 1 AS a, 2 AS a')
        await page.keyboard.press('Control+Enter')
        await page.waitForSelector('.outcome th')
        assert.deepEqual(await texts(page, '.outcome th'), ['a', 'a'])
        await view('history')
        await page.waitForSelector('input[type=range]')
        await moveTo(page, 1)
        await page.waitForSelector('[data-difference=order_lines]')
      },
      { file: 'worker.html' },
    ),
  )
