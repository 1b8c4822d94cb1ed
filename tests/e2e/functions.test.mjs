// SQL functions and collations by JavaScript.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'

const context = suite()

/** The module of functions that the tests import where SQLite runs: its source is the page's to serve as a data: URL. */
const source = `
  const calls = []
  export const scalar = {
    same: { fn: (value) => value, deterministic: true },
    kind: (...values) => values.map((value) => (value === null ? 'null' : value instanceof Uint8Array ? 'bytes ' + value.length : typeof value)).join(),
    slug: { fn: (text) => String(text).toLowerCase().replace(/\\W+/g, '-'), deterministic: true },
    regexp: (pattern, text) => new RegExp(pattern).test(text),
    private: { fn: () => 42, directOnly: true },
    throwing: (value) => { throw new RangeError('too much') },
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
  }
`
const options = (name, more = {}) => ({ name, snapshots: false, ...more })

/** Opens with the module; works in both threads. */
const withModule = `async (options) => {
  const url = URL.createObjectURL(new Blob([${JSON.stringify(source)}], { type: 'text/javascript' }))
  return window.open({ ...options, functions: { module: new URL(url) } })
}`

test('functions of a module get and give values exactly, in statements and in the schema', async () => {
  const page = await context.page()
  const result = await page.evaluate(
    async ({ options, withModule }) => {
      const open = new Function(`return (${withModule})`)()
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
      const db = await open({ ...options, migrations })
      const one = async (sql, params) => (await db.query(sql, params, { rowMode: 'array' }))[0][0]
      const found = {
        kinds: await one('SELECT kind(NULL, 1, 1.5, ?, ?, ?, 9007199254740993)', ['text', new Uint8Array(3), true]),
        same: [],
        given: [],
        wrong: [],
        slugs: await db.query('SELECT slug FROM posts ORDER BY note'),
        loud: await db.query('SELECT loud FROM shouting ORDER BY loud'),
        plan: await db.explain("SELECT id FROM posts WHERE slug(title) = 'x'"),
        regexp: await one("SELECT 'abc' REGEXP '^a.c$'"),
        overridden: await one("SELECT lower('ÄÖX')"),
        direct: await one('SELECT private()'),
      }
      for (const value of [
        null,
        0,
        -1,
        2 ** 53 - 1,
        2n ** 62n,
        -(2n ** 63n),
        0.1,
        '',
        'é😀',
        new Uint8Array([0, 255]),
      ]) {
        const back = await one('SELECT same(?)', [value])
        found.same.push(value instanceof Uint8Array ? String(back) === String(value) : back === value)
      }
      for (let which = 0; which < 12; which++) {
        const row = await db.get('SELECT given(?) AS value, typeof(given(?)) AS type', [which, which])
        found.given.push([row.value instanceof Uint8Array ? [...row.value] : String(row.value), row.type])
      }
      for (let which = 0; which < 7; which++)
        found.wrong.push(await window.failure(() => db.query('SELECT wrong(?)', [which])))
      found.view = await window.failure(() => db.exec('CREATE VIEW no AS SELECT private(); SELECT * FROM no'))
      found.duplicate = await window.failure(() => db.run("INSERT INTO posts(title) VALUES ('HELLO world')"))
      await db.close()
      // Again, with the schema and the functions that it needs; and without them.
      const again = await open({ ...options, migrations })
      found.again = await again.get("SELECT id FROM posts WHERE slug(title) = 'second-post'")
      await again.close()
      const without = await window.open({ ...options, migrations })
      found.without = await window.failure(() => without.run("INSERT INTO posts(title) VALUES ('x')"))
      found.still = await without.get('SELECT count(*) AS n FROM schema_migrations')
      await without.close()
      return found
    },
    { options: options(freshName()), withModule },
  )
  assert.equal(result.kinds, 'null,number,number,string,bytes 3,number,bigint')
  assert.deepEqual(result.same, Array(10).fill(true))
  assert.deepEqual(result.given, [
    ['null', 'null'],
    ['1', 'integer'],
    ['1.5', 'real'],
    ['0', 'integer'],
    ['9007199254740992', 'real'],
    [String(2n ** 62n), 'integer'],
    ['é😀', 'text'],
    [[1, 2], 'blob'],
    [[0], 'blob'],
    ['1970-01-01T00:00:00.000Z', 'text'],
    ['', 'text'],
    ['null', 'null'],
  ])
  for (const { code, message, cause } of result.wrong) {
    assert.deepEqual([code, message], ['sqlite_error', 'The SQL function wrong failed'])
    assert.match(cause, /An SQL function must give/)
  }
  assert.deepEqual(result.slugs, [{ slug: 'second-post' }, { slug: 'hello-world' }])
  assert.deepEqual(result.loud, [{ loud: 'hello-world!' }, { loud: 'second-post!' }])
  assert.match(result.plan[0].detail, /USING (COVERING )?INDEX by_slug/)
  assert.deepEqual([result.regexp, result.overridden, result.direct], [1, 'äöx', 42])
  assert.match(result.view.message, /unsafe use of private/)
  assert.equal(result.duplicate.code, 'sqlite_constraint')
  assert.deepEqual(result.again, { id: 2 })
  assert.equal(result.without.code, 'sqlite_error')
  assert.match(result.without.message, /slug/)
  assert.deepEqual(result.still, { n: 1 })
})

