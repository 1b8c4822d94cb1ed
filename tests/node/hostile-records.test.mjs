// Folders with one hostile record or file each, with valid checksums: opening one is refused with a typed error, or works.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { isTidelockError, open, recover } from '../../pkg-js/dist/index.js'
import { framesOf, segment, xxh3 } from '../fuzz/frames.mjs'
import { everyNth } from '../scenarios/run/sample.mjs'
import { lockFile } from './lock-file.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-records-'))
after(() => rmSync(base, { recursive: true, force: true }))

const last = 2n ** 64n - 1n
const lastTime = 2n ** 63n - 1n
const text = (value) => Buffer.concat([u32(Buffer.byteLength(value)), Buffer.from(value)])
const frame = (kind, body, isLast = 1) => ({ kind, last: isLast, synced: 0n, body: new Uint8Array(body) })
/** For each kind of frame: the offset of the record in its body; its length stands before it. */
const kinds = { log: [1, 16], head: [2, 4], manifest: [3, 12] }

function u32(value) {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

const journal = (where) => path.join(where, 'journal.1')

function changeFrames(where, change) {
  writeFileSync(journal(where), segment(1, change(framesOf(readFileSync(journal(where))))))
}

/** Changes the newest record of a kind: `change(record, key)` returns another one, or nothing after a change in place. */
function changeRecord(kind, change) {
  const [number, offset] = kinds[kind]
  return (where) =>
    changeFrames(where, (frames) => {
      const changed = frames.filter((each) => each.kind === number).at(-1)
      const key = Buffer.from(changed.body.subarray(0, offset))
      const found = Buffer.from(changed.body.subarray(offset))
      const record = Buffer.from(change(found, key) ?? found)
      record.writeBigUInt64LE(xxh3(record.subarray(8)))
      key.writeUInt32LE(record.length, offset - 4)
      changed.body = new Uint8Array(Buffer.concat([key, record]))
      return frames
    })
}

const field = (kind, at, value) =>
  changeRecord(kind, (record) => {
    if (typeof value === 'bigint') record.writeBigUInt64LE(value, at)
    else record.writeUInt32LE(value, at)
  })

/** The offsets of a head's fields, which follow texts. */
function placesOf(head) {
  let at = 12
  const skip = () => {
    at += 4 + head.readUInt32LE(at)
  }
  let features = head.readUInt32LE(at)
  for (at += 4; features > 0; features--) skip()
  const holder = at
  for (let texts = 3; texts > 0; texts--) skip()
  const since = at
  at += 8
  skip()
  const cut = at + 28 + 8 * head.readUInt32LE(at + 24)
  return { holder, since, epoch: at, generation: at + 8, lsn: at + 16, epochs: at + 24, cut, logged: cut + 8 }
}

const inHead = (name, value) =>
  changeRecord('head', (head) => head.writeBigUInt64LE(value, placesOf(head)[name]) && undefined)

/** Lets the newest manifest name this many chunks: an own one again and again, or one that doesn't exist. */
const chunksOf = (count, id) =>
  changeRecord('manifest', (manifest) => {
    let at = 80
    const skip = () => {
      at += 4 + manifest.readUInt32LE(at)
    }
    skip()
    at += 12
    skip()
    for (let list = 0; list < 2; list++) {
      const texts = manifest.readUInt32LE(at)
      at += 4
      for (let one = 0; one < texts; one++) skip()
    }
    skip()
    at += 4
    const own = manifest.subarray(at + 4, at + 48)
    const named = id === undefined ? own : Buffer.concat([id, own.subarray(32)])
    // Without a copy of the first chunk.
    const changed = Buffer.concat([manifest.subarray(0, at), u32(count), ...Array(count).fill(named), u32(0)])
    changed.writeBigUInt64LE(BigInt(count) * 65536n, 68)
    return changed
  })

const pack = (where) => path.join(where, 'pack.1')
/** Changes what the journal says of the first chunk: its pack, its place there, and its length. */
const inExtent = (change) => (where) =>
  changeFrames(where, (frames) => {
    const { body } = frames.find((each) => each.kind === 5)
    change(Buffer.from(body.buffer, body.byteOffset + 32, 20))
    return frames
  })
/** Stores other bytes for the first chunk. */
const inChunk = (change) => (where) =>
  inExtent((extent) => {
    const bytes = readFileSync(pack(where))
    const [at, length] = [Number(extent.readBigUInt64LE(8)), extent.readUInt32LE(16)]
    const found = Buffer.from(bytes.subarray(at, at + length))
    const changed = Buffer.from(change(found) ?? found)
    extent.writeBigUInt64LE(BigInt(bytes.length), 8)
    extent.writeUInt32LE(changed.length, 16)
    writeFileSync(pack(where), Buffer.concat([bytes, changed]))
  })(where)
const lock =
  (...owner) =>
  (where) =>
    writeFileSync(path.join(where, 'lock.9'), lockFile(...owner))
const replaced = (find, by) => (where) => {
  const file = find(where)
  rmSync(file, { recursive: true, force: true })
  by(file)
}
const fifo = (file) => execFileSync('mkfifo', [file])
const deletion = () => frame(6, Buffer.alloc(32, 0xab))

/** Records with one number at an end of its range. */
const numbers = {
  "the head's epoch at its end": inHead('epoch', last),
  "the head's generation at its end": inHead('generation', last),
  "the head's lsn at its end": inHead('lsn', last),
  'a log that begins at its end': inHead('cut', last),
  'a log that begins after all bytes': inHead('logged', last),
  'a holder since the last time': inHead('since', lastTime),
  'a log record of 3 GB': field('log', 56, 700_000),
  'a log record of all pages': field('log', 56, 0xffffffff),
  'a log record in all parts': field('log', 28, 0xffffffff),
  'a log record after all bytes': field('log', 60, last),
  'a log record at the last time': field('log', 44, lastTime),
  'a log record before all times': field('log', 44, lastTime + 1n),
  'a log record of pages of one byte': field('log', 52, 1),
  'a log record of the largest pages': field('log', 52, 0xffffffff),
  'a log record of the last epoch': field('log', 36, last),
  'a log record with all page numbers': field('log', 68, 0xffffffff),
  'a manifest of all bytes': field('manifest', 68, last),
  'a manifest at the end of the log': field('manifest', 20, last),
  'a manifest after all bytes': field('manifest', 44, last),
  'a manifest of the last time': field('manifest', 56, lastTime),
  'a manifest of chunks of no bytes': field('manifest', 76, 0),
  'a manifest of pages of three bytes': field('manifest', 64, 3),
  'a manifest of a later format': field('manifest', 16, 99),
  'a chunk after all bytes': inExtent((extent) => extent.writeBigUInt64LE(2n ** 53n - 1n, 8)),
  'a chunk in the last pack': inExtent((extent) => extent.writeBigUInt64LE(2n ** 53n - 1n)),
  'a chunk at no place': inExtent((extent) => extent.writeBigUInt64LE(last, 8)),
  'a lock of process 0': lock(0),
  'a lock of process -1': lock(-1),
  'a lock of process 2^32': lock(2 ** 32),
  'a lock of a path': lock('1/../self'),
  'a lock of the first process': lock(1),
  'a lock of a host with control characters': lock(1, '\x1b[31m'),
}

/** All tricks; of the numbers every second one, so that each kind of record is among them. */
const tricks = {
  ...Object.fromEntries(everyNth(2, Object.entries(numbers))),
  'a million epochs': changeRecord('head', (head) => {
    const { epochs, cut } = placesOf(head)
    return Buffer.concat([head.subarray(0, epochs), u32(1e6), Buffer.alloc(8e6), head.subarray(cut)])
  }),
  '100,000 features with control characters': changeRecord('head', (head) =>
    Buffer.concat([head.subarray(0, 12), u32(1e5), ...Array(1e5).fill(text('x\x1b[31m')), head.subarray(16)]),
  ),
  'a holder of megabytes of control characters': changeRecord('head', (head) => {
    const { holder, since } = placesOf(head)
    const texts = ['\x1b[2J', '\x07\n', 'x'].map((one) => text(one.repeat(1e6)))
    return Buffer.concat([head.subarray(0, holder), ...texts, head.subarray(since)])
  }),
  'a log record at the end of the log': changeRecord('log', (record, key) => {
    record.writeBigUInt64LE(last, 16)
    key.writeBigUInt64LE(last)
  }),
  'a manifest of the last generation': changeRecord('manifest', (record, key) => {
    record.writeBigUInt64LE(last, 8)
    key.writeBigUInt64LE(last)
  }),
  'a manifest of 3 GB without its chunks': chunksOf(45_000, Buffer.alloc(32, 0xab)),
  'a manifest of 25 MB of one chunk': chunksOf(400),
  'a chunk of 3 GB': (where) => {
    inExtent((extent) => extent.writeUInt32LE(3 * 2 ** 30, 16))(where)
    truncateSync(pack(where), 4 * 2 ** 30)
  },
  'a chunk of nothing': inChunk(() => ''),
  'a chunk that claims 4 GB': inChunk((bytes) => bytes.writeUInt32LE(0xffffffff, 1) && undefined),
  'a chunk of another codec': inChunk((bytes) => bytes.fill(9, 0, 1)),
  'a chunk of lz4 without an end': inChunk(() =>
    Buffer.concat([Buffer.from([1, 0, 0, 1, 0]), Buffer.alloc(1000, 255)]),
  ),
  'a folder as pack': replaced(pack, mkdirSync),
  'a pipe as pack': replaced(pack, fifo),
  'a pipe as journal': replaced(journal, fifo),
  'a folder as journal': replaced(journal, mkdirSync),
  'a pipe as lock': (where) => fifo(path.join(where, 'lock.9')),
  'a folder as lock': (where) => mkdirSync(path.join(where, 'lock.9')),
  'a pack linked from outside': replaced(pack, (file) => linkSync(path.join(file, '../../precious'), file)),
  'a journal linked from outside': replaced(journal, (file) => linkSync(path.join(file, '../../precious'), file)),
  'an empty journal': replaced(journal, (file) => writeFileSync(file, '')),
  'a journal with 16 MB of zeros behind it': (where) => truncateSync(journal(where), 16 * 2 ** 20),
  'a journal with 20,000 deletions': (where) =>
    changeFrames(where, (frames) => [...frames, ...Array.from({ length: 20_000 }, deletion)]),
  'a journal with a transaction without an end': (where) =>
    changeFrames(where, (frames) => [...frames, ...Array(20_000).fill(frame(6, Buffer.alloc(32, 0xab), 0))]),
  'a journal with zeros before its number': (where) => copyFileSync(journal(where), path.join(where, 'journal.007')),
  'a journal with a sign before its number': (where) => copyFileSync(journal(where), path.join(where, 'journal.+5')),
  '5,000 packs that nothing names': (where) => {
    for (let at = 2; at < 5000; at++) writeFileSync(path.join(where, `pack.${at}`), 'x')
  },
  'names with control characters': (where) => {
    for (const name of ['a\nb', '\x1b[31mred', 'ü\u202e', 'x'.repeat(255)]) writeFileSync(path.join(where, name), '')
  },
  'the lock with the last number': (where) => writeFileSync(path.join(where, 'lock.18446744073709551615'), ''),
  'a lock of 2 GB': (where) => {
    writeFileSync(path.join(where, 'lock.9'), '')
    truncateSync(path.join(where, 'lock.9'), 2 ** 31)
  },
}

test('each hostile record or file is refused with a typed error, or harmless', { timeout: 600_000 }, async () => {
  let folders = 0
  for (const [name, trick] of Object.entries(tricks)) {
    const around = path.join(base, `${++folders}`)
    const options = { name: 'x', storage: 'file', path: path.join(around, 'x.tidelock'), onWarning() {} }
    mkdirSync(around)
    writeFileSync(path.join(around, 'precious'), 'precious')
    const made = await open(options)
    await made.exec('CREATE TABLE t (n); INSERT INTO t VALUES (zeroblob(200000))')
    await made.snapshots.create({ label: 'one' })
    await made.run('INSERT INTO t VALUES (1)')
    await made.close()
    trick(options.path)
    const attempt = (call) =>
      call().catch((error) => {
        assert.ok(isTidelockError(error) && error.code !== 'internal', `${name}: ${error}`)
        assert.ok(JSON.stringify(error).length < 10_000, `${name}: ${JSON.stringify(error).length} characters`)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly these are looked for.
        assert.doesNotMatch(error.message, /[\x00-\x1f]/, name)
      })
    const memory = () => process.memoryUsage().rss
    const before = memory()
    let db = await attempt(() => open(options))
    if (db === undefined) {
      await attempt(() => recover('x', { storage: 'file', path: options.path }))
      db = await attempt(() => open(options))
    }
    if (db !== undefined) {
      await attempt(() => db.query('SELECT n FROM t'))
      for (const { id } of await db.snapshots.list()) await attempt(() => db.snapshots.verify(id))
      await attempt(() => db.exec('CREATE TABLE u (x); INSERT INTO u VALUES (1)'))
      await attempt(() => db.snapshots.create())
      await attempt(() => db.close())
      const again = await open(options)
      assert.deepEqual(await again.query('SELECT x FROM u'), [{ x: 1 }], `${name}: what was written is there again`)
      await again.close()
    }
    assert.ok(memory() - before < 700 * 2 ** 20, `${name}: ${memory() - before} bytes`)
    assert.equal(readFileSync(path.join(around, 'precious'), 'utf8'), 'precious', name)
    rmSync(around, { recursive: true, force: true })
  }
})
