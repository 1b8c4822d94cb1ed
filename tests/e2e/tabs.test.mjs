// Several tabs with one database: who leads, and that a follower can do what a leader can.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'
import { close, haveRoles, opened } from './tabs-harness.mjs'

const context = suite()
const tabs = (count, options) => opened(context, count, options)

test('the first tab leads, later ones follow, and all see the same', async () => {
  const pages = await tabs(3)
  await haveRoles(pages, ['leader', 'follower', 'follower'])
  await pages[1].evaluate(() => window.db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, v)'))
  const counts = await Promise.all(
    pages.map((page, n) => page.evaluate((v) => window.db.run('INSERT INTO t(v) VALUES (?)', [v]), `tab ${n}`)),
  )
  assert.deepEqual(counts.map(({ lastInsertRowid }) => lastInsertRowid).sort(), [1, 2, 3])
  for (const page of pages) {
    assert.deepEqual(await page.evaluate(() => window.db.query('SELECT v FROM t ORDER BY v')), [
      { v: 'tab 0' },
      { v: 'tab 1' },
      { v: 'tab 2' },
    ])
  }
  await close(pages)
})

test('every way to run SQL works in a follower as in the leader', async () => {
  const pages = await tabs(2)
  const results = []
  for (const page of [...pages].reverse()) {
    results.push(
      await page.evaluate(async () => {
        const { db } = window
        const out = {}
        await db.exec('DROP TABLE IF EXISTS t; CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE, b)')
        out.run = await db.run('INSERT INTO t(a, b) VALUES (:a, :b)', { a: 'x', b: new Uint8Array([1, 2]) })
        out.returning = await db.query("INSERT INTO t(a, b) VALUES ('y', 2.5) RETURNING id, a, b")
        out.many = await db.runMany(
          'INSERT INTO t(a, b) VALUES (?, ?)',
          Array.from({ length: 5000 }, (_, n) => [`n${n}`, n]),
        )
        out.get = await db.get('SELECT a, length(b) AS bytes FROM t WHERE id = 1')
        out.missing = await db.get('SELECT * FROM t WHERE id = -1')
        out.batch = await db.batch([
          { sql: 'UPDATE t SET b = 0 WHERE id = ?', params: [2] },
          { sql: 'SELECT b FROM t WHERE id = ?', params: [2] },
        ])
        out.arrays = await db.query('SELECT id, a FROM t WHERE id < 3', [], { rowMode: 'array' })
        out.sql = await db.sql`SELECT ${'é😀'} AS text, ${2n ** 60n} AS big`
        out.sum = 0
        for await (const { b } of db.iterate('SELECT b FROM t WHERE id > 2')) out.sum += b
        out.plan = (await db.explain('SELECT * FROM t WHERE id = 1')).length
        out.transaction = await db.transaction(async (tx) => {
          await tx.run("INSERT INTO t(a) VALUES ('in')")
          await tx.transaction((inner) => inner.run("INSERT INTO t(a) VALUES ('inner')"))
          await window.failure(
            tx.transaction(async (inner) => {
              await inner.run("INSERT INTO t(a) VALUES ('undone')")
              throw new Error('no')
            }),
          )
          return (await tx.query("SELECT a FROM t WHERE a IN ('in', 'inner', 'undone')")).length
        })
        out.rolledBack = (
          await window.failure(
            db.transaction(async (tx) => {
              await tx.run('DELETE FROM t')
              throw new Error('mine')
            }),
          )
        ).notOurs
        const begun = await db.begin()
        await begun.run("INSERT INTO t(a) VALUES ('begun')")
        await begun.commit()
        out.begun = await db.get("SELECT count(*) AS n FROM t WHERE a = 'begun'")
        const constraint = await window.failure(db.run("INSERT INTO t(a) VALUES ('x')"))
        out.constraint = [constraint.code, constraint.details.sqliteCode]
        const syntax = await window.failure(db.query('SELECT nothing FROM'))
        out.syntax = [syntax.code, syntax.details.offset]
        out.batchError = (await window.failure(db.batch([{ sql: 'SELECT 1' }, { sql: 'no' }]))).details.statement
        out.params = (await window.failure(db.run('INSERT INTO t(a) VALUES (?)', []))).code
        const controller = new AbortController()
        const abort = db.query('SELECT 1', [], { signal: controller.signal })
        controller.abort('enough')
        out.abort = await window.failure(abort)
        out.slow = (
          await window.failure(
            db.query('WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c', [], {
              timeoutMs: 100,
            }),
          )
        ).code
        out.rows = await db.get('SELECT count(*) AS n FROM t')
        out.json = await db.get(`SELECT json_extract('{"a":7}', '$.a') AS a`)
        out.sql = JSON.stringify(out.sql, (_, value) => (typeof value === 'bigint' ? `${value}n` : value))
        return out
      }),
    )
  }
  const [follower, leader] = results
  assert.deepEqual(follower, leader)
  assert.deepEqual(leader.many, { changes: 5000 })
  assert.deepEqual(leader.returning, [{ id: 2, a: 'y', b: 2.5 }])
  assert.deepEqual(leader.batch, [[], [{ b: 0 }]])
  assert.equal(leader.sum, (4999 * 5000) / 2)
  assert.equal(leader.transaction, 2)
  assert.deepEqual(leader.constraint, ['sqlite_constraint', 'SQLITE_CONSTRAINT_UNIQUE'])
  assert.equal(leader.slow, 'timeout')
  assert.equal(leader.abort.notOurs, 'enough')
  assert.deepEqual(leader.rows, { n: 5005 })
  await close(pages)
})

