// Names with a meaning to PostgREST or to a gateway, in each role that a column can have: a filter that is misread would change other
// rows, or all of them.
import assert from 'node:assert/strict'
import { total, withSchema } from '../run/remote.mjs'
import { everyNth } from '../run/sample.mjs'

/** PostgREST's own parameters, the gateway's, and names with characters that have a meaning in URLs, in PostgREST or in SQL. */
const names = [
  ...['order', 'select', 'and', 'or', 'not', 'limit', 'offset', 'columns', 'on_conflict', 'apikey', 'count', 'sum()'],
  ...['rpc', 'a/b', 'a.order', 'a->>b', 'x::text', 'a b', ' ', '"q"', 'a\\b', 'a,b', '(a)'],
  ...['é🌿', 'a&b=c', 'a+b%20c', "it's", '-a'],
]

/** Keys that need quotes in a list or a condition. */
const keys = ['1', 'a,b', '"q"', 'x)y', 'p\\q', 'e.f', '(g)', 'h:i', 'null', 'k=l', 'm%6e', 'n+o']

const identifier = (name) => `"${name.replaceAll('"', '""')}"`
const literal = (value) => `'${value.replaceAll("'", "''")}'`
const list = (values) => `(${values.join(', ')})`

/**
 * Returns the two tables of a round: in as many rounds as there are names, each name has each role once. The first table has a key of one
 * column and soft deletions; the other has a key of two columns, and its deletions are found by comparing keys.
 */
function tablesOf(round) {
  const [table, key, plain, cursor, mark, filter, first] = [0, 3, 6, 9, 12, 15, 18].map(
    (apart) => names[(round + apart) % names.length],
  )
  const columns = { [key]: 'text', [plain]: 'text', [filter]: 'text', [cursor]: 'timestamptz' }
  const options = { cursor, filter: { [filter]: 'in.(open,"a,b")' }, conflict: 'remote-wins' }
  return [
    {
      name: table,
      key: [key],
      columns: { ...columns, [mark]: 'boolean' },
      mark,
      options: { ...options, deleted: mark },
    },
    {
      name: `${table} of two`,
      key: [first, key],
      columns: { ...columns, [first]: 'bigint' },
      options: { ...options, deleted: 'compare' },
    },
  ].map((each) => ({ ...each, plain, filter, cursor }))
}

/**
 * Creates a table on the remote, with rows outside the filter, which must never change. Rows of one transaction have the same cursor, so
 * that a key that is lost can't be replaced by the cursor.
 */
function createThere(table) {
  const columns = Object.entries(table.columns).map(([name, type]) => `${identifier(name)} ${type}`)
  const stamp = identifier(`stamp ${table.name}`)
  return `
    create table ${identifier(table.name)} ${list([...columns, `primary key ${list(table.key.map(identifier))}`])};
    create function ${stamp}() returns trigger language plpgsql as
      $$ begin new.${identifier(table.cursor)} = now(); return new; end $$;
    create trigger stamp before insert or update on ${identifier(table.name)} for each row execute function ${stamp}();
    ${insert(table, [0, 1, 2, 3], 'first')}
    ${insert(
      { ...table, prefix: 'closed ', first: 9 },
      keys.map((_, n) => n),
      'closed',
      'closed',
    )}`
}

const declared = { text: 'TEXT', bigint: 'INTEGER', timestamptz: 'TEXT', boolean: 'BOOLEAN' }

function createHere({ name, columns, key }) {
  const local = Object.entries(columns).map(([column, type]) => `${identifier(column)} ${declared[type]}`)
  return `CREATE TABLE ${identifier(name)} ${list([...local, `PRIMARY KEY ${list(key.map(identifier))}`])};`
}

/** Returns SQL for rows, given by the indexes of their keys; the first of two columns differs, too. */
function insert({ name, key, plain, filter, prefix = '', first }, rows, value, within = 'open') {
  const columns = list([...key, plain, filter].map(identifier))
  const row = (n) => [...(key.length > 1 ? [first ?? n % 3] : []), ...[prefix + keys[n], value, within].map(literal)]
  return `insert into ${identifier(name)} ${columns} values ${rows.map((n) => list(row(n)))};`
}

const where = ({ key }, rows) => `${identifier(key.at(-1))} in ${list(rows.map((n) => literal(keys[n])))}
  ${key.length > 1 ? `and ${identifier(key[0])} < 9` : ''}`

