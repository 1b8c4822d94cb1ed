// What was changed here: captured, kept by a merge, guarded by a replace.
import assert from 'node:assert/strict'
import {
  context,
  freshName,
  remoteOptions,
  remoteTable,
  tableName,
  test,
  total,
  withDatabase,
} from './sync-harness.mjs'

test('a merge keeps local edits, local rows and local deletions, and takes the rest', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id int primary key, a text, b text, updated_at timestamptz default clock_timestamp()',
    "(1, 'a1', 'b1'), (2, 'a2', 'b2'), (3, 'a3', 'b3'), (4, 'a4', 'b4')",
  )
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, b TEXT, updated_at TEXT); CREATE TABLE only_here (n)`
  const remote = remoteOptions([{ table, cursor: 'updated_at' }])
  const name = freshName()
  const before = await withDatabase(
    { name, schema, remote },
    async (db, { table: t }, reopen) => {
      await db.sync.pull()
      await db.run(`UPDATE ${t} SET a = 'mine' WHERE id = 1`)
      await db.run(`INSERT INTO ${t} (id, a) VALUES (9, 'new here')`)
      await db.run(`DELETE FROM ${t} WHERE id = 3`)
      await db.run('INSERT INTO only_here VALUES (1)')
      const again = await reopen()
      return again.sync.pending()
    },
    { table },
  )
  assert.deepEqual(before.map((entry) => entry.op).sort(), ['delete', 'insert', 'update'])
  const update = before.find((entry) => entry.op === 'update')
  assert.equal(update.table, table)
  assert.deepEqual(update.columns, ['a'])
  assert.ok(typeof update.id === 'string' && update.time.endsWith('Z'))
  await context.remote.sql(
    `update ${table} set a = 'theirs', b = 'theirs', updated_at = clock_timestamp() where id in (1, 2); update ${table} set a = 'theirs', updated_at = clock_timestamp() where id = 3`,
  )
  const result = await withDatabase(
    { name, schema, remote },
    async (db, { table: t }) => {
      const report = await db.sync.pull()
      const full = await db.sync.pull({ full: true })
      return {
        report,
        full,
        rows: await db.query(`SELECT id, a FROM ${t} ORDER BY id`),
        pending: (await db.sync.pending()).map((entry) => entry.op).sort(),
        rejected: (await db.sync.rejected()).map((entry) => entry.op),
        local: await db.query('SELECT n FROM only_here'),
      }
    },
    { table },
  )
  assert.deepEqual(result.rows, [
    { id: 1, a: 'mine' },
    { id: 2, a: 'theirs' },
    { id: 4, a: 'a4' },
    { id: 9, a: 'new here' },
  ])
  assert.equal(result.report.tables[0].updated, 1)
  assert.ok(result.report.tables[0].keptLocal >= 1)
  assert.equal(total(result.full, 'inserted'), 0)
  assert.deepEqual(result.pending, ['insert', 'update'])
  assert.deepEqual(result.rejected, ['delete'], 'deleted here and updated there is for a person to decide')
  assert.deepEqual(result.local, [{ n: 1 }])
})

test('changes are captured from the start, however they are made, and also when opened without a remote', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', "(1, 'a'), (2, 'b'), (3, 'c')")
  const result = await withDatabase(
    { schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`, remote: remoteOptions([table]) },
    async (db, { table: t }, reopen) => {
      await db.sync.pull()
      const states = []
      const note = async (from) =>
        states.push(
          (await from.sync.pending()).map((entry) => `${entry.op} ${JSON.stringify(entry.key).match(/\d+/)[0]}`).sort(),
        )
      await db.run(`INSERT OR REPLACE INTO ${t} VALUES (1, 'replaced')`)
      await note(db)
      await db
        .transaction(async (tx) => {
          await tx.run(`DELETE FROM ${t}`)
          throw new Error('back')
        })
        .catch(() => {})
      await note(db)
      await db.runMany(`INSERT INTO ${t} VALUES (?, ?)`, [
        [10, 'x'],
        [11, 'y'],
      ])
      await db.run(`DELETE FROM ${t} WHERE id = 10`) // never told anybody, so nothing to tell
      await note(db)
      await db.exec(`ALTER TABLE ${t} ADD COLUMN more TEXT; UPDATE ${t} SET more = 'm' WHERE id = 2`)
      await note(db)
      const plain = await reopen({ remote: undefined, migrations: undefined })
      await plain.run(`DELETE FROM ${t} WHERE id = 3`)
      const back = await reopen({ migrations: undefined })
      await note(back)
      return states
    },
    { table },
  )
  assert.deepEqual(result, [
    ['update 1'],
    ['update 1'],
    ['insert 11', 'update 1'],
    ['insert 11', 'update 1', 'update 2'],
    ['delete 3', 'insert 11', 'update 1', 'update 2'],
  ])
})

