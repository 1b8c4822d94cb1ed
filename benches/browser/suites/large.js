// Databases that are larger than memory. It takes some minutes and 10 GB of disk, so it runs only when it is named.

const rows = 1_000_000
const perTransaction = 5_000
const table = 'CREATE TABLE large (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, body BLOB NOT NULL)'

export const large = {
  title: 'Larger than memory',
  fresh: true,
  byName: true,
  server: 10,
  steps: {
    first: 'open 1 GB, with a row by its key',
    firstSmall: 'the same with 1 MB',
    fill: '2 GB filled: wasm memory at its peak, MiB',
    scan: 'all of it read: wasm memory, MiB',
    index: 'an index over it: wasm memory, MiB',
    snapshot: 'a snapshot of it, verified: wasm memory, MiB',
    maintain: 'maintained: wasm memory, MiB',
    pull: '250,000 rows pulled into it: wasm memory, MiB',
    most: 'the most of these, MiB',
  },
  contests: [
    {
      name: 'opfs',
      caller: 'on the page, tidelock over OPFS in its worker',
      ours: 'tidelock-opfs',
      beside: ['tidelock-opfs-inside'],
      peers: ['official-sahpool', 'wa-sqlite-ahp'],
    },
  ],
  kept: ['first'],
  ratios: {
    '1 GB to 1 MB: open, with a row by its key': { of: 'first', to: 'firstSmall', goal: 1.2 },
    '2 GB: wasm memory at its peak, MiB': { of: 'most', goal: 128 },
  },

  async prepare(bench) {
    for (const [name, count] of [
      ['large', rows * bench.scale],
      ['small', 1000],
    ]) {
      const db = await bench.open(name)
      await fill(db, count)
      await db.close()
    }
    if (bench.engine === 'tidelock-opfs') memory = await memoryOf(2 * rows * bench.scale, bench.server)
  },

  async round({ engine, open, step, note }) {
    for (const [name, database] of [
      ['first', 'large'],
      ['firstSmall', 'small'],
    ]) {
      let db
      await step(
        name,
        async () => {
          db = await open(database)
          return db.points('SELECT length(body) AS bytes FROM large WHERE id = ?', [500])
        },
        (found) => found,
      )
      await db.close()
    }
    if (engine !== 'tidelock-opfs') return
    for (const [name, mebibytes] of Object.entries(memory)) note(name, mebibytes)
    note('most', Math.max(...Object.values(memory)))
  },
}

/** The memory of each part of `memoryOf`, measured once: a page has all rounds of its engine. */
let memory

async function fill(db, count) {
  await db.exec(table)
  for (let from = 0; from < count; from += perTransaction) {
    const to = Math.min(from + perTransaction, count)
    await db.exec(`WITH RECURSIVE n(i) AS (SELECT ${from + 1} UNION ALL SELECT i + 1 FROM n WHERE i < ${to})
      INSERT INTO large SELECT i, i * 7919 % 997, randomblob(1000) FROM n`)
  }
}

/** Each part in a worker of its own → the most memory that its wasm had, in MiB. */
async function memoryOf(count, { near, key, rows: pulled }) {
  const { open } = await import('tidelock')
  const items = 'CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, quantity INTEGER, updated_at TEXT)'
  const remote = { url: near, key, tables: [{ table: 'items', cursor: 'updated_at' }] }
  const expect = (found, expected) => {
    if (found !== expected) throw new Error(`${found} instead of ${expected}`)
  }
  const parts = {
    fill: (db) => fill(db, count),
    scan: async (db) => expect((await db.get('SELECT sum(length(body)) AS bytes FROM large')).bytes, count * 1000),
    index: (db) => db.exec('CREATE INDEX large_kind ON large (kind, id)'),
    async snapshot(db) {
      const { id } = await db.snapshots.create()
      expect((await db.snapshots.verify(id)).ok, true)
    },
    maintain: (db) => db.maintain(),
    async pull(db) {
      await db.sync.pull()
      expect((await db.get('SELECT count(*) AS n FROM items')).n, pulled)
    },
  }
  const measured = {}
  for (const [name, work] of Object.entries(parts)) {
    const db = await open({
      name: 'gigabytes',
      storage: 'opfs',
      thread: 'worker',
      worker: () => new Worker(new URL('../engines/watched-worker.js', import.meta.url), { type: 'module' }),
      ...(name === 'pull' && { remote, migrations: [{ version: '1', name: 'items', up: items }] }),
    })
    await work(db)
    measured[name] = (await wasmMemory()) / 2 ** 20
    await db.close()
  }
  return measured
}

/** Asks the worker (engines/watched-worker.js). */
function wasmMemory() {
  const channel = new BroadcastChannel('wasm-memory')
  return new Promise((resolve) => {
    channel.onmessage = ({ data }) => {
      channel.close()
      resolve(data)
    }
    channel.postMessage('ask')
  })
}
