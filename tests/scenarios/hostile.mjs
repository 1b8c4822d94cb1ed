// Statements that would run or compile for minutes: each ends with timeoutMs, or is refused. tests/messages/golden/scenarios/hostile.txt
// has the messages.
import assert from 'node:assert/strict'

export default {
  'a full-text query ends with timeoutMs, however many phrases it compares in a row': async ({ failure, memory }) => {
    const db = await memory()
    await db.exec('CREATE VIRTUAL TABLE f USING fts5(a)')
    await db.run('INSERT INTO f VALUES (?), (?)', ['a b c d e f g '.repeat(30_000), 'a '.repeat(200_000)])
    const search = (query, options) => db.query('SELECT count(*) FROM f WHERE f MATCH ?', [query], options)
    // One call of FTS5 takes minutes for each: the first checks of the deadline, while it opens the lists, are long over.
    const sql = "SELECT length(highlight(f, 0, '<', '>')) FROM f WHERE f MATCH ?"
    const highlight = (query, options) => db.query(sql, [query], options)
    for (const call of [
      (options) => search(`NEAR(${'a b '.repeat(500)}, 100000)`, options),
      (options) => search(`NEAR(${'a '.repeat(1000)}, 1)`, options),
      (options) => highlight(Array(300).fill('a').join(' OR '), options),
    ]) {
      const started = performance.now()
      assert.equal((await failure(() => call({ timeoutMs: 600 }))).code, 'timeout', String(call))
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

  'a function that compares two long texts ends with timeoutMs': async ({ failure, memory }) => {
    const db = await memory()
    const repeated = (text, count) => `replace(hex(zeroblob(${count / 2})), '0', '${text}')`
    const keys = (name) =>
      `(SELECT json_group_object('${name}' || key, 1) FROM json_each('[${'1,'.repeat(299_999)}1]'))`
    for (const sql of [
      `SELECT instr(${repeated('a', 4e6)}, ${repeated('a', 2e6)} || 'b')`,
      `SELECT replace(${repeated('a', 4e6)}, ${repeated('a', 2e6)} || 'b', '')`,
      `SELECT trim(${repeated('a', 4e6)}, ${repeated('b', 4e6)} || 'a')`,
      `SELECT unhex(${repeated('-', 4e6)}, ${repeated('+', 4e6)} || '-')`,
      `SELECT ${repeated('a', 4e7)} LIKE '%${'a'.repeat(900)}b'`,
      `SELECT ${repeated('a', 4e7)} GLOB '*${'[a-z]'.repeat(190)}b'`,
      `SELECT json_patch(${keys('a')}, ${keys('b')})`,
    ]) {
      const started = performance.now()
      assert.equal((await failure(db.query(sql, [], { timeoutMs: 200 }))).code, 'timeout', sql.slice(0, 100))
      assert.ok(performance.now() - started < 30_000, sql.slice(0, 100))
    }
    const sql = `SELECT instr('a tide', 'tide') AS i, replace('aab', 'ab', 'c') AS r, trim('abca', 'ab') AS t,
      hex(unhex('A-B', '-')) AS h, 'tide' LIKE '%ID_' AS l, 'tide' GLOB '*[a-i]d?' AS g, json_patch('{"a":1}', '{"b":2}') AS j`
    assert.deepEqual(await db.get(sql), { i: 3, r: 'ac', t: 'c', h: '', l: 1, g: 1, j: '{"a":1,"b":2}' })
  },

  'a statement that would be compiled for minutes ends with timeoutMs': async ({ failure, memory }) => {
    const db = await memory()
    await db.exec('CREATE TABLE t (a)')
    const arms = Array.from({ length: 200_000 }, (_, n) => `WHEN ${n} THEN ${n}`).join(' ')
    const nested = (count) => `${'SELECT a + a AS a FROM ('.repeat(count)}SELECT a FROM t${')'.repeat(count)}`
    for (const sql of [`SELECT CASE a ${arms} END FROM t`, nested(60)]) {
      const started = performance.now()
      assert.equal((await failure(db.query(sql, [], { timeoutMs: 200 }))).code, 'timeout', sql.slice(0, 100))
      assert.ok(performance.now() - started < 30_000, sql.slice(0, 100))
    }
    assert.deepEqual(await db.query(nested(5)), [])
    const windows = (count) => `SELECT 1 IN (${Array(count).fill('sum(a) OVER (ORDER BY a)').join(', ')}) FROM t`
    assert.deepEqual(await db.query(windows(1000)), [])
    assert.equal((await failure(db.query(windows(1001)))).code, 'invalid_argument')
  },

  'generated columns, triggers and cascades nest 99 deep': async ({ failure, memory }) => {
    const db = await memory()
    const range = (count) => Array.from({ length: count }, (_, n) => n)
    const columns = (count) => range(count).map((n) => `g${n} AS (${n === 0 ? 'a' : `g${n - 1}`} + 1)`)
    const triggers = (count, name) =>
      range(count + 1)
        .map((n) => `CREATE TABLE ${name}${n} (a);`)
        .concat(
          range(count).map(
            (n) => `CREATE TRIGGER ${name}g${n} AFTER INSERT ON ${name}${n} BEGIN
          INSERT INTO ${name}${n + 1} VALUES (NEW.a + 1); END;`,
          ),
        )
        .join('')
    const cascades = (count, name) =>
      range(count + 1)
        .map(
          (
            n,
          ) => `CREATE TABLE ${name}${n} (a PRIMARY KEY${n === 0 ? '' : ` REFERENCES ${name}${n - 1} ON DELETE CASCADE`});
          INSERT INTO ${name}${n} VALUES (1);`,
        )
        .join('')
    await db.exec(
      `CREATE TABLE g (a, ${columns(99)}); INSERT INTO g VALUES (1); ${triggers(99, 't')} ${cascades(99, 'c')}`,
    )
    await db.exec('INSERT INTO t0 VALUES (1); DELETE FROM c0')
    assert.deepEqual(
      await db.query('SELECT g98 AS last FROM g UNION ALL SELECT a FROM t99 UNION ALL SELECT count(*) FROM c99'),
      [{ last: 100 }, { last: 100 }, { last: 0 }],
    )
    await db.exec(`${triggers(900, 'tt')} ${cascades(900, 'cc')}`)
    for (const sql of [`CREATE TABLE gg (a, ${columns(900)})`, 'INSERT INTO tt0 VALUES (1)', 'DELETE FROM cc0']) {
      const { code, message } = await failure(db.run(sql))
      assert.equal(code, 'sqlite_error')
      assert.match(message, /nested too deep/)
    }
  },

  'a file whose views double each other is refused': async ({ memory }) => {
    const db = await memory()
    const views = Array.from({ length: 60 }, (_, n) => `CREATE VIEW v${n + 1} AS SELECT a + a AS a FROM v${n};`)
    await db.exec(`CREATE TABLE v0 (a); ${views.join('')}`)
    const file = await db.export()
    const other = await memory()
    await other.exec('CREATE TABLE mine (a)')
    const started = performance.now()
    const { code } = await other.import(file).catch((error) => error)
    // By the deadline, or on a fast machine before it by the limit of a statement's instructions.
    assert.match(code, /^(timeout|invalid_argument)$/)
    assert.ok(performance.now() - started < 30_000)
    assert.deepEqual(await other.query('SELECT name FROM sqlite_schema'), [{ name: 'mine' }])
  },

  'functions over long values end with timeoutMs, however many are in one expression': async ({ failure, memory }) => {
    const db = await memory()
    await db.exec('CREATE VIRTUAL TABLE f USING fts5(a)')
    await db.run('INSERT INTO f VALUES (?)', ['a b '.repeat(60_000)])
    const long = "replace(hex(zeroblob(2500000)), '0', 'a')"
    // So long that each of these takes a multiple of the timeout on a fast machine, too.
    await db.exec(`CREATE TABLE j AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200000)
      SELECT json_group_array('a tide' || i) AS a FROM n`)
    const many = (count, text) => Array.from({ length: count }, (_, n) => text(n)).join(', ')
    const sum = (count, text) =>
      `SELECT max(${many(count, text)}) FROM (SELECT ${long} AS a, '1' || ${long} AS b LIMIT 1)`
    for (const sql of [
      sum(900, (n) => `length(upper(a || ${n}))`),
      sum(900, (n) => `length(quote(a || ${n}))`),
      sum(900, (n) => `CAST(a || ${n} AS BLOB) < b`),
      `SELECT length(json_set(a, ${many(450, (n) => `'$[${1_100_000 + n}]', ${n}`)})) FROM j`,
      `SELECT length(json_remove(a, ${many(900, () => "'$[0]'")})) FROM j`,
      `SELECT json_extract(a, ${many(900, (n) => `'$[${1_100_000 + n}]'`)}) FROM j`,
      "SELECT snippet(f, 0, '<', '>', '', 9) FROM f WHERE f MATCH 'a'",
    ]) {
      const started = performance.now()
      assert.equal((await failure(db.query(sql, [], { timeoutMs: 200 }))).code, 'timeout', sql.slice(0, 100))
      assert.ok(performance.now() - started < 30_000, sql.slice(0, 100))
    }
    const sql = `SELECT upper('a' || 1) AS u, 1 + '2' AS s, CAST('3' AS INTEGER) AS c, 'a' < 'b' AS l,
      json_set('{}', '$.a', 1, '$.b', 2) AS j, json_remove('[1,2,3]', '$[0]', '$[1]') AS r, json_extract('[1,2]', '$[1]', '$[0]') AS e`
    assert.deepEqual(await db.get(sql), { u: 'A1', s: 3, c: 3, l: 1, j: '{"a":1,"b":2}', r: '[2]', e: '[2,1]' })
  },

  'the check of a file ends with timeoutMs, whatever its schema is': async ({ failure, memory }) => {
    const made = async (script) => {
      const db = await memory({ snapshots: false })
      await db.exec(script)
      return db.export()
    }
    const range = (count) => Array.from({ length: count }, (_, n) => n)
    const action = 'ON DELETE CASCADE ON UPDATE CASCADE'
    const cascades = range(300).map((t) => {
      const columns = range(100).map((c) => `c${c} REFERENCES t${(t + c + 1) % 300} ${action}`)
      return `CREATE TABLE t${t} (id PRIMARY KEY, ${columns.join(', ')});`
    })
    const defaults = range(300).map(
      (t) =>
        `CREATE TABLE t${t} (${range(400)
          .map((c) => `c${c} DEFAULT (abs(1) + abs(2))`)
          .join(', ')});`,
    )
    const sum = (terms) => (terms.length === 1 ? terms[0] : `(${sum(terms.splice(terms.length / 2))} + ${sum(terms)})`)
    const check = `CREATE TABLE t (a, CHECK (typeof(a) = 'null' OR ${sum(range(2000).map((n) => `length(upper(a || ${n}))`))}));
      PRAGMA ignore_check_constraints = ON; INSERT INTO t VALUES (replace(hex(zeroblob(2500000)), '0', 'a'))`
    const other = await memory()
    await other.exec('CREATE TABLE mine (a)')
    for (const [what, script] of Object.entries({ cascades: cascades.join(''), defaults: defaults.join(''), check })) {
      const file = await made(script)
      const started = performance.now()
      const { code, details } = await failure(other.import(file, { timeoutMs: 500 }))
      assert.deepEqual([code, details.timeoutMs], ['timeout', 500], what)
      assert.ok(performance.now() - started < 30_000, what)
    }
    assert.deepEqual(await other.query('SELECT name FROM sqlite_schema'), [{ name: 'mine' }])
    assert.deepEqual(await other.snapshots.list(), [])
  },

  'a full-text table can name no SQL function as its rank': {
    only: ['node', 'page'],
    because: 'the function is a closure',
    async run({ failure, memory }) {
      let calls = 0
      const scalar = { alarm: { fn: () => ++calls, directOnly: true } }
      const db = await memory({ functions: { scalar } })
      await db.exec(`CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f VALUES ('tea'), ('tea and milk');
        INSERT INTO f (f, rank) VALUES ('rank', 'alarm(1)')`)
      const other = await memory({ functions: { scalar } })
      await other.import(await db.export())
      const sql = "SELECT a FROM f WHERE f MATCH 'tea' ORDER BY rank"
      assert.equal((await failure(other.query(sql))).message, 'no such function: alarm')
      assert.equal(calls, 0)
      await other.exec("INSERT INTO f (f, rank) VALUES ('rank', 'bm25(10.0)')")
      assert.deepEqual(await other.query(sql), [{ a: 'tea' }, { a: 'tea and milk' }])
    },
  },

  'a file whose audit log would ignore rows is refused': async ({ failure, memory }) => {
    const columns = `id INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT NOT NULL, table_name TEXT NOT NULL, record_id TEXT,
      old_values TEXT, new_values TEXT, timestamp TEXT NOT NULL`
    for (const log of [
      `CREATE TABLE audit_log (${columns}, actor TEXT NOT NULL ON CONFLICT IGNORE)`,
      `CREATE TABLE Audit_log (${columns}, actor TEXT, UNIQUE (table_name) ON CONFLICT REPLACE)`,
      `CREATE TABLE audit_log (${columns}, actor TEXT, FOREIGN KEY (actor) REFERENCES t ON DELETE CASCADE)`,
      `CREATE TABLE audit_log (${columns}, actor TEXT);
       CREATE TRIGGER g BEFORE INSERT ON audit_log BEGIN SELECT RAISE(IGNORE); END`,
    ]) {
      const made = await memory({ snapshots: false })
      await made.exec(`CREATE TABLE t (id TEXT PRIMARY KEY); ${log}`)
      const file = await made.export()
      const db = await memory({
        audit: ['t'],
        migrations: [{ version: '1', name: 'a', up: 'CREATE TABLE t (id TEXT PRIMARY KEY)' }],
      })
      for (const call of [
        () => db.import(file, { baseline: '1' }),
        () => db.snapshots.import(file),
        () => memory({ audit: ['t'], seed: file }),
      ])
        assert.equal((await failure(call)).code, 'invalid_argument', log)
      await db.run("INSERT INTO t VALUES ('mine')")
      assert.deepEqual(await db.query('SELECT action, record_id FROM audit_log'), [
        { action: 'insert', record_id: 'mine' },
      ])
      assert.deepEqual(await db.snapshots.list(), [])
    }
  },
}
