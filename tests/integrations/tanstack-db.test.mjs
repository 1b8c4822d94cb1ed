// Collections of TanStack DB over tables and queries of a database, in Node and in Chromium.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as tanstack from '@tanstack/db'
import { build } from 'esbuild'
import * as tidelock from '../../pkg-js/dist/index.js'
import * as subpath from '../../pkg-js/dist/integrations/tanstack-db/index.js'
import { failNextFlush } from '../../pkg-js/dist/integrations/testing/index.js'
import { Browser } from '../e2e/browser.mjs'
import { serve } from '../e2e/serve.mjs'
import { until } from '../scenarios/run/context.mjs'
import { documentBlocks } from './documents.mjs'

const { createCollection, createTransaction, localOnlyCollectionOptions } = tanstack
const { isTidelockError, open } = tidelock
const { persistMutations, tidelockCollectionOptions } = subpath

let names = 0

/** Runs `work` with a database in memory that has this schema. */
async function withDatabase(schema, work, options = {}) {
  const db = await open({ name: `tanstack-${++names}`, storage: 'memory', ...options })
  try {
    await db.exec(schema)
    await work(db)
  } finally {
    await db.close()
  }
}

/** The error of a promise or a call, which must be a TidelockError. */
async function failure(work) {
  try {
    await (typeof work === 'function' ? work() : work)
  } catch (error) {
    assert.ok(isTidelockError(error), `not a TidelockError: ${error?.stack}`)
    return error
  }
  throw new Error('it did not fail')
}

/** Begins a transaction that stays open until its `end` is called. */
function held(database) {
  const transaction = {}
  transaction.done = database.transaction(() => new Promise((resolve) => (transaction.end = resolve)))
  return transaction
}

const plain = (collection) =>
  collection.toArray.map((row) => Object.fromEntries(Object.entries(row).filter(([name]) => !name.startsWith('$'))))

async function collectionOf(config) {
  const collection = createCollection(tidelockCollectionOptions(config))
  await collection.preload()
  return collection
}

const todos = `CREATE TABLE todos (id TEXT PRIMARY KEY, title TEXT NOT NULL CHECK (title <> ''), done INTEGER NOT NULL DEFAULT 0);
  INSERT INTO todos (id, title) VALUES ('a', 'tea')`

test('a collection over a table has its rows, and stores inserts, updates and deletions', () =>
  withDatabase(todos, async (database) => {
    const collection = await collectionOf({ database, table: 'todos' })
    assert.deepEqual(plain(collection), [{ id: 'a', title: 'tea', done: 0 }])
    const inserting = collection.insert([
      { id: 'b', title: 'milk' },
      { id: 'c', title: 'bread', done: undefined },
    ])
    assert.equal(collection.get('b').title, 'milk', 'it shows at once')
    await inserting.isPersisted.promise
    assert.equal(collection.get('b').done, 0, 'with what the table filled in')
    await collection.update('b', (draft) => {
      draft.done = true
    }).isPersisted.promise
    assert.equal(collection.get('b').done, 1, 'as it is stored')
    await collection.delete('a').isPersisted.promise
    const stored = await database.query('SELECT * FROM todos ORDER BY id')
    assert.deepEqual(stored, [
      { id: 'b', title: 'milk', done: 1 },
      { id: 'c', title: 'bread', done: 0 },
    ])
    assert.deepEqual(plain(collection), stored)
  }))

test('writes of others appear', () =>
  withDatabase(todos, async (database) => {
    const collection = await collectionOf({ database, table: 'todos' })
    const changes = []
    collection.subscribeChanges((all) => changes.push(...all.map(({ type, key }) => `${type} ${key}`)), {
      includeInitialState: true,
    })
    await database.batch([
      { sql: "INSERT INTO todos (id, title) VALUES ('b', 'milk')" },
      { sql: "UPDATE todos SET done = 1 WHERE id = 'a'" },
    ])
    await until(() => collection.size === 2)
    assert.deepEqual(changes.splice(0), ['insert a', 'insert b', 'update a'])
    await database.run("DELETE FROM todos WHERE id = 'a'")
    await until(() => collection.size === 1)
    assert.deepEqual(changes, ['delete a'])
  }))

