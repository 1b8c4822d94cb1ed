// The audit log: who changed what.
import assert from 'node:assert/strict'
import { freshName, suite, test } from './harness.mjs'

const context = suite()

const migrations = [
  {
    version: '1',
    name: 'people',
    up: `CREATE TABLE people(id INTEGER PRIMARY KEY, name TEXT, password TEXT, photo BLOB);
         CREATE TABLE pets(owner REFERENCES people(id) ON DELETE CASCADE, name, PRIMARY KEY(owner, name)) WITHOUT ROWID;
         INSERT INTO people(name) VALUES ('by the migration')`,
  },
]
/** The log, without ids and times. */
const log =
  'SELECT action, table_name AS t, record_id AS id, old_values AS old, new_values AS new, actor FROM audit_log ORDER BY rowid'

test('changes are told with their actor, in the transaction of the change', async () => {
  const page = await context.page()
  const result = await page.evaluate(
    async ({ name, migrations, log }) => {
      const options = { name, migrations, audit: { tables: ['people', 'pets'], redact: ['people.password'] } }
      const db = await window.open(options)
      const found = { nobody: db.actor }
      db.actor = 'user-17'
      found.actor = db.actor
      await db.run('INSERT INTO people VALUES (?, ?, ?, ?)', [2n ** 60n, 'Ada', 'secret', new Uint8Array([1, 255])])
      // Calls before the new actor, and a transaction that has begun, keep the old one.
      const before = db.run("INSERT INTO pets SELECT id, 'cat' FROM people WHERE name = 'Ada'")
      const transaction = db.transaction(async (tx) => {
        await tx.run("UPDATE people SET name = 'Ada L.' WHERE name = 'Ada'")
        db.actor = 'user-18'
        await tx.run("UPDATE people SET password = 'other' WHERE name = 'Ada L.'")
      })
      await Promise.all([before, transaction])
      await db.run("DELETE FROM people WHERE name = 'Ada L.'")
      await window.failure(() =>
        db.transaction(async (tx) => {
          await tx.run('DELETE FROM people')
          throw new Error('no')
        }),
      )
      db.actor = undefined
      await db.exec("ALTER TABLE people ADD COLUMN mail TEXT; INSERT INTO people(name, mail) VALUES ('Bob', 'b@x')")
      found.changed = await db.run("UPDATE people SET mail = NULL WHERE name = 'Bob'")
      found.log = await db.query(log)
      found.times = await db.query("SELECT id FROM audit_log WHERE timestamp NOT GLOB '2*T*Z' OR action = 'DELETE'")
      found.wrong = []
      for (const actor of ['', 7, {}])
        found.wrong.push(
          await window.failure(async () => {
            db.actor = actor
          }),
        )
      await db.close()
      // Without the option nothing is audited, and the log stays.
      const plain = await window.open({ name, migrations })
      await plain.run('DELETE FROM people')
      found.after = await plain.get('SELECT count(*) AS n FROM audit_log')
      await plain.close()
      return found
    },
    { name: freshName(), migrations, log },
  )
  assert.deepEqual([result.nobody, result.actor], [undefined, 'user-17'])
  assert.equal(result.changed.changes, 1)
  const id = String(2n ** 60n)
  const person = (rest) => `{"id":${id},${rest},"password":"[redacted]","photo":{"b":"01FF"}}`
  const row = (action, t, key, old, fresh, actor) => ({ action, t, id: key, old, new: fresh, actor })
  const bob = (mail) => `{"id":2,"name":"Bob","password":"[redacted]","photo":null,"mail":${mail}}`
  assert.deepEqual(result.log, [
    row('insert', 'people', '1', null, '{"id":1,"name":"by the migration","password":"[redacted]","photo":null}', null),
    row('insert', 'people', id, null, person('"name":"Ada"'), 'user-17'),
    row('insert', 'pets', `[${id},"cat"]`, null, `{"owner":${id},"name":"cat"}`, 'user-17'),
    row('update', 'people', id, person('"name":"Ada"'), person('"name":"Ada L."'), 'user-17'),
    row('update', 'people', id, person('"name":"Ada L."'), person('"name":"Ada L."'), 'user-17'),
    row('delete', 'pets', `[${id},"cat"]`, `{"owner":${id},"name":"cat"}`, null, 'user-18'),
    row('delete', 'people', id, person('"name":"Ada L."'), null, 'user-18'),
    row('insert', 'people', '2', null, bob('"b@x"'), null),
    row('update', 'people', '2', bob('"b@x"'), bob('null'), null),
  ])
  // Two deletions, whatever the case in which one asks for them.
  assert.equal(result.times.length, 2)
  for (const { code } of result.wrong) assert.equal(code, 'invalid_argument')
  assert.deepEqual(result.after, { n: 9 })
})

