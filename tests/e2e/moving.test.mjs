// Databases that move between IndexedDB and the browser's private file system, and what an opening decides when both have data of them.
import assert from 'node:assert/strict'
import { freshName, suite, test, until } from './harness.mjs'
import { rounds } from './killing.mjs'
import { close, hang, opened } from './tabs-harness.mjs'

const context = suite()
const onPage = { only: 'current', because: 'the database is opened in a worker where that matters' }
const storages = ['indexeddb', 'opfs']
const other = (storage) => storages.find((one) => one !== storage)
/** OPFS needs a worker. */
const optionsFor = (name, storage) => ({ name, storage, thread: 'worker' })

/** In the page: makes a database with rows, snapshots of two kinds, and log before and after them. */
async function made(page, name, storage, { encryption, bytes = 200_000 } = {}) {
  return page.evaluate(
    async ([options, bytes]) => {
      const db = await window.open(options)
      await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT, b BLOB)')
      await db.run('INSERT INTO t (s, b) VALUES (?, randomblob(?))', ['first', bytes])
      await db.snapshots.create({ label: 'kept' })
      await db.snapshots.import(await db.export())
      await db.run('INSERT INTO t (s, b) VALUES (?, randomblob(?))', ['second', bytes])
      // The time of a commit is in whole milliseconds.
      const at = new Date(Date.now() + 1).toISOString()
      await window.until(() => Date.now() > Date.parse(at))
      await db.run("INSERT INTO t (s) VALUES ('third')")
      await db.close()
      return at
    },
    [{ ...optionsFor(name, storage), encryption }, bytes],
  )
}

const move = (page, name, options) =>
  page.evaluate(([name, options]) => window.failure(() => window.tidelock.moveStorage(name, options)), [name, options])

const refused = (page, options) => page.evaluate((given) => window.failure(() => window.open(given)), options)

/** What the browser has of the name: the names in IndexedDB and in the folder of all databases, and the list of databases. */
const found = (page, name) =>
  page.evaluate(async (name) => {
    const root = await navigator.storage.getDirectory()
    const folder = await root.getDirectoryHandle('tidelock', { create: true })
    // An opening in IndexedDB makes and deletes an empty one for a time: a kill may leave it, until the next such opening.
    const names = (await indexedDB.databases())
      .map(({ name }) => name)
      .filter((one) => !one.startsWith('tidelock.renew/'))
    for await (const entry of folder.keys()) names.push(entry)
    const listed = (await window.tidelock.databases()).filter((one) => one.name === name)
    return { names: names.filter((one) => one.includes(name)).sort(), storages: listed.map(({ storage }) => storage) }
  }, name)

/** Checks the whole content: rows, snapshots, and a point in time in the log. */
async function checkContent(page, name, storage, at, { encryption } = {}) {
  const content = await page.evaluate(
    async ([options, at]) => {
      const db = await window.open(options)
      const snapshots = await db.snapshots.list()
      const verified = []
      for (const { id } of snapshots) verified.push((await db.snapshots.verify(id)).ok)
      const rows = () => db.query('SELECT s FROM t ORDER BY id').then((rows) => rows.map(({ s }) => s))
      const all = await rows()
      await db.snapshots.restore({ at })
      const before = await rows()
      await db.snapshots.restore((await db.snapshots.list())[0].id)
      const kind = (await db.health()).storage.kind
      const check = await db.query('PRAGMA integrity_check')
      await db.close()
      return { verified, all, before, again: all.length, kind, check, labels: snapshots.map(({ label }) => label) }
    },
    [{ ...optionsFor(name, storage), encryption }, at],
  )
  assert.deepEqual(content.all, ['first', 'second', 'third'])
  assert.deepEqual(content.before, ['first', 'second'])
  assert.ok(content.labels.includes('kept') && content.verified.length >= 2, JSON.stringify(content))
  assert.ok(content.verified.every(Boolean))
  assert.equal(content.kind, storage)
  assert.deepEqual(content.check, [{ integrity_check: 'ok' }])
}

