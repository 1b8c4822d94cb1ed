// Random calls in random nested transactions, with every way in which a statement can fail, against a model: what is stored after each.
import assert from 'node:assert/strict'
import { chance } from './run/followed.mjs'
import { everyNth } from './run/sample.mjs'

const seeds = everyNth(
  3,
  Array.from({ length: 30 }, (_, at) => at + 1),
)
const steps = 20

// What a row that is inserted does by its text: `raise(FAIL)` and `OR FAIL` keep the rows of the statement before it.
const raising = ['abort', 'fail', 'rollback', 'ignore']
const schema = `CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
  ${raising.map((how) => `CREATE TRIGGER ${how}s BEFORE INSERT ON t WHEN new.v = '${how}' BEGIN SELECT raise(${how}${how === 'ignore' ? '' : ", 'raised'"}); END;`).join('\n')}`

/** Inserts a row into the model; returns how the statement fails, if it does. */
function insert(rows, [id, v], policy) {
  if (v === 'ignore') return undefined
  if (raising.includes(v)) return v
  if (!rows.has(id) || policy === 'replace') rows.set(id, v)
  else if (policy !== 'ignore') return policy
  return undefined
}

/** The calls by name: each inserts rows of `[id, v]`. */
const calls = {
  run: (on, sql, rows) => on.run(`${sql} VALUES ${rows.map(() => '(?, ?)').join()}`, rows.flat()),
  query: (on, sql, rows) => on.query(`${sql} VALUES ${rows.map(() => '(?, ?)').join()} RETURNING id`, rows.flat()),
  runMany: (on, sql, rows) => on.runMany(`${sql} VALUES (?, ?)`, rows),
  batch: (on, sql, rows) => on.batch(rows.map((params) => ({ sql: `${sql} VALUES (?, ?)`, params }))),
  exec: (on, sql, rows) => on.exec(rows.map(([id, v]) => `${sql} VALUES (${id}, '${v}');`).join('\n')),
}

/** Resolves with what the promise rejects with, undefined if it doesn't. */
const errorOf = (promise) =>
  promise.then(
    () => undefined,
    (error) => error,
  )

/** Draws a call: `make` makes it, and `play` does what it must do to the model, and returns how it fails. */
function drawCall({ below, of }) {
  const name = of([...Object.keys(calls), 'runMany'])
  const policy = of(['abort', 'abort', 'fail', 'ignore', 'replace', 'rollback'])
  const drawn = Array.from({ length: 1 + below(5) }, () => [below(30), below(8) === 0 ? of(raising) : `v${below(100)}`])
  // So many that they reach the engine in parts.
  const many = name === 'runMany' && below(2) === 0 ? of([1500, 9000, 20_000]) : 0
  const rows = [...drawn, ...Array.from({ length: many }, (_, at) => [100 + at, 'many'])]
  if (many > 0 && below(3) > 0) rows.splice(below(many), 0, [below(30), of(raising)])
  return {
    make: (on) => calls[name](on, `INSERT OR ${policy} INTO t`, rows),
    play: (model) => {
      const after = new Map(model)
      for (const row of rows) {
        const failed = insert(after, row, policy)
        // All other calls are whole or not at all.
        if (failed !== undefined) return { failed, after: name === 'run' && failed === 'fail' ? after : model }
      }
      return { after }
    },
  }
}

const mine = new Error('mine')

/** Runs drawn calls on a transaction, and on the model; returns the model after them. Throws like the function of a transaction. */
async function within(tx, draw, before, depth, state) {
  let model = before
  for (let left = 1 + draw.below(4); left > 0; left--) {
    const isCaught = draw.below(2) === 0
    let thrown
    if (depth < 3 && draw.below(3) === 0) {
      const nested = {}
      const work = async (inner) => {
        nested.model = await within(inner, draw, model, depth + 1, state)
      }
      thrown = await errorOf(tx.transaction(work))
      if (state.isDead) assert.ok(thrown, 'SQLite rolled it back')
      else if (thrown === undefined) model = nested.model
    } else {
      const { make, play } = drawCall(draw)
      const wasDead = state.isDead
      const { failed, after } = play(model)
      thrown = await errorOf(make(tx))
      if (wasDead) assert.equal(thrown?.code, 'transaction_closed')
      else {
        assert.equal(thrown?.code, failed && 'sqlite_constraint')
        model = after
        state.isDead = failed === 'rollback'
      }
    }
    if (thrown !== undefined && !isCaught) throw thrown
  }
  if (draw.below(6) === 0) throw mine
  return model
}

/** Plays one seed: at last the live query, which follows the commits, has the same rows. */
async function play(seed, memory, until) {
  const draw = chance(seed)
  const db = await memory()
  await db.exec(schema)
  const live = db.live('SELECT count(*) AS n, total(id) AS sum FROM t')
  live.subscribe(() => {})
  let model = new Map()
  for (let step = 0; step < steps; step++) {
    if (draw.below(4) === 0) {
      const { make, play } = drawCall(draw)
      const { failed, after } = play(model)
      const thrown = await errorOf(make(db))
      assert.equal(thrown?.code, failed && 'sqlite_constraint', `seed ${seed}, step ${step}`)
      model = after
    } else {
      const state = { isDead: false }
      let after
      const work = async (tx) => {
        after = await within(tx, draw, model, 1, state)
      }
      const thrown = await errorOf(db.transaction(work))
      if (state.isDead) assert.ok(thrown, `seed ${seed}, step ${step}: SQLite rolled it back`)
      else if (thrown === undefined) model = after
    }
    const stored = await db.query('SELECT id, v FROM t ORDER BY id', [], { rowMode: 'array' })
    assert.deepEqual(
      stored,
      [...model].sort(([one], [other]) => one - other),
      `seed ${seed}, step ${step}`,
    )
    if (draw.below(5) === 0) {
      await db.run('DELETE FROM t')
      model = new Map()
    }
  }
  const expected = [{ n: model.size, sum: [...model.keys()].reduce((sum, id) => sum + id, 0) }]
  await until(() => JSON.stringify(live.rows) === JSON.stringify(expected))
}

export default {
  'random transactions, with calls that fail in every way, leave what they must': async ({ memory, until }) => {
    for (const seed of seeds) await play(seed, memory, until)
  },
}
