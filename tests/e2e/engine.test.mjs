// Values, statements, transactions, errors: what the engine promises in a page.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freshName, suite } from './harness.mjs'

const context = suite()

/** Runs `work(db, argument)` in a fresh tab on a fresh database in memory, unless the options say otherwise. */
async function inPage(work, { options = {}, argument } = {}) {
  const page = await context.page()
  try {
    return await page.evaluate(
      async ([source, given, value]) => {
        const db = await window.open({ storage: 'memory', ...given })
        try {
          return await new Function(`return (${source})`)()(db, value)
        } finally {
          await db.close()
        }
      },
      [work.toString(), { name: freshName(), ...options }, argument],
    )
  } finally {
    await page.close()
  }
}

test('values come back as they went in', async () => {
  const result = await inPage(async (db) => {
    await db.run('CREATE TABLE v (k INTEGER PRIMARY KEY, a)')
    const values = [
      null, true, false, 0, 1, -1, 1.5, -1e300, 5e-324, 2 ** 53 - 1, -(2 ** 53 - 1), 2 ** 53, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n), 7n,
      '', 'text', 'a\0b', '\uFEFFwith a BOM', 'Zoë 🌿 東京 👩‍👩‍👧', new Uint8Array([0, 1, 255]), new Uint8Array(0), new Uint8Array([9, 8]).buffer,
      new Date('2026-02-03T04:05:06.789Z'),
    ]
    await db.runMany('INSERT INTO v (a) VALUES (?)', values.map((value) => [value]))
    const rows = await db.query('SELECT a, typeof(a) AS t FROM v ORDER BY k')
    const again = []
    for (let i = 0; i < values.length; i++) again.push((await db.get('SELECT ? AS a', [values[i]])).a)
    const plain = (value) => (value instanceof Uint8Array ? ['blob', ...value] : typeof value === 'bigint' ? `${value}n` : value)
    return { rows: rows.map((row) => [plain(row.a), row.t]), again: again.map(plain) }
  })
  const expected = [
    [null, 'null'], [1, 'integer'], [0, 'integer'], [0, 'integer'], [1, 'integer'], [-1, 'integer'], [1.5, 'real'], [-1e300, 'real'], [5e-324, 'real'],
    [2 ** 53 - 1, 'integer'], [-(2 ** 53 - 1), 'integer'], [2 ** 53, 'real'], ['9007199254740992n', 'integer'],
    ['9223372036854775807n', 'integer'], ['-9223372036854775808n', 'integer'], [7, 'integer'],
    ['', 'text'], ['text', 'text'], ['a\0b', 'text'], ['\uFEFFwith a BOM', 'text'], ['Zoë 🌿 東京 👩‍👩‍👧', 'text'],
    [['blob', 0, 1, 255], 'blob'], [['blob'], 'blob'], [['blob', 9, 8], 'blob'], ['2026-02-03T04:05:06.789Z', 'text'],
  ]
  assert.deepEqual(result.rows, expected)
  assert.deepEqual(result.again, expected.map(([value]) => value))
})

test('values that SQLite has no place for are refused by name, and never shown', async () => {
  const result = await inPage(async (db) => {
    const out = []
    for (const bad of [NaN, Infinity, -Infinity, undefined, {}, [], () => 0, Symbol('s'), 2n ** 63n, -(2n ** 63n) - 1n, new Date(NaN), /x/, new Map()]) {
      out.push(await window.failure(() => db.query('SELECT ?, ?', [1, bad])))
      out.push(await window.failure(() => db.query('SELECT :fine, :wrong', { fine: 1, wrong: bad })))
    }
    await db.exec('CREATE TABLE secrets (s TEXT UNIQUE)')
    await db.run('INSERT INTO secrets VALUES (?)', ['hunter2-4711'])
    out.push(await window.failure(() => db.run('INSERT INTO secrets VALUES (?)', ['hunter2-4711'])))
    return out
  })
  const constraint = result.pop()
  for (const [index, failed] of result.entries()) {
    assert.equal(failed.code, 'invalid_argument', `refusal ${index}: ${JSON.stringify(failed)}`)
    assert.match(failed.message, index % 2 ? /wrong/ : /2/, 'names the parameter')
  }
  assert.equal(constraint.code, 'sqlite_constraint')
  assert.equal(constraint.details.sqliteCode, 'SQLITE_CONSTRAINT_UNIQUE')
  assert.ok(!constraint.json.includes('4711') && !constraint.message.includes('4711'), constraint.json)
})

