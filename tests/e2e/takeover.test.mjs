// Two tabs that want the same database: one asks for it, or steals its lock. Nothing acknowledged is lost, and nothing is stored of a
// tab whose lock was stolen.
import assert from 'node:assert/strict'
import { freshName, suite, test, until } from './harness.mjs'
import { hang } from './tabs-harness.mjs'

const context = suite()

/** Opens in a page as `window.db`, with the lock events in `window.locks` and the end in `window.ends`. */
async function openIn(page, name, lock) {
  await page.evaluate(
    async ([given, how]) => {
      window.locks = []
      window.ends = []
      window.db = await window.open({ name: given, lock: how })
      window.db.addEventListener('lock', (event) => window.locks.push(event.detail.state))
      window.db.addEventListener('close', (event) => window.ends.push(event.detail.reason))
    },
    [name, lock],
  )
}

/** Runs in a page: waits until another tab waits for the lock of a database. */
const wanted = (name) =>
  window.until(async () => (await navigator.locks.query()).pending.some((lock) => lock.name === `tidelock/${name}`))

/** Runs in a page: begins a transaction, `window.working`, that goes on once `window.finish` is called; returns when it is open. */
async function begun() {
  await window.db.exec('CREATE TABLE t (n)')
  window.working = window.db.transaction(async (tx) => {
    await tx.run('INSERT INTO t VALUES (1)')
    await new Promise((resolve) => {
      window.finish = resolve
    })
    await tx.run('INSERT INTO t VALUES (2)')
  })
  await window.until(() => window.finish)
}

/** Runs in a page: gives the rows, and closes. */
async function closed() {
  const found = await window.db.query('SELECT n FROM t')
  await window.db.close()
  return found
}

test('takeover: the holder finishes its transaction, stores, closes and says so', async () => {
  const name = freshName()
  const [first, second] = await Promise.all([context.page(), context.page()])
  await openIn(first, name)
  await first.evaluate(begun)
  const taking = openIn(second, name, { onBusy: 'takeover' })
  await first.evaluate(wanted, name)
  // What is called while another tab asks is answered, and the transaction still runs.
  assert.equal((await first.evaluate(() => window.db.health())).lock.state, 'held')
  await first.evaluate(() => window.finish())
  await taking
  assert.deepEqual(await second.evaluate(() => window.db.query('SELECT n FROM t')), [{ n: 1 }, { n: 2 }])
  const told = await first.evaluate(async () => {
    await window.working
    await window.until(() => window.locks.length > 0 && window.ends.length > 0)
    return {
      locks: window.locks,
      ends: window.ends,
      closed: window.db.closed,
      read: (await window.failure(() => window.db.query('SELECT 1'))).code,
      write: (await window.failure(() => window.db.run('INSERT INTO t VALUES (3)'))).code,
      health: await window.db.health(),
      again: (await window.failure(() => window.db.close())).code,
    }
  })
  assert.deepEqual([told.locks, told.ends, told.closed], [['released'], ['released'], true])
  assert.deepEqual([told.read, told.write, told.again], ['closed', 'closed', undefined])
  assert.equal(told.health.status, 'failed')
  assert.equal(told.health.lock.state, 'released')
  await second.evaluate(() => window.db.close())
  await Promise.all([first.close(), second.close()])
})

test('takeover: what the holder commits last is acknowledged, however slowly its thread hears of the turn’s end', async () => {
  const name = freshName()
  const [first, second] = await Promise.all([context.page(), context.page()])
  // With `thread: 'worker'`: each message to the worker leaves some time after the one before.
  await first.evaluate(() => {
    const { postMessage } = Worker.prototype
    let before = Promise.resolve()
    Worker.prototype.postMessage = function (...given) {
      // biome-ignore lint/plugin: the time is what makes it slow.
      before = before.then(() => new Promise((resolve) => setTimeout(resolve, 100)))
      before.then(() => postMessage.apply(this, given))
    }
  })
  await openIn(first, name)
  await first.evaluate(begun)
  const taking = openIn(second, name, { onBusy: 'takeover' })
  await first.evaluate(wanted, name)
  await first.evaluate(async () => {
    window.finish()
    await window.working
  })
  await taking
  assert.deepEqual(await second.evaluate(closed), [{ n: 1 }, { n: 2 }])
  await Promise.all([first.close(), second.close()])
})

