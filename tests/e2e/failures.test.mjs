// When the storage fails: what was written stays, is reported, tried again and at last stored; reads never stop.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Browser } from './browser.mjs'
import { clearSiteData, freshName, suite, test } from './harness.mjs'

const context = suite()
const inPage = { only: 'current', because: 'how the storage fails is the same for a worker' }
const inWorker = { only: 'worker', because: 'how the storage fails is the same for a page' }

/** A page with an open database, `window.db`, and another page beside it. */
async function openedBeside(script = 'CREATE TABLE t (n INTEGER)') {
  const [name, page] = [freshName(), await context.page()]
  await page.evaluate(
    async ([name, script]) => {
      window.db = await window.open({ name })
      await window.db.exec(script)
    },
    [name, script],
  )
  return { name, page, other: await context.page() }
}

/** Breaks the storage of a page in one way; `shatter` runs in it, and returns what repairs it. */
const breakages = {
  'a full disk': {
    code: 'storage_quota_exceeded',
    shatter: () => {
      const { add } = IDBObjectStore.prototype
      IDBObjectStore.prototype.add = function () {
        throw new DOMException(`no room in ${this.name}`, 'QuotaExceededError')
      }
      return () => {
        IDBObjectStore.prototype.add = add
      }
    },
  },
  'a full disk that is told at the end of the transaction': {
    code: 'storage_quota_exceeded',
    shatter: () => {
      const { add } = IDBObjectStore.prototype
      const error = Object.getOwnPropertyDescriptor(IDBTransaction.prototype, 'error')
      IDBObjectStore.prototype.add = function (...given) {
        const request = add.apply(this, given)
        request.onsuccess = () => this.transaction.abort()
        this.transaction.commit = () => {}
        return request
      }
      Object.defineProperty(IDBTransaction.prototype, 'error', {
        configurable: true,
        get: () => new DOMException('no room', 'QuotaExceededError'),
      })
      return () => {
        IDBObjectStore.prototype.add = add
        Object.defineProperty(IDBTransaction.prototype, 'error', error)
      }
    },
  },
  'a lost connection': {
    code: 'storage_unavailable',
    shatter: () => {
      const { transaction } = IDBDatabase.prototype
      IDBDatabase.prototype.transaction = () => {
        throw new DOMException(
          'Connection to Indexed Database server lost. Refresh the page to try again',
          'UnknownError',
        )
      }
      return () => {
        IDBDatabase.prototype.transaction = transaction
      }
    },
  },
  'a transaction that aborts without a reason': {
    code: 'storage_unavailable',
    shatter: () => {
      const { add } = IDBObjectStore.prototype
      IDBObjectStore.prototype.add = function (...given) {
        const request = add.apply(this, given)
        this.transaction.abort()
        return request
      }
      return () => {
        IDBObjectStore.prototype.add = add
      }
    },
  },
  'a request that fails': {
    code: 'storage_unavailable',
    shatter: () => {
      const { add } = IDBObjectStore.prototype
      IDBObjectStore.prototype.add = () => {
        throw new DOMException('Internal error committing transaction', 'UnknownError')
      }
      return () => {
        IDBObjectStore.prototype.add = add
      }
    },
  },
}

/** What a fresh tab finds in table `t`. */
async function stored(name) {
  const page = await context.page()
  try {
    return await page.evaluate(async (given) => {
      const db = await window.open({ name: given, lock: { onBusy: 'wait' } })
      const rows = await db.query('SELECT n FROM t ORDER BY n')
      await db.close()
      return rows.map((row) => row.n)
    }, name)
  } finally {
    await page.close()
  }
}

