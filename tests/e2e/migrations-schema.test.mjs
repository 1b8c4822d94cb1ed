// What the schema is, what the migrations make of it, and the scripts to another one.
import assert from 'node:assert/strict'
import { suite, test } from './harness.mjs'
import { onFreshName } from './in-page.mjs'

const context = suite()

const inPage = (work) => onFreshName(context, work)

test('drift tells what was changed by hand', async () => {
  const result = await inPage(async (name) => {
    const migrations = [
      {
        version: '1',
        name: 'a',
        up: 'CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); CREATE INDEX by_name ON users (name)',
      },
      { version: '2', name: 'b', up: async (tx) => tx.run("INSERT INTO users (name) VALUES ('a')") },
      {
        version: '3',
        name: 'c',
        up: 'CREATE VIRTUAL TABLE found USING fts5(body); CREATE VIEW names AS SELECT name FROM users',
      },
    ]
    const db = await window.open({ name, migrations })
    const none = await db.migrations.drift()
    await db.exec(`ALTER TABLE users ADD COLUMN age INTEGER; DROP INDEX by_name; CREATE TABLE extra (n);
      DROP VIEW names; CREATE VIEW names AS SELECT upper(name) AS name FROM users;
      CREATE TRIGGER watch AFTER INSERT ON users BEGIN SELECT 1; END`)
    const some = await db.migrations.drift()
    await db.close()
    return { none, some }
  })
  assert.deepEqual(result.none, { added: [], removed: [], changed: [] })
  const names = (list) => list.map(({ kind, name, table }) => [kind, name, table ?? null])
  assert.deepEqual(names(result.some.added), [
    ['column', 'age', 'users'],
    ['table', 'extra', null],
    ['trigger', 'watch', 'users'],
  ])
  assert.deepEqual(names(result.some.removed), [['index', 'by_name', 'users']])
  assert.deepEqual(names(result.some.changed), [['view', 'names', null]])
  assert.deepEqual(
    [result.some.added[0].actual, result.some.changed[0].expected],
    ['integer', 'CREATE VIEW names AS SELECT name FROM users'],
  )
})

test('drift runs migrations that are functions, in a database of their own', async () => {
  const result = await inPage(async (name) => {
    const ran = []
    const migrations = [
      {
        version: '1',
        name: 'tables',
        up: async (tx) => {
          // Other work comes between: what it does must land in the same database.
          await tx.run('CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE)')
          await new Promise((resolve) => setTimeout(resolve, 10))
          await tx.transaction(async (inner) =>
            inner.exec('CREATE INDEX by_name ON users (name); INSERT INTO users (name) VALUES (1)'),
          )
          ran.push((await tx.get('SELECT count(*) AS n FROM users')).n)
        },
      },
      { version: '2', name: 'view', up: 'CREATE VIEW names AS SELECT name FROM users' },
      {
        version: '3',
        name: 'rows',
        up: async (tx) => {
          for (const { name } of await tx.query('SELECT name FROM users'))
            await tx.exec(`CREATE TABLE of_${name} (body ANY)`)
          await tx.exec('CREATE VIRTUAL TABLE found USING fts5 (body)')
        },
      },
      { version: '4', name: 'later', up: async (tx) => tx.exec('CREATE TABLE later (n)') },
    ]
    const options = { name, migrations, migrate: false }
    const db = await window.open(options)
    await db.migrations.run({ to: '3' })
    await db.run("INSERT INTO users (name) VALUES ('theirs')")
    const drifting = db.migrations.drift()
    // What is called meanwhile concerns this database.
    await db.run("INSERT INTO users (name) VALUES ('meanwhile')")
    const none = await drifting
    await db.exec('DROP TABLE of_1; CREATE TABLE extra (n); DROP TABLE found')
    const some = await db.migrations.drift()
    const users = await db.get('SELECT group_concat(name) AS names FROM users')
    const gaveUp = await db.migrations.drift({ signal: AbortSignal.abort(new Error('enough')) }).catch(String)
    const late = await window.failure(() => db.migrations.drift({ timeoutMs: 1 }))
    await db.close()
    // One that doesn't run on an empty database.
    const broken = [
      ...migrations.slice(0, 2),
      { ...migrations[2], up: async (tx) => tx.run('CREATE TABLE of_it AS SELECT * FROM nowhere') },
    ]
    const other = await window.open({ ...options, migrations: broken })
    const failed = await window.failure(() => other.migrations.drift())
    const still = await other.query('SELECT version FROM schema_migrations')
    await other.close()
    const fewer = await window.open({ ...options, migrations: migrations.slice(0, 2) }).catch(({ code }) => code)
    return { ran, none, some, users, gaveUp, late: late.code, failed, still: still.length, fewer }
  })
  assert.deepEqual(result.none, { added: [], removed: [], changed: [] })
  const names = (list) => list.map(({ kind, name }) => [kind, name])
  assert.deepEqual(
    [names(result.some.added), names(result.some.removed), result.some.changed],
    [
      [['table', 'extra']],
      [
        ['table', 'of_1'],
        ['table', 'found'],
      ],
      [],
    ],
  )
  assert.deepEqual(result.users, { names: '1,theirs,meanwhile' })
  // Once when it was applied, and again for each drift that ran to its end: always on an empty database.
  assert.ok(result.ran.length >= 3 && result.ran.every((rows) => rows === 1))
  assert.deepEqual([result.gaveUp, result.late], ['Error: enough', 'timeout'])
  assert.equal(result.failed.code, 'migration_failed')
  assert.match(result.failed.message, /^In a scratch database: Migration 3 .*no such table: (main\.)?nowhere/)
  assert.deepEqual([result.failed.details.version, result.failed.details.scratch], ['3', true])
  assert.match(result.failed.cause, /nowhere/)
  assert.deepEqual([result.still, result.fewer], [3, 'schema_too_new'])
})

