// What `doctor` sees: a browser that has everything, one that lacks something, and a remote in good and bad order.
import assert from 'node:assert/strict'
import { suite, test } from './harness.mjs'

const seed = `
  create table notes (id bigint primary key, body text, updated_at timestamptz);
  insert into notes values (1, 'a', now()), (2, 'b', null);
  create table tasks (id bigint primary key, updated_at timestamptz not null default now());
  insert into tasks values (1);
  create table hidden (id bigint primary key);
  insert into hidden values (1);
  alter table hidden enable row level security;
  grant select on notes, tasks, hidden to anon;
  create table locked (id bigint primary key);
  revoke all on locked from anon;
`
const context = suite({ remote: { seed } })

/** Its checks by name; that each has what the contract says is looked at here. */
function byName({ ok, checks }) {
  for (const check of checks) {
    assert.deepEqual(Object.keys(check).sort(), ['hint', 'message', 'name', 'ok'])
    assert.ok(check.name && check.message && typeof check.ok === 'boolean')
    assert.ok(check.hint === null || typeof check.hint === 'string')
  }
  assert.equal(
    ok,
    checks.every((check) => check.ok),
  )
  return Object.fromEntries(checks.map((check) => [check.name, check]))
}

const once = { only: 'current', because: 'it looks at the page, without any database' }

test('a browser that has everything', once, async () => {
  const page = await context.page()
  const { diagnosis, left } = await page.evaluate(async () => {
    const diagnosis = await tidelock.doctor()
    const left = (await indexedDB.databases()).map(({ name }) => name).filter((name) => name.includes('doctor'))
    return { diagnosis, left }
  })
  const checks = byName(diagnosis)
  assert.equal(diagnosis.ok, true, JSON.stringify(diagnosis.checks.filter((check) => !check.ok)))
  assert.deepEqual(Object.keys(checks).sort(), [
    'compression',
    'crypto',
    'indexeddb',
    'persistence',
    'storage',
    'wasm',
    'web-locks',
    'worker',
  ])
  assert.match(checks.persistence.hint, /persist/)
  assert.deepEqual(left, [], 'nothing stays')
})

test('what is missing is named, with what to do', once, async () => {
  const page = await context.page()
  const diagnosis = await page.evaluate(async () => {
    Object.defineProperty(navigator, 'locks', { value: undefined, configurable: true })
    IDBFactory.prototype.open = () => {
      throw new DOMException(
        'A mutation operation was attempted on a database that did not allow mutations.',
        'InvalidStateError',
      )
    }
    navigator.storage.estimate = async () => ({ usage: 95e6, quota: 100e6 })
    return tidelock.doctor({ wasm: new URL('/nothing-here.wasm', location.href) })
  })
  const checks = byName(diagnosis)
  assert.equal(diagnosis.ok, false)
  assert.equal(checks['web-locks'].ok, false)
  assert.match(checks['web-locks'].hint, /https/)
  assert.equal(checks.indexeddb.ok, false)
  assert.match(checks.indexeddb.message, /mutation/)
  assert.equal(checks.storage.ok, false)
  assert.match(checks.storage.message, /95 %/)
  assert.equal(checks.wasm.ok, false)
  assert.equal(checks.crypto.ok, true)
})

test('a remote: its tables one by one', once, async () => {
  const page = await context.page()
  const { url, anonKey, secretKey, serviceKey } = context.remote
  const diagnose = async (remote) => {
    const diagnosis = await page.evaluate((given) => {
      const { token, ...remote } = given
      return tidelock.doctor({ remote: { ...remote, ...(token ? { accessToken: async () => token } : {}) } })
    }, remote)
    return byName(diagnosis)
  }
  const tables = [
    { table: 'notes', cursor: 'updated_at' },
    { table: 'tasks', cursor: 'updated_at' },
    { table: 'local_name', remoteTable: 'hidden' },
    'locked',
    'absent',
  ]
  const checks = await diagnose({ url, key: anonKey, tables })
  assert.equal(checks.remote.ok, true)
  assert.equal(checks.token.ok, true)
  assert.deepEqual([checks['table notes'].ok, /NULL/.test(checks['table notes'].message)], [false, true])
  assert.equal(checks['table tasks'].ok, true)
  assert.equal(checks['table local_name'].ok, true)
  assert.match(checks['table local_name'].hint, /row security/i)
  assert.deepEqual([checks['table locked'].ok, checks['table absent'].ok], [false, false])
  assert.match(checks['table locked'].message, /40[13]/)
  assert.match(checks['table absent'].message, /404/)

  const wrongKey = await diagnose({ url, key: 'sb_publishable_of_another_project', tables: ['tasks'] })
  assert.equal(wrongKey.remote.ok, false)
  for (const key of [secretKey, serviceKey]) {
    const { remote } = await diagnose({ url, key, tables: [] })
    assert.deepEqual([remote.ok, /secret/.test(remote.message)], [false, true])
  }
  const expired = context.remote.jwtFor('user-1', { exp: 1_000_000_000 })
  const late = await diagnose({ url, key: anonKey, token: expired, tables: [] })
  assert.deepEqual([late.token.ok, /expired/.test(late.token.message)], [false, true])
  const nowhere = await diagnose({ url: 'http://127.0.0.1:9', key: anonKey, tables: ['tasks'] })
  assert.deepEqual([nowhere.remote.ok, nowhere['table tasks'].ok], [false, false])
  assert.match(nowhere.remote.hint, /CORS/)
})

test('options without sense are refused', once, async () => {
  const page = await context.page()
  const codes = await page.evaluate(async () => {
    const codes = []
    for (const options of [{ remote: {} }, { remote: { url: 'nowhere', key: 'k', tables: [] } }, { nonsense: 1 }, 5])
      codes.push((await window.failure(tidelock.doctor(options))).code)
    return codes
  })
  assert.deepEqual(codes, Array(4).fill('invalid_argument'))
})
