// The first example of docs/sync.md, as it stands there: a database of its own, in the same page.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'

const USER = '33333333-3333-4333-8333-333333333333'

/** In the remote's second schema: the demo's own tables have one of these names. */
const REMOTE = `
  drop table if exists docs.orders, docs.countries;
  create table docs.orders (id uuid primary key, item text not null, quantity int, paid numeric(20, 6), updated_at timestamptz not null default clock_timestamp());
  create table docs.countries (code text primary key, name text not null);
  create trigger touch before update on docs.orders for each row execute function touch();
  insert into docs.orders (id, item, quantity, paid)
    select md5('order ' || n)::uuid, 'item ' || n, n, n / 7.0 from generate_series(1, 30) n;
  insert into docs.countries select 'C' || n, 'country ' || n from generate_series(1, 12) n`

const MIGRATIONS = [
  {
    version: '1',
    name: 'shop',
    up: `CREATE TABLE orders (id TEXT PRIMARY KEY, item TEXT NOT NULL, quantity INTEGER, paid NUMERIC TEXT, updated_at TEXT);
         CREATE TABLE countries (code TEXT PRIMARY KEY, name TEXT NOT NULL)`,
  },
]

/** What each round changes on the one side (`$` is the round): the same row of `orders` on both, others on one only. */
const HERE = `
  INSERT INTO orders (id, item, quantity, paid) VALUES ('00000000-0000-4000-8000-00000000000$', 'new here $', 9, '0.100000');
  UPDATE orders SET item = 'both: here $' WHERE item = 'item 1$';
  UPDATE orders SET quantity = 100$ WHERE item = 'item 2$';
  DELETE FROM orders WHERE item = 'item 5' || $;
  DELETE FROM orders WHERE item = 'item ' || $;
  INSERT INTO countries VALUES ('H$', 'new here $');
  UPDATE countries SET name = 'here $' WHERE code = 'C$';
  UPDATE countries SET name = 'both: here $' WHERE code = 'C1' || ($ - 1)`
const THERE = `
  insert into docs.orders (id, item, quantity, paid) values ('ffffffff-ffff-4fff-8fff-fffffffffff$', 'new there $', 8, 12345678901234.000001);
  update docs.orders set item = 'both: there $' where item = 'item 1$';
  update docs.orders set paid = 99.5, item = 'there $' where item = 'item ' || (15 + $);
  delete from docs.orders where item = 'item ' || (4 + $);
  insert into docs.countries values ('T$', 'new there $');
  update docs.countries set name = 'there $' where code = 'C' || (4 + $);
  update docs.countries set name = 'both: there $' where code = 'C1' || ($ - 1)`
const ROUNDS = [1, 2, 3]

export async function followsDocs(run) {
  await run.remote.sql(REMOTE)
  const opened = await firstExample(run)
  // Its names are given here, as an app has them; the placeholders are all that changes.
  await run.page.evaluate(`(async () => {
    const open = (options) =>
      tidelock.open({ ...options, thread: '${run.thread}', remote: { ...options.remote, schema: 'docs' } })
    const migrations = ${JSON.stringify(MIGRATIONS)}
    const session = { access_token: '${run.remote.jwtFor(USER)}' }
    const supabase = { auth: { getSession: async () => ({ data: { session } }) } }
    ${opened}
    window.example = db
  })()`)
  await sameRows(run, 30, 12)

  for (const round of ROUNDS) {
    const fill = (script) => script.replaceAll('$', round)
    await run.page.evaluate((script) => window.example.exec(script), fill(HERE))
    await run.remote.sql(fill(THERE))
    await run.page.evaluate(() => window.example.sync.run())
    // One was new and one deleted on each side.
    await sameRows(run, 30, 12 + 2 * round)
    const [kept] = await run.remote.sql('select count(*) as n from docs.orders where item = $1', [
      `both: here ${round}`,
    ])
    assert.equal(kept.n, '1', 'the local change of a conflict was kept')
  }

  const idle = await run.page.evaluate(() => window.example.sync.run())
  for (const table of [...idle.push.tables, ...idle.pull.tables])
    for (const change of ['inserted', 'updated', 'deleted', 'conflicts', 'rejected'])
      assert.equal(table[change], 0, `${change} in ${table.table} when nothing had changed`)
  const conflicts = await run.page.evaluate(async () => {
    const conflicts = await window.example.sync.conflicts()
    const left = [...(await window.example.sync.pending()), ...(await window.example.sync.rejected())]
    await window.example.close()
    return { met: conflicts.map(({ table, local, result }) => [table, (result ?? local).item ?? result.name]), left }
  })
  assert.deepEqual(conflicts.left, [])
  return `The first example of docs/sync.md synced ${ROUNDS.length} times with changes on both sides; ${conflicts.met.length} conflicts kept ours, then there was nothing left to do`
}

/** The first example, with the address and key of the remote. */
async function firstExample({ remote }) {
  const text = await readFile(new URL('../../docs/sync.md', import.meta.url), 'utf8')
  const [, code] = text.match(/```ts\n([\s\S]*?)```/)
  const filled = code
    .replace("'https://<project>.supabase.co'", () => JSON.stringify(remote.url))
    .replace("'<publishable key>'", () => JSON.stringify(remote.publishableKey))
  assert.ok(!filled.includes('<'), `a placeholder that the check doesn't know: ${filled}`)
  return filled
}

/** Both tables have the same rows on both sides, and as many as given. */
async function sameRows({ page, remote }, orders, countries) {
  const here = await page.evaluate(async () => [
    await window.example.query(
      'SELECT id, item, CAST(quantity AS TEXT) AS quantity, paid, updated_at FROM orders ORDER BY id',
    ),
    await window.example.query('SELECT code, name FROM countries ORDER BY code'),
  ])
  const there = [
    await remote.sql(
      'select id::text, item, quantity::text, paid::text, to_json(updated_at) #>> array[]::text[] as updated_at from docs.orders order by id',
    ),
    await remote.sql('select code, name from docs.countries order by code collate "C"'),
  ]
  assert.deepEqual(here, there)
  assert.deepEqual(
    here.map((rows) => rows.length),
    [orders, countries],
  )
}