test('parameters: positional, named by each prefix, none missing, none unknown', async () => {
  const result = await inPage(async (db) => ({
    positional: await db.get('SELECT ? + ? AS n', [40, 2]),
    named: await db.get('SELECT :a || @b || $c AS t', { a: 'x', b: 'y', c: 'z' }),
    repeated: await db.get('SELECT :a + :a AS n', { a: 21 }),
    tooFew: await window.failure(() => db.query('SELECT ?, ?', [1])),
    tooMany: await window.failure(() => db.query('SELECT ?', [1, 2])),
    none: await window.failure(() => db.query('SELECT ?')),
    missing: await window.failure(() => db.query('SELECT :a, :b', { a: 1 })),
    unknown: await window.failure(() => db.query('SELECT :a', { a: 1, b: 2 })),
    inMany: await window.failure(() => db.runMany('SELECT ?, ?', [[1, 2], [3]])),
  }))
  assert.deepEqual(result.positional, { n: 42 })
  assert.deepEqual(result.named, { t: 'xyz' })
  assert.deepEqual(result.repeated, { n: 42 })
  for (const name of ['tooFew', 'tooMany', 'none', 'missing', 'unknown', 'inMany']) assert.equal(result[name].code, 'invalid_argument', name)
  assert.match(result.missing.message, /b/)
  assert.match(result.unknown.message, /b/)
})

test('integers: auto, bigint and number', async () => {
  const work = async (db) => {
    await db.exec('CREATE TABLE n (i INTEGER); INSERT INTO n VALUES (5), (9007199254740991)')
    const small = await db.query('SELECT i FROM n')
    const big = await window.failure(async () => (await db.get('SELECT 9007199254740993 AS i')).i)
    return { small: small.map((row) => [typeof row.i, String(row.i)]), big: big.resolved === undefined ? big.code : [typeof big.resolved, String(big.resolved)] }
  }
  assert.deepEqual(await inPage(work), { small: [['number', '5'], ['number', '9007199254740991']], big: ['bigint', '9007199254740993'] })
  assert.deepEqual(await inPage(work, { options: { integers: 'bigint' } }), {
    small: [['bigint', '5'], ['bigint', '9007199254740991']],
    big: ['bigint', '9007199254740993'],
  })
  assert.deepEqual(await inPage(work, { options: { integers: 'number' } }), { small: [['number', '5'], ['number', '9007199254740991']], big: 'integer_out_of_range' })
})

test('query, get, run, runMany: shapes of what they give', async () => {
  const result = await inPage(async (db) => {
    await db.run('CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)')
    const inserted = await db.run('INSERT INTO t (name) VALUES (?)', ['a'])
    const many = await db.runMany('INSERT INTO t (id, name) VALUES (:id, :name)', [{ id: 10, name: 'b' }, { id: 9007199254740993n, name: 'c' }])
    const updated = await db.run("UPDATE t SET name = name || '!'")
    const rows = await db.query('SELECT * FROM t ORDER BY id')
    return {
      inserted, many, updated, rows,
      arrays: await db.query('SELECT id, id, name FROM t WHERE id = 10', [], { rowMode: 'array' }),
      none: await db.get('SELECT 1 WHERE 0'),
      empty: await db.query('SELECT 1 WHERE 0'),
      returning: await db.query("DELETE FROM t WHERE id = 10 RETURNING name"),
      plain: Object.getPrototypeOf(rows[0]) === Object.prototype,
    }
  })
  assert.equal(Number(result.inserted.changes), 1)
  assert.equal(Number(result.inserted.lastInsertRowid), 1)
  assert.equal(Number(result.many.changes), 2)
  assert.equal(Number(result.updated.changes), 3)
  assert.deepEqual(result.rows, [{ id: 1, name: 'a!' }, { id: 10, name: 'b!' }, { id: 9007199254740993n, name: 'c!' }])
  assert.deepEqual(result.arrays, [[10, 10, 'b!']])
  assert.equal(result.none, undefined)
  assert.deepEqual(result.empty, [])
  assert.deepEqual(result.returning, [{ name: 'b!' }])
  assert.ok(result.plain)
})

