// Rules of tabs that share a database, without a browser: liveness, compatibility, and which calls are sent again.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../../tests/scenarios/run/context.mjs'
import { TidelockError } from '../src/base/errors.ts'
import { compareVersions } from '../src/base/versions.ts'
import { LastSyncCall } from '../src/engine/last-sync-call.ts'
import { decodeReply, encodeReply } from '../src/rpc/reply.ts'
import { checkCompatibility, tabInfoOf } from '../src/tabs/compatibility.ts'
import { Liveness } from '../src/tabs/liveness.ts'
import { parseLeaderMessage, parseTabMessage } from '../src/tabs/messages.ts'
import { PendingCalls } from '../src/tabs/pending-calls.ts'
import { EngineLost } from '../src/tabs/serving-engine.ts'
import { mayWrite, WriteIds } from '../src/tabs/write-ids.ts'
import { info, one, two } from './tab-info.mjs'

test('a leader counts as frozen after three unanswered pings and three seconds', () => {
  const liveness = new Liveness(10_000, 0)
  for (let at = 1000; at <= 3000; at += 1000) {
    assert.equal(liveness.isFrozen(at, false), false)
    liveness.pinged()
  }
  assert.equal(liveness.isFrozen(3000, false), true)
  assert.equal(liveness.isUnreachable(3000), false)
  assert.equal(liveness.isUnreachable(10_000), true)
  liveness.received(10_000, true)
  assert.equal(liveness.isFrozen(20_000, false), false)
  assert.equal(liveness.isUnreachable(20_000), false)
})

test('a tab that was itself suspended pings again before it suspects the leader', () => {
  const liveness = new Liveness(10_000, 0)
  liveness.pinged()
  assert.equal(liveness.isFrozen(3_600_000, false), false)
  assert.equal(liveness.isUnreachable(3_600_000), false)
})

test('a tab that is about to lead is not frozen, but becomes unreachable after timeoutMs', () => {
  const liveness = new Liveness(10_000, 0)
  for (let at = 1000; at < 10_000; at += 1000) {
    liveness.pinged()
    liveness.received(at, false)
    assert.equal(liveness.isFrozen(at, false) || liveness.isUnreachable(at), false)
  }
  assert.equal(liveness.isUnreachable(10_000), true)
})

test('a leader that opens its engine counts as frozen and unreachable when it is silent for timeoutMs', () => {
  const liveness = new Liveness(10_000, 0)
  for (let at = 1000; at <= 20_000; at += 1000) {
    liveness.pinged()
    liveness.received(at, false)
    assert.equal(liveness.isNotServed, true)
    liveness.opens()
    assert.equal(liveness.isNotServed, false)
    assert.equal(liveness.isFrozen(at, true) || liveness.isUnreachable(at), false)
  }
  for (let n = 0; n < 3; n++) liveness.pinged()
  assert.deepEqual([liveness.isFrozen(29_999, true), liveness.isUnreachable(29_999)], [false, false])
  assert.deepEqual([liveness.isFrozen(30_000, true), liveness.isUnreachable(30_000)], [true, true])
  const short = new Liveness(300, 0)
  for (let n = 0; n < 3; n++) short.pinged()
  assert.deepEqual([short.isFrozen(2999, true), short.isFrozen(3000, true)], [false, true])
})

const verdict = (leader, tab) => checkCompatibility(leader, tab).code ?? checkCompatibility(leader, tab)

test('which tabs may follow, which must lead, and which are refused', () => {
  for (const [leader, tab, expected] of [
    [info(), info(), 'welcome'],
    [info([one]), info([one]), 'welcome'],
    [info([one]), info(), 'welcome'],
    [info([one]), info([{ version: '001', checksum: 'a' }]), 'welcome'],
    [info([one]), info([{ version: '1' }]), 'welcome'],
    [info([one]), info([one, two]), 'handOver'],
    [info(), info([one]), 'handOver'],
    [info([one]), info([one, two], { migrate: false }), 'welcome'],
    [info([one, two]), info([one]), 'schema_too_new'],
    [info([one, two]), info([two]), 'migration_missing'],
    [info([two]), info([one, two]), 'migration_out_of_order'],
    [info([two]), info([one, two], { outOfOrder: 'apply' }), 'handOver'],
    [info([one]), info([{ version: '1', checksum: 'other' }]), 'migration_checksum_mismatch'],
    [info(), info(undefined, { integers: 'bigint' }), 'invalid_argument'],
  ])
    assert.equal(verdict(leader, tab), expected, JSON.stringify([leader, tab]))
})

test('versions are ordered as in the engine', () => {
  const sorted = ['0', '1', '1.0', '1.2', '1.10', '2', '9', '10', '20250709035454', '99999999999999999999999999999']
  for (const [i, a] of sorted.entries())
    for (const [j, b] of sorted.entries()) assert.equal(Math.sign(compareVersions(a, b)), Math.sign(i - j), `${a} ${b}`)
})

