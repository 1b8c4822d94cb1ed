// The tab that leads goes: closed, crashed, frozen, in the midst of writes. What was acknowledged is there, and nothing is there twice.
import assert from 'node:assert/strict'
import { clearSiteData, freshName, suite, test, until } from './harness.mjs'
import { close, crash, hang, haveRoles, leaderOf, opened } from './tabs-harness.mjs'

const context = suite()
const tabs = (count, options) => opened(context, count, options)

/** Counts in a tab, in several ways, until it is asked to stop; returns the counts then. */
function count(page, who) {
  return page.evaluate(async (tab) => {
    window.counted = 0
    window.stop = false
    window.changed = 0
    for (let n = 1; !window.stop; n++) {
      const { db } = window
      try {
        switch (n % 4) {
          case 0:
            await db.run('UPDATE counters SET n = n + 1 WHERE who = ?', [tab])
            break
          case 1: {
            const [row] = await db.query('UPDATE counters SET n = n + 1 WHERE who = ? RETURNING n', [tab])
            if (row.n !== window.counted + 1) throw new Error(`answered ${row.n} to ${window.counted + 1}`)
            break
          }
          case 2:
            await db.batch([
              { sql: 'UPDATE counters SET n = n + 1 WHERE who = ?', params: [tab] },
              { sql: 'INSERT INTO log VALUES (?, ?)', params: [tab, n] },
            ])
            break
          default:
            await db.transaction(async (tx) => {
              const row = await tx.get('SELECT n FROM counters WHERE who = ?', [tab])
              await tx.run('UPDATE counters SET n = ? WHERE who = ?', [row.n + 1, tab])
            })
        }
        window.counted++
      } catch (error) {
        if (error.code !== 'leader_changed' || error.details.applied !== false) {
          throw new Error(`${n % 4}: ${error.code} ${error.message} ${JSON.stringify(error.details)}`)
        }
        window.changed++
      }
    }
    return [window.counted, window.changed]
  }, who)
}

/** Waits until each of these tabs has counted so often more, in each of its ways. */
const counting = (pages) =>
  Promise.all(
    pages.map((page) =>
      page.evaluate(() => {
        const enough = window.counted + 8
        return window.until(() => window.counted >= enough)
      }),
    ),
  )

const schema = 'CREATE TABLE counters (who PRIMARY KEY, n); CREATE TABLE log (who, n, PRIMARY KEY (who, n))'

async function begin(pages) {
  await pages[0].evaluate((script) => window.db.exec(script), schema)
  for (const who of pages.keys())
    await pages[0].evaluate((tab) => window.db.run('INSERT INTO counters VALUES (?, 0)', [tab]), who)
}

for (const [how, end, thread] of [
  ['crashed', crash, { only: 'current', because: 'a crash ends a page and its worker at once' }],
  ['closed', (page) => page.close(), { only: 'worker', because: 'a worker may outlive its page by a moment' }],
]) {
  test(`counters of four tabs sum up while one leader after the other is ${how}`, thread, async () => {
    const pages = await tabs(4)
    await begin(pages)
    const counts = pages.map((page, who) => count(page, who))
    for (const each of counts) each.catch(() => {})
    const left = [...pages]
    for (let round = 0; round < 3; round++) {
      await counting(left)
      const leader = await leaderOf(left)
      await end(leader)
      left.splice(left.indexOf(leader), 1)
    }
    const [last] = left
    await last.evaluate(() => window.until(() => window.db.role === 'leader'))
    await counting(left)
    await last.evaluate(() => {
      window.stop = true
    })
    const who = pages.indexOf(last)
    const [counted] = await counts[who]
    const rows = await last.evaluate(() => window.db.query('SELECT who, n FROM counters ORDER BY who'))
    assert.equal(rows[who].n, counted)
    assert.ok(counted > 20, `${counted}`)
    assert.ok(rows.every(({ n }) => n > 0))
    assert.deepEqual(await last.evaluate(() => window.db.query('PRAGMA integrity_check')), [{ integrity_check: 'ok' }])
    // Of the tabs that have ended nothing is kept for ever.
    await last.evaluate(() => window.db.close())
    await close(left)
  })
}

