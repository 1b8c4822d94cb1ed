// What tabs that share a database decide, without a browser: who waits how long, who may join, what is sent again.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../../tests/scenarios/run/context.mjs'
import { compareVersions } from '../src/base/versions.ts'
import { replyBytes, replyOf } from '../src/rpc/reply.ts'
import { factsOf, judge } from '../src/tabs/compatibility.ts'
import { Patience } from '../src/tabs/liveness.ts'
import { Sendings } from '../src/tabs/sending.ts'
import { Lost } from '../src/tabs/serving.ts'
import { mayWrite, Units } from '../src/tabs/write-ids.ts'
import { facts, one, two } from './tab-facts.mjs'

test('a leader is frozen when three questions and three seconds had no answer', () => {
  const patience = new Patience(10_000, 0)
  for (let at = 1000; at <= 3000; at += 1000) {
    assert.equal(patience.isFrozen(at), false)
    patience.asks()
  }
  assert.equal(patience.isFrozen(3000), true)
  assert.equal(patience.isUnreachable(3000), false)
  assert.equal(patience.isUnreachable(10_000), true)
  patience.heard(10_000, true)
  assert.equal(patience.isFrozen(20_000), false)
  assert.equal(patience.isUnreachable(20_000), false)
})

test('a tab that was asleep itself asks again before it doubts the leader', () => {
  const patience = new Patience(10_000, 0)
  patience.asks()
  assert.equal(patience.isFrozen(3_600_000), false)
  assert.equal(patience.isUnreachable(3_600_000), false)
})

test('who is about to lead is not frozen, but nobody waits for it for ever', () => {
  const patience = new Patience(10_000, 0)
  for (let at = 1000; at < 10_000; at += 1000) {
    patience.asks()
    patience.heard(at, false)
    assert.equal(patience.isFrozen(at) || patience.isUnreachable(at), false)
  }
  assert.equal(patience.isUnreachable(10_000), true)
})

const verdict = (leader, tab) => judge(leader, tab).code ?? judge(leader, tab)

test('who may join, who is to lead, and who is refused', () => {
  for (const [leader, tab, expected] of [
    [facts(), facts(), 'welcome'],
    [facts([one]), facts([one]), 'welcome'],
    [facts([one]), facts(), 'welcome'],
    [facts([one]), facts([{ version: '001', checksum: 'a' }]), 'welcome'],
    [facts([one]), facts([{ version: '1' }]), 'welcome'],
    [facts([one]), facts([one, two]), 'handOver'],
    [facts(), facts([one]), 'handOver'],
    [facts([one]), facts([one, two], { migrate: false }), 'welcome'],
    [facts([one, two]), facts([one]), 'schema_too_new'],
    [facts([one, two]), facts([two]), 'migration_missing'],
    [facts([two]), facts([one, two]), 'migration_out_of_order'],
    [facts([two]), facts([one, two], { outOfOrder: 'apply' }), 'handOver'],
    [facts([one]), facts([{ version: '1', checksum: 'other' }]), 'migration_checksum_mismatch'],
    [facts(), facts(undefined, { integers: 'bigint' }), 'invalid_argument'],
  ])
    assert.equal(verdict(leader, tab), expected, JSON.stringify([leader, tab]))
})

test('versions are in the order that the engine has', () => {
  const sorted = ['0', '1', '1.0', '1.2', '1.10', '2', '9', '10', '20250709035454', '99999999999999999999999999999']
  for (const [i, a] of sorted.entries())
    for (const [j, b] of sorted.entries()) assert.equal(Math.sign(compareVersions(a, b)), Math.sign(i - j), `${a} ${b}`)
})

test('the migrations that a tab knows are told apart by checksum, whatever ends their lines', async () => {
  const options = { name: 'shop', integers: 'auto', migrate: true, outOfOrder: 'error' }
  const migrations = [{ version: '1', up: 'a\r\nb' }, { version: '2', up: 'a\nb' }, { version: '3' }]
  const known = (await factsOf({ ...options, migrations })).migrations
  assert.equal(known[0].checksum, known[1].checksum)
  assert.equal(known[2].checksum, undefined)
})

test('acknowledged is what comes before the oldest write that waits', () => {
  const units = new Units()
  const [a, b, c] = [units.begin(), units.begin(), units.begin()]
  assert.deepEqual(units.describe(b, false), { id: 2, acknowledged: 0, again: false })
  units.end(b)
  assert.equal(units.describe(c, true).acknowledged, 0)
  units.end(a)
  assert.equal(units.describe(c, false).acknowledged, 2)
})

