// Others write while we sync: on the server, and in another browser. In the end all have the same.
import assert from 'node:assert/strict'
import { context, freshName, remoteOptions, remoteTable, tableName, test } from './sync-harness.mjs'

/** A tab with a database of its own in `window.db`. */
async function tab(schema, remote) {
  const page = await context.page()
  await page.evaluate(
    async ([name, up, given]) => {
      window.db = await window.open({ name, migrations: [{ version: '1', name: 'schema', up }], remote: given })
    },
    [freshName(), schema, remote],
  )
  return page
}

const close = (page) => page.evaluate(() => window.db.close()).then(() => page.close())

test('rows that are written, moved, deleted and committed late while a pull reads are there after the next one', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text, updated_at timestamptz not null default clock_timestamp()')
  await context.remote.sql(`insert into ${table} select i, 'seed', clock_timestamp() from generate_series(1, 3000) i;
    create trigger stamp before update on ${table} for each row execute function touch()`)
  const page = await tab(
    `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, updated_at TEXT)`,
    remoteOptions([{ table, cursor: 'updated_at', deleted: 'compare' }], { pageSize: 100 }),
  )
  try {
    for (let round = 0; round < 3; round++) {
      let reading = true
      const pulled = page
        .evaluate((full) => window.db.sync.pull({ full }), round === 0)
        .finally(() => (reading = false))
      // A transaction that began before the rows that others write, and commits after the pull has passed its place.
      const late = `'${new Date(Date.now() - 5000).toISOString()}'`
      for (let n = 0; (reading && n < 500) || n === 0; n++) {
        const id = 1 + ((n * 997 + round * 31) % 3000)
        await context.remote.sql(
          `update ${table} set a = 'written ${round}.${n}' where id % 50 = ${id % 50}; delete from ${table} where id = ${id};
           insert into ${table} (id, a) values (${10_000 * (round + 1) + n}, 'new') on conflict do nothing;
           insert into ${table} values (${100_000 * (round + 1) + n}, 'late', ${late}) on conflict do nothing`,
        )
      }
      await pulled
    }
    await page.evaluate(() => window.db.sync.pull())
    const here = await page.evaluate((t) => window.db.query(`SELECT id, a FROM ${t} ORDER BY id`), table)
    const there = await context.remote.sql(`select id::int, a from ${table} order by id`)
    assert.deepEqual(
      here.map((row) => `${row.id} ${row.a}`),
      there.map((row) => `${row.id} ${row.a}`),
    )
    const again = await page.evaluate(() => window.db.sync.pull({ full: true }))
    const { inserted, updated, deleted } = again.tables[0]
    assert.deepEqual([inserted, updated, deleted], [0, 0, 0])
  } finally {
    await close(page)
  }
})

test('two browsers write the same rows at once, and others on the server: all converge, nothing is lost or doubled', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id int primary key, a text, b text, n int not null default 0, updated_at timestamptz not null default clock_timestamp()',
  )
  await context.remote.sql(`insert into ${table} (id) select i from generate_series(1, 60) i;
    create trigger stamp before update on ${table} for each row execute function touch()`)
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, b TEXT, n INTEGER NOT NULL DEFAULT 0, updated_at TEXT)`
  const remote = remoteOptions([{ table, cursor: 'updated_at', deleted: 'compare' }])
  const pages = [await tab(schema, remote), await tab(schema, remote)]
  try {
    await Promise.all(pages.map((page) => page.evaluate(() => window.db.sync.pull())))
    for (let round = 0; round < 4; round++) {
      // Each has a column of its own; a third one writes on the server.
      const work = pages.map((page, me) =>
        page.evaluate(
          async ([t, column, at, who]) => {
            const { db } = window
            await db.run(`UPDATE ${t} SET ${column} = ? WHERE id % 3 <> ?`, [`${column}${at}`, at % 3])
            await db.run(`INSERT INTO ${t} (id, ${column}) VALUES (?, 'new')`, [1000 * (who + 1) + at])
            const pushing = db.sync.push()
            await db.run(`UPDATE ${t} SET ${column} = ? WHERE id = 1`, [`${column}${at} meanwhile`])
            await pushing
            await db.sync.run()
          },
          [table, 'ab'[me], round, me],
        ),
      )
      const other = context.remote.sql(`update ${table} set n = n + 1 where id <= 60`)
      await Promise.all([...work, other])
    }
    for (const page of [...pages, ...pages]) await page.evaluate(() => window.db.sync.run())
    const read = (page) => page.evaluate((t) => window.db.query(`SELECT id, a, b, n FROM ${t} ORDER BY id`), table)
    const [one, two] = [await read(pages[0]), await read(pages[1])]
    assert.deepEqual(one, two)
    const there = await context.remote.sql(`select id::int as id, a, b, n::int as n from ${table} order by id`)
    assert.deepEqual(
      one.map((row) => Object.values(row).join('|')),
      there.map((row) => Object.values(row).join('|')),
    )
    assert.equal(one.length, 68)
    assert.deepEqual(
      one.slice(0, 60).map((row) => row.n),
      Array(60).fill(4),
      'each edit on the server counts once, and no browser took one back',
    )
    assert.deepEqual([one[0].a, one[0].b], ['a3 meanwhile', 'b3 meanwhile'])
    // Round 3 leaves out the rows that divide by 3, round 2 the others of its rest.
    for (const row of one.slice(1, 60)) {
      const last = row.id % 3 === 0 ? 2 : 3
      assert.deepEqual([row.a, row.b], [`a${last}`, `b${last}`], `row ${row.id}`)
    }
    for (const page of pages) {
      const left = await page.evaluate(async () => [await window.db.sync.pending(), await window.db.sync.rejected()])
      assert.deepEqual(left, [[], []])
    }
  } finally {
    for (const page of pages) await close(page)
  }
})