test('the checksums of migrations do not depend on line ends', async () => {
  const options = { name: 'shop', integers: 'auto', migrate: true, outOfOrder: 'error' }
  const migrations = [{ version: '1', up: 'a\r\nb' }, { version: '2', up: 'a\nb' }, { version: '3' }]
  const known = (await tabInfoOf({ ...options, migrations })).migrations
  assert.equal(known[0].checksum, known[1].checksum)
  assert.equal(known[2].checksum, undefined)
})

test('writes before the oldest pending one are acknowledged', () => {
  const writeIds = new WriteIds()
  const [a, b, c] = [writeIds.begin(), writeIds.begin(), writeIds.begin()]
  assert.deepEqual(writeIds.describe(b, false), { id: 2, acknowledged: 0, again: false })
  writeIds.end(b)
  assert.equal(writeIds.describe(c, true).acknowledged, 0)
  writeIds.end(a)
  assert.equal(writeIds.describe(c, false).acknowledged, 2)
})

test('a statement that only reads is recognised by its first word', () => {
  for (const sql of ['SELECT 1', '  values (1)', 'EXPLAIN x', 'PRAGMA user_version'])
    assert.equal(mayWrite(sql), false, sql)
  for (const sql of ['WITH a AS (SELECT 1) DELETE FROM t', '-- x\nSELECT 1', 'insert', 'selection'])
    assert.equal(mayWrite(sql), true, sql)
})

test('replies are decoded as they were encoded', () => {
  const result = (n, columns) => ({ buffer: new Uint8Array(n).fill(n).buffer, shape: n, columns })
  const results = [result(8, ['a', 'é']), result(0, []), { ...result(16, ['b']), changes: 3, texts: ['a', 'é😀'] }]
  // A view into a larger buffer, like those over wasm memory.
  const bytes = encodeReply(results)
  const shifted = new Uint8Array(bytes.length + 3)
  shifted.set(bytes, 3)
  const back = decodeReply(shifted.subarray(3))
  assert.deepEqual(
    back.map(({ shape, ...rest }) => rest),
    results.map(({ shape, ...rest }) => rest),
  )
  assert.ok(
    back.every(({ shape }) => shape < 0),
    'no shape id of a running engine',
  )
  assert.deepEqual(decodeReply(encodeReply([])), [])
})

