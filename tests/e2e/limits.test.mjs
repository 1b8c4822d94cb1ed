// Too much: more than maxBytes, more than the wasm memory, more than JavaScript holds. Each is a typed error, and the database goes on.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'
import { limitedWasm } from './rigs.mjs'

const context = suite()
const once = { only: 'current', because: 'the memory of an instance is the same in a worker' }

/** In pages of 64 KiB; with TIDELOCK_ALL=1 more than one. */
const memories = process.env.TIDELOCK_ALL ? [711, 1024] : [711]

/** Runs `work(name, argument)` in a fresh tab, in which `limited(mebibytes)` gives the wasm module with that much memory at most. */
async function inPage(work, argument) {
  const page = await context.page()
  try {
    return await page.evaluate(
      async ([source, name, limited, argument]) => {
        window.limited = new Function(`return (${limited})`)()
        return new Function(`return (${source})`)()(name, argument)
      },
      [work.toString(), freshName(), limitedWasm.toString(), argument],
    )
  } finally {
    await page.close()
  }
}

test(
  'statements without memory fail as out_of_memory, in and out of a transaction, and the next one runs',
  once,
  async () => {
    const result = await inPage(async (name) => {
      const scalar = { bytes: (length) => new Uint8Array(length), xs: (length) => 'x'.repeat(length) }
      const db = await window.open({ name, functions: { scalar }, wasm: await window.limited(64) })
      await db.exec('CREATE TABLE t (b)')
      const codes = {}
      for (const [what, work] of Object.entries({
        blob: () => db.run('INSERT INTO t VALUES (zeroblob(200000000))'),
        text: () => db.query('SELECT hex(zeroblob(40000000))'),
        concat: () =>
          db.query(
            'WITH n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 500) SELECT group_concat(hex(zeroblob(100000))) FROM n',
          ),
        rows: () =>
          db.query('WITH n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 20000000) SELECT x, x, x FROM n'),
        parameter: () => db.query('SELECT length(?)', [new Uint8Array(90_000_000)]),
        string: () => db.query('SELECT length(?)', ['x'.repeat(90_000_000)]),
        bytesOfFunction: () => db.query('SELECT length(bytes(90000000))'),
        textOfFunction: () => db.query('SELECT length(xs(90000000))'),
        transaction: () =>
          db.transaction(async (tx) => {
            await tx.run('INSERT INTO t VALUES (1)')
            await tx.run('INSERT INTO t VALUES (zeroblob(200000000))')
          }),
        runMany: () =>
          db.runMany(
            'INSERT INTO t VALUES (?)',
            Array.from({ length: 100 }, () => [new Uint8Array(1_000_000)]),
          ),
        batch: () =>
          db.batch([{ sql: 'INSERT INTO t VALUES (2)' }, { sql: 'INSERT INTO t VALUES (zeroblob(200000000))' }]),
      })) {
        const failure = await window.failure(work)
        codes[what] = failure.code ?? failure
        const { n } = await db.get('SELECT count(*) AS n FROM t')
        if (n !== 0) codes[what] += ` and ${n} rows`
      }
      await db.run('INSERT INTO t VALUES (3)')
      const left = await db.query('SELECT b FROM t')
      const check = await db.query('PRAGMA integrity_check')
      await db.close()
      return { codes, left, check }
    })
    assert.deepEqual(result, {
      codes: Object.fromEntries(
        [
          'blob',
          'text',
          'concat',
          'rows',
          'parameter',
          'string',
          'bytesOfFunction',
          'textOfFunction',
          'transaction',
          'runMany',
          'batch',
        ].map((what) => [what, 'out_of_memory']),
      ),
      left: [{ b: 3 }],
      check: [{ integrity_check: 'ok' }],
    })
  },
)