test('it goes on after restores, imports and reopening', async () => {
  const page = await context.page()
  const result = await page.evaluate(
    async ({ name, migrations, log }) => {
      const options = { name, migrations, audit: ['people'], auditTable: 'history' }
      let db = await window.open(options)
      const { id } = await db.snapshots.create()
      await db.run("UPDATE people SET name = 'changed'")
      await db.snapshots.restore(id)
      db.actor = 'later'
      await db.run("UPDATE people SET name = 'restored'")
      const file = await db.export()
      await db.run('DELETE FROM people')
      await db.import(file)
      await db.run("UPDATE people SET name = 'imported'")
      await db.close()
      db = await window.open(options)
      await db.run("UPDATE people SET name = 'reopened'")
      const rows = await db.query(log.replace('audit_log', 'history'))
      await db.close()
      return rows
    },
    { name: freshName(), migrations, log },
  )
  assert.deepEqual(
    result.map((row) => [row.action, JSON.parse(row.new).name, row.actor]),
    [
      ['insert', 'by the migration', null],
      ['update', 'restored', 'later'],
      ['update', 'imported', 'later'],
      ['update', 'reopened', null],
    ],
  )
})

test('a worker that begins anew knows the actor', {
  only: 'worker',
  because: 'only workers die',
}, async () => {
  const page = await context.page()
  const result = await page.evaluate(
    async ({ name, migrations }) => {
      const db = await window.open({ name, migrations, audit: ['people'] })
      db.actor = 'user-17'
      await db.run("UPDATE people SET name = 'one'")
      window.workers.at(-1).terminate()
      await window.until(async () => (await window.failure(() => db.query('SELECT 1'))).resolved)
      await db.run("UPDATE people SET name = 'two'")
      const actors = await db.query("SELECT actor FROM audit_log WHERE action = 'update' ORDER BY id")
      await db.close()
      return actors
    },
    { name: freshName(), migrations },
  )
  assert.deepEqual(result, [{ actor: 'user-17' }, { actor: 'user-17' }])
})

test('what can not be audited is refused, and what is missing is warned of', async () => {
  const page = await context.page()
  const result = await page.evaluate(async (name) => {
    const setup = await window.open({ name })
    await setup.exec('CREATE TABLE t(a); CREATE VIEW v AS SELECT 1; CREATE TABLE audit_log(mine)')
    await setup.close()
    const found = {
      shape: await window.failure(() => window.open({ name, audit: ['t'] })),
      view: await window.failure(() => window.open({ name, audit: ['v'], auditTable: 'log' })),
      own: await window.failure(() => window.open({ name, audit: ['sqlite_schema'], auditTable: 'log' })),
      itself: await window.failure(() => window.open({ name, audit: ['log'], auditTable: 'log' })),
    }
    window.warnings.length = 0
    const db = await window.open({ name, audit: ['T', 'later'], auditTable: 'log' })
    found.warnings = [...window.warnings]
    await db.exec('CREATE TABLE later(a)')
    await db.run('INSERT INTO later VALUES (1)')
    await db.run('INSERT INTO t VALUES (1)')
    found.log = await db.query('SELECT table_name, record_id FROM log ORDER BY id')
    await db.close()
    return found
  }, freshName())
  assert.deepEqual([result.shape.code, result.shape.details.table], ['migration_invalid', 'audit_log'])
  for (const { code } of [result.view, result.own, result.itself]) assert.equal(code, 'invalid_argument')
  assert.deepEqual(
    result.warnings.map(({ code, message }) => [code, /later/.test(message)]),
    [['audit_table_missing', true]],
  )
  assert.deepEqual(result.log, [
    { table_name: 'later', record_id: '1' },
    { table_name: 't', record_id: '1' },
  ])
})
