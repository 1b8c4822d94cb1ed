// Several databases opened together: all of them, or none.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'

const context = suite()

test('a group opens all its databases, tells their health together and closes them all', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const { thread } = window
    const order = []
    const request = navigator.locks.request.bind(navigator.locks)
    navigator.locks.request = (lock, ...rest) => {
      if (lock.startsWith('tidelock/')) order.push(lock)
      return request(lock, ...rest)
    }
    const group = await tidelock.openGroup({
      primary: {
        name: `${name}-z`,
        thread,
        migrations: [{ version: '1', name: 'a', up: 'CREATE TABLE orders (id INTEGER PRIMARY KEY, item)' }],
      },
      data: {
        name: `${name}-a`,
        thread,
        migrations: [{ version: '7', name: 'b', up: 'CREATE TABLE items (id INTEGER PRIMARY KEY)' }],
      },
    })
    await group.primary.run('INSERT INTO orders(item) VALUES (7)')
    await group.data.run('INSERT INTO items VALUES (7)')
    const seen = {
      order,
      orders: await group.primary.query('SELECT item FROM orders'),
      items: await group.data.query('SELECT id FROM items'),
      health: await group.health(),
      status: await group.migrations.status(),
      code: (await tidelock.healthResponse(group)).status,
    }
    await group.data.close()
    seen.oneClosed = await group.health()
    seen.codeThen = (await tidelock.healthResponse(group)).status
    const first = group.close()
    seen.once = first === group.close()
    await first
    seen.closed = [group.primary.closed, group.data.closed]
    seen.held = (await navigator.locks.query()).held.filter((lock) => lock.name.includes(name)).length
    return seen
  }, freshName())
  if (result.order.length > 0) {
    // A worker takes its lock by itself, out of this page's sight.
    assert.deepEqual(
      result.order.map((lock) => lock.slice(-2)),
      ['-a', '-z'],
    )
  }
  assert.deepEqual(result.orders, [{ item: 7 }])
  assert.deepEqual(result.items, [{ id: 7 }])
  assert.equal(result.health.status, 'ok')
  assert.deepEqual(result.health.databases, { primary: 'connected', data: 'connected' })
  assert.ok(Math.abs(new Date(result.health.timestamp) - Date.now()) < 60_000)
  assert.ok(result.health.details.primary.name.endsWith('-z') && result.health.details.data.name.endsWith('-a'))
  assert.equal(result.code, 200)
  assert.deepEqual(
    [result.status.primary, result.status.data].map((rows) => rows.map(({ version, state }) => [version, state])),
    [[['1', 'applied']], [['7', 'applied']]],
  )
  assert.equal(result.oneClosed.status, 'failed')
  assert.deepEqual(result.oneClosed.databases, { primary: 'connected', data: 'failed' })
  assert.equal(result.codeThen, 503)
  assert.equal(result.once, true)
  assert.deepEqual(result.closed, [true, true])
  assert.equal(result.held, 0)
})

test('one that fails to open leaves none open, and none locked', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const { thread } = window
    const broken = [{ version: '1', name: 'broken', up: 'CREATE TABL t (n)' }]
    const failed = await window.failure(
      tidelock.openGroup({
        primary: { name: `${name}-1`, thread },
        data: { name: `${name}-2`, thread, migrations: broken },
        never: { name: `${name}-3`, thread },
      }),
    )
    const held = (await navigator.locks.query()).held.filter((lock) => lock.name.includes(name)).length
    const workers = window.workers.length
    const stored = (await tidelock.databases()).map((one) => one.name).filter((one) => one.startsWith(name))
    const first = await tidelock.open({ name: `${name}-1`, thread })
    // The second in lock order is taken: the first of the group must be let go again.
    const busy = await window.failure(
      tidelock.openGroup({ b: { name: `${name}-1`, thread }, a: { name: `${name}-0`, thread } }),
    )
    await first.close()
    const again = await tidelock.openGroup({ b: { name: `${name}-1`, thread }, a: { name: `${name}-0`, thread } })
    await again.close()
    return { failed, held, workers, stored, busy }
  }, freshName())
  assert.equal(result.failed.code, 'migration_failed')
  assert.equal(result.failed.details.database, 'data')
  assert.equal(result.failed.details.version, '1')
  assert.equal(result.held, 0)
  assert.equal(result.workers, 0)
  assert.ok(!result.stored.some((name) => name.endsWith('-3')), 'what comes after the failure is not touched')
  assert.equal(result.busy.code, 'database_in_use')
  assert.equal(result.busy.message, 'Database already in use')
  assert.equal(result.busy.details.database, 'b')
  assert.ok(result.busy.details.holder.id)
})

test('what a group cannot be is refused, and nothing stays locked', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const refused = []
    for (const options of [
      undefined,
      {},
      { health: { name } },
      { a: { name }, b: { name } },
      { a: { name }, b: undefined },
      { a: { name, nonsense: 1 } },
    ])
      refused.push(await window.failure(tidelock.openGroup(options)))
    return { refused, held: (await navigator.locks.query()).held.filter((lock) => lock.name.includes(name)).length }
  }, freshName())
  assert.deepEqual(
    result.refused.map(({ code }) => code),
    Array(6).fill('invalid_argument'),
  )
  assert.deepEqual(
    result.refused.slice(2).map(({ details }) => details.database),
    ['health', 'b', 'b', 'a'],
  )
  assert.equal(result.held, 0)
})
