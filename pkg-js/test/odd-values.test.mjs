// Values of options that only look right are refused by a typed error that names the option, at once.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TidelockError } from '../src/base/errors.ts'
import { sql } from '../src/base/sql.ts'
import { copyParams } from '../src/engine/copy-params.ts'
import { checkEncryption, checkFileEncryption } from '../src/files/check-encryption.ts'
import { directoryTarget, uploadTarget } from '../src/files/targets.ts'
import { columnKeys } from '../src/functions/column-key.ts'
import { checkOptions } from '../src/options/check-options.ts'
import { checkRemote } from '../src/options/check-remote.ts'
import { checkHeaders } from '../src/remote/secrets.ts'
import { sqlHelpers } from '../src/remote/sql-helpers.ts'

const page = { title: '', url: '', server: false, secrets: false }
const open = (options) => checkOptions({ name: 'shop', ...options }, page)
const directory = { kind: 'directory', getFileHandle() {} }

const key = (name, ...usages) => crypto.subtle.generateKey({ name, length: 256 }, true, usages)
const gcm = await key('AES-GCM', 'encrypt', 'decrypt')
const cbc = await key('AES-CBC', 'encrypt', 'decrypt')
const { publicKey } = await crypto.subtle.generateKey(
  { name: 'RSA-OAEP', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' },
  true,
  ['encrypt', 'decrypt'],
)
/** Objects that only look like a key. */
const imitations = {
  'an object of the prototype': Object.create(CryptoKey.prototype),
  'a plain object': { type: 'secret', algorithm: { name: 'AES-GCM' }, usages: ['encrypt', 'decrypt'] },
  'an object with the tag': {
    [Symbol.toStringTag]: 'CryptoKey',
    type: 'secret',
    extractable: true,
    algorithm: { name: 'AES-GCM' },
    usages: ['encrypt', 'decrypt'],
  },
}
const lacking = {
  'may only encrypt': [await key('AES-GCM', 'encrypt'), /the usage decrypt/],
  'may only decrypt': [await key('AES-GCM', 'decrypt'), /the usage encrypt/],
  'is of another algorithm': [cbc, /AES-GCM.*, not for AES-CBC/],
  'is a public key': [publicKey, /AES-GCM.*, not for RSA-OAEP/],
}
/** The ways in: how each takes a key, and how it names the option. */
const ways = {
  'the option encryption': [(key) => checkEncryption({ key }), 'encryption.key'],
  'the secret of a file': [(key) => checkFileEncryption('encrypt', { key }), 'encrypt.key'],
  'a target': [(key) => directoryTarget(directory, { encrypt: { key } }), 'encrypt.key'],
  'an upload': [(key) => uploadTarget({ url: () => '', encrypt: { key } }), 'encrypt.key'],
}

for (const [way, [give, option]] of Object.entries(ways)) {
  test(`a key that can't be used is refused by name: ${way}`, () => {
    for (const [what, imitation] of Object.entries(imitations)) {
      const expected = { code: 'invalid_argument', message: `${option} must be a CryptoKey`, details: { option } }
      assert.throws(() => give(imitation), expected, what)
    }
    for (const [what, [real, message]] of Object.entries(lacking))
      assert.throws(() => give(real), { code: 'invalid_argument', message, details: { option } }, what)
    give(gcm)
  })
}

test('a database may have a key that only wraps keys, a file may not', async () => {
  const [wrapping, half] = [await key('AES-KW', 'wrapKey', 'unwrapKey'), await key('AES-KW', 'wrapKey')]
  checkEncryption({ key: wrapping })
  checkEncryption({ key: await key('AES-GCM', 'wrapKey', 'unwrapKey') })
  assert.throws(() => checkEncryption({ key: half }), { message: /the usage unwrapKey/ })
  assert.throws(() => checkFileEncryption('encrypt', { key: wrapping }), { message: /for AES-GCM, not for AES-KW/ })
})

test('an imitation is no key of a column', async () => {
  for (const [what, imitation] of Object.entries(imitations))
    await assert.rejects(columnKeys(imitation), { code: 'invalid_argument' }, what)
})

test('headers are a plain object of texts', () => {
  const remote = (headers) => checkRemote({ url: 'https://x.supabase.co', key: 'k', tables: ['a'], headers }, false)
  for (const headers of [
    { a: {} },
    { a: undefined },
    { a: 5 },
    { a: Symbol('a') },
    { a: 5n },
    { a: ['b'] },
    new Map([['a', 'b']]),
    new Headers({ a: 'b' }),
    new URLSearchParams({ a: 'b' }),
    [['a', 'b']],
    'a: b',
    Symbol('a'),
  ]) {
    const expected = { code: 'invalid_argument', message: /headers must be an object of strings/ }
    assert.throws(() => uploadTarget({ url: () => '', headers }), expected)
    assert.throws(() => remote(headers), expected)
    assert.throws(() => checkHeaders('headers', headers), expected)
  }
  const bare = Object.assign(Object.create(null), { a: 'b' })
  assert.deepEqual(checkHeaders('headers', bare), { a: 'b' })
  uploadTarget({ url: () => '', headers: bare })
  assert.throws(() => uploadTarget({ url: () => '', headers: { 'a b': '' } }), { code: 'invalid_argument' })
})

test('migrations have limits, which errors observe, too', { timeout: 5000 }, () => {
  const one = { version: '1', name: 'one', up: '' }
  const long = 'x'.repeat(10_000_000)
  for (const [migrations, message, code = 'migration_invalid'] of [
    [new Array(4_294_967_295), /4294967295 elements, more than 10000/, 'invalid_argument'],
    [new Array(10_000), /Migration number 1 is malformed: it must be an object/],
    [Object.assign([one], { length: 2 }), /Migration number 2 is malformed/],
    [[{ ...one, version: long }], /Migration number 1 is malformed: version has 10000000 characters, more than 200/],
    [[{ ...one, name: long }], /Migration 1 is malformed: name has 10000000 characters, more than 200/],
    [[{ ...one, [long]: 1 }], /Migration 1 is malformed: it has no property 'xxx/],
  ])
    assert.throws(
      () => open({ migrations }),
      (error) => error.code === code && message.test(error.message) && JSON.stringify(error).length < 2000,
    )
  open({ migrations: Array.from({ length: 10_000 }, (_, n) => ({ ...one, version: `${n}` })) })
})

test('no message is longer than what can be read', () => {
  const error = new TidelockError('internal', 'x'.repeat(10_000_000))
  assert.ok(error.message.length < 3000)
  assert.ok(error.stack.length < 10_000)
})

const thrower = {
  get keep() {
    throw new Error('a getter')
  },
}
const { proxy: revoked, revoke } = Proxy.revocable({}, {})
revoke()

test('an object that throws when it is read is refused', () => {
  const expected = { code: 'invalid_argument', message: /can't be read/ }
  for (const odd of [thrower, revoked]) {
    assert.throws(() => open({ snapshots: odd }), expected)
    assert.throws(() => directoryTarget(directory, odd), expected)
    assert.throws(() => checkHeaders('headers', odd), expected)
    assert.throws(() => copyParams([odd]), expected)
  }
})

test('an option is read once, also one that an object inherits', () => {
  let reads = 0
  const options = Object.create({
    get keep() {
      return ++reads
    },
  })
  directoryTarget(directory, options)
  assert.equal(reads, 1)
})

test('a sparse array ends at its first hole', { timeout: 5000 }, async () => {
  const sparse = new Array(4_294_967_295)
  const expected = { code: 'invalid_argument' }
  const remote = { url: 'https://x.supabase.co', key: 'k' }
  assert.throws(() => checkRemote({ ...remote, tables: sparse }, false), expected)
  assert.throws(() => sqlHelpers({ tables: sparse }), expected)
  assert.throws(() => open({ snapshots: { targets: sparse } }), expected)
  await assert.rejects(columnKeys(sparse), expected)
  assert.equal(sql.join(sparse).params.length, 1)
})
