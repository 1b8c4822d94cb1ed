// The wasm comes in parts: a page loads what it uses, when it first uses it, and a part that doesn't come breaks nothing else.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'

const context = suite()
const inPage = { only: 'current', because: 'the test of JSON functions asks for its part in the same way, in a worker' }
const inWorker = { only: 'worker', because: 'the test of FTS5 asks for its part in the same way, in the page' }

/** A page, and the names of the parts that it asked for. */
async function watchedPage() {
  const page = await context.page()
  const parts = []
  page.on('request', (request) => {
    const part = request.url().match(/tidelock_(\w+)\.wasm$/)?.[1]
    if (part) parts.push(part)
  })
  return { page, parts }
}

test('opening loads the core; a second page neither makes stores nor loads sync or FTS5', async () => {
  const name = freshName()
  const first = await watchedPage()
  await first.page.evaluate(async (name) => {
    const db = await open({ name, snapshots: false })
    await db.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1)')
    await db.close()
  }, name)
  const atOnce = ({ parts }) => [...new Set(parts)].filter((part) => !['operations', 'restore'].includes(part))
  assert.deepEqual(atOnce(first).sort(), ['bg', 'create'])
  const second = await watchedPage()
  const rows = await second.page.evaluate(async (name) => {
    const db = await open({ name })
    const rows = await db.query('SELECT x FROM t')
    await db.close()
    return rows
  }, name)
  assert.deepEqual(rows, [{ x: 1 }])
  assert.deepEqual(atOnce(second), ['bg'])
})

test('FTS5 comes with the first statement that asks for it, in whatever call that is', inPage, async () => {
  const { page, parts } = await watchedPage()
  const create = 'CREATE VIRTUAL TABLE notes USING fts5(body)'
  const found = await page.evaluate(
    async ([names, create]) => {
      const ways = {
        run: (db) => db.run(create),
        exec: (db) => db.exec(`BEGIN; CREATE TABLE before(x); COMMIT; BEGIN; ${create}; COMMIT`),
        batch: (db) => db.batch([{ sql: 'CREATE TABLE before(x)' }, { sql: create }]),
        transaction: (db) =>
          db.transaction(async (tx) => {
            await tx.run('CREATE TABLE before(x)')
            await tx.transaction((inner) => inner.run(create))
          }),
        migration: () => {},
        function: () => {},
      }
      const migrations = {
        migration: [{ version: '1', name: 'notes', up: create }],
        function: [{ version: '1', name: 'notes', up: async (tx) => void (await tx.run(create)) }],
      }
      const found = {}
      for (const [way, work] of Object.entries(ways)) {
        const name = `${names}-${way}`
        const db = await open({ name, migrations: migrations[way] })
        await work(db)
        await db.run('INSERT INTO notes VALUES (?), (?)', ['the tide locks', 'a shore'])
        const rows = await db.query("SELECT highlight(notes, 0, '[', ']') AS h FROM notes WHERE notes MATCH 'tide'")
        const { id } = await db.snapshots.create()
        const { ok } = await db.snapshots.verify(id)
        await db.run("INSERT INTO notes VALUES ('tide again')")
        await db.snapshots.restore(id)
        const [{ n }] = await db.query("SELECT count(*) AS n FROM notes WHERE notes MATCH 'tide'")
        found[way] = [rows, ok, n]
        await db.close()
      }
      return found
    },
    [freshName(), create],
  )
  for (const [way, result] of Object.entries(found)) {
    assert.deepEqual(result, [[{ h: 'the [tide] locks' }], true, 1], way)
  }
  assert.equal(parts.filter((part) => part === 'fts5').length, 1, 'compiled once for the page')
})

test('a database with full-text tables has FTS5 from its first statement on', inPage, async () => {
  const name = freshName()
  const first = await context.page()
  await first.evaluate(async (name) => {
    const db = await open({ name })
    await db.exec("CREATE VIRTUAL TABLE notes USING fts5(body); INSERT INTO notes VALUES ('tide')")
    await db.close()
  }, name)
  const { page, parts } = await watchedPage()
  const rows = await page.evaluate(async (name) => {
    const db = await open({ name })
    const live = db.live("SELECT body FROM notes WHERE notes MATCH 'tide'")
    const { value } = await live[Symbol.asyncIterator]().next()
    live.close()
    await db.close()
    return value
  }, name)
  assert.deepEqual(rows, [{ body: 'tide' }])
  assert.ok(parts.includes('fts5'))
})