test('replace makes the tables the remote’s as a difference: other columns and children stay', async () => {
  const [parent, child] = [tableName(), tableName()]
  await remoteTable(parent, 'id int primary key, name text', "(1, 'one'), (2, 'two'), (3, 'three')")
  await remoteTable(child, `id int primary key, parent int references ${parent}`, '(10, 1), (20, 2)')
  const schema = `CREATE TABLE ${parent} (id INTEGER PRIMARY KEY, name TEXT, note TEXT DEFAULT 'kept');
    CREATE TABLE ${child} (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES ${parent} ON DELETE CASCADE);
    CREATE TABLE tags (parent INTEGER REFERENCES ${parent} ON DELETE CASCADE, tag TEXT)`
  const result = await withDatabase(
    { schema, remote: remoteOptions([child, parent]) },
    async (db, { parent: p, child: c }) => {
      await db.sync.pull()
      await db.run(`UPDATE ${p} SET note = 'local note ' || id`)
      await db.exec("INSERT INTO tags VALUES (1, 'red'), (2, 'blue')")
      const notes = (await db.sync.pending()).length
      await db.run(`INSERT INTO ${p} (id, name) VALUES (99, 'only here')`)
      await db.run(`UPDATE ${p} SET name = 'edited' WHERE id = 2`)
      const refused = await window.failure(() => db.sync.pull({ mode: 'replace' }))
      const before = await db.query(`SELECT id, name FROM ${p} ORDER BY id`)
      const report = await db.sync.pull({ mode: 'replace', discardUnpushed: true })
      const safety = (await db.snapshots.list()).filter((snapshot) => snapshot.reason === 'safety').length
      return {
        notes,
        refused,
        before,
        report,
        safety,
        pending: (await db.sync.pending()).length,
        parents: await db.query(`SELECT * FROM ${p} ORDER BY id`),
        children: await db.query(`SELECT * FROM ${c} ORDER BY id`),
        tags: await db.query('SELECT * FROM tags ORDER BY parent'),
        again: await db.sync.pull({ mode: 'replace' }),
      }
    },
    { parent, child },
  )
  assert.equal(result.notes, 0, 'columns that are not synced make nothing to push')
  assert.equal(result.refused.code, 'unpushed_changes')
  assert.equal(result.before.length, 4)
  assert.equal(result.report.mode, 'replace')
  assert.deepEqual(
    result.parents,
    [1, 2, 3].map((id) => ({ id, name: ['one', 'two', 'three'][id - 1], note: `local note ${id}` })),
  )
  assert.deepEqual(result.children, [
    { id: 10, parent: 1 },
    { id: 20, parent: 2 },
  ])
  assert.deepEqual(result.tags, [
    { parent: 1, tag: 'red' },
    { parent: 2, tag: 'blue' },
  ])
  assert.ok(result.safety >= 1)
  assert.equal(result.pending, 0)
  for (const column of ['inserted', 'updated', 'deleted']) assert.equal(total(result.again, column), 0)
})

test('a replace that fails leaves the old data standing', async () => {
  const [one, two] = [tableName(), tableName()]
  await remoteTable(one, 'id int primary key, a text', "(1, 'old')")
  await remoteTable(two, 'id int primary key, a text', "(1, 'old')")
  const schema = [one, two].map((table) => `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`).join(';')
  const name = freshName()
  const remote = remoteOptions([one, two], { retries: 0 })
  await withDatabase({ name, schema, remote }, (db) => db.sync.pull())
  await context.remote.sql(`update ${one} set a = 'new'; update ${two} set a = 'new'`)
  context.remote.faults.add({ status: 500, table: two, times: 50 })
  const result = await withDatabase(
    { name, schema, remote },
    async (db, { one: a, two: b }) => ({
      failed: (await window.failure(() => db.sync.pull({ mode: 'replace' }))).code,
      rows: await db.query(`SELECT a FROM ${a} UNION ALL SELECT a FROM ${b}`),
    }),
    { one, two },
  )
  assert.deepEqual(result, { failed: 'sync_server', rows: [{ a: 'old' }, { a: 'old' }] })
})