// The first test, and its quota is set before the first write: Chromium remembers for half a minute how much room there was.
test(
  'a real quota: room is made, then writes fail and are kept, and go on when there is room again',
  inPage,
  async () => {
    const name = freshName()
    const page = await context.page()
    const devtools = await page.context().newCDPSession(page)
    const setQuota = (quotaSize) => devtools.send('Storage.overrideQuotaForOrigin', { origin: context.url, quotaSize })
    await setQuota(8_000_000)
    await page.evaluate(async (given) => {
      window.db = await window.open({ name: given })
      await window.db.exec('CREATE TABLE t (n INTEGER, filler BLOB)')
      await window.db.runMany(
        'INSERT INTO t VALUES (?, randomblob(100000))',
        Array.from({ length: 10 }, (_, n) => [n]),
      )
      for (let i = 0; i < 3; i++) {
        await window.db.run('UPDATE t SET filler = randomblob(100000) WHERE n = 0')
        await window.db.snapshots.create()
      }
    }, name)
    const seen = await page.evaluate(async () => {
      const full = await window.until(async () => {
        const last = await window.db.get('SELECT max(n) AS n FROM t')
        const failed = await window.failure(() =>
          window.db.run('INSERT INTO t VALUES (?, randomblob(300000))', [last.n + 1]),
        )
        return failed.code && { failed, last: last.n + 1 }
      }, 30_000)
      let applied = 0
      const refused = await window.until(async () => {
        const failed = await window.failure(() => window.db.run("INSERT INTO t VALUES (-1, 'no')"))
        if (failed.details?.applied === false) return failed
        applied++
      }, 30_000)
      return {
        full,
        applied,
        refused,
        snapshots: (await window.db.snapshots.list()).length,
        health: await window.db.health(),
      }
    })
    assert.deepEqual([seen.full.failed.code, seen.full.failed.details.applied], ['storage_quota_exceeded', true])
    assert.equal(seen.refused.code, 'storage_quota_exceeded')
    assert.ok(
      seen.snapshots < 3 && seen.snapshots >= 1,
      `${seen.snapshots} snapshots: older ones make room, the last good one stays`,
    )
    assert.equal(seen.health.status, 'failed')
    await setQuota(2 ** 32)
    await page.evaluate(() =>
      window.until(
        async () => (await window.failure(() => window.db.run("INSERT INTO t VALUES (-2, 'yes')"))).resolved,
        20_000,
      ),
    )
    await context.browser.kill()
    await context.browser.start()
    const found = await stored(name)
    assert.ok(found.includes(seen.full.last), 'the write that was told as applied')
    assert.equal(found.filter((n) => n === -1).length, seen.applied, 'what was refused did not run')
    assert.ok(found.includes(-2))
  },
)