test('from the optimistic row to the stored one nothing flickers', () =>
  withDatabase(
    `${todos}; CREATE TRIGGER tidy AFTER INSERT ON todos BEGIN UPDATE todos SET title = upper(new.title) WHERE id = new.id; END`,
    async (database) => {
      const collection = await collectionOf({ database, table: 'todos' })
      const seen = []
      collection.subscribeChanges((changes) => {
        seen.push(...changes.map(({ type, value }) => `${type} ${value.title}`))
        assert.ok(collection.has('b'), 'the row is there all the time')
      })
      await collection.insert({ id: 'b', title: 'milk', done: 0 }).isPersisted.promise
      assert.equal(collection.get('b').title, 'MILK', 'what the trigger made of it, once the promise resolves')
      const updating = collection.update('b', (draft) => {
        draft.title = 'rice'
      })
      await updating.isPersisted.promise
      assert.deepEqual([...new Set(seen)], ['insert milk', 'update MILK', 'update rice'])
      await collection.delete('a').isPersisted.promise
    },
  ))

test('a row stays while the query that brings it waits behind another transaction', () =>
  withDatabase(todos, async (database) => {
    const table = await collectionOf({ database, table: 'todos' })
    const query = await collectionOf({
      database,
      sql: 'SELECT * FROM todos',
      getKey: (row) => row.id,
      onInsert: ({ transaction }) =>
        database.run('INSERT INTO todos (id, title) VALUES (:id, :title)', transaction.mutations[0].modified),
    })
    for (const [id, collection] of Object.entries({ b: table, c: query })) {
      const types = []
      collection.subscribeChanges((changes) => types.push(...changes.map(({ type }) => type)))
      const before = held(database)
      await until(() => before.end)
      const inserting = collection.insert({ id, title: 'milk' }).isPersisted.promise
      // The insert is in the queue now; the query that its commit starts comes behind the second transaction.
      await new Promise((resolve) => setImmediate(resolve))
      const behind = held(database)
      before.end()
      await until(() => behind.end)
      await new Promise((resolve) => setImmediate(resolve))
      const early = [...types]
      behind.end()
      await Promise.all([inserting, before.done, behind.done])
      assert.deepEqual([early, collection.get(id).done], [['insert'], 0])
      assert.ok(!types.includes('delete'))
    }
  }))

test('a failing write is taken back and rejects with the error of the database', () =>
  withDatabase(todos, async (database) => {
    const collection = await collectionOf({ database, table: 'todos' })
    const writes = {
      insert: () =>
        collection.insert([
          { id: 'b', title: 'milk' },
          { id: 'c', title: '' },
        ]),
      update: () =>
        collection.update('a', (draft) => {
          draft.title = ''
        }),
      column: () => collection.insert({ id: 'b', title: 'milk', colour: 'white' }),
    }
    for (const [what, write] of Object.entries(writes)) {
      const error = await failure(write().isPersisted.promise)
      assert.equal(error.code, what === 'column' ? 'sqlite_error' : 'sqlite_constraint')
      assert.deepEqual(plain(collection), [{ id: 'a', title: 'tea', done: 0 }], what)
    }
    assert.deepEqual(await database.query('SELECT id FROM todos'), [{ id: 'a' }], 'nothing of a transaction is stored')
  }))

