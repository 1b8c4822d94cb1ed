// Who asks: tokens that expire, keys that don't belong in a page, users that change.
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

const schemaOf = (table) => `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`
const expired = { status: 401, body: { code: 'PGRST303', message: 'JWT expired' } }

test('a refused token is asked for once more; refused again, the call fails and the queue stays', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', "(1, 'a')")
  for (const code of ['PGRST301', 'PGRST303']) {
    for (const call of ['pull', 'push']) {
      context.remote.faults.clear()
      context.remote.faults.add({ table, status: 401, body: { code, message: 'JWT expired' }, times: 1 })
      const run = async (_db, { table: t, token, call: which, times }, reopen) => {
        let asked = 0
        const again = await reopen({
          remote: {
            accessToken: async () => {
              asked++
              return token
            },
          },
        })
        await again.run(`INSERT INTO ${t} VALUES (?, 'mine')`, [times])
        const failed = await window.failure(() => again.sync[which]())
        return {
          failed,
          asked,
          pending: (await again.sync.pending()).length,
          errors: (await again.sync.status())[0].lastError,
        }
      }
      const options = { schema: schemaOf(table), remote: remoteOptions([table]) }
      const argument = { table, token: context.remote.jwtFor(alice), call, times: Math.floor(Math.random() * 1e9) + 10 }
      const once = await withDatabase(options, run, argument)
      assert.ok(once.failed.resolved, `${code} ${call}: ${once.failed.message}`)
      assert.equal(once.asked, 2, 'at its beginning, and once more')
      context.remote.faults.add({ table, ...expired, times: 1000 })
      context.remote.stats.reset()
      const twice = await withDatabase(options, run, { ...argument, times: argument.times + 1 })
      assert.deepEqual([twice.failed.code, twice.failed.retryable, twice.asked], ['sync_unauthorized', false, 2])
      assert.ok(twice.failed.hint)
      assert.equal(twice.pending, 1, 'nothing is lost')
      assert.ok(twice.errors)
      assert.equal(context.remote.stats.of(table), 2, 'the request and its one repetition')
    }
  }
})

test('403 is no matter of the token: it is not asked for again', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', "(1, 'a')")
  await context.remote.sql(`revoke select, insert on ${table} from authenticated`)
  const result = await withDatabase(
    { schema: schemaOf(table), remote: remoteOptions([table]) },
    async (_db, { table: t, token }, reopen) => {
      let asked = 0
      const again = await reopen({
        remote: {
          accessToken: async () => {
            asked++
            return token
          },
        },
      })
      const pulled = await window.failure(() => again.sync.pull())
      const afterPull = asked
      await again.run(`INSERT INTO ${t} VALUES (5, 'mine')`)
      const pushed = await again.sync.push()
      return { pulled, afterPull, asked, pushed, rejected: await again.sync.rejected() }
    },
    { table, token: context.remote.jwtFor(alice) },
  )
  assert.deepEqual(
    [result.pulled.code, result.pulled.details.remoteCode, result.afterPull],
    ['sync_rejected', '42501', 1],
  )
  assert.equal(result.asked, 2, 'once a call')
  assert.equal(result.pushed.tables[0].rejected, 1)
  assert.match(result.rejected[0].error, /permission denied/)
})

