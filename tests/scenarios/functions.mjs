// SQL functions and collations in JavaScript.
import assert from 'node:assert/strict'

/** Returns source as a module that the engine can import in any thread. */
const module = (source) => ({ module: new URL(`data:text/javascript,${encodeURIComponent(source)}`) })

const functions = module(`
  export const scalar = {
    same: { fn: (value) => value, deterministic: true },
    kind: (...values) => values.map((value) => (value === null ? 'null' : value instanceof Uint8Array ? 'bytes ' + value.length : typeof value)).join(),
    slug: { fn: (text) => String(text).toLowerCase().replace(/\\W+/g, '-'), deterministic: true },
    regexp: (pattern, text) => new RegExp(pattern).test(text),
    private: { fn: () => 42, directOnly: true },
    throwing: (value) => { throw new RangeError('too much') },
    odd: (which) => { throw Object.assign(new Error('x'), [{ message: Symbol('m') }, { message: { a: 1 } }, { name: Symbol('n') }, { name: 7 }][which]) },
    later: async () => 1,
    wrong: (which) => [{}, NaN, Infinity, 2n ** 63n, new Date(NaN), Symbol('s'), () => 1][which],
    given: (which) => [undefined, true, 1.5, -0, 2 ** 53, 2n ** 62n, 'é😀', new Uint8Array([1, 2]), new ArrayBuffer(1), new Date(0), '', null][which],
    lower: (text) => (text === null ? null : String(text).toLocaleLowerCase('de')),
  }
  export const aggregate = {
    product: { start: () => 1, step: (product, value) => product * value, finish: (product) => product },
    gathered: {
      start: () => [],
      step: (list, value) => { if (value === 'bad') throw new Error('bad step'); list.push(value) },
      inverse: (list) => { list.shift() },
      finish: (list) => list.join('+'),
    },
  }
  export const collation = {
    backwards: (a, b) => (a < b ? 1 : a > b ? -1 : 0),
    failing: (a, b) => { throw new Error('no order') },
    // Fails in the comparison before which as many others have to succeed as the text '=n' says.
    once: (a, b) => {
      if (a[0] === '=') left = Number(a.slice(1))
      else if (left-- === 0) throw new Error('once')
      return a < b ? -1 : a > b ? 1 : 0
    },
  }
  let left = Infinity
`)

/** Returns the first column of a query. */
const column = async (db, sql, params) => (await db.query(sql, params, { rowMode: 'array' })).map(([value]) => value)