test('aggregates, windows and collations', async () => {
  const page = await context.page()
  const result = await page.evaluate(
    async ({ options, withModule }) => {
      const db = await new Function(`return (${withModule})`)()(options)
      await db.exec('CREATE TABLE t(g, v)')
      await db.runMany(
        'INSERT INTO t VALUES (?, ?)',
        [1, 2, 3, 4, 5].map((v) => [v % 2, v]),
      )
      const found = {
        products: await db.query('SELECT g, product(v) AS p FROM t GROUP BY g ORDER BY g'),
        none: await db.get('SELECT product(v) AS p FROM t WHERE 0'),
        window: await db.query('SELECT gathered(v) OVER (ORDER BY v ROWS 1 PRECEDING) AS w FROM t'),
        notWindow: await window.failure(() => db.query('SELECT product(v) OVER (ORDER BY v ROWS 1 PRECEDING) FROM t')),
        sorted: await db.query("SELECT column1 AS c FROM (VALUES ('a'), ('c'), ('b')) ORDER BY c COLLATE backwards"),
        step: await window.failure(() => db.query("SELECT gathered(column1) FROM (VALUES ('a'), ('bad'), ('c'))")),
        noOrder: await window.failure(() => db.query("SELECT * FROM (VALUES ('a'), ('b')) ORDER BY 1 COLLATE failing")),
      }
      await db.exec('CREATE TABLE f(a TEXT COLLATE failing); CREATE INDEX i ON f(a)')
      await db.run("INSERT INTO f VALUES ('first')")
      found.write = await window.failure(() => db.run("INSERT INTO f VALUES ('second')"))
      found.inside = await window.failure(() =>
        db.transaction(async (tx) => {
          await tx.run('DELETE FROM t')
          await tx.run("INSERT INTO f VALUES ('second')")
        }),
      )
      found.counts = await db.get('SELECT (SELECT count(*) FROM f) AS f, (SELECT count(*) FROM t) AS t')
      await db.close()
      return found
    },
    { options: options(freshName()), withModule },
  )
  assert.deepEqual(result.products, [
    { g: 0, p: 8 },
    { g: 1, p: 15 },
  ])
  assert.deepEqual(result.none, { p: 1 })
  assert.deepEqual(
    result.window.map(({ w }) => w),
    ['1', '1+2', '2+3', '3+4', '4+5'],
  )
  assert.match(result.notWindow.message, /product\(\) may not be used as a window function/)
  assert.deepEqual(
    result.sorted.map(({ c }) => c),
    ['c', 'b', 'a'],
  )
  assert.deepEqual([result.step.message, result.step.cause], ['The SQL function gathered failed', 'Error: bad step'])
  for (const failed of [result.noOrder, result.write, result.inside]) {
    assert.deepEqual(
      [failed.code, failed.message, failed.cause],
      ['sqlite_error', 'The SQL collation failing failed', 'Error: no order'],
    )
  }
  assert.deepEqual(result.counts, { f: 1, t: 5 })
})

