// The inputs and the expected results of each code block of README.md and docs/. A function runs its block at least twice; an object names
// the test that runs it instead, and the reason.
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { createClient } from '@supabase/supabase-js'
import { until } from '../../scenarios/run/context.mjs'
import { alice, bob, withSchema } from '../../scenarios/run/remote.mjs'

const notes = withSchema('CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)')
const inSubpathTest = (name) => ({
  elsewhere: `tests/integrations/${name}.test.mjs`,
  because: 'it imports more than the package',
})
const inRunbookTest = (because) => ({ elsewhere: 'tests/e2e/runbook.test.mjs', because })

const inQueryBuilderTest = {
  elsewhere: 'tests/integrations/query-builder-documents.test.mjs',
  because: 'its blocks follow each other, and import the query builder',
}

/** The result of `supabase.auth.getSession()` for a signed-in user. */
const signedIn = (access_token) => ({ auth: { getSession: async () => ({ data: { session: { access_token } } }) } })

/** A real client of supabase-js, in whose storage a session is. */
async function clientOf(remote, user) {
  const expires_at = Math.floor(Date.now() / 1000) + 3600
  const session = {
    access_token: await remote.jwt(user),
    refresh_token: 'r',
    token_type: 'bearer',
    expires_at,
    user: {},
  }
  const storage = { getItem: () => JSON.stringify(session), setItem() {}, removeItem() {} }
  return createClient(remote.url, remote.anonKey, { auth: { storage, autoRefreshToken: false } })
}

/** A `localStorage` with these entries. */
const storageOf = (entries) => ({
  getItem: (key) => entries[key] ?? null,
  removeItem(key) {
    delete entries[key]
  },
})

/** Runs an example twice in the same database. */
const twice = async (work) => {
  for (const round of [1, 2]) await work(round)
}

/** Opens a database with two tasks. */
async function tasksIn(open) {
  const db = await open({ storage: 'memory' })
  await db.exec(`CREATE TABLE tasks (id INTEGER PRIMARY KEY, title TEXT, done INTEGER DEFAULT 0);
    INSERT INTO tasks VALUES (1, 'a', 0), (2, 'b', 0)`)
  return db
}

/** Makes two notes on the remote → the options that sync them. */
async function remoteNotes({ remote }, columns = 'id bigint primary key, body text') {
  await remote.table('notes', columns)
  return { ...notes, remote: remote.options(['notes']) }
}