test('a leader that hangs in the midst of writes is replaced, and is a follower when it comes back', async () => {
  const pages = await tabs(3)
  const others = pages.slice(1)
  await begin(pages)
  const counts = others.map((page, n) => count(page, n + 1))
  for (const each of counts) each.catch(() => {})
  await counting(others)
  const release = await hang(pages[0], (stop) =>
    window.failure(
      window.db.transaction(async (tx) => {
        await tx.run("INSERT INTO log VALUES ('blocked', 1)")
        await new Promise((resolve) => setTimeout(resolve)) // a task of its own: not within one of the engine
        stop()
        await tx.run("INSERT INTO log VALUES ('blocked', 2)")
      }),
    ),
  )
  await leaderOf(others)
  await counting(others)
  const failed = await release()
  assert.ok(['lock_lost', 'leader_changed', 'transaction_closed'].includes(failed.code), JSON.stringify(failed))
  await pages[0].evaluate(() => window.until(() => window.db.role === 'follower'))
  assert.deepEqual(await pages[0].evaluate(() => window.roles), ['follower'])
  await counting(others)
  for (const page of others) {
    await page.evaluate(() => {
      window.stop = true
    })
  }
  const counted = (await Promise.all(counts)).map(([n]) => n)
  const seen = await pages[0].evaluate(() =>
    window.failure(async () => [
      await window.db.query('SELECT n FROM counters WHERE who > 0 ORDER BY who', [], { rowMode: 'array' }),
      (await window.db.get("SELECT count(*) AS n FROM log WHERE who = 'blocked'")).n,
    ]),
  )
  assert.deepEqual(seen, { resolved: [counted.map((n) => [n]), 0] })
  await close(pages)
})

test('what a transaction and other calls hear when the leader goes', async () => {
  const pages = await tabs(2)
  await begin(pages)
  await pages[1].evaluate(async () => {
    const { db } = window
    window.tx = await db.begin()
    await window.tx.run("INSERT INTO log VALUES ('tx', 1)")
    window.live = db.live('SELECT count(*) AS n FROM log')
  })
  await crash(pages[0])
  await pages[1].evaluate(() => window.until(() => window.db.role === 'leader'))
  const failed = await pages[1].evaluate(() => window.failure(() => window.tx.run("INSERT INTO log VALUES ('tx', 2)")))
  assert.equal(failed.code, 'leader_changed')
  assert.equal(failed.details.applied, false)
  await pages[1].evaluate(() => window.failure(() => window.tx.rollback()))
  assert.deepEqual(await pages[1].evaluate(() => window.db.query('SELECT * FROM log')), [])
  await pages[1].evaluate(() => window.db.run("INSERT INTO log VALUES ('after', 1)"))
  await pages[1].evaluate(() => window.until(() => window.live.rows?.[0].n === 1))
  await close([pages[1]])
})

test('the answers that are kept go with their tabs', async (_, thread) => {
  const pages = await tabs(3, { migrations: [{ version: '1', name: 'one', up: schema }] })
  const [leader, one, other] = pages
  for (const page of pages) {
    for (let n = 0; n < 3; n++)
      await page.evaluate(
        (v) => window.db.run("INSERT INTO log VALUES ('kept', ?)", [v]),
        `${pages.indexOf(page)}-${n}`,
      )
  }
  const kept = () =>
    leader.evaluate(async () =>
      (await window.db.query('SELECT count(*) AS n FROM tidelock_applied GROUP BY client')).map(({ n }) => n),
    )
  // One each, as what is answered is forgotten by the next; also of the leader, where its worker may die alone.
  const own = thread === 'worker' ? [1] : []
  assert.deepEqual(await kept(), [1, 1, ...own])
  await one.close()
  // They go with the next write after the tab.
  let writes = 0
  const after = await until(async () => {
    await other.evaluate((n) => window.db.run("INSERT INTO log VALUES ('kept', ?)", [`more ${n}`]), ++writes)
    const left = await kept()
    return left.length < 2 + own.length && left
  })
  assert.deepEqual(after, [1, ...own])
  assert.deepEqual(await other.evaluate(() => window.db.migrations.drift()), { added: [], removed: [], changed: [] })
  await close([leader, other])
})

