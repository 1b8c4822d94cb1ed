// Files of snapshots and seeds: names, compression, encryption.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { checkFileEncryption } from '../src/files/check-encryption.ts'
import { fromFile, toFile } from '../src/files/snapshot-file.ts'
import '../../tests/scenarios/run/quick-secrets.mjs'
import { loadSeed } from '../src/options/load-seed.ts'

const snapshot = { id: '7', createdAt: '2026-11-20T10:00:00.000Z' }
const text = new TextEncoder().encode('SQLite format 3\0'.repeat(100))
const pieces = [text.slice(0, 100), text.slice(100)]
const secret = { passphrase: 'correct horse' }
const megabyte = 2 ** 20

test('a file is named by time, id, format, compression and encryption', async () => {
  const names = []
  for (const [format, zip, encryption] of [
    ['sqlite', false, undefined],
    ['sql', false, undefined],
    ['sqlite', true, undefined],
    ['sqlite', true, secret],
    ['sql', false, secret],
  ])
    names.push((await toFile(snapshot, pieces, format, zip, encryption)).name)
  const stem = 'backup-2026-11-20T10:00:00.000Z-7'
  assert.deepEqual(
    names,
    ['.sqlite', '.sql', '.sqlite.gz', '.sqlite.gz.enc', '.sql.enc'].map((end) => stem + end),
  )
})

test('the contents of a file come back; only its contents decide its format', async () => {
  const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])
  for (const zip of [false, true]) {
    for (const encryption of [undefined, secret, { key }]) {
      const file = await toFile(snapshot, pieces, 'sqlite', zip, encryption)
      const bytes = new Uint8Array(await file.arrayBuffer())
      for (const given of [file, bytes, bytes.buffer, new DataView(bytes.buffer)])
        assert.deepEqual(await fromFile(given, encryption, megabyte), text)
      if (encryption) assert.ok(!Buffer.from(bytes).includes('SQLite'))
    }
  }
})

test('a wrong or missing passphrase, and a file that was changed, fail to decrypt', async () => {
  const file = new Uint8Array(await (await toFile(snapshot, pieces, 'sqlite', true, secret)).arrayBuffer())
  const failed = { code: 'decryption_failed' }
  await assert.rejects(fromFile(file, undefined, megabyte), failed)
  await assert.rejects(fromFile(file, { passphrase: 'wrong' }, megabyte), failed)
  const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])
  await assert.rejects(fromFile(file, { key }, megabyte), failed)
  await assert.rejects(fromFile(file.slice(0, 30), secret, megabyte), failed)
  await assert.rejects(fromFile(file.slice(0, -1), secret, megabyte), failed)
  // One byte each of the salt, the nonce, the reserved bytes, the ciphertext and the tag.
  for (const at of [10, 20, 35, 60, file.length - 1]) {
    const changed = file.slice()
    changed[at] ^= 1
    await assert.rejects(fromFile(changed, secret, megabyte), failed, `byte ${at}`)
  }
  for (const [at, value, code] of [
    [8, 2, 'snapshot_incompatible'],
    [15, 0xff, 'decryption_failed'],
  ]) {
    const newer = file.slice()
    newer[at] = value
    await assert.rejects(fromFile(newer, secret, megabyte), { code })
  }
})

test('two files of the same snapshot share no ciphertext', async () => {
  const one = await (await toFile(snapshot, pieces, 'sqlite', false, secret)).arrayBuffer()
  const two = await (await toFile(snapshot, pieces, 'sqlite', false, secret)).arrayBuffer()
  assert.notDeepEqual(one.slice(16, 44), two.slice(16, 44))
  assert.notDeepEqual(one.slice(44), two.slice(44))
})

test('a small file that expands to a very large one is stopped, and a damaged one is reported', async () => {
  const bomb = (start, megabytes) => new Uint8Array(gzipSync(Buffer.alloc(megabytes * megabyte, start)))
  for (const [start, megabytes, code] of [
    ['SQLite format 3\0', 2, 'database_too_large'],
    ['x', 10, 'database_too_large'],
    ['\0', 2, 'snapshot_corrupt'],
  ])
    await assert.rejects(fromFile(bomb(start, megabytes), undefined, megabyte), { code })
  const damaged = new Uint8Array(gzipSync(text)).slice(0, -9)
  await assert.rejects(fromFile(damaged, undefined, megabyte), { code: 'snapshot_corrupt' })
  await assert.rejects(fromFile('backup.sqlite', undefined, megabyte), { code: 'invalid_argument' })
})

test('encrypt needs a passphrase or a key for AES-GCM, and only one of them', async () => {
  const hmac = await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  for (const wrong of [{}, { passphrase: '' }, { passphrase: 5 }, { key: 'x' }, { key: hmac }, 'secret', { pass: 'x' }])
    assert.throws(() => checkFileEncryption('encrypt', wrong), { code: 'invalid_argument' })
})

test('a seed is bytes, a Blob, a function that returns them, or a URL', async () => {
  for (const seed of [
    text,
    text.buffer,
    new Blob([text]),
    async () => text,
    async () => text.buffer,
    () => new Blob([text]),
  ])
    assert.deepEqual(await loadSeed(seed), text)
  const cause = new Error('no')
  const failing = () => Promise.reject(cause)
  await assert.rejects(loadSeed(failing), (error) => error.code === 'invalid_argument' && error.cause === cause)
  await assert.rejects(
    loadSeed(async () => 'text'),
    { code: 'invalid_argument' },
  )
  const { fetch } = globalThis
  try {
    globalThis.fetch = async (url) => new Response(text, { status: String(url).endsWith('there') ? 200 : 404 })
    assert.deepEqual(await loadSeed('/there'), text)
    assert.deepEqual(await loadSeed(new URL('http://x/there')), text)
    await assert.rejects(loadSeed('/gone'), (error) => error.code === 'sync_network' && error.details.status === 404)
    globalThis.fetch = failing
    await assert.rejects(loadSeed('/there'), { code: 'sync_network' })
  } finally {
    globalThis.fetch = fetch
  }
})