for (const encryption of [undefined, { passphrase: 'secret' }])
  test(
    `a database moves there and back with its snapshots and its log${encryption ? ', encrypted' : ''}`,
    onPage,
    async () => {
      const page = await context.page()
      const ways = [
        ['indexeddb', undefined],
        ['opfs', encryption],
      ]
      // In a usual run, one from each storage.
      const chosen = encryption ? ways.slice(1) : ways.slice(0, 1)
      for (const [from, key] of process.env.TIDELOCK_ALL ? ways : chosen) {
        const [name, to] = [`${freshName()} ☂/*?:"<>|%.`, other(from)]
        const at = await made(page, name, from, { encryption })
        assert.deepEqual(await move(page, name, { to, encryption: key }), { resolved: undefined })
        const { names, storages } = await found(page, name.slice(0, 10))
        assert.equal(names.length, 1, names.join())
        assert.deepEqual((await found(page, name)).storages, [to])
        assert.deepEqual(storages, [])
        const elsewhere = await refused(page, { ...optionsFor(name, from), encryption })
        assert.deepEqual([elsewhere.code, elsewhere.details.option], ['invalid_argument', 'storage'])
        assert.match(elsewhere.hint, /moveStorage\(/)
        await checkContent(page, name, to, at, { encryption })
        // A database that is there already stays.
        assert.deepEqual(await move(page, name, { to }), { resolved: undefined })
        assert.deepEqual(await move(page, name, { to: from }), { resolved: undefined })
        assert.deepEqual((await found(page, name)).storages, [from])
        await page.evaluate((name) => window.tidelock.deleteDatabase(name), name)
        assert.deepEqual((await found(page, name.slice(0, 10))).names, [])
      }
      await page.close()
    },
  )

test('what cannot be moved stays where it is, and the error says why', onPage, async () => {
  const [page, second, name] = [await context.page(), await context.page(), freshName()]
  const at = await made(page, name, 'indexeddb', { encryption: { passphrase: 'secret' } })
  const codes = async (name, options) => {
    const { code, details } = await move(page, name, options)
    return [code, details?.option]
  }
  assert.deepEqual(await codes(name, { to: 'opfs', encryption: { passphrase: 'other' } }), [
    'decryption_failed',
    undefined,
  ])
  assert.deepEqual(await codes(name, { to: 'memory' }), ['invalid_argument', 'to'])
  assert.deepEqual(await codes(name, {}), ['invalid_argument', 'to'])
  assert.deepEqual(await codes(name, { to: 'opfs', force: true }), ['invalid_argument', 'force'])
  assert.deepEqual(await codes(freshName(), { to: 'opfs' }), ['invalid_argument', undefined])
  assert.deepEqual(await codes('', { to: 'opfs' }), ['invalid_argument', 'name'])

  const key = { passphrase: 'secret' }
  await second.evaluate(
    async (given) => {
      window.db = await window.open(given)
    },
    { name, encryption: key },
  )
  const inUse = await move(page, name, { to: 'opfs' })
  assert.equal(inUse.code, 'database_in_use')
  assert.match(inUse.message, /already in use by tab "A page under test"/)
  await second.evaluate(() => window.db.close())
  assert.deepEqual((await found(page, name)).storages, ['indexeddb'])
  assert.equal((await found(page, name)).names.length, 1)
  await checkContent(page, name, 'indexeddb', at, { encryption: key })

  // A damaged database is recovered first.
  const damaged = freshName()
  await made(page, damaged, 'indexeddb')
  await page.evaluate(async (name) => {
    const opening = indexedDB.open(`tidelock/${name}`)
    const database = await new Promise((resolve) => {
      opening.onsuccess = () => resolve(opening.result)
    })
    const transaction = database.transaction('log', 'readwrite')
    const store = transaction.objectStore('log')
    const keys = store.getAllKeys()
    keys.onsuccess = () => store.put(new ArrayBuffer(10), keys.result.at(-1))
    await new Promise((resolve) => {
      transaction.oncomplete = resolve
    })
    database.close()
  }, damaged)
  assert.deepEqual(await codes(damaged, { to: 'opfs' }), ['database_corrupt', undefined])
  assert.deepEqual(await found(page, damaged), { names: [`tidelock/${damaged}`], storages: ['indexeddb'] })
  await Promise.all([page.close(), second.close()])
})

/** Checks that what an interrupted move has left is one good database, in the old storage or the new one, and adds a row to it. */
async function checkInterrupted(page, name, from, isOver, round) {
  const { storages } = await found(page, name)
  assert.equal(storages.length, 1, `${storages}`)
  const [storage] = storages
  assert.ok(storage === other(from) || !isOver, 'a completed move is one')
  const elsewhere = await refused(page, optionsFor(name, other(storage)))
  assert.deepEqual([elsewhere.code, elsewhere.details?.option], ['invalid_argument', 'storage'])
  const rows = await page.evaluate(
    async ([options, round]) => {
      const db = await window.open(options)
      await db.run('INSERT INTO t (s) VALUES (?)', [`round ${round}`])
      const rows = await db.query('SELECT s FROM t ORDER BY id')
      const snapshots = await db.snapshots.list()
      for (const { id } of snapshots)
        if (!(await db.snapshots.verify(id)).ok) throw new Error(`snapshot ${id} is damaged`)
      const check = await db.get('PRAGMA integrity_check')
      await db.close()
      return { count: rows.length, snapshots: snapshots.length, check: check.integrity_check }
    },
    [optionsFor(name, storage), round],
  )
  assert.deepEqual(rows, { count: 3 + round, snapshots: 2, check: 'ok' })
  // What was left is removed; where that takes more than a second, by a later opening.
  await until(async () => {
    if ((await found(page, name)).names.length === 1) return true
    await refused(page, optionsFor(name, other(storage)))
    return false
  })
}

test('kill -9 of the browser during a move leaves one good database', onPage, async (t) => {
  const name = freshName()
  let page = await context.page()
  await made(page, name, 'indexeddb', { bytes: 4_000_000 })
  // How long a move takes here: the later ones are quicker.
  let usual = Number.POSITIVE_INFINITY
  for (const round of rounds(2, 3)) {
    const started = performance.now()
    if (round === 1) {
      assert.deepEqual(await move(page, name, { to: 'opfs' }), { resolved: undefined })
      assert.deepEqual(await move(page, name, { to: 'indexeddb' }), { resolved: undefined })
      usual = (performance.now() - started) / 2
    }
    const [from] = (await found(page, name)).storages
    let isOver = false
    const moving = page.evaluate(([name, to]) => window.tidelock.moveStorage(name, { to }), [name, other(from)])
    moving.then(
      () => {
        isOver = true
        usual = Math.min(usual, performance.now() - began)
      },
      () => {},
    )
    const [began, wait] = [performance.now(), Math.random() * usual]
    const deadline = performance.now() + wait
    while (!isOver && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 1))
    await context.browser.kill()
    await context.browser.start()
    page = await context.page()
    t.diagnostic(
      `round ${round}: from ${from}, ${isOver ? 'over' : `after ${wait.toFixed()} ms`}, left ${(await found(page, name)).names}`,
    )
    await checkInterrupted(page, name, from, isOver, round)
  }
  await page.close()
})

