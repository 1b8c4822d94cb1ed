// The pull: past the cap on rows, exact, idempotent, and careful with local edits.
import assert from 'node:assert/strict'
import { count, sum, TABLES } from './run.mjs'

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

export async function pulls(run) {
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
  const notes = await run.page.$$eval('.meter .note', (all) => all.map((note) => note.textContent))
  for (const [n, note] of notes.entries())
    assert.ok(note.startsWith(`${count(expected[n])} `), `the meter of ${TABLES[n]} says “${note}”`)
  await run.shot('pulled')
  return `Pulled ${count(sum(report, 'inserted'))} rows (${count(expected[3])} order lines, past the cap of 1,000) in ${sum(report, 'pages')} pages`
}

export async function isExact(run) {
  let compared = 0
  for (const [table, { columns, remote }] of Object.entries(TRUTH)) {
    const cast = columns.map((column) => `CAST(${column} AS TEXT) AS ${column}`).join(', ')
    const here = await run.texts(`SELECT ${cast} FROM ${table} ORDER BY ${table}.id`)
    const there = await run.remote.sql(`select ${remote} from ${table} order by ${table}.id`)
    assert.equal(here.length, there.length)
    for (let i = 0; i < here.length; i++) {
      for (const column of columns) {
        compared++
        if (here[i][column] !== there[i][column])
          assert.fail(`${table}.${column} of ${there[i].id}: ${here[i][column]} isn't ${there[i][column]}`)
      }
    }
  }
  const [beyond] = await run.query('SELECT id, amount FROM order_lines ORDER BY length(amount) DESC, id LIMIT 1')
  assert.equal(typeof beyond.id, 'bigint')
  assert.equal(beyond.amount, '123456789012345678.123456789012')
  return `${count(compared)} values are exactly PostgreSQL's: ids beyond 2^53, numerics like ${beyond.amount}, microseconds`
}

export async function addsUpExactly(run) {
  await run.view('sql')
  const statements = run.page.locator('select[aria-label=Statements]')
  const best = await statements.locator('option', { hasText: 'Best customers' }).getAttribute('value')
  await statements.selectOption(best)
  await run.page.waitForSelector('.cm-content:has-text("Best customers")')
  await run.page.click('.bar button.primary')
  await run.page.waitForSelector('.outcome table')
  const shown = await run.grid('.outcome')
  const expected = await run.remote.sql(
    `select c.name, c.city, count(*) as orders, sum(o.total)::text as revenue
     from orders o join customers c on c.id = o.customer_id where o.status <> 'cancelled'
     group by c.id order by sum(o.total) desc limit 20`,
  )
  assert.deepEqual(
    shown,
    expected.map((row) => ({ ...row, orders: Number(row.orders) })),
  )
  await run.shot('best-customers')
  return `The best customers' revenues add up to the digit: ${shown[0].revenue} for ${shown[0].name}`
}

export async function changesNothing(run) {
  const fingerprint = () =>
    run.query('SELECT count(*) AS n, sum(length(amount)) AS a, max(updated_at) AS u, total(id) AS i FROM order_lines')
  const before = await fingerprint()
  const report = await run.pull()
  for (const column of ['inserted', 'updated', 'deleted', 'conflicts'])
    assert.equal(sum(report, column), 0, `${column} of the second pull`)
  assert.deepEqual(await fingerprint(), before)
  return 'A second pull changed nothing'
}

export async function keepsLocalEdits(run) {
  const mine = await run.edit('customers', 3, 'contact', run.contact)
  const other = await run.key('customers', 4)
  const theirs = `Changed by the office (${run.thread})`
  await run.page.evaluate(() => window.db.run('INSERT INTO tasks (title) VALUES (?)', ['Only here']))
  await run.remote.sql('update customers set contact = $1 where id = any($2)', [theirs, [mine, other]])
  await run.shot('pending')
  const report = await run.pull()
  const contacts = await run.query('SELECT contact FROM customers ORDER BY id LIMIT 2 OFFSET 2')
  assert.deepEqual(
    contacts.map((row) => row.contact),
    [run.contact, theirs],
  )
  const customers = report.tables.find((table) => table.table === 'customers')
  assert.equal(customers.keptLocal, 1)
  assert.equal(await run.count("tasks WHERE title = 'Only here'"), 1)
  await run.shot('kept')
  return 'Kept a local edit that the office had changed too, took the office’s other change, left a local table alone'
}
