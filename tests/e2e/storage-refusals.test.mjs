// What openings and moves do when a storage of the browser refuses one look, or all of them: no database is lost, hidden or made twice.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'

const context = suite()
const onPage = { only: 'current', because: 'the page decides which storage has a database' }

/** In the page: makes a database with one row. */
const make = (page, name, storage) =>
  page.evaluate(
    async (options) => {
      const db = await window.open(options)
      await db.exec("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('kept')")
      await db.close()
    },
    { name, storage, thread: 'worker' },
  )

/** In the page: opens the database, and returns its storage and its rows, or the failure. */
const openedAs = (page, name, storage) =>
  page.evaluate(
    (options) =>
      window.failure(async () => {
        const db = await window.open(options)
        const { storage } = await db.health()
        const rows = await db.query('SELECT s FROM t')
        await db.close()
        return [storage.kind, rows.map(({ s }) => s)]
      }),
    { name, storage, thread: 'worker' },
  )

/** In the page: the storages in which it is listed. */
const storagesOf = (page, name) =>
  page.evaluate(
    async (name) =>
      (await window.tidelock.databases()).filter((one) => one.name === name).map(({ storage }) => storage),
    name,
  )

test(
  "storage 'best' makes no database while the private file system, which may have it, can't be read",
  onPage,
  async () => {
    const page = await context.page()
    const name = freshName()
    await make(page, name, 'opfs')
    for (const method of ['StorageManager.prototype.getDirectory', 'FileSystemDirectoryHandle.prototype.entries']) {
      await page.evaluate((method) => {
        const [type, , key] = method.split('.')
        const real = window[type].prototype[key]
        window[type].prototype[key] = () => {
          throw new DOMException('State cached in an interface object has changed', 'InvalidStateError')
        }
        window.undo = () => {
          window[type].prototype[key] = real
        }
      }, method)
      const refused = await openedAs(page, name, 'best')
      await page.evaluate(() => window.undo())
      assert.equal(refused.code, 'storage_unavailable', JSON.stringify(refused))
      assert.match(refused.message, /private file system/)
      assert.deepEqual(await storagesOf(page, name), ['opfs'])
      assert.deepEqual((await openedAs(page, name, 'best')).resolved, ['opfs', ['kept']])
    }
    // A database in IndexedDB needs no other storage.
    const other = freshName()
    await make(page, other, 'indexeddb')
    await page.evaluate(() => {
      navigator.storage.getDirectory = () => Promise.reject(new DOMException('Passing', 'InvalidStateError'))
    })
    for (const storage of ['best', 'indexeddb'])
      assert.deepEqual((await openedAs(page, other, storage)).resolved, ['indexeddb', ['kept']])
    await page.close()
  },
)

test(
  'whichever single look into a storage fails, the end of a move removes nothing that is whole',
  onPage,
  async () => {
    const page = await context.page()
    for (const look of ['indexedDB', 'files'])
      for (let failing = 1; failing <= 6; failing++) {
        const name = freshName()
        await make(page, name, 'opfs')
        await page.evaluate(
          async ([name, look, failing]) => {
            // Left of a move: its mark, and in IndexedDB data without a head.
            const all = await (await navigator.storage.getDirectory()).getDirectoryHandle('tidelock')
            await all.getFileHandle(`${name}.db.moving`, { create: true })
            const opening = indexedDB.open(`tidelock/${name}`, 1)
            opening.onupgradeneeded = () => {
              for (const store of ['meta', 'log', 'snapshots', 'chunks']) opening.result.createObjectStore(store)
              opening.transaction.objectStore('log').put(new ArrayBuffer(10), [1, 0])
            }
            await new Promise((resolve) => {
              opening.onsuccess = resolve
            })
            opening.result.close()
            let count = 0
            const [on, method] = look === 'files' ? [navigator.storage, 'getDirectory'] : [indexedDB, 'open']
            const real = on[method]
            on[method] = (...given) => {
              const isMeant = look === 'files' || given[0] === `tidelock/${name}`
              if (isMeant && ++count === failing) throw new DOMException('Only once', 'InvalidStateError')
              return real.apply(on, given)
            }
            window.undo = () => {
              delete on[method]
            }
          },
          [name, look, failing],
        )
        const first = await openedAs(page, name, 'best')
        await page.evaluate(() => window.undo())
        const { resolved, ...error } = await openedAs(page, name, 'best')
        const said = `${look}, ${failing}: ${JSON.stringify([first, error])}`
        assert.deepEqual(resolved, ['opfs', ['kept']], said)
      }
    await page.close()
  },
)

