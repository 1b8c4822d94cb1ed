// A database of 100 MB: opening it and reading all of it, against reading the same bytes from IndexedDB as they are stored; the
// memory that takes; and a snapshot after one row has changed.

import { open } from 'tidelock'

const name = 'bench-large'
const rows = 100_000
const rowBytes = 1000

// Each instance of the wasm has a memory of its own; tidelock doesn't hand it out, so it is caught where it is made.
let memory
for (const make of ['instantiate', 'instantiateStreaming']) {
  const original = WebAssembly[make]
  WebAssembly[make] = async (...given) => {
    const made = await original.apply(WebAssembly, given)
    const instance = made instanceof WebAssembly.Instance ? made : made.instance
    memory = instance.exports.memory ?? memory
    return made
  }
}

/** Makes it, once. */
export async function makeLarge() {
  const db = await open({ name, snapshots: false })
  await db.exec('CREATE TABLE large (id INTEGER PRIMARY KEY, body BLOB NOT NULL)')
  for (let from = 0; from < rows; from += 10_000) {
    await db.run(
      `WITH RECURSIVE ids(id) AS (SELECT ? UNION ALL SELECT id + 1 FROM ids WHERE id < ?)
       INSERT INTO large SELECT id, randomblob(${rowBytes}) FROM ids`,
      [from, from + 9_999],
    )
  }
  await db.snapshots.create({ label: 'all of it' })
  await db.close()
}

/** By name: a function that runs one round and returns its figures. */
export const large = {
  async 'open and scan'() {
    const start = performance.now()
    const db = await open({ name, snapshots: false })
    const { n } = await db.get("SELECT sum(instr(body, x'00010203040506070809')) + count(*) AS n FROM large")
    const ms = performance.now() - start
    const { bytes } = (await db.health()).storage
    const used = memory.buffer.byteLength
    await db.close()
    if (n < rows) throw new Error(`${n} instead of ${rows}`)
    return { ms, memory: used / bytes }
  },

  async 'raw read'() {
    const start = performance.now()
    const db = await request(indexedDB.open(`tidelock/${name}`))
    let bytes = 0
    for (const store of ['chunks', 'log']) {
      let range
      for (;;) {
        const source = db.transaction(store).objectStore(store)
        const [values, keys] = await Promise.all([
          request(source.getAll(range, 256)),
          request(source.getAllKeys(range, 256)),
        ])
        for (const value of values) bytes += (value.bytes ?? value).byteLength ?? 0
        if (keys.length === 0) break
        range = IDBKeyRange.lowerBound(keys.at(-1), true)
      }
    }
    const ms = performance.now() - start
    db.close()
    if (bytes < rows * rowBytes) throw new Error(`only ${bytes} bytes`)
    return { ms }
  },
}

/** A snapshot after one row has changed, in two steps, so that run.mjs can look at the page's thread around the second one. */
export const snapshot = {
  async change() {
    snapshot.db ??= await open({ name, snapshots: { keep: 1 } })
    await snapshot.db.run('UPDATE large SET body = randomblob(?) WHERE id = 5', [rowBytes])
  },
  async take() {
    const start = performance.now()
    const { storedBytes } = await snapshot.db.snapshots.create()
    return { ms: performance.now() - start, storedBytes }
  },
}

function request(pending) {
  return new Promise((resolve, reject) => {
    pending.onsuccess = () => resolve(pending.result)
    pending.onerror = () => reject(pending.error)
  })
}
