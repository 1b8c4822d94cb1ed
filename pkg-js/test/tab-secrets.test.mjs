// Tests of the proofs by which tabs show that they know the same secret, and of the validation of their messages.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  helloOfOtherVersion,
  parseBroadcast,
  parseLeaderMessage,
  parseTabMessage,
  rejectionFor,
  versionMismatch,
} from '../src/tabs/messages.ts'
import { contextOf, proverOf } from '../src/tabs/prover.ts'
import { info, one } from './tab-info.mjs'

const generate = (name, ...usages) => crypto.subtle.generateKey({ name, length: 256 }, false, usages)
const gcm = () => generate('AES-GCM', 'encrypt', 'decrypt')
const wrapping = (name) => generate(name, 'wrapKey', 'unwrapKey')
const context = contextOf('leader', ['shop', 'a tab', 'a term', 'x', 'y'])

test('a proof is valid only for the same secret, database and context', async () => {
  const keys = [
    await gcm(),
    await gcm(),
    await wrapping('AES-GCM'),
    await wrapping('AES-GCM'),
    await wrapping('AES-KW'),
  ]
  const secrets = [undefined, { passphrase: 'a' }, { passphrase: 'b' }, ...keys.map((key) => ({ key }))]
  const provers = await Promise.all(secrets.map((secret) => proverOf('shop', secret)))
  const others = await Promise.all(secrets.map((secret) => proverOf('shop', secret)))
  for (const [n, prover] of provers.entries()) {
    const proof = await prover.prove(context)
    for (const [m, other] of others.entries()) assert.equal(await other.verify(context, proof), n === m, `${n} ${m}`)
    if (secrets[n] === undefined) continue
    for (const another of [
      contextOf('follower', ['shop', 'a tab', 'a term', 'x', 'y']),
      contextOf('leader', ['shop', 'a tab', 'a term', 'x', 'z']),
      contextOf('leader', ['shop', 'a tab', 'a term', 'xy', '']),
    ])
      assert.equal(await prover.verify(another, proof), false, `${n}`)
    for (const damaged of [new Uint8Array(0), proof.slice(1), proof.map((byte) => byte ^ 1), new Uint8Array(28)])
      assert.equal(await prover.verify(context, damaged), false, `${n}`)
  }
})

test('no nonce repeats under a key of the user, and none is zero', async (t) => {
  const nonces = []
  for (const method of ['encrypt', 'wrapKey']) {
    const original = crypto.subtle[method].bind(crypto.subtle)
    t.mock.method(crypto.subtle, method, (...given) => {
      const how = given.find((one) => one?.iv !== undefined)
      if (how !== undefined) nonces.push(Buffer.from(how.iv).toString('hex'))
      return original(...given)
    })
  }
  for (const key of [await gcm(), await wrapping('AES-GCM')])
    for (const name of ['shop', 'other', 'shop']) {
      const prover = await proverOf(name, { key })
      for (let n = 0; n < 5; n++) await prover.prove(context)
    }
  assert.equal(nonces.length, 30)
  assert.equal(new Set(nonces).size, 30)
  assert.ok(nonces.every((nonce) => nonce.length === 24 && !/^0+$/.test(nonce)))
})

test('a key without the needed usages proves nothing', async () => {
  const prover = await proverOf('shop', { key: await generate('AES-GCM', 'encrypt') })
  const plain = await proverOf('shop', undefined)
  assert.equal(await plain.verify(context, await prover.prove(context)), false)
  assert.equal(await prover.verify(context, await prover.prove(context)), false)
})

const area = () => ({ buffer: new ArrayBuffer(8), bytes: 8, names: '' })
const limit = { timeoutMs: 5, since: 1 }
const statement = (sql, params, kind = 0) => ['statement', kind, sql, params]
const writeId = { id: 1, acknowledged: 0, again: false }
const from = (message) => parseTabMessage({ v: 2, term: 'x', message }) !== undefined
const asks = (method, ...args) => from({ id: 1, method, args })

test('well-formed messages of tabs are accepted', () => {
  assert.ok(parseBroadcast({ v: 2, hello: 'a', nonce: 'b', info: info([one, { version: '2' }]) }))
  assert.ok(parseBroadcast({ v: 2, term: 'x' }))
  for (const say of ['ping', 'bye', 'handOver']) assert.ok(parseTabMessage({ v: 2, term: 'x', say }))
  assert.ok(parseTabMessage({ v: 2, term: 'x', proof: new Uint8Array(3) }))
  for (const said of [
    { say: 'welcome' },
    { challenge: 'a', nonce: 'b', proof: new Uint8Array(3) },
    { refused: { ours: { code: 'closed', message: 'm', details: {} }, cause: { text: 'c' } } },
    { message: { id: 0, method: 'event', args: [{ type: 'change', detail: {} }] } },
    { message: { answer: 1, value: undefined } },
    { message: { answer: 1, thrown: { name: 'Error', message: 'm', stack: undefined } } },
    { message: { called: 1, which: 0, args: [{}] } },
  ])
    assert.ok(parseLeaderMessage({ v: 2, term: 'x', ...said }), JSON.stringify(said))
  assert.ok(asks('run', statement('SELECT 1', [area()]), 0, limit, writeId))
  assert.ok(asks('run', statement('SELECT 1', []), 7, undefined))
  assert.ok(asks('run', ['batch', [{ sql: 'x', params: [area()] }]], 1))
  assert.ok(asks('run', ['script', 'x'], 1))
  assert.ok(asks('run', ['explain', 'x'], 1))
  assert.ok(asks('core', 'importBytes', new Uint8Array(1), {}, 1))
  assert.ok(asks('core', 'flush'))
  assert.ok(from({ id: 4, method: 'core', args: ['syncPull', {}, undefined, 1], functions: [2], cancellable: true }))
  assert.ok(from({ cancel: 3 }))
})