test('the parts of a database work in a follower', async () => {
  const migrations = [
    { version: '1', name: 'one', up: 'CREATE TABLE t (id INTEGER PRIMARY KEY, v)', down: 'DROP TABLE t' },
  ]
  const pages = await tabs(2, { migrations, audit: ['t'] })
  await pages[0].evaluate(() => {
    window.db.actor = 'leading'
  })
  const result = await pages[1].evaluate(async () => {
    const { db } = window
    const out = {}
    db.actor = 'following'
    await db.run("INSERT INTO t(v) VALUES ('a')")
    const heard = new Promise((resolve) => db.addEventListener('snapshot', resolve, { once: true }))
    const { id } = await db.snapshots.create({ label: 'mine' })
    out.event = (await heard).type
    await db.run("INSERT INTO t(v) VALUES ('b')")
    out.verified = await db.snapshots.verify(id)
    const file = await db.snapshots.export(id)
    out.file = new TextDecoder().decode((await file.arrayBuffer()).slice(0, 15))
    await db.snapshots.restore(id)
    out.restored = await db.query('SELECT v FROM t')
    out.list = (await db.snapshots.list()).some(({ label }) => label === 'mine')
    out.migrations = (await db.migrations.status()).map(({ state }) => state)
    out.drift = await db.migrations.drift()
    out.generated = await db.migrations.generate('CREATE TABLE t (id INTEGER PRIMARY KEY, v, w)')
    const bytes = await db.export()
    await db.run("INSERT INTO t(v) VALUES ('c')")
    await db.import(bytes)
    out.imported = await db.query('SELECT v FROM t')
    out.text = new TextDecoder().decode(await db.export({ format: 'sql' })).includes('CREATE TABLE t')
    out.health = (await db.health()).status
    out.maintained = (await db.maintain()).ok !== undefined
    out.persist = typeof (await db.persist())
    await db.flush()
    return out
  })
  assert.equal(result.event, 'snapshot')
  assert.equal(result.verified.ok, true)
  assert.equal(result.file, 'SQLite format 3')
  assert.deepEqual(result.restored, [{ v: 'a' }])
  assert.equal(result.list, true)
  assert.deepEqual(result.migrations, ['applied'])
  assert.deepEqual(result.drift, { added: [], removed: [], changed: [] })
  assert.match(result.generated.up, /ALTER TABLE/)
  assert.doesNotMatch(result.generated.up + result.generated.down, /tidelock/)
  assert.deepEqual(result.imported, [{ v: 'a' }])
  assert.equal(result.text, true)
  assert.notEqual(result.health, 'failed')
  assert.equal(result.persist, 'boolean')
  await pages[0].evaluate(() => window.db.run("INSERT INTO t(v) VALUES ('by the leader')"))
  await pages[1].evaluate(() => window.db.run("INSERT INTO t(v) VALUES ('by the follower')"))
  const actors = await pages[0].evaluate(() =>
    window.db.query('SELECT actor FROM audit_log ORDER BY id DESC LIMIT 2', [], { rowMode: 'array' }),
  )
  assert.deepEqual(actors, [['following'], ['leading']])
  await close(pages)
})

