// The schema: drift from the migrations, generated scripts, and lint.
import assert from 'node:assert/strict'

const same = { added: [], removed: [], changed: [] }

export default {
  'drift reports manual changes of the schema': async ({ memory }) => {
    const up = `CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT); CREATE INDEX by_name ON users (name);
      CREATE VIRTUAL TABLE found USING fts5(body); CREATE VIEW names AS SELECT name FROM users`
    const db = await memory({ migrations: [{ version: '1', name: 'a', up }] })
    assert.deepEqual(await db.migrations.drift(), same)
    await db.exec(`ALTER TABLE users ADD COLUMN age INTEGER; DROP INDEX by_name; CREATE TABLE extra (n); DROP VIEW names;
      CREATE VIEW names AS SELECT upper(name) AS name FROM users;
      CREATE TRIGGER watch AFTER INSERT ON users BEGIN SELECT 1; END`)
    assert.deepEqual(await db.migrations.drift(), {
      added: [
        { kind: 'column', name: 'age', table: 'users', actual: 'integer' },
        { kind: 'table', name: 'extra', actual: 'CREATE TABLE extra (n)' },
        {
          kind: 'trigger',
          name: 'watch',
          table: 'users',
          actual: 'CREATE TRIGGER watch AFTER INSERT ON users BEGIN SELECT 1; END',
        },
      ],
      removed: [{ kind: 'index', name: 'by_name', table: 'users', expected: 'CREATE INDEX by_name ON users (name)' }],
      changed: [
        {
          kind: 'view',
          name: 'names',
          expected: 'CREATE VIEW names AS SELECT name FROM users',
          actual: 'CREATE VIEW names AS SELECT upper(name) AS name FROM users',
        },
      ],
    })
  },

  'drift runs migrations that are functions in a scratch database': async ({ memory, failure }) => {
    const counts = []
    let pauseMs = 0
    const migrations = [
      {
        version: '1',
        name: 'tables',
        up: async (tx) => {
          await tx.run('CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE)')
          // Other work runs between the statements; its statements must run in the same scratch database.
          await new Promise((resolve) => setTimeout(resolve, pauseMs))
          await tx.transaction((inner) => inner.exec("INSERT INTO users (name) VALUES ('1')"))
          counts.push((await tx.get('SELECT count(*) AS n FROM users')).n)
        },
      },
      { version: '2', name: 'view', up: 'CREATE VIEW names AS SELECT name FROM users' },
      {
        version: '3',
        name: 'rows',
        up: async (tx) => {
          for (const { name } of await tx.query('SELECT name FROM users')) await tx.exec(`CREATE TABLE of_${name} (n)`)
        },
      },
      { version: '4', name: 'later', up: async (tx) => tx.exec('CREATE TABLE later (n)') },
    ]
    const db = await memory({ migrations, migrate: false })
    await db.migrations.run({ to: '3' })
    await db.run("INSERT INTO users (name) VALUES ('theirs')")
    const drifting = db.migrations.drift()
    // Calls meanwhile run in the database itself.
    await db.run("INSERT INTO users (name) VALUES ('meanwhile')")
    assert.deepEqual(await drifting, same)
    await db.exec('DROP TABLE of_1; CREATE TABLE extra (n)')
    const { added, removed, changed } = await db.migrations.drift()
    assert.deepEqual(
      [added.map(({ name }) => name), removed.map(({ name }) => name), changed],
      [['extra'], ['of_1'], []],
    )
    assert.deepEqual(await db.get('SELECT group_concat(name) AS names FROM users'), { names: '1,theirs,meanwhile' })
    // Once when it was applied and once for each drift, always in an empty database.
    assert.deepEqual(counts, [1, 1, 1])
    const aborted = await failure(db.migrations.drift({ signal: AbortSignal.abort(new Error('enough')) }))
    assert.equal(aborted.notOurs, 'Error: enough')
    // Pause: no scratch database is ready within the timeout.
    pauseMs = 30
    assert.equal((await failure(db.migrations.drift({ timeoutMs: 10 }))).code, 'timeout')
  },

  'drift names the migration that does not run on an empty database': async ({ memory, failure }) => {
    const up = async (tx) => tx.run('CREATE TABLE copy AS SELECT * FROM seeded')
    const db = await memory({ migrations: [{ version: '1', name: 'copy', up }], migrate: false })
    await db.exec('CREATE TABLE seeded (n)')
    await db.migrations.run()
    const { code, message, details, cause } = await failure(db.migrations.drift())
    assert.deepEqual([code, details.version, details.scratch], ['migration_failed', '1', true])
    assert.match(message, /^In a scratch database: Migration 1 .*no such table: (main\.)?seeded/)
    assert.match(cause, /seeded/)
    assert.deepEqual(await db.query('SELECT version FROM schema_migrations'), [{ version: '1' }])
  },

  'the result of generate is a migration in both directions': async ({ open, failure }) => {
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
    const first = await open({ migrations: [one] })
    await first.exec("INSERT INTO people (id, mail) VALUES (7, 'a@b'); INSERT INTO posts VALUES (7, 'first')")
    const renames = { people: 'users', 'people.mail': 'users.email' }
    const { up, down, destructive } = await first.migrations.generate(wanted, { renames })
    assert.deepEqual(destructive, [
      'the column users.old is dropped, with its values',
      "NULL in users.email becomes ''",
      "NULL in posts.title becomes ''",
    ])
    assert.match(up, /ALTER TABLE people RENAME TO users;/)
    assert.match(up, /-- destructive: the column users.old is dropped/)
    const typo = await failure(first.migrations.generate('CREATE TABLE a (n);\nCREATE TABEL b (n)'))
    assert.deepEqual([typo.code, typo.details.line], ['sqlite_error', 2])
    for (const [schema, options] of [[wanted, { renames: { nobody: 'users' } }], [7], [wanted, { renamed: {} }]])
      assert.equal((await failure(first.migrations.generate(schema, options))).code, 'invalid_argument')
    await first.close()

    const db = await open({ name: first.name, migrations: [one, { version: '2', name: 'two', up, down }] })
    assert.deepEqual(await db.migrations.generate(wanted), { up: '', down: '', destructive: [] })
    const posts = [{ author: 7, title: 'first' }]
    assert.deepEqual(await db.query('SELECT * FROM users'), [{ id: 7, email: 'a@b' }])
    assert.deepEqual(await db.query('SELECT * FROM posts'), posts)
    const orphan = await failure(db.run('INSERT INTO posts (author) VALUES (99)'))
    assert.equal(orphan.details.sqliteCode, 'SQLITE_CONSTRAINT_FOREIGNKEY')
    await db.migrations.revert()
    assert.deepEqual(await db.migrations.drift(), same)
    assert.deepEqual(await db.query('SELECT id, mail FROM people'), [{ id: 7, mail: 'a@b' }])
    assert.deepEqual(await db.query('SELECT * FROM posts'), posts)
  },

  'sync changes the schema to the given one, for development': async ({ open, failure }) => {
    const db = await open()
    const words = 'CREATE VIRTUAL TABLE f USING fts5(body)'
    assert.match(
      (await db.migrations.sync(`CREATE TABLE a (id INTEGER PRIMARY KEY, n); ${words}`)).sql,
      /CREATE TABLE a/,
    )
    await db.exec("INSERT INTO a (n) VALUES ('1'), ('2'); INSERT INTO f VALUES ('some words')")
    const schema = `CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER NOT NULL); ${words}`
    await db.migrations.sync(schema)
    assert.deepEqual(await db.migrations.sync(schema), { sql: '', destructive: [] })
    const failed = await failure(db.migrations.sync(`${schema}; CREATE UNIQUE INDEX one ON a (n > 0)`))
    assert.equal(failed.code, 'migration_failed')
    assert.deepEqual(await db.query("SELECT name FROM sqlite_schema WHERE type = 'index'"), [])
    assert.deepEqual(await db.query('SELECT n FROM a'), [{ n: 1 }, { n: 2 }])
    assert.deepEqual(await db.query("SELECT body FROM f WHERE f MATCH 'words'"), [{ body: 'some words' }])
    assert.ok((await db.snapshots.list()).some(({ reason }) => reason === 'safety'))
  },

  'lint finds likely mistakes': async ({ memory, failure }) => {
    const migrations = [
      { version: '1', name: 'a', up: 'CREATE TABLE a (n);\nPRAGMA foreign_keys = OFF;', down: 'DROP TABLE a' },
      { version: '2', name: 'b', up: 'ALTER TABLE a ADD COLUMN b TEXT NOT NULL;\n\nDELETE FROM a;\nDROP TABLE a' },
    ]
    const remarks = await (await memory({ migrations, migrate: false })).migrations.lint()
    assert.deepEqual(
      remarks.map(({ code, version, line }) => [code, version, line]),
      [
        ['pragma_without_effect', '1', 2],
        ['no_down', '2', 1],
        ['not_null_without_default', '2', 1],
        ['delete_without_where', '2', 3],
        ['drop_table', '2', 4],
      ],
    )
    assert.ok(remarks.every(({ message }) => message.length > 10))
    assert.equal((await failure((await memory()).migrations.lint())).code, 'invalid_argument')
  },
}
