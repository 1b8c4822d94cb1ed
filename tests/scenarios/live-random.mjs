// Random schemas, queries and commits: the differences of live queries, applied one after the other, give what the queries return.
import assert from 'node:assert/strict'
import { caughtUp, chance, follow } from './run/followed.mjs'
import { everyNth } from './run/sample.mjs'

const seeds = everyNth(
  3,
  Array.from({ length: 25 }, (_, at) => at + 1),
)
const steps = 15

const literals = ['0', '1', '2', '-0.0', '1.5', "'a'", "'A'", "'a '", "'1'", 'NULL', "x'61'", '9007199254740993', "''"]
const types = ['INTEGER', 'TEXT', 'REAL', 'BLOB', '', 'TEXT COLLATE NOCASE', 'TEXT UNIQUE']

function schema({ below, of }) {
  const [a, b] = [of(types), of(types)]
  const table = [
    `(id PRIMARY KEY, a ${a}, b ${b}, c) WITHOUT ROWID`,
    `(id PRIMARY KEY, a ${a}, b ${b}, c)`,
    `(id INTEGER PRIMARY KEY, a ${a}, b ${b}, c AS (a || b))`,
    `(id INTEGER PRIMARY KEY, a ${a}, b ${b}, c AS (coalesce(a, b)) STORED)`,
    `(id INTEGER PRIMARY KEY, a ${a}, b ${b}, c)`,
  ][below(5)]
  const extra = of([
    'CREATE TRIGGER one AFTER INSERT ON u BEGIN UPDATE OR IGNORE t SET b = NEW.d WHERE id = NEW.t; END',
    'CREATE TRIGGER one AFTER DELETE ON u BEGIN DELETE FROM t WHERE id = OLD.t; END',
    'CREATE TRIGGER one BEFORE UPDATE OF a ON t BEGIN UPDATE u SET d = OLD.a WHERE t = OLD.id; END',
    'CREATE TRIGGER one INSTEAD OF UPDATE ON v BEGIN UPDATE OR REPLACE t SET a = NEW.a WHERE id = OLD.id; END',
    'CREATE INDEX one ON t(a, b)',
  ])
  return `CREATE TABLE t ${table};
    CREATE TABLE u (id INTEGER PRIMARY KEY, t REFERENCES t(id) ON DELETE CASCADE ON UPDATE SET NULL, d);
    CREATE VIEW v AS SELECT t.id, u.id AS other, a, d FROM t JOIN u ON u.t = t.id;
    CREATE VIRTUAL TABLE words USING fts5(body);
    ${extra}`
}

/** Draws a query with a key: `[sql, key]`. */
function query({ below, of }) {
  const term = () => {
    const column = of(['t.id', 'a', 'b', 'A', '"b"'])
    return of([
      `${column} = ${of(literals)}`,
      `${column} IS NOT ${of(literals)}`,
      `${column} BETWEEN ${of(literals)} AND 2`,
      `coalesce(${column}, 1) <> ${of(literals)}`,
      `${column} IN (${of(literals)}, ${of(literals)})`,
    ])
  }
  const where = `WHERE ${term()} ${of(['AND', 'OR', 'AND NOT'])} ${term()}`
  return [
    ['SELECT * FROM t ORDER BY a, id', 'id'],
    ['SELECT id, b FROM t ORDER BY b DESC, id', 'id'],
    [`SELECT * FROM t ${where} ORDER BY id`, 'id'],
    [`SELECT id, a, c FROM t ${where} ORDER BY c, id`, 'id'],
    [`SELECT count(*) AS n, max(b) AS most FROM t ${where}`, 'n'],
    ['SELECT a, count(*) AS n FROM t GROUP BY a ORDER BY min(id)', 'a'],
    [`SELECT t.id, u.id AS other, a, d FROM t JOIN u ON u.t = t.id ${where} ORDER BY 1, 2`, ['id', 'other']],
    [`SELECT t.id, u.id AS other, d FROM t LEFT JOIN u ON u.t = t.id ORDER BY d, 1, 2`, ['id', 'other']],
    ['SELECT * FROM v ORDER BY other', 'other'],
    ['SELECT id, d FROM u WHERE t = 2 ORDER BY d, id', 'id'],
    ['SELECT id FROM t WHERE id IN (SELECT t FROM u) ORDER BY id', 'id'],
    ["SELECT rowid AS id, body FROM words WHERE words MATCH 'a' ORDER BY rowid", 'id'],
  ][below(12)]
}

