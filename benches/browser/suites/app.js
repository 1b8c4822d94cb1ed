// What an app does all day, in memory: many rows in and out, rows one by one, sums, a join, a search.

import {
  ftsInsert,
  ftsSchema,
  ftsSearches,
  groupBys,
  insert,
  join,
  makeDocuments,
  makeItems,
  orders,
  scattered,
  schema,
  selectAll,
  selectOne,
  totals,
  updateOne,
} from './workload.js'

export const app = {
  title: 'In memory',
  steps: {
    inserts: '50,000 inserts in one call',
    objects: '50,000 rows as objects',
    points: '10,000 point selects, as objects',
    groups: 'group-bys over 50,000 rows',
    autocommit: '2,000 autocommit updates',
    join: 'a join with LIKE and ORDER BY',
    fts: 'FTS5 search in 10,000 documents',
  },
  contests: [
    {
      name: 'same thread',
      caller: 'on the engine’s thread, the page',
      ours: 'tidelock',
      peers: ['official', 'sqljs', 'wa-sqlite', 'sqlocal', 'pglite', 'turso'],
    },
    {
      name: 'worker',
      caller: 'on the page, the engine in a worker',
      ours: 'tidelock-worker',
      peers: ['official-worker', 'sqljs-worker', 'wa-sqlite-worker'],
    },
  ],

  async round({ scale, lacks, open, step }) {
    const rows = Math.round(50_000 * scale)
    const items = makeItems(rows)
    const points = scattered(Math.round(10_000 * scale), rows)
    const updates = scattered(Math.round(2_000 * scale), rows)
    const db = await open()
    try {
      await db.exec(schema)
      await step(
        'inserts',
        () => db.insertMany(insert, items),
        () => db.all(totals),
      )
      await step('objects', () => db.all(selectAll), same)
      await step('points', () => db.points(selectOne, points), same)
      await step(
        'groups',
        async () => {
          const results = []
          for (const sql of groupBys) results.push(await db.all(sql))
          return results
        },
        same,
      )
      await db.exec(orders(rows))
      await step('join', () => db.all(join), same)
      await step(
        'autocommit',
        () => db.updates(updateOne, updates),
        () => db.all(totals),
      )
      if (lacks.fts) return
      await db.exec(ftsSchema)
      await db.insertMany(ftsInsert, makeDocuments(Math.round(10_000 * scale)))
      await step(
        'fts',
        async () => {
          const results = []
          for (const sql of ftsSearches) results.push(await db.all(sql))
          return results
        },
        same,
      )
    } finally {
      await db.close()
    }
  },
}

const same = (rows) => rows