test('what a full disk refuses stays visible, since it is stored later', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'tidelock-tanstack-'))
  try {
    await withDatabase(
      todos,
      async (database) => {
        const collection = await collectionOf({ database, table: 'todos' })
        const times = Number.POSITIVE_INFINITY
        const fault = await failNextFlush(database, 'storage_quota_exceeded', { path: folder, times })
        const error = await failure(collection.insert({ id: 'b', title: 'milk' }).isPersisted.promise)
        assert.deepEqual([error.code, error.details.applied], ['storage_quota_exceeded', true])
        assert.equal(collection.get('b').done, 0)
        fault.remove()
        await database.flush()
        assert.deepEqual([...collection.keys()], ['a', 'b'])
      },
      { storage: 'file', path: folder },
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('an update of a row that was deleted meanwhile is told; a second deletion is none', () =>
  withDatabase(todos, async (database) => {
    const collection = await collectionOf({ database, table: 'todos' })
    const deleting = database.run("DELETE FROM todos WHERE id = 'a'")
    const late = collection.update('a', (draft) => {
      draft.done = 1
    })
    const error = await failure(late.isPersisted.promise)
    assert.equal(error.code, 'invalid_argument')
    assert.match(error.hint, /deleted meanwhile/)
    await deleting
    await until(() => collection.size === 0)
    await database.run("INSERT INTO todos (id, title) VALUES ('d', 'date')")
    await until(() => collection.has('d'))
    const gone = database.run("DELETE FROM todos WHERE id = 'd'")
    await collection.delete('d').isPersisted.promise
    await gone
    assert.equal(collection.size, 0)
  }))

test('keys of several columns, of integers beyond 2^53 and of bytes', () =>
  withDatabase(
    `CREATE TABLE pairs (a TEXT, b INTEGER, n INTEGER, twice INTEGER AS (n * 2), PRIMARY KEY (b, a)) WITHOUT ROWID;
     CREATE TABLE big (id INTEGER PRIMARY KEY, n INTEGER); CREATE TABLE bytes (id BLOB PRIMARY KEY, n INTEGER);
     INSERT INTO pairs VALUES ('x', 1, 5); INSERT INTO big VALUES (9007199254740993, 1), (7, 1); INSERT INTO bytes VALUES (x'00ff', 1)`,
    async (database) => {
      const [pairs, big, bytes] = await Promise.all(
        ['pairs', 'big', 'bytes'].map((table) => collectionOf({ database, table })),
      )
      assert.deepEqual([...pairs.keys()], ['[1,"x"]'])
      assert.deepEqual([...big.keys()].map(String).toSorted(), ['7', '9007199254740993'])
      assert.deepEqual([...bytes.keys()], ['00ff'])
      const set = (draft) => {
        draft.n = 8
      }
      await Promise.all([
        pairs.update('[1,"x"]', set).isPersisted.promise,
        pairs.insert({ a: 'y', b: 1, n: 1, twice: 0 }).isPersisted.promise,
        big.update('9007199254740993', set).isPersisted.promise,
        bytes.update('00ff', set).isPersisted.promise,
        bytes.insert({ id: new Uint8Array([1]), n: 2 }).isPersisted.promise,
      ])
      assert.deepEqual(await database.query('SELECT * FROM pairs ORDER BY a'), [
        { a: 'x', b: 1, n: 8, twice: 16 },
        { a: 'y', b: 1, n: 1, twice: 2 },
      ])
      assert.equal(pairs.get('[1,"y"]').twice, 2)
      assert.deepEqual(await database.query('SELECT n FROM big ORDER BY id'), [{ n: 1 }, { n: 8 }])
      assert.deepEqual(await database.query('SELECT n FROM bytes ORDER BY id'), [{ n: 8 }, { n: 2 }])
      assert.deepEqual([...bytes.keys()].toSorted(), ['00ff', '01'])
      await pairs.delete('[1,"x"]').isPersisted.promise
      assert.deepEqual([...pairs.keys()], ['[1,"y"]'])
    },
  ))

test('a collection over a query reads; with handlers of its own it writes', () =>
  withDatabase(todos, async (database) => {
    const config = {
      database,
      sql: 'SELECT id, upper(title) AS title FROM todos WHERE done = ?',
      params: [0],
      getKey: (row) => row.id,
    }
    const collection = await collectionOf(config)
    assert.deepEqual(plain(collection), [{ id: 'a', title: 'TEA' }])
    assert.throws(() => collection.insert({ id: 'b', title: 'milk' }), /onInsert/)
    const writing = await collectionOf({
      ...config,
      onInsert: ({ transaction }) =>
        database.run('INSERT INTO todos (id, title) VALUES (:id, :title)', transaction.mutations[0].modified),
    })
    await writing.insert({ id: 'b', title: 'milk' }).isPersisted.promise
    assert.equal(writing.get('b').title, 'MILK')
    await database.run('UPDATE todos SET done = 1')
    await until(() => collection.size === 0 && writing.size === 0)
  }))

test('values are converted in both directions, and a schema checks what is written', () =>
  withDatabase('CREATE TABLE notes (id TEXT PRIMARY KEY, pinned INTEGER, at TEXT, tags TEXT)', async (database) => {
    const schema = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value) => (value.id ? { value } : { issues: [{ message: 'id is missing' }] }),
      },
    }
    const collection = await collectionOf({
      database,
      table: 'notes',
      schema,
      parse: { pinned: (stored) => stored === 1, at: (stored) => new Date(stored), tags: JSON.parse },
      serialize: { tags: JSON.stringify },
    })
    const at = new Date('2026-01-02T03:04:05.678Z')
    await collection.insert({ id: 'a', pinned: true, at, tags: ['x', 'y'] }).isPersisted.promise
    await collection.insert({ id: 'b', pinned: false, at: null, tags: null }).isPersisted.promise
    assert.deepEqual(plain(collection), [
      { id: 'a', pinned: true, at, tags: ['x', 'y'] },
      { id: 'b', pinned: false, at: null, tags: null },
    ])
    await collection.update('a', (draft) => {
      draft.tags.push('z')
    }).isPersisted.promise
    assert.deepEqual(await database.query("SELECT * FROM notes WHERE id = 'a'"), [
      { id: 'a', pinned: 1, at: at.toISOString(), tags: '["x","y","z"]' },
    ])
    assert.throws(() => collection.insert({ pinned: true }), /id is missing/)
  }))

