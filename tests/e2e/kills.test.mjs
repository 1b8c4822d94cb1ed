// Whole commits only, and everything acknowledged: after kill -9 of the browser in the middle of writes.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { freshName, suite, test, until } from './harness.mjs'
import { killDuring, pairTables, reopened, rounds, wholePairs } from './killing.mjs'

const context = suite()

/** The newest log file of Chromium's LevelDB under this site's IndexedDB; before there is any, the name of its first one. */
function browserLog() {
  const { host } = new URL(context.url)
  const folder = path.join(
    context.browser.profile,
    `Default/IndexedDB/http_${host.replace(':', '_')}.indexeddb.leveldb`,
  )
  const logs = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.log')) : []
  return path.join(folder, logs.sort().at(-1) ?? '000003.log')
}

/** Opens a database in a fresh tab, as `window.db`, and waits until it has had Chromium begin a log file of its own. */
async function renewed(name) {
  const before = browserLog()
  const page = await context.page()
  await page.evaluate(async (given) => {
    window.db = await window.open({ name: given })
  }, name)
  await until(() => browserLog() !== before)
  return page
}

/** Fifty rows, each acknowledged, and then the end of the browser: once it starts again, it may begin another log file. */
async function fifty(name) {
  const page = await renewed(name)
  await page.evaluate(async () => {
    await window.db.exec('CREATE TABLE t (n INTEGER)')
    for (let n = 1; n <= 50; n++) await window.db.run('INSERT INTO t VALUES (?)', [n])
  })
  await context.browser.kill()
}

const rows = (db) => db.get('SELECT count(*) AS n FROM t')

/** Writes pairs of rows for ever; `acknowledged` is called for each that is safe as the mode promises. */
async function writePairs(db, acknowledged) {
  const { round: last } = await db.get('SELECT coalesce(max(round), 0) AS round FROM debit')
  const { durability } = (await db.health()).storage
  for (let i = 1; ; i++) {
    await db.transaction(async (tx) => {
      await tx.run('INSERT INTO debit VALUES (?, ?)', [i, last + 1])
      await tx.run('INSERT INTO credit VALUES (?, ?)', [i, last + 1])
    })
    if (durability === 'snapshot') {
      if (i % 40 === 0) await db.snapshots.create()
      else if (i % 20 === 0) await db.flush()
      else continue
    }
    acknowledged(i)
  }
}

const inPage = { only: 'current', because: 'what the browser has stored is the same for a worker' }
const inWorker = { only: 'worker', because: 'what the browser has stored is the same for a page' }

// Several rounds on one database: what one round leaves is where the next one begins. In a usual run, in one mode.
for (const [durability, enough, threads] of [
  ['relaxed', 60, inWorker],
  ['strict', 40, inPage],
  ['deferred', 150, {}], // a worker stores at other times
  ['snapshot', 60, inPage],
]) {
  const title = `kill -9 in the middle of ${durability} writes loses nothing promised, and halves no transaction`
  test(title, threads, async () => {
    const name = freshName()
    for (const round of rounds(durability === 'relaxed' ? 2 : 1, 2)) {
      const promised = await killDuring(
        context,
        name,
        { durability },
        pairTables,
        writePairs,
        enough + Math.floor(Math.random() * enough),
        // Deferred writes are safe a little later; the machine may be slow to report it.
        durability === 'deferred' ? 500 : 0,
      )
      await wholePairs(context, name, round, promised)
    }
  })
}

test('kill -9 during large transactions leaves whole ones only', inWorker, async () => {
  for (const _ of rounds(1)) {
    const name = freshName()
    const promised = await killDuring(
      context,
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
    const found = await reopened(context, name, async (db) => ({
      batches: await db.query('SELECT batch, count(*) AS n FROM t GROUP BY batch ORDER BY batch'),
      integrity: await db.query('PRAGMA integrity_check'),
    }))
    assert.ok(found.batches.length >= promised)
    assert.deepEqual(
      found.batches,
      Array.from({ length: found.batches.length }, (_, i) => ({ batch: i + 1, n: 3000 })),
    )
    assert.deepEqual(found.integrity, [{ integrity_check: 'ok' }])
  }
})

test(
  'kill -9 while snapshots are made and restored leaves a database that opens, and snapshots that verify',
  inPage,
  async () => {
    for (const _ of rounds(1)) {
      const name = freshName()
      const promised = await killDuring(
        context,
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
      const found = await reopened(context, name, async (db) => ({
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
    }
  },
)

test('what was never committed is not there, and a rolled back transaction leaves nothing stored', inPage, async () => {
  const name = freshName()
  await killDuring(
    context,
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
  assert.deepEqual(await reopened(context, name, (db) => db.query('SELECT id, s FROM t')), [{ id: 1, s: 'committed' }])
})

test('VACUUM, page size of the file and schema changes survive a kill', inWorker, async () => {
  const name = freshName()
  await killDuring(
    context,
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
  const found = await reopened(context, name, async (db) => ({
    n: await db.get('SELECT count(*) AS n, count(added) AS added FROM t'),
    integrity: await db.query('PRAGMA integrity_check'),
    index: await db.get("SELECT name FROM sqlite_schema WHERE name = 'tn'"),
  }))
  assert.deepEqual(found, { n: { n: 2000, added: 0 }, integrity: [{ integrity_check: 'ok' }], index: { name: 'tn' } })
})

test(
  "a record of the browser's own log that a kill has torn costs that record, and nothing at later starts",
  inPage,
  async () => {
    const name = freshName()
    await fifty(name)
    // As if the kill had come in the middle of the last write.
    const log = browserLog()
    truncateSync(log, statSync(log).size - 1500)
    await context.browser.start()
    // Without a new log file, Chromium writes behind the torn record, and deletes everything when it next starts.
    const page = await renewed(name)
    const kept = await page.evaluate(async () => {
      const found = await window.db.get('SELECT count(*) AS n FROM t')
      await window.db.run('INSERT INTO t VALUES (51)')
      return found
    })
    // The last record is that of the last row, or of what the browser or the engine wrote behind it.
    assert.ok(kept.n >= 48 && kept.n <= 50, `${kept.n} rows of 50`)
    await context.browser.kill()
    await context.browser.start()
    assert.deepEqual(await reopened(context, name, rows), { n: kept.n + 1 })
  },
)

for (const storage of ['indexeddb', 'best'])
  test(`a browser that has lost its storage is told of, not passed over (${storage})`, inPage, async () => {
    const name = freshName()
    await fifty(name)
    writeFileSync(path.join(path.dirname(browserLog()), 'CURRENT'), 'damaged')
    await context.browser.start()
    const page = await context.page()
    const found = await page.evaluate(
      async (given) => {
        const db = await window.open(given)
        const tables = await db.query("SELECT name FROM sqlite_schema WHERE name = 't'")
        await db.close()
        return { tables, warnings: window.warnings, madeAnew: window.madeAnew }
      },
      { name, storage },
    )
    await page.close()
    assert.deepEqual(found.tables, [])
    assert.deepEqual(
      found.warnings.map((warning) => warning.code),
      ['storage_lost'],
      JSON.stringify(found.madeAnew),
    )
  })