test('each write has the actor that was set before it, at once and while others wait', async () => {
  const migrations = [{ version: '1', name: 'one', up: 'CREATE TABLE t (v)' }]
  const pages = await tabs(2, { migrations, audit: ['t'] })
  await Promise.all(
    pages.map((page, tab) =>
      page.evaluate(async (tab) => {
        const { db } = window
        const calls = []
        for (let n = 0; n < 30; n++) {
          db.actor = `${tab} ${n}`
          const write = (on) => on.run('INSERT INTO t VALUES (?)', [`${tab} ${n}`])
          if (n % 5 === 4) calls.push(db.transaction(write))
          else if (n % 5 === 3) calls.push(db.runMany('INSERT INTO t VALUES (?)', [[`${tab} ${n}`]]))
          else calls.push(write(db))
          if (n % 7 === 6) await Promise.all(calls)
        }
        await Promise.all(calls)
      }, tab),
    ),
  )
  const logged = await pages[0].evaluate(() => window.db.query('SELECT actor, new_values FROM audit_log'))
  assert.equal(logged.length, 60)
  for (const { actor, new_values } of logged) assert.equal(actor, JSON.parse(new_values).v)
  await close(pages)
})

test('live queries and change events hear of the commits of all tabs, once each', async () => {
  const pages = await tabs(3)
  await pages[0].evaluate(() => window.db.exec('CREATE TABLE t (v); CREATE TABLE other (v)'))
  for (const page of pages) {
    await page.evaluate(async () => {
      window.seen = []
      window.changes = []
      window.live = window.db.live('SELECT count(*) AS n FROM t')
      window.live.subscribe(([{ n }]) => window.seen.push(n))
      window.db.addEventListener('change', ({ detail }) => window.changes.push(detail.tables.join()))
      await window.until(() => window.seen.length === 1)
      await window.db.query('SELECT 1')
    })
  }
  for (const [n, page] of pages.entries()) {
    await page.evaluate(() => window.db.run('INSERT INTO t VALUES (1)'))
    for (const each of pages) await each.evaluate((count) => window.until(() => window.seen.at(-1) === count), n + 1)
  }
  await pages[1].evaluate(() => window.db.run('INSERT INTO other VALUES (1)'))
  for (const page of pages) {
    await page.evaluate(() => window.until(() => window.changes.length === 4))
    assert.deepEqual(await page.evaluate(() => window.seen), [0, 1, 2, 3])
    assert.deepEqual(await page.evaluate(() => window.changes), ['t', 't', 't', 'other'])
  }
  await close(pages)
})

test('a transaction in one tab keeps the others waiting; that of a tab that goes is rolled back', async () => {
  const pages = await tabs(3)
  await pages[0].evaluate(() => window.db.exec('CREATE TABLE t (v)'))
  await pages[1].evaluate(async () => {
    window.tx = await window.db.begin()
    await window.tx.run("INSERT INTO t VALUES ('uncommitted')")
  })
  const others = [pages[0], pages[2]]
  for (const page of others) {
    await page.evaluate(async () => {
      window.reading = window.db.query('SELECT v FROM t').then((rows) => {
        window.read = true
        return rows.length
      })
      // What doesn't wait for transactions goes the same way, and is answered.
      for (let n = 0; n < 2; n++) await window.db.health()
    })
  }
  await pages[1].evaluate(() => window.tx.run("INSERT INTO t VALUES ('more')"))
  for (const page of others) assert.equal(await page.evaluate(() => window.read), undefined, 'it waits')
  await pages[1].close()
  for (const page of others) assert.equal(await page.evaluate(() => window.reading), 0)
  // And one that is closed by a call.
  await pages[2].evaluate(async () => {
    window.tx = await window.db.begin()
    await window.tx.run("INSERT INTO t VALUES ('uncommitted')")
    await window.db.close()
  })
  assert.equal(await pages[0].evaluate(async () => (await window.db.query('SELECT v FROM t')).length), 0)
  assert.equal((await pages[2].evaluate(() => window.failure(() => window.db.query('SELECT 1')))).code, 'closed')
  await close([pages[0], pages[2]])
})