test(
  'a database that fills its memory is still read, and keeps every acknowledged row for where there is more',
  once,
  async () => {
    const results = await inPage(async (name, sizes) => {
      /** Fills a database whose wasm has `pages` pages of 64 KiB, and opens it again where there is more. */
      const filled = async (name, pages) => {
        const db = await window.open({ name, wasm: await window.limited(pages / 16), snapshots: false })
        await db.exec('CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)')
        const acknowledged = []
        const codes = new Set()
        for (let n = 1; n <= 70; n++) {
          const failure = await window.failure(() => db.run('INSERT INTO t VALUES (?, randomblob(1000000))', [n]))
          if (failure.code === undefined) acknowledged.push(n)
          else codes.add(failure.code)
        }
        const seen = (await db.get('SELECT count(*) AS n FROM t')).n
        const { status } = await db.health()
        await db.close().catch(() => {})
        const roomy = await window.open({ name })
        const kept = await roomy.get(
          'SELECT count(*) AS n, sum(length(b)) AS bytes FROM t WHERE n IN (SELECT value FROM json_each(?))',
          [JSON.stringify(acknowledged)],
        )
        const stored = (await roomy.get('SELECT count(*) AS n FROM t')).n
        const check = await roomy.query('PRAGMA integrity_check')
        await roomy.run("INSERT INTO t VALUES (1000, 'on')")
        await roomy.close()
        return { n: acknowledged.length, codes: [...codes], seen, stored, status, kept, check }
      }
      const results = []
      // Where memory ends depends on each page: compaction may be at any point of its work then.
      for (const pages of sizes) results.push(await filled(`${name}-${pages}`, pages))
      return results
    }, memories)
    for (const result of results) {
      const { n, seen, stored, status } = result
      assert.ok(n >= 10 && n < 70 && seen >= n, JSON.stringify(result))
      assert.deepEqual([result.codes, result.check], [['out_of_memory'], [{ integrity_check: 'ok' }]])
      assert.deepEqual(result.kept, { n, bytes: n * 1_000_000 })
      // Otherwise a commit was seen that there was no memory to store.
      assert.ok(stored === seen || ['failed', 'degraded'].includes(status), JSON.stringify(result))
    }
  },
)

test('files, snapshots and openings that need more memory are refused, and change nothing', once, async () => {
  const result = await inPage(async (name) => {
    const big = await window.open({ name: `${name}-big` })
    await big.exec('CREATE TABLE t (b); INSERT INTO t VALUES (randomblob(20000000))')
    const file = await big.export()
    await big.snapshots.create()
    await big.close()
    const wasm = await window.limited(18)
    const db = await window.open({ name, wasm })
    await db.exec("CREATE TABLE t (s); INSERT INTO t VALUES ('mine')")
    const codes = [
      await window.failure(() => db.import(file)),
      await window.failure(() => db.snapshots.import(file)),
      await window.failure(() => window.open({ name: `${name}-seeded`, wasm, seed: file })),
      await window.failure(() => window.open({ name: `${name}-big`, wasm })),
    ].map((failure) => failure.code ?? failure)
    const rows = await db.query('SELECT s FROM t')
    await db.run("INSERT INTO t VALUES ('more')")
    await db.close()
    const again = await window.open({ name: `${name}-big` })
    const { bytes } = await again.get('SELECT length(b) AS bytes FROM t')
    await again.close()
    return { codes, rows, bytes }
  })
  assert.deepEqual(result, { codes: Array(4).fill('out_of_memory'), rows: [{ s: 'mine' }], bytes: 20_000_000 })
})

