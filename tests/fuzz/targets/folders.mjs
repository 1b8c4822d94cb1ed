// The folder of a database, changed at random: read, opened and recovered.
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { open, recover } from '../../../pkg-js/dist/index.js'
import { listing } from '../../node/listing.mjs'
import { framesOf, segment, xxh3 } from '../frames.mjs'
import { mutatedBytes, mutatedText } from '../random.mjs'
import { attempt, mine, quiet } from '../rules.mjs'

const name = 'shop'
const options = { name, storage: 'file', snapshots: { onHidden: false }, maxBytes: 64 * 2 ** 20, ...quiet }
/** The options with which the command line opens a folder to read it. */
const readOnly = { [Symbol.for('tidelock.readOnly')]: true, snapshots: false }

export async function setUp(base) {
  const key = await crypto.subtle.importKey('raw', new Uint8Array(32).fill(7), 'AES-GCM', false, ['encrypt', 'decrypt'])
  const encryptions = [undefined, { key }]
  const folders = []
  for (const encryption of encryptions) {
    const where = path.join(base, `made ${folders.length}`)
    const db = await open({ ...options, path: where, encryption })
    await db.exec(mine.sql)
    await db.snapshots.create({ label: 'one' })
    await db.exec('CREATE TABLE t (x); INSERT INTO t VALUES (hex(zeroblob(60000)))')
    await db.snapshots.create()
    await db.run('INSERT INTO t VALUES (1)')
    await db.close()
    folders.push(filesIn(where))
  }
  const place = { around: path.join(base, 'around'), where: path.join(base, 'around', 'shop.tidelock') }
  return {
    make(random) {
      const isEncrypted = random.oneIn(4)
      return { isEncrypted, files: changed(random, folders[Number(isEncrypted)]) }
    },
    run: (input) => run(input, place, encryptions[Number(input.isEncrypted)]),
  }
}

/** Returns the files below a folder: bytes by path. */
function filesIn(folder) {
  const names = readdirSync(folder, { recursive: true }).filter((file) => statSync(path.join(folder, file)).isFile())
  return Object.fromEntries(names.map((file) => [file, new Uint8Array(readFileSync(path.join(folder, file)))]))
}

const oddNames = [
  'journal.0',
  'journal.2',
  'journal.18446744073709551615',
  'journal.1.tmp',
  'journal.x',
  'lock.1',
  'lock.99',
  'pack.2',
  'pack.18446744073709551615',
  'pack.x',
  'odd',
]

function changed(random, made) {
  const files = { ...made }
  for (const kind of random.some(4, () => random.below(16))) {
    const file = random.pick(Object.keys(files))
    const bytes = files[file]
    if (bytes === undefined || 'link' in bytes) continue
    if (kind < 3) files[file] = mutatedBytes(random, bytes)
    else if (kind < 9 && files['journal.1'] instanceof Uint8Array)
      files['journal.1'] = segment(1, withOtherFrames(random, framesOf(files['journal.1'])))
    else if (kind < 10) delete files[file]
    else if (kind < 11) files[random.pick(oddNames)] = bytes
    else if (kind < 12) files[random.pick(oddNames)] = mutatedBytes(random, bytes)
    else if (kind < 13) files['lock.1'] = new TextEncoder().encode(mutatedText(random, lockText))
    else if (kind < 14) {
      delete files[file]
      files[random.oneIn(3) ? random.pick(oddNames) : file] = {
        link: random.pick(['../outside/precious', '..', '/nowhere', '../outside']),
      }
    } else {
      const other = random.pick(Object.keys(files))
      ;[files[file], files[other]] = [files[other], bytes]
    }
  }
  return files
}

const lockText = 'tidelock\nid 4194305-ab\npid 4194305\nbegan never\nhost elsewhere\nsince then\n'