test('what a function throws is the cause, wherever it was called, and the database goes on', async () => {
  const page = await context.page()
  const result = await page.evaluate(
    async ({ options, withModule }) => {
      const open = new Function(`return (${withModule})`)()
      const failing = [{ version: '1', name: 'bad', up: 'CREATE TABLE t(a);\nINSERT INTO t VALUES (throwing(1))' }]
      const migration = await window.failure(() => open({ ...options, migrations: failing }))
      const db = await open(options)
      await db.exec('CREATE TABLE t(a)')
      const found = {
        migration,
        query: await window.failure(() => db.query('SELECT throwing(?)', ['secret'])),
        again: await window.failure(() => db.query('SELECT throwing(?)', ['secret'])),
        script: await window.failure(() => db.exec('INSERT INTO t VALUES (1); INSERT INTO t VALUES (throwing(2))')),
        batch: await window.failure(() =>
          db.batch([{ sql: 'INSERT INTO t VALUES (3)' }, { sql: 'SELECT throwing(a) FROM t' }]),
        ),
        later: await window.failure(() => db.query('SELECT later()')),
        rows: await db.query('SELECT * FROM t'),
        health: (await db.health()).status,
      }
      await db.close()
      return found
    },
    { options: options(freshName()), withModule },
  )
  for (const which of ['query', 'again', 'script', 'batch']) {
    const { code, message, details, cause, json } = result[which]
    assert.equal(code, 'sqlite_error', which)
    assert.match(message, /The SQL function throwing failed/)
    assert.equal(details.function, 'throwing')
    assert.equal(cause, 'RangeError: too much')
    assert.ok(!json.includes('secret'))
  }
  assert.equal(result.migration.code, 'migration_failed')
  assert.equal(result.migration.details.line, 2)
  assert.match(result.migration.cause, /too much/)
  assert.match(result.later.cause, /it gave a promise/)
  assert.deepEqual([result.rows, result.health], [[], 'ok'])
})

test('functions of the page, which may even call their database', {
  only: 'current',
  because: 'functions of the page can not go to a worker',
}, async () => {
  const page = await context.page()
  const result = await page.evaluate(async (options) => {
    let db
    let inside = []
    let factor = 2
    const functions = {
      scalar: {
        times: (value) => value * factor,
        meddling: (value) => {
          inside.push(db.query('SELECT ? AS later', [value]), db.run('INSERT INTO t VALUES (?)', [value]))
          return value
        },
        intruding: (value) => {
          inside.push(open.tx.run('INSERT INTO t VALUES (?)', [value]))
          return value
        },
      },
    }
    const open = {}
    db = await window.open({ ...options, functions })
    await db.exec('CREATE TABLE t(a)')
    const before = await db.get('SELECT times(21) AS a')
    factor = 3
    const after = await db.get('SELECT times(21) AS a')
    // Twice: the second time the statement is known, and so are those that the function runs.
    const rows = []
    for (const value of [7, 8]) rows.push(await db.query('SELECT meddling(?) AS a, ? AS b', [value, 'kept']))
    const settled = await Promise.all(inside)
    inside = []
    await db.transaction(async (tx) => {
      open.tx = tx
      await tx.run('INSERT INTO t VALUES (100)')
      rows.push(await tx.query('SELECT intruding(?) AS a, ? AS b', [9, 'kept']))
      await Promise.all(inside)
    })
    const found = {
      before,
      after,
      rows,
      settled,
      all: await db.query('SELECT a FROM t ORDER BY a'),
      exported: (await db.export()).length > 0,
    }
    await db.close()
    return found
  }, options(freshName()))
  assert.deepEqual([result.before, result.after], [{ a: 42 }, { a: 63 }])
  assert.deepEqual(result.rows, [[{ a: 7, b: 'kept' }], [{ a: 8, b: 'kept' }], [{ a: 9, b: 'kept' }]])
  assert.deepEqual([result.settled[0], result.settled[2]], [[{ later: 7 }], [{ later: 8 }]])
  // What it began ran when the statement was over.
  assert.deepEqual(result.all, [{ a: 7 }, { a: 8 }, { a: 9 }, { a: 100 }])
  assert.ok(result.exported)
})