test('what only reads is known by its first word', () => {
  for (const sql of ['SELECT 1', '  values (1)', 'EXPLAIN x', 'PRAGMA user_version'])
    assert.equal(mayWrite(sql), false, sql)
  for (const sql of ['WITH a AS (SELECT 1) DELETE FROM t', '-- x\nSELECT 1', 'insert', 'selection'])
    assert.equal(mayWrite(sql), true, sql)
})

test('answers come back from their bytes', () => {
  const result = (n, columns) => ({ buffer: new Uint8Array(n).fill(n).buffer, shape: n, columns })
  const results = [result(8, ['a', 'é']), result(0, []), { ...result(16, ['b']), changes: 3, texts: ['a', 'é😀'] }]
  // A view somewhere in a larger buffer, as it comes out of the wasm memory.
  const bytes = replyBytes(results)
  const shifted = new Uint8Array(bytes.length + 3)
  shifted.set(bytes, 3)
  const back = replyOf(shifted.subarray(3))
  assert.deepEqual(
    back.map(({ shape, ...rest }) => rest),
    results.map(({ shape, ...rest }) => rest),
  )
  assert.ok(
    back.every(({ shape }) => shape < 0),
    'no number of the engine that answers now',
  )
  assert.deepEqual(replyOf(replyBytes([])), [])
})

/** Somebody who serves, and answers when the test says so. */
function served() {
  const asked = []
  const serving = {
    ended: false,
    isLost: (error) => error instanceof Lost,
    ask: (what) => new Promise((answer, refuse) => asked.push({ what, answer, refuse })),
    lose() {
      serving.ended = true
      for (const { refuse } of asked) refuse(new Lost())
    },
    asked,
  }
  return serving
}
const send = (what, more) => ({
  send: (serving, again) => serving.ask(again ? `${what} again` : what),
  onLost: () => 'again',
  ...more,
})

test('calls keep their order from one who serves to the next, and what cannot be repeated is told so', async () => {
  const sendings = new Sendings()
  sendings.timeoutMs = 1000
  const [first, second] = [served(), served()]
  const calls = [sendings.call(send('a'))]
  await sendings.serve(first, () => {})
  calls.push(sendings.call(send('b')), sendings.call(send('once', { onLost: () => new Error('changed') })))
  await until(() => first.asked.length === 3)
  const [, , once] = calls
  first.lose()
  await assert.rejects(once, /changed/)
  calls.push(sendings.call(send('c')))
  await sendings.serve(second, () => {})
  assert.deepEqual(
    second.asked.map(({ what }) => what),
    ['a again', 'b again', 'c'],
  )
  for (const { what, answer } of second.asked) answer(what)
  assert.deepEqual(await Promise.all([calls[0], calls[1], calls[3]]), ['a again', 'b again', 'c'])
})

test('who is turned away waits for the next one, as if it had not asked', async () => {
  const sendings = new Sendings()
  sendings.timeoutMs = 1000
  const [first, second] = [served(), served()]
  await sendings.serve(first, () => {})
  const call = sendings.call(send('a', { onLost: () => new Error('never') }))
  first.asked[0].refuse(Object.assign(new Error('closing'), { code: 'closed' }))
  await until(() => sendings.serving === undefined)
  await sendings.serve(second, () => {})
  assert.equal(second.asked[0].what, 'a')
  second.asked[0].answer('done')
  assert.equal(await call, 'done')
})

test('nobody waits longer than is allowed, by the time, by a signal, or for good', async () => {
  const sendings = new Sendings()
  sendings.timeoutMs = 30
  await assert.rejects(sendings.call(send('a', { writes: true })), {
    code: 'leader_unreachable',
    details: { applied: false },
  })
  const limit = { timeoutMs: 5, since: Date.now() }
  await assert.rejects(sendings.call(send('a', { limit })), { code: 'timeout' })
  const stop = new AbortController()
  const given = sendings.call(send('a', { signal: stop.signal, writes: true }))
  stop.abort('enough')
  await assert.rejects(given, (reason) => reason === 'enough')
  const serving = served()
  await sendings.serve(serving, () => {})
  const sent = [sendings.call(send('read')), sendings.call(send('write', { writes: true }))]
  sendings.giveUp()
  await assert.rejects(sent[0], { code: 'leader_unreachable', details: { applied: false } })
  await assert.rejects(sent[1], { code: 'leader_unreachable', details: { applied: null } })
  const late = []
  const turn = sendings.call(send('turn', { late: (answer) => late.push(answer) }))
  sendings.giveUp()
  await assert.rejects(turn)
  serving.asked.at(-1).answer(7)
  await until(() => late.length > 0)
  assert.deepEqual(late, [7])
  sendings.refuse(new Error('refused'))
  await assert.rejects(sendings.call(send('a')), /refused/)
})
