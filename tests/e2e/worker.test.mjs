// What is special about a worker: that it leaves the page alone, that it may die, and where it comes from.
import assert from 'node:assert/strict'
import { freshName, suite, test, until } from './harness.mjs'

const context = suite()
const inWorker = { only: 'worker', because: 'it is about the worker itself' }

test('reads settle in the order in which they were made, large ones and small ones', inWorker, async () => {
  const page = await context.page()
  const order = await page.evaluate(async (name) => {
    const db = await window.open({ name, storage: 'memory' })
    const large =
      'WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 40000) SELECT i, hex(i) AS h FROM n'
    const settled = []
    await Promise.all(
      [large, 'SELECT 1', large, 'SELECT 2', 'SELECT 3'].map(async (sql, n) => {
        const rows = await db.query(sql)
        settled.push([n, rows.length])
      }),
    )
    await db.close()
    return settled
  }, freshName())
  assert.deepEqual(order, [
    [0, 40_000],
    [1, 1],
    [2, 40_000],
    [3, 1],
    [4, 1],
  ])
  await page.close()
})

test('bytes that go in stay the caller’s, and bytes that come out are the caller’s', {
  only: 'worker',
  because: 'only what is posted to a worker may be transferred away',
}, async () => {
  const page = await context.page()
  const seen = await page.evaluate(async (name) => {
    const db = await window.open({ name })
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)')
    const whole = new Uint8Array(1_000_000).fill(7)
    const part = whole.subarray(10, 20)
    await db.run('INSERT INTO t VALUES (1, ?), (2, ?)', [whole, part])
    await db.runMany('INSERT INTO t (b) VALUES (?)', [[whole.buffer], [part]])
    const lengths = (await db.query('SELECT length(b) AS n FROM t ORDER BY id')).map((row) => row.n)
    const [one, other] = await db.query('SELECT b FROM t WHERE id = 2 OR id = 4')
    one.b[0] = 99
    const file = await db.export()
    file.slice(0, 16)
    const source = new Uint8Array(file)
    await db.import(source, { force: true })
    const snapshot = await db.snapshots.create()
    const blob = await db.snapshots.export(snapshot.id, { compress: true })
    const imported = await db.snapshots.import(blob)
    const after = await db.get('SELECT count(*) AS n FROM t')
    await db.close()
    return {
      lengths,
      one: one.b[0],
      other: other.b[0],
      mine: [whole.byteLength, part.byteLength, source.byteLength === file.byteLength],
      imported: imported.label,
      after,
    }
  }, freshName())
  assert.deepEqual(seen, {
    lengths: [1_000_000, 10, 1_000_000, 10],
    one: 99,
    other: 7,
    mine: [1_000_000, 10, true],
    imported: 'imported',
    after: { n: 4 },
  })
  await page.close()
})

test('the page goes on while the engine works', inWorker, async () => {
  const page = await context.page()
  const seen = await page.evaluate(async (name) => {
    const db = await window.open({ name })
    let ticks = 0
    const timer = setInterval(() => ticks++, 5)
    const slow = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n'
    const engine = window.failure(() => db.query(slow, [], { timeoutMs: 2000 }))
    // On a busy machine a page may rest for half a second.
    const first = await Promise.race([engine.then(() => 'engine'), window.until(() => ticks > 0).then(() => 'page')])
    const { code } = await engine
    clearInterval(timer)
    await db.close()
    return { first, code }
  }, freshName())
  assert.deepEqual(seen, { first: 'page', code: 'timeout' }, 'a timer of the page, before the engine was done')
  await page.close()
})

test('a call that is cancelled before the busy worker comes to it does not happen', inWorker, async () => {
  const page = await context.page()
  const seen = await page.evaluate(async (name) => {
    const db = await window.open({ name })
    await db.exec('CREATE TABLE t (n)')
    const slow = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n'
    const busy = window.failure(() => db.query(slow, [], { timeoutMs: 300 }))
    const controller = new AbortController()
    const reason = new Error('changed my mind')
    const { signal } = controller
    const given = [
      db.run('INSERT INTO t VALUES (1)', [], { signal }),
      db.transaction((tx) => tx.run('INSERT INTO t VALUES (2)'), { signal }),
      db.exec('INSERT INTO t VALUES (3)', { signal }),
    ].map((call) => call.catch((error) => error === reason))
    const late = window.failure(() => db.run('INSERT INTO t VALUES (4)', [], { timeoutMs: 100 }))
    controller.abort(reason)
    const after = await db.query('SELECT n FROM t')
    const outcome = { given: await Promise.all(given), late: (await late).code, busy: (await busy).code, after }
    await db.close()
    return outcome
  }, freshName())
  assert.deepEqual(seen, { given: [true, true, true], late: 'timeout', busy: 'timeout', after: [] })
  await page.close()
})

