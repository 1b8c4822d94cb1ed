// The recipes of docs/runbook.md, run as they stand there in the situation that they are for.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { before } from 'node:test'
import { freshName, suite, test } from './harness.mjs'

const text = readFileSync(new URL('../../docs/runbook.md', import.meta.url), 'utf8')
/** The pieces of code by the title that they stand under. */
const recipes = new Map(
  text
    .split(/^## /m)
    .slice(1)
    .map((section) => [
      section.slice(0, section.indexOf('\n')),
      [...section.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code),
    ]),
)
const used = new Set()

const context = suite({
  remote: { seed: 'create table notes (id bigint primary key, body text); grant all on notes to anon' },
})
before(() => assert.ok(recipes.size >= 10))

const once = { only: 'current', because: 'a recipe is the same code for a worker' }

/** The code of a recipe; `at` where there are several. */
function recipe(title, at = 0) {
  const code = recipes.get(title)?.[at]
  assert.ok(code, `the runbook has no '${title}' number ${at}`)
  used.add(`${title} ${at}`)
  return code
}

/**
 * Runs `scene(run, name, argument)` in a page. `run(code, names, results)` runs a recipe with these names in scope and gives what the
 * names in `results` are at its end.
 */
async function play(scene, codes, argument = {}) {
  const page = await context.page()
  try {
    return await page.evaluate(
      async ([source, codes, name, value]) => {
        const AsyncFunction = (async () => {}).constructor
        const open = (options) => window.open(options)
        const run = (at, scope, results = []) => {
          const all = { ...tidelock, open }
          for (const name of results) delete all[name]
          Object.assign(all, scope)
          // What a recipe declares, its caller may ask for: the last line is added.
          const body = `${codes[at]}\nreturn { ${results.join(', ')} }`
          return new AsyncFunction(...Object.keys(all), body)(...Object.values(all))
        }
        return await new Function(`return (${source})`)()(run, name, value)
      },
      [scene.toString(), codes, freshName(), argument],
    )
  } finally {
    await page.close()
  }
}

test('back up, and restore: a moment, only some rows, a snapshot, a file', once, async () => {
  const result = await play(
    async (run, name) => {
      const passphrase = 'correct horse'
      const db = await window.open({ name })
      await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
      await db.exec('CREATE TABLE orders (id INTEGER PRIMARY KEY, total); INSERT INTO orders VALUES (7, 12), (8, 1)')
      const downloads = []
      const { file } = await run(0, { db, passphrase, download: (...given) => downloads.push(given[1]) }, ['file'])
      const count = async (from = db) => (await from.get('SELECT count(*) AS n FROM t')).n
      await db.run('INSERT INTO t VALUES (2)')
      // A point in time of its own, between two commits.
      const written = Date.now()
      await window.until(() => Date.now() > written)
      const justBeforeTheMistake = new Date()
      await window.until(() => Date.now() > justBeforeTheMistake.getTime())
      await db.run('DELETE FROM t')
      await run(1, { db, justBeforeTheMistake })
      const moment = await count()
      await db.run('DELETE FROM orders')
      await run(4, { db, justBeforeTheMistake, id: 7 })
      const orders = await db.query('SELECT * FROM orders')
      await run(2, { db })
      const snapshot = await count()
      await db.close()
      const other = await window.open({ name: `${name}-other` })
      await run(3, { db: other, file, passphrase })
      const fromFile = await count(other)
      await other.close()
      return { downloads, moment, orders, snapshot, fromFile }
    },
    [recipe('Back up'), recipe('Restore'), recipe('Restore', 1), recipe('Restore', 2), recipe('Restore', 3)],
  )
  assert.match(result.downloads[0], /^backup-.+\.sqlite\.gz\.enc$/)
  assert.deepEqual([result.moment, result.snapshot, result.fromFile], [2, 1, 1])
  assert.deepEqual(result.orders, [{ id: 7, total: 12 }])
})

test('a migration failed', once, async () => {
  const result = await play(
    async (run, name) => {
      const first = { version: '1', name: 'first', up: 'CREATE TABLE t (n)' }
      const broken = {
        version: '2',
        name: 'second',
        up: 'ALTER TABLE t ADD COLUMN m;\nALTER TABLE nowhere ADD COLUMN m;',
      }
      const db = await window.open({ name, migrations: [first] })
      await db.run('INSERT INTO t VALUES (7)')
      await db.close()
      const reports = []
      let seen
      const work = async (db) => {
        seen = await db.query('SELECT * FROM t')
      }
      await run(0, { name, migrations: [first, broken], report: (...given) => reports.push(given), work })
      const mended = await window.open({ name, migrations: [first, { ...broken, up: 'ALTER TABLE t ADD COLUMN m;' }] })
      const after = await mended.query('SELECT * FROM t')
      await mended.close()
      return { reports, seen, after }
    },
    [recipe('A migration failed')],
  )
  assert.deepEqual(result.reports[0].slice(0, 2), ['2', 2])
  assert.deepEqual(result.seen, [{ n: 7 }])
  assert.deepEqual(result.after, [{ n: 7, m: null }])
})

test('another tab has it', once, async () => {
  const holder = await context.page()
  const name = freshName()
  await holder.evaluate(async (given) => {
    window.db = await window.open({ name: given })
    await window.db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (5)')
    window.states = []
    window.db.addEventListener('lock', ({ detail }) => window.states.push(detail.state))
  }, name)
  const result = await play(
    async (run, _, name) => {
      const questions = []
      const ask = async (question) => questions.push(question)
      const { db } = await run(0, { name, ask, db: undefined }, ['db'])
      const rows = await db.query('SELECT n FROM t')
      await db.close()
      return { questions, rows }
    },
    [recipe('Another tab has the database open')],
    name,
  )
  assert.match(result.questions[0], /^"A page under test" has it since \d{4}-/)
  assert.deepEqual(result.rows, [{ n: 5 }])
  assert.deepEqual(await holder.evaluate(() => window.states), ['released'])
  await holder.close()
})

test('the disk is full', once, async () => {
  const result = await play(
    async (run, name) => {
      const db = await window.open({ name })
      await db.exec('CREATE TABLE photos (bytes BLOB)')
      await db.snapshots.create({ label: 'not needed' })
      await db.snapshots.create({ label: 'kept' })
      // Until the user deletes a snapshot there is no room for anything that is stored.
      const repair = await window.rigEngine(() => {
        const { add } = IDBObjectStore.prototype
        globalThis.full = true
        IDBObjectStore.prototype.add = function (...given) {
          if (globalThis.full) throw new DOMException('no room', 'QuotaExceededError')
          return add.apply(this, given)
        }
        return () => Object.assign(IDBObjectStore.prototype, { add })
      })
      const { snapshots } = db
      const remove = snapshots.delete
      snapshots.delete = async (id) => {
        await window.inEngine(() => {
          globalThis.full = false
        })
        return remove.call(snapshots, id)
      }
      await run(0, { db, bytes: new Uint8Array(100_000) })
      const health = await db.health()
      const labels = (await db.snapshots.list()).map(({ label }) => label)
      await db.close()
      await repair()
      const again = await window.open({ name })
      const { n } = await again.get('SELECT count(*) AS n FROM photos')
      await again.close()
      return { lastError: health.storage.lastError, labels, n }
    },
    [recipe('The disk is full')],
  )
  assert.equal(result.lastError, null)
  assert.ok(result.labels.includes('kept') && !result.labels.includes('not needed'))
  assert.equal(result.n, 1)
})

test('the database is corrupt', once, async () => {
  const result = await play(
    async (run, name) => {
      let db = await window.open({ name })
      await db.exec('CREATE TABLE t (n)')
      await db.snapshots.create()
      for (let n = 0; n < 10; n++) await db.run('INSERT INTO t VALUES (?)', [n])
      await db.close()
      // One of the last commits is lost.
      const request = indexedDB.open(`tidelock/${name}`)
      const stored = await new Promise((resolve) => {
        request.onsuccess = () => resolve(request.result)
      })
      await new Promise((resolve) => {
        const transaction = stored.transaction('log', 'readwrite')
        const log = transaction.objectStore('log')
        const keys = log.getAllKeys()
        keys.onsuccess = () => log.delete(keys.result.at(-3))
        transaction.oncomplete = resolve
      })
      stored.close()
      const told = []
      ;({ db } = await run(0, { name, db: undefined, tell: (...given) => told.push(given) }, ['db']))
      const { n } = await db.get('SELECT count(*) AS n FROM t')
      await db.run('INSERT INTO t VALUES (100)')
      await db.close()
      return { told, n }
    },
    [recipe('The database is corrupt')],
  )
  const [[lastGoodAt, lost, report]] = result.told
  assert.ok(Date.parse(lastGoodAt) > Date.now() - 60_000)
  assert.ok(lost >= 1 && typeof report === 'object')
  assert.ok(result.n >= 5 && result.n < 10, `${result.n} rows are left of 10`)
})

test('two databases become one', once, async () => {
  const result = await play(
    async (run, name) => {
      const otherName = `${name}-other`
      const schema = 'CREATE TABLE items (id INTEGER PRIMARY KEY, title TEXT)'
      const other = await window.open({ name: otherName })
      await other.exec(`${schema}; INSERT INTO items VALUES (1, 'theirs'), (2, 'b')`)
      await other.close()
      const db = await window.open({ name })
      await db.exec(`${schema}; INSERT INTO items VALUES (1, 'ours')`)
      await run(0, { db, otherName })
      const rows = await db.query('SELECT * FROM items ORDER BY id')
      await db.close()
      return { rows, names: (await tidelock.databases()).map((one) => one.name).filter((one) => one.startsWith(name)) }
    },
    [recipe('Merge two databases')],
  )
  assert.deepEqual(result.rows, [
    { id: 1, title: 'ours' },
    { id: 2, title: 'b' },
  ])
  assert.equal(result.names.length, 1)
})

const migrations = [{ version: '1', name: 'notes', up: 'CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)' }]
const remote = () => ({ url: context.remote.url, key: context.remote.anonKey, tables: ['notes'] })
const remoteNotes = () => context.remote.sql('select id, body from notes order by id')

test('from local to cloud, and back', once, async () => {
  await context.remote.sql("delete from notes; insert into notes values (1, 'cloud')")
  const result = await play(
    async (run, name, { migrations, remote }) => {
      let db = await window.open({ name, migrations })
      await db.run("INSERT INTO notes VALUES (2, 'local')")
      ;({ db } = await run(0, { db, name, migrations, remote }, ['db']))
      const health = await db.health()
      const rows = await db.query('SELECT * FROM notes ORDER BY id')
      await db.close()
      const back = await window.open({ name, migrations, remote, mode: 'local' })
      await back.run("INSERT INTO notes VALUES (3, 'noted')")
      const pending = await back.sync.pending()
      await back.sync.run()
      await back.close()
      return { rows, pending: pending.length, database: health.database }
    },
    [recipe('From local to cloud, and back')],
    { migrations, remote: remote() },
  )
  assert.equal(result.database, 'cloud')
  assert.deepEqual(result.rows, [
    { id: 1, body: 'cloud' },
    { id: 2, body: 'local' },
  ])
  assert.equal(result.pending, 1)
  assert.deepEqual(
    (await remoteNotes()).map(({ body }) => body),
    ['cloud', 'local', 'noted'],
  )
})

test('a data database is built anew from its source', once, async () => {
  await context.remote.sql("delete from notes; insert into notes values (1, 'cloud'), (2, 'cloud')")
  const result = await play(
    async (run, name, { migrations, remote }) => {
      const db = await window.open({
        name,
        migrations,
        remote: { ...remote, tables: [{ table: 'notes', direction: 'pull' }] },
      })
      await db.run("INSERT INTO notes VALUES (1, 'wrong'), (9, 'stray')")
      const { report } = await run(0, { db }, ['report'])
      const replaced = await db.query('SELECT * FROM notes ORDER BY id')
      await db.close()
      const source = await window.open({ name: `${name}-seed`, storage: 'memory' })
      await source.exec("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO notes VALUES (4, 'seed')")
      const seedUrl = URL.createObjectURL(new Blob([await source.export()]))
      await source.close()
      const plain = await window.open({ name: `${name}-plain` })
      await plain.exec('CREATE TABLE old (n)')
      await run(1, { db: plain, seedUrl })
      const seeded = await plain.query('SELECT * FROM notes')
      await plain.close()
      return { report, replaced, seeded }
    },
    [recipe('Rebuild a data database from its source'), recipe('Rebuild a data database from its source', 1)],
    { migrations, remote: remote() },
  )
  assert.equal(result.report.mode, 'replace')
  assert.deepEqual(result.replaced, [
    { id: 1, body: 'cloud' },
    { id: 2, body: 'cloud' },
  ])
  assert.deepEqual(result.seeded, [{ id: 4, body: 'seed' }])
})

test('a column key is replaced', once, async () => {
  await context.remote.sql('delete from notes')
  const result = await play(
    async (run, name, { migrations, remote }) => {
      const [oldKey, newKey] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
      const given = { name, migrations: [{ ...migrations[0], up: migrations[0].up.replace('body TEXT', 'body BLOB') }] }
      const tables = [{ table: 'notes', types: { body: 'bytea' } }]
      const before = await window.open({ ...given, remote: { ...remote, tables }, columnKey: oldKey })
      await before.exec("INSERT INTO notes VALUES (1, encrypt('one')), (2, encrypt('two'))")
      await before.close()
      const db = await window.open({ ...given, remote: { ...remote, tables }, columnKey: [newKey, oldKey] })
      await db.run("INSERT INTO notes VALUES (3, encrypt('three')), (4, NULL)")
      const bytes = async () =>
        (await db.query('SELECT hex(body) AS body FROM notes ORDER BY id')).map(({ body }) => body)
      const first = await bytes()
      await run(0, { db })
      const second = await bytes()
      await run(0, { db })
      const third = await bytes()
      const pending = await db.sync.pending()
      await db.close()
      const after = await window.open({ ...given, columnKey: newKey })
      const rows = await after.query('SELECT decrypt(body) AS body FROM notes ORDER BY id', [], { rowMode: 'array' })
      await after.close()
      return {
        changed: first.map((one, at) => one !== second[at]),
        again: String(second) !== String(third),
        pending: pending.length,
        rows,
      }
    },
    [recipe('Replace a column key')],
    { migrations, remote: remote() },
  )
  assert.deepEqual([result.changed, result.again, result.pending], [[true, true, false, false], false, 0])
  assert.deepEqual(result.rows, [['one'], ['two'], ['three'], [null]])
  assert.equal((await remoteNotes()).length, 4)
})

test('moving away', once, async () => {
  await context.remote.sql('delete from notes')
  const result = await play(
    async (run, name, { migrations, remote }) => {
      const local = await window.open({ name, migrations })
      await local.exec("INSERT INTO notes VALUES (1, 'it''s'), (2, 'two')")
      const { sql } = await run(0, { db: local }, ['sql'])
      await local.close()
      const scratch = await window.open({ name: `${name}-scratch`, storage: 'memory' })
      await scratch.exec(sql)
      const read = await scratch.query('SELECT body FROM notes ORDER BY id')
      await scratch.close()
      const db = await window.open({ name, migrations, remote })
      const { tables, refused } = await run(1, { db }, ['tables', 'refused'])
      await db.close()
      return { sql, read, tables, refused }
    },
    [recipe('Move to another database'), recipe('Move to another database', 1)],
    { migrations, remote: remote() },
  )
  assert.match(result.sql, /INSERT INTO .*notes.* VALUES/i)
  assert.deepEqual(result.read, [{ body: "it's" }, { body: 'two' }])
  assert.equal(result.tables[0].inserted, 2)
  assert.deepEqual(result.refused, [])
  assert.deepEqual(await remoteNotes(), [
    { id: '1', body: "it's" },
    { id: '2', body: 'two' },
  ])
})

test('each recipe was run', once, () => {
  const all = [...recipes].flatMap(([title, codes]) => codes.map((_, at) => `${title} ${at}`))
  assert.deepEqual([...used].sort(), all.sort())
})
