// The wasm comes in parts: a page loads what it uses, when it first uses it, and a part that doesn't come breaks nothing else.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { freshName, suite, test, until } from './harness.mjs'

const context = suite()

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

test('a first visit asks for one script and the core: it has JSON functions, snapshots and going back, with or without a network', {
  only: 'current',
  because: 'a worker has scripts of its own',
}, async () => {
  const page = await context.browser.page()
  const asked = []
  page.on('request', (request) => asked.push(new URL(request.url()).pathname))
  await context.load(page)
  const rows = await page.evaluate(async (name) => {
    window.db = await open({ name })
    await db.exec(`CREATE TABLE t(j TEXT CHECK (json_valid(j)), b AS (j ->> 'b')); INSERT INTO t(j) VALUES ('{"b":1}')`)
    return db.query("SELECT b, value FROM t, json_each(j, '$')")
  }, freshName())
  assert.deepEqual(rows, [{ b: 1, value: 1 }])
  await page.route(/\.(wasm|js)$/, (route) => route.abort())
  const restored = await page.evaluate(async () => {
    const { id } = await db.snapshots.create()
    await db.run(`UPDATE t SET j = '{"b":2}'`)
    const { points } = await db.snapshots.history()
    await db.run('DELETE FROM t')
    const read = async () => (await db.query('SELECT b FROM t'))[0].b
    await db.snapshots.restore({ at: points.at(-1).at, lsn: points.at(-1).lsn })
    const restored = [await read()]
    await db.snapshots.restore(id)
    restored.push(await read())
    await db.close()
    return restored
  })
  assert.deepEqual(restored, [2, 1])
  const files = asked.filter((path) => path.startsWith('/tidelock/dist/')).map((path) => path.split('/').at(-1))
  assert.deepEqual(files, ['index.js', 'tidelock_bg.wasm'])
})

test('what the options ask for is loaded beside the core, and is there when the network is gone', async () => {
  const { page, parts } = await watchedPage()
  await page.route(/tidelock_(bg|migrations)\.wasm$/, async (route) => {
    await until(() => parts.length === 2)
    await route.continue()
  })
  const arrived = page.waitForResponse(/tidelock_migrations\.wasm$/).then((response) => response.finished())
  await page.evaluate(async (name) => {
    window.db = await open({ name, migrations: [] })
  }, freshName())
  await arrived
  await page.unroute(/tidelock_(bg|migrations)\.wasm$/)
  await page.route(/\.(wasm|js)$/, (route) => route.abort())
  const status = await page.evaluate(async () => {
    const status = await db.migrations.status()
    await db.close()
    return status
  })
  assert.deepEqual(status, [])
  assert.deepEqual(parts.sort(), ['bg', 'migrations'])
})