test('a worker that dies during a move leaves one good database', onPage, async (t) => {
  const [page, name] = [await context.page(), freshName()]
  await made(page, name, 'indexeddb', { bytes: 2_000_000 })
  let usual = 0
  for (const round of rounds(3)) {
    const [from] = (await found(page, name)).storages
    // The first one shows how long a move takes; in the second one the worker dies at once.
    const wait = round === 1 ? undefined : round === 2 ? 0 : Math.random() * usual
    const { result, took } = await page.evaluate(
      async ([name, to, wait]) => {
        let isOver = false
        const moving = window
          .failure(() => window.tidelock.moveStorage(name, { to }))
          .finally(() => {
            isOver = true
          })
        // From when the page waits for its lock, its death is noticed at once.
        await window.until(async () => {
          const { pending } = await navigator.locks.query()
          return isOver || pending.some((lock) => lock.name.startsWith('tidelock-worker/'))
        })
        const began = performance.now()
        if (wait !== undefined) {
          await new Promise((resolve) => setTimeout(resolve, wait))
          window.workers.at(-1)?.terminate()
        }
        const result = await moving
        return { result, took: performance.now() - began }
      },
      [name, other(from), wait],
    )
    if (round === 1) usual = took
    const isOver = result.code === undefined
    t.diagnostic(`round ${round}: from ${from}, ${isOver ? 'over' : `after ${wait.toFixed()} ms`}`)
    if (!isOver || round === 2) assert.equal(result.code, 'worker_crashed', JSON.stringify(result))
    await checkInterrupted(page, name, from, isOver, round)
  }
  await page.close()
})