/** Draws a statement; several of them may fail, and have no effect then. */
function statement({ below, of }) {
  const [one, other] = [below(6), below(6)]
  return of([
    `INSERT OR REPLACE INTO t(id, a, b) VALUES (${one}, ${of(literals)}, ${of(literals)})`,
    `INSERT OR REPLACE INTO t(id, a, b) VALUES (${one}, ${of(literals)}, ${of(literals)})`,
    `INSERT INTO t(id, a, b) VALUES (${one}, ${of(literals)}, 1) ON CONFLICT DO UPDATE SET a = ${of(literals)}`,
    `UPDATE OR REPLACE t SET a = ${of(literals)} WHERE id = ${one}`,
    `UPDATE OR REPLACE t SET id = ${other} WHERE id = ${one}`,
    `UPDATE OR IGNORE t SET b = ${of(literals)}`,
    `DELETE FROM t WHERE id = ${one}`,
    of(['DELETE FROM t', 'DELETE FROM u', 'DELETE FROM words']),
    `INSERT OR IGNORE INTO u(id, t, d) VALUES (${one}, ${other}, ${of(literals)})`,
    `UPDATE OR IGNORE u SET t = ${other} WHERE id = ${one}`,
    `UPDATE u SET d = ${of(literals)} WHERE id = ${one}`,
    `UPDATE v SET a = ${of(literals)} WHERE id = ${one}`,
    `INSERT INTO words(body) VALUES ('${of(['a', 'b', 'a b'])}')`,
    `INSERT INTO u(d) WITH RECURSIVE k(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM k WHERE i < 70) SELECT i FROM k`,
    'DELETE FROM u WHERE d BETWEEN 3 AND 70',
  ])
}

const ignored = () => {}
class Undone extends Error {}

/** Makes a random change: one statement, a transaction with savepoints, one that is rolled back, or a batch of rows. */
async function change(db, random) {
  const { below } = random
  const statements = async (tx, depth) => {
    for (let n = below(4); n >= 0; n--) {
      if (depth < 3 && below(4) === 0) await inside((work) => tx.transaction(work), depth + 1)
      else await tx.exec(statement(random)).catch(ignored)
    }
  }
  const inside = (begin, depth) =>
    begin(async (tx) => {
      await statements(tx, depth)
      if (below(3) === 0) throw new Undone()
    }).catch((error) => assert.ok(error instanceof Undone || error.code === 'sqlite_constraint', error))
  const kind = below(6)
  if (kind < 2) await db.exec(statement(random)).catch(ignored)
  else if (kind < 5) await inside((work) => db.transaction(work), 1)
  else
    await db
      .runMany('INSERT OR REPLACE INTO t(id, a, b) VALUES (?, ?, ?)', [
        [below(6), below(3), 'many'],
        [below(6), 'a', below(3)],
      ])
      .catch(ignored)
}

export default {
  'differences give what the query returns: triggers, cascades, savepoints, rollbacks, windows': async (t) => {
    let differences = 0
    for (const seed of seeds) {
      const random = chance(seed)
      const db = await t.memory()
      const script = schema(random)
      await db.exec(script)
      const all = Array.from({ length: 8 }, () => follow(db, random, query(random)))
      for (let step = 0; step < steps; step++) {
        await change(db, random)
        if (random.below(6) === 0) {
          const moved = random.of(all)
          if (moved.window !== undefined) {
            moved.window = { ...moved.window, offset: random.below(4) }
            await moved.live.setWindow({ offset: moved.window.offset })
          }
        }
        for (const one of all) await caughtUp(t, db, one, `seed ${seed}, step ${step}: ${script}`)
      }
      differences += all.reduce((sum, one) => sum + one.differences - 1, 0)
      await db.close()
    }
    // Many of the changes have an effect.
    assert.ok(differences > seeds.length * steps, String(differences))
  },
}
