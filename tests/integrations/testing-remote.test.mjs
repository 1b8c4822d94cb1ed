// The fake remote of `tidelock/testing` beside a real PostgreSQL and PostgREST: the same syncs have the same results.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { open } from '../../pkg-js/dist/index.js'
import { fakeRemote } from '../../pkg-js/dist/integrations/testing/index.js'
import { startRemote } from '../remote/index.mjs'
import { until } from '../scenarios/run/context.mjs'

let server
before(async () => {
  server = await startRemote({ seed: 'shop' })
})
after(() => server?.stop())

const items = {
  fake: {
    columns: { id: 'int8', name: 'text', price: 'numeric', done: 'bool', updated_at: 'timestamptz', extra: 'text' },
    updatedAt: 'updated_at',
    defaults: { extra: 'x' },
  },
  real: `id bigint primary key, name text, price numeric, done boolean, updated_at timestamptz not null default clock_timestamp(), extra text default 'x'`,
  stamped: true,
  local: 'CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price NUMERIC TEXT, done BOOLEAN, updated_at TEXT)',
}
const notes = {
  fake: {
    columns: { item: 'int8', n: 'int8', body: 'text', tags: 'jsonb' },
    primaryKey: ['item', 'n'],
    references: { item: 'items' },
    required: ['body'],
    check: (row) => row.body !== 'bad',
  },
  real: `item bigint references items, n int, body text not null check (body <> 'bad'), tags jsonb, primary key (item, n)`,
  local:
    'CREATE TABLE notes (item INTEGER REFERENCES items, n INTEGER, body TEXT, tags JSON TEXT, PRIMARY KEY (item, n))',
}

/** The fake remote with these tables. */
function fakeWorld() {
  const remote = fakeRemote({ tables: { items: items.fake, notes: notes.fake } })
  const { url, key, fetch } = remote
  return {
    connection: { url, key, fetch },
    insert: async (table, ...rows) => remote.insert(table, ...rows),
    update: async (table, where, changes) => remote.update(table, where, changes),
    delete: async (table, where) => remote.delete(table, where),
    fail: async ({ times, ...failure }) => remote.fail({ times, ...failure }),
    rows: async (table) => remote.rows(table),
  }
}

const literal = (value) =>
  value === null
    ? 'null'
    : typeof value === 'object'
      ? `'${JSON.stringify(value)}'`
      : `'${String(value).replaceAll("'", "''")}'`
const equal = (row) => Object.entries(row).map(([name, value]) => `${name} = ${literal(value)}`)

/** The real remote with these tables, empty. */
async function realWorld() {
  await server.sql('drop table if exists notes; drop table if exists items')
  await server.sql(`create table items (${items.real}); create table notes (${notes.real})`)
  await server.sql('create trigger stamp before update on items for each row execute function touch()')
  server.faults.clear()
  return {
    connection: { url: server.url, key: server.anonKey },
    async insert(table, ...rows) {
      const values = rows.map((row) => `(${Object.values(row).map(literal).join(', ')})`)
      await server.sql(`insert into ${table} (${Object.keys(rows[0]).join(', ')}) values ${values.join(', ')}`)
    },
    update: (table, where, changes) =>
      server.sql(`update ${table} set ${equal(changes).join(', ')} where ${equal(where).join(' and ')}`),
    delete: (table, where) => server.sql(`delete from ${table} where ${equal(where).join(' and ')}`),
    async fail({ status, lost, times = 1, table, method }) {
      server.faults.add({ ...(lost ? { lostReply: true } : { status }), times, table, method })
    },
    rows: async (table) => server.sql(`select * from ${table}`),
  }
}

/** A row of either remote, or of the database, as text to compare. */
const shown = (rows, columns) =>
  rows
    .map((row) =>
      columns
        .map((name) => {
          const value = row[name]
          if (value === null) return 'null'
          if (name === 'done') return String(value === true || value === 1 || value === 't')
          return typeof value === 'object' ? JSON.stringify(value) : String(value).replaceAll(/\s/g, '')
        })
        .join('|'),
    )
    .toSorted()

