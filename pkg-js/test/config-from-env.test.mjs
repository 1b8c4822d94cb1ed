import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkOptions } from '../src/options/check-options.ts'
import { configFromEnv } from '../src/options/config-from-env.ts'
import { checkLazyOptions } from '../src/options/lazy-options.ts'

const supabase = { SUPABASE_URL: 'https://abcdefgh.supabase.co', SUPABASE_PUBLISHABLE_KEY: 'sb_publishable_x' }
const remote = { url: supabase.SUPABASE_URL, key: supabase.SUPABASE_PUBLISHABLE_KEY, tables: [] }

function read(env) {
  const warnings = []
  return { config: configFromEnv(env, (warning) => warnings.push(warning)), warnings }
}

const prefixed = (prefix, env) => Object.fromEntries(Object.entries(env).map(([name, value]) => [prefix + name, value]))

for (const prefix of ['', 'VITE_', 'NEXT_PUBLIC_', 'PUBLIC_']) {
  test(`a local database, Supabase, both and neither, with the prefix '${prefix}'`, () => {
    const local = prefixed(prefix, { TIDELOCK_DATABASE: 'shop' })
    const cloud = prefixed(prefix, supabase)
    assert.deepEqual(read(local), { config: { name: 'shop', mode: 'local' }, warnings: [] })
    assert.deepEqual(read(cloud), { config: { name: 'abcdefgh', mode: 'cloud', remote }, warnings: [] })
    const both = read({ ...local, ...cloud })
    assert.deepEqual(both.config, { name: 'shop', mode: 'local', remote })
    assert.deepEqual(
      both.warnings.map((warning) => warning.code),
      ['local_database_wins'],
    )
    assert.throws(() => read(prefixed(prefix, { OTHER: 'x' })), { code: 'invalid_argument' })
  })
}

test('the warning goes to the console, once', (t) => {
  const warn = t.mock.method(console, 'warn', () => {})
  configFromEnv({ TIDELOCK_DATABASE: 'shop', ...supabase })
  assert.equal(warn.mock.callCount(), 1)
})

test('the publishable key is preferred to the anon key', () => {
  const { SUPABASE_PUBLISHABLE_KEY: _, ...url } = supabase
  assert.equal(read({ ...url, SUPABASE_ANON_KEY: 'anon' }).config.remote.key, 'anon')
  assert.equal(read({ ...supabase, SUPABASE_ANON_KEY: 'anon' }).config.remote.key, 'sb_publishable_x')
  assert.throws(() => read(url), { code: 'invalid_argument', message: /SUPABASE_PUBLISHABLE_KEY/ })
})

test('empty values and values of other types are ignored', () => {
  assert.throws(() => read({ TIDELOCK_DATABASE: ' ', SUPABASE_URL: '', DEV: true, TIDELOCK: 1 }), {
    code: 'invalid_argument',
  })
})

test('the interval of snapshots must be a whole number of milliseconds', () => {
  const env = { TIDELOCK_DATABASE: 'shop' }
  assert.deepEqual(read({ ...env, TIDELOCK_SNAPSHOT_INTERVAL_MS: '60000' }).config.snapshots, { intervalMs: 60_000 })
  for (const bad of ['x', '0', '-1', '1.5']) {
    assert.throws(() => read({ ...env, TIDELOCK_SNAPSHOT_INTERVAL_MS: bad }), {
      code: 'invalid_argument',
      message: /TIDELOCK_SNAPSHOT_INTERVAL_MS/,
    })
  }
})

test('a project on another host has the name of its host', () => {
  assert.equal(read({ ...supabase, SUPABASE_URL: 'http://127.0.0.1:54321' }).config.name, '127.0.0.1:54321')
  assert.throws(() => read({ ...supabase, SUPABASE_URL: 'nowhere' }), { code: 'invalid_argument' })
})

test('open accepts the result', () => {
  const { config } = read({ TIDELOCK_DATABASE: 'shop', ...supabase, TIDELOCK_SNAPSHOT_INTERVAL_MS: '5000' })
  const checked = checkOptions(config, { title: '', url: '', server: false, secrets: false })
  assert.equal(checked.snapshots.intervalMs, 5000)
  assert.equal(checkLazyOptions(config, false).remote.url, supabase.SUPABASE_URL)
})