test('takeover: who is not answered in time gets lock_timeout, and the holder keeps the database', async () => {
  const name = freshName()
  const [first, second] = await Promise.all([context.page(), context.page()])
  await openIn(first, name)
  await first.evaluate(begun)
  const failed = await second.evaluate(
    (given) => window.failure(() => window.open({ name: given, lock: { onBusy: 'takeover', timeoutMs: 400 } })),
    name,
  )
  assert.equal(failed.code, 'lock_timeout')
  assert.equal(failed.retryable, true)
  assert.equal(failed.details.holder.title, 'A page under test')
  const after = await first.evaluate(async () => {
    window.finish()
    await window.working
    // A holder that still meant to let go would do so here, and refuse what comes after.
    await window.db.run('INSERT INTO t VALUES (3)')
    await window.db.flush()
    await window.until(async () => (await window.db.health()).lock.state === 'held')
    return { locks: window.locks, rows: await window.db.query('SELECT n FROM t') }
  })
  assert.deepEqual(after, { locks: [], rows: [{ n: 1 }, { n: 2 }, { n: 3 }] })
  await first.evaluate(() => window.db.close())
  await Promise.all([first.close(), second.close()])
})

test('takeover of a free database, and of one that this page has: they share it', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const lock = { onBusy: 'takeover' }
    const one = await window.open({ name, lock })
    await one.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    const two = await window.open({ name, lock })
    const rows = await two.query('SELECT n FROM t')
    await two.close()
    const { closed } = one
    await one.close()
    return { rows, closed }
  }, freshName())
  assert.deepEqual(result, { rows: [{ n: 1 }], closed: false })
  await page.close()
})

test('steal: the tab that had the lock is told, and all its calls fail with lock_lost', async () => {
  const name = freshName()
  const [first, second] = await Promise.all([context.page(), context.page()])
  await openIn(first, name)
  await first.evaluate(async (given) => {
    window.component = await window.open({ name: given })
    await window.db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    window.liveErrors = []
    window.db.live('SELECT n FROM t').subscribe(
      () => {},
      (error) => window.liveErrors.push(error.code),
    )
    window.inTransaction = window.failure(() =>
      window.db.transaction(async (tx) => {
        await tx.run('INSERT INTO t VALUES (2)')
        await window.until(() => window.locks.length > 0)
        await tx.run('INSERT INTO t VALUES (3)')
      }),
    )
    // Waits for the transaction.
    window.closing = window.failure(() => window.component.close())
  }, name)
  await openIn(second, name, { onBusy: 'steal' })
  await second.evaluate(() => window.db.run('INSERT INTO t VALUES (4)'))
  const told = await first.evaluate(async () => {
    const { db } = window
    await window.until(() => window.locks.length > 0)
    const inTransaction = (await window.inTransaction).code
    const calls = {
      run: () => db.run('INSERT INTO t VALUES (5)'),
      query: () => db.query('SELECT 1'),
      get: () => db.get('SELECT 1'),
      exec: () => db.exec('SELECT 1'),
      transaction: () => db.transaction((tx) => tx.run('INSERT INTO t VALUES (6)')),
      export: () => db.export(),
      flush: () => db.flush(),
      persist: () => db.persist(),
      snapshot: () => db.snapshots.create(),
      migrations: () => db.migrations.status(),
      explain: () => db.explain('SELECT 1'),
    }
    const codes = {}
    for (const [label, call] of Object.entries(calls)) codes[label] = (await window.failure(call)).code
    const health = await db.health()
    const close = [(await window.closing).code, (await window.failure(() => db.close())).code]
    await window.until(() => window.liveErrors.length > 0)
    return { inTransaction, codes, locks: window.locks, health, close, live: [...new Set(window.liveErrors)] }
  })
  assert.equal(told.inTransaction, 'lock_lost')
  for (const [label, code] of Object.entries(told.codes)) assert.equal(code, 'lock_lost', label)
  assert.deepEqual([told.locks, told.close, told.live], [['lost'], [undefined, undefined], ['lock_lost']])
  assert.deepEqual([told.health.status, told.health.lock.state], ['failed', 'lost'])
  const rows = await second.evaluate(closed)
  assert.deepEqual(rows, [{ n: 1 }, { n: 4 }])
  await Promise.all([first.close(), second.close()])
})