/** Waits until a tab holds the database's lock. */
const locked = (page, name) =>
  until(() =>
    page.evaluate(async (name) => {
      const { held } = await navigator.locks.query()
      return held.some((lock) => lock.name === `tidelock/${name}`)
    }, name),
  )

test('who waits for a database that moves gets the right error, and who steals it all of it', onPage, async () => {
  const [mover, second] = [await context.page(), await context.page()]
  for (const from of storages)
    for (const onBusy of process.env.TIDELOCK_ALL ? ['wait', 'steal', 'steal', 'steal'] : ['wait', 'steal']) {
      const name = freshName()
      await made(mover, name, from, { bytes: 1_000_000 })
      const moved = move(mover, name, { to: other(from) })
      await locked(second, name)
      const opened = await second.evaluate(
        async ([options, more]) => {
          await new Promise((resolve) => setTimeout(resolve, more))
          return window.failure(async () => {
            const db = await window.open(options)
            await db.run("INSERT INTO t (s) VALUES ('of the thief')")
            const { n } = await db.get('SELECT count(*) AS n FROM t')
            await db.close()
            return n
          })
        },
        [{ ...optionsFor(name, from), lock: { onBusy } }, Math.random() * 200],
      )
      const outcome = await moved
      const counted = async () => {
        const { storages: places } = await found(second, name)
        const count = await second.evaluate(
          (options) =>
            window.failure(async () => {
              const db = await window.open(options)
              const { n } = await db.get('SELECT count(*) AS n FROM t')
              await db.close()
              return n
            }),
          optionsFor(name, places[0]),
        )
        return { places, count }
      }
      let after = await counted()
      // The browser may still have stored the last step of a move whose lock was stolen.
      if (after.count.code === 'invalid_argument') after = await counted()
      const { places, count } = after
      const context = JSON.stringify({ from, onBusy, opened, outcome, ...after })
      assert.equal(places.length, 1, context)
      if (onBusy === 'wait') assert.deepEqual(outcome, { resolved: undefined }, context)
      if (places[0] === from) assert.deepEqual([opened.resolved, outcome.code], [4, 'lock_lost'], context)
      // In use, as long as the move has not removed the original.
      else assert.ok(['invalid_argument', 'database_in_use'].includes(opened.code), context)
      assert.equal(count.resolved, places[0] === from ? 4 : 3, context)
    }
  await Promise.all([mover.close(), second.close()])
})