test(
  'a worker that dies between writes is replaced: what was acknowledged is there, live queries follow',
  inWorker,
  async () => {
    const page = await context.page()
    const seen = await page.evaluate(async (name) => {
      const events = []
      const migrations = [{ version: '1', name: 'a', up: (tx) => tx.exec('CREATE TABLE t (n INTEGER PRIMARY KEY)') }]
      const db = await window.open({ name, migrations, lock: { onBusy: 'steal' } })
      for (const type of ['warning', 'close'])
        db.addEventListener(type, ({ detail }) => events.push([type, detail.code]))
      const live = db.live('SELECT count(*) AS n FROM t')
      const counts = []
      live.subscribe(
        ([{ n }]) => counts.push(n),
        (error) => counts.push(error.code),
      )
      const acknowledged = []
      const failed = []
      const write = async (n) => {
        const outcome = await window.failure(() => db.run('INSERT OR IGNORE INTO t VALUES (?)', [n]))
        if (outcome.code === undefined) acknowledged.push(n)
        else failed.push(outcome)
      }
      const writes = []
      for (let n = 1; n <= 300; n++) {
        writes.push(write(n))
        if (n % 10 === 0) await Promise.all(writes)
        if (n === 95 || n === 205) window.workers[0].terminate()
      }
      await Promise.all(writes)
      const rows = (await db.query('SELECT n FROM t')).map((row) => row.n)
      await window.until(() => counts.at(-1) === rows.length)
      const healthy = (await db.health()).status
      const missing = acknowledged.filter((n) => !rows.includes(n))
      const details = failed.map(({ code, details: { applied }, retryable }) => [code, applied, retryable])
      await db.close()
      return { missing, acknowledged: acknowledged.length, details, events, counts, healthy, warnings: window.warnings }
    }, freshName())
    assert.deepEqual(seen.missing, [])
    assert.ok(seen.acknowledged >= 280, `${seen.acknowledged} of 300`)
    assert.ok(seen.details.length > 0)
    for (const detail of seen.details) assert.deepEqual(detail, ['worker_crashed', null, false])
    assert.deepEqual(seen.events, [
      ['warning', 'worker_crashed'],
      ['warning', 'worker_crashed'],
      ['close', undefined],
    ])
    assert.deepEqual(
      seen.warnings.map((warning) => warning.code),
      ['worker_crashed', 'worker_crashed'],
    )
    assert.ok(!seen.counts.includes('worker_crashed'))
    assert.equal(seen.healthy, 'ok')
    await page.close()
  },
)

test('a worker that dies takes its open transaction along, and nothing of it stays', inWorker, async () => {
  const page = await context.page()
  const seen = await page.evaluate(async (name) => {
    const db = await window.open({ name })
    await db.exec('CREATE TABLE t (n)')
    let kept
    const transaction = window.failure(
      db.transaction(async (tx) => {
        kept = tx
        await tx.run('INSERT INTO t VALUES (1)')
        window.workers[0].terminate()
        await new Promise(() => {}) // the user's own work never ends
      }),
    )
    const waiting = window.failure(db.run('INSERT INTO t VALUES (2)'))
    const outcome = {
      transaction: (await transaction).code,
      waiting: (await waiting).code,
      used: (await window.failure(kept.run('INSERT INTO t VALUES (3)'))).code,
    }
    await db.transaction((tx) => tx.run('INSERT INTO t VALUES (4)'))
    outcome.rows = await db.query('SELECT n FROM t')
    await db.close()
    return outcome
  }, freshName())
  assert.deepEqual(seen, {
    transaction: 'worker_crashed',
    waiting: 'worker_crashed',
    used: 'transaction_closed',
    rows: [{ n: 4 }],
  })
  await page.close()
})

test('a database whose worker died, and that another tab has by now, is closed', inWorker, async () => {
  const name = freshName()
  const [first, second] = await Promise.all([context.page(), context.page()])
  await first.evaluate(async (given) => {
    window.db = await window.open({ name: given, lock: { timeoutMs: 300 } })
    window.closes = []
    window.db.addEventListener('close', ({ detail }) => window.closes.push(detail.reason))
    await window.db.exec('CREATE TABLE t (n)')
  }, name)
  await second.evaluate((given) => {
    window.opening = window.open({ name: given, lock: { onBusy: 'wait', timeoutMs: 20_000 } })
  }, name)
  await second.evaluate(
    (given) =>
      window.until(async () =>
        (await navigator.locks.query()).pending.some((lock) => lock.name === `tidelock/${given}`),
      ),
    name,
  )
  const seen = await first.evaluate(async () => {
    window.workers[0].terminate()
    const crashed = await window.failure(window.db.run('INSERT INTO t VALUES (1)'))
    await window.until(() => window.db.closed)
    const after = await window.failure(window.db.run('INSERT INTO t VALUES (2)'))
    const { status } = await window.db.health()
    await window.db.close()
    return { crashed: crashed.code, after: after.code, cause: after.cause, closes: window.closes, status }
  })
  assert.equal(seen.crashed, 'worker_crashed')
  assert.deepEqual([seen.after, seen.closes, seen.status], ['closed', ['lock_timeout'], 'failed'])
  assert.match(seen.cause, /in use|lock/i)
  assert.deepEqual(await second.evaluate(async () => (await window.opening).query('SELECT n FROM t')), [])
  await Promise.all([first.close(), second.close()])
})