test('when the leader closes, another tab leads and goes on with what was under way', async () => {
  const pages = await tabs(3)
  await pages[1].evaluate(() => window.db.exec('CREATE TABLE t (v); INSERT INTO t VALUES (1)'))
  await pages[2].evaluate(async () => {
    window.seen = []
    window.live = window.db.live('SELECT count(*) AS n FROM t')
    window.live.subscribe(([{ n }]) => window.seen.push(n))
    await window.until(() => window.seen.length > 0)
  })
  const writes = pages[2].evaluate(async () => {
    for (let n = 0; n < 50; n++) await window.db.run('INSERT INTO t VALUES (2)')
  })
  await pages[0].evaluate(() => window.db.close())
  await writes
  await pages[1].evaluate(() => window.until(() => window.db.role === 'leader'))
  assert.deepEqual(await pages[1].evaluate(() => window.roles), ['leader'])
  assert.deepEqual(await pages[2].evaluate(() => [window.db.role, window.roles]), ['follower', []])
  await pages[1].evaluate(() => window.db.run('INSERT INTO t VALUES (3)'))
  await pages[2].evaluate(() => window.until(() => window.seen.at(-1) === 52))
  assert.equal((await pages[0].evaluate(() => window.failure(() => window.db.query('SELECT 1')))).code, 'closed')
  const again = await pages[0].evaluate(
    async (given) => {
      window.db = await window.open({ name: given, tabs: 'shared' })
      return [window.db.role, (await window.db.get('SELECT count(*) AS n FROM t')).n]
    },
    await pages[1].evaluate(() => window.db.name),
  )
  assert.deepEqual(again, ['follower', 52])
  await close(pages)
})

test('a leader that closes meanwhile answers the calls of others with their column names', async () => {
  const [leader, follower] = await tabs(2)
  await leader.evaluate(async () => {
    await window.db.exec('CREATE TABLE t (n INTEGER PRIMARY KEY, x)')
    const busy = new Promise((resolve) => {
      window.end = resolve
    })
    window.transaction = window.db.transaction(() => busy)
  })
  const asked = follower.evaluate(() =>
    Promise.all([
      window.db.query("INSERT INTO t VALUES (1, 'a') RETURNING n, x"),
      window.db.get('SELECT n AS number, x AS text FROM t'),
      window.db.batch([{ sql: 'SELECT count(*) AS many, max(x) AS most FROM t' }]),
    ]),
  )
  // biome-ignore lint/plugin: no state shows that the calls wait in the leader.
  await new Promise((resolve) => setTimeout(resolve, 100))
  await leader.evaluate(async () => {
    const closing = window.db.close()
    window.end()
    await Promise.all([window.transaction, closing])
  })
  assert.deepEqual(await asked, [[{ n: 1, x: 'a' }], { number: 1, text: 'a' }, [[{ many: 1, most: 'a' }]]])
  await close([leader, follower])
})

test('a tab that is closing its database deletes it then, unless others have it open', async () => {
  const [leader, follower] = await tabs(2)
  const deleteWhileClosing = (page) =>
    page.evaluate(async () => {
      const closing = window.db.close()
      const code = await window.tidelock.deleteDatabase(window.db.name).then(
        () => 'deleted',
        (error) => error.code,
      )
      await closing
      return code
    })
  assert.equal(await deleteWhileClosing(leader), 'database_in_use')
  await haveRoles([follower], ['leader'])
  assert.equal(await deleteWhileClosing(follower), 'deleted')
  await close([leader, follower])
})

