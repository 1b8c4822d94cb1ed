// Foreign files: by import, as a seed, as a snapshot, as SQL text.
import assert from 'node:assert/strict'
import { gzipSync } from 'node:zlib'
import { open } from '../../../pkg-js/dist/index.js'
import { mutatedBytes, mutatedText } from '../random.mjs'
import { attempt, mine, quiet } from '../rules.mjs'
import { definitions, scripts, words } from '../schemas.mjs'
import { leafPage, record, sqliteFile } from '../sqlite-file.mjs'

const passphrase = 'a passphrase'
const inMemory = { storage: 'memory', maxBytes: 64 * 2 ** 20, ...quiet }
let names = 0
const opened = (options) => open({ name: `file-${++names}`, ...inMemory, ...options })

export async function setUp() {
  const images = []
  const texts = []
  for (const script of scripts) {
    const db = await opened()
    await db.exec(script)
    images.push(await db.export())
    texts.push(new TextDecoder().decode(await db.export({ format: 'sql' })))
    await db.close()
  }
  const db = await opened()
  await db.exec(scripts[0])
  const { id } = await db.snapshots.create()
  const encrypted = new Uint8Array(await (await db.snapshots.export(id, { encrypt: { passphrase } })).arrayBuffer())
  await db.close()
  return { make: (random) => make(random, images, texts, encrypted), run }
}

function make(random, images, texts, encrypted) {
  const way = random.pick(['import', 'import', 'seed', 'snapshot', 'snapshot'])
  // Rarely, because deriving a key from a passphrase is slow.
  if (random.oneIn(60)) return { way: 'snapshot', bytes: mutatedBytes(random, encrypted) }
  const kind = random.below(37)
  if (kind < 3) return { way: 'script', text: mutatedText(random, random.pick(texts), words) }
  const image = Buffer.from(random.pick(images))
  if (kind < 11) return { way, bytes: mutatedBytes(random, image) }
  if (kind < 15) return { way, bytes: withOtherPages(random, image, images) }
  if (kind < 19) return { way, bytes: withOtherSchema(random, image) }
  if (kind < 22) return { way: 'snapshot', bytes: inGzip(random, image) }
  return { way, bytes: written(random, images) }
}

/** Swaps pages, or replaces them with those of another file. */
function withOtherPages(random, image, images) {
  const page = (of) => 4096 * random.below(of.length / 4096)
  for (const other of random.some(4, () => random.pick([image, ...images]))) {
    const [to, from] = [page(image), page(other)]
    const bytes = Buffer.from(other.subarray(from, from + 4096))
    if (other === image) image.copyWithin(from, to, to + 4096)
    bytes.copy(image, to)
  }
  return new Uint8Array(image)
}

/** Replaces text within statements of the schema, keeping its length. */
function withOtherSchema(random, image) {
  const found = [...image.toString('latin1').matchAll(/CREATE [\w ]+[^\0]{10,300}/g)]
  for (const { index, 0: statement } of random.some(3, () => random.pick(found))) {
    const text = Buffer.from(mutatedText(random, statement, words))
    text.copy(image, index, 0, Math.min(text.length, statement.length))
  }
  return new Uint8Array(image)
}

function inGzip(random, image) {
  if (random.oneIn(2)) return mutatedBytes(random, gzipSync(image))
  if (random.oneIn(20)) return new Uint8Array(gzipSync(Buffer.alloc(300e6), { level: 1 }))
  return new Uint8Array(gzipSync(mutatedBytes(random, image)))
}

