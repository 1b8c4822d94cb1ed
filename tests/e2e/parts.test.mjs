// The wasm comes in parts: a page loads what it uses, when it first uses it, and a part that doesn't come breaks nothing else.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'

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

test('opening loads the core; a second page neither makes stores nor loads sync or FTS5', async () => {
  const name = freshName()
  const first = await watchedPage()
  await first.page.evaluate(async (name) => {
    const db = await open({ name, snapshots: false })
    await db.exec('CREATE TABLE t(x); INSERT INTO t VALUES (1)')
    await db.close()
  }, name)
  assert.ok(first.parts.includes('bg') && first.parts.includes('create'), String(first.parts))
  const second = await watchedPage()
  const rows = await second.page.evaluate(async (name) => {
    const db = await open({ name })
    const rows = await db.query('SELECT x FROM t')
    await db.close()
    return rows
  }, name)
  assert.deepEqual(rows, [{ x: 1 }])
  assert.deepEqual(
    [...new Set(second.parts)].filter((part) => part !== 'operations'),
    ['bg'],
  )
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