test('without IndexedDB, a database in OPFS works, and every call says what is missing', onPage, async () => {
  const page = await context.page()
  const name = freshName()
  await make(page, name, 'opfs')
  for (const missing of ['undefined', 'throws']) {
    await page.evaluate((missing) => {
      const get = () => {
        if (missing === 'throws') throw new DOMException('Denied', 'SecurityError')
      }
      const own = Object.getOwnPropertyDescriptor(window, 'indexedDB')
      window.undo = () => Object.defineProperty(window, 'indexedDB', own)
      Object.defineProperty(window, 'indexedDB', { get, configurable: true })
    }, missing)
    assert.deepEqual((await openedAs(page, name, 'opfs')).resolved, ['opfs', ['kept']], missing)
    const codes = await page.evaluate(async (name) => {
      const { databases, moveStorage, recover, deleteDatabase, open } = window.tidelock
      const listed = (await databases({ storage: 'opfs' })).map((one) => one.name)
      const failed = {}
      const calls = {
        open: () => open({ name, storage: 'indexeddb' }),
        best: async () => (await open({ name, storage: 'best' })).close(),
        databases: () => databases(),
        move: () => moveStorage(name, { to: 'indexeddb' }),
        recover: () => recover(name, { storage: 'indexeddb' }),
        recoverFiles: () => recover(name, { storage: 'opfs' }),
        remove: () => deleteDatabase(name),
      }
      for (const [call, run] of Object.entries(calls)) failed[call] = (await window.failure(run)).code
      return { listed: listed.includes(name), ...failed }
    }, name)
    const failed = 'storage_unavailable'
    assert.deepEqual(codes, {
      listed: true,
      open: failed,
      // Where reading it is denied, it may have the database.
      best: missing === 'throws' ? failed : undefined,
      databases: failed,
      move: failed,
      recover: failed,
      recoverFiles: undefined,
      remove: failed,
    })
    if (missing === 'undefined') {
      const fresh = freshName()
      const kind = await page.evaluate(async (name) => {
        const db = await window.tidelock.open({ name, storage: 'best' })
        const { kind } = (await db.health()).storage
        await db.close()
        return kind
      }, fresh)
      assert.equal(kind, 'opfs', 'a new one')
    }
    await page.evaluate(() => window.undo())
  }
  assert.deepEqual((await openedAs(page, name, 'best')).resolved, ['opfs', ['kept']])
  await page.close()
})

test('a move that its mark refuses is a typed error, and the database stays', onPage, async () => {
  const page = await context.page()
  const name = freshName()
  await make(page, name, 'indexeddb')
  const move = () =>
    page.evaluate((name) => window.failure(() => window.tidelock.moveStorage(name, { to: 'opfs' })), name)
  const inFolder = (method, ...given) =>
    page.evaluate(
      async ([name, method, given]) => {
        const all = await (await navigator.storage.getDirectory()).getDirectoryHandle('tidelock', { create: true })
        await all[method](`${name}.db.moving`, ...given)
      },
      [name, method, given],
    )
  await inFolder('getDirectoryHandle', { create: true })
  const refused = await move()
  assert.equal(refused.code, 'storage_unavailable', JSON.stringify(refused))
  assert.match(refused.message, /\.db\.moving/)
  assert.deepEqual((await openedAs(page, name, 'best')).resolved, ['indexeddb', ['kept']])
  await inFolder('removeEntry')
  assert.deepEqual(await move(), { resolved: undefined })
  assert.deepEqual((await openedAs(page, name, 'best')).resolved, ['opfs', ['kept']])
  await page.close()
})
