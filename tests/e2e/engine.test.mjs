// Opening, asking, following and closing: what the engine promises in a page.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'
import { inPage } from './in-page.mjs'
import { trapping } from './rigs.mjs'

const context = suite()

test('the sql tag binds, nests, and quotes identifiers', async () => {
  const result = await inPage(context, async (db) => {
    await db.exec('CREATE TABLE "odd ""name" (id INTEGER PRIMARY KEY, n TEXT)')
    const { sql } = window.tidelock
    const table = sql.identifier('odd "name')
    const evil = 'x\'); DROP TABLE "odd ""name"; --'
    await db.sql`INSERT INTO ${table} (id, n) VALUES (${1}, ${evil}), (${2}, ${null})`
    const where = sql`WHERE id = ${1} AND n = ${evil}`
    return {
      rows: await db.sql`SELECT id FROM ${table} ${where} ORDER BY ${sql.raw('id DESC')}`,
      count: await db.sql`SELECT count(*) AS n FROM ${table}`,
    }
  })
  assert.deepEqual(result, { rows: [{ id: 1 }], count: [{ n: 2 }] })
})

test('explain shows the plan', async () => {
  const plan = await inPage(context, async (db) => {
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a); CREATE INDEX ta ON t (a)')
    return db.explain('SELECT * FROM t WHERE a = ?', [1])
  })
  assert.match(plan.map((step) => step.detail).join(' '), /ta/)
})

test('a live query follows its tables, once a commit, and no others', async () => {
  const result = await inPage(context, async (db) => {
    await db.exec('CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)')
    const live = db.live('SELECT count(*) AS n FROM a')
    const seen = []
    const stop = live.subscribe(
      (rows) => seen.push(rows[0].n),
      (error) => seen.push(error.code),
    )
    await window.until(() => seen.length === 1)
    await db.transaction(async (tx) => {
      await tx.run('INSERT INTO a VALUES (1)')
      await tx.run('INSERT INTO a VALUES (2)')
    })
    await window.until(() => seen.length === 2)
    await db.run('INSERT INTO b VALUES (1)')
    await db
      .transaction(async (tx) => {
        await tx.run('INSERT INTO a VALUES (3)')
        throw new Error('back')
      })
      .catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 100))
    const quiet = seen.length
    const rows = live.rows
    stop()
    await db.run('INSERT INTO a VALUES (4)')
    await new Promise((resolve) => setTimeout(resolve, 100))
    const afterStop = [...seen]
    const iterated = []
    const second = db.live('SELECT max(id) AS n FROM a')
    const reading = (async () => {
      for await (const rows of second) {
        iterated.push(rows[0].n)
        if (iterated.length === 2) break
      }
    })()
    await window.until(() => iterated.length === 1)
    await db.run('INSERT INTO a VALUES (50)')
    await reading
    live.close()
    const broken = []
    db.live('SELECT * FROM nowhere').subscribe(
      () => broken.push('rows'),
      (error) => broken.push(error.code),
    )
    await window.until(() => broken.length > 0)
    return { quiet, rows, afterStop, iterated, broken }
  })
  assert.equal(result.quiet, 2)
  assert.deepEqual(result.rows, [{ n: 2 }])
  assert.deepEqual(result.afterStop, [0, 2])
  assert.deepEqual(result.iterated, [4, 50])
  assert.deepEqual(result.broken, ['sqlite_error'])
})

test('export gives the file that SQLite would have', async () => {
  const bytes = await inPage(context, async (db) => {
    await db.exec("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('needle in a file')")
    return [...(await db.export())]
  })
  const file = Buffer.from(bytes)
  assert.equal(file.subarray(0, 16).toString('latin1'), 'SQLite format 3\0')
  assert.equal(file.readUInt16BE(16) * file.readUInt32BE(28), file.length)
  assert.ok(file.includes('needle in a file'))
})

