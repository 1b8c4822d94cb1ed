// Filters that change while the app runs, and between two openings.
import assert from 'node:assert/strict'
import { withSchema } from '../run/remote.mjs'

/** 30 tasks of each of two projects, and the options for a filter. */
async function twoProjects(remote) {
  const table = remote.tableName()
  await remote.table(table, 'id int primary key, project int, name text, updated_at timestamptz default now()')
  await remote.sql(
    `insert into ${table} (id, project, name) select id, 1 + (id > 100)::int, 'n' || id
     from (select generate_series(1, 30) as id union select generate_series(101, 130)) as ids`,
  )
  const schema = withSchema(
    `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, project INTEGER, name TEXT, updated_at TEXT)`,
  )
  const given = (filter, more = {}) => ({
    ...schema,
    remote: remote.options([{ table, cursor: 'updated_at', filter, ...more }]),
  })
  const projects = async (db) => {
    const rows = await db.query(`SELECT project, count(*) AS rows FROM ${table} GROUP BY project ORDER BY project`)
    return rows.map(({ project, rows: count }) => `${project}: ${count}`)
  }
  return { table, given, projects }
}

export default {
  'a function gives the filter before each pull: other rows come, those that no longer belong leave': async ({
    memory,
    remote,
  }) => {
    const { table, given, projects } = await twoProjects(remote)
    let project = 1
    let asked = 0
    const db = await memory(
      given(async () => {
        asked++
        return { project: `eq.${project}` }
      }),
    )
    await db.sync.pull()
    assert.deepEqual(await projects(db), ['1: 30'])
    await remote.resetRequests()
    await db.sync.pull()
    assert.deepEqual([asked, (await remote.requests({ table, method: 'GET' })).length], [2, 1], 'nothing is read again')

    project = 2
    const [report] = (await db.sync.pull()).tables
    assert.deepEqual([report.inserted, report.deleted], [30, 30], 'all rows leave, which is no empty remote')
    assert.deepEqual(await projects(db), ['2: 30'])
    assert.deepEqual(await db.sync.pending(), [], 'they are not deleted at the remote')
    assert.deepEqual(await remote.sql(`select count(*) from ${table}`), [{ count: '60' }])
  },

  'rows with unpushed changes stay until they are pushed, and are told': async ({ memory, remote }) => {
    const { table, given, projects } = await twoProjects(remote)
    let project = 1
    const db = await memory(given(() => ({ project: `eq.${project}` })))
    await db.sync.pull()
    await db.run(`UPDATE ${table} SET name = 'mine' WHERE id <= 3`)
    await db.run(`INSERT INTO ${table} (id, project, name) VALUES (500, 1, 'new')`)
    project = 2
    const [report] = (await db.sync.pull()).tables
    assert.deepEqual([report.deleted, report.keptLocal], [27, 3])
    assert.deepEqual(await projects(db), ['1: 4', '2: 30'])
    assert.equal((await db.sync.pending()).length, 4)

    await db.sync.run()
    assert.deepEqual(await projects(db), ['2: 30'])
    const there = `select count(*) from ${table} where name in ('mine', 'new')`
    assert.deepEqual(await remote.sql(there), [{ count: '4' }])
  },

  'a function that fails stops its table alone, with a typed error, and the table keeps its rows': async ({
    memory,
    failure,
    remote,
  }) => {
    const { table, given, projects } = await twoProjects(remote)
    let filter = () => ({ project: 'eq.1' })
    const db = await memory(given(() => filter()))
    await db.sync.pull()
    for (const fails of [
      () => {
        throw new TypeError('no project is chosen')
      },
      async () => undefined,
      () => ({ project: 5 }),
      () => 'project=eq.2',
    ]) {
      filter = fails
      const failed = await failure(db.sync.pull())
      assert.deepEqual([failed.code, failed.details.table], ['invalid_argument', table])
      assert.match(failed.message, /^The filter function of table t\d+ failed$/)
      assert.match(failed.cause, /no project is chosen|object of texts/)
      assert.equal((await db.sync.status())[0].lastError.code, 'invalid_argument')
    }
    assert.deepEqual(await projects(db), ['1: 30'])
    filter = () => ({ project: 'eq.1' })
    await remote.resetRequests()
    await db.sync.pull()
    assert.equal(
      (await remote.requests({ table, method: 'GET' })).length,
      1,
      'the last filter holds: nothing is read again',
    )
  },

  'a filter that the function gives cannot be asked for by a call that joins another one': async ({
    memory,
    remote,
  }) => {
    const { given, projects } = await twoProjects(remote)
    let project = 1
    const db = await memory(given(() => ({ project: `eq.${project}` })))
    const first = db.sync.pull()
    await Promise.resolve()
    project = 2
    await Promise.all([first, db.sync.pull()])
    assert.deepEqual(await projects(db), ['2: 30'])
  },

  'another filter in the options holds from the next opening on, also where there was none': async ({
    open,
    remote,
  }) => {
    const { table, given, projects } = await twoProjects(remote)
    let db = await open(given())
    const { name } = db
    await db.sync.pull()
    assert.deepEqual(await projects(db), ['1: 30', '2: 30'])
    for (const [project, left] of [
      [1, ['1: 30']],
      [2, ['2: 30']],
    ]) {
      await db.close()
      db = await open({ ...given({ project: `eq.${project}` }), name })
      await db.sync.pull()
      assert.deepEqual(await projects(db), left)
    }
    await db.close()
    db = await open({ ...given(), name })
    await db.sync.pull()
    assert.deepEqual(await projects(db), ['1: 30', '2: 30'])
    assert.deepEqual(await remote.sql(`select count(*) from ${table}`), [{ count: '60' }])
  },
}