test('one transaction over two collections is stored whole or not at all', () =>
  withDatabase(
    'CREATE TABLE lists (id TEXT PRIMARY KEY, n INTEGER); CREATE TABLE items (id TEXT PRIMARY KEY, list TEXT NOT NULL REFERENCES lists)',
    async (database) => {
      const lists = await collectionOf({ database, table: 'lists' })
      // Not in use: it hasn't read its table.
      const items = createCollection(tidelockCollectionOptions({ database, table: 'items', getKey: (row) => row.id }))
      const add = (list, item, of = list) => {
        const transaction = createTransaction({ mutationFn: ({ transaction }) => persistMutations(transaction) })
        transaction.mutate(() => {
          lists.insert({ id: list, n: 1 })
          items.insert({ id: item, list: of })
        })
        return transaction.isPersisted.promise
      }
      await add('l', 'i')
      assert.deepEqual(await database.query('SELECT * FROM items'), [{ id: 'i', list: 'l' }])
      assert.equal((await failure(add('m', 'j', 'x'))).code, 'sqlite_constraint')
      assert.deepEqual([...lists.keys()], ['l'])
      const others = createCollection(localOnlyCollectionOptions({ getKey: (row) => row.id }))
      const mixed = createTransaction({ mutationFn: ({ transaction }) => persistMutations(transaction) })
      mixed.mutate(() => {
        lists.insert({ id: 'n', n: 1 })
        others.insert({ id: 'o' })
      })
      assert.equal((await failure(mixed.isPersisted.promise)).code, 'invalid_argument')
      await withDatabase('CREATE TABLE lists (id TEXT PRIMARY KEY, n INTEGER)', async (second) => {
        const foreign = await collectionOf({ database: second, table: 'lists' })
        const across = createTransaction({ mutationFn: ({ transaction }) => persistMutations(transaction) })
        across.mutate(() => {
          lists.insert({ id: 'n', n: 1 })
          foreign.insert({ id: 'n', n: 1 })
        })
        const refused = await failure(across.isPersisted.promise)
        assert.match(refused.message, /several databases/)
        assert.match(refused.hint, /^Store each database on its own/)
      })
      assert.deepEqual(await database.query('SELECT id FROM lists'), [{ id: 'l' }])
    },
  ))

test('writes to a synced table are in the outbox', () =>
  withDatabase(
    todos,
    async (database) => {
      const collection = await collectionOf({ database, table: 'todos' })
      await collection.insert({ id: 'b', title: 'milk' }).isPersisted.promise
      const pending = await database.sync.pending()
      assert.ok(pending.some(({ table, op, key }) => table === 'todos' && op === 'insert' && key.id === 'b'))
    },
    { remote: { url: 'http://localhost:1', key: 'sb_publishable_x', tables: ['todos'] } },
  ))

test('what a collection can not show is told by its code', () =>
  withDatabase(`${todos}; CREATE TABLE loose (n); CREATE VIEW seen AS SELECT * FROM todos`, async (database) => {
    const refused = async (config) => {
      const error = await failure(() => collectionOf({ database, ...config }))
      assert.ok(error.hint, 'it says what to do')
      return `${error.code}: ${error.message}`
    }
    assert.equal(await refused({ table: 'todo' }), 'invalid_argument: The database has no table "todo"')
    assert.equal(await refused({ table: 'loose' }), 'invalid_argument: "loose" has no primary key')
    assert.equal(await refused({ table: 'seen' }), 'invalid_argument: "seen" has no primary key')
    assert.match(await refused({ table: 'todos', database: undefined }), /^invalid_argument: The option database/)
    assert.match(await refused({ sql: 'SELECT * FROM todo', getKey: () => 1 }), /^sqlite_error: no such table: todo/)
    assert.match(await refused({ sql: 'SELECT 1' }), /^invalid_argument: .*getKey/)
    assert.match(await refused({}), /^invalid_argument: .*either the option table or the option sql/)
    await database.run("INSERT INTO todos (id, title) VALUES ('b', 'tea')")
    const getKey = (row) => row.title
    assert.match(await refused({ table: 'todos', getKey }), /^invalid_argument: Two rows .* same key/)
    const collection = createCollection(tidelockCollectionOptions({ database, table: 'todos' }))
    assert.match((await failure(() => collection.insert({ id: 'x', title: 'y' }))).hint, /preload/)
    await collection.preload()
    assert.match((await failure(() => collection.insert({ title: 'y' }))).message, /no value in its key column "id"/)
  }))