test('a restore takes its cursor along: the next pull brings the remote’s state, and the image’s outbox is not sent', async () => {
  const table = tableName()
  await remoteTable(
    table,
    'id int primary key, a text, updated_at timestamptz default clock_timestamp()',
    "(1, 'one'), (2, 'two')",
  )
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT, updated_at TEXT)`
  const options = { name: freshName(), schema, remote: remoteOptions([{ table, cursor: 'updated_at', overlapMs: 0 }]) }
  await withDatabase(
    options,
    async (db, { table: t }) => {
      await db.sync.pull()
      await db.run(`UPDATE ${t} SET a = 'pending then' WHERE id = 1`)
      await db.snapshots.create({ label: 'then' })
    },
    { table },
  )
  await context.remote.sql(`insert into ${table} values (3, 'three')`)
  const result = await withDatabase(
    options,
    async (db, { table: t }) => {
      await db.sync.pull()
      const { id } = (await db.snapshots.list()).find((snapshot) => snapshot.label === 'then')
      const refused = await window.failure(() => db.snapshots.restore(id))
      await db.snapshots.restore(id, { force: true })
      const restored = (await db.query(`SELECT id FROM ${t} ORDER BY id`)).map((row) => row.id)
      const rejected = await db.sync.rejected()
      await db.sync.pull()
      const pulled = (await db.query(`SELECT id FROM ${t} ORDER BY id`)).map((row) => row.id)
      const health = await db.health()
      return {
        refused: refused.code,
        restored,
        rejected: rejected.map((entry) => entry.reason),
        pending: (await db.sync.pending()).length,
        pulled,
        status: health.status,
        alerts: health.alerts.map((alert) => alert.code),
      }
    },
    { table },
  )
  assert.deepEqual(
    [result.refused, result.restored, result.rejected, result.pending, result.pulled],
    ['unpushed_changes', [1, 2], ['restored'], 0, [1, 2, 3]],
  )
  assert.equal(result.status, 'degraded')
  assert.ok(result.alerts.includes('rejected_changes'))
})

test('user triggers run on pulled rows, and what they write elsewhere is theirs', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', "(1, 'one')")
  const schema = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT); CREATE TABLE log (id INTEGER); CREATE TRIGGER g AFTER INSERT ON ${table} BEGIN INSERT INTO log VALUES (NEW.id); END`
  const result = await withDatabase({ schema, remote: remoteOptions([table]) }, async (db) => {
    await db.sync.pull()
    await db.sync.pull()
    return { log: await db.query('SELECT id FROM log'), pending: (await db.sync.pending()).length }
  })
  assert.deepEqual(result, { log: [{ id: 1 }], pending: 0 })
})

test('writes go on while a pull waits for the network', async () => {
  const table = tableName()
  await remoteTable(table, 'id int primary key, a text', "(1, 'one')")
  context.remote.faults.add({ table, delayMs: 1500 })
  const result = await withDatabase(
    { schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT)`, remote: remoteOptions([table]) },
    async (db, { table: t }) => {
      const pulling = db.sync.pull()
      await new Promise((resolve) => setTimeout(resolve, 100))
      const started = performance.now()
      await db.run(`INSERT INTO ${t} VALUES (2, 'meanwhile')`)
      const took = performance.now() - started
      await pulling
      return { quick: took < 1000, rows: await db.query(`SELECT id FROM ${t} ORDER BY id`) }
    },
    { table },
  )
  assert.deepEqual(result, { quick: true, rows: [{ id: 1 }, { id: 2 }] })
})

test('keys of every kind come out of pending() exactly, those beyond 2^53 as bigints', async () => {
  const table = tableName()
  await remoteTable(table, 'id bigint primary key, a text', "(9007199254740993, 'a'), (5, 'b')")
  const result = await withDatabase(
    {
      schema: `CREATE TABLE ${table} (id INTEGER PRIMARY KEY, a TEXT); CREATE TABLE odd (a REAL, b TEXT, c BLOB, PRIMARY KEY (a, b, c))`,
      remote: remoteOptions([table, 'odd']),
    },
    async (db, { table: t }) => {
      await db.sync.pull({ tables: [t] })
      await db.run(`UPDATE ${t} SET a = 'here'`)
      await db.run('INSERT INTO odd VALUES (1.5, ?, ?)', ['ü', new Uint8Array([1, 2])])
      return (await db.sync.pending()).map(({ key }) =>
        Object.entries(key).map(([name, value]) => `${name} ${typeof value} ${value}`),
      )
    },
    { table },
  )
  assert.deepEqual(result.sort(), [
    ['a number 1.5', 'b string ü', 'c object 1,2'],
    ['id bigint 9007199254740993'],
    ['id number 5'],
  ])
})
