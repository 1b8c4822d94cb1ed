// Work that is stored when its promise resolves. Each engine in a browser profile of its own; the peers that need a worker are called
// there, on their own thread.

import { numbers } from './workload.js'

const rowBytes = 1000
const peers = ['official-sahpool', 'wa-sqlite-ahp', 'wa-sqlite-idb', 'sqlocal-opfs', 'pglite-idb', 'turso-opfs']
const largeRows = 100_000
const needle = "x'00010203040506070809'"

export const durable = {
  title: 'Stored',
  fresh: true,
  steps: {
    updates: '500 updates, awaited one by one',
    concurrent: '100 updates at once',
    rows: '2,000 rows in one call',
    scan: 'open and read 100 MB',
  },
  contests: [
    {
      name: 'any thread',
      caller: 'where the engine’s documentation puts it',
      ours: 'tidelock-relaxed',
      beside: ['tidelock-opfs', 'tidelock-opfs-page'],
      peers,
    },
    {
      name: 'worker',
      caller: 'on the page, the engine in a worker',
      ours: 'tidelock-worker-relaxed',
      peers: ['sqlocal-opfs'],
    },
    {
      name: 'strict',
      caller: 'tidelock with durability: strict',
      ours: 'tidelock-strict',
      peers,
    },
    {
      name: 'opfs',
      caller: 'on the page, tidelock over OPFS in its worker',
      ours: 'tidelock-opfs',
      beside: ['tidelock-opfs-page', 'tidelock-opfs-inside'],
      peers,
    },
    {
      name: 'opfs, strict',
      caller: 'on the page, tidelock over OPFS in its worker, with durability: strict',
      ours: 'tidelock-opfs-strict',
      beside: ['tidelock-opfs-inside-strict'],
      peers,
    },
  ],

  /** Once for each engine: the database of 100 MB. */
  async prepare({ scale, open, lacks }) {
    if (!lacks.scan) await makeLarge(await open('large'), Math.round(largeRows * scale))
  },

  /** Opens that and reads it: for the memory that takes. */
  async read({ open }) {
    const large = await open('large')
    try {
      const [{ n }] = await large.all(scan)
      if (!(n > 0)) throw new Error('nothing to read')
    } finally {
      await large.close()
    }
  },

  /** The last step of a round. */
  async scan({ open, step }) {
    let large
    try {
      await step(
        'scan',
        async () => {
          large = await open('large')
          return large.all(scan)
        },
        (rows) => rows,
      )
    } finally {
      await large?.close()
    }
  },

  async round({ scale, open, step, note, lacks }) {
    const portion = lacks.portion ?? 1
    const count = (n) => Math.max(2, Math.round(n * scale * portion))
    const db = await open(`counters-${crypto.randomUUID()}`)
    try {
      await db.exec('CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)')
      await db.insertMany(
        'INSERT INTO counters (id, n) VALUES (?, ?)',
        Array.from({ length: 1000 }, (_, id) => [id, 0]),
      )
      const update = 'UPDATE counters SET n = n + 1 WHERE id = ?'
      const ids = (n) => Array.from({ length: n }, (_, id) => id)
      await extrapolated('updates', 500, (n) => db.updates(update, ids(n)))
      await extrapolated('concurrent', 100, (n) => (db.atOnce ?? db.updates)(update, ids(n)))
      const [{ n }] = await db.all('SELECT sum(n) AS n FROM counters')
      if (Number(n) !== count(500) + count(100)) throw new Error(`${n} updates instead of ${count(500) + count(100)}`)
      await db.exec('CREATE TABLE lines (id INTEGER PRIMARY KEY, text TEXT NOT NULL)')
      const lines = Array.from({ length: Math.round(2000 * scale) }, (_, id) => [
        id,
        `line ${id} of the order ${id % 97}`,
      ])
      await step(
        'rows',
        () => db.insertMany('INSERT INTO lines (id, text) VALUES (?, ?)', lines),
        () => db.all('SELECT count(*) AS n, sum(length(text)) AS l FROM lines'),
      )
    } finally {
      await db.close()
    }
    if (!lacks.scan) await this.scan({ open, step })

    /** What takes a slow engine minutes is done in part, and counted in full. */
    async function extrapolated(name, full, work) {
      const n = count(full)
      const value = await step(name, () => work(n))
      if (portion !== 1) note(name, value / portion)
    }
  },
}

export const scan = `SELECT count(*) + sum(instr(body, ${needle})) AS n FROM large`

/** Fills a database, if it hasn't been, with `rows` rows of 1000 bytes that don't compress, and closes it. */
export async function makeLarge(db, rows) {
  try {
    await db.exec('CREATE TABLE IF NOT EXISTS large (id INTEGER PRIMARY KEY, body BLOB NOT NULL)')
    const [{ n }] = await db.all('SELECT count(*) AS n FROM large')
    if (Number(n) === rows) return
    await db.exec('DELETE FROM large')
    const next = numbers(100)
    for (let from = 0; from < rows; from += 5000) {
      const some = []
      for (let id = from; id < Math.min(from + 5000, rows); id++) {
        const body = new Uint8Array(rowBytes)
        const words = new Uint32Array(body.buffer)
        for (let i = 0; i < words.length; i++) words[i] = next(2 ** 24) * 256 + next(256)
        some.push([id, body])
      }
      await db.insertMany('INSERT INTO large (id, body) VALUES (?, ?)', some)
    }
  } finally {
    await db.close()
  }
}