const columns = { items: ['id', 'name', 'price', 'done'], notes: ['item', 'n', 'body', 'tags'] }

const reported = ({ tables }) =>
  tables.map(({ table, inserted, updated, deleted, unchanged, keptLocal, conflicts, rejected }) => ({
    table,
    inserted,
    updated,
    deleted,
    unchanged,
    keptLocal,
    conflicts,
    rejected,
  }))

const outcome = async (work) => {
  try {
    return reported(await work)
  } catch (error) {
    return error.code ?? error
  }
}

const many = (count) =>
  Array.from({ length: count }, (_, at) => ({ id: at + 1, name: `item ${at + 1}`, price: null, done: at % 2 === 0 }))

/** Each syncs with a remote in several steps and returns what it saw on the way. */
const scenarios = {
  async 'columns that only the remote has, and a parent that it lacks'({ remote, db, look }) {
    await remote.insert('items', { id: 5, name: 'five', price: null, done: null })
    await db.sync.pull()
    await remote.delete('items', { id: 5 })
    await db.run("INSERT INTO notes VALUES (5, 1, 'a', NULL)")
    await db.run("INSERT INTO items (id, name) VALUES (6, 'six')")
    const seen = [await outcome(db.sync.push()), await look('notes')]
    seen.push((await db.sync.rejected()).map(({ table, reason, error }) => [table, reason, error?.details?.remoteCode]))
    seen.push((await remote.rows('items')).map(({ id, extra }) => `${id} ${extra}`))
    return seen
  },

  async 'a first pull in pages, changes of others, deletions'({ remote, db, look }) {
    await remote.insert('items', ...many(2500))
    const seen = [
      await outcome(db.sync.pull()),
      await db.get('SELECT count(*) AS n, sum(id) AS sum, sum(done) AS done FROM items'),
    ]
    seen.push(await outcome(db.sync.pull()))
    await remote.update('items', { id: 7 }, { name: 'changed' })
    await remote.insert('items', { id: 5000, name: 'new', price: '4.20', done: false })
    await remote.delete('items', { id: 9 })
    seen.push(await outcome(db.sync.pull()), await look('items WHERE id IN (7, 8, 9, 5000)'))
    return seen
  },

  async 'values keep every digit, in both directions'({ remote, db, look }) {
    await remote.insert('items', {
      id: 9007199254740993n,
      name: 'a "quoted" b\\c',
      price: '12345678901234567890.10',
      done: null,
    })
    await remote.insert('notes', { item: 9007199254740993n, n: 1, body: 'ä', tags: { a: [1, null, 'x'] } })
    const seen = [await outcome(db.sync.pull()), await look('items'), await look('notes')]
    await db.run("INSERT INTO items VALUES (9223372036854775807, 'grö\"ß,er (x)', '0.10', 1, NULL)")
    await db.run("INSERT INTO notes VALUES (9223372036854775807, 2, 'x', '[1,{\"b\":2}]')")
    await db.run("UPDATE items SET price = '1.50' WHERE id = 9007199254740993")
    seen.push(await outcome(db.sync.push()), await outcome(db.sync.push()), await look('items'))
    return seen
  },

  async 'inserts, updates and deletions of parents and children'({ remote, db, look }) {
    await remote.insert('items', ...many(4))
    await remote.insert('notes', { item: 1, n: 1, body: 'a', tags: null }, { item: 2, n: 1, body: 'b', tags: null })
    const seen = [await outcome(db.sync.pull())]
    await db.transaction(async (tx) => {
      await tx.run("INSERT INTO items (id, name) VALUES (10, 'ten'), (11, 'eleven')")
      await tx.run("INSERT INTO notes VALUES (10, 1, 'c', NULL), (11, 1, 'd', NULL), (3, 9, 'e', NULL)")
      await tx.run("UPDATE items SET name = 'first', done = 0 WHERE id = 1")
      await tx.run("UPDATE notes SET body = 'B' WHERE item = 2")
      await tx.run('DELETE FROM notes WHERE item = 1')
      await tx.run('DELETE FROM items WHERE id = 4')
    })
    seen.push(await outcome(db.sync.push()), await db.sync.pending(), await look('items'), await look('notes'))
    seen.push(await outcome(db.sync.pull()), await look('items'))
    return seen
  },

  async 'conflicts by policy'({ remote, db, look, reopen }) {
    const seen = []
    for (const [id, conflict] of Object.entries({ 1: 'keep-local', 2: 'remote-wins' })) {
      await remote.insert('items', { id, name: 'base', price: '1', done: false })
      db = await reopen({ conflict })
      await db.sync.pull()
      await db.run('UPDATE items SET name = ? WHERE id = ?', ['local', id])
      await remote.update('items', { id }, { name: 'remote', price: '2' })
      seen.push(await outcome(db.sync.push()), await outcome(db.sync.pull()), await look('items'))
      seen.push((await db.sync.conflicts()).length)
    }
    return seen
  },

  async 'deleted on one side and updated on the other'({ remote, db, look }) {
    await remote.insert('items', ...many(30))
    await db.sync.pull()
    await db.run("UPDATE items SET name = 'kept' WHERE id = 1")
    await db.run('DELETE FROM items WHERE id = 2')
    await remote.delete('items', { id: 1 })
    await remote.update('items', { id: 2 }, { name: 'newer' })
    const seen = [await outcome(db.sync.push()), await outcome(db.sync.pull())]
    seen.push((await db.sync.rejected()).map(({ table, op, reason }) => [table, op, reason]))
    seen.push((await look('items')).length)
    return seen
  },

  async 'a change that a constraint refuses'({ remote, db, look }) {
    await remote.insert('items', { id: 1, name: 'a', price: null, done: null })
    await db.sync.pull()
    await db.run("INSERT INTO notes VALUES (1, 1, 'bad', NULL), (1, 2, 'good', NULL), (1, 3, NULL, NULL)")
    await db.run("INSERT INTO items (id, name) VALUES (2, 'two')")
    const seen = [await outcome(db.sync.push()), await look('notes')]
    const rejected = await db.sync.rejected()
    seen.push(
      rejected.map(({ table, op, reason, error }) => [table, op, reason, error?.code, error?.details?.remoteCode]),
    )
    for (const { id } of rejected) await db.sync.discard(id)
    seen.push(await outcome(db.sync.run().then(({ pull }) => pull)), await look('notes'))
    return seen
  },

  async 'the same new key for different rows, and for equal ones'({ remote, db, look }) {
    await db.run("INSERT INTO items (id, name) VALUES (1, 'mine'), (2, 'both')")
    await remote.insert(
      'items',
      { id: 1, name: 'theirs', price: null, done: null },
      { id: 2, name: 'both', price: null, done: null },
    )
    const seen = [await outcome(db.sync.push())]
    seen.push(
      (await db.sync.rejected()).map(({ op, reason }) => [op, reason]),
      await look('items'),
    )
    return seen
  },

  async 'a busy remote and a lost answer: once, and only once'({ remote, db, look }) {
    await remote.insert('items', { id: 1, name: 'a', price: null, done: null })
    await remote.fail({ status: 503, times: 2 })
    const seen = [await outcome(db.sync.pull())]
    await db.run("INSERT INTO items (id, name) VALUES (2, 'two')")
    await remote.fail({ lost: true, method: 'POST' })
    seen.push(await outcome(db.sync.push()))
    await db.run("UPDATE items SET name = 'TWO' WHERE id = 2")
    await remote.fail({ lost: true, method: 'PATCH' })
    seen.push(await outcome(db.sync.push()), await look('items'), await db.sync.pending(), await db.sync.rejected())
    return seen
  },

  async 'filters of the app'({ remote, reopen, look }) {
    await remote.insert('items', ...many(30), { id: 50, name: 'Größe, (50)', price: '5.5', done: null })
    const seen = []
    const filters = [
      { id: 'in.(1,2,50)' },
      { name: 'eq.Größe, (50)' },
      { done: 'is.true', id: 'lte.6' },
      { or: '(id.lt.3,and(id.gte.28,done.is.false))' },
      { 'not.or': '(id.lt.29,id.eq.30)' },
      { name: 'like.item 1*', id: 'not.in.(10,11)' },
      { done: 'not.is.null', price: 'is.null', id: 'gt.27' },
      { name: 'ilike.ITEM _' },
    ]
    for (const filter of filters) {
      const db = await reopen({ filter, fresh: true })
      seen.push(await outcome(db.sync.pull()), await look('items'))
    }
    return seen
  },

  async 'replace, and rows that all vanish'({ remote, db, look }) {
    await remote.insert('items', ...many(30))
    await db.sync.pull()
    await db.run("INSERT INTO items (id, name) VALUES (100, 'local')")
    const seen = [await outcome(db.sync.pull({ mode: 'replace' }))]
    seen.push(await outcome(db.sync.pull({ mode: 'replace', discardUnpushed: true })), (await look('items')).length)
    for (const { id } of many(30)) await remote.delete('items', { id })
    seen.push(
      await outcome(db.sync.pull({ mode: 'replace' })),
      await outcome(db.sync.pull({ mode: 'replace', allowEmpty: true })),
    )
    seen.push(await look('items'))
    return seen
  },

  async 'a table and a column that the remote lacks'({ db, reopen }) {
    const seen = [await outcome(db.sync.pull())]
    const other = await reopen({ more: 'CREATE TABLE missing (id INTEGER PRIMARY KEY)', tables: ['missing'] })
    seen.push(await outcome(other.sync.pull()))
    await other.run('INSERT INTO missing VALUES (1)')
    seen.push(await outcome(other.sync.push()))
    const unknown = await reopen({ columns: ['id', 'colour'], more: 'ALTER TABLE items ADD COLUMN colour TEXT' })
    seen.push(await outcome(unknown.sync.pull()))
    return seen
  },
}