test('a part that is not served is wasm_load_failed, harms nothing, and is asked for again', async () => {
  const { page } = await watchedPage()
  await page.route(/tidelock_fts5\.wasm$/, (route) => route.fulfill({ status: 404, body: 'gone' }))
  const create = 'CREATE VIRTUAL TABLE notes USING fts5(body)'
  const failed = await page.evaluate(
    async ([name, create]) => {
      window.db = await open({ name })
      await db.exec('CREATE TABLE t(x)')
      const failed = await failure(db.run(create))
      await db.run('INSERT INTO t VALUES (1)')
      return { ...failed, rows: await db.query('SELECT x FROM t') }
    },
    [freshName(), create],
  )
  assert.equal(failed.code, 'wasm_load_failed')
  assert.equal(failed.retryable, true)
  assert.ok(failed.hint)
  assert.deepEqual(failed.rows, [{ x: 1 }])
  await page.unroute(/tidelock_fts5\.wasm$/)
  await page.evaluate(async (create) => {
    await db.run(create)
    await db.close()
  }, create)
})

test('a part of another build is refused', async () => {
  const { page } = await watchedPage()
  await page.route(/tidelock_fts5\.wasm$/, async (route) => {
    const response = await route.fetch()
    const body = await response.body()
    body[body.length - 1] ^= 1 // the build's name stands at the end
    await route.fulfill({ response, body })
  })
  const failed = await page.evaluate(async (name) => {
    const db = await open({ name, storage: 'memory' })
    const failed = await failure(db.run('CREATE VIRTUAL TABLE notes USING fts5(body)'))
    await db.close()
    return failed
  }, freshName())
  assert.equal(failed.code, 'wasm_load_failed')
  assert.match(failed.cause, /another build/)
})

test('where the core was given by hand, its parts are found', async () => {
  const { page } = await watchedPage()
  const rows = await page.evaluate(async (names) => {
    const url = new URL('/tidelock/dist/tidelock_bg.wasm', location.href)
    const sources = { url, response: await fetch(url), bytes: await (await fetch(url)).arrayBuffer() }
    sources.module = await WebAssembly.compile(sources.bytes)
    const rows = []
    for (const [kind, wasm] of Object.entries(sources)) {
      const db = await open({ name: `${names}-${kind}`, wasm })
      await db.exec("CREATE VIRTUAL TABLE notes USING fts5(body); INSERT INTO notes VALUES ('tide')")
      rows.push((await db.snapshots.create()).reason, await db.query("SELECT body FROM notes WHERE notes MATCH 'tide'"))
      await db.close()
    }
    return rows
  }, freshName())
  assert.deepEqual(
    rows,
    Array(4)
      .fill(['manual', [{ body: 'tide' }]])
      .flat(),
  )
})

test('what may be asked for without a network is loaded ahead: restoring once there is a snapshot, migrating where there are migrations', async () => {
  const name = freshName()
  const arrived = (page, part) =>
    page.waitForResponse(new RegExp(`tidelock_${part}\\.wasm$`)).then((response) => response.finished())
  const first = await watchedPage()
  const operations = arrived(first.page, 'operations')
  await first.page.evaluate(async (name) => {
    window.db = await open({ name })
    await db.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1)')
  }, name)
  await operations
  const restore = arrived(first.page, 'restore')
  assert.ok(!first.parts.includes('restore'), 'before the first snapshot there is nothing to go back to')
  const id = await first.page.evaluate(async () => (await db.snapshots.create()).id)
  await restore
  const goOffline = (page) => page.route(/\.(wasm|js)$/, (route) => route.abort())
  await goOffline(first.page)
  const rows = await first.page.evaluate(async (id) => {
    await db.run('DELETE FROM t')
    await db.snapshots.restore(id)
    const rows = await db.query('SELECT x FROM t')
    const { ok } = await db.snapshots.verify(id)
    await db.close()
    return [rows, ok]
  }, id)
  assert.deepEqual(rows, [[{ x: 1 }], true])
  assert.ok(!first.parts.includes('migrations'), 'an app without migrations never runs any')

  const second = await watchedPage()
  const both = Promise.all([arrived(second.page, 'restore'), arrived(second.page, 'migrations')])
  await second.page.evaluate(async (name) => {
    window.db = await open({ name, migrations: [] })
  }, name)
  await both
  await goOffline(second.page)
  const status = await second.page.evaluate(async (id) => {
    await db.snapshots.restore(id)
    const status = await db.migrations.status()
    await db.close()
    return status
  }, id)
  assert.deepEqual(status, [])
})