for (const [what, { code, shatter }] of Object.entries(breakages)) {
  test(`${what}: told, kept, tried again, then refused until one is stored`, inWorker, async () => {
    const page = await context.page()
    const run = (name) =>
      page.evaluate(
        async ([given, source]) => {
          const db = await window.open({ name: given })
          await db.exec('CREATE TABLE t (n INTEGER)')
          const heard = []
          db.addEventListener('health', ({ detail }) => 'error' in detail && heard.push(detail.error?.code ?? null))
          const repair = await window.rigEngine(source)
          const begun = performance.now()
          const first = await window.failure(() => db.run('INSERT INTO t VALUES (1)'))
          const early = await db.health()
          // On a slow machine it may have been tried so often by then that writes are refused: then all is done once more.
          const isEarly = performance.now() - begun < 250
          const visible = await db.query('SELECT n FROM t')
          const refused = await window.until(async () => {
            const failed = await window.failure(() => db.run('INSERT INTO t VALUES (2)'))
            return failed.details?.applied === false && failed
          })
          const late = await db.health()
          const counted = await db.query('SELECT n FROM t')
          const script = await window.failure(() => db.exec('INSERT INTO t VALUES (3)'))
          const inside = await window.failure(() => db.transaction((tx) => tx.run('INSERT INTO t VALUES (4)')))
          const flushed = await window.failure(() => db.flush())
          await repair()
          await window.until(async () => (await window.failure(() => db.run('INSERT INTO t VALUES (5)'))).resolved)
          const after = await db.health()
          const rows = (await db.query('SELECT n FROM t ORDER BY n')).map((row) => row.n)
          return { first, visible, early, isEarly, refused, late, counted, script, inside, flushed, after, rows, heard }
        },
        [name, shatter.toString()],
      )
    let name = freshName()
    let seen = await run(name)
    for (let attempts = 1; !seen.isEarly && attempts < 5; attempts++) {
      name = freshName()
      seen = await run(name)
    }
    assert.equal(seen.first.code, code)
    assert.equal(seen.first.details.applied, true)
    assert.deepEqual(seen.visible, [{ n: 1 }], 'it is visible')
    assert.equal(seen.early.status, 'degraded')
    assert.ok(seen.early.alerts.some((alert) => alert.code === 'flush_failing' && alert.severity === 'warning'))
    assert.equal(seen.early.storage.lastError.code, code)
    assert.equal(seen.refused.code, code)
    assert.equal(seen.late.status, 'failed')
    // Those before the refusal stand; what was refused did not run.
    assert.equal(seen.counted[0].n, 1)
    assert.deepEqual([seen.script.code, seen.script.details.applied], [code, false])
    assert.deepEqual([seen.inside.code, seen.inside.details.applied], [code, false])
    assert.equal(seen.flushed.code, code)
    assert.deepEqual([seen.after.status, seen.after.storage.lastError], ['ok', null])
    assert.deepEqual(seen.heard, [code, null], 'one event when it begins, one when it ends')
    assert.ok(!seen.rows.includes(3) && !seen.rows.includes(4) && seen.rows.includes(5))
    await page.close()
    assert.deepEqual(await stored(name), seen.rows)
  })
}

test("in 'deferred' a failure shows in health, and refuses writes after three tries", inPage, async () => {
  const name = freshName()
  const page = await context.page()
  const seen = await page.evaluate(
    async ([given, source]) => {
      const db = await window.open({ name: given, durability: 'deferred' })
      await db.exec('CREATE TABLE t (n INTEGER)')
      await db.flush()
      const repair = await window.rigEngine(source)
      await db.run('INSERT INTO t VALUES (1)') // done in memory
      const degraded = await window.until(async () => (await db.health()).storage.lastError)
      const refused = await window.until(async () => {
        const failed = await window.failure(() => db.run('INSERT INTO t VALUES (2)'))
        return failed.details?.applied === false && failed
      })
      await repair()
      await db.flush().catch(() => {})
      await window.until(async () => (await window.failure(() => db.run('INSERT INTO t VALUES (3)'))).resolved)
      const rows = (await db.query('SELECT n FROM t ORDER BY n')).map((row) => row.n)
      await db.close()
      return { degraded, refused, rows }
    },
    [name, breakages['a full disk'].shatter.toString()],
  )
  assert.equal(seen.degraded.code, 'storage_quota_exceeded')
  assert.equal(seen.refused.code, 'storage_quota_exceeded')
  await page.close()
  assert.deepEqual(await stored(name), seen.rows)
})

test('another tab begins a version change and ends it: writes go on after a while, snapshots too', inPage, async () => {
  const { name, page, other } = await openedBeside()
  const upset = () =>
    other.evaluate(
      (given) =>
        new Promise((resolve) => {
          const request = indexedDB.open(`tidelock/${given}`, 7)
          request.onupgradeneeded = () => request.transaction.abort()
          request.onerror = resolve
        }),
      name,
    )
  await upset()
  const seen = await page.evaluate(async () => {
    const first = await window.failure(() => window.db.run('INSERT INTO t VALUES (1)'))
    await window.until(async () => (await window.failure(() => window.db.run('INSERT INTO t VALUES (2)'))).resolved)
    return { first, health: await window.db.health() }
  })
  assert.deepEqual([seen.first.code, seen.first.details.applied], ['storage_unavailable', true])
  assert.equal(seen.health.status, 'ok')
  await upset()
  const made = await page.evaluate(async () => {
    const { id } = await window.db.snapshots.create()
    return (await window.db.snapshots.verify(id)).ok
  })
  assert.equal(made, true)
  await upset()
  assert.equal(
    await page.evaluate(async () => (await window.db.snapshots.verify((await window.db.snapshots.list())[0].id)).ok),
    true,
  )
  await page.evaluate(() => window.db.close())
  await Promise.all([page.close(), other.close()])
  assert.ok((await stored(name)).length >= 2)
})