test('two tabs steal from each other again and again while both write: whole commits, and none that was acknowledged is lost', async () => {
  const name = freshName()
  const pages = await Promise.all([context.page(), context.page()])
  await openIn(pages[0], name)
  await pages[0].evaluate(() => window.db.exec('CREATE TABLE t (who TEXT, n INTEGER, half INTEGER)'))
  await pages[0].evaluate(() => window.db.close())
  // Each commit is two rows, one a statement.
  const working = Promise.all(
    pages.map((page, index) =>
      page.evaluate(
        async ([given, who]) => {
          const acknowledged = []
          const refused = []
          const failures = new Set()
          // Who steals back at once keeps the other one from ever opening, where opening takes long.
          const pause = () => new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 200))
          window.progress = { commits: 0, stolen: 0 }
          let n = 0
          while (!window.finished) {
            const db = await window.open({ name: given, lock: { onBusy: 'steal' } }).catch((error) => error)
            if (db instanceof Error) {
              failures.add(`open ${db.code}`)
              await pause()
              continue
            }
            let stolen = false
            for (const last = n + 10 + Math.random() * 40; n < last && !window.finished; ) {
              n++
              try {
                const mine = n
                await db.transaction(async (tx) => {
                  await tx.run('INSERT INTO t VALUES (?, ?, 1)', [who, mine])
                  if (mine % 3 === 0) await new Promise((resolve) => setTimeout(resolve))
                  await tx.run('INSERT INTO t VALUES (?, ?, 2)', [who, mine])
                })
                acknowledged.push(mine)
                window.progress.commits++
              } catch (error) {
                refused.push(n)
                failures.add(error.code)
                stolen = error.code === 'lock_lost'
                if (stolen) break
              }
            }
            await db.close()
            if (!stolen) continue
            window.progress.stolen++
            await pause()
          }
          return { acknowledged, refused, failures: [...failures] }
        },
        [name, String(index)],
      ),
    ),
  )
  const enough = until(async () => {
    const progress = await Promise.all(pages.map((page) => page.evaluate(() => window.progress)))
    const times = progress.reduce((sum, one) => sum + (one?.stolen ?? 0), 0)
    return times >= 6 && progress.every(({ commits }) => commits > 20)
  }, 60_000)
  await Promise.race([enough, working]) // a page that fails is not waited for
  for (const page of pages) {
    await page.evaluate(() => {
      window.finished = true
    })
  }
  const results = await working
  const stored = await pages[0].evaluate(async (given) => {
    const db = await window.open({ name: given, lock: { onBusy: 'steal' } })
    const rows = await db.query('SELECT who, n, group_concat(half) AS halves FROM t GROUP BY who, n')
    const [check] = await db.query('PRAGMA integrity_check')
    const { lock } = await db.health()
    await db.close()
    return { rows, check, epoch: lock.epoch }
  }, name)
  assert.equal(stored.check.integrity_check, 'ok')
  assert.ok(
    stored.rows.every(({ halves }) => halves === '1,2'),
    'whole commits only',
  )
  assert.ok(
    results.some(({ failures }) => failures.includes('lock_lost')),
    'some lost the lock while they wrote',
  )
  for (const [index, { acknowledged, refused, failures }] of results.entries()) {
    const there = new Set(stored.rows.filter(({ who }) => who === String(index)).map(({ n }) => n))
    assert.deepEqual(
      failures.filter((code) => code !== 'lock_lost' && code !== 'open lock_lost'),
      [],
    )
    assert.deepEqual(
      acknowledged.filter((n) => !there.has(n)),
      [],
      'what was acknowledged is there',
    )
    assert.deepEqual(
      refused.filter((n) => there.has(n)),
      [],
      'what was refused is not',
    )
  }
  await Promise.all(pages.map((page) => page.close()))
})