test('without anybody who leads, calls reject with leader_unreachable after the time that was given', {
  only: 'current',
  because: 'who is reachable is found out between the pages',
}, async () => {
  const pages = await tabs(2, { lock: { timeoutMs: 1000 } })
  await begin(pages)
  // A tab in the background takes no lead away.
  await pages[1].evaluate(() => Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' }))
  const name = await pages[0].evaluate(() => window.db.name)
  const release = await hang(pages[0])
  const [read, write] = await pages[1].evaluate(() =>
    Promise.all([
      window.failure(window.db.query('SELECT 1')),
      window.failure(window.db.run("INSERT INTO log VALUES ('unreachable', 1)")),
    ]),
  )
  assert.deepEqual(
    [read.code, read.retryable, write.code, write.details.applied],
    ['leader_unreachable', true, 'leader_unreachable', null],
  )
  const third = await context.page()
  const opening = await third.evaluate((given) => {
    Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' })
    return window.failure(() => window.open({ name: given, tabs: 'shared', lock: { timeoutMs: 300 } }))
  }, name)
  assert.equal(opening.code, 'leader_unreachable')
  await third.close()
  await release()
  await pages[1].evaluate(() => window.until(async () => (await window.failure(window.db.query('SELECT 1'))).resolved))
  await haveRoles(pages, ['leader', 'follower'])
  await close(pages)
})

test('a write whose answer was lost with its leader is answered by the next one, and not done again', async () => {
  const pages = await tabs(2)
  await begin(pages)
  await pages[1].evaluate(() => window.db.query('SELECT 1'))
  // From now on no tab receives messages of the leader.
  await pages[0].evaluate(() => {
    BroadcastChannel.prototype.postMessage = () => {}
  })
  await pages[1].evaluate(() => {
    const { db } = window
    window.answers = Promise.all([
      db.run("INSERT INTO log VALUES ('run', 1)"),
      db.query("INSERT INTO log VALUES ('returning', 1), ('returning', 2) RETURNING who, n, x'0102' AS blob"),
      db.get("INSERT INTO log VALUES ('get', 1) RETURNING n AS other"),
      db.runMany('INSERT INTO log VALUES (?, ?)', [
        ['many', 1],
        ['many', 2],
      ]),
      db.batch([
        { sql: "INSERT INTO log VALUES ('batch', 1) RETURNING who" },
        { sql: 'SELECT count(*) AS n FROM log' },
      ]),
      db.exec("INSERT INTO log VALUES ('exec', 1); INSERT INTO log VALUES ('exec', 2)"),
      window.failure(db.run("INSERT INTO log VALUES ('run', 1)")),
      window.failure(db.exec("BEGIN; INSERT INTO log VALUES ('own', 1); COMMIT")),
      window.failure(db.snapshots.create()),
    ])
  })
  await pages[0].evaluate(() => window.until(async () => (await window.db.query('SELECT 1 FROM log')).length === 10))
  await pages[0].evaluate(() => window.db.flush())
  await crash(pages[0])
  const [run, returning, get, many, batch, exec, twice, own, snapshot] = await pages[1].evaluate(() => window.answers)
  assert.equal(run.changes, 1)
  assert.deepEqual(
    returning.map(({ who, n, blob }) => [who, n, Object.values(blob)]),
    [
      ['returning', 1, [1, 2]],
      ['returning', 2, [1, 2]],
    ],
  )
  assert.deepEqual(get, { other: 1 })
  assert.deepEqual(many, { changes: 2 })
  assert.deepEqual(batch, [[{ who: 'batch' }], [{ n: 7 }]])
  assert.equal(exec, undefined)
  assert.equal(twice.code, 'sqlite_constraint')
  assert.deepEqual([own.code, own.details.applied], ['leader_changed', null])
  assert.deepEqual([snapshot.code, snapshot.details.applied], ['leader_changed', null])
  assert.deepEqual(await pages[1].evaluate(() => window.db.query('SELECT who, count(*) AS n FROM log GROUP BY 1')), [
    { who: 'batch', n: 1 },
    { who: 'exec', n: 2 },
    { who: 'get', n: 1 },
    { who: 'many', n: 2 },
    { who: 'own', n: 1 },
    { who: 'returning', n: 2 },
    { who: 'run', n: 1 },
  ])
  await close([pages[1]])
})

test('a commit whose answer was lost with its leader is known to the next one', async () => {
  const pages = await tabs(2)
  await begin(pages)
  await pages[1].evaluate(async () => {
    window.tx = await window.db.begin()
    await window.tx.run("INSERT INTO log VALUES ('tx', 1)")
  })
  await pages[0].evaluate(() => {
    BroadcastChannel.prototype.postMessage = () => {}
    window.db.addEventListener('change', () => {
      window.changed = true
    })
  })
  await pages[1].evaluate(() => {
    window.committed = window.failure(window.tx.commit())
  })
  // The connection is still the transaction's: no other call can read what it wrote.
  await pages[0].evaluate(() => window.until(() => window.changed))
  await pages[0].evaluate(() => window.db.flush())
  await crash(pages[0])
  assert.deepEqual(await pages[1].evaluate(() => window.committed), { resolved: undefined })
  assert.equal((await pages[1].evaluate(() => window.db.query('SELECT * FROM log'))).length, 1)
  await close([pages[1]])
})

test('a worker that dies under its leader is replaced, and nothing is lost', {
  only: 'worker',
  because: 'it is about the worker',
}, async () => {
  const pages = await tabs(2)
  await begin(pages)
  const counts = pages.map((page, who) => count(page, who))
  for (let death = 0; death < 3; death++) {
    await counting(pages)
    await pages[0].evaluate(() => {
      const [worker] = window.workers
      window.workers = []
      Object.getPrototypeOf(Object.getPrototypeOf(worker)).terminate.call(worker)
    })
  }
  await counting(pages)
  for (const page of pages) {
    await page.evaluate(() => {
      window.stop = true
    })
  }
  const counted = (await Promise.all(counts)).map(([n]) => n)
  const rows = await pages[1].evaluate(() => window.db.query('SELECT n FROM counters ORDER BY who'))
  assert.deepEqual(
    rows,
    counted.map((n) => ({ n })),
  )
  await haveRoles(pages, ['leader', 'follower'])
  assert.ok((await pages[0].evaluate(() => window.warnings)).some(({ code }) => code === 'worker_crashed'))
  await close(pages)
})

/** How a database is deleted that tabs have open. */
const deletions = {
  "the site's data is cleared": async (page, _, storage) => {
    // biome-ignore lint/plugin: the tabs are idle for longer than a look at the files takes
    await new Promise((resolve) => setTimeout(resolve, 2500))
    await clearSiteData(page)
    if (storage === 'opfs') return
    // IndexedDB reports it to the next write.
    await page.evaluate(() =>
      window.until(() => {
        window.db.run('INSERT INTO before VALUES (1)').catch(() => {})
        return window.warnings.length > 0
      }),
    )
  },
  'it is deleted by force': (page, name, storage) =>
    page.evaluate((given) => window.tidelock.deleteDatabase(...given), [name, { force: true, storage }]),
  'it is stolen, and deleted while another tab takes over': async (_, name, storage) => {
    const page = await context.page()
    await page.evaluate(
      async (options) => {
        const thief = await window.open({ ...options, lock: { onBusy: 'steal' } })
        await thief.close()
        await window.tidelock.deleteDatabase(options.name, { force: true })
      },
      { name, storage },
    )
    await page.close()
  },
}

for (const [what, remove, storage] of Object.entries(deletions).flatMap(([what, remove]) =>
  ['indexeddb', 'opfs'].map((storage) => [what, remove, storage]),
))
  test(`${what} (${storage}): all tabs go on with a new database, and each is warned`, async () => {
    const name = freshName()
    const pages = await tabs(3, { name, storage, durability: 'strict' })
    for (const page of pages)
      await page.evaluate(() => {
        window.warnings = []
        window.db.addEventListener('warning', ({ detail }) => window.warnings.push(detail.code))
      })
    await pages[0].evaluate(() => window.db.exec('CREATE TABLE before (n INTEGER)'))
    await remove(pages[1], name, storage)
    for (const page of pages) await until(() => page.evaluate(() => window.warnings.length > 0))
    for (const page of pages) assert.deepEqual(await page.evaluate(() => window.warnings), ['storage_lost'])
    const tables = () => window.db.query("SELECT name FROM sqlite_schema WHERE name = 'before'")
    for (const page of pages) assert.deepEqual(await page.evaluate(tables), [])
    await pages[1].evaluate(() => window.db.exec('CREATE TABLE after (n INTEGER)'))
    await pages[0].evaluate(() => window.db.run('INSERT INTO after VALUES (1)'))
    await close(pages)
  })