const update = (table, rows, value) =>
  `update ${identifier(table.name)} set ${identifier(table.plain)} = ${literal(value)} where ${where(table, rows)};`

const remove = (table, rows) => `delete from ${identifier(table.name)} where ${where(table, rows)};`

const removeThere = (table, rows) =>
  table.mark === undefined
    ? remove(table, rows)
    : `update ${identifier(table.name)} set ${identifier(table.mark)} = true where ${where(table, rows)};`

/** Does everything that can happen to a row, on both tables; after each step both sides are compared with the expectation. */
async function happens({ memory, remote }, tables) {
  const db = await memory({
    ...withSchema(tables.map(createHere).join('\n')),
    remote: remote.options(
      tables.map(({ name, options }) => ({ table: name, ...options })),
      { pageSize: 2 },
    ),
  })
  /** The values by key: within the filter, and outside. */
  const values = async (sql, table) => {
    const alive = table.mark === undefined ? 'true' : `${identifier(table.mark)} is not true`
    const rows = await sql(`select ${identifier(table.key.at(-1))} as key, ${identifier(table.plain)} as value
      from ${identifier(table.name)} where ${alive} order by 1`)
    const [open, closed] = [false, true].map((outside) => rows.filter(({ value }) => (value === 'closed') === outside))
    const byKey = Object.fromEntries(open.map(({ key, value }) => [key, value]))
    return { open: byKey, rows: open.length, closed: closed.length }
  }
  const expected = new Map([0, 1, 2, 3].map((n) => [n, 'first']))
  const become = (rows, value) => rows.forEach((n) => void (value ? expected.set(n, value) : expected.delete(n)))
  const compare = async (step) => {
    const open = Object.fromEntries([...expected].map(([n, value]) => [keys[n], value]))
    for (const table of tables) {
      const message = `${JSON.stringify(table)}: ${step}`
      const there = await values(remote.sql, table)
      assert.deepEqual(there, { open, rows: expected.size, closed: keys.length }, `${message}, there`)
      const here = await values((sql) => db.query(sql), table)
      assert.deepEqual(here, { open, rows: expected.size, closed: 0 }, `${message}, here`)
    }
  }
  const here = (sql) => db.exec(tables.map(sql).join('\n'))
  const there = (sql) => remote.sql(tables.map(sql).join('\n'))

  await db.sync.pull()
  await compare('the first pull, in pages')

  await there((table) => insert(table, [4], 'new there') + update(table, [1], 'changed there'))
  become([4], 'new there')
  become([1], 'changed there')
  await db.sync.pull()
  await compare('a later pull')

  await here((table) => insert(table, [5], 'new') + update(table, [2], 'changed') + remove(table, [3]))
  become([5], 'new')
  become([2], 'changed')
  become([3])
  await db.sync.push()
  await compare('one row inserted, one updated, one deleted')

  await here((table) => insert(table, [6, 7, 8], 'bulk') + update(table, [0, 1, 2], 'bulk') + remove(table, [4, 5]))
  become([6, 7, 8, 0, 1, 2], 'bulk')
  become([4, 5])
  await db.sync.push()
  await compare('several of each')

  await there((table) => update(table, [0], 'theirs') + removeThere(table, [6]))
  await here((table) => update(table, [0], 'mine'))
  become([0], 'theirs')
  become([6])
  assert.equal(total(await db.sync.push(), 'conflicts'), 2)
  await db.sync.pull()
  await compare('a conflict, and a row deleted there')

  // The remote has these rows already: they are read by their keys.
  const same = (table) => insert(table, [9, 10, 11], 'same')
  await there(same)
  await here(same)
  become([9, 10, 11], 'same')
  await db.sync.push()
  await compare('the same rows on both sides')

  const { push, pull } = await db.sync.run()
  const done = ['inserted', 'updated', 'deleted', 'conflicts', 'rejected'].map((what) => total(push, what))
  assert.deepEqual([...done, total(pull, 'updated')], [0, 0, 0, 0, 0, 0])
  assert.deepEqual([await db.sync.pending(), await db.sync.rejected()], [[], []])
  await compare('nothing left')
  await db.close()
}

export default {
  'no name of a column or table is misread': async (t) => {
    // Also in every fourth round each name has at least one role, and each role has seven names.
    const rounds = everyNth(
      4,
      names.map((_, round) => tablesOf(round)),
    )
    await t.remote.sql(rounds.flat().map(createThere).join('\n'))
    for (const tables of rounds) await happens(t, tables)
  },
}