test('what generate gives is a migration, there and back', async () => {
  const result = await inPage(async (name) => {
    const one = {
      version: '1',
      name: 'one',
      up: `CREATE TABLE people (id INTEGER PRIMARY KEY AUTOINCREMENT, mail TEXT, old TEXT);
        CREATE TABLE posts (author REFERENCES people (id) ON DELETE CASCADE, title);
        CREATE VIEW mails AS SELECT mail FROM people;
        CREATE TRIGGER posted AFTER INSERT ON posts BEGIN UPDATE people SET old = 'x;y' WHERE id = NEW.author; END`,
    }
    const wanted = `
      CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL CHECK (email LIKE '%@%'));
      CREATE TABLE posts (author REFERENCES users (id) ON DELETE CASCADE, title TEXT NOT NULL DEFAULT '');
      CREATE UNIQUE INDEX by_email ON users (email);
      CREATE VIEW mails AS SELECT email FROM users;`
    const renames = { people: 'users', 'people.mail': 'users.email' }
    const db = await window.open({ name, migrations: [one] })
    await db.exec("INSERT INTO people (id, mail) VALUES (7, 'a@b'); INSERT INTO posts VALUES (7, 'first')")
    const generated = await db.migrations.generate(wanted, { renames })
    const refused = [
      await window.failure(db.migrations.generate('CREATE TABLE a (n);\nCREATE TABEL b (n)')),
      await window.failure(db.migrations.generate(wanted, { renames: { nobody: 'users' } })),
      await window.failure(db.migrations.generate(7)),
      await window.failure(db.migrations.generate(wanted, { renamed: {} })),
    ]
    await db.close()
    const two = { version: '2', name: 'two', up: generated.up, down: generated.down }
    const next = await window.open({ name, migrations: [one, two] })
    const same = await next.migrations.generate(wanted)
    const rows = [await next.query('SELECT * FROM users'), await next.query('SELECT * FROM posts')]
    const cascade = await window.failure(next.run('INSERT INTO posts (author) VALUES (99)'))
    await next.migrations.revert()
    const drift = await next.migrations.drift()
    const back = [await next.query('SELECT id, mail FROM people'), await next.query('SELECT * FROM posts')]
    await next.close()
    return { generated, refused, same, rows, cascade, drift, back }
  })
  assert.deepEqual(result.generated.destructive, [
    'the column users.old goes, with its values',
    "NULL in users.email becomes ''",
    "NULL in posts.title becomes ''",
  ])
  assert.match(result.generated.up, /ALTER TABLE people RENAME TO users;/)
  assert.match(result.generated.up, /-- destructive: the column users.old goes/)
  assert.deepEqual(
    result.refused.map((error) => [error.code, error.details.line]),
    [
      ['sqlite_error', 2],
      ['invalid_argument', undefined],
      ['invalid_argument', undefined],
      ['invalid_argument', undefined],
    ],
  )
  assert.deepEqual(result.same, { up: '', down: '', destructive: [] })
  assert.deepEqual(result.rows, [[{ id: 7, email: 'a@b' }], [{ author: 7, title: 'first' }]])
  assert.equal(result.cascade.details.sqliteCode, 'SQLITE_CONSTRAINT_FOREIGNKEY')
  assert.deepEqual(result.drift, { added: [], removed: [], changed: [] })
  assert.deepEqual(result.back, [[{ id: 7, mail: 'a@b' }], [{ author: 7, title: 'first' }]])
})