test('a tab whose lock was stolen while it was frozen stores nothing when it comes back, not even a flush that was under way', {
  only: 'current',
  because: 'what stands for the freezing stops the page but not its workers',
}, async () => {
  const name = freshName()
  const [first, second] = await Promise.all([context.page(), context.page()])
  await openIn(first, name)
  await first.evaluate(() => window.db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (0)'))
  // Writes all the time, so that some flush is under way when it freezes.
  await first.evaluate(() => {
    window.acknowledged = []
    window.failures = []
    window.writing = (async () => {
      for (let n = 1; window.failures.length === 0; n++) {
        await window.db.run('INSERT INTO t VALUES (?)', [n]).then(
          () => window.acknowledged.push(n),
          (error) => window.failures.push([n, error.code]),
        )
      }
    })()
  })
  await first.evaluate(() => window.until(() => window.acknowledged.length >= 10))
  // A page that Playwright drives is never hidden, and so can't be frozen by its lifecycle: a hang between two tasks stops all of its
  // JavaScript in the same way, with the lock in its hands. (A pause of the debugger may come within a task, in the midst of an
  // IndexedDB transaction, for which every other tab waits: a browser freezes no tab there.)
  const thaw = await hang(first)
  const takeover = await second.evaluate(
    (given) => window.failure(() => window.open({ name: given, lock: { onBusy: 'takeover', timeoutMs: 300 } })),
    name,
  )
  await openIn(second, name, { onBusy: 'steal' })
  const inherited = await second.evaluate(async () => {
    const rows = await window.db.query('SELECT n FROM t ORDER BY n')
    await window.db.run('INSERT INTO t VALUES (-1)')
    return rows.map(({ n }) => n)
  })
  await thaw()
  const thawed = await first.evaluate(async () => {
    await window.writing
    await window.until(() => window.locks.length > 0)
    return {
      acknowledged: window.acknowledged,
      failures: window.failures,
      locks: window.locks,
      later: (await window.failure(() => window.db.run('INSERT INTO t VALUES (-2)'))).code,
    }
  })
  const stored = await second.evaluate(async () => {
    const rows = await window.db.query('SELECT n FROM t ORDER BY n')
    await window.db.close()
    return rows.map(({ n }) => n)
  })
  assert.equal(takeover.code ?? 'answered', 'lock_timeout')
  assert.deepEqual(stored, [-1, ...inherited], 'nothing came after the lock was stolen')
  assert.deepEqual(thawed.locks, ['lost'])
  assert.equal(thawed.later, 'lock_lost')
  assert.equal(thawed.failures[0][1], 'lock_lost')
  assert.ok(thawed.acknowledged.length > 0)
  assert.deepEqual(
    thawed.acknowledged.filter((n) => !stored.includes(n)),
    [],
    'what was acknowledged is there',
  )
  assert.ok(!stored.includes(thawed.failures[0][0]), 'what was refused is not')
  await Promise.all([first.close(), second.close()])
})

test('a page whose lock was stolen writes nothing of its old self when it comes back by the history or is loaded anew', async () => {
  const name = freshName()
  const [first, second] = await Promise.all([context.page(), context.page()])
  await openIn(first, name)
  await first.evaluate(() => window.db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (0)'))
  await first.goto('about:blank')
  await openIn(second, name, { onBusy: 'steal' })
  await second.evaluate(() => window.db.run('INSERT INTO t VALUES (1)'))
  await first.goBack()
  await first.waitForFunction(() => window.ready === true)
  const back = await first.evaluate(async (given) => {
    if (window.db === undefined) return (await window.failure(() => window.open({ name: given }))).code
    return (await window.failure(() => window.db.run('INSERT INTO t VALUES (2)'))).code
  }, name)
  assert.ok(['lock_lost', 'database_in_use'].includes(back), back)
  const rows = await second.evaluate(closed)
  assert.deepEqual(rows, [{ n: 0 }, { n: 1 }])
  await Promise.all([first.close(), second.close()])
})

test('persist() asks the browser, and health shows its answer', async () => {
  const page = await context.page()
  const devtools = await context.browser.context.newCDPSession(page)
  const name = freshName()
  await page.evaluate(async (name) => {
    window.db = await window.open({ name })
    const persist = navigator.storage.persist.bind(navigator.storage)
    navigator.storage.persist = () => {
      window.requests++
      return persist()
    }
  }, name)
  const answers = {}
  for (const setting of ['denied', 'granted']) {
    const permission = { name: 'persistent-storage' }
    await devtools.send('Browser.setPermission', { permission, setting, origin: new URL(context.url).origin })
    answers[setting] = await page.evaluate(async () => {
      window.requests = 0
      const persisted = await window.db.persist()
      const { storage, alerts } = await window.db.health()
      const alert = alerts.find(({ code }) => code === 'storage_not_persisted')
      return { requests: window.requests, persisted, shown: storage.persisted, alert: alert?.severity }
    })
  }
  assert.deepEqual(answers, {
    denied: { requests: 1, persisted: false, shown: false, alert: 'info' },
    granted: { requests: 1, persisted: true, shown: true, alert: undefined },
  })
  const inMemory = await page.evaluate(async (name) => {
    await window.db.close()
    const memory = await window.open({ name, storage: 'memory' })
    const persisted = await memory.persist()
    await memory.close()
    return persisted
  }, name)
  assert.equal(inMemory, false)
  await page.close()
})

test('what another tab took over leaves nothing of its wasm instance in memory', {
  only: 'current',
  because: 'a worker ends with its memory',
}, async () => {
  const [page, other] = [await context.page(), await context.page()]
  await page.evaluate(() => {
    const { instantiate } = WebAssembly
    window.instances = []
    WebAssembly.instantiate = async (...given) => {
      const made = await instantiate(...given)
      window.instances.push(new WeakRef(made.instance ?? made))
      return made
    }
  })
  for (const name of [freshName(), freshName()]) {
    await openIn(page, name)
    await openIn(other, name, { onBusy: 'takeover' })
    await page.evaluate(async () => {
      await window.until(() => window.db.closed)
      window.db = undefined
    })
    await other.evaluate(() => window.db.close())
  }
  const devtools = await page.context().newCDPSession(page)
  const alive = () => page.evaluate(() => window.instances.filter((instance) => instance.deref()).length)
  assert.ok((await page.evaluate(() => window.instances.length)) >= 2)
  await until(async () => {
    await devtools.send('HeapProfiler.collectGarbage')
    return (await alive()) === 0
  })
  await Promise.all([page.close(), other.close()])
})