test('a leader that closes does not wait for ever for the transactions of others', {
  only: 'current',
  because: 'how long a leader waits is decided in the page, wherever its engine runs',
}, async () => {
  const [leader, follower] = await tabs(2)
  await follower.evaluate(async () => {
    await window.db.exec('CREATE TABLE t (v)')
    window.tx = await window.db.begin()
    await window.tx.run('INSERT INTO t VALUES (1)')
  })
  await leader.evaluate(() => window.db.close())
  await follower.evaluate(() => window.until(() => window.db.role === 'leader'))
  const failed = await follower.evaluate(() => window.failure(() => window.tx.commit()))
  assert.deepEqual([failed.code, failed.details.applied], ['leader_changed', false])
  assert.deepEqual(await follower.evaluate(() => window.db.query('SELECT v FROM t')), [])
  await close([leader, follower])
})

test('an opening that is cancelled leaves nothing behind', async () => {
  const name = freshName()
  const [owner, page] = [await context.page(), await context.page()]
  await owner.evaluate(async (given) => {
    window.db = await window.open({ name: given })
  }, name)
  const given = await page.evaluate(async (name) => {
    const stop = new AbortController()
    const options = { name, tabs: 'shared', lock: { onBusy: 'wait' }, signal: stop.signal }
    const opening = window.failure(() => window.open(options))
    await window.until(async () =>
      (await navigator.locks.query()).pending.some((lock) => lock.name === `tidelock/${name}`),
    )
    stop.abort('enough')
    return (await opening).notOurs
  }, name)
  assert.equal(given, 'enough')
  await owner.evaluate(() => window.db.close())
  await page.evaluate(
    (name) =>
      window.until(async () => {
        const { held, pending } = await navigator.locks.query()
        return [...held, ...pending].every((lock) => !lock.name.includes(name))
      }),
    name,
  )
  await close([owner, page])
})

test('a tab that wants the database for itself, and tabs that share it, exclude each other', async () => {
  const [first, second] = await tabs(2)
  const name = await first.evaluate(() => window.db.name)
  const page = await context.page()
  const alone = (lock) =>
    page.evaluate(
      (given) =>
        window.failure(async () => {
          window.db = await window.open(given)
          return window.db.role
        }),
      { name, lock },
    )
  const refused = await alone({ onBusy: 'fail' })
  assert.equal(refused.code, 'database_in_use')
  assert.equal(refused.details.holder.title, 'A page under test')
  const says = async (page) =>
    (await page.evaluate((name) => window.failure(() => window.open({ name })), name)).message
  const inThatPage = "This page has the database open already, with another value of 'tabs'"
  assert.deepEqual([await says(first), await says(second)], [inThatPage, inThatPage])
  assert.equal((await alone({ onBusy: 'wait', timeoutMs: 100 })).code, 'lock_timeout')
  await first.evaluate(() => window.db.exec('CREATE TABLE t (v)'))
  assert.equal((await alone({ onBusy: 'takeover' })).resolved, 'owner')
  await first.evaluate(() => window.until(() => window.db.closed))
  // Those that still share wait for it.
  const writing = second.evaluate(() => window.failure(() => window.db.run('INSERT INTO t VALUES (1)')))
  const late = await context.page()
  const shared = await late.evaluate(
    (given) => window.failure(() => window.open({ name: given, tabs: 'shared', lock: { timeoutMs: 300 } })),
    name,
  )
  await late.close()
  assert.equal(shared.code, 'leader_unreachable')
  assert.equal(shared.retryable, true)
  await page.evaluate(() => window.db.close())
  assert.equal((await writing).resolved.changes, 1)
  await haveRoles([second], ['leader'])
  await close([first, second, page])
})