let names = 0

async function run(scenario, remote) {
  const opened = []
  let db
  /** Opens a database with this option for `items`; `fresh` is an empty one. */
  const reopen = async ({ conflict, filter, columns, more, tables } = {}) => {
    const synced = { table: 'items', cursor: 'updated_at', deleted: 'compare', conflict, filter, columns }
    const up = [items.local, notes.local, more].filter(Boolean).join(';')
    db = await open({
      name: `fake-${++names}`,
      storage: 'memory',
      migrations: [{ version: '1', name: 'schema', up }],
      onWarning() {},
      remote: { ...remote.connection, tables: tables ?? [synced, { table: 'notes', deleted: 'compare' }] },
    })
    opened.push(db)
    return db
  }
  /** What the database and, for a whole table, the remote have. */
  const look = async (from) => {
    const [table] = from.split(' ')
    const local = shown(await db.query(`SELECT * FROM ${from}`), columns[table])
    return from === table ? [local, shown(await remote.rows(table), columns[table])] : local
  }
  try {
    return await scenario({ remote, db: await reopen(), reopen, look })
  } finally {
    for (const each of opened) await each.close()
  }
}

/** Waits until the clock shows another millisecond. */
async function later() {
  const time = Date.now()
  await until(() => Date.now() > time)
}

test('the last write wins, to the millisecond: a real server tells its clock in seconds', () =>
  run(async ({ remote, reopen }) => {
    await remote.insert(
      'items',
      { id: 1, name: 'base', price: null, done: null },
      { id: 2, name: 'base', price: null, done: null },
    )
    const db = await reopen({ conflict: 'last-write-wins' })
    await db.sync.pull()
    await later()
    await remote.update('items', { id: 1 }, { name: 'remote' })
    await later()
    await db.run("UPDATE items SET name = 'local'")
    await later()
    await remote.update('items', { id: 2 }, { name: 'remote' })
    await db.sync.run()
    assert.deepEqual(await db.query('SELECT name FROM items ORDER BY id'), [{ name: 'local' }, { name: 'remote' }])
  }, fakeWorld()))

for (const [title, scenario] of Object.entries(scenarios)) {
  test(title, { timeout: 60_000 }, async () => {
    const real = await run(scenario, await realWorld())
    assert.deepEqual(await run(scenario, fakeWorld()), real)
  })
}