test('runMany and batch are one transaction each', async () => {
  const result = await inPage(async (db) => {
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY)')
    const many = await window.failure(() => db.runMany('INSERT INTO t VALUES (?)', [[1], [2], [1]]))
    const afterMany = await db.get('SELECT count(*) AS n FROM t')
    const batch = await db.batch([{ sql: 'INSERT INTO t VALUES (?)', params: [7] }, { sql: 'SELECT * FROM t' }, { sql: 'SELECT :a AS a', params: { a: 'x' } }])
    const failed = await window.failure(() => db.batch([{ sql: 'INSERT INTO t VALUES (8)' }, { sql: 'INSERT INTO t VALUES (7)' }]))
    return { many, afterMany, batch, failed, left: await db.query('SELECT * FROM t') }
  })
  assert.equal(result.many.code, 'sqlite_constraint')
  assert.equal(result.many.details.sqliteCode, 'SQLITE_CONSTRAINT_PRIMARYKEY')
  assert.deepEqual(result.afterMany, { n: 0 })
  assert.deepEqual(result.batch, [[], [{ id: 7 }], [{ a: 'x' }]])
  assert.equal(result.failed.code, 'sqlite_constraint')
  assert.deepEqual(result.left, [{ id: 7 }])
})

test('a transaction commits on return, rolls back on throw, and passes the error through', async () => {
  const result = await inPage(async (db) => {
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY)')
    const returned = await db.transaction(async (tx) => {
      await tx.run('INSERT INTO t VALUES (1)')
      await tx.runMany('INSERT INTO t VALUES (?)', [[2], [3]])
      return (await tx.query('SELECT count(*) AS n FROM t'))[0].n
    })
    const mine = new RangeError('mine')
    let same = false
    await db.transaction(async (tx) => {
      await tx.run('INSERT INTO t VALUES (4)')
      throw mine
    }).catch((error) => (same = error === mine))
    const sql = await window.failure(db.transaction(async (tx) => {
      await tx.run('INSERT INTO t VALUES (5)')
      await tx.run('INSERT INTO t VALUES (1)')
    }))
    const caughtInside = await db.transaction(async (tx) => {
      await tx.run('INSERT INTO t VALUES (6)')
      await tx.run('INSERT INTO t VALUES (1)').catch(() => {})
      return 'went on'
    })
    return { returned, same, sql: sql.code, caughtInside, rows: (await db.query('SELECT id FROM t ORDER BY id')).map((row) => row.id) }
  })
  assert.deepEqual(result, { returned: 3, same: true, sql: 'sqlite_constraint', caughtInside: 'went on', rows: [1, 2, 3, 6] })
})

