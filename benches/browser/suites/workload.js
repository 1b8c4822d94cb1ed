// The data and the statements of the suites, in SQL that SQLite and PostgreSQL both understand.

export const schema = `CREATE TABLE items (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, price DOUBLE PRECISION NOT NULL, quantity INTEGER NOT NULL, category TEXT NOT NULL, note TEXT
)`
export const insert = 'INSERT INTO items (id, name, price, quantity, category, note) VALUES (?, ?, ?, ?, ?, ?)'
export const selectAll = 'SELECT id, name, price, quantity, category, note FROM items ORDER BY id'
export const selectOne = 'SELECT id, name, price, quantity, category, note FROM items WHERE id = ?'
export const totals =
  'SELECT count(*) AS n, sum(quantity) AS q, sum(price) AS p, sum(length(name)) AS l, count(note) AS notes FROM items'
export const updateOne = 'UPDATE items SET quantity = quantity + 1 WHERE id = ?'

export const groupBys = [
  'SELECT category, count(*) AS n, sum(quantity) AS quantity FROM items GROUP BY category ORDER BY category',
  'SELECT quantity, count(*) AS n, avg(price) AS price FROM items GROUP BY quantity ORDER BY quantity',
  'SELECT substr(name, 1, 6) AS prefix, max(price) AS price FROM items GROUP BY prefix ORDER BY prefix',
  'SELECT category, quantity, min(price) AS price FROM items WHERE note IS NOT NULL GROUP BY category, quantity ORDER BY 1, 2',
]

/** A second table, made from the first one, of as many rows. */
export const orders = (rows) => `CREATE TABLE orders (
  id INTEGER PRIMARY KEY, item_id INTEGER NOT NULL, amount INTEGER NOT NULL, customer TEXT NOT NULL
);
INSERT INTO orders SELECT id, (id * 7919) % ${rows} + 1, (id * 31) % 997, 'customer-' || ((id * 17) % 5000) FROM items;
CREATE INDEX orders_item ON orders (item_id)`
export const join = `SELECT o.id, o.customer, o.amount, i.name, i.price FROM orders o JOIN items i ON i.id = o.item_id
  WHERE i.name LIKE '%77%' AND o.customer LIKE 'customer-1%' ORDER BY o.amount DESC, o.id`

export const ftsSchema = 'CREATE VIRTUAL TABLE documents USING fts5(title, body)'
export const ftsInsert = 'INSERT INTO documents (rowid, title, body) VALUES (?, ?, ?)'
export const ftsSearches = [
  'amber',
  'harbour AND lantern',
  '"river stone"',
  'wil*',
  'quartz OR saffron',
  'title:meadow',
].map((words) => `SELECT rowid, title FROM documents WHERE documents MATCH '${words}' ORDER BY rank, rowid LIMIT 50`)

/** A linear congruential generator: the same numbers in every run. `next(n)` is below n. */
export function numbers(seed) {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state >>> 8) % below
  }
}

/** Parameters of `insert`, for ids from 1. */
export function makeItems(count) {
  const next = numbers(42)
  const rows = []
  for (let id = 1; id <= count; id++) {
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

const words =
  'amber birch cedar dune ember fern gravel harbour iris juniper kelp lantern meadow north opal pebble quartz river saffron thistle umber violet willow yarrow zephyr anchor basil copper drift elder flint grove heath ivory jade kiln loam moss nettle oak pine quill reed stone tide vale wheat wild winter spring summer autumn cloud rain snow wind'.split(
    ' ',
  )

/** Parameters of `ftsInsert`: a title of 4 words and a body of 40. */
export function makeDocuments(count) {
  const next = numbers(7)
  const some = (n) => Array.from({ length: n }, () => words[next(words.length)]).join(' ')
  return Array.from({ length: count }, (_, i) => [i + 1, some(4), some(40)])
}

/** `count` of the ids from 1 to `of`, scattered. */
export function scattered(count, of) {
  return Array.from({ length: count }, (_, i) => 1 + ((i * 7919) % of))
}