export default {
  'functions of a module receive and return values exactly': async ({ memory, failure }) => {
    const db = await memory({ functions })
    const one = async (sql, params) => (await column(db, sql, params))[0]
    const kinds = await one('SELECT kind(NULL, 1, 1.5, ?, ?, ?, 9007199254740993)', ['text', new Uint8Array(3), true])
    assert.equal(kinds, 'null,number,number,string,bytes 3,number,bigint')
    const bytes = new Uint8Array([0, 255])
    for (const value of [null, 0, -1, 2 ** 53 - 1, 2n ** 62n, -(2n ** 63n), 0.1, '', 'é😀', bytes])
      assert.deepEqual(await one('SELECT same(?)', [value]), value)
    for (const [which, expected] of [
      [null, 'null'],
      [1, 'integer'],
      [1.5, 'real'],
      [0, 'integer'],
      [2 ** 53, 'real'],
      [2n ** 62n, 'integer'],
      ['é😀', 'text'],
      [new Uint8Array([1, 2]), 'blob'],
      [new Uint8Array(1), 'blob'],
      ['1970-01-01T00:00:00.000Z', 'text'],
      ['', 'text'],
      [null, 'null'],
    ].entries())
      assert.deepEqual(await db.query('SELECT given(?1), typeof(given(?1))', [which], { rowMode: 'array' }), [expected])
    for (let which = 0; which < 7; which++) {
      const { code, message, cause } = await failure(db.query('SELECT wrong(?)', [which]))
      assert.deepEqual([code, message], ['sqlite_error', 'The SQL function wrong failed'])
      assert.match(cause, /An SQL function must return/)
    }
    assert.equal(await one("SELECT 'abc' REGEXP '^a.c$'"), 1)
    assert.equal(await one("SELECT lower('ÄÖX')"), 'äöx', 'one of its own takes the place of SQLite’s')
  },

  'the schema can use functions, from the first migration on': async ({ open, failure }) => {
    const migrations = [
      {
        version: '1',
        name: 'posts',
        up: `CREATE TABLE posts(id INTEGER PRIMARY KEY, title TEXT, slug TEXT AS (slug(title)) STORED, note TEXT COLLATE backwards);
             CREATE UNIQUE INDEX by_slug ON posts(slug(title));
             CREATE VIEW shouting AS SELECT slug(title) || '!' AS loud FROM posts;
             INSERT INTO posts(title, note) VALUES ('Hello, World', 'a'), ('Second Post', 'b')`,
      },
    ]
    const given = { migrations, functions, snapshots: false }
    const db = await open(given)
    assert.deepEqual(await column(db, 'SELECT slug FROM posts ORDER BY note'), ['second-post', 'hello-world'])
    assert.deepEqual(await column(db, 'SELECT loud FROM shouting ORDER BY loud'), ['hello-world!', 'second-post!'])
    const [{ detail }] = await db.explain("SELECT id FROM posts WHERE slug(title) = 'x'")
    assert.match(detail, /USING (COVERING )?INDEX by_slug/)
    assert.deepEqual(await column(db, 'SELECT private()'), [42])
    const view = await failure(db.exec('CREATE VIEW no AS SELECT private(); SELECT * FROM no'))
    assert.match(view.message, /unsafe use of private/)
    const duplicate = await failure(db.run("INSERT INTO posts(title) VALUES ('HELLO world')"))
    assert.equal(duplicate.code, 'sqlite_constraint')
    await db.close()

    const again = await open({ ...given, name: db.name })
    assert.deepEqual(await column(again, "SELECT id FROM posts WHERE slug(title) = 'second-post'"), [2])
    await again.close()
    const without = await open({ ...given, name: db.name, functions: undefined })
    const failed = await failure(without.run("INSERT INTO posts(title) VALUES ('x')"))
    assert.equal(failed.code, 'sqlite_error')
    assert.match(failed.message, /slug/)
    assert.deepEqual(await column(without, 'SELECT count(*) FROM schema_migrations'), [1])
  },

  'aggregates, windows and collations': async ({ memory, failure }) => {
    const db = await memory({ functions })
    await db.exec('CREATE TABLE t(v); INSERT INTO t VALUES (1), (2), (3), (4), (5)')
    assert.deepEqual(await column(db, 'SELECT product(v) FROM t GROUP BY v % 2 ORDER BY v % 2'), [8, 15])
    assert.deepEqual(await column(db, 'SELECT product(v) FROM t WHERE 0'), [1])
    const over = 'OVER (ORDER BY v ROWS 1 PRECEDING) FROM t'
    assert.deepEqual(await column(db, `SELECT gathered(v) ${over}`), ['1', '1+2', '2+3', '3+4', '4+5'])
    const notWindow = await failure(db.query(`SELECT product(v) ${over}`))
    assert.match(notWindow.message, /product\(\) may not be used as a window function/)
    const texts = "SELECT column1 FROM (VALUES ('a'), ('bad'), ('c'))"
    assert.deepEqual(await column(db, `${texts} ORDER BY 1 COLLATE backwards`), ['c', 'bad', 'a'])
    const step = await failure(db.query(texts.replace('column1', 'gathered(column1)')))
    assert.deepEqual([step.message, step.cause], ['The SQL function gathered failed', 'Error: bad step'])

    await db.exec('CREATE TABLE f(a TEXT COLLATE failing); CREATE INDEX i ON f(a)')
    const insert = "INSERT INTO f VALUES ('one')"
    await db.run(insert)
    for (const failing of [
      () => db.query(`${texts} ORDER BY 1 COLLATE failing`),
      () => db.run(insert),
      () =>
        db.transaction(async (tx) => {
          await tx.run('DELETE FROM t')
          await tx.run(insert)
        }),
    ]) {
      const { code, message, cause } = await failure(failing)
      assert.deepEqual([code, message, cause], ['sqlite_error', 'The SQL collation failing failed', 'Error: no order'])
    }
    assert.deepEqual(await db.get('SELECT (SELECT count(*) FROM f) AS f, (SELECT count(*) FROM t) AS t'), {
      f: 1,
      t: 5,
    })
  },

  'a write whose collation failed leaves nothing behind, also when its error is caught in a transaction': async (t) => {
    const db = await t.memory({ functions })
    await db.exec(`CREATE TABLE c (id INTEGER PRIMARY KEY, y TEXT COLLATE once); CREATE INDEX cy ON c (y);
      WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 200)
      INSERT INTO c SELECT i, printf('%05d', (i * 104729) % 10007) FROM r`)
    const before = await db.query('SELECT * FROM c')
    const failAfter = (count) => db.get("SELECT '=' || ? = 'x' COLLATE once", [count])
    let codes = ''
    for (let count = 0; count < 60; count++) {
      await failAfter(count)
      const transaction = db.transaction(async (tx) => {
        const write = tx.run("UPDATE c SET y = y || 'q' WHERE id < 20")
        const { code, cause } = await t.failure(write)
        assert.deepEqual([code, cause], ['sqlite_error', 'Error: once'])
      })
      codes += `${(await t.failure(transaction)).code} `
      await failAfter(1e9)
      assert.deepEqual(await db.query('PRAGMA integrity_check'), [{ integrity_check: 'ok' }], `${count}`)
      assert.deepEqual(await db.query('SELECT * FROM c'), before, `${count}`)
    }
    assert.match(codes, /^(transaction_closed ){60}$/)
  },

  'the error of a function is the cause, wherever it was called, and the database stays usable': async (t) => {
    const up = 'CREATE TABLE t(a);\nINSERT INTO t VALUES (throwing(1))'
    const migration = await t.failure(t.memory({ functions, migrations: [{ version: '1', name: 'bad', up }] }))
    assert.deepEqual([migration.code, migration.details.line], ['migration_failed', 2])
    assert.match(migration.cause, /too much/)

    const db = await t.memory({ functions })
    await db.exec('CREATE TABLE t(a)')
    const query = () => db.query('SELECT throwing(?)', ['secret'])
    for (const call of [
      query,
      query,
      () => db.exec('INSERT INTO t VALUES (1); INSERT INTO t VALUES (throwing(2))'),
      () => db.batch([{ sql: 'INSERT INTO t VALUES (3)' }, { sql: 'SELECT throwing(a) FROM t' }]),
    ]) {
      const { code, message, details, cause, json } = await t.failure(call)
      assert.deepEqual([code, details.function, cause], ['sqlite_error', 'throwing', 'RangeError: too much'])
      assert.match(message, /The SQL function throwing failed/)
      assert.doesNotMatch(json, /secret/)
    }
    for (const which of [0, 1, 2, 3]) {
      // Its cause may have no text.
      await assert.rejects(db.query('SELECT odd(?)', [which]), ({ code }) => code === 'sqlite_error')
    }
    assert.match((await t.failure(db.query('SELECT later()'))).cause, /it returned a promise/)
    assert.deepEqual(await db.query('SELECT * FROM t'), [])
    assert.equal((await db.health()).status, 'ok')
  },

  'functions of the same thread, which may even call their database': {
    only: ['node', 'page'],
    because: 'functions of the page can not go to a worker',
    run: async ({ memory }) => {
      let factor = 2
      let begun = []
      let open
      const db = await memory({
        functions: {
          scalar: {
            times: (value) => value * factor,
            meddling(value) {
              begun.push(db.query('SELECT ? AS later', [value]), db.run('INSERT INTO t VALUES (?)', [value]))
              const live = db.live('SELECT count(*) AS n FROM t')
              begun.push(new Promise((resolve) => live.subscribe(resolve)).finally(() => live.close()))
              return value
            },
            intruding(value) {
              begun.push(open.run('INSERT INTO t VALUES (?)', [value]))
              return value
            },
          },
        },
      })
      await db.exec('CREATE TABLE t(a)')
      assert.deepEqual(await column(db, 'SELECT times(21)'), [42])
      factor = 3
      assert.deepEqual(await column(db, 'SELECT times(21)'), [63])
      // Twice: the second time this statement and those of the function are known.
      for (const value of [7, 8]) {
        begun = []
        assert.deepEqual(await db.get('SELECT meddling(?) AS a, ? AS b', [value, 'kept']), { a: value, b: 'kept' })
        const [later, , [{ n }]] = await Promise.all(begun)
        assert.deepEqual(later, [{ later: value }])
        assert.ok(n >= value - 7, String(n))
      }
      begun = []
      await db.transaction(async (tx) => {
        open = tx
        await tx.run('INSERT INTO t VALUES (100)')
        assert.deepEqual(await tx.get('SELECT intruding(?) AS a, ? AS b', [9, 'kept']), { a: 9, b: 'kept' })
        await Promise.all(begun)
      })
      // The calls that the functions began ran after the statement.
      assert.deepEqual(await column(db, 'SELECT a FROM t ORDER BY a'), [7, 8, 9, 100])
    },
  },

  'scratch databases have them: snapshots verify and restore, files are imported': async ({ open }) => {
    const db = await open({ functions })
    await db.exec('CREATE TABLE t(a TEXT COLLATE backwards); CREATE INDEX i ON t(slug(a)); CREATE INDEX j ON t(a)')
    await db.runMany(
      'INSERT INTO t VALUES (?)',
      Array.from({ length: 50 }, (_, i) => [`Row ${i}`]),
    )
    const { id } = await db.snapshots.create()
    assert.deepEqual(await db.snapshots.verify(id), { ok: true, errors: [] })
    const file = await db.export()
    await db.run('DELETE FROM t')
    await db.snapshots.restore(id)
    assert.deepEqual(await column(db, "SELECT count(*) FROM t WHERE slug(a) = 'row-7'"), [1])
    await db.run('DELETE FROM t')
    await db.import(file)
    assert.deepEqual(await db.get('SELECT min(a) AS first, count(*) AS n FROM t'), { first: 'Row 9', n: 50 })
    assert.deepEqual(await column(db, 'PRAGMA integrity_check'), ['ok'])
  },

  'unusable functions are refused before the lock is taken': async ({ open, failure, freshName, thread }) => {
    const name = freshName()
    const closure = { scalar: { one: () => 1 } }
    for (const [functions, cause] of [
      [{ scalar: { a: 1 } }],
      [{ scala: {} }],
      [{ aggregate: { a: { step() {} } } }],
      [{ collation: { a: {} } }],
      [{ scalar: { '': () => 1 } }],
      [{ module: 'x' }],
      [7],
      [{ module: new URL('file:///nowhere.mjs') }],
      [module('throw new Error("at import")'), /at import/],
      [module('export const scalar = { one: 1 }')],
    ]) {
      const failed = await failure(open({ name, functions }))
      assert.equal(failed.code, 'invalid_argument')
      if (cause) assert.match(failed.cause, cause)
    }
    if (thread === 'worker') {
      const { code, details } = await failure(open({ name, functions: closure }))
      assert.deepEqual([code, details.option], ['unsupported_environment', 'functions'])
    }
    // The lock was released.
    const db = await open({ name, functions: module('export default { scalar: { two: () => 2 } }') })
    assert.deepEqual(await column(db, 'SELECT two()'), [2])
  },

  'integers have the same form in functions as in results': async ({ memory, failure }) => {
    for (const [integers, small, large] of [
      ['auto', 'number', 'bigint'],
      ['bigint', 'bigint', 'bigint'],
      ['number', 'number', 'sqlite_error'],
    ]) {
      const db = await memory({ functions, integers })
      assert.deepEqual(await column(db, 'SELECT kind(1)'), [small])
      const { resolved, code } = await failure(column(db, 'SELECT kind(9007199254740993)'))
      assert.equal(code ?? resolved[0], large)
    }
  },
}
