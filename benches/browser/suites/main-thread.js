// For how long the page can't do anything else while 50,000 rows come and go.

import { blocked } from './blocked.js'
import { insert, makeItems, schema, selectAll } from './workload.js'

export const mainThread = {
  title: 'The page’s thread',
  steps: {
    readTotal: 'reading 50,000 rows: blocked',
    readLongest: 'reading 50,000 rows: longest stretch',
    insertTotal: 'inserting 50,000 rows: blocked',
    insertLongest: 'inserting 50,000 rows: longest stretch',
    idle: 'as long without a database: blocked',
  },
  kept: ['readTotal', 'insertTotal'],
  contests: [
    {
      name: 'worker',
      caller: 'on the page, the engine in a worker',
      ours: 'tidelock-worker',
      peers: ['official-worker', 'sqljs-worker', 'wa-sqlite-worker', 'pglite-worker', 'sqlocal-opfs'],
    },
    {
      name: 'same thread',
      caller: 'on the engine’s thread, the page',
      ours: 'tidelock',
      peers: ['official', 'sqljs', 'wa-sqlite'],
    },
  ],

  async round({ scale, open, note }) {
    const items = makeItems(Math.round(50_000 * scale))
    const db = await open(`blocked-${crypto.randomUUID()}`)
    try {
      await db.exec(schema)
      const inserting = await blocked(() => db.insertMany(insert, items))
      globalThis.gc?.()
      let rows
      const reading = await blocked(async () => {
        rows = await db.all(selectAll)
      })
      if (rows.length !== items.length) throw new Error(`${rows.length} rows instead of ${items.length}`)
      const idle = await blocked(() => new Promise((resolve) => setTimeout(resolve, 100)))
      note('readTotal', reading.total)
      note('readLongest', reading.longest)
      note('insertTotal', inserting.total)
      note('insertLongest', inserting.longest)
      note('idle', idle.total)
    } finally {
      await db.close()
    }
  },
}
