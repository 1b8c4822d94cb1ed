// Statements that would run or compile for minutes: each ends with timeoutMs, or is refused. tests/messages/golden/scenarios/hostile.txt
// has the messages.
import assert from 'node:assert/strict'

export default {
  'a full-text query ends with timeoutMs, however many phrases it compares in a row': async ({ failure, memory }) => {
    const db = await memory()
    await db.exec('CREATE VIRTUAL TABLE f USING fts5(a)')
    await db.run('INSERT INTO f VALUES (?), (?)', ['a b c d e f g '.repeat(30_000), 'a '.repeat(200_000)])
    const search = (query) => db.query('SELECT count(*) FROM f WHERE f MATCH ?', [query], { timeoutMs: 3000 })
    // One call of FTS5 takes minutes for each: the first checks of the deadline, while it opens the lists, are long over.
    const sql = "SELECT length(highlight(f, 0, '<', '>')) FROM f WHERE f MATCH ?"
    const highlight = (query) => db.query(sql, [query], { timeoutMs: 3000 })
    for (const call of [
      () => search(`NEAR(${'a b '.repeat(500)}, 100000)`),
      () => search(`NEAR(${'a '.repeat(1000)}, 1)`),
      () => highlight(Array(300).fill('a').join(' OR ')),
    ]) {
      const started = performance.now()
      assert.equal((await failure(call)).code, 'timeout', String(call))
      assert.ok(performance.now() - started < 60_000, String(call))
    }
    assert.deepEqual(await search('NEAR(a b c)'), [{ 'count(*)': 1 }])
  },

  'a full-text query has at most 4,000 phrases, and a phrase 4,000 terms': async ({ failure, memory }) => {
    const db = await memory()
    await db.exec("CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f VALUES ('a b')")
    const search = (query) => db.query('SELECT count(*) FROM f WHERE f MATCH ?', [query])
    const plus = Array(4001).fill('a').join(' + ')
    for (const query of [`NEAR(${'a '.repeat(4001)})`, `"${'a '.repeat(4001)}"`, plus, `"${'a '.repeat(1_000_000)}"`]) {
      const { code, hint } = await failure(search(query))
      assert.equal(code, 'sqlite_error')
      assert.match(hint, /4,000/)
    }
    assert.deepEqual(await search('a'), [{ 'count(*)': 1 }])
  },

  'a statement has at most 5,000 table expressions and windows': async ({ failure, memory }) => {
    const db = await memory()
    const expressions = (count) =>
      `WITH ${Array.from({ length: count }, (_, n) => `c${n} AS (SELECT ${n} AS n)`).join(', ')} SELECT n FROM c${count - 1}`
    assert.deepEqual(await db.query(expressions(5000)), [{ n: 4999 }])
    const windows = Array.from({ length: 20_000 }, (_, n) => `w${n} AS (ORDER BY 1)`).join(', ')
    const script = `CREATE TABLE t (a);\nCREATE VIEW v AS ${expressions(20_000)}`
    for (const call of [
      () => db.query(expressions(20_000)),
      () => db.exec(script),
      () => db.query(`SELECT 1 WINDOW ${windows}`),
    ]) {
      const { code, message } = await failure(call)
      assert.equal(code, 'invalid_argument')
      assert.match(message, /20000 table expressions/)
    }
    assert.deepEqual(await db.query('SELECT name FROM sqlite_schema'), [])
  },
}
