// node scripts/requests.mjs [--update]: counts the requests of a client at the gateway of the tests' remote, and prints the tables of
// docs/sync.md; with --update writes them there.
import { readFileSync, writeFileSync } from 'node:fs'
import { open, sqlHelpers } from '../pkg-js/dist/index.js'
import { startRemote } from '../tests/remote/index.mjs'

/** Rounds per hour: every 30 s, every 5 minutes, and in a hidden page every 4 minutes. */
const ROUNDS = { shown: 120, rarer: 12, hidden: 15 }
const CLIENTS = 100_000

const remote = await startRemote()
let opened = 0

/** Creates tables with rows that were written an hour ago, and the SQL helpers if wanted. */
async function makeTables(rows, helped) {
  await remote.sql(`drop schema if exists tidelock cascade; drop function if exists tidelock_state, tidelock_schema, tidelock_push;
    create or replace function stamp() returns trigger language plpgsql as
      $$ begin new.updated_at = clock_timestamp(); return new; end $$`)
  for (const [table, count] of Object.entries(rows))
    await remote.sql(`drop table if exists ${table} cascade;
      create table ${table} (id int primary key, a text, b text, c text, updated_at timestamptz not null default now());
      insert into ${table} select n, 'row ' || n, null, 'c', now() - interval '1 hour' from generate_series(1, ${count}) n;
      ${helped ? '' : `create trigger stamp before insert or update on ${table} for each row execute function stamp()`}`)
  if (helped) await remote.sql(sqlHelpers({ tables: Object.keys(rows) }))
}

/** Opens a database that has pulled everything once. */
async function openSynced(rows, tables) {
  const up = Object.keys(rows).map(
    (table) => `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, b TEXT, c TEXT, updated_at TEXT);`,
  )
  const db = await open({
    name: `requests-${++opened}`,
    storage: 'memory',
    snapshots: false,
    migrations: [{ version: '1', name: 'tables', up: up.join('\n') }],
    remote: { url: remote.url, key: remote.anonKey, tables },
    onWarning() {},
  })
  await db.sync.run()
  await db.sync.run()
  return db
}

/** Returns the requests that were sent during some work. */
async function count(work) {
  remote.stats.reset()
  const start = performance.now()
  await work()
  const { requests } = remote.stats
  const bytes = requests.reduce((sum, request) => sum + request.bytes, 0)
  return { requests: requests.length, bytes, ms: performance.now() - start }
}

const number = (value) => Math.round(value).toLocaleString('en-US')
const size = (bytes) => (bytes < 1e6 ? `${number(bytes / 1000)} KB` : `${(bytes / 1e6).toFixed(1)} MB`)
const row = (...cells) => `| ${cells.join(' | ')} |`

/** Makes two lines: for a client without changes, and for many such clients. */
async function atRest(title, rows, tables, helped = false) {
  await makeTables(rows, helped)
  const db = await openSynced(rows, tables)
  const { requests, bytes } = await count(() => db.sync.run())
  await db.close()
  const name = helped ? `${title}, with helpers` : title
  const perSecond = (rounds) => number((CLIENTS * requests * rounds) / 3600)
  return [
    row(name, requests, number(requests * ROUNDS.shown), number(requests * ROUNDS.hidden), size(bytes * ROUNDS.shown)),
    row(
      name,
      ...[ROUNDS.shown, ROUNDS.rarer, ROUNDS.hidden].map(perSecond),
      `${number((CLIENTS * bytes * ROUNDS.shown) / 1e9)} GB`,
    ),
  ]
}

/** Makes a line about a push, without and with helpers. */
async function pushing(title, rows, write) {
  const cells = []
  for (const helped of [false, true]) {
    await makeTables({ items: rows }, helped)
    const db = await openSynced({ items: rows }, [{ table: 'items', cursor: 'updated_at' }])
    await write(db)
    const { requests, ms } = await count(() => db.sync.push())
    const left = (await db.sync.pending()).length + (await db.sync.rejected()).length
    if (left > 0) throw new Error(`${left} changes are left of: ${title}`)
    await db.close()
    console.error(title, helped ? 'with helpers' : '', requests, `${Math.round(ms)} ms`)
    cells.push(number(requests))
  }
  return row(title, ...cells)
}

const example = [
  { table: 'orders', cursor: 'updated_at', deleted: 'compare' },
  { table: 'lines', cursor: 'updated_at', deleted: 'compare' },
  'countries',
]
const items = { items: 500 }
const three = { orders: 500, lines: 500, countries: 500 }
const cursor = [{ table: 'items', cursor: 'updated_at' }]
const compared = [{ ...cursor[0], deleted: 'compare' }]
const unlisted = example.map((table) => (typeof table === 'string' ? table : { ...table, deleted: undefined }))
const lines = []
try {
  const resting = [
    await atRest('one table with `cursor`', items, cursor),
    await atRest('one table with `cursor`', items, cursor, true),
    await atRest("one table with `cursor` and `deleted: 'compare'`", items, compared),
    await atRest('one table of 500 rows, read whole', items, ['items']),
    await atRest('three tables of 500 rows: two with `cursor` and `compare`, one read whole', three, example),
    await atRest('the same without `compare`', three, unlisted, true),
  ]
  lines.push(
    row('one client at rest', 'requests a round', 'an hour, shown', 'an hour, hidden', 'received an hour, shown'),
    '|---|---|---|---|---|',
    ...resting.map(([client]) => client),
    '',
    row(
      `${number(CLIENTS)} clients at rest, requests a second`,
      'all shown',
      '`intervalMs: 300_000`',
      'all hidden',
      'sent an hour, all shown',
    ),
    '|---|---|---|---|---|',
    ...resting.map(([, clients]) => clients),
    '',
    row('one push', 'requests', 'with helpers'),
    '|---|---|---|',
    await pushing('one changed row', 500, (db) => db.run("UPDATE items SET a = 'now' WHERE id = 7")),
    await pushing('2,000 new rows, with different columns set', 0, (db) =>
      db.runMany(
        'INSERT INTO items (id, a, b, c) VALUES (?, ?, ?, ?)',
        Array.from({ length: 2000 }, (_, n) => [n + 1, n % 2 ? 'a' : null, n % 3 ? 'b' : null, n % 5 ? 'c' : null]),
      ),
    ),
    await pushing('20,000 changed rows, each another value', 20_000, (db) =>
      db.run("UPDATE items SET a = 'now ' || id"),
    ),
    await pushing('20,000 changed rows, all the same value', 20_000, (db) => db.run("UPDATE items SET a = 'done'")),
    await pushing('2,000 deleted rows', 2000, (db) => db.run('DELETE FROM items')),
  )
} finally {
  await remote.stop()
}
const text = lines.join('\n')
if (!process.argv.includes('--update')) console.log(text)
else {
  const file = new URL('../docs/sync.md', import.meta.url)
  const between = /(?<=<!-- requests -->\n)[\s\S]*?(?=<!-- \/requests -->)/
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace(between, () => `\n${text}\n\n`),
  )
}
