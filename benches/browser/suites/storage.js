// tidelock's storage against its floor: the same work by bare IndexedDB, which nothing on it can be faster than. And 100 MB: reading
// them, the memory that takes, a snapshot after one row has changed.

import { blocked } from './blocked.js'
import { makeLarge, scan } from './durable.js'
import { watchMemory } from './watch-memory.js'

const updates = 500
const writers = 100
const largeRows = 100_000

export const storage = {
  title: 'Storage and its floor',
  fresh: true,
  engines: ['tidelock-relaxed'],
  steps: {
    relaxed: '500 awaited updates, relaxed',
    floorRelaxed: 'as many bare IndexedDB transactions, relaxed',
    strict: '500 awaited updates, strict',
    floorStrict: 'as many bare IndexedDB transactions, strict',
    deferred: '500 awaited updates, deferred',
    oneByOne: '100 awaited updates',
    atOnce: '100 updates at once',
    scan: '100 MB: open and read all',
    raw: '100 MB: read its bytes from IndexedDB',
    memory: '100 MB: wasm memory to database',
    snapshot: '100 MB, one row changed: a snapshot, ms',
    snapshotBusy: 'of that, the page’s thread, ms',
    snapshotStored: 'what it stores, KB',
  },
  contests: [],
  /** Figures of one engine to each other: `[of, to]`, or one figure as it is; with the most that it may be. */
  ratios: {
    'relaxed to the floor': { of: 'relaxed', to: 'floorRelaxed', goal: 1.3 },
    'strict to the floor': { of: 'strict', to: 'floorStrict' },
    '100 at once to one by one': { of: 'atOnce', to: 'oneByOne', goal: 0.1 },
    '100 MB: open and scan to raw': { of: 'scan', to: 'raw', goal: 1.5 },
    '100 MB: memory to database': { of: 'memory', goal: 1.3 },
    'snapshot: page busy, ms': { of: 'snapshotBusy', goal: 20 },
    'snapshot: stored, KB': { of: 'snapshotStored', goal: 300 },
  },

  async prepare({ scale, open }) {
    await makeLarge(await open('large'), Math.round(largeRows * scale))
    const { open: openDatabase } = await import('tidelock')
    const db = await openDatabase({ name: 'large', snapshots: { intervalMs: 2 ** 31 } })
    await db.snapshots.create({ label: 'all of it' })
    await db.close()
  },

  async round({ scale, note }) {
    const count = Math.max(2, Math.round(updates * scale))
    const some = Math.max(2, Math.round(writers * scale))
    note('relaxed', await viaTidelock('relaxed', count, oneByOne))
    note('floorRelaxed', await viaIndexedDB('relaxed', count))
    note('strict', await viaTidelock('strict', count, oneByOne))
    note('floorStrict', await viaIndexedDB('strict', count))
    note('deferred', await viaTidelock('deferred', count, oneByOne))
    note('oneByOne', await viaTidelock('relaxed', some, oneByOne))
    note('atOnce', await viaTidelock('relaxed', some, atOnce))
    const { ms, memory } = await openAndScan()
    note('scan', ms)
    note('memory', memory)
    note('raw', await rawRead())
    await snapshotOfOneRow(note)
  },
}

async function oneByOne(count, update) {
  for (let i = 0; i < count; i++) await update(i)
}

function atOnce(count, update) {
  return Promise.all(Array.from({ length: count }, (_, i) => update(i)))
}

async function viaTidelock(durability, count, run) {
  const { open } = await import('tidelock')
  const name = `bench-${crypto.randomUUID()}`
  const db = await open({ name, durability, snapshots: false })
  await db.exec('CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)')
  await db.runMany(
    'INSERT INTO counters (id, n) VALUES (?, 0)',
    Array.from({ length: 1000 }, (_, id) => [id]),
  )
  const start = performance.now()
  await run(count, (i) => db.run('UPDATE counters SET n = n + 1 WHERE id = ?', [i]))
  const ms = performance.now() - start
  const row = await db.get('SELECT sum(n) AS n FROM counters')
  if (row.n !== count) throw new Error(`${row.n} updates instead of ${count}`)
  await db.close()
  await answer(indexedDB.deleteDatabase(`tidelock/${name}`))
  return ms
}

/** As many awaited transactions, each of one record of the size of two pages: how long they take. */
export async function viaIndexedDB(durability, count) {
  const name = `floor-${crypto.randomUUID()}`
  const opening = indexedDB.open(name, 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore('log')
  const db = await answer(opening)
  const start = performance.now()
  for (let i = 0; i < count; i++) {
    const transaction = db.transaction('log', 'readwrite', { durability })
    transaction.objectStore('log').add(new Uint8Array(8192).buffer, i)
    transaction.commit()
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve
      transaction.onabort = () => reject(transaction.error)
    })
  }
  const ms = performance.now() - start
  db.close()
  await answer(indexedDB.deleteDatabase(name))
  return ms
}

async function openAndScan() {
  const { open } = await import('tidelock')
  const memory = watchMemory()
  const start = performance.now()
  const db = await open({ name: 'large', snapshots: false })
  const { n } = await db.get(scan)
  const ms = performance.now() - start
  const { bytes } = (await db.health()).storage
  const used = memory()
  await db.close()
  if (!(n > 0)) throw new Error('nothing to read')
  return { ms, memory: used / bytes }
}

/** How long it takes to read the records of the database of 100 MB, as tidelock has stored them. */
export async function rawRead() {
  const start = performance.now()
  const db = await answer(indexedDB.open('tidelock/large'))
  let bytes = 0
  for (const store of ['chunks', 'log']) {
    let range
    for (;;) {
      const source = db.transaction(store).objectStore(store)
      const [values, keys] = await Promise.all([
        answer(source.getAll(range, 256)),
        answer(source.getAllKeys(range, 256)),
      ])
      for (const value of values) bytes += (value.bytes ?? value).byteLength ?? 0
      if (keys.length === 0) break
      range = IDBKeyRange.lowerBound(keys.at(-1), true)
    }
  }
  const ms = performance.now() - start
  db.close()
  if (bytes === 0) throw new Error('nothing to read')
  return ms
}

async function snapshotOfOneRow(note) {
  const { open } = await import('tidelock')
  const db = await open({ name: 'large', snapshots: { keep: 1, intervalMs: 2 ** 31 } })
  await db.run('UPDATE large SET body = randomblob(1000) WHERE id = 5')
  await new Promise((resolve) => setTimeout(resolve, 300))
  let taken
  const start = performance.now()
  const { total } = await blocked(async () => {
    taken = await db.snapshots.create()
  })
  note('snapshot', performance.now() - start)
  note('snapshotBusy', total)
  note('snapshotStored', taken.storedBytes / 1000)
  await db.close()
}

function answer(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
