// 500 awaited one-row updates, each stored before the next begins: tidelock against the peers that store, and against the floor, one
// IndexedDB transaction with one record of the size of two pages. And 100 of them one after the other, and 100 at once, which share their transactions.

import { open } from 'tidelock'

const updates = 500
const writers = 100

/** By name: a function that runs one round and returns its milliseconds. */
export const durable = {
  'tidelock relaxed': () => viaTidelock('relaxed', updates, oneByOne),
  'floor relaxed': () => viaIndexedDB('relaxed'),
  'tidelock strict': () => viaTidelock('strict', updates, oneByOne),
  'floor strict': () => viaIndexedDB('strict'),
  'tidelock deferred': () => viaTidelock('deferred', updates, oneByOne),
  'official sahpool': () => viaPeer('official sahpool'),
  'wa-sqlite AHP': () => viaPeer('wa-sqlite AHP'),
  'wa-sqlite IDB': () => viaPeer('wa-sqlite IDB'),
  '100 one by one': () => viaTidelock('relaxed', writers, oneByOne),
  '100 at once': () => viaTidelock('relaxed', writers, atOnce),
}

async function oneByOne(count, update) {
  for (let i = 0; i < count; i++) await update(i)
}

function atOnce(count, update) {
  return Promise.all(Array.from({ length: count }, (_, i) => update(i)))
}

async function viaTidelock(durability, count, run) {
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
  await request(indexedDB.deleteDatabase(`tidelock/${name}`))
  return ms
}

/** A peer in a worker of its own, which goes with its round. */
async function viaPeer(name) {
  const worker = new Worker(new URL('./durable-worker.js', import.meta.url), { type: 'module' })
  try {
    const { ms, error } = await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data)
      worker.onerror = ({ message }) => reject(new Error(message))
      worker.postMessage({ name, updates })
    })
    if (error) throw new Error(error)
    return ms
  } finally {
    worker.terminate()
  }
}

async function viaIndexedDB(durability) {
  const name = `floor-${crypto.randomUUID()}`
  const opening = indexedDB.open(name, 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore('log')
  const db = await request(opening)
  const start = performance.now()
  for (let i = 0; i < updates; i++) {
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
  await request(indexedDB.deleteDatabase(name))
  return ms
}

function request(pending) {
  return new Promise((resolve, reject) => {
    pending.onsuccess = () => resolve(pending.result)
    pending.onerror = () => reject(pending.error)
  })
}