/** Changes, moves, leaves out or repeats frames. */
function withOtherFrames(random, given) {
  const frames = [...given]
  for (const kind of random.some(5, () => random.below(10))) {
    if (frames.length === 0) break
    const at = random.below(frames.length)
    const frame = frames[at]
    if (kind < 5) frames[at] = { ...frame, body: withChecksum(random, frame.kind, otherBody(random, frame.body)) }
    else if (kind < 6) frames[at] = { ...frame, kind: random.below(10) }
    else if (kind < 7) frames[at] = { ...frame, last: random.below(3) }
    else if (kind < 8) frames.splice(at, 1)
    else if (kind < 9) frames.splice(random.below(frames.length), 0, frame)
    else frames[at] = { ...frame, synced: random.pick([0n, 1n, 2n ** 63n, 2n ** 64n - 1n]) }
  }
  return frames
}

/** Changes a body: mostly length fields, which are at the beginning; or its first bytes, which may be the id of a chunk; or its end. */
function otherBody(random, body) {
  if (random.oneIn(4)) return mutatedBytes(random, body)
  const changed = Buffer.from(body)
  if (random.oneIn(3)) {
    if (random.oneIn(2)) return new Uint8Array(changed.subarray(0, random.below(53)))
    changed.fill(random.below(256), 0, Math.min(32, changed.length))
    return new Uint8Array(changed)
  }
  if (changed.length >= 4)
    changed.writeUInt32LE(random.pick([0, 1, 0x7fffffff, 0xffffffff, 0x10000, 65]), random.below(changed.length - 3))
  return new Uint8Array(changed)
}

/** The offset of the storage record in the body of a frame, by kind: log, head, manifest. */
const records = { 1: 16, 2: 4, 3: 12 }

/** Usually fixes the checksum of the record, so that its contents are read. */
function withChecksum(random, kind, body) {
  const start = records[kind]
  if (start === undefined || body.length < start + 8 || random.oneIn(4)) return body
  const changed = Buffer.from(body)
  changed.writeBigUInt64LE(xxh3(changed.subarray(start + 8)), start)
  return new Uint8Array(changed)
}

/** Reads a database with changed data: each call must succeed or fail with a typed error. */
async function look(db, ...more) {
  await attempt(() => db.query('SELECT * FROM mine'))
  const { value: snapshots = [] } = await attempt(() => db.snapshots.list())
  for (const { id } of snapshots) await attempt(() => db.snapshots.verify(id))
  await db.health()
  for (const work of more) await attempt(work)
}

async function run({ files }, { around, where }, encryption) {
  rmSync(around, { recursive: true, force: true })
  const outside = path.join(around, 'outside')
  mkdirSync(outside, { recursive: true })
  writeFileSync(path.join(outside, 'precious'), 'precious')
  mkdirSync(where)
  for (const [file, contents] of Object.entries(files)) {
    const at = path.join(where, file)
    if (contents instanceof Uint8Array) writeFileSync(at, contents)
    else symlinkSync(contents.link, at)
  }
  const [asItWas, sentinels] = [listing(around), listing(outside)]
  const opened = (more) => attempt(() => open({ ...options, path: where, encryption, ...more }))

  const { value: seen } = await opened(readOnly)
  if (seen !== undefined) await look(seen)
  await seen?.close()
  assert.deepEqual(listing(around), asItWas, 'Reading the folder changed it')

  const { value: db, error } = await opened()
  if (db !== undefined) {
    await look(
      db,
      () => db.exec('CREATE TABLE added (x)'),
      () => db.snapshots.create(),
    )
    await attempt(() => db.close())
  } else {
    const { value: report } = await attempt(() => recover(name, { storage: 'file', path: where, encryption }))
    const { value: recovered } = report === undefined ? {} : await opened()
    if (recovered !== undefined) await look(recovered)
    await recovered?.close()
  }
  assert.deepEqual(listing(outside), sentinels, 'A file outside of the folder was changed')
  assert.deepEqual(readdirSync(around).sort(), ['outside', 'shop.tidelock'])
  return error?.code ?? 'opened'
}