test('a start without network and with an expired token serves what is there, and loses nothing', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', "(1, 'a')")
  const name = freshName()
  const options = { name, schema: schemaOf(table), remote: remoteOptions([table], { retries: 0 }) }
  const token = context.remote.jwtFor(alice)
  await withDatabase(options, (db) => db.sync.pull(), { token })
  context.remote.faults.add({ drop: true, times: 1000 })
  const offline = await withDatabase(
    options,
    async (db, { table: t }) => {
      const rows = await db.query(`SELECT a FROM ${t}`)
      await db.run(`INSERT INTO ${t} VALUES (2, 'offline')`)
      const failed = await window.failure(() => db.sync.run())
      return { rows, code: failed.code, pending: (await db.sync.pending()).length }
    },
    { table, token: context.remote.jwtFor(alice, { exp: Math.floor(Date.now() / 1000) - 3600 }) },
  )
  assert.deepEqual(offline, { rows: [{ a: 'a' }], code: 'sync_network', pending: 1 })
  context.remote.faults.clear()
  const online = await withDatabase(
    options,
    async (_db, { tokens }, reopen) => {
      const again = await reopen({ remote: { accessToken: async () => tokens.shift() ?? null } })
      await again.sync.push()
      return (await again.sync.pending()).length
    },
    { tokens: [context.remote.jwtFor(alice, { exp: Math.floor(Date.now() / 1000) - 3600 }), token] },
  )
  assert.equal(online, 0)
  assert.equal((await context.remote.sql(`select a from ${table} where id = 2`))[0].a, 'offline')
})

test('a function for tokens that fails is no network trouble, and says so', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text')
  const failed = await withDatabase(
    { schema: schemaOf(table), remote: remoteOptions([table]) },
    async (_db, _, reopen) => {
      const again = await reopen({
        remote: {
          accessToken: async () => {
            throw new Error('signed out')
          },
        },
      })
      return window.failure(() => again.sync.pull())
    },
  )
  assert.equal(failed.code, 'sync_unauthorized')
  assert.match(failed.cause, /signed out/)
})

test('a secret key is refused in a page, before anything is sent', async () => {
  const table = tableName()
  const { serviceKey, secretKey, anonKey, publishableKey } = context.remote
  const page = await context.page()
  try {
    const tried = await page.evaluate(
      async ([keys, url, t, name]) => {
        const outcomes = []
        for (const key of keys) {
          const options = { name, storage: 'memory', snapshots: false, remote: { url, key, tables: [t] } }
          const outcome = await window.failure(() => window.open(options))
          await outcome.resolved?.close()
          outcomes.push([
            outcome.resolved ? 'opened' : outcome.code,
            outcome.hint ?? '',
            JSON.stringify(outcome).includes(key),
          ])
        }
        return outcomes
      },
      [[serviceKey, secretKey, anonKey, publishableKey, ''], context.remote.url, table, freshName()],
    )
    assert.deepEqual(
      tried.map(([outcome]) => outcome),
      ['invalid_argument', 'invalid_argument', 'opened', 'opened', 'invalid_argument'],
    )
    for (const [, hint, shown] of tried.slice(0, 2)) {
      assert.match(hint, /publishable/)
      assert.equal(shown, false, 'the key is in no error')
    }
    assert.equal(context.remote.stats.count, 0)
  } finally {
    await page.close()
  }
})

test('the database belongs to one user: userId, or the token’s sub', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', "(1, 'a')")
  const pull = async (db) => window.failure(() => db.sync.pull())
  const push = async (db, { table: t }) => {
    await db.run(`INSERT INTO ${t} VALUES (?, 'x')`, [Math.floor(Math.random() * 1e9)])
    return window.failure(() => db.sync.push())
  }
  const base = { name: freshName(), schema: schemaOf(table) }
  const as = (userId) => ({ ...base, remote: remoteOptions([table], userId === undefined ? {} : { userId }) })
  assert.ok((await withDatabase(as('user-1'), pull)).resolved)
  context.remote.stats.reset()
  for (const call of [pull, push]) {
    const other = await withDatabase(as('user-2'), call, { table })
    assert.deepEqual([other.code, other.retryable], ['sync_user_mismatch', false])
    assert.ok(other.hint)
    const nobody = await withDatabase(as(undefined), call, { table })
    assert.equal(nobody.code, 'sync_user_mismatch')
    const token = await withDatabase(as(undefined), call, { table, token: context.remote.jwtFor(bob) })
    assert.equal(token.code, 'sync_user_mismatch')
  }
  assert.equal(context.remote.stats.count, 0, 'before any request')
  assert.ok((await withDatabase(as('user-1'), pull, { token: context.remote.jwtFor(alice) })).resolved)
})