test('after rekey, the worker that follows a dead one opens with the new encryption', inWorker, async () => {
  const page = await context.page()
  const seen = await page.evaluate(
    async (names) => {
      const [one, two] = [{ passphrase: 'the first secret' }, { passphrase: 'the second secret' }]
      const changes = [
        [one, two],
        [undefined, two],
        [one, undefined],
      ]
      const counts = []
      for (const [at, [from, to]] of changes.entries()) {
        const db = await window.open({ name: names[at], encryption: from })
        await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
        await db.rekey(to ?? null)
        window.workers[0].terminate()
        await window.failure(db.run('INSERT INTO t VALUES (2)'))
        counts.push(await window.failure(db.get('SELECT min(n) AS n FROM t')))
        await db.close()
      }
      return counts
    },
    [freshName(), freshName(), freshName()],
  )
  assert.deepEqual(seen, Array(3).fill({ resolved: { n: 1 } }))
  await page.close()
})

test('a database in memory ends with its worker', inWorker, async () => {
  const page = await context.page()
  const seen = await page.evaluate(async (name) => {
    const db = await window.open({ name, storage: 'memory' })
    await db.exec('CREATE TABLE t (n)')
    window.workers[0].terminate()
    const crashed = await window.failure(db.query('SELECT * FROM t'))
    const after = await window.failure(db.query('SELECT * FROM t'))
    await window.until(() => window.workers.length === 0)
    return [crashed.code, after.code, db.closed]
  }, freshName())
  assert.deepEqual(seen, ['worker_crashed', 'closed', true])
  await page.close()
})

test('a worker that dies again and again is not replaced for ever: the database closes', inWorker, async () => {
  const page = await context.page()
  const seen = await page.evaluate(async (name) => {
    const db = await window.open({ name })
    let deaths = 0
    while (!db.closed && deaths < 50) {
      await window.failure(db.query('SELECT 1'))
      const [worker] = window.workers
      worker?.terminate()
      deaths++
      await window.until(() => db.closed || (window.workers[0] !== undefined && window.workers[0] !== worker))
    }
    const { code } = await window.failure(db.query('SELECT 1'))
    await window.until(() => window.workers.length === 0)
    return { deaths, code }
  }, freshName())
  assert.ok(seen.deaths < 10, `${seen.deaths} deaths`)
  assert.equal(seen.code, 'closed')
  await page.close()
})

test('a worker that dies while it opens the database fails the opening, and leaves no lock', inWorker, async () => {
  const page = await context.page()
  const seen = await page.evaluate(async (name) => {
    const up = async () => {
      window.workers[0].terminate()
      await new Promise(() => {})
    }
    const failed = await window.failure(() => window.open({ name, migrations: [{ version: '1', name: 'a', up }] }))
    await window.until(async () => {
      const { held, pending } = await navigator.locks.query()
      return held.length + pending.length === 0
    })
    const again = await window.open({ name })
    const fine = await again.get('SELECT 1 AS n')
    await again.close()
    return [failed.code, fine]
  }, freshName())
  assert.deepEqual(seen, ['worker_crashed', { n: 1 }])
  await page.close()
})

test('close ends the worker and leaves no lock', inWorker, async () => {
  const page = await context.page()
  const name = freshName()
  const locks = () =>
    page.evaluate(async () => {
      const { held, pending } = await navigator.locks.query()
      return [...held, ...pending].map((lock) => lock.name)
    })
  await page.evaluate(async (given) => {
    window.db = await window.open({ name: given })
    await window.db.exec('CREATE TABLE t (n)')
  }, name)
  await until(async () => (await locks()).includes(`tidelock/${name}`) && page.workers().length === 1)
  await page.evaluate(() => window.db.close())
  await until(async () => (await locks()).length === 0 && page.workers().length === 0)
  assert.equal(await page.evaluate(() => window.workers.length), 0, 'it was ended, it did not end by itself')
  await page.close()
})

