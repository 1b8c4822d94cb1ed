// `tidelock/testing`: faults of the storage and the clock, in Node and in Chromium. The fake remote has testing-remote.test.mjs.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as tidelock from '../../pkg-js/dist/index.js'
import * as testing from '../../pkg-js/dist/integrations/testing/index.js'
import { Browser } from '../e2e/browser.mjs'
import { serve } from '../e2e/serve.mjs'
import { failureOf, until } from '../scenarios/run/context.mjs'

/**
 * What holds in Node and in a page. Each function gets `{ tidelock, testing, options(more), failure, until, node }` and runs there, so it
 * uses nothing else; what it returns is compared with what stands behind it.
 */
const scenarios = {
  'a flush that fails is told, and stored by the next try': [
    async ({ tidelock, testing, options, failure, where }) => {
      const given = options()
      let db = await tidelock.open(given)
      await db.exec('CREATE TABLE t (n INTEGER)')
      const codes = []
      for (const code of ['storage_quota_exceeded', 'storage_unavailable']) {
        const fault = await testing.failNextFlush(db, code, where(given))
        const failed = await failure(db.run('INSERT INTO t VALUES (1)'))
        codes.push(failed.code, failed.details.applied, fault.met)
        await db.flush()
        await db.run('INSERT INTO t VALUES (2)')
        fault.remove()
      }
      await db.close()
      db = await tidelock.open(given)
      const rows = await db.query('SELECT count(*) AS n FROM t')
      await db.close()
      return [codes, rows]
    },
    [['storage_quota_exceeded', true, 1, 'storage_unavailable', true, 1], [{ n: 4 }]],
  ],

  'a disk that stays full: writes are refused until it has room': [
    async ({ tidelock, testing, options, failure, until, where }) => {
      const given = options()
      const db = await tidelock.open(given)
      await db.exec('CREATE TABLE t (n INTEGER)')
      const fault = await testing.failNextFlush(db, 'storage_quota_exceeded', {
        ...where(given),
        times: Number.POSITIVE_INFINITY,
      })
      await failure(db.run('INSERT INTO t VALUES (1)'))
      const refused = await until(async () => {
        const failed = await failure(db.run('INSERT INTO t VALUES (2)'))
        return failed.details?.applied === false && failed
      })
      const health = (await db.health()).status
      fault.remove()
      await until(async () => 'resolved' in (await failure(db.run('INSERT INTO t VALUES (3)'))))
      await db.close()
      return [refused.code, health, fault.met >= 3]
    },
    ['storage_quota_exceeded', 'failed', true],
  ],

  'after a crash there is what was stored, and the database opens at once': [
    async ({ tidelock, testing, options, failure, where }) => {
      const given = { ...options(), durability: 'snapshot' }
      let db = await tidelock.open(given)
      await db.exec('CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (1)')
      await db.flush()
      await db.run('INSERT INTO t VALUES (2)')
      await testing.crash(db, where(given))
      const after = [db.closed, (await failure(db.query('SELECT 1'))).code]
      db = await tidelock.open(given)
      const rows = await db.query('SELECT n FROM t')
      await db.run('INSERT INTO t VALUES (3)')
      await db.close()
      db = await tidelock.open(given)
      const later = await db.query('SELECT n FROM t')
      await db.close()
      return [after, rows, later]
    },
    [[true, 'closed'], [{ n: 1 }], [{ n: 1 }, { n: 3 }]],
  ],

  'a crash in a transaction stores nothing of it': [
    async ({ tidelock, testing, options, where }) => {
      const given = options()
      let db = await tidelock.open(given)
      await db.exec('CREATE TABLE t (n INTEGER)')
      let crashing
      const writing = db.transaction(async (tx) => {
        await tx.run('INSERT INTO t VALUES (1)')
        crashing = testing.crash(db, where(given))
        // In a page, the fault begins once the lock was looked up.
        for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
      })
      const [written] = await Promise.allSettled([
        writing,
        writing
          .then(
            () => {},
            () => {},
          )
          .then(() => crashing),
      ])
      db = await tidelock.open(given)
      const rows = await db.query('SELECT n FROM t')
      await db.close()
      return [written.reason?.code, rows]
    },
    ['storage_unavailable', []],
  ],

  'wrong use is told': [
    async ({ tidelock, testing, options, failure, where }) => {
      const given = options()
      const [db, again] = [await tidelock.open(given), await tidelock.open(given)]
      await db.exec('CREATE TABLE t (n INTEGER)')
      const { crash, failNextFlush, stealLock } = testing
      const failures = []
      for (const call of [
        () => crash(db, where(given)),
        () => crash(db, where(given)),
        () => failNextFlush(again, 'timeout', where(given)),
        () => failNextFlush(undefined, 'storage_unavailable'),
        () => stealLock(db),
      ]) {
        const { code, hint } = await failure(call)
        failures.push(`${code}${hint ? '' : ' without a hint'}`)
      }
      await again.run('INSERT INTO t VALUES (1)')
      const rows = await again.query('SELECT n FROM t')
      await again.close()
      const memory = await tidelock.open({ name: 'm', storage: 'memory' })
      const nothing = await failure(crash(memory))
      await memory.close()
      return [failures, rows, ['invalid_argument', 'unsupported_environment'].includes(nothing.code)]
    },
    [['invalid_argument', 'closed', 'invalid_argument', 'invalid_argument', 'closed'], [{ n: 1 }], true],
  ],

  'a clock that the test moves: dates, timers, intervals': [
    async ({ testing, failure }) => {
      const real = [Date, setTimeout, performance.now]
      const clock = testing.fakeClock({ now: '2026-01-01T00:00:00Z' })
      try {
        const log = []
        const began = performance.now()
        const at = () => `${new Date().toISOString().slice(17, 23)} ${performance.now() - began}`
        setTimeout(() => log.push(`once ${at()}`), 1500)
        const interval = setInterval(() => log.push(`each ${at()}`), 1000)
        const cleared = setTimeout(() => log.push('never'), 10)
        clearTimeout(cleared)
        await clock.advance(999)
        log.push(`between ${at()}`)
        await clock.advance(1001)
        clearInterval(interval)
        await clock.advance(5000)
        log.push(clock.now.toISOString(), new Date(0).toISOString(), String(new Date() instanceof Date))
        const second = await failure(() => testing.fakeClock())
        const backwards = await failure(clock.advance(-1))
        clock.restore()
        const restored = [Date, setTimeout, performance.now].every((each, at) => each === real[at])
        return [log, second.code, backwards.code, restored]
      } finally {
        clock.restore()
      }
    },
    [
      [
        'between 00.999 999',
        'each 01.000 1000',
        'once 01.500 1500',
        'each 02.000 2000',
        '2026-01-01T00:00:07.000Z',
        '1970-01-01T00:00:00.000Z',
        'true',
      ],
      'invalid_argument',
      'invalid_argument',
      true,
    ],
  ],

  'automatic sync on the clock of the test, over a fake remote': [
    async ({ tidelock, testing, options, failure }) => {
      const remote = testing.fakeRemote({ tables: { t: [{ id: 1, n: 'one' }] } })
      const { url, key, fetch } = remote
      const clock = testing.fakeClock()
      try {
        const db = await tidelock.open({ ...options(), remote: { url, key, fetch, tables: ['t'] } })
        await db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT)')
        const count = async () => (await db.query('SELECT n FROM t')).length
        db.sync.start({ intervalMs: 60_000 })
        await clock.until(async () => (await count()) === 1, { advanceMs: 100 })
        remote.insert('t', { id: 2, n: 'two' })
        await clock.advance(30_000)
        const between = await count()
        await clock.until(async () => (await count()) === 2, { advanceMs: 1000 })
        remote.offline = true
        await db.run("INSERT INTO t VALUES (3, 'three')")
        await clock.advance(60_000)
        const offline = remote.rows('t').length
        remote.recover()
        await clock.until(() => remote.rows('t').length === 3, { advanceMs: 1000 })
        const never = await failure(clock.until(() => false, { timeoutMs: 1 }))
        await db.close()
        return [between, offline, never.code]
      } finally {
        clock.restore()
      }
    },
    [1, 2, 'timeout'],
  ],
}

