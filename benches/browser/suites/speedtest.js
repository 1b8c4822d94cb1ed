// SQL scripts after the main test set of SQLite's speedtest1 (its cases, numbers and proportions; written again, since the original is
// a C program): every engine executes the same list of scripts, in memory.

import { cases } from './speedtest-cases.js'

const size = 20 // speedtest1's own is 100

export const speedtest = {
  title: `SQL after SQLite’s speedtest1, size ${size}`,
  steps: {
    geomean: 'speedtest, geometric mean',
    ...Object.fromEntries(cases(0).map(({ number, title }) => [number, `${number} ${title}`])),
  },
  kept: ['geomean'],
  contests: [
    {
      name: 'same thread',
      caller: 'on the engine’s thread, the page',
      ours: 'tidelock',
      peers: ['official', 'sqljs', 'wa-sqlite', 'sqlocal', 'turso'],
    },
  ],

  async round({ scale, open, step, lacks }) {
    const db = await open()
    try {
      for (const { number, script } of cases(size * scale)) {
        if (lacks.cases?.includes(number)) continue
        await step(number, () => db.exec(script), number === 990 ? () => db.all(state) : undefined)
      }
    } finally {
      await db.close()
    }
  },

  /** The mean of the cases that all engines ran. */
  derive(results) {
    const all = Object.values(results)
    if (all.length === 0) return
    const engines = Object.keys(
      all.reduce((most, one) => (Object.keys(one).length > Object.keys(most).length ? one : most)),
    )
    const common = all.filter((one) => engines.every((engine) => one[engine]))
    const mean = (engine, figure) =>
      Math.exp(common.reduce((sum, one) => sum + Math.log(Math.max(one[engine][figure], 0.05)), 0) / common.length)
    results.geomean = Object.fromEntries(
      engines.map((engine) => [engine, { median: mean(engine, 'median'), min: mean(engine, 'min') }]),
    )
  },
}

/** What must be the same in every engine when all cases have run. */
const state = ['t1', 't2', 't3', 't4']
  .map((t) => `SELECT '${t}' AS t, count(*) AS n, sum(a) AS a, sum(b) AS b, sum(length(c)) AS c FROM ${t}`)
  .concat(
    "SELECT 't5', count(*), sum(a), sum(length(b)), 0 FROM t5",
    "SELECT 't6', count(*), sum(length(a)), sum(b), 0 FROM t6",
  )
  .join(' UNION ALL ')