test('scratch databases have them: snapshots verify and restore, files are imported', async () => {
  const page = await context.page()
  const result = await page.evaluate(
    async ({ options, withModule }) => {
      const db = await new Function(`return (${withModule})`)()(options)
      await db.exec('CREATE TABLE t(a TEXT COLLATE backwards); CREATE INDEX i ON t(slug(a)); CREATE INDEX j ON t(a)')
      await db.runMany(
        'INSERT INTO t VALUES (?)',
        Array.from({ length: 50 }, (_, i) => [`Row ${i}`]),
      )
      const { id } = await db.snapshots.create()
      const verified = await db.snapshots.verify(id)
      const file = await db.export()
      await db.run('DELETE FROM t')
      await db.snapshots.restore(id)
      const restored = await db.get("SELECT count(*) AS n FROM t WHERE slug(a) = 'row-7'")
      await db.run('DELETE FROM t')
      await db.import(file)
      const imported = await db.get('SELECT min(a) AS first, count(*) AS n FROM t')
      const check = await db.query('PRAGMA integrity_check')
      await db.close()
      return { verified, restored, imported, check }
    },
    { options: { ...options(freshName()), snapshots: {} }, withModule },
  )
  assert.deepEqual(result.verified, { ok: true, errors: [] })
  assert.deepEqual([result.restored, result.imported], [{ n: 1 }, { first: 'Row 9', n: 50 }])
  assert.deepEqual(result.check, [{ integrity_check: 'ok' }])
})

test('what can not be used is refused before anything is taken', async (_, thread) => {
  const page = await context.page()
  const result = await page.evaluate(async (options) => {
    const fail = (functions) => window.failure(() => window.open({ ...options, functions }))
    const module = (text) => ({
      module: new URL(URL.createObjectURL(new Blob([text], { type: 'text/javascript' }))),
    })
    const found = {
      closure: await fail({ scalar: { one: () => 1 } }),
      shapes: [],
      missing: await fail({ module: new URL('./nowhere.js', location.href) }),
      broken: await fail(module('throw new Error("at import")')),
      empty: await fail(module('export const scalar = { one: 1 }')),
    }
    if (found.closure.resolved) {
      await found.closure.resolved.close()
      found.closure = 'opened'
    }
    for (const wrong of [
      { scalar: { a: 1 } },
      { scala: {} },
      { aggregate: { a: { step() {} } } },
      { collation: { a: {} } },
      { scalar: { '': () => 1 } },
      { module: 'x' },
      7,
    ])
      found.shapes.push(await fail(wrong))
    // The lock is free.
    const db = await window.open({ ...options, functions: module('export default { scalar: { two: () => 2 } }') })
    found.two = await db.get('SELECT two() AS n')
    await db.close()
    return found
  }, options(freshName()))
  if (thread === 'current') assert.equal(result.closure, 'opened')
  else assert.deepEqual([result.closure.code, result.closure.details.option], ['unsupported_environment', 'functions'])
  for (const { code } of [...result.shapes, result.missing, result.broken, result.empty])
    assert.equal(code, 'invalid_argument')
  assert.match(result.broken.cause, /at import/)
  assert.deepEqual(result.two, { n: 2 })
})

test('integers come to functions as they come in results', async () => {
  const page = await context.page()
  const result = await page.evaluate(
    async ({ options, withModule, names }) => {
      const open = new Function(`return (${withModule})`)()
      const found = []
      for (const [at, integers] of ['auto', 'bigint', 'number'].entries()) {
        const db = await open({ ...options, name: names[at], integers })
        const kind = await db.get('SELECT kind(1) AS small')
        const large = await window.failure(() => db.get('SELECT kind(9007199254740993) AS large'))
        found.push([kind.small, large.resolved?.large ?? large.code])
        await db.close()
      }
      return found
    },
    { options: options('x'), withModule, names: [freshName(), freshName(), freshName()] },
  )
  assert.deepEqual(result, [
    ['number', 'bigint'],
    ['bigint', 'bigint'],
    ['number', 'sqlite_error'],
  ])
})
