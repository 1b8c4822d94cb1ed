// Random tables, options and histories against the real PostgreSQL and PostgREST: two clients, writes on the server, lost responses and
// other faults. In the end all sides are equal, and nothing is pending or rejected. The rules themselves are tested with many more cases in
// tests/native/sync/random, against a model; this test verifies the model.
//
// `TIDELOCK_DRAWS=n` runs n seeds, `TIDELOCK_SEED=n` runs that one and prints its history.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { open, sqlHelpers } from '../../pkg-js/dist/index.js'
import { startRemote } from '../remote/index.mjs'

const draws = Number(process.env.TIDELOCK_DRAWS ?? (process.env.TIDELOCK_ALL ? 15 : 8))
const only = process.env.TIDELOCK_SEED
const seeds = only === undefined ? Array.from({ length: draws }, (_, seed) => seed) : [Number(only)]
const steps = 30

/** Random numbers from a seed (mulberry32). */
function chance(seed) {
  let state = seed * 2654435761
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    below: (count) => Math.floor(next() * count),
    of: (list) => list[Math.floor(next() * list.length)],
    is: (odds) => next() < odds,
  }
}

const uuid = (n) => `${String(n).padStart(8, '0')}-aaaa-4bcd-8ef0-00000abcdef2`
/** Kinds of keys: the columns on both sides and the nth value. */
const keys = {
  int: { there: ['id int'], here: ['id INTEGER'], of: (n) => [n] },
  bigint: { there: ['id bigint'], here: ['id INTEGER'], of: (n) => [9007199254740000n + BigInt(n)] },
  uuid: { there: ['id uuid'], here: ['id TEXT'], of: (n) => [uuid(n)] },
  text: { there: ['"order" text'], here: ['"order" TEXT'], of: (n) => [`k,"(${n}) ü`] },
  date: { there: ['day date'], here: ['day TEXT'], of: (n) => [`2026-02-${String(1 + (n % 28)).padStart(2, '0')}`] },
  // The server formats these values in another way.
  upper: { there: ['id uuid'], here: ['id TEXT'], of: (n) => [uuid(n).toUpperCase()] },
  padded: { there: ['code char(6)'], here: ['code TEXT'], of: (n) => [`c${n}`] },
  decimal: { there: ['n_id numeric(8,2)'], here: ['n_id NUMERIC TEXT'], of: (n) => [`${n}.5`] },
  pair: { there: ['a_id int', '"limit" text'], here: ['a_id INTEGER', '"limit" TEXT'], of: (n) => [n % 5, `p${n}`] },
}
/** Other columns: remote, local, and some values. */
const columns = {
  note: { there: 'text', here: 'TEXT', values: ['', 'plain', 'ü "quoted" \\ 💡', 'null', null] },
  amount: { there: 'numeric(12,3)', here: 'NUMERIC TEXT', values: ['1.500', '-0.001', '123456789.125', null] },
  big: { there: 'bigint', here: 'INTEGER', values: [9007199254740993n, -1n, 0n, null] },
  flag: { there: 'boolean', here: 'BOOLEAN', values: [0n, 1n, null] },
  raw: { there: 'bytea', here: 'BLOB', values: [new Uint8Array([0, 255, 10]), new Uint8Array(), null] },
  tree: { there: 'jsonb', here: 'JSON', values: ['{"a": [1, {"b": null}]}', '[]', '"text"', null] },
  not: { there: 'text', here: 'TEXT', values: ['x', 'y', null] },
}
const quote = (name) => `"${name.replaceAll('"', '""')}"`
const bare = (definition) => definition.split(' ')[0].replaceAll('"', '')