test('recovering takes a part, which the failed opening requests; then it needs no network', {
  only: 'current',
  because: 'recover runs in the thread that calls it',
}, async () => {
  const { page, parts } = await watchedPage()
  const [log, chunk] = [freshName(), freshName()]
  const damage = async (name, store, at) => {
    await page.evaluate(
      async ([name, store, at]) => {
        const database = await new Promise((resolve, reject) => {
          const request = indexedDB.open(`tidelock/${name}`)
          request.onerror = () => reject(request.error)
          request.onsuccess = () => resolve(request.result)
        })
        const transaction = database.transaction(store, 'readwrite')
        const [keys, values] = [transaction.objectStore(store).getAllKeys(), transaction.objectStore(store).getAll()]
        values.onsuccess = () => {
          const sizes = values.result.map((value) => value.byteLength ?? 0)
          const index = at === 'largest' ? sizes.indexOf(Math.max(...sizes)) : at
          transaction.objectStore(store).delete(keys.result.at(index))
        }
        await new Promise((resolve) => {
          transaction.oncomplete = resolve
        })
        database.close()
      },
      [name, store, at],
    )
    return page.evaluate((name) => failure(() => open({ name })), name)
  }
  await page.evaluate(
    async ([log, chunk]) => {
      const first = await open({ name: log, snapshots: false })
      for (const n of [1, 2, 3]) await first.exec(`CREATE TABLE t${n}(x)`)
      await first.close()
      const db = await open({ name: chunk, snapshots: { keep: 1, logMaxBytes: 0 } })
      await db.exec(`CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE other(x);
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO t SELECT i, randomblob(1000) FROM n`)
      for (let n = 0; n < 3; n++) {
        await db.run('INSERT INTO other VALUES (1)')
        await db.snapshots.create()
      }
      await db.close()
    },
    [log, chunk],
  )
  assert.equal(parts.includes('stores'), false)
  const withoutNetwork = () => page.route(/\.(wasm|js)$/, (route) => route.abort())
  await withoutNetwork()
  assert.equal((await damage(log, 'log', -2)).code, 'database_corrupt')
  const refused = await page.evaluate((name) => failure(() => window.tidelock.recover(name)), log)
  assert.equal(refused.code, 'wasm_load_failed')
  await page.unroute(/\.(wasm|js)$/)
  const loaded = page.waitForResponse(/stores/).then((response) => response.finished())
  assert.equal((await page.evaluate((name) => failure(() => open({ name })), log)).code, 'database_corrupt')
  await loaded
  await withoutNetwork()
  const report = await page.evaluate((name) => window.tidelock.recover(name), log)
  assert.deepEqual([report.changed, report.lostBatches], [true, 2])
  // One with random values only, which all snapshots share: the one with the schema is smaller.
  assert.equal((await damage(chunk, 'chunks', 'largest')).code, 'database_corrupt')
  const { changed, problems } = await page.evaluate((name) => window.tidelock.recover(name), chunk)
  assert.equal(changed, true)
  assert.match(problems.join(), /Table t lacks its rows with rowids from/)
  const [{ n }] = await page.evaluate(async (name) => {
    const db = await open({ name })
    const rows = await db.query('SELECT count(*) AS n FROM t')
    await db.close()
    return rows
  }, chunk)
  assert.ok(n > 800 && n < 1000, `${n} rows`)
})