test('nested transactions are savepoints; calls outside wait; a transaction that ended is closed', async () => {
  const result = await inPage(async (db) => {
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY)')
    const order = []
    let kept
    const outer = db.transaction(async (tx) => {
      kept = tx
      await tx.run('INSERT INTO t VALUES (1)')
      const outside = db.query('SELECT count(*) AS n FROM t').then(([row]) => order.push(`outside saw ${row.n}`))
      await tx.transaction(async (inner) => {
        await inner.run('INSERT INTO t VALUES (2)')
        await inner.transaction(async (deepest) => {
          await deepest.run('INSERT INTO t VALUES (3)')
          throw new Error('back')
        }).catch(() => {})
      })
      await tx.transaction(async (inner) => {
        await inner.run('INSERT INTO t VALUES (4)')
        throw new Error('back')
      }).catch(() => {})
      await new Promise((resolve) => setTimeout(resolve, 50))
      order.push(`inside saw ${(await tx.get('SELECT count(*) AS n FROM t')).n}`)
      return { outside }
    })
    await (await outer).outside
    return { order, closed: await window.failure(() => kept.run('INSERT INTO t VALUES (9)')), rows: await db.query('SELECT id FROM t ORDER BY id') }
  })
  assert.deepEqual(result.order, ['inside saw 2', 'outside saw 2'])
  assert.equal(result.closed.code, 'transaction_closed')
  assert.deepEqual(result.rows, [{ id: 1 }, { id: 2 }])
})

test('calls take their turn in the order in which they were made', async () => {
  const result = await inPage(async (db) => {
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)')
    const done = []
    await Promise.all(Array.from({ length: 100 }, (_, i) => db.run('INSERT INTO t (n) VALUES (?)', [i]).then(() => done.push(i))))
    const rows = await db.query('SELECT n FROM t ORDER BY id')
    return { done, rows: rows.map((row) => row.n) }
  })
  const expected = Array.from({ length: 100 }, (_, i) => i)
  assert.deepEqual(result, { done: expected, rows: expected })
})

test('exec runs a script whole or not at all, or as its own BEGIN and COMMIT say', async () => {
  const result = await inPage(async (db) => {
    await db.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT); INSERT INTO t VALUES (1, 'a;b'); -- a comment; with a semicolon\n INSERT INTO t VALUES (2, '')")
    const failed = await window.failure(() => db.exec('INSERT INTO t VALUES (3, NULL); INSERT INTO nowhere VALUES (1)'))
    await db.exec("BEGIN; INSERT INTO t VALUES (4, 'x'); COMMIT; BEGIN; INSERT INTO t VALUES (5, 'y'); ROLLBACK")
    const open = await window.failure(() => db.exec('BEGIN; INSERT INTO t VALUES (6, NULL)'))
    await db.exec('CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET s = NEW.id; SELECT 1; END; INSERT INTO t VALUES (7, NULL)')
    await db.exec('VACUUM')
    await db.exec('')
    return { failed: failed.code, open: open.code, rows: await db.query('SELECT id FROM t ORDER BY id'), usable: await db.get('SELECT 1 AS one') }
  })
  assert.equal(result.failed, 'sqlite_error')
  assert.equal(result.open, 'invalid_argument')
  assert.deepEqual(result.rows.map((row) => row.id), [1, 2, 4, 7])
  assert.deepEqual(result.usable, { one: 1 })
})

test('statements that would go behind the engine’s back are refused with a hint', async () => {
  const refused = [
    'BEGIN', 'COMMIT', 'ROLLBACK', 'END', 'SAVEPOINT s', 'RELEASE s', "ATTACH ':memory:' AS other", 'PRAGMA journal_mode = WAL', 'PRAGMA locking_mode = NORMAL',
    'PRAGMA synchronous = 2', 'PRAGMA cache_spill = 1', 'PRAGMA page_size = 1024', 'PRAGMA writable_schema = 1', 'PRAGMA main.journal_mode=delete',
    '/* hidden */ BEGIN IMMEDIATE', 'pragma JOURNAL_MODE(off)',
  ]
  const result = await inPage(
    async (db, statements) => {
      const refusals = []
      for (const sql of statements) refusals.push([sql, await window.failure(() => db.query(sql))])
      const inTransaction = await window.failure(db.transaction((tx) => tx.query('PRAGMA foreign_keys = off')))
      return {
        refusals, inTransaction,
        reads: [await db.query('PRAGMA foreign_keys'), await db.query('PRAGMA recursive_triggers'), await db.query('PRAGMA integrity_check')],
        allowed: [await db.query('PRAGMA user_version = 7'), await db.query('PRAGMA user_version')],
      }
    },
    { argument: refused },
  )
  for (const [sql, failed] of [...result.refusals, ['foreign_keys in a transaction', result.inTransaction]]) {
    assert.equal(failed.code, 'invalid_argument', sql)
    assert.ok(failed.hint, `a hint for ${sql}`)
  }
  assert.deepEqual(result.reads, [[{ foreign_keys: 1 }], [{ recursive_triggers: 1 }], [{ integrity_check: 'ok' }]])
  assert.deepEqual(result.allowed[1], [{ user_version: 7 }])
})