/** Draws the tables of a seed. */
function draw(seed) {
  const { below, of, is } = chance(seed)
  const helped = is(0.3)
  const tables = Array.from({ length: 1 + below(3) }, (_, at) => {
    const key = of(Object.keys(keys))
    const cursor = is(0.7)
    const softly = is(0.25)
    const named = Object.keys(columns).filter(() => is(0.5))
    const parent = at > 0 && is(0.5) ? at - 1 : undefined
    return {
      name: `r${seed}_${at}`,
      key,
      keyColumns: keys[key].here.map(bare),
      columns: named.length > 0 ? named : ['note'],
      softly,
      parent,
      options: {
        table: `r${seed}_${at}`,
        ...(cursor && { cursor: 'updated_at' }),
        ...(softly ? { deleted: 'deleted_at' } : (!helped || is(0.3)) && { deleted: 'compare' }),
        ...(is(0.2) && { conflict: of(['remote-wins', 'last-write-wins']) }),
      },
    }
  })
  // A reference needs a parent with a single-column key.
  for (const table of tables)
    if (table.parent !== undefined && (tables[table.parent].keyColumns.length > 1 || tables[table.parent].softly))
      table.parent = undefined
  return { seed, helped, tables, pageSize: of([1, 2, 7, 1000]), faults: is(0.4), schema: helped ? 'helped' : 'public' }
}

function thereSql({ schema, tables }) {
  return tables
    .map(({ name, key, columns: named, softly, parent }) => {
      const parts = [
        ...keys[key].there,
        ...named.map((column) => `${quote(column)} ${columns[column].there}`),
        'updated_at timestamptz not null default clock_timestamp()',
        ...(softly ? ['deleted_at timestamptz'] : []),
        ...(parent === undefined
          ? []
          : [
              `parent ${keys[tables[parent].key].there[0].replace(/^\S+ /, '')} references ${schema}.${tables[parent].name} on delete set null`,
            ]),
        `primary key (${keys[key].here.map((column) => quote(bare(column))).join(', ')})`,
      ]
      return `create table ${schema}.${name} (${parts.join(', ')});
      ${schema === 'helped' ? '' : `create trigger stamp before insert or update on ${schema}.${name} for each row execute function stamp();`}`
    })
    .join('\n')
}

const hereSql = ({ tables }) =>
  tables
    .map(({ name, key, columns: named, softly, parent }) => {
      const parts = [
        ...keys[key].here.map((column) => `${column} NOT NULL`),
        ...named.map((column) => `${quote(column)} ${columns[column].here}`),
        'updated_at TEXT',
        ...(softly ? ['deleted_at TEXT'] : []),
        ...(parent === undefined
          ? []
          : [
              `parent ${keys[tables[parent].key].here[0].replace(/^\S+ /, '')} REFERENCES ${tables[parent].name} ON DELETE SET NULL`,
            ]),
        `PRIMARY KEY (${keys[key].here.map((column) => quote(bare(column))).join(', ')})`,
      ]
      return `CREATE TABLE ${name} (${parts.join(', ')})${key === 'int' ? '' : ''};`
    })
    .join('\n')

let remote
const scenes = seeds.map(draw)

before(async () => {
  remote = await startRemote({ schemas: ['public', 'helped'], maxRows: 50 })
  await remote.sql(`create function stamp() returns trigger language plpgsql as
    $$ begin new.updated_at := clock_timestamp(); return new; end $$;
    ${scenes.map(thereSql).join('\n')}`)
  const helped = scenes.filter((scene) => scene.helped).flatMap((scene) => scene.tables.map((table) => table.name))
  if (helped.length > 0) await remote.sql(sqlHelpers({ tables: helped, schema: 'helped' }))
})
after(() => remote?.stop())

/** Formats a value in the same way for both sides. */
const shown = (value) =>
  value === null || value === undefined
    ? null
    : value instanceof Uint8Array
      ? `\\x${Buffer.from(value).toString('hex')}`
      : String(value)

async function rowsHere(db, table) {
  const list = [...table.keyColumns, ...table.columns, ...(table.parent === undefined ? [] : ['parent'])]
  const rows = await db.query(`SELECT ${list.map(quote).join(', ')} FROM ${table.name}`)
  return rows.map((row) => list.map((column) => canonical(column, shown(row[column]))).join('|')).sort()
}

