// Opening, errors, cancelling and closing.
import assert from 'node:assert/strict'

/**
 * For `rigEngine`: wasm that is instantiated meanwhile traps at every import after `trap()` was called; or, with `wrong`, its imports return
 * numbers that are wrong by one, from the beginning.
 */
function trapping(wrong = false) {
  const code = [
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 116, 0, 0, 10, 5, 1, 3, 0, 0, 11,
  ]
  const { t: unreachable } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(code))).exports
  let armed = wrong
  globalThis.trap = () => {
    armed = true
  }
  const off = (told) => (typeof told === 'number' ? told + 1 : told)
  const armedCall = (each, given) => (wrong ? off(each(...given)) : unreachable())
  const mined = (each) =>
    typeof each === 'function' ? (...given) => (armed ? armedCall(each, given) : each(...given)) : each
  // By name, as WebAssembly reads them: not every import object lists its properties.
  const group = (imports) => new Proxy({}, { get: (_, name) => mined(imports[name]) })
  const { instantiate } = WebAssembly
  WebAssembly.instantiate = (source, imports) =>
    instantiate(source, Object.fromEntries(Object.entries(imports).map(([name, each]) => [name, group(each)])))
  return () => {
    WebAssembly.instantiate = instantiate
  }
}

export default {
  'export returns the file that SQLite would write': async ({ memory }) => {
    const db = await memory()
    await db.exec("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('needle in a file')")
    const file = await db.export()
    const text = String.fromCharCode(...file)
    assert.equal(text.slice(0, 16), 'SQLite format 3\0')
    const header = new DataView(file.buffer, file.byteOffset)
    assert.equal(header.getUint16(16) * header.getUint32(28), file.length)
    assert.ok(text.includes('needle in a file'))
  },

  'errors have the message of SQLite, and the position': async ({ memory, failure, tidelock }) => {
    const db = await memory()
    await db.exec(
      'CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p INTEGER REFERENCES p, n INTEGER NOT NULL CHECK (n > 0))',
    )
    for (const [sql, code, sqliteCode, offset] of [
      ['SELECT name, FROM p', 'sqlite_error', 'SQLITE_ERROR', 13],
      ['SELECT id, missing FROM p', 'sqlite_error', 'SQLITE_ERROR', 11],
      ['INSERT INTO c VALUES (9, 1)', 'sqlite_constraint', 'SQLITE_CONSTRAINT_FOREIGNKEY'],
      ['INSERT INTO c VALUES (NULL, NULL)', 'sqlite_constraint', 'SQLITE_CONSTRAINT_NOTNULL'],
      ['INSERT INTO c VALUES (NULL, -1)', 'sqlite_constraint', 'SQLITE_CONSTRAINT_CHECK'],
      ['SELECT 1; SELECT 2', 'invalid_argument', undefined, 9],
      ['', 'invalid_argument'],
    ]) {
      const failed = await failure(db.query(sql))
      assert.deepEqual([failed.code, failed.details?.sqliteCode, failed.details?.offset], [code, sqliteCode, offset])
    }
    const error = await db.query('SELECT * FROM nowhere').catch((thrown) => thrown)
    assert.ok(error instanceof Error && error instanceof tidelock.TidelockError)
    assert.match(error.message, /nowhere/)
    assert.ok(tidelock.isTidelockError(error, 'sqlite_error') && !tidelock.isTidelockError(error, 'closed'))
  },

  'signal and timeoutMs cancel waiting and running calls, and the database stays usable': async ({
    memory,
    failure,
  }) => {
    const db = await memory()
    const reason = new Error('changed my mind')
    const cancelled = (signal) => db.query('SELECT 1', [], { signal }).catch((error) => error)
    assert.equal(await cancelled(AbortSignal.abort(reason)), reason)
    const tx = await db.begin()
    const controller = new AbortController()
    const waiting = cancelled(controller.signal)
    assert.equal((await failure(db.query('SELECT 1', [], { timeoutMs: 20 }))).code, 'timeout')
    controller.abort(reason)
    assert.equal(await waiting, reason)
    await tx.rollback()
    const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n'
    const started = Date.now()
    const timeout = await failure(db.query(endless, [], { timeoutMs: 20 }))
    assert.deepEqual([timeout.code, timeout.retryable], ['timeout', true])
    assert.ok(Date.now() - started < 5000)
    assert.deepEqual(await db.get('SELECT 1 AS one'), { one: 1 })
  },

  'a loop that awaits calls lets other tasks run': async ({ host, open, memory }) => {
    const shared = host === 'page' ? [await open({ tabs: 'shared' })] : []
    for (const db of [await memory(), await open({}), ...shared]) {
      await db.exec('CREATE TABLE loops (n)')
      const insert = 'INSERT INTO loops VALUES (1)'
      const ways = {
        query: () => db.query('SELECT 1'),
        get: () => db.get('SELECT 1', [], { timeoutMs: 1000 }),
        run: () => db.run(insert),
        batch: () => db.batch([{ sql: insert }]),
        exec: () => db.exec(insert),
        explain: () => db.explain('SELECT 1'),
        flush: () => db.flush(),
        health: () => db.health(),
        iterate: async () => {
          for await (const _ of db.iterate('SELECT 1'));
        },
        list: () => db.snapshots.list(),
        transaction: () => db.transaction((tx) => tx.run(insert)),
        'calls of one transaction': (stop) =>
          db.transaction(async (tx) => {
            while (!stop()) await tx.get('SELECT 1')
          }),
      }
      for (const [way, call] of Object.entries(ways)) {
        let hasFired = false
        const timer = setTimeout(() => {
          hasFired = true
        }, 20)
        const end = performance.now() + 5000
        const stop = () => hasFired || performance.now() > end
        while (!stop()) await call(stop)
        clearTimeout(timer)
        assert.ok(hasFired, way)
      }
    }
  },

  'a refused opening leaves neither database nor lock': {
    only: ['page', 'worker'],
    because: 'Node has no IndexedDB and no Web Locks, and may have a secret key',
    run: async ({ options, failure, tidelock }) => {
      for (const [wrong, code] of [
        [{ durability: 'perhaps' }, 'invalid_argument'],
        [{ remote: { url: 'http://localhost', key: 'sb_secret_abc', tables: ['t'] } }, 'invalid_argument'],
        [{ storage: 'file' }, 'storage_unavailable'],
      ]) {
        const given = options(wrong)
        assert.equal((await failure(tidelock.open(given))).code, code)
        const lies = (entry) => entry.name === `tidelock/${given.name}`
        assert.ok(!(await indexedDB.databases()).some(lies))
        assert.ok(!(await navigator.locks.query()).held.some(lies))
      }
    },
  },

  'close is final, idempotent, and lets the name be opened again': async ({ open, failure }) => {
    const db = await open()
    await db.exec('CREATE TABLE t (id); INSERT INTO t VALUES (1)')
    const writing = db.run('INSERT INTO t VALUES (2)')
    await Promise.all([db.close(), db.close(), writing])
    assert.equal(db.closed, true)
    for (const call of [
      () => db.query('SELECT 1'),
      () => db.run('SELECT 1'),
      () => db.transaction(() => 1),
      () => db.snapshots.list(),
      () => db.export(),
      () => db.migrations.status(),
    ])
      assert.equal((await failure(call)).code, 'closed')
    assert.equal((await db.health()).status, 'failed')
    const again = await open({ name: db.name })
    assert.deepEqual(await again.query('SELECT id FROM t'), [{ id: 1 }, { id: 2 }])
  },

  'databases in memory share neither lock nor data': async ({ memory, freshName }) => {
    const name = freshName()
    const [a, b] = await Promise.all([memory({ name }), memory({ name })])
    await a.exec('CREATE TABLE only_in_a (x)')
    assert.deepEqual(await b.query("SELECT name FROM sqlite_schema WHERE name = 'only_in_a'"), [])
  },

  'a trap in one database closes that one, and leaves the other alone': async (t) => {
    const other = await t.open()
    const repair = await t.rigEngine(trapping)
    // Without snapshots: their timer would outlive the instance and keep Node running.
    const doomed = await t.open({ snapshots: false })
    await repair()
    for (const db of [doomed, other]) await db.exec("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('here')")
    await t.inEngine(() => globalThis.trap())
    const trap = await t.failure(doomed.query('SELECT * FROM t'))
    assert.deepEqual([trap.code, trap.details], ['internal', {}])
    const after = await t.failure(doomed.query('SELECT 1'))
    assert.ok(['internal', 'closed'].includes(after.code), after.code)
    assert.equal(doomed.closed, true)
    assert.equal((await doomed.health()).status, 'failed')
    assert.deepEqual(await other.query('SELECT s FROM t'), [{ s: 'here' }])
    await other.run("INSERT INTO t VALUES ('still')")
    const again = await t.until(() => t.open({ name: doomed.name }).catch(() => undefined))
    assert.deepEqual(await again.query('SELECT s FROM t'), [{ s: 'here' }])
  },

  'a panic of the engine is reported with its message and file': async (t) => {
    const repair = await t.rigEngine(trapping, true)
    // The engine asserts the length of the bytes that it copies.
    const { code, details, cause, hint } = await t.failure(t.open({ columnKey: new Uint8Array(32) }))
    await repair()
    assert.equal(code, 'internal')
    assert.match(cause, /^RuntimeError/)
    assert.match(details.panic.message, /^assertion/)
    assert.match(details.panic.location, /^[\w.-]+\/src\/[\w/]+\.rs$/)
    assert.match(hint, /report/)
  },
}
