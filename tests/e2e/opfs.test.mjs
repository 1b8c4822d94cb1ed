// Databases in the browser's private file system: what is special about files with exclusive handles. An engine on the page's thread has
// them in a worker.
import assert from 'node:assert/strict'
import { clearSiteData, freshName, suite, test, until } from './harness.mjs'
import { killDuring, pairTables, reopened, rounds, wholePairs } from './killing.mjs'

const context = suite()
const inWorker = { only: 'worker', because: 'the files are the same for an engine in the page' }
const inPage = { only: 'current', because: 'it is about the worker that has the files of an engine in the page' }
const opfs = { storage: 'opfs' }

/** In the page: opens a database with one row, and leaves it open as `window.db`. */
async function opened(page, name, options = {}) {
  await page.evaluate(
    async (given) => {
      window.db = await window.open(given)
      await window.db.exec('CREATE TABLE IF NOT EXISTS t (n INTEGER); INSERT INTO t VALUES (1)')
    },
    { name, ...opfs, ...options },
  )
}

const failing = (page, options) => page.evaluate((given) => window.failure(() => window.open(given)), options)
const count = (page) => page.evaluate(async () => (await window.db.get('SELECT count(*) AS n FROM t')).n)

for (const durability of ['relaxed', 'strict', 'deferred'])
  test(
    `kill -9 in the middle of ${durability} writes loses nothing promised, and halves no transaction`,
    durability === 'strict' ? inWorker : {},
    async () => {
      const name = freshName()
      // Several rounds on one database: what one round leaves is where the next one begins. In a usual run, in one mode.
      for (const round of rounds(durability === 'relaxed' ? 2 : 1, 2)) {
        const promised = await killDuring(
          context,
          name,
          { durability, ...opfs },
          pairTables,
          async (db, acknowledged) => {
            const { round: last } = await db.get('SELECT coalesce(max(round), 0) AS round FROM debit')
            for (let i = 1; ; i++) {
              await db.transaction(async (tx) => {
                await tx.run('INSERT INTO debit VALUES (?, ?)', [i, last + 1])
                await tx.run('INSERT INTO credit VALUES (?, ?)', [i, last + 1])
              })
              if (i % 40 === 0) await db.snapshots.create()
              acknowledged(i)
            }
          },
          60 + Math.floor(Math.random() * 60),
          durability === 'deferred' ? 500 : 0,
        )
        await wholePairs(context, name, round, promised, opfs)
      }
    },
  )

