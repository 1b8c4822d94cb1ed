// Sorted results against JavaScript's own sort: the SQLite of the wasm sorts in blocks of memory (scripts/sqlite-sources.mjs).
import assert from 'node:assert/strict'

/** Returns random numbers from 0 to below 1 (mulberry32). */
function randomFrom(seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Rows of an id, a number, and a text, which may be null or long: 0, 1, few or many of them. */
function rowsOf(random) {
  const below = (count) => Math.floor(random() * count)
  const many = [0, 1, 2, 17, 3_000, 20_000][below(6)]
  const longest = [0, 10, 300][below(3)]
  const texts = () => (below(20) === 0 ? null : 'abcäöü'[below(6)].repeat(below(longest + 1)))
  const rows = Array.from({ length: many }, (_, id) => [id, below(50), texts()])
  // A few larger than the largest block.
  for (let at = 0; at < 2 && many > 1; at++) rows[below(many)][2] = `${below(9)}`.repeat(1_500_000 + below(100))
  return rows
}

/** Compares two texts as SQLite does: NULL first, then by their UTF-8 bytes, which is the order of code points. */
function compareTexts(one, other) {
  if (one === other) return 0
  if (one === null || other === null) return one === null ? -1 : 1
  return one < other ? -1 : 1
}

/** Each query with what it returns, computed from the rows. */
const queries = {
  'SELECT id FROM t ORDER BY s, n DESC, id': (rows) =>
    rows.toSorted((a, b) => compareTexts(a[2], b[2]) || b[1] - a[1] || a[0] - b[0]).map(([id]) => id),
  'SELECT id FROM t ORDER BY n, s DESC, id DESC': (rows) =>
    rows.toSorted((a, b) => a[1] - b[1] || compareTexts(b[2], a[2]) || b[0] - a[0]).map(([id]) => id),
  'SELECT n FROM t GROUP BY n ORDER BY count(*) DESC, n': (rows) => {
    const counts = new Map()
    for (const [, n] of rows) counts.set(n, (counts.get(n) ?? 0) + 1)
    return [...counts].toSorted(([a, x], [b, y]) => y - x || a - b).map(([n]) => n)
  },
  'SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY n ORDER BY s, id) AS at FROM t) WHERE at = 1 ORDER BY id':
    (rows) => {
      const first = new Map()
      for (const row of rows.toSorted((a, b) => compareTexts(a[2], b[2]) || a[0] - b[0]))
        if (!first.has(row[1])) first.set(row[1], row[0])
      return [...first.values()].toSorted((a, b) => a - b)
    },
  // A sorter that is used again for each row outside.
  'SELECT (SELECT max(id) FROM (SELECT id FROM t WHERE n = k.n ORDER BY s DESC, id LIMIT 3)) FROM (SELECT DISTINCT n FROM t) k ORDER BY n':
    (rows) =>
      [...new Set(rows.map(([, n]) => n))]
        .toSorted((a, b) => a - b)
        .map((n) => {
          const first = rows.filter((row) => row[1] === n).toSorted((a, b) => compareTexts(b[2], a[2]) || a[0] - b[0])
          return Math.max(...first.slice(0, 3).map(([id]) => id))
        }),
}

export default {
  'random rows are sorted as JavaScript sorts them, also by an index': async ({ memory }) => {
    const db = await memory()
    for (let seed = 1; seed <= 12; seed++) {
      const rows = rowsOf(randomFrom(seed))
      await db.exec('DROP TABLE IF EXISTS t; CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, s TEXT)')
      await db.runMany('INSERT INTO t VALUES (?, ?, ?)', rows)
      // Then again with indexes, which a sorter makes.
      for (const indexed of [false, true]) {
        if (indexed) await db.exec('CREATE INDEX t_s ON t (s, n); CREATE INDEX t_n ON t (n DESC, s)')
        for (const [sql, expected] of Object.entries(queries)) {
          const found = (await db.query(sql, [], { rowMode: 'array' })).map(([value]) => value)
          assert.deepEqual(found, expected(rows), `seed ${seed}${indexed ? ', with indexes' : ''}: ${sql}`)
        }
      }
      assert.deepEqual(await db.query('PRAGMA integrity_check'), [{ integrity_check: 'ok' }])
    }
  },

  'a sort that is left early, cancelled or refused leaves the database usable': async ({ memory, failure }) => {
    const db = await memory()
    await db.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT);
      WITH RECURSIVE series(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM series LIMIT 30000)
      INSERT INTO t SELECT value, printf('%.*c', 200, char(97 + value % 26)) FROM series`)
    for (let round = 0; round < 3; round++) {
      for await (const { id } of db.iterate('SELECT id FROM t ORDER BY s DESC, id')) if (id > 0) break
      const late = await failure(
        db.query('SELECT a.id FROM t a, t b ORDER BY a.s || b.s LIMIT 1', [], { timeoutMs: 100 }),
      )
      assert.equal(late.code, 'timeout')
      const taken = await failure(db.exec('CREATE UNIQUE INDEX once ON t (s)'))
      assert.equal(taken.details.sqliteCode, 'SQLITE_CONSTRAINT_UNIQUE')
    }
    assert.deepEqual(await db.query('SELECT id FROM t ORDER BY s, id LIMIT 2'), [{ id: 26 }, { id: 52 }])
  },
}