test('malformed messages are ignored', () => {
  const circle = { text: 'x' }
  circle.cause = circle
  for (const junk of [
    undefined,
    null,
    0,
    'takeover',
    [],
    {},
    { v: 2 },
    { v: 2, term: 1 },
    { v: '2', term: 'x', say: 'ping' },
  ]) {
    assert.equal(parseBroadcast(junk), undefined)
    assert.equal(parseTabMessage(junk), undefined)
    assert.equal(parseLeaderMessage(junk), undefined)
  }
  for (const refused of [circle, 'text', { ours: { code: 1, message: 'm' } }, { ours: null }])
    assert.equal(parseLeaderMessage({ v: 2, term: 'x', refused }), undefined)
  for (const given of [
    { hello: 'a', info: info() },
    { hello: 'a', nonce: 'b', info: { ...info(), integers: 'none' } },
    { hello: 'a', nonce: 'b', info: info([{ version: 1 }]) },
    { hello: 'a', nonce: 'b', info: { ...info(), migrations: Array(2) } },
  ])
    assert.equal(parseBroadcast({ v: 2, ...given }), undefined, JSON.stringify(given))
  for (const [method, ...args] of [
    ['toString'],
    ['constructor'],
    ['__proto__'],
    ['open', {}],
    ['close'],
    ['attach', 'x', {}],
    ['core'],
    ['core', 'rekey', { passphrase: 'x' }],
    ['core', 'free'],
    ['core', 'constructor'],
    ['core', 'execute', 1, 0, 'x', 0, '', 0],
    ['core', 'connect', {}],
    ['core', 'close'],
    ['core', 'flush', 1],
    ['core', 'importBytes', { length: 4e9 }, {}, 1],
    ['core', 'migrationsSync', new Uint8Array(1)],
    ['run', statement(1, []), 0],
    ['run', statement('x', [], 99), 0],
    ['run', statement('x', [{ ...area(), bytes: 9 }]), 0],
    ['run', statement('x', [{ ...area(), buffer: new Uint8Array(8) }]), 0],
    ['run', statement('x', [area()]), 0, { timeoutMs: Number.NaN, since: 0 }],
    ['run', statement('x', Array(3)), 0],
    ['run', statement('x', []), 0, undefined, writeId, 'more'],
    ['run', statement('x', []), -1],
    ['run', statement('x', []), '1'],
    ['run', ['script', ...statement('x', [])], 1],
    ['run', { 0: 'script', 1: 'x' }, 1],
    ['run', Array(1), 1],
    ['run', ['batch', [null]], 1],
    ['run', ['toString'], 1],
    ['run', null, 1],
    ['begin', 1],
    ['applied', 1.5],
  ])
    assert.equal(asks(method, ...args), false, JSON.stringify([method, ...args]))
  assert.ok(asks('acquire', limit))
  assert.equal(from({ id: 1, method: 'acquire', args: 'x' }), false)
  assert.equal(from({ id: 1, method: 'acquire', args: [], functions: ['x'] }), false)
  assert.equal(from({ id: 1, method: 'acquire', args: [limit], functions: [0] }), false, 'a function in its place')
})

test('another version is answered in a form that all versions know', () => {
  const hello = { hello: 'a tab', info: {} }
  assert.equal(helloOfOtherVersion(hello), 'a tab')
  assert.equal(helloOfOtherVersion({ ...hello, v: 3 }), 'a tab')
  assert.equal(helloOfOtherVersion({ ...hello, v: 2 }), undefined, 'of this version, and malformed')
  assert.equal(versionMismatch({ v: 3, term: 'x', refused: {} }).code, 'database_in_use')
  assert.equal(versionMismatch({ v: 2, term: 'x' }), undefined)
  assert.equal(versionMismatch('x'), undefined)
  assert.equal(rejectionFor({ message: { id: 7, method: 'nonsense' } }).answer, 7)
  for (const said of [undefined, {}, { message: null }, { message: { id: 0 } }, { message: { id: 'x' } }])
    assert.equal(rejectionFor(said), undefined)
})
