// The push: what was changed here arrives in PostgreSQL to the last digit, and what both sides changed is decided by the table's rule.
import assert from 'node:assert/strict'
import { sum } from './run.mjs'

/** The columns that the edits below touch, by table. */
const TOUCHED = {
  customers: ['id', 'contact', 'credit_limit', 'active', 'updated_at'],
  products: ['id', 'unit_price', 'stock', 'updated_at'],
  orders: ['id', 'customer_id', 'number', 'status', 'placed_at', 'total', 'note', 'updated_at'],
  order_lines: ['id', 'order_id', 'product_id', 'quantity', 'unit_price', 'discount', 'amount', 'updated_at'],
}

const AMOUNT = '123456789012345678.000000000001'
const PREFERENCES = '{"language": "pt", "note": "“ünï” \\" \\\\ 🔔", "exact": 9007199254740993.10}'

export async function pushes(run) {
  const n = 1
  const note = `Ramp ${n} — “twice” 🔔, 'then' \\ wait`
  const [contact, customer] = [await run.key('customers', 3), await run.key('customers', 30 + n)]
  const product = await run.edit('products', n, 'unit_price', `1234567${n}.0100`)
  const order = await run.edit('orders', n, 'note', note)
  const [gone, added] = [await run.key('order_lines', 50 + n), `900720000000000${n}`]
  // A link that is pressed while the numbers beside it change is followed all the same.
  await run.page.hover('nav a[href="#tables/customers"]')
  await run.page.mouse.down()
  await run.page.evaluate(
    async ([ids, amount, preferences]) => {
      const { db } = window
      const [added, customer, product, gone] = ids.map(BigInt)
      await db.transaction(async (tx) => {
        const at = '2026-11-20T08:30:00.123456+00:00'
        await tx.run(
          "INSERT INTO orders (id, customer_id, number, status, placed_at, total, updated_at) VALUES (?, ?, ?, 'open', ?, ?, ?)",
          [added, customer, `NEW-${added}`, at, '0.0300', at],
        )
        for (const line of [1n, 2n])
          await tx.run(
            'INSERT INTO order_lines (id, order_id, line_no, product_id, quantity, unit_price, amount, updated_at) VALUES (?, ?, ?, ?, 3, ?, ?, ?)',
            [added * 10n + line, added, line, product, '0.0100', amount, at],
          )
      })
      await db.run('UPDATE customers SET active = 0, credit_limit = ?, preferences = ? WHERE id = ?', [
        '123456789012.34',
        preferences,
        customer,
      ])
      await db.run('DELETE FROM order_lines WHERE id = ?', [gone])
    },
    [[added, customer, product, gone], AMOUNT, PREFERENCES],
  )
  await run.page.waitForSelector('.pill:has-text("8 local edits not sent")')
  await run.page.mouse.up()
  await run.page.waitForSelector('[data-table=customers]')
  const report = await run.sync()
  assert.deepEqual(
    report.sent.tables.map((table) => Object.values(table).join(' ')),
    ['customers 0 2 0 0 0', 'products 0 1 0 0 0', 'orders 1 1 0 0 0', 'order_lines 2 0 1 0 0'],
  )
  await run.page.waitForSelector('.pill[href="#sync"]', { state: 'hidden' })
  await run.shot('pushed')

  const customers = await run.sameOnBothSides('customers', [contact, customer], TOUCHED.customers)
  assert.equal(customers[0].contact, run.contact)
  assert.deepEqual([customers[1].active, customers[1].credit_limit], ['0', '123456789012.34'])
  const [{ preferences }] = await run.query('SELECT preferences FROM customers WHERE id = CAST(? AS INTEGER)', [
    customer,
  ])
  const [json] = await run.remote.sql(
    "select preferences = $2::jsonb as same, preferences ->> 'exact' as exact, preferences ->> 'note' as note from customers where id = $1",
    [customer, preferences],
  )
  assert.deepEqual(json, { same: 't', exact: '9007199254740993.10', note: '“ünï” " \\ 🔔' })
  const [{ unit_price: price }] = await run.sameOnBothSides('products', [product], TOUCHED.products)
  assert.equal(price, `1234567${n}.0100`)
  const orders = await run.sameOnBothSides('orders', [order, added], TOUCHED.orders)
  assert.deepEqual([orders.find(({ id }) => id === order).note, orders.length], [note, 2])
  assert.equal(orders.find(({ id }) => id === added).placed_at, '2026-11-20T08:30:00.123456+00:00')
  const lines = await run.sameOnBothSides('order_lines', [gone, `${added}1`, `${added}2`], TOUCHED.order_lines)
  assert.deepEqual(
    lines.map(({ id, amount }) => `${id} ${amount}`),
    [`${added}1 ${AMOUNT}`, `${added}2 ${AMOUNT}`],
  )
  return `Sent ${sum(report.sent, 'inserted')} new rows, ${sum(report.sent, 'updated')} edits and a deletion; in PostgreSQL they are exact: ids like ${added}1, ${AMOUNT}, JSON`
}

