// node benches/live.mjs: what live queries cost a commit, over the built package, in memory.

import { performance } from 'node:perf_hooks'
import { open } from 'tidelock'

const rounds = 50

async function database(rows) {
  const db = await open({ storage: 'memory', name: 'live' })
  await db.exec(
    'CREATE TABLE tasks (id INTEGER PRIMARY KEY, list INTEGER, title TEXT, rank REAL); CREATE INDEX ranks ON tasks(rank)',
  )
  await db.runMany(
    'INSERT INTO tasks VALUES (?, ?, ?, ?)',
    Array.from({ length: rows }, (_, id) => [id, id % 1000, `task ${id}`, id]),
  )
  return db
}

/** The median of some rounds, in milliseconds. */
async function median(work) {
  const times = []
  for (let round = 0; round < rounds; round++) {
    const started = performance.now()
    await work(round)
    times.push(performance.now() - started)
  }
  return times.sort((one, other) => one - other)[rounds / 2]
}

const runs = async (db) => (await db.health()).queries.count
const results = []

for (const [kind, sql, params] of [
  ['by key', 'SELECT * FROM tasks WHERE id = ?', (n) => [n]],
  ['by list', 'SELECT * FROM tasks WHERE list = ? ORDER BY rank', (n) => [n]],
  ['by range', 'SELECT * FROM tasks WHERE rank BETWEEN ? AND ?', (n) => [n * 10, n * 10 + 5]],
]) {
  const db = await database(10_000)
  await db.run("INSERT INTO tasks VALUES (-1, -1, 'of no query', 1e9)")
  const update = (id) => db.run('UPDATE tasks SET title = ? WHERE id = ?', [`changed ${Math.random()}`, id])
  const alone = await median(() => update(0))
  const queries = Array.from({ length: 1000 }, (_, n) => db.live(sql, params(n)))
  await Promise.all(queries.map((query) => query.refresh()))
  const next = (query, act) =>
    new Promise((resolve) => {
      const before = query.rows
      const stop = query.subscribe((rows) => {
        if (rows === before) return
        stop()
        resolve()
      })
      act()
    })
  // Keeps all of them running.
  for (const query of queries) query.subscribe(() => {})
  // Until the part `live` is loaded, each commit runs all of them.
  await new Promise((resolve) => setTimeout(resolve, 1000))
  const hit = await median((round) => next(queries[round], () => update(kind === 'by range' ? round * 10 : round)))
  const before = await runs(db)
  const missed = await median(() => update(-1))
  const ran = (await runs(db)) - before - rounds
  results.push([`1,000 queries ${kind}`, { alone, hit, missed, ran }])
  await db.close()
}

const db = await database(100_000)
const sorted = db.live('SELECT id, title, rank FROM tasks ORDER BY rank')
const changes = sorted.changes({ key: 'id' })[Symbol.asyncIterator]()
await changes.next()
const follow = async (round) => {
  const next = changes.next()
  await db.run('UPDATE tasks SET rank = rank + 1.5 WHERE id = ?', [round * 100])
  await next
}
// Its rows are followed once the part `live` is loaded, and it has run twice since.
for (let round = 0; round < 5; round++) {
  await new Promise((resolve) => setTimeout(resolve, 200))
  await follow(round)
}
const change = await median(follow)
const page = db.live('SELECT id, title, rank FROM tasks ORDER BY rank', [], { limit: 50 })
await page.refresh()
results.push(['100,000 rows sorted', { change, window: await median(() => page.refresh()) }])
await db.close()

for (const [what, times] of results) {
  const cells = Object.entries(times).map(([name, ms]) => `${name} ${name === 'ran' ? ms : `${ms.toFixed(3)} ms`}`)
  console.log(`${what}: ${cells.join(', ')}`)
}
