// node benches/live-peers.mjs: live queries beside those of PGlite and TanStack DB, in memory, in one process. Each round runs each of them
// once; printed are the medians. The peers are those of benches/browser (`npm ci` there) and of the integrations.
// SQLocal runs in browsers only: it is in the suite `live` there.

import { createRequire } from 'node:module'
import { performance } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'
import { BasicIndex, createCollection, createLiveQueryCollection, eq, localOnlyCollectionOptions } from '@tanstack/db'
import { open } from 'tidelock'

const peers = createRequire(new URL('browser/package.json', import.meta.url))
const imported = (name) => import(pathToFileURL(peers.resolve(name).replace(/\.cjs$/, '.js')).href)
const { PGlite } = await imported('@electric-sql/pglite')
const { live } = await imported('@electric-sql/pglite/live')

const rounds = 9
const sorted = 'SELECT id, title, rank FROM tasks ORDER BY rank'
const byId = (place) => `SELECT id, title, rank FROM tasks WHERE id = ${place}`
const table = 'CREATE TABLE tasks (id INTEGER PRIMARY KEY, title TEXT, rank REAL); CREATE INDEX ranks ON tasks(rank)'

/** A signal that each result gives: `next()` resolves with the next one. */
function signal() {
  let wake
  return {
    next: () =>
      new Promise((resolve) => {
        wake = resolve
      }),
    fire: () => wake?.(),
  }
}

async function tidelock(rows) {
  const db = await open({ storage: 'memory', name: 'peers' })
  await db.exec(table)
  await db.runMany(
    'INSERT INTO tasks VALUES (?, ?, ?)',
    Array.from({ length: rows }, (_, id) => [id, `task ${id}`, id]),
  )
  return { db, update: (id) => db.run('UPDATE tasks SET rank = rank + 1.5 WHERE id = ?', [id]) }
}

async function pglite(rows) {
  const db = await PGlite.create({ extensions: { live } })
  await db.exec(`${table}; INSERT INTO tasks SELECT i, 'task ' || i, i FROM generate_series(0, ${rows - 1}) i`)
  return { db, update: (id) => db.query('UPDATE tasks SET rank = rank + 1.5 WHERE id = $1', [id]) }
}

function tanstack(rows) {
  const initialData = Array.from({ length: rows }, (_, id) => ({ id, title: `task ${id}`, rank: id }))
  const collection = createCollection({
    ...localOnlyCollectionOptions({ getKey: (row) => row.id, initialData }),
    autoIndex: 'eager',
    defaultIndexType: BasicIndex,
  })
  const update = (id) =>
    collection.update(id, (draft) => {
      draft.rank += 1.5
    })
  return { collection, update }
}

/** Each task's contenders: a function that does the round's change, and waits for its effect. */
const tasks = {
  'one row of 100,000, sorted': async () => {
    const contenders = {}
    const ours = await tidelock(100_000)
    const differences = ours.db.live(sorted).changes({ key: 'id' })[Symbol.asyncIterator]()
    await differences.next()
    contenders.tidelock = async (round) => {
      const next = differences.next()
      await ours.update(round * 100)
      await next
    }
    for (const call of ['changes', 'incrementalQuery', 'query']) {
      const { db, update } = await pglite(100_000)
      const { next, fire } = signal()
      await (call === 'query' ? db.live.query(sorted, [], fire) : db.live[call](sorted, [], 'id', fire))
      contenders[`PGlite ${call}`] = async (round) => {
        const changed = next()
        await update(round * 100)
        await changed
      }
    }
    const { collection, update } = tanstack(100_000)
    const result = createLiveQueryCollection({
      startSync: true,
      query: (q) => q.from({ task: collection }).orderBy(({ task }) => task.rank),
    })
    await result.preload()
    const { next, fire } = signal()
    result.subscribeChanges(fire)
    contenders['TanStack DB'] = async (round) => {
      const changed = next()
      update(round * 100)
      await changed
    }
    return contenders
  },
  ...Object.fromEntries(
    [
      ['1,000 queries by key, one affected', true],
      ['1,000 queries by key, none affected', false],
    ].map(([task, hits]) => [task, () => thousand(hits)]),
  ),
}

async function thousand(hits) {
  const rows = 10_000
  const changedId = (round) => (hits ? round : 5000 + round)
  const contenders = {}
  const ours = await tidelock(rows)
  const fires = signal()
  const queries = Array.from({ length: 1000 }, (_, id) => ours.db.live(byId('?'), [id]))
  await Promise.all(queries.map((query) => query.refresh()))
  for (const query of queries) query.subscribe(fires.fire)
  await new Promise(setImmediate)
  contenders.tidelock = (round) => changing(fires, () => ours.update(changedId(round)))
  const there = await pglite(rows)
  const their = signal()
  for (let id = 0; id < 1000; id++) await there.db.live.query(byId('$1'), [id], their.fire)
  // Without knowing which rows changed, all run: the round is over when the database is free again.
  contenders['PGlite query'] = async (round) => {
    await changing(their, () => there.update(changedId(round)), true)
    await there.db.query('SELECT 1')
  }
  const { collection, update } = tanstack(rows)
  const seen = signal()
  for (let id = 0; id < 1000; id++) {
    const one = createLiveQueryCollection({
      startSync: true,
      query: (q) => q.from({ task: collection }).where(({ task }) => eq(task.id, id)),
    })
    await one.preload()
    one.subscribeChanges(seen.fire)
  }
  contenders['TanStack DB'] = (round) => changing(seen, async () => update(changedId(round)))
  return contenders

  async function changing({ next }, change, always = hits) {
    const changed = always ? next() : undefined
    await change()
    await changed
  }
}

for (const [task, prepare] of Object.entries(tasks)) {
  const contenders = await prepare()
  const times = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, work] of Object.entries(contenders)) {
      const started = performance.now()
      await work(round)
      times[name].push(performance.now() - started)
    }
  }
  const median = (name) => times[name].sort((one, other) => one - other)[(rounds - 1) / 2]
  const cells = Object.keys(times).map((name) => `${name} ${median(name).toFixed(2)} ms`)
  console.log(`${task}: ${cells.join(', ')}`)
}
process.exit(0)
