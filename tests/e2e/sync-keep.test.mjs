// Keeping in step with a real PostgREST: by itself, offline and back, with hints, for one user.
import assert from 'node:assert/strict'
import { until } from './harness.mjs'
import {
  alice,
  context,
  freshName,
  remoteOptions,
  remoteTable,
  tableName,
  test,
  withDatabase,
} from './sync-harness.mjs'

/** A table of names on the remote, with these rows, and its local counterpart. */
async function named(values = "(1, 'remote')") {
  const table = tableName()
  await remoteTable(table, 'id int primary key, name text', values)
  return { table, schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, name TEXT)` }
}

const rowsOf = async (table) =>
  (await context.remote.sql(`select id, name from ${table} order by id`)).map(({ id, name }) => `${id} ${name}`)

/** A client comes back to a network or to realtime by chance within 12 seconds. */
const backWithinMs = 30_000

/** Waits until the remote has these rows. */
async function untilThere(table, rows, timeoutMs) {
  await until(async () => String(await rowsOf(table)) === String(rows), timeoutMs).catch(async () =>
    assert.deepEqual(await rowsOf(table), rows),
  )
}

/** Opens a database in a page of its own, as `window.db`; its `sync` events are in `window.told`. */
async function opened({ schema, remote, ...options }, { token, name = freshName() } = {}) {
  const page = await context.page()
  await page.evaluate(
    async ([given, given2]) => {
      window.token = given2
      const remote = { ...given.remote, ...(given2 !== undefined && { accessToken: async () => window.token }) }
      window.given = { ...given, remote }
      window.db = await window.open(window.given)
      window.told = []
      window.db.addEventListener('sync', ({ detail }) => window.told.push(detail))
      window.rows = async (table) =>
        (await window.db.query(`SELECT id, name FROM ${table} ORDER BY id`)).map(({ id, name }) => `${id} ${name}`)
    },
    [{ name, migrations: [{ version: '1', name: 'schema', up: schema }], remote, ...options }, token],
  )
  return page
}

async function closed(page) {
  await page.evaluate(() => window.db.close())
  await page.close()
}

const untilHere = (page, table, rows, timeoutMs) =>
  page.evaluate(
    ([name, wanted, within]) => window.until(async () => String(await window.rows(name)) === wanted, within),
    [table, String(rows), timeoutMs],
  )

test('a cloud database comes up without waiting, is ready after the first pull, and sends what is written', async () => {
  const { table, schema } = await named()
  // The remote can't answer before this one commits.
  const session = await context.remote.session()
  await session.query(`begin; lock table ${table} in access exclusive mode`)
  const page = await opened({ schema, remote: remoteOptions([table]), mode: 'cloud' })
  assert.deepEqual(await page.evaluate((name) => window.rows(name), table), [], 'the remote answers later')
  await session.query('commit')
  await session.end()
  await page.evaluate(() => window.db.sync.ready)
  assert.deepEqual(await page.evaluate((name) => window.rows(name), table), ['1 remote'])
  await page.evaluate((name) => window.db.run(`INSERT INTO ${name} VALUES (2, 'mine')`), table)
  await untilThere(table, ['1 remote', '2 mine'])
  const health = await page.evaluate(() =>
    window.until(async () => {
      const one = await window.db.health()
      return one.sync.pending === 0 && one.sync.phase === 'idle' && one
    }),
  )
  assert.equal(health.database, 'cloud')
  assert.ok(health.sync.lagMs < 60_000)
  assert.equal(health.sync.lastError, null)
  await page.evaluate(() =>
    window.until(() => window.told.some(({ phase }) => phase === 'pushing') && window.told.at(-1).phase === 'idle'),
  )
  await closed(page)
})

test('ready is at once when everything was pulled in an earlier session, and by hand in a local one', {
  only: 'worker',
  because: 'it is the page that waits, wherever the engine runs',
}, async () => {
  const { table, schema } = await named()
  const name = freshName()
  const result = await withDatabase(
    { schema, name, remote: remoteOptions([table, { table: 'nowhere', direction: 'push' }]) },
    async (db, _, reopen) => {
      let ready = 0
      db.sync.ready.then(() => ready++)
      for (let n = 0; n < 2; n++) await db.sync.status()
      const before = ready
      await db.exec('CREATE TABLE nowhere(id INTEGER PRIMARY KEY)')
      await db.sync.pull()
      await db.sync.ready
      const after = ready
      const again = await reopen({})
      await again.sync.ready
      // No call waits for this one: closing must not make it an uncaught rejection.
      return { before, after }
    },
  )
  assert.deepEqual(result, { before: 0, after: 1 })
  const page = await opened({ schema, remote: remoteOptions([table]) })
  const state = await page.evaluate(async () => {
    let state = 'pending'
    const set = (to) => () => {
      state = to
    }
    window.db.sync.ready.then(set('resolved'), set('rejected'))
    await window.db.close()
    await new Promise((resolve) => setTimeout(resolve))
    return state
  })
  assert.equal(state, 'pending')
  const none = await page.evaluate(async (name) => {
    const db = await window.open({ name, storage: 'memory' })
    const { ready } = db.sync
    const start = await window.failure(() => db.sync.start())
    await db.sync.stop()
    await db.close()
    return [start.code, (await window.failure(ready)).code]
  }, freshName())
  assert.deepEqual(none, ['invalid_argument', 'invalid_argument'])
  await page.close()
})

test('start pulls at once and each interval; options without sense are refused', {
  only: 'current',
  because: 'what a worker is told to do is tested where it dies',
}, async () => {
  const { table, schema } = await named()
  const page = await opened({ schema, remote: remoteOptions([table]) })
  const wrong = await page.evaluate(async () => [
    (await window.failure(() => window.db.sync.start({ intervalMs: 0 }))).code,
    (await window.failure(() => window.db.sync.start({ every: 5 }))).code,
  ])
  assert.deepEqual(wrong, ['invalid_argument', 'invalid_argument'])
  await page.evaluate(() => window.db.sync.start({ intervalMs: 50 }))
  await untilHere(page, table, ['1 remote'])
  await context.remote.sql(`update ${table} set name = 'theirs'`)
  await untilHere(page, table, ['1 theirs'])
  await page.evaluate(() => Promise.all([window.db.sync.stop(), window.db.sync.stop()]))
  await closed(page)
})

test('offline it works, with an expired token too, and what was written leaves when there is a network', async () => {
  const { table, schema } = await named()
  const expired = context.remote.jwtFor(alice, { exp: Math.floor(Date.now() / 1000) - 3600 })
  context.remote.faults.add({ drop: true, times: 1_000_000 })
  const remote = remoteOptions([table], { retries: 0 })
  const page = await opened({ schema, remote, mode: 'cloud' }, { token: expired })
  await page.evaluate((name) => window.db.run(`INSERT INTO ${name} VALUES (2, 'unreachable')`), table)
  await context.browser.context.setOffline(true)
  try {
    await page.evaluate((name) => window.db.run(`INSERT INTO ${name} VALUES (3, 'offline')`), table)
    context.remote.faults.clear()
    // Nor does it help to ask.
    assert.equal((await page.evaluate(() => window.failure(window.db.sync.push()))).code, 'sync_network')
    assert.deepEqual(await rowsOf(table), ['1 remote'])
    assert.equal(await page.evaluate(async () => (await window.db.health()).sync.pending), 2)
  } finally {
    await context.browser.context.setOffline(false)
  }
  // The token is refused once, and the fresh one taken.
  await page.evaluate((token) => {
    window.token = token
  }, context.remote.jwtFor(alice))
  await untilThere(table, ['1 remote', '2 unreachable', '3 offline'], backWithinMs)
  await page.evaluate(() => window.db.sync.ready)
  await closed(page)
})

test('a page that is shown again is brought up to date', async () => {
  const { table, schema } = await named()
  const page = await opened({ schema, remote: remoteOptions([table]) })
  await page.evaluate(() => window.db.sync.start({ intervalMs: 3_600_000 }))
  await untilHere(page, table, ['1 remote'])
  await context.remote.sql(`update ${table} set name = 'theirs'`)
  // It looks at most once in a second, however often it is shown.
  await page.evaluate(
    (name) =>
      window.until(async () => {
        document.dispatchEvent(new Event('visibilitychange'))
        return String(await window.rows(name)) === '1 theirs'
      }),
    table,
  )
  await closed(page)
})

test('realtime: hints are followed, tokens are told, gaps are pulled', async () => {
  const { realtime } = context.remote
  const { table, schema } = await named()
  const first = context.remote.jwtFor(alice)
  const page = await opened({ schema, remote: remoteOptions([table], { realtime: true }) }, { token: first })
  await page.evaluate(() => window.db.sync.start({ intervalMs: 3_600_000 }))
  // After so many joins, and the pull that follows each.
  const joined = async (count) => {
    await until(() => realtime.joins.length >= count && realtime.channels >= 1)
    await page.evaluate(
      (pulls) =>
        window.until(
          () =>
            window.told.filter(({ phase }) => phase === 'pulling').length >= pulls &&
            window.told.at(-1).phase === 'idle',
        ),
      1 + count,
    )
  }
  await joined(1)
  assert.deepEqual(realtime.joins[0].changes, [{ event: '*', schema: 'public', table }])
  assert.equal(realtime.joins[0].token, first)
  await context.remote.sql(`insert into ${table} values (2, 'told')`)
  realtime.changed(table, { type: 'INSERT' })
  await untilHere(page, table, ['1 remote', '2 told'])
  // A new token goes there with the next round.
  const second = context.remote.jwtFor(alice, { exp: Math.floor(Date.now() / 1000) + 7200 })
  await page.evaluate((token) => {
    window.token = token
  }, second)
  realtime.changed(table)
  await page.evaluate(() => window.until(() => window.told.length > 0))
  await until(() => realtime.tokens.length > 0)
  assert.deepEqual(realtime.tokens, [second])
  // The connection breaks, and something is written meanwhile without a message.
  realtime.kill()
  await context.remote.sql(`update ${table} set name = 'missed' where id = 2`)
  await untilHere(page, table, ['1 remote', '2 missed'], backWithinMs)
  await joined(2)
  // What is written here is sent at once and comes back as a hint without harm.
  await page.evaluate((name) => window.db.run(`INSERT INTO ${name} VALUES (3, 'mine')`), table)
  await untilThere(table, ['1 remote', '2 missed', '3 mine'])
  realtime.changed(table)
  await untilHere(page, table, ['1 remote', '2 missed', '3 mine'])
  // A message that is far too long isn't read: the connection ends, and a new one begins with a pull.
  realtime.changed(table, { record: { name: 'x'.repeat(20 << 20) } })
  await until(() => realtime.joins.length >= 3, backWithinMs)
  await joined(3)
  await page.evaluate(() => window.db.sync.stop())
  await until(() => realtime.channels === 0)
  await closed(page)
})

test('realtime that is refused, or not there, breaks nothing: a warning says why, and the interval finds', {
  only: 'worker',
  because: 'its sockets are those of a page, too',
}, async () => {
  for (const trouble of ['refused', 'down']) {
    const { realtime } = context.remote
    realtime.reset()
    if (trouble === 'refused') realtime.refuse = 'Unauthorized: no'
    else realtime.down = true
    const { table, schema } = await named()
    const page = await opened({ schema, remote: remoteOptions([table], { realtime: true }) })
    await page.evaluate(() => window.db.sync.start({ intervalMs: 100 }))
    await untilHere(page, table, ['1 remote'])
    if (trouble === 'refused') {
      const [warning] = await page.evaluate(() => window.until(() => window.warnings.length > 0 && window.warnings))
      assert.equal(warning.code, 'realtime_unavailable')
      assert.match(warning.message, /Unauthorized: no/)
    }
    await context.remote.sql(`update ${table} set name = 'theirs'`)
    await untilHere(page, table, ['1 theirs'])
    realtime.reset()
    await closed(page)
  }
})

test('a worker that dies is told again what it was to do', {
  only: 'worker',
  because: 'there is none in one thread',
}, async () => {
  const { table, schema } = await named()
  const page = await opened({ schema, remote: remoteOptions([table]) })
  await page.evaluate(() => window.db.sync.start({ intervalMs: 100 }))
  await untilHere(page, table, ['1 remote'])
  await page.evaluate(() => window.workers.at(-1).terminate())
  await context.remote.sql(`update ${table} set name = 'theirs'`)
  await page.evaluate(() => window.until(() => window.warnings.some(({ code }) => code === 'worker_crashed')))
  await untilHere(page, table, ['1 theirs'])
  await closed(page)
})