test('a database larger than its memory refuses what needs memory for all of its data, and goes on', {
  only: 'worker',
  because: 'on the page’s thread all of a database is in memory',
}, async () => {
  const result = await inPage(async (name) => {
    const options = { name, storage: 'opfs', cacheBytes: 2 ** 21 }
    const parts = Array.from({ length: 6 }, (_, part) => [part * 1000 + 1, part * 1000 + 1000])
    let db = await window.open(options)
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, kind INTEGER, body BLOB); CREATE TABLE copy (body BLOB)')
    for (const part of parts) {
      await db.run(
        `WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?)
          INSERT INTO t SELECT i, i % 97, randomblob(4000) FROM n`,
        part,
      )
    }
    const file = await db.export()
    const { id } = await db.snapshots.create()
    for (const part of parts) await db.run('UPDATE t SET body = randomblob(4000) WHERE id BETWEEN ? AND ?', part)
    await db.close()
    db = await window.open({ ...options, wasm: await window.limited(24) })
    const state = () =>
      db.get('SELECT count(*) AS n, sum(length(body)) AS bytes, sum(kind) AS kinds, hex(max(body)) AS last FROM t')
    const before = JSON.stringify(await state())
    const found = {}
    for (const [what, work] of Object.entries({
      scan: () => db.get("SELECT count(*) FROM t WHERE substr(body, 1, 1) = x'00'"),
      maintain: () => db.maintain(),
      snapshot: () => db.snapshots.create(),
      verify: () => db.snapshots.verify(id),
      export: () => db.export(),
      exportSnapshot: () => db.snapshots.export(id),
      exportSql: () => db.export({ format: 'sql' }),
      query: () => db.query('SELECT * FROM t'),
      iterate: () => db.iterate('SELECT * FROM t')[Symbol.asyncIterator]().next(),
      update: () => db.run('UPDATE t SET body = randomblob(4000)'),
      insert: () => db.run('INSERT INTO copy SELECT body FROM t'),
      transaction: () =>
        db.transaction(async (tx) => {
          for (const part of parts) await tx.run('INSERT INTO copy SELECT body FROM t WHERE id BETWEEN ? AND ?', part)
        }),
      sort: () => db.get('SELECT count(*) FROM (SELECT body FROM t ORDER BY body LIMIT -1 OFFSET 1)'),
      index: () => db.exec('CREATE INDEX of_body ON t (body)'),
      vacuum: () => db.exec('VACUUM'),
      import: () => db.import(file),
      restore: () => db.snapshots.restore(id),
    })) {
      const failure = await window.failure(work)
      found[what] = failure.code ?? failure.notOurs ?? 'works'
      const { resolved } = await window.failure(state)
      if (JSON.stringify(resolved) !== before) found[what] += ', and changes the data'
      const { code } = await window.failure(() => db.run('INSERT INTO copy VALUES (1)'))
      if (code !== undefined) found[what] += `, and the next write: ${code}`
    }
    const { status } = await db.health()
    await db.close()
    db = await window.open(options)
    const same = JSON.stringify(await state()) === before
    const check = await db.query('PRAGMA integrity_check')
    const { n } = await db.get('SELECT count(*) AS n FROM copy')
    await db.close()
    return { found, status, same, check, lost: Object.keys(found).length - n }
  })
  const fits = ['scan', 'maintain', 'snapshot', 'verify', 'export', 'exportSnapshot', 'exportSql']
  const tooLarge = [
    'query',
    'iterate',
    'update',
    'insert',
    'transaction',
    'sort',
    'index',
    'vacuum',
    'import',
    'restore',
  ]
  assert.deepEqual(result, {
    found: Object.fromEntries([
      ...fits.map((what) => [what, 'works']),
      ...tooLarge.map((what) => [what, 'out_of_memory']),
    ]),
    status: 'ok',
    same: true,
    check: [{ integrity_check: 'ok' }],
    lost: 0,
  })
})

