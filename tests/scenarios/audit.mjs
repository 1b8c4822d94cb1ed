// The audit log.
import assert from 'node:assert/strict'

const migrations = [
  {
    version: '1',
    name: 'people',
    up: `CREATE TABLE people(id INTEGER PRIMARY KEY, name TEXT, password TEXT, photo BLOB);
         CREATE TABLE pets(owner REFERENCES people(id) ON DELETE CASCADE, name, PRIMARY KEY(owner, name)) WITHOUT ROWID;
         INSERT INTO people(name) VALUES ('by the migration')`,
  },
]

/** Returns the log without ids and times, as `[action, table, key, old row, new row, actor]`. */
const rows = (db, log = 'audit_log') =>
  db.query(`SELECT action, table_name, record_id, old_values, new_values, actor FROM ${log} ORDER BY id`, [], {
    rowMode: 'array',
  })

export default {
  'changes are logged with their actor, in the transaction of the change': async ({ open, failure }) => {
    const db = await open({ migrations, audit: { tables: ['people', 'pets'], redact: ['people.password'] } })
    assert.equal(db.actor, undefined)
    db.actor = 'user-17'
    assert.equal(db.actor, 'user-17')
    await db.run('INSERT INTO people VALUES (?, ?, ?, ?)', [2n ** 60n, 'Ada', 'secret', new Uint8Array([1, 255])])
    // Calls before the change of the actor, and a transaction that has begun, keep the previous one.
    const before = db.run("INSERT INTO pets SELECT id, 'cat' FROM people WHERE name = 'Ada'")
    const transaction = db.transaction(async (tx) => {
      await tx.run("UPDATE people SET name = 'Ada L.' WHERE name = 'Ada'")
      db.actor = 'user-18'
      await tx.run("UPDATE people SET password = 'other' WHERE name = 'Ada L.'")
    })
    await Promise.all([before, transaction])
    await db.run("DELETE FROM people WHERE name = 'Ada L.'")
    const failed = db.transaction(async (tx) => {
      await tx.run('DELETE FROM people')
      throw new Error('no')
    })
    assert.equal((await failure(failed)).notOurs, 'Error: no')
    db.actor = undefined
    await db.exec("ALTER TABLE people ADD COLUMN mail TEXT; INSERT INTO people(name, mail) VALUES ('Bob', 'b@x')")
    assert.equal((await db.run("UPDATE people SET mail = NULL WHERE name = 'Bob'")).changes, 1)

    const id = String(2n ** 60n)
    const ada = (name) => `{"id":${id},"name":"${name}","password":"[redacted]","photo":{"b":"01FF"}}`
    const bob = (mail) => `{"id":2,"name":"Bob","password":"[redacted]","photo":null,"mail":${mail}}`
    const cat = `{"owner":${id},"name":"cat"}`
    const first = '{"id":1,"name":"by the migration","password":"[redacted]","photo":null}'
    assert.deepEqual(await rows(db), [
      ['insert', 'people', '1', null, first, null],
      ['insert', 'people', id, null, ada('Ada'), 'user-17'],
      ['insert', 'pets', `[${id},"cat"]`, null, cat, 'user-17'],
      ['update', 'people', id, ada('Ada'), ada('Ada L.'), 'user-17'],
      ['update', 'people', id, ada('Ada L.'), ada('Ada L.'), 'user-17'],
      ['delete', 'pets', `[${id},"cat"]`, cat, null, 'user-18'],
      ['delete', 'people', id, ada('Ada L.'), null, 'user-18'],
      ['insert', 'people', '2', null, bob('"b@x"'), null],
      ['update', 'people', '2', bob('"b@x"'), bob('null'), null],
    ])
    // The column `action` compares without case.
    assert.deepEqual(
      await db.get("SELECT sum(timestamp GLOB '2*T*Z') AS times, sum(action = 'DELETE') AS deletions FROM audit_log"),
      { times: 9, deletions: 2 },
    )
    for (const actor of ['', 7, {}]) {
      const refused = await failure(() => {
        db.actor = actor
      })
      assert.equal(refused.code, 'invalid_argument')
    }
    await db.close()

    // Without the option nothing is audited, and the log stays.
    const plain = await open({ name: db.name, migrations })
    await plain.run('DELETE FROM people')
    assert.equal((await rows(plain)).length, 9)
  },

  'the audit continues after restores, imports and reopening': async ({ open }) => {
    const options = { migrations, audit: ['people'], auditTable: 'history' }
    const first = await open(options)
    const { id } = await first.snapshots.create()
    await first.run("UPDATE people SET name = 'changed'")
    await first.snapshots.restore(id)
    first.actor = 'later'
    await first.run("UPDATE people SET name = 'restored'")
    const file = await first.export()
    await first.run('DELETE FROM people')
    await first.import(file)
    await first.run("UPDATE people SET name = 'imported'")
    await first.close()
    const db = await open({ ...options, name: first.name })
    await db.run("UPDATE people SET name = 'reopened'")
    assert.deepEqual(
      (await rows(db, 'history')).map(([action, , , , row, actor]) => [action, JSON.parse(row).name, actor]),
      [
        ['insert', 'by the migration', null],
        ['update', 'restored', 'later'],
        ['update', 'imported', 'later'],
        ['update', 'reopened', null],
      ],
    )
  },

  'a restarted worker knows the actor': {
    only: ['worker'],
    because: 'only workers die',
    run: async ({ open, failure, until }) => {
      const db = await open({ migrations, audit: ['people'] })
      db.actor = 'user-17'
      await db.run("UPDATE people SET name = 'one'")
      globalThis.workers.at(-1).terminate()
      await until(async () => (await failure(db.query('SELECT 1'))).resolved)
      await db.run("UPDATE people SET name = 'two'")
      assert.deepEqual(
        (await rows(db)).map(([action, , , , , actor]) => [action, actor]),
        [
          ['insert', null],
          ['update', 'user-17'],
          ['update', 'user-17'],
        ],
      )
    },
  },

  'a redacted column that no audited table has causes a warning': async ({ open, warnings }) => {
    const migrations = [{ version: '1', name: 't', up: 'CREATE TABLE t(a, b AS (a + 1)); CREATE TABLE other(c)' }]
    for (const [tables, redact, unknown] of [
      [['t'], ['a', 'T.A', 't.b'], []],
      [['t'], { t: ['a', 'c'] }, ['t.c']],
      [['t'], ['c', 'a '], ['c', 'a ']],
      [
        ['t', 'later'],
        ['x', 'main.t.a', 'other.c', 'later.x'],
        ['main.t.a', 'other.c'],
      ],
    ]) {
      warnings.length = 0
      const db = await open({ migrations, audit: { tables, redact } })
      const about = warnings.filter(({ code }) => code === 'audit_column_missing').map(({ message }) => message)
      assert.deepEqual(
        about,
        unknown.map((column) => `The redacted column '${column}' is in no audited table`),
      )
      await db.close()
    }
  },

  'a renamed table or redacted column causes a warning at once': async ({ open, warnings, until }) => {
    const migrations = [
      { version: '1', name: 't', up: 'CREATE TABLE t(a, b)' },
      { version: '2', name: 'moved', up: 'ALTER TABLE t RENAME TO moved; ALTER TABLE moved RENAME TO t' },
    ]
    const db = await open({ migrations, audit: { tables: ['t'], redact: ['t.a'] } })
    assert.deepEqual(warnings, [], 'migrations may rename in between')
    await db.exec('CREATE TABLE other(c); ALTER TABLE t RENAME COLUMN a TO secret')
    await until(() => warnings.length > 0)
    await db.run('ALTER TABLE t ADD COLUMN d')
    await db.run('ALTER TABLE t RENAME TO u')
    await until(() => warnings.length > 1)
    assert.deepEqual(
      warnings.map(({ code, message }) => [code, message]),
      [
        ['audit_column_missing', "The redacted column 't.a' is in no audited table"],
        ['audit_table_missing', "The audited table 't' doesn't exist"],
      ],
    )
  },

  'tables that can not be audited are refused, and missing ones cause a warning': async ({
    open,
    failure,
    warnings,
  }) => {
    const setup = await open()
    await setup.exec('CREATE TABLE t(a); CREATE VIEW v AS SELECT 1; CREATE TABLE audit_log(mine)')
    await setup.close()
    const { name } = setup
    const shape = await failure(open({ name, audit: ['t'] }))
    assert.deepEqual([shape.code, shape.details.table], ['migration_invalid', 'audit_log'])
    for (const table of ['v', 'sqlite_schema', 'log'])
      assert.equal((await failure(open({ name, audit: [table], auditTable: 'log' }))).code, 'invalid_argument')
    assert.deepEqual(warnings, [])
    const db = await open({ name, audit: ['T', 'later', 't'], auditTable: 'log' })
    assert.deepEqual(
      warnings.map(({ code }) => code),
      ['audit_table_missing'],
    )
    assert.match(warnings[0].message, /later/)
    await db.exec('CREATE TABLE later(a); INSERT INTO later VALUES (1); INSERT INTO t VALUES (1)')
    assert.deepEqual(await rows(db, 'log'), [
      ['insert', 'later', '1', null, '{"a":1}', null],
      ['insert', 't', '1', null, '{"a":1}', null],
    ])
  },

  'no temporary table takes the records': async ({ memory, failure }) => {
    const db = await memory({ migrations, audit: ['people'] })
    const columns = 'id, action, table_name, record_id, old_values, new_values, actor, timestamp'
    for (const name of ['audit_log', 'Audit_Log', 'tidelock_outbox', 'tidelock_silent']) {
      for (const create of [`TABLE ${name}(${columns})`, `VIEW ${name} AS SELECT 1 AS id`, `TABLE ${name} AS SELECT 1`])
        assert.equal((await failure(db.exec(`CREATE TEMP ${create}`))).code, 'invalid_argument', create)
    }
    const before = (await rows(db)).length
    await db.exec("CREATE TEMP TABLE other(a); INSERT INTO people(name) VALUES ('Ada')")
    assert.equal((await rows(db)).length, before + 1)
    const plain = await memory({ migrations })
    await plain.exec('CREATE TEMP TABLE audit_log(a)')
  },
}
