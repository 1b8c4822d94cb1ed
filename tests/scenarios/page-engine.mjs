// Several calls of open() with one name in one page, or process: each gets a database object, and all share one engine.
import assert from 'node:assert/strict'

const table = 'CREATE TABLE IF NOT EXISTS t (n)'

export default {
  'each has an object of its own on one engine, which is closed with the last one': async ({
    options,
    open,
    until,
  }) => {
    const given = options()
    const [first, second] = await Promise.all([open(given), open(given)])
    assert.notEqual(first, second)
    await first.exec(table)
    const changes = []
    second.addEventListener('change', ({ detail }) => changes.push(...detail.tables))
    const live = second.live('SELECT n FROM t')
    await until(() => live.rows?.length === 0)
    await first.run('INSERT INTO t VALUES (1)')
    assert.deepEqual(await second.query('SELECT n FROM t'), [{ n: 1 }])
    await until(() => live.rows.length === 1 && changes.includes('t'))

    await first.close()
    assert.deepEqual([first.closed, second.closed], [true, false])
    await second.run('INSERT INTO t VALUES (2)')
    await until(() => live.rows.length === 2)
    await second.close()
    // With other options: nothing is left of the engine.
    const later = await open({ ...given, durability: 'strict' })
    assert.deepEqual(await later.get('SELECT count(*) AS n FROM t'), { n: 2 })
  },

  'objects that are closed at the same time are all closed, and everything is stored': async ({ options, open }) => {
    const given = options()
    const all = await Promise.all([open(given), open(given), open(given)])
    await all[0].exec(table)
    const writes = all.map((db) => db.run('INSERT INTO t VALUES (1)'))
    await Promise.all(all.map((db) => db.close()))
    await Promise.all(writes)
    assert.deepEqual(await (await open(given)).get('SELECT count(*) AS n FROM t'), { n: 3 })
  },

  'what a closed object has begun ends with it, and its calls are refused': async ({
    options,
    open,
    failure,
    until,
  }) => {
    const given = options()
    const [first, second] = [await open(given), await open(given)]
    await first.exec(table)
    let told = 0
    first.addEventListener('close', () => told++)
    const live = first.live('SELECT n FROM t')
    await until(() => live.rows)
    const tx = await first.begin()
    await tx.run("INSERT INTO t VALUES ('rolled back')")
    const queued = first.run("INSERT INTO t VALUES ('queued')")
    await first.close()
    await queued
    assert.equal(told, 1)
    assert.equal((await failure(first.query('SELECT 1'))).code, 'closed')
    assert.equal((await failure(first.begin())).code, 'closed')
    assert.equal((await failure(tx.run('DELETE FROM t'))).code, 'transaction_closed')
    assert.deepEqual(await second.query('SELECT n FROM t'), [{ n: 'queued' }])
    await first.close()
    assert.equal(second.closed, false)
  },

  'an effect that runs twice, as in StrictMode, opens, closes and opens again': async ({ options, tidelock }) => {
    const given = options({ migrations: [{ version: '1', name: 'a', up: async (tx) => tx.exec(table) }] })
    // Each run of a component makes the functions of its options again.
    const effect = () => {
      const opening = tidelock.open({
        ...given,
        onWarning: () => {},
        migrations: given.migrations.map((one) => ({ ...one, up: async (tx) => tx.exec(table) })),
      })
      return { opening, cleanUp: () => opening.then((db) => db.close()) }
    }
    for (let mount = 0; mount < 3; mount++) {
      const first = effect()
      const cleanedUp = first.cleanUp()
      const second = effect()
      const db = await second.opening
      await cleanedUp
      await db.run('INSERT INTO t VALUES (1)')
      // Not awaited, as when a component is shown again at once.
      const closing = db.close()
      const third = effect()
      assert.equal((await (await third.opening).get('SELECT count(*) AS n FROM t')).n, mount + 1)
      await Promise.all([closing, third.cleanUp()])
    }
  },

  'a close that has begun ends before the database is deleted, by force too': async (t) => {
    const { deleteDatabase, databases } = t.tidelock
    const given = t.options()
    const place = { storage: given.storage, path: given.path }
    for (const force of given.storage === 'file' ? [false] : [false, true]) {
      const db = await t.open(given)
      await db.exec(table)
      let end
      const transaction = db.transaction(async (tx) => {
        await tx.run("INSERT INTO t VALUES ('deleted')")
        await new Promise((resolve) => {
          end = resolve
        })
      })
      await t.until(() => end)
      const closing = db.close()
      const deleting = deleteDatabase(given.name, { ...place, force })
      // As long as it takes to look at the lock.
      await Promise.race([deleting, databases(place)]).finally(end)
      await Promise.all([transaction, closing, deleting])
      const again = await t.open(given)
      assert.deepEqual(await again.query('SELECT name FROM sqlite_schema'), [])
      await assert.rejects(
        () => deleteDatabase(given.name, place),
        (error) => error.code === 'database_in_use',
      )
      await again.close()
    }
  },

  'other options are refused by their names': async ({ options, open, failure, thread }) => {
    const given = options({ migrations: [{ version: '1', name: 'a', up: table }] })
    const db = await open(given)
    // A default that is written out is the same.
    await open({ ...given, thread, durability: 'relaxed', snapshots: { keep: 3 } })
    const refused = await failure(open({ ...given, durability: 'strict', snapshots: { keep: 4 } }))
    assert.equal(refused.code, 'invalid_argument')
    assert.deepEqual(refused.details, { option: 'durability', options: ['durability', 'snapshots'] })
    const edited = [{ version: '1', name: 'a', up: `${table};` }]
    assert.deepEqual((await failure(open({ ...given, migrations: edited }))).details.options, ['migrations'])
    const secret = { encryption: { passphrase: 'a guess' } }
    assert.deepEqual((await failure(open({ ...given, ...secret }))).details.options, ['encryption'])
    assert.deepEqual(await db.query('SELECT * FROM t'), [])
  },

  'an abort cancels the opening of its caller alone': async ({ options, open, tidelock, failure }) => {
    const given = options()
    const [one, other] = [new AbortController(), new AbortController()]
    const aborted = failure(tidelock.open({ ...given, signal: one.signal }))
    const opening = tidelock.open({ ...given, signal: other.signal })
    one.abort()
    assert.equal((await aborted).name, 'AbortError')
    await (await opening).close()
    // Of all callers: the lock is free again.
    const both = [1, 2].map(() => failure(tidelock.open({ ...given, signal: AbortSignal.abort() })))
    for (const { name } of await Promise.all(both)) assert.equal(name, 'AbortError')
    const last = new AbortController()
    const cancelled = failure(tidelock.open({ ...given, signal: last.signal }))
    last.abort()
    assert.equal((await cancelled).name, 'AbortError')
    await open(given)
  },

  'an opening that was aborted while a migration runs ends before the next one begins': async (t) => {
    let [hasBegun, goOn] = [false, () => {}]
    const turn = new Promise((resolve) => {
      goOn = resolve
    })
    const up = async (tx) => {
      hasBegun = true
      await turn
      await tx.exec(table)
    }
    const given = t.options({ migrations: [{ version: '1', name: 'a', up }] })
    const controller = new AbortController()
    const aborted = t.failure(t.tidelock.open({ ...given, signal: controller.signal }))
    await t.until(() => hasBegun)
    controller.abort()
    assert.equal((await aborted).name, 'AbortError')
    const next = t.open(given)
    goOn()
    assert.deepEqual(await (await next).query('SELECT * FROM t'), [])
  },

  'an opening that fails fails for all who wait, and the next one begins anew': async ({ options, open, failure }) => {
    const given = options({ migrations: [{ version: '1', name: 'a', up: 'nonsense' }] })
    for (const { code } of await Promise.all([failure(open(given)), failure(open(given))]))
      assert.equal(code, 'migration_failed')
    await open({ ...given, migrations: [] })
  },
}