test('with less and less memory a large database is opened, stored and checked, or refuses it, and loses nothing', {
  only: 'worker',
  because: 'on the page’s thread all of a database is in memory',
}, async () => {
  const outcomes = await inPage(async (name) => {
    const options = { name, storage: 'opfs', cacheBytes: 2 ** 21 }
    let db = await window.open(options)
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, body BLOB)')
    const fill = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
      INSERT INTO t SELECT i, 0, randomblob(4000) FROM n`
    await db.run(fill)
    const outcomes = []
    for (const mebibytes of [26, 18]) {
      const { id } = await db.snapshots.create()
      // 10 MB of log for the opening to read, in scattered pages: closing takes no checkpoint of those.
      await db.run('UPDATE t SET n = n + 1, body = randomblob(4000) WHERE id % 4 = 0')
      const { n } = await db.get('SELECT sum(n) AS n FROM t')
      await db.close()
      const small = await window.failure(async () => window.open({ ...options, wasm: await window.limited(mebibytes) }))
      outcomes.push(small.code ?? 'opened')
      if (small.resolved) {
        for (const work of [
          () => small.resolved.snapshots.create(),
          () => small.resolved.snapshots.verify(id),
          () => small.resolved.run('UPDATE t SET n = n WHERE id = 1'),
        ]) {
          const { code } = await window.failure(work)
          outcomes.push(code ?? 'works')
        }
        await small.resolved.close()
      }
      db = await window.open(options)
      const found = await db.get('SELECT sum(n) AS n FROM t')
      outcomes.push(found.n === n ? 'same' : `${found.n} instead of ${n}`)
    }
    await db.close()
    return outcomes
  })
  assert.deepEqual(
    outcomes.filter((outcome) => !['opened', 'works', 'same', 'out_of_memory'].includes(outcome)),
    [],
  )
  assert.ok(outcomes.includes('works'), outcomes.join(', '))
})

test('what JavaScript can not hold is out_of_memory, and hundreds of megabytes that it can are given', {
  only: 'worker',
  because: 'from a worker, rows go one way more',
}, async () => {
  const result = await inPage(async (name) => {
    const db = await window.open({ name, storage: 'memory' })
    const codes = [
      await window.failure(() => db.query('SELECT hex(zeroblob(500000001)) AS s')),
      await window.failure(() => db.query('SELECT CAST(zeroblob(540000000) AS TEXT) AS s')),
      await window.failure(() => db.query('SELECT zeroblob(2000000000) AS b')),
    ].map(({ code, details }) => details?.sqliteCode ?? code)
    const { s } = await db.get('SELECT hex(zeroblob(60000000)) AS s')
    const { b } = await db.get('SELECT zeroblob(200000000) AS b')
    const { n } = await db.get('SELECT 1 AS n')
    await db.close()
    return { codes, lengths: [s.length, b.length], n }
  })
  assert.deepEqual(result.lengths, [120_000_000, 200_000_000])
  assert.deepEqual(result.codes, ['SQLITE_TOOBIG', 'out_of_memory', 'SQLITE_TOOBIG'])
  assert.equal(result.n, 1)
})

test('maxBytes counts in every kind of call, also after an import', once, async () => {
  const result = await inPage(async (name) => {
    const db = await window.open({ name, storage: 'memory', maxBytes: 2_000_000 })
    await db.exec('CREATE TABLE t (b)')
    const full = await window.failure(() => db.run('INSERT INTO t VALUES (zeroblob(3000000))'))
    const batch = await window.failure(() =>
      db.runMany(
        'INSERT INTO t VALUES (?)',
        Array.from({ length: 30 }, () => [new Uint8Array(100_000)]),
      ),
    )
    const inside = await window.failure(() =>
      db.transaction(async (tx) => {
        await tx.run('INSERT INTO t VALUES (1)')
        await tx.run('INSERT INTO t VALUES (zeroblob(3000000))')
      }),
    )
    const maker = await window.open({ name: 'maker', storage: 'memory' })
    await maker.exec('CREATE TABLE t (b); INSERT INTO t VALUES (zeroblob(500000))')
    await db.import(await maker.export())
    await maker.close()
    await db.run('INSERT INTO t VALUES (zeroblob(1000000))')
    const later = await window.failure(() => db.run('INSERT INTO t VALUES (zeroblob(1000000))'))
    const { n } = await db.get('SELECT count(*) AS n FROM t')
    await db.close()
    return { codes: [full.code, batch.code, inside.code, later.code], n }
  })
  assert.deepEqual(result, { codes: Array(4).fill('database_too_large'), n: 2 })
})