test('errors say what SQLite said, and where', async () => {
  const result = await inPage(context, async (db) => {
    await db.exec(
      'CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p INTEGER REFERENCES p, n INTEGER NOT NULL CHECK (n > 0))',
    )
    const codes = {}
    for (const [name, sql] of Object.entries({
      syntax: 'SELECT name, FROM p',
      unknown: 'SELECT * FROM nowhere',
      column: 'SELECT id, missing FROM p',
      foreign: 'INSERT INTO c VALUES (9, 1)',
      notNull: 'INSERT INTO c VALUES (NULL, NULL)',
      check: 'INSERT INTO c VALUES (NULL, -1)',
      empty: '',
      two: 'SELECT 1; SELECT 2',
    }))
      codes[name] = await window.failure(() => db.query(sql))
    const error = await db.query('SELECT * FROM nowhere').catch((e) => e)
    return {
      codes,
      kind: [
        error instanceof window.tidelock.TidelockError,
        error instanceof Error,
        window.tidelock.isTidelockError(error, 'sqlite_error'),
        window.tidelock.isTidelockError(error, 'closed'),
      ],
    }
  })
  const { codes } = result
  assert.equal(codes.syntax.code, 'sqlite_error')
  assert.equal(codes.syntax.details.sqliteCode, 'SQLITE_ERROR')
  assert.equal(codes.syntax.details.offset, 'SELECT name, '.length)
  assert.match(codes.unknown.message, /nowhere/)
  assert.equal(codes.column.details.offset, 'SELECT id, '.length)
  assert.equal(codes.foreign.details.sqliteCode, 'SQLITE_CONSTRAINT_FOREIGNKEY')
  assert.equal(codes.notNull.details.sqliteCode, 'SQLITE_CONSTRAINT_NOTNULL')
  assert.equal(codes.check.details.sqliteCode, 'SQLITE_CONSTRAINT_CHECK')
  for (const name of ['foreign', 'notNull', 'check']) assert.equal(codes[name].code, 'sqlite_constraint')
  assert.equal(codes.two.code, 'invalid_argument')
  assert.equal(codes.unknown.retryable, false)
  assert.equal(JSON.parse(codes.unknown.json).code, 'sqlite_error')
  assert.deepEqual(result.kind, [true, true, true, false])
})

test('signal and timeoutMs give up waiting and running, and the database goes on', async () => {
  const result = await inPage(context, async (db) => {
    const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n'
    const reason = new Error('changed my mind')
    const aborted = await db
      .query('SELECT 1', [], { signal: AbortSignal.abort(reason) })
      .catch((error) => error === reason)
    const controller = new AbortController()
    let release
    const held = db.transaction(() => new Promise((resolve) => (release = resolve)))
    const waiting = db.query('SELECT 1', [], { signal: controller.signal }).catch((error) => error === reason)
    const late = window.failure(() => db.query('SELECT 1', [], { timeoutMs: 50 }))
    setTimeout(() => controller.abort(reason), 20)
    const waited = await waiting
    const lateCode = (await late).code
    release()
    await held
    const started = performance.now()
    const timeout = await window.failure(() => db.query(endless, [], { timeoutMs: 200 }))
    return {
      aborted,
      waited,
      lateCode,
      timeout: timeout.code,
      retryable: timeout.retryable,
      quick: performance.now() - started < 5000,
      usable: await db.get('SELECT 1 AS one'),
    }
  })
  assert.deepEqual(result, {
    aborted: true,
    waited: true,
    lateCode: 'timeout',
    timeout: 'timeout',
    retryable: true,
    quick: true,
    usable: { one: 1 },
  })
})

test('wrong options are invalid_argument, and importing did nothing', async () => {
  const page = await context.page()
  const result = await page.evaluate(async () => {
    const out = {}
    for (const [label, options] of Object.entries({
      nothing: undefined,
      noName: {},
      empty: { name: '' },
      long: { name: 'x'.repeat(129) },
      control: { name: 'a\nb' },
      number: { name: 5 },
      durability: { name: 'x', durability: 'perhaps' },
      storage: { name: 'x', storage: 'floppy' },
      integers: { name: 'x', integers: 'roman' },
      onBusy: { name: 'x', lock: { onBusy: 'cry' } },
      cloud: { name: 'x', mode: 'cloud' },
      mode: { name: 'x', mode: 'fog' },
      migrations: { name: 'x', migrations: 'none' },
      secret: { name: 'x', remote: { url: 'http://localhost', key: 'sb_secret_abc', tables: ['t'] } },
      snapshots: { name: 'x', snapshots: { intervalMs: -1 } },
    }))
      out[label] = (await window.failure(() => window.tidelock.open(options))).code
    return {
      out,
      databases: (await indexedDB.databases()).map((entry) => entry.name),
      locks: (await navigator.locks.query()).held.length,
    }
  })
  for (const [label, code] of Object.entries(result.out)) assert.equal(code, 'invalid_argument', label)
  assert.ok(!result.databases.includes('tidelock/x'))
  assert.equal(result.locks, 0)
  await page.close()
})