/** A serving engine whose answers the test controls. */
function served() {
  const asked = []
  const serving = {
    ended: false,
    isLost: (error) => error instanceof EngineLost,
    ask: (what) => new Promise((answer, refuse) => asked.push({ what, answer, refuse })),
    lose() {
      serving.ended = true
      for (const { refuse } of asked) refuse(new EngineLost())
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

test('calls keep their order from one serving engine to the next, and those that cannot be repeated reject', async () => {
  const pendingCalls = new PendingCalls()
  pendingCalls.timeoutMs = 1000
  const [first, second] = [served(), served()]
  const calls = [pendingCalls.call(send('a'))]
  await pendingCalls.serve(first, () => {})
  calls.push(pendingCalls.call(send('b')), pendingCalls.call(send('once', { onLost: () => new Error('changed') })))
  await until(() => first.asked.length === 3)
  const [, , once] = calls
  first.lose()
  await assert.rejects(once, /changed/)
  calls.push(pendingCalls.call(send('c')))
  await pendingCalls.serve(second, () => {})
  assert.deepEqual(
    second.asked.map(({ what }) => what),
    ['a again', 'b again', 'c'],
  )
  for (const { what, answer } of second.asked) answer(what)
  assert.deepEqual(await Promise.all([calls[0], calls[1], calls[3]]), ['a again', 'b again', 'c'])
})

test('a call that a closing engine has not started waits for the next engine', async () => {
  const pendingCalls = new PendingCalls()
  pendingCalls.timeoutMs = 1000
  const [first, second] = [served(), served()]
  await pendingCalls.serve(first, () => {})
  const call = pendingCalls.call(send('a', { onLost: () => new Error('never') }))
  first.asked[0].refuse(Object.assign(new Error('closing'), { code: 'closed' }))
  await until(() => pendingCalls.serving === undefined)
  await pendingCalls.serve(second, () => {})
  assert.equal(second.asked[0].what, 'a')
  second.asked[0].answer('done')
  assert.equal(await call, 'done')
})

test("a call's own timeout comes before the leader's, however busy the thread was", async () => {
  const pendingCalls = new PendingCalls()
  pendingCalls.timeoutMs = 30
  // Node keeps timers of the same length together: the one before takes those behind it along once they have ended, too.
  const before = setTimeout(() => {}, 30)
  const busyFor = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
  busyFor(27)
  await new Promise(setImmediate)
  const call = pendingCalls.call(send('a', { limit: { timeoutMs: 5, since: Date.now() } }))
  busyFor(40)
  await assert.rejects(call, { code: 'timeout' })
  clearTimeout(before)
})

test('when a tab closes without an engine, writes that were sent before reject with applied: null', async () => {
  const pendingCalls = new PendingCalls()
  const serving = served()
  await pendingCalls.serve(serving, () => {})
  const calls = [send('read'), send('write', { writes: true })].map((call) => pendingCalls.call(call))
  serving.lose()
  await until(() => pendingCalls.serving === undefined)
  calls.push(pendingCalls.call(send('later', { writes: true })))
  pendingCalls.refuse(new TidelockError('closed', 'The database is closed'))
  const failures = (await Promise.allSettled(calls)).map(({ reason: { code, details } }) => ({ code, details }))
  assert.deepEqual(failures, [
    { code: 'closed', details: {} },
    { code: 'closed', details: { applied: null } },
    { code: 'closed', details: {} },
  ])
})

test('waiting for calls ends when they and the transactions have settled, and when another engine serves', async () => {
  const pendingCalls = new PendingCalls()
  const [first, second] = [served(), served()]
  await pendingCalls.serve(first, () => {})
  const call = pendingCalls.call(send('a'))
  let release
  pendingCalls.include(
    new Promise((resolve) => {
      release = resolve
    }),
  )
  first.lose()
  const other = pendingCalls.settledOrServed()
  await pendingCalls.serve(second, () => {})
  await other
  assert.deepEqual([second.asked.length, pendingCalls.areSettled], [1, false])
  const settled = pendingCalls.settledOrServed()
  second.asked[0].answer('done')
  await call
  assert.equal(pendingCalls.areSettled, false)
  release()
  await settled
  assert.equal(pendingCalls.areSettled, true)
})

test('calls reject after their timeout, on abort, when the leader is unreachable, and when refused', async () => {
  const pendingCalls = new PendingCalls()
  pendingCalls.timeoutMs = 30
  await assert.rejects(pendingCalls.call(send('a', { writes: true })), {
    code: 'leader_unreachable',
    details: { applied: false },
  })
  const limit = { timeoutMs: 5, since: Date.now() }
  await assert.rejects(pendingCalls.call(send('a', { limit })), { code: 'timeout' })
  const stop = new AbortController()
  const given = pendingCalls.call(send('a', { signal: stop.signal, writes: true }))
  stop.abort('enough')
  await assert.rejects(given, (reason) => reason === 'enough')
  const serving = served()
  await pendingCalls.serve(serving, () => {})
  const sent = [pendingCalls.call(send('read')), pendingCalls.call(send('write', { writes: true }))]
  pendingCalls.failUnreachable()
  await assert.rejects(sent[0], { code: 'leader_unreachable', details: { applied: false } })
  await assert.rejects(sent[1], { code: 'leader_unreachable', details: { applied: null } })
  const late = []
  const permit = pendingCalls.call(send('acquire', { late: (answer) => late.push(answer) }))
  pendingCalls.failUnreachable()
  await assert.rejects(permit)
  serving.asked.at(-1).answer(7)
  await until(() => late.length > 0)
  assert.deepEqual(late, [7])
  pendingCalls.refuse(new Error('refused'))
  await assert.rejects(pendingCalls.call(send('a')), /refused/)
})

test('of the calls that start or stop the sync, the last one is kept, in whichever order they are repeated', () => {
  const [one, two, engine, next] = [new LastSyncCall(), new LastSyncCall(), new LastSyncCall(), new LastSyncCall()]
  const started = engine.add(100, one.add(100).order)
  assert.equal(two.keep(started), true)
  assert.equal(one.keep(started), false)
  const stopped = engine.add(null, two.add(null).order)
  assert.equal(two.keep(stopped), false)
  assert.deepEqual([two.last, stopped.order > started.order], [stopped, true])
  // The engine ends before the first tab knows of the stop, and the next engine gets the repeated calls in either order.
  assert.deepEqual([next.keep(one.last), next.keep(two.last), next.keep(one.last)], [true, true, false])
  assert.deepEqual(next.last, stopped)
  // A new call counts although its tab doesn't know the last one, and a tab that made one at the same time gets both.
  assert.deepEqual(next.add(50, one.add(50).order), { intervalMs: 50, order: stopped.order + 1 })
})

test('a call that starts or stops the sync comes from other tabs only in the right form', () => {
  const said = (message) => ({ v: 2, term: 'a', message: { id: 1, ...message } })
  const event = (detail) => parseLeaderMessage(said({ method: 'event', args: [{ type: 'syncCall', detail }] }))
  for (const intervalMs of [100, null]) assert.ok(event({ intervalMs, order: 1 }))
  for (const wrong of [{}, { intervalMs: '1', order: 1 }, { intervalMs: 1, order: Number.NaN }, { order: 1 }])
    assert.equal(event(wrong), undefined)
  const call = (...args) => parseTabMessage(said({ method: 'core', args }))
  // An earlier version of the package sends neither the order nor whether the call is repeated.
  for (const args of [['syncStart', 100], ['syncStart', 100, 1, true], ['syncStop'], ['syncStop', 1, false]])
    assert.ok(call(...args))
  for (const args of [
    ['syncStart', 100, '1', true],
    ['syncStart', 100, 1, 1],
    ['syncStop', {}],
  ])
    assert.equal(call(...args), undefined)
})