test('the worker may be given by hand, as its place or as a function that makes it', inWorker, async () => {
  const page = await context.page()
  const seen = await page.evaluate(async (name) => {
    const place = new URL('/tidelock/dist/worker.js', location.href)
    const found = []
    for (const worker of [place, () => new Worker(place, { type: 'module' })]) {
      const db = await window.open({ name, worker })
      await db.exec('CREATE TABLE IF NOT EXISTS t (n); INSERT INTO t VALUES (1)')
      window.workers[0].terminate()
      found.push(
        await window.until(async () => (await window.failure(db.query('SELECT count(*) AS n FROM t'))).resolved),
      )
      await db.close()
    }
    return found
  }, freshName())
  assert.deepEqual(seen, [[{ n: 1 }], [{ n: 2 }]])
  await page.close()
})

test('a worker that cannot be loaded is told, with what to do, and holds nothing', inWorker, async () => {
  const page = await context.page()
  const seen = await page.evaluate(async (name) => {
    const refused = async (worker) => {
      const { code, hint, retryable } = await window.failure(() => window.open({ name, worker }))
      return [code, /worker/.test(hint), retryable]
    }
    const out = {
      missing: await refused(new URL('/nowhere.js', location.href)),
      broken: await refused(new URL('data:text/javascript,throw new Error("mine")')),
      thrown: await refused(() => {
        throw new Error('no')
      }),
      wrong: (await window.failure(() => window.open({ name, worker: '/worker.js' }))).code,
    }
    await window.until(async () => {
      const { held, pending } = await navigator.locks.query()
      return held.length + pending.length === 0
    })
    const fine = await window.open({ name })
    await fine.close()
    // From here on this page allows no workers.
    const policy = document.createElement('meta')
    policy.httpEquiv = 'Content-Security-Policy'
    policy.content = "worker-src 'none'"
    document.head.append(policy)
    out.policy = await refused(undefined)
    return out
  }, freshName())
  const failed = ['wasm_load_failed', true, true]
  assert.deepEqual(seen, {
    missing: failed,
    broken: failed,
    thrown: failed,
    wrong: 'invalid_argument',
    policy: failed,
  })
  await page.close()
})

test('functions of the user run in the page: migrations, the seed, warnings, decisions', inWorker, async () => {
  const page = await context.page()
  const seen = await page.evaluate(async (name) => {
    const ran = []
    const here = (what) => ran.push([what, typeof document])
    const mine = new TypeError('mine')
    const donor = await window.open({ name: `${name}-donor`, storage: 'memory' })
    await donor.exec('CREATE TABLE seeded (n); INSERT INTO seeded VALUES (1)')
    const seed = async () => {
      here('seed')
      return donor.export()
    }
    const up = async (tx) => {
      here('migration')
      await tx.exec('CREATE TABLE t (n)')
      await tx.transaction((inner) => inner.run('INSERT INTO t VALUES (?)', [1n]))
    }
    const db = await window.open({ name, seed, migrations: [{ version: '1', name: 'a', up }] })
    const rows = await db.query('SELECT t.n, seeded.n AS s FROM t, seeded')
    const thrown = await db
      .transaction(() => {
        throw mine
      })
      .catch((error) => error === mine)
    await db.close()
    const broken = [
      { version: '1', name: 'a', up },
      {
        version: '2',
        name: 'b',
        up: async () => {
          throw mine
        },
      },
    ]
    const failed = await window.open({ name, migrations: broken }).catch((error) => error)
    return { ran, rows, thrown, failed: [failed.code, failed.cause === mine, failed.details.version] }
  }, freshName())
  assert.deepEqual(seen, {
    ran: [
      ['seed', 'object'],
      ['migration', 'object'],
    ],
    rows: [{ n: 1, s: 1 }],
    thrown: true,
    failed: ['migration_failed', true, '2'],
  })
  await page.close()
})

test('a script finds its place in memory after many rows were there', {
  only: 'current',
  because: 'the memory of an instance is the same in a worker',
}, async () => {
  const page = await context.page()
  const row = await page.evaluate(async (name) => {
    const db = await window.open({ name, storage: 'memory' })
    await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, text)')
    const rows = Array.from({ length: 20_000 }, (_, n) => [n, 'x'.repeat(20)])
    await db.runMany('INSERT INTO t VALUES (?, ?)', rows)
    await db.run('UPDATE t SET text = ? WHERE id = 1', ['y'.repeat(300_000)])
    await db.exec("INSERT INTO t VALUES (-1, 'script')")
    const found = await db.get("SELECT id FROM t WHERE text = 'script'")
    await db.close()
    return found
  }, freshName())
  assert.deepEqual(row, { id: -1 })
  await page.close()
})