test('a shared opening follows onBusy when a tab has the database for itself', {
  only: 'worker',
  because: 'the locks are those of the test above, which runs in both threads',
}, async () => {
  const name = freshName()
  const [owner, other] = [await context.page(), await context.page()]
  await owner.evaluate(async (given) => {
    window.db = await window.open({ name: given })
  }, name)
  const open = (lock) =>
    other.evaluate(
      (given) =>
        window.failure(async () => {
          window.db = await window.open(given)
          return window.db.role
        }),
      { name, tabs: 'shared', lock },
    )
  assert.equal((await open({})).code, 'database_in_use')
  assert.equal((await open({ onBusy: 'wait', timeoutMs: 100 })).code, 'lock_timeout')
  await other.evaluate(
    (given) =>
      window.until(async () => {
        const { held } = await navigator.locks.query()
        return held.every((lock) => !lock.name.includes(given) || lock.name === `tidelock/${given}`)
      }),
    name,
  )
  assert.equal((await open({ onBusy: 'takeover' })).resolved, 'leader')
  await owner.evaluate(() => window.until(() => window.db.closed))
  await close([owner, other])
})

test('secrets and integers are those of all tabs, also after a change of the secret', {
  only: 'worker',
  because: 'who may join is decided in the page, wherever its engine runs',
}, async () => {
  const [first] = await tabs(1, { encryption: { passphrase: 'right' }, integers: 'bigint' })
  const name = await first.evaluate(() => window.db.name)
  const page = await context.page()
  const open = (options) =>
    page.evaluate(
      (given) =>
        window.failure(async () => {
          const db = await window.open(given)
          const { role } = db
          await db.close()
          return role
        }),
      { name, tabs: 'shared', integers: 'bigint', ...options },
    )
  const right = { encryption: { passphrase: 'right' } }
  assert.equal((await open(right)).resolved, 'follower')
  for (const wrong of [{ encryption: { passphrase: 'wrong' } }, {}])
    assert.equal((await open(wrong)).code, 'decryption_failed', JSON.stringify(wrong))
  assert.equal((await open({ ...right, integers: 'auto' })).code, 'invalid_argument')
  // The tab that changes the secret leads from then on, and has to: no other tab knows it (tabs-secret.test.mjs has what becomes of the others).
  const [third] = await tabs(1, { name, integers: 'bigint', ...right })
  await page.evaluate(
    async (given) => {
      window.db = await window.open(given)
      await window.db.rekey({ passphrase: 'new' })
    },
    { name, tabs: 'shared', integers: 'bigint', ...right },
  )
  await haveRoles([page], ['leader'])
  assert.equal((await third.evaluate(() => window.failure(() => window.db.get('SELECT 1 AS n')))).code, 'closed')
  assert.equal((await open({ encryption: { passphrase: 'new' } })).resolved, 'leader')
  // In the same page: the options of a second open() must be those of the first.
  assert.equal((await open(right)).code, 'invalid_argument')
  await third.close()
  await close([first, page])
})

test('functions of a follower come from a module', {
  only: 'current',
  because: 'a worker takes no closures at all',
}, async () => {
  const [first] = await tabs(1)
  const name = await first.evaluate(() => window.db.name)
  const other = await context.page()
  const refused = await other.evaluate(
    (given) =>
      window.failure(() => window.open({ name: given, tabs: 'shared', functions: { scalar: { one: () => 1 } } })),
    name,
  )
  await other.close()
  assert.equal(refused.code, 'unsupported_environment')
  const leads = await first.evaluate(async (given) => {
    const db = await window.open({ name: given, tabs: 'shared', functions: { scalar: { one: () => 1 } } })
    const row = await db.get('SELECT one() AS n')
    await db.close()
    return row
  }, freshName())
  assert.deepEqual(leads, { n: 1 })
  await close([first])
})

