// What was acknowledged is there again: after a reload, and after kill -9 of the browser in the middle of writes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freshName, suite } from './harness.mjs'

const context = suite()

/** Opens the database in a fresh tab and gives what `work(db, argument)` returns. */
async function reopened(name, work, argument) {
  const page = await context.page()
  try {
    return await page.evaluate(
      async ([source, options, value]) => {
        const db = await window.open(options)
        try {
          return await new Function(`return (${source})`)()(db, value)
        } catch (error) {
          // Whether the browser itself lost everything is the first thing to know.
          const { lock } = await db.health()
          error.message += ` (epoch ${lock.epoch}; made anew: ${JSON.stringify(window.madeAnew)})`
          throw error
        } finally {
          await db.close()
        }
      },
      [work.toString(), { name }, argument],
    )
  } finally {
    await page.close()
  }
}

/**
 * Starts `write(db, acknowledged)` in a tab, kills the browser once `enough` writes were acknowledged, and starts it again
 * → how many were acknowledged by then.
 */
async function killDuring(name, options, setup, write, enough) {
  const page = await context.page()
  let acknowledged = 0
  await page.exposeFunction('acknowledged', (count) => {
    acknowledged = Math.max(acknowledged, count)
  })
  const failed = page
    .evaluate(
      async ([before, during, given]) => {
        const db = await window.open(given)
        await db.exec(before)
        await new Function(`return (${during})`)()(db, window.acknowledged)
      },
      [setup, write.toString(), { name, ...options }],
    )
    .then(
      () => new Error('the writes ended by themselves'),
      (error) => error,
    )
  const deadline = Date.now() + 60_000
  while (acknowledged < enough) {
    const early = await Promise.race([failed, new Promise((resolve) => setTimeout(resolve, 5))])
    if (early) throw early
    assert.ok(Date.now() < deadline, `only ${acknowledged} of ${enough} writes in time`)
  }
  await context.browser.kill()
  const promised = acknowledged
  await failed
  await context.browser.start()
  return promised
}

test('a reload keeps what was written, in each durability', async () => {
  for (const durability of ['relaxed', 'strict']) {
    const name = freshName()
    const page = await context.page()
    await page.evaluate(
      async ([given, mode]) => {
        const db = await window.open({ name: given, durability: mode })
        await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT)')
        for (let i = 0; i < 20; i++) await db.run('INSERT INTO t (s) VALUES (?)', [`row ${i}`])
      },
      [name, durability],
    )
    await context.load(page) // no close(): the tab just goes away
    const rows = await page.evaluate(async (given) => {
      const db = await window.until(() =>
        window
          .open({ name: given })
          .catch((error) => (error.code === 'database_in_use' ? undefined : Promise.reject(error))),
      )
      const found = await db.query('SELECT s FROM t ORDER BY id')
      await db.close()
      return found.map((row) => row.s)
    }, name)
    assert.deepEqual(
      rows,
      Array.from({ length: 20 }, (_, i) => `row ${i}`),
      durability,
    )
    await page.close()
  }
})

for (const durability of ['relaxed', 'strict']) {
  test(`kill -9 in the middle of ${durability} writes loses nothing acknowledged, and halves no transaction`, async () => {
    const name = freshName()
    for (const round of [1, 2]) {
      const promised = await killDuring(
        name,
        { durability },
        'CREATE TABLE IF NOT EXISTS debit (n INTEGER, round INTEGER); CREATE TABLE IF NOT EXISTS credit (n INTEGER, round INTEGER)',
        async (db, acknowledged) => {
          const { round: last } = await db.get('SELECT coalesce(max(round), 0) AS round FROM debit')
          for (let i = 1; ; i++) {
            await db.transaction(async (tx) => {
              await tx.run('INSERT INTO debit VALUES (?, ?)', [i, last + 1])
              await tx.run('INSERT INTO credit VALUES (?, ?)', [i, last + 1])
            })
            acknowledged(i)
          }
        },
        150,
      )
      const found = await reopened(
        name,
        async (db, given) => ({
          debit: (await db.query('SELECT n FROM debit WHERE round = ? ORDER BY n', [given])).map((row) => row.n),
          credit: (await db.query('SELECT n FROM credit WHERE round = ? ORDER BY n', [given])).map((row) => row.n),
          integrity: await db.query('PRAGMA integrity_check'),
        }),
        round,
      )
      assert.ok(found.debit.length >= promised, `${promised} were acknowledged, ${found.debit.length} are there`)
      assert.deepEqual(
        found.debit,
        Array.from({ length: found.debit.length }, (_, i) => i + 1),
      )
      assert.deepEqual(found.credit, found.debit)
      assert.deepEqual(found.integrity, [{ integrity_check: 'ok' }])
    }
  })
}