/** Writes a file from scratch. */
function written(random, images) {
  const pageSize = random.pick([512, 1024, 4096, 4096, 65536])
  const pages = random.some(6, () => {
    if (pageSize === 4096 && random.oneIn(2)) {
      const image = Buffer.from(random.pick(images))
      const at = 4096 * random.below(image.length / 4096)
      return Buffer.from(image.subarray(at, at + 4096))
    }
    const cells = random.some(5, () =>
      record(random.some(4, () => random.pick([null, 7, -1, 'text', new Uint8Array(9)]))),
    )
    return leafPage(pageSize, random.oneIn(3) ? [] : cells)
  })
  const schema = random.some(12, () => {
    const sql = random.pick(definitions)
    const text = sql !== null && random.oneIn(3) ? mutatedText(random, sql, words) : sql
    const [, kind, name] = /^CREATE (?:UNIQUE |VIRTUAL )*(\w+) (\w+)/.exec(sql ?? '') ?? ['', 'table', 'odd']
    const type = random.oneIn(10)
      ? random.pick(['table', 'index', 'view', 'trigger', 'TABLE', '', null])
      : kind.toLowerCase()
    const isRooted = /^(table|index)$/.test(type) && !/VIRTUAL/.test(sql ?? '')
    const root = random.oneIn(10) ? random.pick([0, 1, -1, 99, null]) : isRooted ? 2 + random.below(pages.length) : 0
    return {
      type,
      name: random.oneIn(12) ? random.pick(['a', 't', 'sqlite_x', 'tidelock_x', '', null]) : name,
      root,
      sql: text,
    }
  })
  const on = { type: 'table', name: 't', root: 2, sql: 'CREATE TABLE t (id INTEGER PRIMARY KEY, x, y)' }
  const header = random.oneIn(5) ? { write: random.below(4), read: random.below(4), encoding: random.below(5) } : {}
  const file = sqliteFile({ pageSize, schema: random.oneIn(4) ? schema : [on, ...schema], pages, header })
  return random.oneIn(4) ? mutatedBytes(random, file) : new Uint8Array(file)
}

const isEncrypted = (bytes) => Buffer.from(bytes.subarray(0, 8)).equals(Buffer.from('TIDELOCK'))

/** The database that imports the files, as long as it is unchanged. */
let kept

async function run(input) {
  if (input.way === 'seed') return seeded(input)
  if (input.way === 'script') return script(input)
  kept ??= await withMine()
  const db = kept
  kept = undefined
  const before = await db.snapshots.list()
  const { bytes } = input
  const work =
    input.way === 'import'
      ? () => db.import(bytes)
      : async () => {
          const { id } = await db.snapshots.import(bytes, isEncrypted(bytes) ? { encrypt: { passphrase } } : {})
          await db.snapshots.restore(id)
        }
  const { error } = await attempt(work)
  if (error === undefined) {
    await used(db)
    await restored(db)
  } else {
    await mine.mustBeThere(db)
    const { status, alerts } = await db.health()
    assert.equal(status, 'ok', JSON.stringify(alerts))
    if (input.way === 'import') assert.deepEqual(await db.snapshots.list(), before)
    kept = db
    return error.code
  }
  await db.close()
  return 'taken'
}

async function withMine() {
  const db = await opened()
  await db.exec(mine.sql)
  return db
}

/** Opens a database with the file as its seed. */
async function seeded({ bytes }) {
  const { value: db, error } = await attempt(() => opened({ seed: bytes }))
  if (db === undefined) return error.code
  await used(db)
  await db.close()
  return 'taken'
}

async function script({ text }) {
  const db = await withMine()
  const { error } = await attempt(() => db.exec(text, { timeoutMs: 2000 }))
  await used(db)
  await db.close()
  return error?.code ?? 'taken'
}

/** Uses the imported schema: each statement must succeed or fail with a typed error. */
async function used(db) {
  const limit = { timeoutMs: 300 }
  const { value: schema = [] } = await attempt(() =>
    db.query(
      "SELECT type, name, tbl_name FROM sqlite_schema WHERE type IN ('table', 'view', 'trigger') LIMIT 20",
      [],
      limit,
    ),
  )
  for (const { type, name, tbl_name: table } of schema) {
    assert.ok(!(type !== 'table' && /^tidelock_/i.test(`${table}`)), `The ${type} ${name} on ${table} came in`)
    if (type === 'trigger') continue
    const quoted = `"${String(name).replaceAll('"', '""')}"`
    for (const sql of [
      `SELECT * FROM ${quoted} LIMIT 20`,
      `INSERT INTO ${quoted} DEFAULT VALUES`,
      `UPDATE ${quoted} SET rowid = rowid + 1`,
      `DELETE FROM ${quoted}`,
    ])
      await attempt(() => db.query(sql, [], limit))
  }
  await attempt(() => db.exec('CREATE TABLE added (x); INSERT INTO added VALUES (1); DROP TABLE added', limit))
  await attempt(() => db.export({ format: 'sql' }))
  const { status } = await db.health()
  assert.notEqual(status, 'failed')
}

/** Restores the safety snapshot, and checks that the old data is back. */
async function restored(db) {
  const safety = (await db.snapshots.list()).filter(({ reason }) => reason === 'safety')
  assert.ok(safety.length > 0, 'The old data was not kept')
  await db.snapshots.restore(safety.at(-1).id, { force: true })
  await mine.mustBeThere(db)
}