test('a key that stops being unique, and a query that stops running, leave the rows of before', () =>
  withDatabase(`${todos}; INSERT INTO todos (id, title) VALUES ('b', 'milk')`, async (database) => {
    const told = []
    const onError = (error) => told.push(error.code)
    const collection = await collectionOf({ database, sql: 'SELECT * FROM todos', getKey: (row) => row.title, onError })
    collection.subscribeChanges(() => {})
    await database.run("UPDATE todos SET title = 'tea'")
    await until(() => told.length === 1)
    assert.equal(collection.size, 2)
    await database.run('UPDATE todos SET title = id')
    await until(() => collection.has('a'))
    await database.exec('ALTER TABLE todos RENAME TO other')
    await until(() => told.length === 2)
    assert.deepEqual(told, ['invalid_argument', 'sqlite_error'])
    assert.deepEqual([...collection.keys()], ['a', 'b'])
    assert.equal(collection.status, 'ready')
  }))

test('a closed database: nothing hangs', () =>
  withDatabase(todos, async (database) => {
    const collection = await collectionOf({ database, table: 'todos' })
    await database.close()
    assert.equal(collection.size, 1, 'the last rows can be read')
    assert.equal((await failure(collection.delete('a').isPersisted.promise)).code, 'closed')
    assert.equal(collection.size, 1)
    const query = { sql: 'SELECT * FROM todos', getKey: (row) => row.id }
    for (const config of [{ table: 'todos' }, query])
      assert.equal((await failure(() => collectionOf({ database, ...config }))).code, 'closed')
  }))

test('a database that closes while the collection loads', () =>
  withDatabase(todos, async (database) => {
    const transaction = held(database)
    await until(() => transaction.end)
    const closing = database.close()
    const loading = failure(collectionOf({ database, sql: 'SELECT * FROM todos', getKey: (row) => row.id }))
    transaction.end()
    assert.equal((await loading).code, 'closed')
    await Promise.allSettled([closing, transaction.done])
  }))

test('a collection that is cleaned up stops its query, and starts again', () =>
  withDatabase(todos, async (database) => {
    const collection = await collectionOf({ database: Promise.resolve(database), table: 'todos' })
    await collection.cleanup()
    await database.run("INSERT INTO todos (id, title) VALUES ('b', 'milk')")
    await collection.preload()
    assert.deepEqual([...collection.keys()], ['a', 'b'])
    await collection.delete('b').isPersisted.promise
    assert.deepEqual([...collection.keys()], ['a'])
  }))

test('a write succeeds, and a refresh resolves, when the collection is cleaned up while its query waits', () =>
  withDatabase(todos, async (database) => {
    let tx
    const collection = await collectionOf({
      database,
      sql: 'SELECT * FROM todos',
      getKey: (row) => row.id,
      onInsert: async ({ transaction }) => {
        for (const { modified } of transaction.mutations)
          await database.run('INSERT INTO todos (id, title) VALUES (?, ?)', [modified.id, modified.title])
        tx = await database.begin()
      },
    })
    const inserting = collection.insert({ id: 'b', title: 'milk' }).isPersisted.promise
    await until(() => tx)
    const refreshing = collection.utils.refresh()
    await collection.cleanup()
    await Promise.all([inserting, refreshing])
    await tx.rollback()
  }))