test('fakeRemote knows the types of its columns', () => {
  assert.throws(() => testing.fakeRemote({ tables: { t: { columns: { id: 'int4' } } } }), {
    code: 'invalid_argument',
    message: "The column id of the fake remote has the unknown type 'int4'",
  })
})

test('fakeRemote stores the time of a soft deletion', async () => {
  const remote = testing.fakeRemote({
    tables: { notes: { columns: { id: 'text', deleted_at: 'timestamptz' }, rows: [{ id: 'a', deleted_at: null }] } },
  })
  const options = { url: remote.url, key: remote.key, fetch: remote.fetch }
  const db = await tidelock.open({
    name: 'soft',
    storage: 'memory',
    migrations: [{ version: '1', name: 'notes', up: 'CREATE TABLE notes (id TEXT PRIMARY KEY)' }],
    remote: { ...options, tables: [{ table: 'notes', deleted: 'deleted_at', columns: ['id'] }] },
  })
  await db.sync.run()
  await db.run('DELETE FROM notes')
  await db.sync.run()
  assert.deepEqual(await db.sync.rejected(), [])
  assert.match(remote.rows('notes')[0].deleted_at, /^\d{4}-\d\d-\d\dT/)
  await db.close()
})

describe('in Node', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'tidelock-testing-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  let names = 0
  const context = {
    tidelock,
    testing,
    failure: failureOf(tidelock),
    until,
    options: () => {
      const name = `testing-${++names}`
      return { name, storage: 'file', path: path.join(folder, name), onWarning() {} }
    },
    where: ({ path }) => ({ path }),
  }
  for (const [title, [work, expected]] of Object.entries(scenarios))
    test(title, { timeout: 30_000 }, async () => assert.deepEqual(await work(context), expected))

  test('a lock of a folder can not be stolen, and a folder without a database is told', async () => {
    const { failure, options } = context
    const db = await tidelock.open(options())
    assert.equal((await failure(testing.stealLock(db))).code, 'unsupported_environment')
    const lost = await failure(testing.failNextFlush(db, 'storage_unavailable', { path: folder }))
    assert.deepEqual([lost.code, lost.details.path], ['invalid_argument', folder])
    await db.close()
  })
})

