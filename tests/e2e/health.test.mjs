// What a database says about itself, and the options that come from an environment.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'

const context = suite()

test('health tells everything, truthfully, and never rejects', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const migrations = [
      { version: '1', name: 'a', up: 'CREATE TABLE t (n, filler)' },
      { version: '2', name: 'b', up: 'CREATE TABLE u (n)' },
    ]
    const first = await window.open({ name, migrations: migrations.slice(0, 1) })
    await first.close()
    const db = await window.open({ name, migrations, migrate: false })
    const early = await db.health()
    await db.migrations.run()
    await db.runMany(
      'INSERT INTO t VALUES (?, randomblob(1000))',
      Array.from({ length: 500 }, (_, i) => [i]),
    )
    for (let i = 0; i < 20; i++) await db.query('SELECT count(*) FROM t')
    await window.failure(() => db.query('SELECT * FROM nowhere'))
    const made = await db.snapshots.create()
    const health = await db.health()
    const size = (await db.export()).length
    await db.close()
    const closed = await db.health()
    const again = await window.open({ name, migrations, durability: 'strict' })
    const later = await again.health()
    await again.close()
    return { early, health, size, closed, later, made, now: Date.now() }
  }, freshName())
  const { early, health, closed, later } = result
  assert.deepEqual(Object.keys(health).sort(), [
    'alerts',
    'database',
    'lock',
    'migrations',
    'name',
    'queries',
    'snapshot',
    'status',
    'storage',
    'sync',
    'timestamp',
  ])
  assert.equal(health.status, 'ok')
  assert.equal(health.database, 'local')
  assert.ok(health.name.startsWith('e2e-'))
  assert.ok(Math.abs(new Date(health.timestamp) - result.now) < 60_000)
  assert.deepEqual([early.migrations.current, early.migrations.pending], ['1', 1])
  assert.deepEqual(health.migrations, { current: '2', pending: 0, modified: 0 })
  assert.equal(health.lock.state, 'held')
  assert.ok(later.lock.epoch > health.lock.epoch, 'each opening is an epoch')
  assert.ok(Math.abs(new Date(health.snapshot.lastSuccess) - new Date(result.made.createdAt)) < 5000)
  assert.deepEqual([health.snapshot.lastError, health.snapshot.consecutiveFailures], [null, 0])
  assert.ok(health.snapshot.count >= 1 && health.snapshot.bytes > 0 && health.snapshot.nextAt)
  assert.deepEqual(
    [health.storage.kind, health.storage.durability, health.storage.lastError],
    ['indexeddb', 'relaxed', null],
  )
  assert.equal(later.storage.durability, 'strict')
  assert.equal(health.storage.bytes, result.size)
  assert.ok(health.storage.usage > 0 && health.storage.quota > health.storage.usage)
  assert.equal(typeof health.storage.persisted, 'boolean')
  assert.deepEqual([health.sync.pending, health.sync.rejected, health.sync.lastError], [0, 0, null])
  assert.ok(health.queries.count >= 22 && health.queries.errors >= 1)
  assert.ok(
    health.queries.p50Ms >= 0 && health.queries.p95Ms >= health.queries.p50Ms && Array.isArray(health.queries.slow),
  )
  for (const alert of health.alerts)
    assert.ok(alert.code && alert.message && ['info', 'warning'].includes(alert.severity))
  assert.ok(
    health.storage.persisted ||
      health.alerts.some((alert) => alert.code === 'storage_not_persisted' && alert.severity === 'info'),
  )
  assert.equal(closed.status, 'failed')
  assert.notEqual(closed.lock.state, 'held')
  await page.close()
})

test('health names the slow ones without their values', async () => {
  const page = await context.page()
  const queries = await page.evaluate(async (name) => {
    const db = await window.open({ name, storage: 'memory' })
    await db.query(
      'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT count(*), ? AS s FROM n',
      ['hunter2-4711'],
    )
    const health = await db.health()
    await db.close()
    return health.queries
  }, freshName())
  assert.ok(!JSON.stringify(queries).includes('hunter2'))
  assert.ok(queries.count >= 1)
  await page.close()
})

test('configFromEnv: prefixes, local wins with one warning, neither is an error', async () => {
  const page = await context.page()
  const result = await page.evaluate(() => {
    const warned = []
    const { warn } = console
    console.warn = (...parts) => warned.push(parts.join(' '))
    const of = (env) => {
      try {
        return window.tidelock.configFromEnv(env)
      } catch (error) {
        return error.code
      }
    }
    const supabase = { SUPABASE_URL: 'https://x.supabase.co', SUPABASE_ANON_KEY: 'anon' }
    const out = {
      local: of({ TIDELOCK_DATABASE: 'shop', TIDELOCK_SNAPSHOT_INTERVAL_MS: '60000' }),
      vite: of({ VITE_TIDELOCK_DATABASE: 'shop' }),
      next: of({ NEXT_PUBLIC_TIDELOCK_DATABASE: 'shop' }),
      public: of({ PUBLIC_TIDELOCK_DATABASE: 'shop' }),
      cloud: of({ ...supabase, SUPABASE_PUBLISHABLE_KEY: 'publishable' }),
      neither: of({}),
      badInterval: of({ TIDELOCK_DATABASE: 'shop', TIDELOCK_SNAPSHOT_INTERVAL_MS: 'soon' }),
    }
    const quiet = warned.length
    out.both = of({ TIDELOCK_DATABASE: 'shop', ...supabase })
    console.warn = warn
    return { ...out, quiet, warned: warned.length }
  })
  assert.equal(result.local.name, 'shop')
  assert.equal(result.local.snapshots.intervalMs, 60_000)
  for (const key of ['vite', 'next', 'public', 'both']) assert.equal(result[key].name, 'shop', key)
  assert.equal(result.both.mode ?? 'local', 'local')
  assert.equal(result.cloud.remote.url, 'https://x.supabase.co')
  assert.equal(result.cloud.remote.key, 'publishable')
  assert.deepEqual([result.neither, result.badInterval], ['invalid_argument', 'invalid_argument'])
  assert.deepEqual([result.quiet, result.warned], [0, 1])
  await page.close()
})