export async function decidesConflicts(run) {
  const n = 11
  const stock = Number((await run.query('SELECT stock FROM products ORDER BY id LIMIT 1 OFFSET ?', [n - 1]))[0].stock)
  const [ours, theirs] = [`ours (${n})`, `the office’s (${n})`]
  const contact = await run.edit('customers', n, 'contact', ours)
  const counted = await run.edit('products', n, 'stock', String(stock - 7))
  const status = await run.edit('orders', n, 'status', ours)
  const line = await run.edit('order_lines', n, 'quantity', String(990 + n))
  await run.remote.sql('update customers set contact = $1 where id = $2', [theirs, contact])
  await run.remote.sql('update products set stock = stock + 20 where id = $1', [counted])
  await run.remote.sql('update orders set status = $1 where id = $2', [theirs, status])
  await run.remote.sql('delete from order_lines where id = $1', [line])
  await run.sync()

  const expected = [
    ['customers', contact, 'contact', ours, theirs, ours],
    ['products', counted, 'stock', stock - 7, stock + 20, stock + 13],
    ['orders', status, 'status', ours, theirs, theirs],
  ]
  const log = await run.page.evaluate(() => window.db.sync.conflicts())
  const shown = await run.grid('[data-conflicts]')
  for (const [table, id, column, here, office, kept] of expected) {
    const entry = log.find((each) => each.table === table && String(each.key.id) === id)
    assert.deepEqual(
      [entry.local, entry.remote, entry.result].map((row) => row[column]),
      [here, office, kept],
      table,
    )
    assert.ok(![here, office].includes(entry.base[column]), `the base of ${table}`)
    const row = shown.find((each) => each.table === table && each.key === id)
    assert.deepEqual([row.column, row.here, row.office, row.kept], [column, here, office, kept], `${table}, as shown`)
    const [same] = await run.sameOnBothSides(table, [id], TOUCHED[table])
    assert.equal(same[column], String(kept))
  }

  // Edited here and deleted there is decided by no rule, but by a person.
  const card = run.page.locator(`[data-rejected="${line}"]`)
  await card.waitFor()
  await run.shot('decision')
  await card.locator('button:has-text("Take the office’s")').click()
  await card.waitFor({ state: 'detached' })
  assert.deepEqual(await run.sameOnBothSides('order_lines', [line], TOUCHED.order_lines), [])
  const left = await run.page.evaluate(async () => [
    ...(await window.db.sync.pending()),
    ...(await window.db.sync.rejected()),
  ])
  assert.deepEqual(left, [])
  const decided = (await run.grid('[data-conflicts]')).find((each) => each.key === line)
  assert.deepEqual([decided.here, decided.office, decided.rule], ['changed', 'deleted', 'you decide'])
  await run.page.locator('[data-conflicts]').scrollIntoViewIfNeeded()
  await run.shot('conflicts')
  return `Decided what both sides had changed: kept ours, added up a stock (${stock} − 7 + 20 = ${stock + 13}), took the office’s, and left a deleted row to a person; the log tells it`
}