describe('in Chromium', () => {
  let server
  let browser
  let page
  before(async () => {
    const dist = fileURLToPath(new URL('../../pkg-js/dist/', import.meta.url))
    const context = fileURLToPath(new URL('../scenarios/run/context.mjs', import.meta.url))
    server = await serve({
      folders: { '/tidelock/': dist, '/run/': path.dirname(context) },
      files: {
        '/index.html': `<!doctype html><script type="module">
          import * as tidelock from '/tidelock/index.js'
          import * as testing from '/tidelock/integrations/testing/index.js'
          import { failureOf, until } from '/run/context.mjs'
          let names = 0
          const options = () => ({ name: 'testing-' + ++names, onWarning() {} })
          window.context = { tidelock, testing, failure: failureOf(tidelock), until, options, where: () => ({}) }
        </script>`,
      },
    })
    browser = new Browser()
    await browser.start()
    page = await browser.page()
    await page.goto(`${server.url}/`)
    await page.waitForFunction(() => window.context)
  })
  after(async () => {
    await browser?.dispose()
    await server?.close()
  })
  const inPage = (work) =>
    page.evaluate((source) => new Function(`return (${source})`)()(window.context), work.toString())

  for (const [title, [work, expected]] of Object.entries(scenarios))
    test(title, { timeout: 30_000 }, async () => assert.deepEqual(await inPage(work), expected))

  test('a stolen lock', async () => {
    const seen = await inPage(async ({ tidelock, testing, options, failure }) => {
      const given = options()
      const db = await tidelock.open(given)
      await db.exec('CREATE TABLE t (n INTEGER)')
      const told = []
      db.addEventListener('lock', ({ detail }) => told.push(detail.state))
      await testing.stealLock(db)
      const failed = await failure(db.run('INSERT INTO t VALUES (1)'))
      await db.close()
      const again = await tidelock.open(given)
      const rows = await again.query('SELECT n FROM t')
      await again.close()
      return [told, failed.code, rows]
    })
    assert.deepEqual(seen, [['lost'], 'lock_lost', []])
  })

  test('an engine in a worker is out of reach', async () => {
    const failed = await inPage(async ({ tidelock, testing, options, failure }) => {
      const db = await tidelock.open({ ...options(), thread: 'worker' })
      const failed = await failure(testing.crash(db))
      await db.close()
      return failed
    })
    assert.equal(failed.code, 'unsupported_environment')
    assert.match(failed.hint, /thread: 'current'/)
  })
})
