// What is measured: the data, the statements, and the four steps that every engine does through its own public API.

export const rowCount = 50_000
export const pointCount = 10_000

export const schema = `CREATE TABLE items (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL, quantity INTEGER NOT NULL, category TEXT NOT NULL, note TEXT
)`
export const insert = 'INSERT INTO items (id, name, price, quantity, category, note) VALUES (?, ?, ?, ?, ?, ?)'
export const selectAll = 'SELECT id, name, price, quantity, category, note FROM items ORDER BY id'
export const selectOne = 'SELECT id, name, price, quantity, category, note FROM items WHERE id = ?'
export const groupBys = [
  'SELECT category, count(*) AS n, sum(quantity) AS quantity FROM items GROUP BY category ORDER BY category',
  'SELECT quantity, count(*) AS n, avg(price) AS price FROM items GROUP BY quantity ORDER BY quantity',
  'SELECT substr(name, 1, 6) AS prefix, max(price) AS price FROM items GROUP BY prefix ORDER BY prefix',
  'SELECT category, quantity, min(price) AS price FROM items WHERE note IS NOT NULL GROUP BY category, quantity ORDER BY 1, 2',
]

/** The same rows in every run: a linear congruential generator. */
export function makeRows() {
  let seed = 42
  const next = (below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    return seed % below
  }
  const rows = []
  for (let id = 1; id <= rowCount; id++) {
    const note = next(3) === 0 ? null : `Überprüft am ${1 + next(28)}. ${1 + next(12)}. ✓`
    rows.push([
      id,
      `item-${next(1_000_000)}-${id}`,
      next(1_000_000) / 100 + 0.5,
      next(100),
      `category-${next(50)}`,
      note,
    ])
  }
  return rows
}

export const ids = Array.from({ length: pointCount }, (_, i) => 1 + ((i * 7919) % rowCount))

/** The steps in the order in which they run on a fresh database; `digest` turns a step's result into text to compare. */
export const steps = [
  {
    name: 'inserts',
    goal: 0.6,
    run: (engine, rows) => engine.insertMany(insert, rows),
    check: (engine) => totals(engine),
  },
  {
    name: 'objects',
    goal: 0.4,
    run: (engine) => engine.objects(selectAll),
    check: (_, result) => JSON.stringify(result),
  },
  { name: 'points', run: (engine) => engine.points(selectOne, ids), check: (_, result) => JSON.stringify(result) },
  { name: 'group-bys', run: (engine) => engine.queries(groupBys), check: (_, result) => JSON.stringify(result) },
]

async function totals(engine) {
  const sums =
    'SELECT count(*) AS n, sum(quantity) AS q, total(price) AS p, sum(length(name)) AS l, count(note) AS notes FROM items'
  return JSON.stringify(await engine.objects(sums))
}