async function rowsThere(scene, table) {
  const list = [...table.keyColumns, ...table.columns, ...(table.parent === undefined ? [] : ['parent'])]
  // As in JSON: a cast would trim the blanks of a char(n).
  const cast = (column) => {
    // As in a JSON key: a cast would trim the blanks of a char(n).
    if (column === 'parent' || table.keyColumns.includes(column)) return `to_json(${quote(column)})#>>'{}'`
    return column === 'flag' ? `${quote(column)}::int::text` : `${quote(column)}::text`
  }
  const where = table.softly ? 'where deleted_at is null' : ''
  const rows = await remote.sql(
    `select ${list.map((column) => `${cast(column)} as ${quote(column)}`).join(', ')} from ${scene.schema}.${table.name} ${where}`,
  )
  return rows.map((row) => list.map((column) => canonical(column, shown(row[column]))).join('|')).sort()
}

const canonical = (column, text) => (column === 'tree' && text !== null ? JSON.stringify(JSON.parse(text)) : text)

async function play(scene) {
  const { below, of, is } = chance(scene.seed + 1000)
  const tell = only === undefined ? () => {} : console.log
  tell(JSON.stringify(scene, undefined, 1))
  const client = (name) =>
    open({
      name: `random-${scene.seed}-${name}`,
      storage: 'memory',
      snapshots: false,
      integers: 'bigint',
      migrations: [{ version: '1', name: 'schema', up: hereSql(scene) }],
      remote: {
        url: remote.url,
        key: remote.anonKey,
        schema: scene.schema,
        pageSize: scene.pageSize,
        maxDeleteRatio: 1,
        retries: 3,
        tables: scene.tables.map((table) => table.options),
      },
      onWarning: () => {},
    })
  const clients = [await client('one'), await client('two')]
  let next = 1
  const value = (column) => of(columns[column].values)
  const trouble = async (call) => {
    try {
      return await call()
    } catch (error) {
      tell('  ', error.code, error.message)
      assert.ok(error.retryable || error.code === 'remote_empty', `${error.code}: ${error.message} ${error.hint}`)
    }
  }
  const here = async (at) => {
    const db = clients[at]
    const table = of(scene.tables)
    const list = table.keyColumns
    const rows = await db.query(`SELECT ${list.map(quote).join(', ')} FROM ${table.name}`)
    const what = rows.length === 0 || is(0.4) ? 'insert' : is(0.7) ? 'update' : 'delete'
    const column = of(table.columns)
    if (what === 'insert') {
      const key = keys[table.key].of(next++)
      const parent = table.parent === undefined ? undefined : await someKey(db, scene.tables[table.parent])
      const named = [...list, column, ...(parent === undefined ? [] : ['parent'])]
      tell('here', at, what, table.name, key, column)
      await db.run(
        `INSERT OR IGNORE INTO ${table.name} (${named.map(quote).join(', ')}) VALUES (${named.map(() => '?').join(', ')})`,
        [...key, value(column), ...(parent === undefined ? [] : [parent])],
      )
      return
    }
    const row = of(rows)
    const where = list.map((name) => `${quote(name)} = ?`).join(' AND ')
    const key = list.map((name) => row[name])
    tell('here', at, what, table.name, key, column)
    if (what === 'update')
      await db.run(`UPDATE ${table.name} SET ${quote(column)} = ? WHERE ${where}`, [value(column), ...key])
    else await db.run(`DELETE FROM ${table.name} WHERE ${where}`, key)
  }
  const someKey = async (db, table) => {
    return of(await db.query(`SELECT ${quote(table.keyColumns[0])} AS k FROM ${table.name} ORDER BY k`))?.k ?? null
  }
  const literal = (given) =>
    given === null
      ? 'null'
      : given instanceof Uint8Array
        ? `'\\x${Buffer.from(given).toString('hex')}'`
        : `'${String(given).replaceAll("'", "''")}'`
  const there = async () => {
    const table = of(scene.tables)
    const name = `${scene.schema}.${table.name}`
    const column = of(table.columns)
    const given =
      column === 'flag' ? literal(value(column)).replace("'0'", 'false').replace("'1'", 'true') : literal(value(column))
    if (is(0.4)) {
      const key = keys[table.key].of(next++)
      tell('there insert', table.name, key)
      await remote.sql(
        `insert into ${name} (${[...table.keyColumns, column].map(quote).join(', ')}) values (${[...key.map(literal), given].join(', ')}) on conflict do nothing`,
      )
      return
    }
    const rows = await remote.sql(
      `select ${table.keyColumns.map((key) => `${quote(key)}::text as ${quote(key)}`).join(', ')} from ${name} ${table.softly ? 'where deleted_at is null' : ''} order by 1 offset ${below(5)} limit 1`,
    )
    if (rows.length === 0) return
    const where = table.keyColumns.map((key) => `${quote(key)}::text = ${literal(rows[0][key])}`).join(' and ')
    if (is(0.7)) {
      tell('there update', table.name, where, column)
      await remote.sql(`update ${name} set ${quote(column)} = ${given} where ${where}`)
    } else {
      tell('there delete', table.name, where)
      await remote.sql(
        table.softly ? `update ${name} set deleted_at = now() where ${where}` : `delete from ${name} where ${where}`,
      )
    }
  }
  /** Syncs in both directions; a remote table may be empty. */
  const rest = async (db) => {
    await db.sync.push()
    await db.sync.pull({ allowEmpty: true })
  }
  const faults = [{ lostReply: true }, { drop: true }, { status: 503 }, { cut: 0.5 }, { truncate: 0.5 }]
  try {
    for (let step = 0; step < steps; step++) {
      if (scene.faults && is(0.2)) remote.faults.add({ ...of(faults), skip: below(3) })
      const at = below(2)
      if (is(0.5)) await here(at)
      else if (is(0.4)) await there()
      else {
        const call = of(['pull', 'push', 'run'])
        tell('client', at, call)
        await trouble(() => clients[at].sync[call]())
      }
    }
    remote.faults.clear()
    const before = remote.stats.requests.length
    for (let round = 0; round < 4; round++) for (const db of clients) await rest(db)
    const requests = remote.stats.requests.length - before
    // The user decides about values that both sides have changed, and about children of deleted rows.
    for (let round = 0; round < 3; round++) {
      for (const db of clients) {
        for (const { id, reason, error } of await db.sync.rejected()) {
          tell('decide', id, reason, error)
          assert.ok(['conflict', 'unapplied'].includes(reason) || / foreign key /.test(error), `${reason}: ${error}`)
          // A change that didn't apply may apply after the other decisions.
          if (reason === 'unapplied') await db.sync.retry(id)
          else await db.sync.discard(id)
        }
      }
      for (const db of [...clients, ...clients]) await rest(db)
    }
    for (const [at, db] of clients.entries()) {
      const stuck = [...(await db.sync.pending()), ...(await db.sync.rejected())]
      assert.deepEqual(stuck, [], `client ${at}: nothing waits`)
      for (const table of scene.tables)
        assert.deepEqual(await rowsHere(db, table), await rowsThere(scene, table), `client ${at}, ${table.name}`)
      const changed = (await db.sync.pull({ full: true })).tables
      assert.deepEqual(
        changed.map(({ inserted, updated, deleted }) => [inserted, updated, deleted]),
        changed.map(() => [0, 0, 0]),
      )
    }
    const pages = (steps / Math.min(scene.pageSize, 50)) * 2 + 6
    assert.ok(requests <= 8 * scene.tables.length * pages, `${requests} requests at rest`)
  } finally {
    remote.faults.clear()
    for (const db of clients) await db.close()
  }
}

for (const scene of scenes) test(`whatever is drawn, all have the same at rest: ${scene.seed}`, () => play(scene))