test('kill -9 during large transactions leaves whole ones only', async () => {
  const name = freshName()
  const promised = await killDuring(
    name,
    {},
    'CREATE TABLE t (batch INTEGER, n INTEGER, filler TEXT); CREATE INDEX tb ON t (batch)',
    async (db, acknowledged) => {
      for (let batch = 1; ; batch++) {
        await db.runMany(
          "INSERT INTO t VALUES (?, ?, 'something that takes room in a page')",
          Array.from({ length: 3000 }, (_, n) => [batch, n]),
        )
        acknowledged(batch)
      }
    },
    6,
  )
  const found = await reopened(name, async (db) => ({
    batches: await db.query('SELECT batch, count(*) AS n FROM t GROUP BY batch ORDER BY batch'),
    integrity: await db.query('PRAGMA integrity_check'),
  }))
  assert.ok(found.batches.length >= promised)
  assert.deepEqual(
    found.batches,
    Array.from({ length: found.batches.length }, (_, i) => ({ batch: i + 1, n: 3000 })),
  )
  assert.deepEqual(found.integrity, [{ integrity_check: 'ok' }])
})

test('kill -9 while snapshots are made and restored leaves a database that opens, and snapshots that verify', async () => {
  const name = freshName()
  const promised = await killDuring(
    name,
    { snapshots: { keep: 2 } },
    'CREATE TABLE t (n INTEGER, filler TEXT)',
    async (db, acknowledged) => {
      for (let i = 1; ; i++) {
        await db.runMany(
          'INSERT INTO t VALUES (?, ?)',
          Array.from({ length: 500 }, () => [i, crypto.randomUUID()]),
        )
        const { id } = await db.snapshots.create()
        if (i % 3 === 0) await db.snapshots.restore(id)
        acknowledged(i)
      }
    },
    7,
  )
  const found = await reopened(name, async (db) => ({
    count: await db.get('SELECT count(*) AS n, max(n) AS last FROM t'),
    integrity: await db.query('PRAGMA integrity_check'),
    verified: await Promise.all(
      (await db.snapshots.list()).map(async (snapshot) => (await db.snapshots.verify(snapshot.id)).ok),
    ),
  }))
  assert.ok(found.count.last >= promised, `${promised} were acknowledged, ${found.count.last} are there`)
  assert.equal(found.count.n, found.count.last * 500)
  assert.deepEqual(found.integrity, [{ integrity_check: 'ok' }])
  assert.ok(found.verified.length >= 2)
  assert.ok(found.verified.every(Boolean), JSON.stringify(found.verified))
})

test('what was never committed is not there, and a rolled back transaction leaves nothing stored', async () => {
  const name = freshName()
  await killDuring(
    name,
    {},
    'CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT)',
    async (db, acknowledged) => {
      await db.run("INSERT INTO t VALUES (1, 'committed')")
      await db
        .transaction(async (tx) => {
          await tx.run("INSERT INTO t VALUES (2, 'rolled back')")
          throw new Error('back')
        })
        .catch(() => {})
      await db.transaction(async (tx) => {
        await tx.runMany(
          'INSERT INTO t VALUES (?, ?)',
          Array.from({ length: 20_000 }, (_, i) => [i + 10, 'open'.repeat(20)]),
        ) // more than any cache holds
        acknowledged(1)
        await new Promise(() => {})
      })
    },
    1,
  )
  assert.deepEqual(await reopened(name, (db) => db.query('SELECT id, s FROM t')), [{ id: 1, s: 'committed' }])
})

test('VACUUM, page size of the file and schema changes survive a kill', async () => {
  const name = freshName()
  await killDuring(
    name,
    {},
    'CREATE TABLE t (n INTEGER, filler BLOB)',
    async (db, acknowledged) => {
      await db.runMany(
        'INSERT INTO t VALUES (?, randomblob(500))',
        Array.from({ length: 4000 }, (_, n) => [n]),
      )
      await db.run('DELETE FROM t WHERE n % 2')
      await db.exec('VACUUM')
      await db.exec('ALTER TABLE t ADD COLUMN added TEXT; CREATE INDEX tn ON t (n)')
      acknowledged(1)
      await new Promise(() => {})
    },
    1,
  )
  const found = await reopened(name, async (db) => ({
    n: await db.get('SELECT count(*) AS n, count(added) AS added FROM t'),
    integrity: await db.query('PRAGMA integrity_check'),
    index: await db.get("SELECT name FROM sqlite_schema WHERE name = 'tn'"),
  }))
  assert.deepEqual(found, { n: { n: 2000, added: 0 }, integrity: [{ integrity_check: 'ok' }], index: { name: 'tn' } })
})

test('flush resolves when everything is stored', async () => {
  const name = freshName()
  const page = await context.page()
  await page.evaluate(async (given) => {
    const db = await window.open({ name: given })
    await db.exec('CREATE TABLE t (n)')
    for (let i = 0; i < 50; i++) void db.run('INSERT INTO t VALUES (?)', [i])
    await db.flush()
  }, name)
  await context.browser.kill()
  await context.browser.start()
  assert.deepEqual(await reopened(name, (db) => db.get('SELECT count(*) AS n FROM t')), { n: 50 })
})