export const examples = {
  'README.md: tidelock': {
    elsewhere: 'tests/packaging/quickstart.test.mjs',
    because: 'the tarball is installed there',
  },

  async 'README.md: tidelock (2)'({ run, code, printed }) {
    const [, promised] = /console\.log\(.*\) \/\/ (.*)/.exec(code)
    await run()
    assert.deepEqual(printed(), [new Function(`return ${promised}`)()])
    await run()
    assert.deepEqual(printed(), [[{ id: 1, body: 'Buy tea!!' }]])
  },

  'README.md: Build it': {
    elsewhere: 'build.sh',
    because: 'they are the build, the demo and the tests themselves',
  },
  'README.md: Build it (2)': {
    elsewhere: 'tests/packaging/package.test.mjs',
    because: 'the tarball is packed and installed there',
  },

  async 'README.md: Twenty lines'({ run, code, printed }) {
    const [first] = [...code.matchAll(/console\.log\(.*?\) \/\/ (.*)/g)].map(([, promised]) => promised)
    await run()
    assert.deepEqual(printed(), [new Function(`return ${first}`)(), 'ok'])
    // The second time the database exists already and contains the tea.
    await run()
    assert.equal(printed()[0].length, 2)
  },

  async 'README.md: From the command line'({ runCommands, remote, folder, write }) {
    await remote.table(
      'orders',
      'id bigint primary key, item text, updated_at timestamptz default now()',
      "(1, 'tea'), (2, 'rye')",
    )
    write('.env', `SUPABASE_URL=${remote.url}\nSUPABASE_SECRET_KEY=${remote.secretKey}\n`)
    write('src/tables.ts', '')
    await twice(async (round) => {
      const [pulled, pushed, , , inspected] = await runCommands()
      assert.match(pulled, /orders/)
      assert.match(pushed, /orders/)
      assert.match(inspected, /orders/, `round ${round}, in ${folder}`)
    })
  },

  'docs/bundlers.md: esbuild': { elsewhere: 'tests/packaging/bundlers.test.mjs', because: 'it builds an app' },
  'docs/bundlers.md: Vite': { elsewhere: 'tests/packaging/bundlers.test.mjs', because: 'it builds an app' },
  'docs/bundlers.md: Rollup': { elsewhere: 'tests/bundlers/bundlers.test.mjs', because: 'it builds an app' },
  'docs/deployment.md: Offline': { elsewhere: 'tests/packaging/bundlers.test.mjs', because: 'it is a service worker' },
  'docs/bundlers.md: Deno': { elsewhere: 'tests/bundlers/runtimes.test.mjs', because: 'it needs Deno' },

  async 'docs/encryption.md: At rest'({ run, open }) {
    const { migrations } = notes
    const first = await open({ name: 'diary', migrations, encryption: { passphrase: 'secret 0' } })
    await first.close()
    await twice((round) =>
      run(
        { migrations, passphrase: `secret ${round - 1}`, nextPassphrase: `secret ${round}` },
        ['db'],
        async ({ db }) => {
          assert.equal((await db.query('SELECT body FROM notes')).length, round)
        },
      ),
    )
  },

  async 'docs/encryption.md: A secret that others may know'({ run, open }) {
    const { migrations } = notes
    await twice(async (round) => {
      const db = await open({ name: 'leaked', migrations, encryption: { passphrase: `secret ${round - 1}` } })
      await db.run("INSERT INTO notes (body) VALUES ('kept')")
      await run({ db, nextPassphrase: `secret ${round}` }, [], async () => {
        assert.equal((await db.query('SELECT body FROM notes')).length, round)
      })
      await db.close()
    })
  },

  async 'docs/encryption.md: Sensitive columns'({ run, remote }) {
    await remote.table('patients', 'id bigint primary key, note bytea')
    const given = {
      migrations: withSchema('CREATE TABLE patients (id INTEGER PRIMARY KEY, note BLOB)').migrations,
      remote: remote.options([{ table: 'patients', types: { note: 'bytea' } }]),
      passphrase: 'correct horse',
      userId: alice,
    }
    await twice(async () => {
      await run(given, ['db', 'note'], async ({ db, note }) => {
        assert.equal(note, 'allergic to nuts')
        await db.sync.run()
        const [{ n }] = await remote.sql('select length(note) as n from patients where id = 1')
        assert.equal(Number(n), 'allergic to nuts'.length + 33, 'the remote has the ciphertext')
        // Each run needs a new row for the example.
        await db.run('DELETE FROM patients')
        await db.sync.run()
      })
    })
  },

  async 'docs/encryption.md: The bytes'({ run, open }) {
    const key = { passphrase: 'correct horse', salt: 'battery staple' }
    const db = await open({ storage: 'memory', columnKey: key })
    await twice(() =>
      run(key, ['encrypt', 'decrypt'], async ({ encrypt, decrypt }) => {
        const [{ ours }] = await db.query("SELECT encrypt('née') AS ours")
        assert.equal(decrypt(Buffer.from(ours)), 'née')
        assert.deepEqual(await db.query('SELECT decrypt(?) AS text', [encrypt('née')]), [{ text: 'née' }])
      }),
    )
  },

  async 'docs/live.md: Live queries'({ run, open }) {
    const db = await tasksIn(open)
    await twice(async () => {
      const seen = []
      await run({ db, render: (rows) => seen.push(rows.length) }, ['live', 'stop'], async ({ stop }) => {
        await until(() => seen.length === 1)
        await db.run("INSERT INTO tasks VALUES (9, 'new', 0)")
        await until(() => seen.length === 2)
        await db.run('DELETE FROM tasks WHERE id = 9')
        await until(() => seen.length === 3)
        stop()
      })
      assert.deepEqual(seen, [2, 3, 2])
    })
  },

  async 'docs/live.md: Live queries (2)'({ run, open }) {
    const db = await tasksIn(open)
    await twice(async () => {
      const live = db.live('SELECT * FROM tasks')
      await run({
        live,
        render(rows) {
          assert.equal(rows.length, 2)
          live.close()
        },
      })
    })
  },

  async 'docs/live.md: What has changed'({ run, open }) {
    const db = await tasksIn(open)
    const calls = []
    const note = (name) => (one, other) => {
      calls.push([name, one.title ?? one, other.title ?? other])
      if (calls.length === 2) db.exec("UPDATE tasks SET title = 'z' WHERE title = 'a'")
      if (name === 'move') live.close()
    }
    const list = { insert: note('insert'), replace: note('replace'), move: note('move'), remove: assert.fail }
    let live
    await twice(async () => {
      await db.exec("UPDATE tasks SET title = 'a' WHERE title = 'z'")
      calls.length = 0
      live = db.live('SELECT id, title FROM tasks ORDER BY title')
      await run({ live, list })
      assert.deepEqual(calls, [
        ['insert', 'a', 0],
        ['insert', 'b', 1],
        ['replace', 'a', 'z'],
        ['move', 1, 0],
      ])
    })
  },

  async 'docs/live.md: A part of a long result'({ run, open }) {
    const db = await tasksIn(open)
    await db.exec(
      'WITH RECURSIVE k(i) AS (VALUES (10) UNION ALL SELECT i + 1 FROM k WHERE i < 32) INSERT INTO tasks(id) SELECT i FROM k',
    )
    await twice(async () => {
      const seen = []
      const next = {}
      await run({ db, next, render: (rows, total) => seen.push([rows.length, total]) }, ['page'], async ({ page }) => {
        await until(() => seen.length === 1)
        await next.onclick()
        page.close()
      })
      assert.deepEqual(seen, [
        [20, 25],
        [5, 25],
      ])
    })
  },

  async 'docs/live.md: The last known result, first'({ run, open, folder, tidelock }) {
    const name = 'tasks'
    const made = await open({ name })
    await made.exec("CREATE TABLE tasks (id INTEGER PRIMARY KEY, title TEXT); INSERT INTO tasks VALUES (1, 'a')")
    await made.close()
    const lastRows = (name, text) => tidelock.lastRows(name, text, [], { storage: 'file', path: `${folder}/${name}` })
    for (const least of [1, 2]) {
      const seen = []
      const given = { name, lastRows, render: (rows) => seen.push(rows.map((row) => row.title)) }
      await run(given, ['known'], async ({ known }) => {
        assert.deepEqual(known, least === 1 ? undefined : [{ id: 1, title: 'a' }])
        await until(() => seen.length >= least)
      })
      assert.ok(seen.every((titles) => titles.join() === 'a'))
    }
  },

  async 'docs/migrations.md: In CI'({ runCommands, open, folder, write }) {
    write('migrations/0001_notes.up.sql', 'CREATE TABLE notes (id INTEGER PRIMARY KEY)')
    write('migrations/0001_notes.down.sql', 'DROP TABLE notes')
    const released = await open({ storage: 'memory' })
    await writeFile(`${folder}/released.sqlite`, await released.export())
    await twice(async () => {
      const [linted, applied, verified, reverted] = await runCommands()
      assert.deepEqual([linted, verified], ['Nothing was found.\n', 'ok\n'])
      assert.match(applied, /0001 {2}notes/)
      assert.match(reverted, /0001 {2}notes/)
    })
  },

  ...Object.fromEntries(
    [
      ['From localStorage', ({ rows }) => ({ localStorage: storageOf({ notes: JSON.stringify(rows) }) })],
      ['From Dexie', ({ rows }) => ({ dexie: { table: () => ({ toArray: async () => rows }), async delete() {} } })],
      ['From sql.js', ({ bytes }) => ({ sqljs: { export: () => bytes, close() {} } })],
      [
        'From SQLocal',
        ({ bytes }) => ({ sqlocal: { getDatabaseFile: async () => new Blob([bytes]), async destroy() {} } }),
      ],
      ['From PGlite', ({ rows }) => ({ pglite: { query: async () => ({ rows }), async close() {} } })],
    ].map(([heading, given]) => [
      `docs/moving.md: ${heading}`,
      async ({ run, open }) => {
        const rows = [
          { id: 1, body: 'tea' },
          { id: 2, body: 'rye' },
        ]
        const other = await open({ storage: 'memory', ...notes })
        await other.runMany('INSERT INTO notes (id, body) VALUES (:id, :body)', rows)
        const bytes = await other.export()
        const db = await open({ name: 'notebook', ...notes })
        await twice(async () => {
          await run({ db, ...given({ rows, bytes }) })
          assert.deepEqual(await db.query('SELECT id, body FROM notes'), rows)
        })
      },
    ]),
  ),

  async 'docs/offline.md: An offline-first app'({ run, open, remote }) {
    const columns = 'id uuid primary key, title text, updated_at timestamptz default now(), deleted_at timestamptz'
    await remote.table('todos', columns)
    const { migrations } = withSchema(
      'CREATE TABLE todos (id TEXT PRIMARY KEY, title TEXT, updated_at TEXT, deleted_at TEXT)',
    )
    const supabase = await clientOf(remote, alice)
    await twice(async (round) => {
      const shown = []
      const given = {
        migrations,
        supabase,
        show: (state) => shown.push(state),
        // Tabs are a browser's.
        open: ({ tabs, ...options }) => open(options),
      }
      await run(given, ['db'], () =>
        until(async () => {
          const sent = await remote.sql('select id from todos')
          return sent.length === round && shown.some(({ waiting, refused }) => waiting === 0 && refused === 0)
        }),
      )
    })
  },

  async 'docs/operations.md: SQL functions and collations'({ run }) {
    await twice(() =>
      run({}, ['db'], async ({ db }) => {
        const row =
          await db.get(`SELECT slug('Rye & Fennel') AS slug, 'rye' REGEXP '^r' AS starts, 'ä' < 'b' COLLATE german AS sorted,
          (SELECT product(value) FROM (SELECT 2 AS value UNION SELECT 3)) AS product`)
        assert.deepEqual(row, { slug: 'rye-fennel', starts: 1, sorted: 1, product: 6 })
      }),
    )
  },

  async 'docs/runbook.md: Back up'({ run, open }) {
    const db = await open({ name: 'shop' })
    await twice(() =>
      run({ db, passphrase: 'correct horse', download() {} }, ['file'], ({ file }) =>
        assert.match(file.name, /^backup-.+\.sqlite\.gz\.enc$/),
      ),
    )
  },

  async 'docs/runbook.md: Restore'({ run, open, pause }) {
    const db = await open({ name: 'shop' })
    await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    await pause()
    const justBeforeTheMistake = new Date()
    await pause()
    await twice(async () => {
      await db.run('DELETE FROM t')
      await run({ db, justBeforeTheMistake })
      assert.deepEqual(await db.query('SELECT n FROM t'), [{ n: 1 }])
    })
  },

  async 'docs/runbook.md: Restore (2)'({ run, open }) {
    const db = await open({ name: 'shop' })
    await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    await db.snapshots.create({ label: 'before the audit' })
    await twice(async () => {
      await db.run('DELETE FROM t')
      await run({ db })
      assert.deepEqual(await db.query('SELECT n FROM t'), [{ n: 1 }])
    })
  },

  async 'docs/runbook.md: Restore (3)'({ run, open }) {
    const passphrase = 'correct horse'
    const db = await open({ name: 'shop' })
    await db.exec('CREATE TABLE t (n); INSERT INTO t VALUES (1)')
    const { id } = await db.snapshots.create()
    const file = await db.snapshots.export(id, { compress: true, encrypt: { passphrase } })
    const other = await open({ name: 'another' })
    await twice(async () => {
      await run({ db: other, file, passphrase })
      assert.deepEqual(await other.query('SELECT n FROM t'), [{ n: 1 }])
    })
  },

  async 'docs/runbook.md: Restore (4)'({ run, open, pause }) {
    const db = await open({ name: 'shop' })
    await db.exec('CREATE TABLE orders (id INTEGER PRIMARY KEY, total); INSERT INTO orders VALUES (7, 12), (8, 1)')
    await pause()
    const justBeforeTheMistake = new Date()
    await pause()
    await twice(async () => {
      await db.run('DELETE FROM orders')
      await run({ db, justBeforeTheMistake, id: 7 })
      assert.deepEqual(await db.query('SELECT * FROM orders'), [{ id: 7, total: 12 }])
    })
  },

  async 'docs/runbook.md: A migration failed'({ run }) {
    const first = { version: '1', name: 'first', up: 'CREATE TABLE t (n)' }
    const broken = { version: '2', name: 'second', up: 'ALTER TABLE nowhere ADD COLUMN m' }
    const reports = []
    const given = {
      name: 'shop',
      migrations: [first, broken],
      report: (version) => reports.push(version),
      work: (db) => db.run('INSERT INTO t VALUES (1)'),
    }
    await twice(() => run(given))
    assert.deepEqual(reports, ['2', '2'])
  },

  'docs/runbook.md: Another tab has the database open': inRunbookTest('it needs two tabs'),
  'docs/runbook.md: The disk is full': inRunbookTest('the browser’s storage is made to refuse'),
  'docs/runbook.md: The database is corrupt': inRunbookTest('what the browser stores is damaged'),

  async 'docs/runbook.md: From local to cloud, and back'({ run, open, remote }) {
    const { migrations, remote: option } = await remoteNotes({ remote })
    const name = 'notebook'
    await twice(async (round) => {
      const db = await open({ name, migrations })
      await db.run('INSERT INTO notes VALUES (?, ?)', [round, 'made here'])
      await run({ db, name, migrations, remote: option }, ['db'], async ({ db }) => {
        assert.deepEqual(await db.sync.pending(), [])
        assert.equal((await remote.sql('select from notes')).length, round)
      })
    })
  },

  async 'docs/command-line.md: Begin an app'({ runCommands }) {
    await twice(async (round) => {
      const [said] = await runCommands()
      assert.match(said, round === 1 ? /wrote migrations\/0001_notes\.sql/ : /kept {2}migrations/)
    })
  },

  async 'docs/command-line.md: Commands'({ runCommands, open, folder }) {
    const db = await open({ storage: 'memory' })
    await db.exec('CREATE TABLE orders (id INTEGER PRIMARY KEY)')
    await writeFile(`${folder}/app.sqlite`, await db.export())
    await twice(async () => {
      const [made, , planned, inspected, verified, types] = await runCommands()
      assert.match(made, /_add_notes\.up\.sql/)
      assert.match(planned, /add_notes {2}would be applied/)
      assert.match(inspected, /orders: 0 rows/)
      assert.deepEqual([verified, types], ['ok\n', 'tables.ts\n'])
    })
  },

  'docs/durability.md: Move a database to another storage': {
    elsewhere: 'tests/e2e/readme.test.mjs',
    because: 'only browsers have two storages',
  },

  async 'docs/errors.md: Errors'({ run, open }) {
    const db = await open({ name: 'shop' })
    await db.exec('CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT)')
    const shown = []
    await twice(() => run({ db, show: (text) => shown.push(text) }))
    assert.deepEqual(shown, ['This number is taken'])
  },

  ...Object.fromEntries(
    [
      ...['Vite', 'React', 'Next', 'Vue', 'Svelte', 'Node'].map(
        (app) => `start-${app.toLowerCase()}.md: Start with ${app}`,
      ),
      'start-browser.md: Start without a bundler',
      ...[
        'start-vite.md: Start with Vite (2)',
        'start-vite.md: Start with Vite (3)',
        'start-react.md: Start with React (2)',
        'start-node.md: Start with Node (2)',
      ],
    ].map((id) => [
      `docs/${id}`,
      { elsewhere: 'tests/packaging/quickstart.test.mjs', because: 'it needs the installed package' },
    ]),
  ),

  async 'docs/supabase.md: Pull a project'({ runCommands, remote, write }) {
    await remote.table('notes', 'id bigint primary key, body text', "(1, 'one'), (2, 'two')")
    write('.env', `SUPABASE_URL=${remote.url}\nSUPABASE_SECRET_KEY=${remote.secretKey}\n`)
    await twice(async () => {
      const [pulled, inspected, migration] = await runCommands()
      assert.match(pulled, /^notes: /m)
      assert.match(inspected, /notes: 2 rows/)
      assert.match(migration, /^migrations\/\d{14}_remote\.sql$/m)
    })
  },

  async 'docs/supabase.md: Pull a project (2)'({ run, remote, printed }) {
    await remote.table('notes', 'id bigint primary key, body text', "(1, 'one'), (2, 'two')")
    const files = { '0001_notes.sql': 'CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)' }
    await run({ files })
    assert.deepEqual(printed(), [2])
    await remote.sql("insert into notes values (3, 'three')")
    await run({ files })
    assert.deepEqual(printed(), [1])
  },

  async 'docs/runbook.md: Merge two databases'({ run, open, deleteFolder }) {
    const schema = 'CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, title TEXT)'
    const db = await open({ name: 'kept' })
    await db.exec(schema)
    await twice(async (round) => {
      const other = await open({ name: 'other' })
      await other.exec(`${schema}; INSERT INTO items VALUES (1, 'in both'), (${round + 1}, 'in one')`)
      await other.close()
      await run({ db, otherName: 'other', deleteDatabase: deleteFolder })
      assert.equal((await db.query('SELECT id FROM items')).length, round + 1)
    })
  },

  async 'docs/runbook.md: Rebuild a data database from its source'({ run, open, remote }) {
    const options = await remoteNotes({ remote })
    await remote.sql("insert into notes values (1, 'cloud'), (2, 'cloud')")
    options.remote.tables = [{ table: 'notes', direction: 'pull' }]
    const db = await open({ name: 'data', ...options })
    await db.sync.pull()
    await twice(async (round) => {
      await db.run('INSERT INTO notes VALUES (9, ?)', [`stray ${round}`])
      await run({ db })
      assert.deepEqual(await db.query('SELECT id FROM notes'), [{ id: 1 }, { id: 2 }])
    })
  },

  async 'docs/runbook.md: Rebuild a data database from its source (2)'({ run, open }) {
    const source = await open({ storage: 'memory' })
    await source.exec('CREATE TABLE words (word); INSERT INTO words VALUES (1)')
    const seedUrl = URL.createObjectURL(new Blob([await source.export()]))
    const db = await open({ name: 'data' })
    await twice(async () => {
      await run({ db, seedUrl })
      assert.deepEqual(await db.query('SELECT * FROM words'), [{ word: 1 }])
      await db.run('DELETE FROM words')
    })
    URL.revokeObjectURL(seedUrl)
  },

  async 'docs/runbook.md: Replace a column key'({ run, open, remote }) {
    await remote.table('notes', 'id bigint primary key, body bytea')
    const [oldKey, newKey] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
    const options = {
      name: 'notebook',
      ...withSchema('CREATE TABLE notes (id INTEGER PRIMARY KEY, body BLOB)'),
      remote: remote.options([{ table: 'notes', types: { body: 'bytea' } }]),
    }
    const before = await open({ ...options, columnKey: oldKey })
    await before.exec("INSERT INTO notes VALUES (1, encrypt('one'))")
    await before.close()
    const db = await open({ ...options, columnKey: [newKey, oldKey] })
    const stored = () => remote.sql('select body from notes')
    await run({ db })
    const first = await stored()
    await run({ db })
    assert.deepEqual(await stored(), first, 'nothing is encrypted twice')
    await db.close()
    const after = await open({ ...options, columnKey: newKey })
    assert.deepEqual(await after.query('SELECT decrypt(body) AS body FROM notes'), [{ body: 'one' }])
  },

  async 'docs/runbook.md: Move to another database'({ run, open }) {
    const db = await open({ name: 'notebook', ...notes })
    await db.run("INSERT INTO notes VALUES (1, 'it''s')")
    await twice(() =>
      run({ db }, ['sql'], async ({ sql }) => {
        const read = await open({ storage: 'memory' })
        await read.exec(sql)
        assert.deepEqual(await read.query('SELECT body FROM notes'), [{ body: "it's" }])
      }),
    )
  },

  async 'docs/runbook.md: Move to another database (2)'({ run, open, remote }) {
    const local = await open({ name: 'notebook', ...notes })
    await local.run("INSERT INTO notes VALUES (1, 'one'), (2, 'two')")
    await local.close()
    const db = await open({ name: 'notebook', ...(await remoteNotes({ remote })) })
    await twice((round) =>
      run({ db }, ['tables', 'refused'], async ({ tables, refused }) => {
        assert.deepEqual([tables[0]?.inserted ?? 0, refused], [round === 1 ? 2 : 0, []])
        assert.equal((await remote.sql('select from notes')).length, 2)
      }),
    )
  },

  async 'docs/supabase.md: The helpers: SQL to run once'({ run, printed, remote }) {
    await remote.table('orders', 'id bigint primary key')
    await remote.table('order_lines', 'id bigint primary key')
    await twice(async () => {
      await run()
      await remote.sql(printed()[0])
    })
    const [{ count }] = await remote.sql("select count(*) from pg_trigger where tgname = 'zz_tidelock_stamp'")
    assert.equal(Number(count), 2)
  },

  async 'docs/supabase.md: A supabase-js client'({ run, remote }) {
    await remote.table('orders', 'id bigint primary key, item text', "(1, 'tea')")
    const { migrations } = withSchema('CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT)')
    const supabase = await clientOf(remote, alice)
    await twice((round) =>
      run({ migrations, supabase }, ['db'], async ({ db }) => {
        await db.sync.ready
        await db.run('INSERT INTO orders VALUES (?, ?)', [1 + round, 'rye'])
        await until(async () => (await remote.sql('select id from orders')).length === 1 + round)
      }),
    )
  },

  async 'docs/supabase.md: One database for each user'({ run, tidelock, printed, remote }) {
    await remote.table('orders', 'id bigint primary key, item text')
    const { migrations } = withSchema('CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT)')
    for (const user of [alice, bob]) {
      const open = (options) => tidelock.open({ ...options, storage: 'memory' })
      await run({ migrations, supabase: await clientOf(remote, user), open }, ['db'], ({ db }) => db.close())
    }
    assert.deepEqual(printed(), [`shop/${alice}`, `shop/${bob}`])
  },

  async 'docs/supabase.md: Rows that change with the app'({ run, remote }) {
    const columns = 'id bigint primary key, project_id int, updated_at timestamptz default now()'
    await remote.table('tasks', columns, '(1, 1), (2, 1), (3, 2)')
    const { migrations } = withSchema(
      'CREATE TABLE tasks (id INTEGER PRIMARY KEY, project_id INTEGER, updated_at TEXT)',
    )
    const supabase = await clientOf(remote, alice)
    await twice(() =>
      run({ migrations, supabase }, ['db'], async ({ db }) => {
        assert.deepEqual(await db.query('SELECT id FROM tasks'), [{ id: 3 }])
        assert.deepEqual(await db.sync.pending(), [])
      }),
    )
  },

  async 'docs/supabase.md: One transaction'({ run, tidelock, remote, supabaseClient }) {
    await remote.table('orders', 'id bigint primary key, total numeric')
    await remote.table(
      'stock',
      'sku text primary key, n int, updated_at timestamptz',
      "('tea', 5, '2026-11-20T10:00:00+00:00')",
    )
    await remote.table('carts', 'id bigint primary key', '(3)')
    await remote.sql(tidelock.sqlHelpers({ tables: ['orders', 'stock', 'carts'] }))
    const supabase = supabaseClient(await remote.jwt(alice))
    await twice((round) =>
      run({ supabase, deviceId: 'device' }, ['data'], ({ data }) =>
        round === 1
          ? assert.deepEqual([data.applied, data.results.length], [true, 3])
          : assert.deepEqual([data.applied, data.failed, data.results[0].status], [false, 0, 'conflict']),
      ),
    )
  },

  async 'docs/supabase.md: The local tables'({ run, open, remote }) {
    await remote.table('orders', 'id bigint primary key, total numeric')
    await remote.table('order_lines', 'id bigint primary key, order_id bigint references orders')
    await twice(() =>
      run({ url: remote.url, key: remote.secretKey }, ['migration'], async ({ migration }) => {
        const db = await open({ storage: 'memory', migrations: [migration] })
        await db.exec("INSERT INTO orders VALUES (1, '12.50'); INSERT INTO order_lines VALUES (1, 1)")
      }),
    )
  },

  async 'docs/sync.md: Sync'({ run, remote }) {
    await remote.table(
      'orders',
      'id int primary key, item text, updated_at timestamptz default clock_timestamp()',
      "(1, 'tea'), (2, 'rye'), (3, 'oca')",
    )
    await remote.table('countries', 'code text primary key, name text', "('PT', 'Portugal')")
    const given = {
      ...withSchema(`CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT, updated_at TEXT);
        CREATE TABLE countries (code TEXT PRIMARY KEY, name TEXT)`),
      supabase: signedIn(await remote.jwt(alice)),
    }
    // Opens the database again each time, after a local change and a remote deletion.
    for (const round of [1, 2, 3])
      await run(given, ['db'], async ({ db }) => {
        assert.equal((await db.query('SELECT id FROM orders')).length, 4 - round)
        assert.equal((await db.query('SELECT code FROM countries')).length, 1)
        assert.deepEqual(await db.sync.pending(), [])
        const items = await remote.sql("select id from orders where item like 'changed%'")
        assert.equal(items.length, Math.min(round - 1, 1))
        await db.run('UPDATE orders SET item = ? WHERE id = 3', [`changed ${round}`])
        await remote.sql(`delete from orders where id = ${round}`)
      })
  },

  async 'docs/tabs.md: Several calls of `open` in one page'({ run }) {
    await twice(async (round) => {
      const [opened, cleanUps] = [[], []]
      // As in StrictMode: the effect runs, is cleaned up, and runs again.
      const runEffect = (effect) => {
        effect()()
        cleanUps.push(effect())
      }
      const { migrations } = notes
      await run({ migrations, useEffect: runEffect, setDatabase: (db) => opened.push(db) }, [], async () => {
        const [first, second] = await until(() => opened.length === 2 && opened)
        await until(() => first.closed)
        await second.run('INSERT INTO notes (body) VALUES (?)', ['kept'])
        assert.equal((await second.query('SELECT * FROM notes')).length, round)
        cleanUps[0]()
        await until(() => second.closed)
      })
    })
  },

  'docs/tabs.md: Several tabs, one database': {
    elsewhere: 'tests/e2e/readme.test.mjs',
    because: 'only what a browser stores can be shared by tabs',
  },

  'docs/start-vue.md: Start with Vue (2)': {
    elsewhere: 'tests/integrations/components.test.mjs',
    because: 'it is the start of an app in a page',
  },
  'docs/tanstack-db.md: TanStack DB': { elsewhere: 'npm', because: 'it installs a framework' },
  'docs/tanstack-db.md: A collection over a table': inSubpathTest('tanstack-db'),
  'docs/tanstack-db.md: Booleans, dates and JSON': inSubpathTest('tanstack-db'),
  'docs/tanstack-db.md: A collection over a query': inSubpathTest('tanstack-db'),
  'docs/tanstack-db.md: Several collections in one transaction': inSubpathTest('tanstack-db'),

  'docs/inspector.md: The inspector': inSubpathTest('inspector'),
  'docs/testing.md: Vitest in Node, jsdom and happy-dom': inSubpathTest('vitest'),
  'docs/testing.md: Vitest in Node, jsdom and happy-dom (2)': inSubpathTest('vitest'),
  'docs/testing.md: Vitest in a browser': inSubpathTest('vitest'),
  'docs/testing.md: Vitest in a browser (2)': inSubpathTest('vitest'),
  'docs/testing.md: A remote in memory': inSubpathTest('vitest'),
  'docs/testing.md: A clock': inSubpathTest('vitest'),
  'docs/testing.md: A storage that fails': inSubpathTest('vitest'),

  'docs/kysely.md: Query': inQueryBuilderTest,
  'docs/kysely.md: Transactions': inQueryBuilderTest,
  'docs/kysely.md: Live results': inQueryBuilderTest,
  'docs/kysely.md: Migrations': inQueryBuilderTest,
  'docs/drizzle.md: Query': inQueryBuilderTest,
  'docs/drizzle.md: Query (2)': inQueryBuilderTest,
  'docs/drizzle.md: Transactions': inQueryBuilderTest,
  'docs/drizzle.md: Live results': inQueryBuilderTest,
  'docs/drizzle.md: Migrations': inQueryBuilderTest,
  'docs/drizzle.md: Migrations (2)': inQueryBuilderTest,
}