test('random writes from both sides end in the same rows', () =>
  withDatabase('CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER UNIQUE, m DEFAULT 5)', async (database) => {
    const collection = await collectionOf({ database, table: 't' })
    let seed = 7
    const random = (below) => {
      seed = (seed * 48271) % 2147483647
      return seed % below
    }
    const set = (n) => (draft) => {
      draft.n = n
    }
    const writes = []
    for (let step = 0; step < 400; step++) {
      const [id, n] = [random(20), random(30)]
      const kind = random(5)
      if (kind === 0 && !collection.has(id)) writes.push(collection.insert({ id, n }).isPersisted.promise)
      else if (kind === 1 && collection.has(id)) writes.push(collection.update(id, set(n)).isPersisted.promise)
      else if (kind === 2 && collection.has(id)) writes.push(collection.delete(id).isPersisted.promise)
      else if (kind === 3) writes.push(database.run('INSERT OR REPLACE INTO t (id, n) VALUES (?, ?)', [id, n]))
      else writes.push(database.run('DELETE FROM t WHERE id = ?', [id]))
      if (random(4) === 0) await Promise.allSettled(writes.splice(0))
    }
    for (const { reason } of await Promise.allSettled(writes))
      assert.ok(!reason || isTidelockError(reason), reason?.stack)
    const stored = await database.query('SELECT * FROM t ORDER BY id')
    await until(() => JSON.stringify(plain(collection)) === JSON.stringify(stored))
  }))

describe('in Chromium', () => {
  let server
  let browser
  let page
  before(async () => {
    const dist = fileURLToPath(new URL('../../pkg-js/dist/', import.meta.url))
    const { outputFiles } = await build({
      stdin: { contents: "export * from '@tanstack/db'", resolveDir: dist },
      bundle: true,
      format: 'esm',
      write: false,
    })
    server = await serve({
      folders: { '/tidelock/': dist },
      files: {
        '/tanstack.js': outputFiles[0].text,
        '/index.html': `<!doctype html><script type="module">
          import { createCollection } from '/tanstack.js'
          import { open } from '/tidelock/index.js'
          import { tidelockCollectionOptions } from '/tidelock/integrations/tanstack-db/index.js'
          window.modules = { createCollection, open, tidelockCollectionOptions }
        </script>`,
      },
    })
    browser = new Browser()
    await browser.start()
    page = await browser.page(`${server.url}/`)
    await page.waitForFunction(() => window.modules)
  })
  after(async () => {
    await browser?.dispose()
    await server?.close()
  })

  for (const thread of ['current', 'worker']) {
    test(`writes are stored without a flicker, with thread: '${thread}'`, async () => {
      const seen = await page.evaluate(
        async ([thread, schema]) => {
          const { createCollection, open, tidelockCollectionOptions } = window.modules
          const database = await open({ name: thread, thread })
          await database.exec(schema)
          const collection = createCollection(tidelockCollectionOptions({ database, table: 'todos' }))
          await collection.preload()
          const types = []
          collection.subscribeChanges((changes) => types.push(...changes.map(({ type }) => type)))
          for (let n = 0; n < 20; n++) {
            await collection.insert({ id: `n${n}`, title: 'milk' }).isPersisted.promise
            if (collection.get(`n${n}`).done !== 0) throw new Error('the promise resolved before the row was there')
          }
          const failed = await collection.insert({ id: 'bad', title: '' }).isPersisted.promise.catch(({ code }) => code)
          const stored = await database.get('SELECT count(*) AS n FROM todos')
          await database.close()
          return {
            stored: stored.n,
            size: collection.size,
            failed,
            deleted: types.filter((type) => type === 'delete').length,
          }
        },
        [thread, todos],
      )
      // The one deletion takes back what the constraint refused.
      assert.deepEqual(seen, { stored: 21, size: 21, failed: 'sqlite_constraint', deleted: 1 })
    })
  }
})

const migrations = [
  {
    version: '1',
    name: 'schema',
    up: 'CREATE TABLE todos (id TEXT PRIMARY KEY, title TEXT, done INTEGER DEFAULT 0); CREATE TABLE notes (id TEXT PRIMARY KEY, pinned, at, tags)',
  },
]
const blocks = documentBlocks('docs/tanstack-db.md')
const rowsAfter = [[], ['n1'], ['a2'], ['a3', 'n3']]

test('the document has a block for each of these results', () => assert.equal(blocks.length, rowsAfter.length))

for (const [at, { id, run }] of blocks.entries()) {
  test(id, async () => {
    let db
    const opens = async (options) => (db = await open({ ...options, storage: 'memory' }))
    const modules = {
      '@tanstack/db': tanstack,
      tidelock: { ...tidelock, open: opens },
      'tidelock/tanstack-db': subpath,
    }
    for (let round = 0; round < 2; round++) {
      await run(modules, { migrations })
      const rows = await db.query('SELECT id FROM todos UNION SELECT id FROM notes ORDER BY id')
      await db.close()
      assert.deepEqual(
        rows.map(({ id }) => id),
        rowsAfter[at],
      )
    }
  })
}