test('another tab holds a version change: nothing is lost, and writes go on when it ends', inWorker, async () => {
  const { name, page, other } = await openedBeside()
  await other.evaluate((given) => {
    const hold = (given) => {
      const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
      let isOver = false
      globalThis.addEventListener('message', () => {
        isOver = true
      })
      const request = indexedDB.open(`tidelock/${given}`, 7)
      request.onupgradeneeded = () => {
        const { transaction } = request
        const keepAlive = () => {
          if (isOver) return transaction.abort()
          Atomics.wait(new Int32Array(memory.buffer), 0, 0, 50) // or requests one after the other would keep a processor busy
          transaction.objectStore('meta').get('head').onsuccess = keepAlive
        }
        keepAlive()
        postMessage('held')
      }
    }
    window.holder = new Worker(URL.createObjectURL(new Blob([`(${hold})(${JSON.stringify(given)})`])))
    return new Promise((resolve) => {
      window.holder.onmessage = () => resolve()
    })
  }, name)
  const failed = await page.evaluate(async () => window.failure(() => window.db.run('INSERT INTO t VALUES (1)')))
  assert.deepEqual([failed.code, failed.details.applied], ['storage_unavailable', true])
  assert.deepEqual(await page.evaluate(() => window.db.query('SELECT n FROM t')), [{ n: 1 }])
  await other.evaluate(() => window.holder.postMessage('over'))
  await page.evaluate(() =>
    window.until(async () => (await window.failure(() => window.db.run('INSERT INTO t VALUES (2)'))).resolved, 20_000),
  )
  await page.evaluate(() => window.db.close())
  await Promise.all([page.close(), other.close()])
  assert.ok((await stored(name)).includes(1))
})

test('a database that another tab deletes is never made anew in passing', inWorker, async () => {
  const { name, page, other } = await openedBeside()
  await other.evaluate(
    (given) =>
      new Promise((resolve, reject) => {
        const request = indexedDB.deleteDatabase(`tidelock/${given}`)
        request.onsuccess = resolve
        request.onerror = () => reject(request.error)
      }),
    name,
  )
  const seen = await page.evaluate(async () => {
    const first = await window.failure(() => window.db.run('INSERT INTO t VALUES (1)'))
    const lost = await window.until(async () => {
      const failed = await window.failure(() => window.db.run('INSERT INTO t VALUES (2)'))
      return failed.code === 'lock_lost' && failed
    })
    const health = await window.db.health()
    await window.failure(() => window.db.close())
    const left = (await indexedDB.databases()).map((one) => one.name)
    return { first, lost, health, left }
  })
  assert.deepEqual([seen.first.code, seen.first.details.applied], ['lock_lost', false])
  assert.deepEqual([seen.health.status, seen.health.lock.state], ['failed', 'lost'])
  assert.ok(!seen.left.includes(`tidelock/${name}`))
  await Promise.all([page.close(), other.close()])
})

test(
  'the first write after the site data was cleared loses the lock, and says that it is not applied',
  inPage,
  async () => {
    const { page, other } = await openedBeside()
    await clearSiteData(page)
    const failed = await page.evaluate(() => window.failure(() => window.db.run('INSERT INTO t VALUES (1)')))
    assert.deepEqual([failed.code, failed.details?.applied], ['lock_lost', false], JSON.stringify(failed))
    await Promise.all([page.close(), other.close()])
  },
)

