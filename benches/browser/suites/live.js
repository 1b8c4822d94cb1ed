// A live query over a sorted table: how long a change of one row takes to arrive. The peers that run in Node are in benches/live-peers.mjs.

const rows = 100_000
const changes = 10
const sorted = 'SELECT id, title, rank FROM tasks ORDER BY rank'

export const live = {
  title: 'Live queries',
  steps: { change: `a change of one row of ${rows.toLocaleString('en')}, sorted` },
  contests: [
    { name: 'one row', caller: 'on the page', ours: 'tidelock', peers: ['sqlocal-live'] },
    {
      name: 'one row, worker',
      caller: 'on the page, the engine in a worker',
      ours: 'tidelock-worker',
      peers: ['sqlocal-live'],
    },
  ],

  async round({ scale, open, note }) {
    const count = Math.round(rows * scale)
    const db = await open()
    try {
      await db.exec('CREATE TABLE tasks (id INTEGER PRIMARY KEY, title TEXT, rank REAL)')
      await db.exec('CREATE INDEX ranks ON tasks(rank)')
      const tasks = Array.from({ length: count }, (_, id) => [id, `task ${id}`, id])
      await db.insertMany('INSERT INTO tasks VALUES (?, ?, ?)', tasks)
      let [arrived, results] = [() => {}, 0]
      const next = () =>
        new Promise((resolve) => {
          arrived = resolve
        })
      const first = next()
      db.follow(sorted, () => {
        results++
        arrived()
      })
      await first
      const times = []
      // The first one is to warm up: only now does tidelock know which rows the query depends on.
      for (let at = 0; at <= changes; at++) {
        const changed = next()
        const from = performance.now()
        await db.updates('UPDATE tasks SET rank = rank + 1.5 WHERE id = ?', [at * 7])
        await changed
        if (at > 0) times.push(performance.now() - from)
      }
      if (results < changes) throw new Error(`${results} results instead of ${changes}`)
      note('change', times.toSorted((a, b) => a - b)[changes / 2])
    } finally {
      await db.close()
    }
  },
}