test('the sql tag binds, nests, and quotes identifiers', async () => {
  const result = await inPage(async (db) => {
    await db.exec('CREATE TABLE "odd ""name" (id INTEGER PRIMARY KEY, n TEXT)')
    const { sql } = window.tidelock
    const table = sql.identifier('odd "name')
    const evil = "x'); DROP TABLE \"odd \"\"name\"; --"
    await db.sql`INSERT INTO ${table} (id, n) VALUES (${1}, ${evil}), (${2}, ${null})`
    const where = sql`WHERE id = ${1} AND n = ${evil}`
    return { rows: await db.sql`SELECT id FROM ${table} ${where} ORDER BY ${sql.raw('id DESC')}`, count: await db.sql`SELECT count(*) AS n FROM ${table}` }
  })
  assert.deepEqual(result, { rows: [{ id: 1 }], count: [{ n: 2 }] })
})

test('explain shows the plan', async () => {
  const plan = await inPage(async (db) => {
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a); CREATE INDEX ta ON t (a)')
    return db.explain('SELECT * FROM t WHERE a = ?', [1])
  })
  assert.match(plan.map((step) => step.detail).join(' '), /ta/)
})

test('a live query follows its tables, once a commit, and no others', async () => {
  const result = await inPage(async (db) => {
    await db.exec('CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (id INTEGER PRIMARY KEY)')
    const live = db.live('SELECT count(*) AS n FROM a')
    const seen = []
    const stop = live.subscribe((rows) => seen.push(rows[0].n), (error) => seen.push(error.code))
    await window.until(() => seen.length === 1)
    await db.transaction(async (tx) => {
      await tx.run('INSERT INTO a VALUES (1)')
      await tx.run('INSERT INTO a VALUES (2)')
    })
    await window.until(() => seen.length === 2)
    await db.run('INSERT INTO b VALUES (1)')
    await db.transaction(async (tx) => {
      await tx.run('INSERT INTO a VALUES (3)')
      throw new Error('back')
    }).catch(() => {})
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
    db.live('SELECT * FROM nowhere').subscribe(() => broken.push('rows'), (error) => broken.push(error.code))
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
  const bytes = await inPage(async (db) => {
    await db.exec("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('needle in a file')")
    return [...(await db.export())]
  })
  const file = Buffer.from(bytes)
  assert.equal(file.subarray(0, 16).toString('latin1'), 'SQLite format 3\0')
  assert.equal(file.readUInt16BE(16) * file.readUInt32BE(28), file.length)
  assert.ok(file.includes('needle in a file'))
})

test('errors say what SQLite said, and where', async () => {
  const result = await inPage(async (db) => {
    await db.exec('CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p INTEGER REFERENCES p, n INTEGER NOT NULL CHECK (n > 0))')
    const codes = {}
    for (const [name, sql] of Object.entries({
      syntax: 'SELECT name, FROM p', unknown: 'SELECT * FROM nowhere', column: 'SELECT id, missing FROM p', foreign: 'INSERT INTO c VALUES (9, 1)',
      notNull: 'INSERT INTO c VALUES (NULL, NULL)', check: 'INSERT INTO c VALUES (NULL, -1)', empty: '', two: 'SELECT 1; SELECT 2',
    })) codes[name] = await window.failure(() => db.query(sql))
    const error = await db.query('SELECT * FROM nowhere').catch((e) => e)
    return { codes, kind: [error instanceof window.tidelock.TidelockError, error instanceof Error, window.tidelock.isTidelockError(error, 'sqlite_error'), window.tidelock.isTidelockError(error, 'closed')] }
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
  const result = await inPage(async (db) => {
    const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n'
    const reason = new Error('changed my mind')
    const aborted = await db.query('SELECT 1', [], { signal: AbortSignal.abort(reason) }).catch((error) => error === reason)
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
    return { aborted, waited, lateCode, timeout: timeout.code, retryable: timeout.retryable, quick: performance.now() - started < 5000, usable: await db.get('SELECT 1 AS one') }
  })
  assert.deepEqual(result, { aborted: true, waited: true, lateCode: 'timeout', timeout: 'timeout', retryable: true, quick: true, usable: { one: 1 } })
})

test('wrong options are invalid_argument, and importing did nothing', async () => {
  const page = await context.page()
  const result = await page.evaluate(async () => {
    const out = {}
    for (const [label, options] of Object.entries({
      nothing: undefined, noName: {}, empty: { name: '' }, long: { name: 'x'.repeat(129) }, control: { name: 'a\nb' }, number: { name: 5 },
      durability: { name: 'x', durability: 'perhaps' }, storage: { name: 'x', storage: 'floppy' }, integers: { name: 'x', integers: 'roman' },
      onBusy: { name: 'x', lock: { onBusy: 'cry' } }, cloud: { name: 'x', mode: 'cloud' }, mode: { name: 'x', mode: 'fog' }, migrations: { name: 'x', migrations: 'none' },
      secret: { name: 'x', remote: { url: 'http://localhost', key: 'sb_secret_abc', tables: ['t'] } }, snapshots: { name: 'x', snapshots: { intervalMs: -1 } },
    })) out[label] = (await window.failure(() => window.tidelock.open(options))).code
    return { out, databases: (await indexedDB.databases()).map((entry) => entry.name), locks: (await navigator.locks.query()).held.length }
  })
  for (const [label, code] of Object.entries(result.out)) assert.equal(code, 'invalid_argument', label)
  assert.ok(!result.databases.includes('tidelock/x'))
  assert.equal(result.locks, 0)
  await page.close()
})

test('what this build does not have yet says so', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const out = {}
    for (const [label, options] of Object.entries({
      shared: { tabs: 'shared' }, worker: { thread: 'worker' }, encryption: { encryption: { passphrase: 'x' } }, functions: { functions: { scalar: {} } }, audit: { audit: ['t'] },
      expires: { expires: { t: 'at' } }, seed: { seed: 'x.sqlite' }, deferred: { durability: 'deferred' }, snapshot: { durability: 'snapshot' },
      takeover: { lock: { onBusy: 'takeover' } }, steal: { lock: { onBusy: 'steal' } }, cron: { snapshots: { cron: '0 * * * *' } },
    })) out[label] = (await window.failure(() => window.open({ name, ...options }))).code
    out.file = (await window.failure(() => window.open({ name, storage: 'file' }))).code
    const db = await window.open({ name, storage: 'memory' })
    for (const [label, call] of Object.entries({
      import: () => db.import(new Uint8Array(0)), rekey: () => db.rekey({ passphrase: 'x' }), maintain: () => db.maintain(), push: () => db.sync.push(), drift: () => db.migrations.drift(),
    })) out[label] = (await window.failure(call)).code
    await db.close()
    return out
  }, freshName())
  const { file, ...rest } = result
  assert.ok(['storage_unavailable', 'unsupported_environment'].includes(file), file)
  for (const [label, code] of Object.entries(rest)) assert.equal(code, 'unsupported_environment', label)
  await page.close()
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
    for (const call of [() => db.query('SELECT 1'), () => db.run('SELECT 1'), () => db.transaction(() => 1), () => db.snapshots.list(), () => db.export(), () => db.migrations.status()]) after.push((await window.failure(call)).code)
    const health = await db.health()
    const again = await window.open({ name })
    const rows = await again.query('SELECT id FROM t')
    await again[Symbol.asyncDispose]()
    return { after, closed: db.closed, health: health.status, rows, againClosed: again.closed }
  }, freshName())
  assert.deepEqual(result, { after: Array(6).fill('closed'), closed: true, health: 'failed', rows: [{ id: 1 }, { id: 2 }], againClosed: true })
  await page.close()
})