test('sync makes the schema the given one, while one tries things', async () => {
  const result = await inPage(async (name) => {
    const db = await window.open({ name })
    const first = await db.migrations.sync(
      'CREATE TABLE a (id INTEGER PRIMARY KEY, n); CREATE VIRTUAL TABLE f USING fts5(body)',
    )
    await db.exec("INSERT INTO a (n) VALUES ('1'), ('2'); INSERT INTO f VALUES ('some words')")
    const schema =
      'CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER NOT NULL); CREATE VIRTUAL TABLE f USING fts5(body)'
    await db.migrations.sync(schema)
    const again = await db.migrations.sync(schema)
    const failed = await window.failure(db.migrations.sync(`${schema}; CREATE UNIQUE INDEX one ON a (n > 0)`))
    const out = {
      first,
      again,
      failed,
      rows: await db.query('SELECT * FROM a'),
      found: await db.query("SELECT body FROM f WHERE f MATCH 'words'"),
      indexes: await db.query("SELECT name FROM sqlite_schema WHERE type = 'index'"),
      safety: (await db.snapshots.list()).filter((one) => one.reason === 'safety').length > 0,
    }
    await db.close()
    return out
  })
  assert.match(result.first.sql, /CREATE TABLE a/)
  assert.deepEqual(result.again, { sql: '', destructive: [] })
  assert.equal(result.failed.code, 'migration_failed')
  assert.deepEqual(result.rows, [
    { id: 1, n: 1 },
    { id: 2, n: 2 },
  ])
  assert.deepEqual([result.found, result.indexes, result.safety], [[{ body: 'some words' }], [], true])
})

test('lint remarks on what one may not have meant', async () => {
  const result = await inPage(async (name) => {
    const migrations = [
      { version: '1', name: 'a', up: 'CREATE TABLE a (n);\nPRAGMA foreign_keys = OFF;', down: 'DROP TABLE a' },
      { version: '2', name: 'b', up: 'ALTER TABLE a ADD COLUMN b TEXT NOT NULL;\n\nDELETE FROM a;\nDROP TABLE a' },
    ]
    const db = await window.open({ name, migrations, migrate: false })
    const remarks = await db.migrations.lint()
    await db.close()
    const bare = await window.open({ name: `${name}-bare` })
    const none = await window.failure(bare.migrations.lint())
    await bare.close()
    return { remarks, none }
  })
  assert.deepEqual(
    result.remarks.map(({ code, version, line }) => [code, version, line]),
    [
      ['pragma_without_effect', '1', 2],
      ['no_down', '2', 1],
      ['not_null_without_default', '2', 1],
      ['delete_without_where', '2', 3],
      ['drop_table', '2', 4],
    ],
  )
  assert.ok(result.remarks.every((remark) => remark.message.length > 10))
  assert.equal(result.none.code, 'invalid_argument')
})