test('a newer app takes the lead, and the old tabs are told so', {
  only: 'worker',
  because: 'whose app is newer is found out between the pages',
}, async () => {
  const old = [{ version: '1', name: 'one', up: 'CREATE TABLE t (v)' }]
  const pages = await tabs(2, { migrations: old })
  const name = await pages[0].evaluate(() => window.db.name)
  await pages[1].evaluate(() => window.db.run('INSERT INTO t VALUES (1)'))
  const asBefore = { name, tabs: 'shared', migrations: old }
  await pages[1].evaluate(async (given) => {
    window.component = await window.open(given)
    window.lockEvents = []
    window.component.addEventListener('lock', ({ detail }) => window.lockEvents.push(detail.state))
    window.liveErrors = []
    window.component.live('SELECT v FROM t').subscribe(
      () => {},
      (error) => window.liveErrors.push(error.code),
    )
  }, asBefore)
  const newer = [...old, { version: '2', name: 'two', up: 'ALTER TABLE t ADD COLUMN w' }]
  const [page] = await tabs(1, { name, migrations: newer })
  await haveRoles([page], ['leader'])
  assert.deepEqual(await page.evaluate(() => window.db.query('SELECT v, w FROM t')), [{ v: 1, w: null }])
  for (const each of pages) {
    const failed = await each.evaluate(() =>
      window.until(async () => {
        const failed = await window.failure(() => window.db.query('SELECT 1'))
        return failed.code && failed
      }),
    )
    assert.equal(failed.code, 'schema_too_new', JSON.stringify(failed))
    assert.ok(failed.hint)
  }
  // A refused tab is no client any more: of the three, only the leader's lock is left.
  await page.evaluate(
    (given) =>
      window.until(async () => {
        const { held } = await navigator.locks.query()
        return held.filter(({ name }) => name.startsWith(`tidelock/${given}/client/`)).length === 1
      }),
    name,
  )
  const late = await context.page()
  for (const each of [late, pages[1]]) {
    const refused = await each.evaluate((given) => window.failure(() => window.open(given)), asBefore)
    assert.equal(refused.code, 'schema_too_new')
  }
  await pages[1].evaluate(() => window.until(() => window.liveErrors.includes('schema_too_new')))
  assert.deepEqual(await pages[1].evaluate(() => window.lockEvents), ['released'])
  await pages[1].evaluate(() => window.component.close())
  const changed = [{ ...old[0], up: 'CREATE TABLE t (v, x)' }, newer[1]]
  const other = await late.evaluate((given) => window.failure(() => window.open(given)), {
    name,
    tabs: 'shared',
    migrations: changed,
  })
  assert.equal(other.code, 'migration_checksum_mismatch')
  for (const each of pages) await each.evaluate(() => window.db.close())
  assert.equal(await page.evaluate(async () => (await window.db.query('SELECT v FROM t')).length), 1)
  await close([...pages, page, late])
})

test('with dev: true, a shared database that does not fit its migrations is reset, unless another tab has it', async () => {
  const page = await context.page()
  const seen = await page.evaluate(async (name) => {
    const opening = (up, more) =>
      window.open({ name, tabs: 'shared', migrations: [{ version: '1', name: 'a', up }], ...more })
    await (await opening('CREATE TABLE t (n)')).close()
    const warnings = []
    const onWarning = ({ code }) => warnings.push(code)
    const db = await opening('CREATE TABLE u (n)', { dev: true, onWarning })
    const tables = await db.query("SELECT name FROM sqlite_schema WHERE name IN ('t', 'u')")
    const [{ reason }] = await db.snapshots.list()
    const other = await window.otherPage()
    const edited = {
      name,
      tabs: 'shared',
      dev: true,
      lock: { timeoutMs: 300 },
      migrations: [{ version: '1', name: 'a', up: 'CREATE TABLE v (n)' }],
    }
    const refused = await other.failure(other.open(edited))
    other.frameElement.remove()
    const stays = await db.query('SELECT n FROM u')
    const { role } = db
    await db.close()
    return { warnings, tables, reason, role, stays, refused: refused.code }
  }, freshName())
  assert.deepEqual(seen, {
    warnings: ['migration_checksum_mismatch'],
    tables: [{ name: 'u' }],
    reason: 'safety',
    role: 'leader',
    stays: [],
    refused: 'lock_timeout',
  })
  await page.close()
})
