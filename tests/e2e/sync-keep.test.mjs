// Keeping in step with a real PostgREST: by itself, offline and back, with hints, for one user.
import assert from 'node:assert/strict'
import {
  alice,
  bob,
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

/** Waits until the remote has these rows. */
async function untilThere(table, rows, withinMs = 10_000) {
  for (const deadline = Date.now() + withinMs; ; ) {
    const there = await rowsOf(table)
    if (JSON.stringify(there) === JSON.stringify(rows)) return
    if (Date.now() > deadline) assert.deepEqual(there, rows)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
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

const untilHere = (page, table, rows) =>
  page.evaluate(
    ([name, wanted]) => window.until(async () => String(await window.rows(name)) === wanted),
    [table, String(rows)],
  )

test('a cloud database comes up without waiting, is ready after the first pull, and sends what is written', async () => {
  const { table, schema } = await named()
  context.remote.faults.add({ table, delayMs: 700 })
  const started = performance.now()
  const page = await opened({ schema, remote: remoteOptions([table]), mode: 'cloud' })
  assert.deepEqual(await page.evaluate((name) => window.rows(name), table), [], 'the remote answers later')
  assert.ok(performance.now() - started < 60_000)
  await page.evaluate(() => window.db.sync.ready)
  assert.deepEqual(await page.evaluate((name) => window.rows(name), table), ['1 remote'])
  const since = Date.now()
  await page.evaluate((name) => window.db.run(`INSERT INTO ${name} VALUES (2, 'mine')`), table)
  await untilThere(table, ['1 remote', '2 mine'])
  const took = Date.now() - since
  assert.ok(took < 5000, `${took} ms`)
  const health = await page.evaluate(() =>
    window.until(async () => {
      const one = await window.db.health()
      return one.sync.pending === 0 && one.sync.phase === 'idle' && one
    }),
  )
  assert.equal(health.database, 'cloud')
  assert.ok(health.sync.lagMs < 60_000)
  assert.equal(health.sync.lastError, null)
  const told = await page.evaluate(() => window.told.map(({ phase }) => phase))
  assert.ok(told.includes('pushing') && told.at(-1) === 'idle', told.join())
  await closed(page)
})

test('ready is at once when everything was pulled in an earlier session, and by hand in a local one', async () => {
  const { table, schema } = await named()
  const name = freshName()
  const result = await withDatabase(
    { schema, name, remote: remoteOptions([table, { table: 'nowhere', direction: 'push' }]) },
    async (db, _, reopen) => {
      let ready = 0
      db.sync.ready.then(() => ready++)
      await new Promise((resolve) => setTimeout(resolve, 100))
      const before = ready
      await db.exec('CREATE TABLE nowhere(id INTEGER PRIMARY KEY)')
      await db.sync.pull()
      await db.sync.ready
      const after = ready
      const again = await reopen({})
      await again.sync.ready
      // Nobody waits for this one: closing must not make it an uncaught rejection.
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
    await new Promise((resolve) => setTimeout(resolve, 50))
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

test('start and stop: at once, each interval, never doubled, and not after stop or close', async () => {
  const { table, schema } = await named()
  const page = await opened({ schema, remote: remoteOptions([table]) })
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.equal(context.remote.stats.count, 0, 'a local one asks nobody')
  const wrong = await page.evaluate(async () => [
    (await window.failure(() => window.db.sync.start({ intervalMs: 0 }))).code,
    (await window.failure(() => window.db.sync.start({ every: 5 }))).code,
  ])
  assert.deepEqual(wrong, ['invalid_argument', 'invalid_argument'])
  await page.evaluate(async () => {
    window.db.sync.start({ intervalMs: 200 })
    await Promise.all([window.db.sync.start({ intervalMs: 200 }), window.db.sync.start({ intervalMs: 200 })])
  })
  await untilHere(page, table, ['1 remote'])
  await context.remote.sql(`update ${table} set name = 'theirs'`)
  await untilHere(page, table, ['1 theirs'])
  const overlap = await page.evaluate(() =>
    window.told.some(({ phase }, at) => phase === 'pulling' && window.told[at + 1]?.phase === 'pulling'),
  )
  assert.equal(overlap, false)
  await page.evaluate(() => Promise.all([window.db.sync.stop(), window.db.sync.stop()]))
  await new Promise((resolve) => setTimeout(resolve, 100))
  context.remote.stats.reset()
  await page.evaluate((name) => window.db.run(`INSERT INTO ${name} VALUES (2, 'mine')`), table)
  await new Promise((resolve) => setTimeout(resolve, 1000))
  assert.equal(context.remote.stats.count, 0)
  await page.evaluate(() => window.db.sync.start())
  await untilThere(table, ['1 theirs', '2 mine'])
  await page.evaluate(async () => {
    window.db.sync.start({ intervalMs: 50 })
    await window.db.close()
    await window.db.sync.stop()
  })
  await new Promise((resolve) => setTimeout(resolve, 200))
  context.remote.stats.reset()
  await new Promise((resolve) => setTimeout(resolve, 600))
  assert.equal(context.remote.stats.count, 0)
  await page.close()
})

test('offline it works, with an expired token too, and what was written leaves when there is a network', async () => {
  const { table, schema } = await named()
  const expired = context.remote.jwtFor(alice, { exp: Math.floor(Date.now() / 1000) - 3600 })
  context.remote.faults.add({ drop: true, times: 1_000_000 })
  const page = await opened({ schema, remote: remoteOptions([table]), mode: 'cloud' }, { token: expired })
  await page.evaluate((name) => window.db.run(`INSERT INTO ${name} VALUES (2, 'unreachable')`), table)
  await context.browser.context.setOffline(true)
  try {
    await page.evaluate((name) => window.db.run(`INSERT INTO ${name} VALUES (3, 'offline')`), table)
    context.remote.faults.clear()
    await new Promise((resolve) => setTimeout(resolve, 1000))
    assert.deepEqual(await rowsOf(table), ['1 remote'])
    assert.equal(await page.evaluate(async () => (await window.db.health()).sync.pending), 2)
  } finally {
    await context.browser.context.setOffline(false)
  }
  // The token is refused once, and the fresh one taken.
  await page.evaluate((token) => {
    window.token = token
  }, context.remote.jwtFor(alice))
  await untilThere(table, ['1 remote', '2 unreachable', '3 offline'])
  await page.evaluate(() => window.db.sync.ready)
  await closed(page)
})

test('troubles of the remote are waited out: a token that is refused, answers that fail, a parent that comes later', async () => {
  const { table, schema } = await named()
  const child = tableName()
  await remoteTable(child, `id int primary key, parent int not null references ${table}, name text`)
  const page = await opened({
    schema: `${schema}; CREATE TABLE ${child} (id INTEGER PRIMARY KEY, parent INTEGER, name TEXT)`,
    remote: remoteOptions([table, child], { retries: 0 }),
    mode: 'cloud',
  })
  await page.evaluate(() => window.db.sync.ready)
  context.remote.faults.add({ method: 'POST', table, status: 503, times: 2 })
  await page.evaluate((name) => window.db.run(`INSERT INTO ${name} VALUES (2, 'after trouble')`), table)
  await untilThere(table, ['1 remote', '2 after trouble'], 20_000)
  const failures = await page.evaluate(() => window.told.filter(({ error }) => error?.code === 'sync_server').length)
  assert.ok(failures >= 1)
  await page.evaluate((name) => window.db.run(`INSERT INTO ${name} VALUES (1, 77, 'waits'), (2, 1, 'fine')`), child)
  await untilThere(child, ['2 fine'])
  assert.equal(await page.evaluate(async () => (await window.db.sync.rejected()).length), 0)
  await context.remote.sql(`insert into ${table} values (77, 'late')`)
  await untilThere(child, ['1 waits', '2 fine'], 20_000)
  await closed(page)
})

test('a page that is shown again is brought up to date', async () => {
  const { table, schema } = await named()
  const page = await opened({ schema, remote: remoteOptions([table]) })
  await page.evaluate(() => window.db.sync.start({ intervalMs: 3_600_000 }))
  await untilHere(page, table, ['1 remote'])
  await new Promise((resolve) => setTimeout(resolve, 1100))
  await context.remote.sql(`update ${table} set name = 'theirs'`)
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
  await untilHere(page, table, ['1 theirs'])
  await closed(page)
})

test('local to cloud and back: what was captured is sent, what is there stays', async () => {
  const { table, schema } = await named()
  await withDatabase(
    { schema, remote: remoteOptions([table]) },
    async (db, name, reopen) => {
      await db.run(`INSERT INTO ${name} VALUES (2, 'mine')`)
      const cloud = await reopen({ mode: 'cloud' })
      await cloud.sync.ready
      await window.until(async () => (await cloud.sync.pending()).length === 0)
      const local = await reopen({ mode: 'local' })
      await local.run(`INSERT INTO ${name} VALUES (3, 'kept')`)
      await new Promise((resolve) => setTimeout(resolve, 800))
      if ((await local.sync.pending()).length !== 1) throw new Error('a local one sends nothing by itself')
    },
    table,
  )
  assert.deepEqual(await rowsOf(table), ['1 remote', '2 mine'])
})

test('another user: it stops before any request, the database opens, and nothing is mixed', async () => {
  const { table, schema } = await named()
  const name = freshName()
  const given = { schema, remote: remoteOptions([table]), mode: 'cloud' }
  let page = await opened(given, { name, token: context.remote.jwtFor(alice) })
  await page.evaluate(() => window.db.sync.ready)
  await closed(page)
  context.remote.stats.reset()
  page = await opened(
    { ...given, remote: { ...given.remote, realtime: true } },
    { name, token: context.remote.jwtFor(bob) },
  )
  await page.evaluate((table) => window.db.run(`INSERT INTO ${table} VALUES (2, 'of bob')`), table)
  const health = await page.evaluate(() =>
    window.until(async () => {
      const one = await window.db.health()
      return one.sync.lastError && one
    }),
  )
  assert.equal(health.sync.lastError.code, 'sync_user_mismatch')
  const status = await page.evaluate(() => window.db.sync.status())
  assert.match(status[0].lastError, /user/)
  await new Promise((resolve) => setTimeout(resolve, 1500))
  assert.equal(context.remote.stats.count, 0)
  assert.equal(context.remote.realtime.joins.length, 0)
  assert.deepEqual(await page.evaluate((table) => window.rows(table), table), ['1 remote', '2 of bob'])
  await closed(page)
  assert.deepEqual(await rowsOf(table), ['1 remote'])
})

test('the remote wins in the cloud, unless the table says otherwise', async () => {
  for (const [conflict, expected] of [
    [undefined, ['1 theirs']],
    ['keep-local', ['1 mine']],
  ]) {
    const { table, schema } = await named()
    const page = await opened({
      schema,
      remote: remoteOptions([{ table, ...(conflict && { conflict }) }]),
      mode: 'cloud',
    })
    await page.evaluate(() => window.db.sync.ready)
    await page.evaluate(
      (name) => window.db.sync.stop().then(() => window.db.run(`UPDATE ${name} SET name = 'mine'`)),
      table,
    )
    await context.remote.sql(`update ${table} set name = 'theirs'`)
    await page.evaluate(() => window.db.sync.start())
    await untilThere(table, expected)
    await untilHere(page, table, expected)
    await closed(page)
  }
})

test('realtime: hints are followed, tokens are told, gaps are pulled', async () => {
  const { realtime } = context.remote
  const { table, schema } = await named()
  const first = context.remote.jwtFor(alice)
  const page = await opened({ schema, remote: remoteOptions([table], { realtime: true }) }, { token: first })
  await page.evaluate(() => window.db.sync.start({ intervalMs: 3_600_000 }))
  const joined = async (count) => {
    for (const deadline = Date.now() + 10_000; realtime.joins.length < count || realtime.channels < 1; ) {
      if (Date.now() > deadline) throw new Error(`joined ${realtime.joins.length} times`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await new Promise((resolve) => setTimeout(resolve, 700))
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
  for (const deadline = Date.now() + 10_000; realtime.tokens.length === 0 && Date.now() < deadline; )
    await new Promise((resolve) => setTimeout(resolve, 20))
  assert.deepEqual(realtime.tokens, [second])
  // The connection breaks, and something is written meanwhile that nobody tells.
  realtime.kill()
  await context.remote.sql(`update ${table} set name = 'missed' where id = 2`)
  await untilHere(page, table, ['1 remote', '2 missed'])
  await joined(2)
  // What is written here is sent at once and comes back as a hint without harm.
  await page.evaluate((name) => window.db.run(`INSERT INTO ${name} VALUES (3, 'mine')`), table)
  await untilThere(table, ['1 remote', '2 missed', '3 mine'])
  realtime.changed(table)
  await untilHere(page, table, ['1 remote', '2 missed', '3 mine'])
  await page.evaluate(() => window.db.sync.stop())
  for (const deadline = Date.now() + 10_000; realtime.channels > 0 && Date.now() < deadline; )
    await new Promise((resolve) => setTimeout(resolve, 20))
  assert.equal(realtime.channels, 0)
  await closed(page)
})

test('realtime that is refused, or not there, breaks nothing: one warning, and the interval finds', async () => {
  for (const trouble of ['refused', 'down']) {
    const { realtime } = context.remote
    realtime.reset()
    if (trouble === 'refused') realtime.refuse = 'Unauthorized: no'
    else realtime.down = true
    const { table, schema } = await named()
    const page = await opened({ schema, remote: remoteOptions([table], { realtime: true }) })
    await page.evaluate(() => window.db.sync.start({ intervalMs: 300 }))
    await untilHere(page, table, ['1 remote'])
    if (trouble === 'refused') {
      const [warning] = await page.evaluate(() => window.until(() => window.warnings.length > 0 && window.warnings))
      assert.equal(warning.code, 'realtime_unavailable')
      assert.match(warning.message, /Unauthorized: no/)
    }
    await context.remote.sql(`update ${table} set name = 'theirs'`)
    await untilHere(page, table, ['1 theirs'])
    await new Promise((resolve) => setTimeout(resolve, 1500))
    assert.ok(await page.evaluate(() => window.warnings.length <= 1))
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
  await page.evaluate(() => window.db.sync.start({ intervalMs: 200 }))
  await untilHere(page, table, ['1 remote'])
  await page.evaluate(() => window.workers.at(-1).terminate())
  await context.remote.sql(`update ${table} set name = 'theirs'`)
  await page.evaluate(() => window.until(() => window.warnings.some(({ code }) => code === 'worker_crashed')))
  await untilHere(page, table, ['1 theirs'])
  await closed(page)
})