test('a storage that a page does not have is refused', async () => {
  const page = await context.page()
  const result = await page.evaluate(
    async (name) => (await window.failure(() => window.open({ name, storage: 'file' }))).code,
    freshName(),
  )
  assert.equal(result, 'storage_unavailable')
  await page.close()
})

test('maxBytes stops what would be larger, and the database goes on', async () => {
  const result = await inPage(
    context,
    async (db) => {
      await db.exec('CREATE TABLE t (b BLOB); INSERT INTO t VALUES (randomblob(1000))')
      const failed = await window.failure(() => db.run('INSERT INTO t VALUES (randomblob(3000000))'))
      await db.run('INSERT INTO t VALUES (randomblob(1000))')
      return {
        code: failed.code,
        rows: await db.get('SELECT count(*) AS n FROM t'),
        integrity: await db.query('PRAGMA integrity_check'),
      }
    },
    { options: { maxBytes: 1_000_000 } },
  )
  assert.deepEqual(result, { code: 'database_too_large', rows: { n: 2 }, integrity: [{ integrity_check: 'ok' }] })
})

test('close is final, idempotent, and lets the name be opened again', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const db = await window.open({ name })
    await db.exec('CREATE TABLE t (id); INSERT INTO t VALUES (1)')
    const writing = db.run('INSERT INTO t VALUES (2)')
    const closing = [db.close(), db.close()]
    await writing
    await Promise.all(closing)
    const after = []
    for (const call of [
      () => db.query('SELECT 1'),
      () => db.run('SELECT 1'),
      () => db.transaction(() => 1),
      () => db.snapshots.list(),
      () => db.export(),
      () => db.migrations.status(),
    ])
      after.push((await window.failure(call)).code)
    const health = await db.health()
    const again = await window.open({ name })
    const rows = await again.query('SELECT id FROM t')
    await again[Symbol.asyncDispose]()
    return { after, closed: db.closed, health: health.status, rows, againClosed: again.closed }
  }, freshName())
  assert.deepEqual(result, {
    after: Array(6).fill('closed'),
    closed: true,
    health: 'failed',
    rows: [{ id: 1 }, { id: 2 }],
    againClosed: true,
  })
  await page.close()
})

test('databases in memory share neither lock nor data', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const [a, b] = await Promise.all([
      window.open({ name, storage: 'memory' }),
      window.open({ name, storage: 'memory' }),
    ])
    await a.exec('CREATE TABLE only_in_a (x)')
    const tables = await b.query('SELECT name FROM sqlite_schema')
    await a.close()
    await b.close()
    return tables
  }, freshName())
  assert.deepEqual(
    result.filter((row) => row.name === 'only_in_a'),
    [],
  )
  await page.close()
})

test('a trap in one database closes that one, and leaves the other alone', async () => {
  const page = await context.page()
  const result = await page.evaluate(
    async (names) => {
      await window.rigEngine(names[2])
      const other = await window.open({ name: names[1] })
      await window.inEngine(() => globalThis.doomNext())
      const doomed = await window.open({ name: names[0] })
      for (const db of [doomed, other]) await db.exec("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('here')")
      await window.inEngine(() => globalThis.arm())
      const trapped = await window.failure(() => doomed.query('SELECT * FROM t'))
      const after = await window.failure(() => doomed.query('SELECT 1'))
      const health = await doomed.health()
      const fine = await other.query('SELECT s FROM t')
      await other.run("INSERT INTO t VALUES ('still')")
      const again = await window.until(() => window.open({ name: names[0] }).catch(() => undefined))
      const kept = await again.query('SELECT s FROM t')
      await again.close()
      await other.close()
      return { trapped: trapped.code, after: after.code, closed: doomed.closed, health: health.status, fine, kept }
    },
    [freshName(), freshName(), trapping.toString()],
  )
  assert.equal(result.trapped, 'internal')
  assert.ok(['internal', 'closed'].includes(result.after), result.after)
  assert.deepEqual(
    { closed: result.closed, health: result.health, fine: result.fine, kept: result.kept },
    { closed: true, health: 'failed', fine: [{ s: 'here' }], kept: [{ s: 'here' }] },
  )
  await page.close()
})
