// Local changes and a pull: kept by a merge, protected in a replace, rejected by a restore.
import assert from 'node:assert/strict'
import { total, withSchema } from '../run/remote.mjs'

const stamped = 'updated_at timestamptz default clock_timestamp()'
const ids = async (db, table) => (await db.query(`SELECT id FROM ${table} ORDER BY id`)).map((row) => row.id)

export default {
  'a merge keeps local edits, local rows and local deletions, and takes the rest': async ({ open, remote }) => {
    const table = remote.tableName()
    await remote.table(
      table,
      `id int primary key, a text, b text, ${stamped}`,
      "(1, 'a1', 'b1'), (2, 'a2', 'b2'), (3, 'a3', 'b3'), (4, 'a4', 'b4')",
    )
    const db = await open({
      ...withSchema(
        `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, b TEXT, updated_at TEXT); CREATE TABLE only_here (n)`,
      ),
      remote: remote.options([{ table, cursor: 'updated_at' }]),
    })
    await db.sync.pull()
    await db.exec(`UPDATE ${table} SET a = 'mine' WHERE id = 1; INSERT INTO ${table} (id, a) VALUES (9, 'new here');
      DELETE FROM ${table} WHERE id = 3; INSERT INTO only_here VALUES (1)`)
    const before = await db.sync.pending()
    assert.deepEqual(before.map((entry) => entry.op).sort(), ['delete', 'insert', 'update'])
    const update = before.find((entry) => entry.op === 'update')
    assert.deepEqual([update.table, update.key, update.columns], [table, { id: 1 }, ['a']])
    assert.ok(typeof update.id === 'string' && update.time.endsWith('Z'))

    await remote.sql(
      `update ${table} set a = 'theirs', b = 'theirs', updated_at = clock_timestamp() where id in (1, 2, 3)`,
    )
    const [report] = (await db.sync.pull()).tables
    assert.equal(report.updated, 1)
    assert.ok(report.keptLocal >= 1)
    assert.equal(total(await db.sync.pull({ full: true }), 'inserted'), 0)
    assert.deepEqual(await db.query(`SELECT id, a, b FROM ${table} ORDER BY id`), [
      { id: 1, a: 'mine', b: 'theirs' },
      { id: 2, a: 'theirs', b: 'theirs' },
      { id: 4, a: 'a4', b: 'b4' },
      { id: 9, a: 'new here', b: null },
    ])
    assert.deepEqual(await db.query('SELECT n FROM only_here'), [{ n: 1 }])
    assert.deepEqual((await db.sync.pending()).map((entry) => entry.op).sort(), ['insert', 'update'])
    const rejected = (await db.sync.rejected()).map((entry) => entry.op)
    assert.deepEqual(rejected, ['delete'], 'deleted here and updated there is for a person to decide')
  },

  'replace applies the remote’s rows as a difference; when it fails, the old data stays': async ({
    open,
    failure,
    remote,
  }) => {
    const [parent, child] = [remote.tableName(), remote.tableName()]
    await remote.table(parent, 'id int primary key, name text', "(1, 'one'), (2, 'two'), (3, 'three'), (4, 'four')")
    await remote.table(child, `id int primary key, parent int references ${parent}`, '(10, 1), (20, 2)')
    const db = await open({
      ...withSchema(`CREATE TABLE ${parent} (id INTEGER PRIMARY KEY, name TEXT, note TEXT);
        CREATE TABLE ${child} (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES ${parent} ON DELETE CASCADE);
        CREATE TABLE tags (parent INTEGER REFERENCES ${parent} ON DELETE CASCADE, tag TEXT)`),
      remote: remote.options([child, { table: parent, columns: ['name'] }], { retries: 0 }),
    })
    await db.sync.pull()
    await db.exec(`UPDATE ${parent} SET note = 'note ' || id; INSERT INTO tags VALUES (1, 'red'), (2, 'blue')`)
    assert.deepEqual(await db.sync.pending(), [], 'columns that are not synced make nothing to push')
    await db.exec(
      `INSERT INTO ${parent} VALUES (99, 'only here', NULL); UPDATE ${parent} SET name = 'mine' WHERE id = 2`,
    )
    await remote.sql(`update ${parent} set name = 'drei' where id = 3; delete from ${parent} where id = 4`)

    const rows = () => db.query(`SELECT * FROM ${parent} ORDER BY id`)
    const before = await rows()
    assert.equal((await failure(db.sync.pull({ mode: 'replace' }))).code, 'unpushed_changes')
    await remote.fault({ status: 500, table: child, times: 50 })
    assert.equal((await failure(db.sync.pull({ mode: 'replace', discardUnpushed: true }))).code, 'sync_server')
    assert.deepEqual(await rows(), before)
    assert.equal((await db.sync.pending()).length, 2)

    await remote.clearFaults()
    assert.equal((await db.sync.pull({ mode: 'replace', discardUnpushed: true })).mode, 'replace')
    assert.deepEqual(await rows(), [
      { id: 1, name: 'one', note: 'note 1' },
      { id: 2, name: 'two', note: 'note 2' },
      { id: 3, name: 'drei', note: 'note 3' },
    ])
    assert.deepEqual(await db.query(`SELECT * FROM ${child} ORDER BY id`), [
      { id: 10, parent: 1 },
      { id: 20, parent: 2 },
    ])
    assert.deepEqual(await db.query('SELECT * FROM tags ORDER BY parent'), [
      { parent: 1, tag: 'red' },
      { parent: 2, tag: 'blue' },
    ])
    assert.deepEqual(await db.sync.pending(), [])
    assert.ok((await db.snapshots.list()).some((snapshot) => snapshot.reason === 'safety'))
    const again = await db.sync.pull({ mode: 'replace' })
    for (const column of ['inserted', 'updated', 'deleted']) assert.equal(total(again, column), 0, column)
  },

  'a restore takes its cursor along: the next pull brings the remote’s state, and the image’s outbox is not sent':
    async ({ open, failure, remote }) => {
      const table = remote.tableName()
      await remote.table(table, `id int primary key, a text, ${stamped}`, "(1, 'one'), (2, 'two')")
      const db = await open({
        ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, updated_at TEXT)`),
        remote: remote.options([{ table, cursor: 'updated_at', overlapMs: 0 }]),
      })
      await db.sync.pull()
      await db.run(`UPDATE ${table} SET a = 'pending then' WHERE id = 1`)
      const { id } = await db.snapshots.create({ label: 'then' })
      await remote.sql(`insert into ${table} values (3, 'three')`)
      await db.sync.pull()
      assert.deepEqual(await ids(db, table), [1, 2, 3])

      assert.equal((await failure(db.snapshots.restore(id))).code, 'unpushed_changes')
      await db.snapshots.restore(id, { force: true })
      assert.deepEqual(await ids(db, table), [1, 2])
      assert.deepEqual(await db.sync.pending(), [])
      assert.deepEqual(
        (await db.sync.rejected()).map((entry) => entry.reason),
        ['restored'],
      )
      await db.sync.run()
      assert.deepEqual(await ids(db, table), [1, 2, 3])
      assert.deepEqual(await remote.sql(`select a from ${table} where id = 1`), [{ a: 'one' }])
      const { status, alerts } = await db.health()
      assert.equal(status, 'degraded')
      assert.ok(alerts.some((alert) => alert.code === 'rejected_changes'))
    },

  'writes run while a pull waits for the network': async ({ memory, until, remote }) => {
    const table = remote.tableName()
    await remote.table(table, 'id int primary key, a text', "(1, 'one')")
    const db = await memory({
      ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`),
      remote: remote.options([table]),
    })
    const blocker = await remote.session()
    await blocker.query(`begin; lock table ${table}`)
    const pulling = db.sync.pull()
    await until(async () => (await remote.requests({ table })).length > 0)
    await db.run(`INSERT INTO ${table} VALUES (2, 'meanwhile')`, [], { timeoutMs: 5000 })
    assert.deepEqual(await ids(db, table), [2], 'the pull still waits')
    await blocker.query('rollback')
    await pulling
    await blocker.end()
    assert.deepEqual(await ids(db, table), [1, 2])
  },

  'keys of every kind are exact in pending(), those beyond 2^53 as bigints': async ({ memory, remote }) => {
    const table = remote.tableName()
    await remote.table(table, 'id bigint primary key, a text', "(9007199254740993, 'a'), (5, 'b')")
    const db = await memory({
      ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT);
        CREATE TABLE odd (a REAL, b TEXT, c BLOB, PRIMARY KEY (a, b, c))`),
      remote: remote.options([table, 'odd']),
    })
    await db.sync.pull({ tables: [table] })
    await db.run(`UPDATE ${table} SET a = 'here' WHERE id = 5`)
    await db.run(`UPDATE ${table} SET a = 'here' WHERE id > 5`)
    await db.run('INSERT INTO odd VALUES (1.5, ?, ?)', ['ü', new Uint8Array([1, 2])])
    assert.deepEqual(
      (await db.sync.pending()).map(({ key }) => key),
      [{ id: 5 }, { id: 9007199254740993n }, { a: 1.5, b: 'ü', c: new Uint8Array([1, 2]) }],
    )
  },

  'reset and drop empty a database that is synced and audited': async ({ memory, remote }) => {
    const table = remote.tableName()
    await remote.table(table, 'id int primary key, v text', "(1, 'x')")
    for (const [method, rows] of [
      ['reset', 0],
      ['drop', undefined],
    ]) {
      for (const syncs of [false, true]) {
        const db = await memory({
          ...withSchema(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, v TEXT)`),
          remote: remote.options([table]),
          audit: [table],
        })
        if (syncs) await db.sync.run()
        await db.run(`INSERT INTO ${table} VALUES (2, 'waits')`)
        for (let times = 0; times < 2; times += 1) await db.migrations[method]({ force: true })
        assert.deepEqual(await db.sync.pending(), [])
        const tables = await db.query(`SELECT name FROM sqlite_schema WHERE name = '${table}'`)
        assert.equal(tables.length, rows === undefined ? 0 : 1)
        if (rows === undefined) await db.migrations.run()
        await db.sync.run()
        assert.deepEqual(await db.query(`SELECT id, v FROM ${table}`), [{ id: 1, v: 'x' }])
      }
    }
  },
}