test('kill -9 while a database larger than its cache is written to leaves whole transactions', inWorker, async () => {
  const name = freshName()
  const options = { ...opfs, cacheBytes: 2 ** 20 }
  let newest = 0
  for (const _ of rounds(1, 2)) {
    const promised = await killDuring(
      context,
      name,
      options,
      'CREATE TABLE IF NOT EXISTS pages (id INTEGER PRIMARY KEY, n INTEGER, bytes BLOB)',
      async (db, acknowledged) => {
        const { rows, last } = await db.get('SELECT count(*) AS rows, coalesce(max(n), 0) AS last FROM pages')
        if (rows === 0)
          await db.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
            INSERT INTO pages SELECT i, 0, randomblob(4000) FROM n`)
        // About five of them fill the memory, and a checkpoint of all chunks follows.
        for (let n = last + 1; ; n++) {
          await db.run('UPDATE pages SET n = ?, bytes = randomblob(4000) WHERE id % 10 = ?', [n, n % 10])
          acknowledged(n)
        }
      },
      newest + 15 + Math.floor(Math.random() * 15),
    )
    const found = await reopened(
      context,
      name,
      async (db) => {
        const groups = 'SELECT max(n) AS n, count(DISTINCT n) AS kinds FROM pages GROUP BY id % 10 ORDER BY 1'
        const found = { groups: await db.query(groups), integrity: await db.query('PRAGMA integrity_check') }
        // What the log brought stays in memory until that is full and stored: killed early, that is everything. SQLite's
        // own cache may hold the whole file, too.
        const late = Date.now() + 60_000
        let cache
        do {
          for (let n = 0; n < 10; n++) await db.run('UPDATE pages SET bytes = randomblob(4000) WHERE id % 10 = ?', [n])
          await db.exec('PRAGMA shrink_memory')
          await db.query(groups)
          ;({ cache } = (await db.health()).storage)
        } while (cache.evictions === 0 && Date.now() < late)
        return { ...found, cache }
      },
      undefined,
      options,
    )
    newest = found.groups.at(-1).n
    assert.ok(newest >= promised, `${promised} were promised, ${newest} are there`)
    assert.deepEqual(
      found.groups,
      Array.from({ length: 10 }, (_, i) => ({ n: newest - 9 + i, kinds: 1 })),
    )
    assert.deepEqual(found.integrity, [{ integrity_check: 'ok' }])
    assert.ok(found.cache.evictions > 0, JSON.stringify(found.cache))
  }
})

test('a page that is reloaded again and again opens its database each time, and finds every commit', async () => {
  const [page, name] = [await context.page(), freshName()]
  for (let round = 1; round <= (process.env.TIDELOCK_ALL ? 10 : 5); round++) {
    await opened(page, name)
    assert.equal(await count(page), round)
    await context.load(page)
  }
  await page.close()
})

test('another tab learns at once who has the database, waits for it, can steal it, and can take it over', async () => {
  const name = freshName()
  const [first, second] = [await context.page(), await context.page()]
  await opened(first, name)
  const refused = await failing(second, { name, ...opfs })
  assert.equal(refused.code, 'database_in_use')
  assert.equal(refused.details.holder.title, 'A page under test')

  const waiting = opened(second, name, { lock: { onBusy: 'wait' } })
  await first.evaluate(() => window.db.close())
  await waiting
  assert.equal(await count(second), 2)

  await opened(first, name, { lock: { onBusy: 'steal' } })
  assert.equal(await count(first), 3)
  const late = await second.evaluate(() => window.failure(() => window.db.run('INSERT INTO t VALUES (9)')))
  assert.ok(['lock_lost', 'closed'].includes(late.code), JSON.stringify(late))
  assert.equal(await count(first), 3)

  const third = await context.page()
  await opened(third, name, { lock: { onBusy: 'takeover' } })
  assert.equal(await count(third), 4)
  await third.evaluate(() => window.db.close())
  await Promise.all([first.close(), second.close(), third.close()])
})

test('another tab learns at once who has an encrypted database', async () => {
  const [name, encryption] = [freshName(), { passphrase: 'secret' }]
  const [first, second] = [await context.page(), await context.page()]
  await opened(first, name, { encryption })
  const refused = await failing(second, { name, ...opfs, encryption })
  assert.equal(refused.code, 'database_in_use')
  assert.equal(refused.details.holder?.title, 'A page under test')
  await first.evaluate(() => window.db.close())
  await Promise.all([first.close(), second.close()])
})

test('files that a frozen tab has open block a steal for the timeout of the lock, not longer', async () => {
  const [name, page] = [freshName(), await context.page()]
  await opened(page, name)
  const began = await page.evaluate(async (folder) => {
    await window.db.close()
    // Stands for the worker of a frozen tab, which doesn't learn that its lock was stolen.
    const source = `onmessage = async ({ data }) => {
      if (typeof data !== 'string') return // of the page under test
      let folder = await navigator.storage.getDirectory()
      for (const name of ['tidelock', data]) folder = await folder.getDirectoryHandle(name)
      for await (const file of folder.values()) await file.createSyncAccessHandle()
      postMessage('open')
    }`
    window.frozen = new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })))
    const open = new Promise((resolve) => (window.frozen.onmessage = resolve))
    window.frozen.postMessage(folder)
    await open
    return performance.now()
  }, `${name}.db`)
  const refused = await failing(page, { name, ...opfs, lock: { onBusy: 'steal', timeoutMs: 200 } })
  assert.deepEqual([refused.code, refused.retryable], ['storage_blocked', true])
  const ms = (await page.evaluate(() => performance.now())) - began
  // Without the option it would be 10 s.
  assert.ok(ms < 7000, `${ms} ms`)
  await page.evaluate(() => window.frozen.terminate())
  await opened(page, name, { lock: { onBusy: 'steal' } })
  assert.equal(await count(page), 2)
  await page.close()
})

test('shared tabs: the next one leads when the leader closes, and nothing is lost', async () => {
  const name = freshName()
  const pages = [await context.page(), await context.page(), await context.page()]
  for (const page of pages) await opened(page, name, { tabs: 'shared' })
  for (const [at, page] of pages.entries()) {
    await page.evaluate(() => window.db.run('INSERT INTO t VALUES (2)'))
    assert.equal(await count(page), 4 + at)
    await page.close()
  }
  const found = await reopened(context, name, (db) => db.get('SELECT count(*) AS n FROM t'), undefined, opfs)
  assert.deepEqual(found, { n: 6 })
})

test(
  'a deletion that waits for files ends when another tab steals the lock, and removes nothing of that tab',
  inWorker,
  async () => {
    const name = freshName()
    const [page, other] = [await context.page(), await context.page()]
    await opened(page, name)
    await page.evaluate(() => window.db.close())
    await other.evaluate((given) => {
      const { removeEntry } = FileSystemDirectoryHandle.prototype
      window.tries = 0
      FileSystemDirectoryHandle.prototype.removeEntry = async function (...entry) {
        if (window.stolen) return removeEntry.apply(this, entry)
        window.tries++
        throw new DOMException('A file is open', 'NoModificationAllowedError')
      }
      window.deleting = window.failure(window.tidelock.deleteDatabase(given))
      return window.until(() => window.tries > 0)
    }, name)
    await page.evaluate(
      async (options) => {
        window.db = await window.open({ ...options, lock: { onBusy: 'steal' } })
        await window.db.run('INSERT INTO t VALUES (2)')
        await window.db.close()
      },
      { ...opfs, name },
    )
    const code = await other.evaluate(async () => {
      window.stolen = true
      const { code } = await window.deleting
      // biome-ignore lint/plugin: it tried once in 100 ms
      await new Promise((resolve) => setTimeout(resolve, 300))
      return code
    })
    assert.equal(code, 'lock_lost')
    const found = await reopened(context, name, (db) => db.get('SELECT count(*) AS n FROM t'), undefined, opfs)
    assert.deepEqual(found, { n: 2 })
    await Promise.all([page.close(), other.close()])
  },
)

test('a database is listed, is opened in its own storage only, and is deleted with its files', async () => {
  const page = await context.page()
  for (const name of [freshName(), `../${freshName()}`, `${freshName()} ☂/*?:"<>|%.`]) {
    await opened(page, name)
    const listed = () =>
      page.evaluate(async (given) => (await window.tidelock.databases()).find(({ name }) => name === given), name)
    const open = { name, storage: 'opfs', inUse: true, encrypted: false, openedAt: null }
    assert.deepEqual({ ...(await listed()), openedAt: null }, open)
    const inUse = await page.evaluate((given) => window.failure(() => window.tidelock.deleteDatabase(given)), name)
    assert.equal(inUse.code, 'database_in_use')
    await page.evaluate(() => window.db.close())
    const elsewhere = await failing(page, { name })
    assert.deepEqual([elsewhere.code, elsewhere.details.option], ['invalid_argument', 'storage'])
    assert.match(elsewhere.hint, /storage: 'opfs'/)
    await page.evaluate((given) => window.tidelock.deleteDatabase(given), name)
    assert.equal(await listed(), undefined)
    await opened(page, name)
    assert.equal(await count(page), 1)
    await page.evaluate(() => window.db.close())
  }
  const name = freshName()
  await page.evaluate(async (given) => (await window.open({ name: given })).close(), name)
  const elsewhere = await failing(page, { name, ...opfs })
  assert.deepEqual([elsewhere.code, elsewhere.details.option], ['invalid_argument', 'storage'])
  await page.close()
})

test('where there are no workers, a page is refused, and learns what is missing', inPage, async () => {
  const page = await context.page()
  await page.evaluate(() => {
    window.Worker = undefined
  })
  const refused = await failing(page, { name: freshName(), ...opfs })
  assert.deepEqual([refused.code, refused.details.missing], ['unsupported_environment', 'Worker'])
  assert.match(refused.hint, /indexeddb/)
  await page.close()
})

test('a worker that can not be loaded is an error, and leaves nothing behind', inPage, async () => {
  const [page, name] = [await context.page(), freshName()]
  const refused = await page.evaluate(
    (given) =>
      window.failure(() => window.open({ name: given, storage: 'opfs', worker: new URL('/none.js', location) })),
    name,
  )
  assert.equal(refused.code, 'wasm_load_failed')
  assert.equal(await page.evaluate(() => window.workers.length), 0)
  await opened(page, name)
  assert.equal(await count(page), 1)
  await page.close()
})

test('closing and a cancelled opening end the worker, and free the files', inPage, async () => {
  const [page, name] = [await context.page(), freshName()]
  for (let round = 1; round <= 3; round++) {
    await opened(page, name)
    assert.equal(await count(page), round)
    await page.evaluate(() => window.db.close())
    await until(() => page.evaluate(() => window.workers.length === 0))
    for (const wait of [0, 5, 10, 20, 40]) {
      const late = await page.evaluate(
        async ([given, ms]) => {
          const cancel = new AbortController()
          const opening = window.open({ name: given, storage: 'opfs', signal: cancel.signal })
          setTimeout(() => cancel.abort(new Error('cancelled')), ms)
          return opening.then(
            (db) => db.close(),
            (error) => error.message,
          )
        },
        [name, wait],
      )
      assert.ok([undefined, 'cancelled'].includes(late ?? undefined), late)
    }
    await until(() => page.evaluate(() => window.workers.length === 0))
  }
  await page.close()
})

test('the worker with the files may be killed at any time, and no acknowledged write is lost', inPage, async () => {
  const [page, name] = [await context.page(), freshName()]
  await opened(page, name)
  const last = 30 * rounds(5, 10).length
  const found = await page.evaluate(async (last) => {
    const acknowledged = []
    const failures = new Set()
    for (let n = 2; n <= last; n++) {
      const writing = window.db.run('INSERT INTO t VALUES (?)', [n])
      if (n % 30 === 0) window.workers.at(-1)?.terminate()
      if (n % 70 === 0) window.db.snapshots.create().catch((error) => failures.add(error.code))
      await writing.then(
        () => acknowledged.push(n),
        (error) => failures.add(error.code),
      )
    }
    await window.until(() =>
      window.db.flush().then(
        () => true,
        (error) => {
          if (error.code !== 'storage_unavailable') throw error
        },
      ),
    )
    return { acknowledged, failures: [...failures] }
  }, last)
  for (const code of found.failures) assert.equal(code, 'storage_unavailable')
  assert.ok(found.acknowledged.length > last / 2, `${found.acknowledged.length} were acknowledged`)
  await context.load(page)
  await opened(page, name)
  const stored = await page.evaluate(async () => (await window.db.query('SELECT n FROM t')).map(({ n }) => n))
  // A write that failed stays applied, and is stored later.
  assert.deepEqual(stored, [...Array.from({ length: last }, (_, i) => i + 1), 1])
  await page.close()
})

test('a database is recovered in the page', inPage, async () => {
  const [page, name] = [await context.page(), freshName()]
  await opened(page, name)
  await page.evaluate(() => window.db.close())
  await until(() => page.evaluate(() => window.workers.length === 0))
  const report = await page.evaluate((given) => window.failure(() => window.tidelock.recover(given)), name)
  assert.equal(report.resolved?.changed, false, JSON.stringify(report))
  await opened(page, name)
  assert.equal(await count(page), 2)
  // What can't be read as the newest part of the journal: the one before counts.
  const damaged = await page.evaluate(async (given) => {
    await window.db.close()
    const all = await (await navigator.storage.getDirectory()).getDirectoryHandle('tidelock')
    const file = await (await all.getDirectoryHandle(`${given}.db`)).getFileHandle('journal.900', { create: true })
    const writable = await file.createWritable()
    await writable.write('no journal'.repeat(100))
    await writable.close()
    const refused = await window.failure(window.open({ name: given, storage: 'opfs' }))
    return { refused, report: await window.failure(() => window.tidelock.recover(given)) }
  }, name)
  assert.equal(damaged.refused.code, 'database_corrupt')
  assert.match(damaged.refused.hint, /recover/)
  assert.equal(damaged.report.resolved?.changed, true, JSON.stringify(damaged.report))
  assert.match(damaged.report.resolved.problems.join(), /journal\.900/)
  await opened(page, name)
  assert.equal(await count(page), 3)
  await page.close()
})

test('another secret leaves nothing readable in the files, and opens them', async () => {
  const [page, name] = [await context.page(), freshName()]
  const found = await page.evaluate(async (given) => {
    const files = async () => {
      const root = await navigator.storage.getDirectory()
      const folder = await (await root.getDirectoryHandle('tidelock')).getDirectoryHandle(`${given}.db`)
      const text = (file) => file.getFile().then((found) => found.text())
      const unlessRemoved = (error) => {
        if (error.name !== 'NotFoundError') throw error
        return ''
      }
      let all = ''
      for await (const file of folder.values()) all += await text(file).catch(unlessRemoved)
      return all
    }
    const options = { name: given, storage: 'opfs', snapshots: { compress: false } }
    const db = await window.open(options)
    await db.exec("CREATE TABLE t (s); INSERT INTO t VALUES ('a readable marker')")
    await db.snapshots.create()
    await db.run("INSERT INTO t VALUES ('a readable marker')")
    const before = (await files()).includes('a readable marker')
    await db.rekey({ passphrase: 'secret' })
    await window.until(async () => !(await files()).includes('a readable marker'))
    await db.close()
    const wrong = await window.failure(() => window.open({ ...options, encryption: { passphrase: 'other' } }))
    const again = await window.open({ ...options, encryption: { passphrase: 'secret' } })
    const rows = await again.query('SELECT s FROM t')
    const snapshots = await again.snapshots.list()
    for (const { id } of snapshots) await again.snapshots.verify(id)
    await again.close()
    return { before, wrong: wrong.code, rows: rows.length, snapshots: snapshots.length > 0 }
  }, name)
  assert.deepEqual(found, { before: true, wrong: 'decryption_failed', rows: 2, snapshots: true })
  await page.close()
})

test('a worker that dies is replaced, and the files are opened again', async () => {
  const [page, name] = [await context.page(), freshName()]
  await opened(page, name)
  await page.evaluate(() => window.workers.at(-1).terminate())
  await until(() =>
    page.evaluate(async () => {
      const result = await window.failure(() => window.db.run('INSERT INTO t VALUES (2)'))
      return result.resolved !== undefined
    }),
  )
  assert.ok((await count(page)) >= 2)
  await page.evaluate(() => window.db.close())
  await page.close()
})

test('after a full disk, deleted snapshots make space', inWorker, async () => {
  const [page, name] = [await context.page(), freshName()]
  await page.evaluate(async (given) => {
    const bytes = async () => {
      const root = await navigator.storage.getDirectory()
      const folder = await (await root.getDirectoryHandle('tidelock')).getDirectoryHandle(`${given}.db`)
      let all = 0
      // One that is being removed has no size.
      const sizeOf = (file) =>
        file.getFile().then(
          ({ size }) => size,
          () => 0,
        )
      for await (const [, file] of folder.entries()) all += await sizeOf(file)
      return all
    }
    const db = await window.open({ name: given, storage: 'opfs', snapshots: { compress: false, logMaxBytes: 1 } })
    await db.exec('CREATE TABLE t (b)')
    for (let round = 0; round < 3; round++) {
      await db.exec('DELETE FROM t')
      await db.runMany('INSERT INTO t VALUES (randomblob(100000))', Array(100).fill([]))
      await db.snapshots.create({ label: `${round}` })
    }
    const before = await bytes()
    for (const { id } of (await db.snapshots.list()).slice(1)) await db.snapshots.delete(id)
    // The deletion doesn't wait until the browser has removed the files.
    await window.until(async () => (await bytes()) < before - 15_000_000)
    await db.close()
  }, name)
  await page.close()
})

/** In the page: closes `window.db`, and opens a database of that name again; returns how the closing failed, and the new one's tables. */
const closedAndOpened = (page, name) =>
  page.evaluate(
    async (given) => {
      let closed
      window.failure(() => window.db.close()).then((end) => (closed = end))
      await window.until(() => closed !== undefined)
      let db
      window.open(given).then((opened) => (db = opened))
      await window.until(() => db !== undefined)
      const tables = await db.query("SELECT name FROM sqlite_schema WHERE name = 't'")
      await db.run('CREATE TABLE t (n INTEGER)')
      await db.close()
      return [closed.code, tables]
    },
    { name, ...opfs },
  )

test('a database whose site data was cleared loses its lock within seconds, and closes', async () => {
  const [page, name] = [await context.page(), freshName()]
  await opened(page, name)
  await page.evaluate(() => {
    window.states = []
    window.db.addEventListener('lock', ({ detail }) => window.states.push(detail.state))
  })
  await clearSiteData(page)
  const found = await page.evaluate(async () => {
    const began = performance.now()
    const written = await window.until(async () => {
      const result = await window.failure(() => window.db.run('INSERT INTO t VALUES (2)'))
      return result.code !== undefined && result
    })
    const ms = performance.now() - began
    const others = [() => window.db.run('DELETE FROM t'), () => window.db.flush(), () => window.db.snapshots.create()]
    const codes = []
    for (const other of others) codes.push((await window.failure(other)).code)
    return { written, ms, codes, states: window.states, health: (await window.db.health()).status }
  })
  assert.equal(found.written.code, 'lock_lost', JSON.stringify(found))
  assert.match(found.written.message, /removed or moved/)
  assert.ok(found.ms < 5000, `${found.ms} ms`)
  assert.deepEqual(found.codes, ['lock_lost', 'lock_lost', 'lock_lost'])
  assert.deepEqual([found.states, found.health], [['lost'], 'failed'])
  // The event has already reported it.
  assert.deepEqual(await closedAndOpened(page, name), [undefined, []])
  await page.close()
})

for (const call of ['flush', 'snapshot', 'health', 'close'])
  test(`a ${call} right after the site data was cleared promises nothing`, async () => {
    const [page, name] = [await context.page(), freshName()]
    await opened(page, name)
    await clearSiteData(page)
    if (call === 'health') assert.equal(await page.evaluate(async () => (await window.db.health()).status), 'failed')
    else if (call !== 'close') {
      const refused = await page.evaluate(
        (call) => window.failure(() => (call === 'flush' ? window.db.flush() : window.db.snapshots.create())),
        call,
      )
      assert.equal(refused.code, 'lock_lost', JSON.stringify(refused))
      assert.match(refused.message, /removed or moved/)
    }
    assert.deepEqual(await closedAndOpened(page, name), [call === 'close' ? 'lock_lost' : undefined, []])
    await page.close()
  })
