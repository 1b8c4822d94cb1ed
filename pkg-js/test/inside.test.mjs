// Tests of the engine with one of its steps delayed, failed or trapped, which no user can cause at will.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, mock, test } from 'node:test'
import { having } from '../../tests/messages/golden.mjs'
import { deferred, openEngine, opening, settle } from './engine.mjs'

const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n'

const folders = []
after(() => {
  for (const path of folders) rmSync(path, { recursive: true, force: true })
})

/** Opens a database in a folder, with a table `t`. Later writes count as stored when `store` resolves. */
async function storedLate() {
  const path = mkdtempSync(join(tmpdir(), 'tidelock-inside-'))
  folders.push(path)
  const store = deferred()
  let late = false
  const replaced = (core) => ({ stored: () => (late ? store.promise : core.stored()) })
  const { db, trap } = await openEngine({ path }, replaced)
  await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY)')
  late = true
  const ids = async () => (await db.query('SELECT id FROM t ORDER BY id')).map(({ id }) => id)
  return { db, path, trap, store, ids, write: (on, id) => on.run('INSERT INTO t VALUES (?)', [id]) }
}

test('a write resolves when it is stored; the next call begins before that, and reading waits for no store', async () => {
  const { db, store, ids, write } = await storedLate()
  const done = []
  const stop = new AbortController()
  const tx = await db.begin()
  await write(tx, 1)
  const writes = [
    tx.commit().then(() => done.push('commit')),
    // Twice: by its text, and by its number.
    write(db, 2).then(({ changes }) => done.push(changes)),
    write(db, 3).then(({ changes }) => done.push(changes)),
    db.transaction((inner) => write(inner, 4)).then(() => done.push('transaction')),
    db.exec('INSERT INTO t VALUES (5)').then(() => done.push('exec')),
    db.run('INSERT INTO t VALUES (6)', [], { signal: stop.signal }).then(({ changes }) => done.push(changes)),
  ]
  assert.deepEqual(await ids(), [1, 2, 3, 4, 5, 6])
  stop.abort('too late: it is committed')
  await settle()
  assert.deepEqual(done, [])
  store.resolve()
  await Promise.all(writes)
  assert.deepEqual(done.sort(), [1, 1, 1, 'commit', 'exec', 'transaction'])
  await db.close()
})

test('the time spent waiting for the connection mutex counts towards timeoutMs', async () => {
  const { db } = await openEngine()
  const tx = await db.begin()
  const started = Date.now()
  const late = db.query(endless, [], { timeoutMs: 10_000 })
  const { now } = performance
  await having(
    performance,
    'now',
    () => now.call(performance) + 9990,
    async () => {
      await tx.rollback()
      await assert.rejects(late, { code: 'timeout' })
    },
  )
  assert.ok(Date.now() - started < 5000)
  await db.close()
})

for (const step of ['open', 'start']) {
  test(`a trap while opening rejects, though the engine never answers, and frees the lock: ${step}`, async () => {
    let released = 0
    const never = deferred()
    const stuck = () => {
      never.resolve()
      return new Promise(() => {})
    }
    const replaced = () => (step === 'start' ? { start: stuck } : {})
    replaced.open = (open, host) => {
      host.locked(() => released++)
      return step === 'open' ? stuck() : open()
    }
    const { opened, trap } = await opening(undefined, replaced)
    await never.promise
    trap()
    await assert.rejects(opened, (error) => {
      assert.ok(error.cause instanceof WebAssembly.RuntimeError)
      return error.code === 'internal' && error.name === 'TidelockError'
    })
    assert.equal(released, 1)
  })
}

test('a trap rejects all pending calls, closes the database and releases the lock', async () => {
  const { db, path, trap } = await storedLate()
  const closes = []
  db.addEventListener('close', ({ detail }) => closes.push(detail.reason))
  const live = db.live('SELECT count(*) AS n FROM t')
  await live.refresh()
  const loop = (async () => {
    for await (const _ of live);
  })()
  const calls = [
    db.run('INSERT INTO t VALUES (1)'), // waits until it is stored
    db.transaction(() => new Promise(() => {})), // whose function hangs
    db.run('INSERT INTO t VALUES (2)'), // waits for the mutex
  ]
  await settle()
  trap()
  for (const call of calls) {
    await assert.rejects(call, (error) => error.code === 'internal' && error.cause instanceof WebAssembly.RuntimeError)
  }
  await loop
  assert.deepEqual([db.closed, live.closed, closes], [true, true, ['internal']])
  await assert.rejects(db.query('SELECT 1'), (error) => error.code === 'closed' && error.cause.code === 'internal')
  await db.close()
  const { status, alerts } = await db.health()
  assert.deepEqual([status, alerts[0].code], ['failed', 'internal'])
  const again = await openEngine({ path, name: db.name })
  assert.deepEqual(await again.db.query('SELECT * FROM t WHERE id > 1'), [])
  await again.db.close()
})

test('a transaction that is idle for five seconds gives one warning', async () => {
  const { db, warnings } = await openEngine()
  await db.exec('CREATE TABLE t (id)')
  mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  try {
    for (const begin of [
      () => db.begin(),
      () =>
        new Promise((given) =>
          db.transaction((tx) => new Promise((end) => given(Object.assign(tx, { rollback: end })))),
        ),
    ]) {
      const tx = await begin()
      mock.timers.tick(4000)
      await tx.run('INSERT INTO t VALUES (1)')
      mock.timers.tick(4000)
      assert.deepEqual(warnings, [])
      mock.timers.tick(1500)
      assert.equal(warnings[0]?.code, 'transaction_idle')
      assert.match(warnings[0].message, /call tx there/)
      mock.timers.tick(60_000)
      await tx.rollback()
      await db.get('SELECT 1')
      mock.timers.tick(60_000)
      assert.equal(warnings.splice(0).length, 1)
    }
  } finally {
    mock.timers.reset()
  }
  await db.close()
})

test('an aborted pull rejects with the reason, unless it has succeeded', async () => {
  const stop = [new AbortController(), new AbortController()]
  const asked = deferred()
  let answer = async (_, { signal }) => {
    asked.resolve()
    return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
  }
  const remote = {
    url: 'https://x.supabase.co',
    key: 'k',
    tables: ['t'],
    accessToken: async () => 'e30.e30.e30',
    fetch: (...given) => answer(...given),
  }
  let late = false
  const { db } = await openEngine({ remote }, (core) => ({
    async syncPull(...given) {
      const report = await core.syncPull(...given)
      if (late) stop[1].abort()
      return report
    },
  }))
  await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY)')
  const stopped = db.sync.pull({ signal: stop[0].signal })
  await asked.promise
  stop[0].abort('enough')
  await assert.rejects(stopped, (reason) => reason === 'enough')
  late = true
  answer = async () => new Response('[]', { headers: { 'content-range': '*/0', 'content-type': 'application/json' } })
  assert.equal((await db.sync.pull({ signal: stop[1].signal })).mode, 'merge')
  assert.equal(stop[1].signal.aborted, true)
  await db.close()
})