test('health is told, too, when the part that would tell it is not served', async () => {
  const { page } = await watchedPage()
  await page.route(/tidelock_operations\.wasm$/, (route) => route.fulfill({ status: 404, body: 'gone' }))
  const [missing, name] = await page.evaluate(async (name) => {
    window.db = await open({ name })
    await db.exec('CREATE TABLE t(x)')
    return [await db.health(), name]
  }, freshName())
  assert.deepEqual([missing.status, missing.name, missing.lock.state], ['degraded', name, 'held'])
  assert.deepEqual(
    missing.alerts.map(({ code, severity }) => [code, severity]),
    [['wasm_load_failed', 'warning']],
  )
  await page.unroute(/tidelock_operations\.wasm$/)
  const [health, closed] = await page.evaluate(async () => {
    const health = await db.health()
    await db.close()
    return [health, await db.health()]
  })
  assert.deepEqual([health.status, health.lock.state], ['ok', 'held'])
  assert.equal(closed.status, 'failed')
})

test(
  'the JSON functions come with the first statement that calls one, in whatever call that is',
  inWorker,
  async () => {
    const { page, parts } = await watchedPage()
    const found = await page.evaluate(async (names) => {
      const text = '{"a":[1,2],"b":"x"}'
      const table = `CREATE TABLE t(j TEXT CHECK (json_valid(j)), b AS (j->>'b')); CREATE INDEX tb ON t(json_extract(j, '$.b'))`
      const log = `CREATE TABLE log(x); CREATE TRIGGER logged AFTER INSERT ON t BEGIN INSERT INTO log SELECT value FROM json_each(NEW.j, '$.a'); END`
      const rowsOf = async (rows) => {
        const all = []
        for await (const row of rows) all.push(row)
        return all
      }
      const ways = {
        query: (db) => db.query("SELECT ? ->> 'b' AS b", [text]),
        get: async (db) => [await db.get('SELECT json_extract(?, ?) AS b', [text, '$.b'])],
        each: (db) => db.query('SELECT value AS b FROM json_each(?) WHERE key = ?', [text, 'b']),
        empty: (db) => db.query("SELECT iif(json_group_array(1) = '[]', 'x', 'no') AS b WHERE 0"),
        window: (db) => db.query("SELECT json_group_array('x') OVER () ->> 0 AS b"),
        iterate: (db) => rowsOf(db.iterate("SELECT ? ->> 'b' AS b", [text])),
        begin: async (db) => {
          const tx = await db.begin()
          await tx.run('CREATE TABLE x(b)')
          await tx.run("INSERT INTO x SELECT ? ->> 'b'", [text])
          await tx.commit()
          return db.query('SELECT b FROM x')
        },
        transaction: (db) =>
          db.transaction(async (tx) => {
            await tx.run('CREATE TABLE x(b)')
            return tx.transaction((inner) => inner.query("SELECT ? ->> 'b' AS b", [text]))
          }),
        batch: async (db) => {
          const sql = [
            'CREATE TABLE x(b)',
            `INSERT INTO x SELECT '${text}' ->> 'b'`,
            'CREATE VIRTUAL TABLE f USING fts5(y)',
          ]
          return (await db.batch([...sql, 'SELECT b FROM x'].map((sql) => ({ sql })))).at(-1)
        },
        branch: async (db) => {
          // It ran before, without a call.
          const sql = "SELECT CASE WHEN ? THEN ? ->> 'b' ELSE 'no' END AS b"
          await db.query(sql, [0, text])
          return db.query(sql, [1, text])
        },
        branchInside: (db) =>
          db.transaction(async (tx) => {
            const sql = "SELECT CASE WHEN ? THEN ? ->> 'b' ELSE 'no' END AS b"
            await tx.query(sql, [0, text])
            return tx.query(sql, [1, text])
          }),
        runMany: async (db) => {
          await db.run('CREATE TABLE x(b)')
          await db.runMany("INSERT INTO x SELECT ? ->> 'b'", [[text]])
          return db.query('SELECT b FROM x')
        },
        live: async (db) => {
          const live = db.live('SELECT value AS b FROM json_each(?) WHERE key = ?', [text, 'b'])
          const { value } = await live[Symbol.asyncIterator]().next()
          live.close()
          return value
        },
        explain: async (db) => {
          await db.explain('SELECT * FROM json_each(?)', [text])
          return [{ b: 'x' }]
        },
        schema: async (db) => {
          for (const sql of [...table.split('; '), log.split('; ')[0], log.slice(log.indexOf('; ') + 2)])
            await db.run(sql)
          await db.exec(`BEGIN; INSERT INTO t(j) VALUES ('${text}'); COMMIT`)
          return db.query('SELECT b FROM t JOIN log WHERE x = 2')
        },
        exec: async (db) => {
          await db.exec(`${table}; ${log}; INSERT INTO t(j) VALUES ('${text}')`)
          return db.query("SELECT b FROM t WHERE json_extract(j, '$.b') = 'x'")
        },
        migration: (db) => db.query('SELECT b FROM t'),
        function: (db) => db.query('SELECT b FROM t'),
        refused: async (db) => {
          await db.run('CREATE TABLE t(j CHECK (json_valid(j)))')
          const { code } = await failure(db.run('INSERT INTO t(j) VALUES (?)', ['{']))
          return [{ b: code === 'sqlite_constraint' ? 'x' : code }]
        },
      }
      const insert = `INSERT INTO t(j) VALUES ('${text}')`
      const migrations = {
        migration: [
          { version: '1', name: 'table', up: table },
          { version: '2', name: 'row', up: insert },
        ],
        function: [
          {
            version: '1',
            name: 'table',
            up: async (tx) => {
              await tx.exec(table)
              await tx.run(insert)
            },
          },
        ],
      }
      const found = {}
      for (const [way, work] of Object.entries(ways)) {
        const name = `${names}-${way}`
        const db = await open({ name, migrations: migrations[way] })
        found[way] = await work(db)
        const { id } = await db.snapshots.create()
        const { ok } = await db.snapshots.verify(id)
        if (!ok) found[way] = 'damaged'
        await db.close()
      }
      return found
    }, freshName())
    for (const [way, rows] of Object.entries(found)) assert.deepEqual(rows, [{ b: 'x' }], way)
    assert.equal(parts.filter((part) => part === 'json').length, 1, 'compiled once for the page')
  },
)

test('a database whose schema uses JSON functions has them from its first statement on', inWorker, async () => {
  const name = freshName()
  const first = await context.page()
  await first.evaluate(async (name) => {
    const db = await open({ name })
    await db.exec(`CREATE TABLE t(j, b AS (j ->> 'b')); CREATE INDEX tb ON t(b); INSERT INTO t VALUES ('{"b":1}')`)
    await db.close()
  }, name)
  const { page, parts } = await watchedPage()
  const result = await page.evaluate(async (name) => {
    const db = await open({ name })
    await db.exec(`BEGIN; INSERT INTO t VALUES ('{"b":2}'); COMMIT`)
    const found = [
      await db.query('SELECT b FROM t WHERE b > 0 ORDER BY b'),
      (await db.explain('SELECT 1 FROM t WHERE b = 1'))[0].detail,
    ]
    await db.close()
    return found
  }, name)
  assert.deepEqual(result[0], [{ b: 1 }, { b: 2 }])
  assert.match(result[1], /USING INDEX tb/)
  assert.ok(parts.includes('json'))
})