test('databases in memory share neither lock nor data', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const [a, b] = await Promise.all([window.open({ name, storage: 'memory' }), window.open({ name, storage: 'memory' })])
    await a.exec('CREATE TABLE only_in_a (x)')
    const tables = await b.query('SELECT name FROM sqlite_schema')
    await a.close()
    await b.close()
    return tables
  }, freshName())
  assert.deepEqual(result.filter((row) => row.name === 'only_in_a'), [])
  await page.close()
})

test('a trap in one database closes that one, and leaves the other alone', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (names) => {
    const memories = []
    const remember = (instance) => memories.push(Object.values(instance.exports).find((value) => value instanceof WebAssembly.Memory))
    const { instantiate, instantiateStreaming } = WebAssembly
    WebAssembly.instantiate = async (...rest) => {
      const made = await instantiate.apply(WebAssembly, rest)
      remember(made.instance ?? made)
      return made
    }
    WebAssembly.instantiateStreaming = async (...rest) => {
      const made = await instantiateStreaming.apply(WebAssembly, rest)
      remember(made.instance)
      return made
    }
    const doomed = await window.open({ name: names[0] })
    const other = await window.open({ name: names[1] })
    for (const db of [doomed, other]) await db.exec("CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('here')")
    new Uint8Array(memories[0].buffer).fill(0xff) // nothing in it makes sense any more
    const trapped = await window.failure(() => doomed.query('SELECT * FROM t'))
    const after = await window.failure(() => doomed.query('SELECT 1'))
    const health = await doomed.health()
    const fine = await other.query('SELECT s FROM t')
    await other.run("INSERT INTO t VALUES ('still')")
    const again = await window.until(() => window.open({ name: names[0] }).catch(() => undefined))
    const kept = await again.query('SELECT s FROM t')
    await again.close()
    await other.close()
    return { memories: memories.length, trapped: trapped.code, after: after.code, closed: doomed.closed, health: health.status, fine, kept }
  }, [freshName(), freshName()])
  assert.equal(result.trapped, 'internal')
  assert.ok(['internal', 'closed'].includes(result.after), result.after)
  assert.deepEqual(
    { closed: result.closed, health: result.health, fine: result.fine, kept: result.kept },
    { closed: true, health: 'failed', fine: [{ s: 'here' }], kept: [{ s: 'here' }] },
  )
  await page.close()
})

test('large results are whole and in order', async () => {
  const result = await inPage(async (db) => {
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT, r REAL, b BLOB, big INTEGER)')
    const rows = Array.from({ length: 20_000 }, (_, i) => [i, `row ${i} ✓ ${'é'.repeat(i % 50)}`, i / 3, i % 7 ? null : new Uint8Array([i & 255, i >> 8]), 2n ** 60n + BigInt(i)])
    const inserted = await db.runMany('INSERT INTO t VALUES (?, ?, ?, ?, ?)', rows)
    const back = await db.query('SELECT * FROM t ORDER BY id')
    const wrong = back.findIndex((row, i) => row.id !== i || row.s !== rows[i][1] || row.r !== rows[i][2] || String(row.b) !== String(rows[i][3]) || row.big !== rows[i][4])
    return { inserted: Number(inserted.changes), length: back.length, wrong, text: (await db.get("SELECT length(printf('%.*c', 3000000, 'x')) AS n")).n }
  })
  assert.deepEqual(result, { inserted: 20_000, length: 20_000, wrong: -1, text: 3_000_000 })
})