test("storage 'best' waits for a database that moves, and opens it where it is then", onPage, async () => {
  const [mover, second] = [await context.page(), await context.page()]
  for (const from of storages) {
    const name = freshName()
    await made(mover, name, from, { bytes: 1_000_000 })
    const moved = move(mover, name, { to: other(from) })
    await locked(second, name)
    const opened = await second.evaluate(async (name) => {
      const db = await window.open({ name, storage: 'best', thread: 'worker', lock: { onBusy: 'wait' } })
      const [{ storage }, { n }] = [await db.health(), await db.get('SELECT count(*) AS n FROM t')]
      await db.close()
      return [storage.kind, n]
    }, name)
    assert.deepEqual(await moved, { resolved: undefined })
    assert.deepEqual(opened, [other(from), 3])
  }
  await Promise.all([mover.close(), second.close()])
})

test('a database moves in a worker, too', onPage, async () => {
  const [page, name] = [await context.page(), freshName()]
  const at = await made(page, name, 'indexeddb')
  for (const to of ['opfs', 'indexeddb']) {
    const result = await page.evaluate(
      async ([name, to]) => {
        const code = `import { moveStorage } from '${location.origin}/tidelock/dist/index.js'
          moveStorage(${JSON.stringify(name)}, { to: '${to}' }).then(() => postMessage('moved'), (error) => postMessage(String(error)))`
        const worker = new Worker(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })), {
          type: 'module',
        })
        const result = await new Promise((resolve) => {
          worker.onmessage = ({ data }) => resolve(data)
        })
        worker.terminate()
        return result
      },
      [name, to],
    )
    assert.equal(result, 'moved')
    assert.deepEqual((await found(page, name)).storages, [to])
  }
  await checkContent(page, name, 'indexeddb', at)
  await page.close()
})

test("storage 'best' opens a database where it is, and makes a new one where it fits", async () => {
  const page = await context.page()
  const kind = (name) =>
    page.evaluate(async (name) => {
      const db = await window.open({ name, storage: 'best' })
      const { storage } = await db.health()
      await db.close()
      return storage.kind
    }, name)
  const name = freshName()
  assert.equal(await kind(name), 'opfs')
  assert.deepEqual((await found(page, name)).storages, ['opfs'])
  const old = freshName()
  await made(page, old, 'indexeddb')
  assert.equal(await kind(old), 'indexeddb')
  await move(page, old, { to: 'opfs' })
  assert.equal(await kind(old), 'opfs')
  // The same as naming it.
  const both = await page.evaluate(async (name) => {
    const [one, two] = await Promise.all([
      window.open({ name, storage: 'best' }),
      window.open({ name, storage: 'opfs' }),
    ])
    await Promise.all([one.close(), two.close()])
    return 'shared'
  }, old)
  assert.equal(both, 'shared')
  const refusing = await page.evaluate(async (name) => {
    navigator.storage.getDirectory = () => Promise.reject(new DOMException('Not in private windows', 'SecurityError'))
    const db = await window.open({ name, storage: 'best' })
    const { storage } = await db.health()
    await db.close()
    return storage.kind
  }, freshName())
  assert.equal(refusing, 'indexeddb')
  await page.close()
})

test('what cannot be read in IndexedDB removes no files, whatever a move has left', onPage, async () => {
  const page = await context.page()
  const name = freshName()
  const at = await made(page, name, 'opfs')
  const errors = await page.evaluate(async (name) => {
    const all = await (await navigator.storage.getDirectory()).getDirectoryHandle('tidelock')
    await all.getFileHandle(`${name}.db.moving`, { create: true })
    const database = await new Promise((resolve) => {
      const opening = indexedDB.open(`tidelock/${name}`, 1)
      opening.onsuccess = () => resolve(opening.result)
    })
    database.close()
    const errors = []
    for (const storage of ['best', 'indexeddb', 'opfs'])
      errors.push((await window.failure(() => window.open({ name, storage, thread: 'worker' }))).code)
    await new Promise((resolve) => {
      indexedDB.deleteDatabase(`tidelock/${name}`).onsuccess = resolve
    })
    return errors
  }, name)
  assert.deepEqual(errors, Array(3).fill('storage_unavailable'))
  await checkContent(page, name, 'opfs', at)
  await page.close()
})