test('FTS5 comes with the first statement that asks for it, in whatever call that is', async () => {
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

test('a database with full-text tables has FTS5 from its first statement on', async () => {
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

test('live queries follow their tables without the part that analyses them, and a later one requests it again', async () => {
  const { page, parts } = await watchedPage()
  await page.route(/tidelock_live\.wasm$/, (route) => route.abort())
  const warnings = []
  page.on('console', (message) => {
    if (message.type() === 'warning') warnings.push(message.text())
  })
  const requests = () => parts.filter((part) => part === 'live').length
  await page.evaluate(async (name) => {
    window.db = await open({ name })
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a); CREATE TABLE u (a); INSERT INTO t VALUES (1, 1)')
    window.runs = { one: [], u: [] }
    db.live('SELECT a FROM t WHERE id = 1').subscribe(([row]) => runs.one.push(row.a))
    db.live('SELECT count(*) AS n FROM u').subscribe(([{ n }]) => runs.u.push(n))
    await until(() => runs.one.length === 1 && runs.u.length === 1)
  }, freshName())
  await until(() => requests() === 1)
  const without = await page.evaluate(async () => {
    await db.run('UPDATE t SET a = 2 WHERE id = 1')
    await until(() => runs.one.length === 2)
    await db.run('INSERT INTO t VALUES (2, 2)')
    await until(() => runs.one.length === 3)
    await db.run('INSERT INTO u VALUES (1)')
    await until(() => runs.u.length === 2)
    return runs
  })
  assert.deepEqual(without, { one: [1, 2, 2], u: [0, 1] })
  // The page gets one warning, whatever else asks for the part.
  await until(() => warnings.length > 0)
  await page.evaluate(async (name) => {
    const other = await open({ name })
    await other.live('SELECT 1').refresh()
    await other.close()
  }, freshName())
  await until(() => requests() === 2)
  assert.match(warnings[0], /^tidelock: Live queries run more often than they must: .*served.* \(wasm_load_failed\)$/)
  assert.equal(warnings[0].match(/could not be loaded/g).length, 1)
  await page.unroute(/tidelock_live\.wasm$/)
  // The failure of the first request may reach the page late.
  await until(async () => {
    await page.evaluate(() => void db.live('SELECT a FROM t').subscribe(() => {}))
    return requests() > 2
  })
  // A commit that doesn't concern a query runs it until the part is at work, and never after that.
  const isPrecise = () =>
    page.evaluate(async () => {
      const [ones, us] = [runs.one.length, runs.u.length]
      await db.run('INSERT INTO t(a) VALUES (3)')
      await db.run('INSERT INTO u VALUES (2)')
      await until(() => runs.u.length > us)
      return runs.one.length === ones
    })
  await until(isPrecise)
  assert.equal(await isPrecise(), true)
  const changed = await page.evaluate(async () => {
    await db.run('UPDATE t SET a = 9 WHERE id = 1')
    await until(() => runs.one.at(-1) === 9)
    await db.close()
    return runs.one.at(-1)
  })
  assert.equal(changed, 9)
  assert.equal(requests(), 3)
  assert.equal(warnings.length, 1)
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

test('health is told, too, when the part that would tell it is not served', async () => {
  const { page } = await watchedPage()
  await page.route(/tidelock_tools\.wasm$/, (route) => route.fulfill({ status: 404, body: 'gone' }))
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
  await page.unroute(/tidelock_tools\.wasm$/)
  const [health, closed] = await page.evaluate(async () => {
    const health = await db.health()
    await db.close()
    return [health, await db.health()]
  })
  assert.deepEqual([health.status, health.lock.state], ['ok', 'held'])
  assert.equal(closed.status, 'failed')
})

/** Holds the requests that match; returns a function that lets them go on, and those that follow. */
async function stall(page, pattern) {
  const held = []
  await page.route(pattern, (route) => held.push(route))
  return async () => {
    await page.unroute(pattern)
    await Promise.all(held.map((route) => route.continue().catch(() => {})))
  }
}

test('a statement that waits for a part ends with its timeoutMs, and the database goes on', async () => {
  const { page } = await watchedPage()
  const goOn = await stall(page, /tidelock_fts5\.wasm$/)
  const [failed, rows] = await page.evaluate(async (name) => {
    window.db = await open({ name, storage: 'memory' })
    const sql = 'CREATE VIRTUAL TABLE notes USING fts5(body)'
    const failed = [await failure(db.run(sql, [], { timeoutMs: 100 })), await failure(db.exec(sql, { timeoutMs: 100 }))]
    return [failed, await db.query('SELECT 1 AS one', [], { timeoutMs: 20_000 })]
  }, freshName())
  assert.deepEqual(
    failed.map(({ code }) => code),
    ['timeout', 'timeout'],
  )
  assert.deepEqual(rows, [{ one: 1 }])
  await goOn()
  const found = await page.evaluate(async () => {
    await db.exec("CREATE VIRTUAL TABLE notes USING fts5(body); INSERT INTO notes VALUES ('tide')")
    const found = await db.get("SELECT body FROM notes WHERE notes MATCH 'tide'")
    await db.close()
    return found
  })
  assert.deepEqual(found, { body: 'tide' })
})

test('an opening that is cancelled while a part is on its way leaves the database to others', {
  only: 'current',
  because: 'a worker ends with its opening',
}, async () => {
  const { page } = await watchedPage()
  await stall(page, /tidelock_migrations\.wasm$/)
  const [failed, rows] = await page.evaluate(async (name) => {
    const migrations = [{ version: '1', name: 'a', up: 'CREATE TABLE a(x)' }]
    const failed = await failure(open({ name, migrations, signal: AbortSignal.timeout(200) }))
    const db = await open({ name, signal: AbortSignal.timeout(20_000) })
    const rows = await db.query("SELECT name FROM sqlite_schema WHERE name = 'a'")
    await db.close()
    return [failed, rows]
  }, freshName())
  assert.match(failed.notOurs, /timed out/)
  assert.deepEqual(rows, [])
})

test('a bad answer, which the browser may have kept, is requested again past its cache', async () => {
  const page = await context.browser.page()
  await context.load(page)
  let answers = 0
  await page.route(/tidelock_migrations\.wasm$/, async (route) => {
    answers++
    if (answers === 1) await route.fulfill({ contentType: 'application/wasm', body: 'not wasm' })
    else await route.continue()
  })
  const [tables, caches] = await page.evaluate(async (name) => {
    const [fetchAny, caches] = [fetch, []]
    window.fetch = (url, options) => {
      if (/migrations/.test(url)) caches.push(options.cache)
      return fetchAny(url, options)
    }
    const db = await open({ name, migrations: [{ version: '1', name: 'a', up: 'CREATE TABLE a(x)' }] })
    const tables = await db.query("SELECT name FROM sqlite_schema WHERE name = 'a'")
    await db.close()
    return [tables, caches]
  }, freshName())
  assert.deepEqual(tables, [{ name: 'a' }])
  assert.deepEqual(caches, ['default', 'reload'])
})

/** Has the package wait for a file for 300 ms at most, not two minutes. */
function hurry(page) {
  return page.addInitScript(() => {
    const endAfter = AbortSignal.timeout
    AbortSignal.timeout = (ms) => endAfter.call(AbortSignal, ms === 120_000 ? 300 : ms)
  })
}

test('a request that gets no answer fails in the end, by the name of its file, and the next one is new', async () => {
  const page = await context.browser.page()
  await hurry(page)
  await context.load(page)
  const goOn = await stall(page, /tidelock_bg\.wasm$/)
  const failed = await page.evaluate((name) => failure(open({ name, storage: 'memory' })), freshName())
  assert.equal(failed.code, 'wasm_load_failed')
  assert.match(failed.message, /tidelock_bg\.wasm: .*timed out/)
  await goOn()
  const rows = await page.evaluate(async (name) => {
    const db = await open({ name, storage: 'memory' })
    const rows = await db.query('SELECT 1 AS one')
    await db.close()
    return rows
  }, freshName())
  assert.deepEqual(rows, [{ one: 1 }])
})

test('an answer that never ends fails in the end, and is not requested again', async () => {
  const requested = []
  const server = createServer(({ url }, response) => {
    requested.push(url)
    response.writeHead(200, { 'content-type': 'application/wasm', 'access-control-allow-origin': '*' })
    response.write(Buffer.from([0, 0x61, 0x73, 0x6d]))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    const page = await context.browser.page()
    await hurry(page)
    await context.load(page)
    const failed = await page.evaluate(
      ([name, url]) => failure(open({ name, storage: 'memory', wasm: new URL(url) })),
      [freshName(), `http://127.0.0.1:${server.address().port}/tidelock_bg.wasm`],
    )
    assert.equal(failed.code, 'wasm_load_failed')
    assert.match(failed.message, /tidelock_bg\.wasm: .*timed out/)
    // And that of the part beside it.
    assert.deepEqual(requested.sort(), ['/tidelock_bg.wasm', '/tidelock_stores.wasm'])
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

test('a stored database with a seed opens without the part that imports it', async () => {
  const { page } = await watchedPage()
  await page.route(/tidelock_tools\.wasm$/, (route) => route.fulfill({ status: 404, body: 'gone' }))
  const rows = await page.evaluate(async (name) => {
    const first = await open({ name })
    await first.exec("CREATE TABLE t(x); INSERT INTO t VALUES ('kept')")
    await first.close()
    const db = await open({ name, seed: new URL('/nowhere.sqlite', location.href) })
    const rows = await db.query('SELECT x FROM t')
    await db.close()
    return rows
  }, freshName())
  assert.deepEqual(rows, [{ x: 'kept' }])
})