test('a database that a newer app takes over is left alone', inPage, async () => {
  const { name, page, other } = await openedBeside('CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)')
  await other.evaluate(
    (given) =>
      new Promise((resolve) => {
        const request = indexedDB.open(`tidelock/${given}`, 7)
        request.onsuccess = () => resolve(request.result.close())
      }),
    name,
  )
  const seen = await page.evaluate(async () => {
    const refused = await window.until(async () => {
      const failed = await window.failure(() => window.db.run('INSERT INTO t VALUES (2)'))
      return failed.details?.applied === false && failed
    })
    const rows = await window.db.query('SELECT n FROM t WHERE n = 1')
    await window.failure(() => window.db.close())
    return { refused, rows }
  })
  assert.equal(seen.refused.code, 'snapshot_incompatible')
  assert.deepEqual(seen.rows, [{ n: 1 }])
  await Promise.all([page.close(), other.close()])
})

/** A file system of that many bytes in memory → its folder, or undefined where it can't be mounted. */
function smallDisk(bytes) {
  const folder = mkdtempSync(path.join(tmpdir(), 'tidelock-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder], { stdio: 'ignore' })
    return folder
  } catch {
    rmSync(folder, { recursive: true })
  }
}

test('a disk that is really full', inWorker, async (t) => {
  const disk = smallDisk(48 * 1024 * 1024)
  if (disk === undefined) return t.diagnostic('no tmpfs can be mounted here: nothing was tested')
  const browser = new Browser({ args: ['--disk-cache-size=1', '--media-cache-size=1'] }, path.join(disk, 'profile'))
  try {
    await browser.start()
    const name = freshName()
    const page = await browser.page()
    await context.load(page)
    await page.evaluate(async (given) => {
      window.db = await window.open({ name: given })
      await window.db.exec('CREATE TABLE t (n INTEGER, filler BLOB)')
      await window.db.run('INSERT INTO t VALUES (0, randomblob(100000))')
    }, name)
    const { bavail, bsize } = statfsSync(disk)
    const ballast = path.join(disk, 'ballast')
    writeFileSync(ballast, Buffer.alloc(bavail * bsize - 3_000_000, 1))
    const seen = await page.evaluate(async () => {
      const acknowledged = [0]
      const applied = []
      const codes = new Set()
      let n = 0
      await window.until(async () => {
        n++
        const { code, details } = await window.failure(() =>
          window.db.run('INSERT INTO t VALUES (?, randomblob(100000))', [n]),
        )
        if (code === undefined) return void acknowledged.push(n)
        codes.add(code)
        if (details.applied) return void applied.push(n)
        return true
      }, 30_000)
      const { n: rows } = await window.db.get('SELECT count(*) AS n FROM t')
      return { acknowledged, applied, codes: [...codes], rows, status: (await window.db.health()).status }
    })
    assert.ok(
      seen.codes.every((code) => ['storage_quota_exceeded', 'storage_unavailable'].includes(code)),
      String(seen.codes),
    )
    assert.equal(seen.rows, seen.acknowledged.length + seen.applied.length)
    assert.equal(seen.status, 'failed')
    rmSync(ballast)
    await page.evaluate(() =>
      window.until(
        async () => (await window.failure(() => window.db.run("INSERT INTO t VALUES (-1, 'yes')"))).resolved,
        30_000,
      ),
    )
    await browser.kill()
    await browser.start()
    const after = await browser.page()
    await context.load(after)
    const found = await after.evaluate(async (given) => {
      const db = await window.open({ name: given })
      const rows = await db.query('SELECT n FROM t ORDER BY n')
      const integrity = await db.query('PRAGMA integrity_check')
      await db.close()
      return { rows: rows.map((row) => row.n), integrity, madeAnew: window.madeAnew }
    }, name)
    assert.deepEqual(
      found.rows,
      [-1, ...seen.acknowledged, ...seen.applied].sort((a, b) => a - b),
      JSON.stringify(found.madeAnew),
    )
    assert.deepEqual(found.integrity, [{ integrity_check: 'ok' }])
  } finally {
    await browser.dispose()
    execFileSync('umount', ['-l', disk])
    rmSync(disk, { recursive: true })
  }
})
