// What can't be undercut, beside what the fastest peer and tidelock take for the same work, in one run: SQLite alone (official's build,
// called by its C interface with values that lie in its memory already, no value read), bare IndexedDB.

import { load, openHere } from '../engines/index.js'
import { load as loadOfficial } from '../engines/official.js'
import { rawRead, viaIndexedDB } from './storage.js'
import { insert, makeItems, scattered, schema, selectAll, selectOne, updateOne } from './workload.js'

const ROW = 100
const DONE = 101

/** A step for the floor, one for the peer, one for tidelock. */
const work = {
  inserts: ['50,000 inserts', 'SQLite alone', 'sql.js'],
  objects: ['50,000 rows', 'SQLite alone', 'sql.js'],
  points: ['10,000 point selects', 'SQLite alone', 'wa-sqlite'],
  autocommit: ['2,000 autocommit updates', 'SQLite alone', 'wa-sqlite'],
  updates: ['500 updates, awaited one by one', 'bare IndexedDB', 'Turso'],
  scan: ['100 MB', 'read from IndexedDB, as tidelock stores them', 'opened and read by sqlite-wasm opfs-sahpool'],
}

export const floors = {
  title: 'Floors',
  fresh: true,
  engines: ['floors'],
  steps: Object.fromEntries(
    Object.entries(work).flatMap(([name, [what, floor, peer]]) => [
      [name, `${what}: ${floor}`],
      [`${name}Peer`, `the same: ${peer}`],
      [`${name}Ours`, 'the same: tidelock'],
    ]),
  ),
  contests: [],
  ratios: Object.fromEntries(
    Object.entries(work).flatMap(([name, [what, , peer]]) => [
      [`${what}: the floor to ${peer}`, { of: name, to: `${name}Peer` }],
      [`${what}: tidelock to the floor`, { of: `${name}Ours`, to: name }],
    ]),
  ),

  async prepare({ round }) {
    for (const engine of ['tidelock-relaxed', 'official-sahpool']) await round('durable', engine, 'prepare')
  },

  async round(bench) {
    await inMemory(bench)
    await awaited(bench)
    for (const [step, engine] of Object.entries({ scanPeer: 'official-sahpool', scanOurs: 'tidelock-relaxed' })) {
      bench.note(step, (await bench.round('durable', engine, 'scan')).scan.value)
    }
    bench.note('scan', await rawRead())
  },
}

async function inMemory({ scale, step }) {
  const count = Math.round(50_000 * scale)
  const items = makeItems(count)
  const points = scattered(Math.round(10_000 * scale), count)
  const updates = scattered(Math.round(2_000 * scale), count)
  const alone = await sqliteAlone()
  alone.exec(schema)
  const rows = alone.placed(items)
  await step('inserts', () => alone.insert(insert, rows))
  await step('objects', () => alone.read(selectAll, count))
  await step('points', () => alone.find(selectOne, points))
  await step('autocommit', () => alone.change(updateOne, updates))
  alone.close()
  const engines = { tidelock: Object.keys(work), sqljs: ['inserts', 'objects'], 'wa-sqlite': ['points', 'autocommit'] }
  for (const [engine, wanted] of Object.entries(engines)) {
    await load(engine)
    const db = await openHere(engine, 'floors')
    const timed = async (name, run) => {
      if (wanted.includes(name)) await step(`${name}${engine === 'tidelock' ? 'Ours' : 'Peer'}`, run)
      else await run()
    }
    try {
      await db.exec(schema)
      await timed('inserts', () => db.insertMany(insert, items))
      await timed('objects', () => db.all(selectAll))
      await timed('points', () => db.points(selectOne, points))
      await timed('autocommit', () => db.updates(updateOne, updates))
    } finally {
      await db.close()
    }
  }
}

async function awaited({ scale, step, note }) {
  const count = Math.max(2, Math.round(500 * scale))
  note('updates', await viaIndexedDB('relaxed', count))
  for (const [name, engine] of Object.entries({ updatesPeer: 'turso-opfs', updatesOurs: 'tidelock-relaxed' })) {
    await load(engine)
    const db = await openHere(engine, `floors-${crypto.randomUUID()}`)
    try {
      await db.exec('CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)')
      const ids = Array.from({ length: 1000 }, (_, id) => id)
      await db.insertMany(
        'INSERT INTO counters (id, n) VALUES (?, ?)',
        ids.map((id) => [id, 0]),
      )
      await step(name, () => db.updates('UPDATE counters SET n = n + 1 WHERE id = ?', ids.slice(0, count)))
    } finally {
      await db.close()
    }
  }
}

/** A database in memory of official's build, driven by the exports of its wasm. */
async function sqliteAlone() {
  const { oo1, wasm } = await loadOfficial()
  const c = wasm.exports
  const db = new oo1.DB(':memory:', 'c')
  const given = []
  const expect = (found, expected) => {
    if (found !== expected) throw new Error(`SQLite answers ${found}, not ${expected}`)
  }
  const withStatement = (sql, run) => {
    const statement = db.prepare(sql)
    try {
      run(statement.pointer)
    } finally {
      statement.finalize()
    }
  }
  /** Binds one integer to each run of a statement. */
  const each = (sql, ids, answer) =>
    withStatement(sql, (statement) => {
      for (const id of ids) {
        c.sqlite3_bind_int(statement, 1, id)
        expect(c.sqlite3_step(statement), answer)
        c.sqlite3_reset(statement)
      }
    })
  return {
    exec: (sql) => void db.exec(sql),

    /** Rows whose texts lie in SQLite's memory: `{ at, length }` instead of a string. */
    placed(rows) {
      const encoder = new TextEncoder()
      return rows.map((row) =>
        row.map((value) => {
          if (typeof value !== 'string') return value
          const bytes = encoder.encode(value)
          const at = wasm.alloc(bytes.length)
          given.push(at)
          wasm.heap8u().set(bytes, at)
          return { at, length: bytes.length }
        }),
      )
    },
    insert(sql, rows) {
      db.exec('BEGIN')
      withStatement(sql, (statement) => {
        for (const [id, name, price, quantity, category, note] of rows) {
          c.sqlite3_bind_int(statement, 1, id)
          c.sqlite3_bind_text(statement, 2, name.at, name.length, 0)
          c.sqlite3_bind_double(statement, 3, price)
          c.sqlite3_bind_int(statement, 4, quantity)
          c.sqlite3_bind_text(statement, 5, category.at, category.length, 0)
          if (note) c.sqlite3_bind_text(statement, 6, note.at, note.length, 0)
          else c.sqlite3_bind_null(statement, 6)
          expect(c.sqlite3_step(statement), DONE)
          c.sqlite3_reset(statement)
        }
      })
      db.exec('COMMIT')
    },
    read(sql, count) {
      withStatement(sql, (statement) => {
        let rows = 0
        while (c.sqlite3_step(statement) === ROW) rows++
        expect(rows, count)
      })
    },
    find: (sql, ids) => each(sql, ids, ROW),
    change: (sql, ids) => each(sql, ids, DONE),
    close() {
      for (const at of given) wasm.dealloc(at)
      db.close()
    },
  }
}