test('entries of others in the private file system hide no database', onPage, async () => {
  const page = await context.page()
  const name = freshName()
  const at = await made(page, name, 'opfs')
  const listed = await page.evaluate(async (name) => {
    const all = await (await navigator.storage.getDirectory()).getDirectoryHandle('tidelock')
    const junk = ['%zz.db', '%E0%A4%A.db', '%.db']
    for (const folder of junk) await all.getDirectoryHandle(folder, { create: true })
    const own = await all.getDirectoryHandle(`${name}.db`)
    await own.getDirectoryHandle('junk', { create: true })
    const about = await (await own.getFileHandle('about', { create: true })).createWritable()
    await about.write('{"features":5,"holder":{"since":1e300}}')
    await about.close()
    const listed = await window.tidelock.databases()
    for (const folder of junk) await all.removeEntry(folder)
    return listed.filter((database) => database.name === name)
  }, name)
  assert.deepEqual(listed, [{ name, storage: 'opfs', inUse: false, encrypted: null, openedAt: null }])
  await checkContent(page, name, 'opfs', at)
  await page.close()
})

test('of two openings with different storages, in a page or in two tabs, one makes the database', onPage, async () => {
  const pages = [await context.page(), await context.page()]
  for (const page of [pages[0], pages[0], pages[1], pages[1]]) {
    const name = freshName()
    const opening = (page, storage) =>
      page.evaluate(
        (given) =>
          window.failure(async () => {
            window.db = await window.open(given)
          }),
        { ...optionsFor(name, storage), lock: { onBusy: 'wait' } },
      )
    const results = [opening(pages[0], 'indexeddb'), opening(page, 'opfs')]
    // The one that waits gets the lock when the other closes.
    await Promise.race(results)
    for (const page of pages) await page.evaluate(() => window.db?.close())
    const codes = (await Promise.all(results)).map(({ code }) => code)
    for (const page of pages) await page.evaluate(() => window.db?.close())
    assert.deepEqual(codes.filter(Boolean), ['invalid_argument'], `${codes}`)
    assert.equal((await found(pages[0], name)).storages.length, 1)
  }
  await Promise.all(pages.map((page) => page.close()))
})

test('a move that has no room left to mark the original has moved it all the same', onPage, async () => {
  const page = await context.page()
  const devtools = await page.context().newCDPSession(page)
  const setQuota = (given) => devtools.send('Storage.overrideQuotaForOrigin', { origin: context.url, ...given })
  for (const extra of [200_000, 1_000_000, 3_000_000]) {
    const name = freshName()
    // Chromium remembers for half a minute how much room IndexedDB had, so that the copy fits, and then the files don't.
    await made(page, freshName(), 'indexeddb')
    const at = await made(page, name, 'opfs', { bytes: 2_000_000 })
    const { usage } = await devtools.send('Storage.getUsageAndQuota', { origin: context.url })
    await setQuota({ quotaSize: usage + extra })
    const failed = await move(page, name, { to: 'indexeddb' })
    await setQuota({})
    if (failed.code !== undefined) assert.equal(failed.code, 'storage_quota_exceeded')
    const place = failed.code === undefined ? 'indexeddb' : 'opfs'
    assert.deepEqual((await found(page, name)).storages, [place], `with ${extra} bytes more`)
    await checkContent(page, name, place, at)
  }
  await page.close()
})

test('a database that another tab has open is not moved while no tab leads', onPage, async () => {
  const [leader, follower] = await opened(context, 2)
  const name = await leader.evaluate(() => window.db.name)
  await leader.evaluate(() => window.db.exec('CREATE TABLE t (n)'))
  const goOn = await hang(follower)
  await leader.evaluate(() => window.db.close())
  assert.equal((await move(leader, name, { to: 'opfs' })).code, 'database_in_use')
  await goOn()
  assert.deepEqual(await follower.evaluate(() => window.db.run('INSERT INTO t VALUES (1)')), {
    changes: 1,
    lastInsertRowid: 1,
  })
  await close([leader, follower])
})
