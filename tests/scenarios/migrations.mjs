// Migrations: order, checksums, failures, reverting, and starting over.
import assert from 'node:assert/strict'
import { having } from './run/having.mjs'

async function sha256(text) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Returns a migration that makes the table `t<version>`. */
const table = (version, more) => ({ version, name: 'm', up: `CREATE TABLE t${version} (n)`, ...more })
const names = async (db, pattern) =>
  (await db.query('SELECT name FROM sqlite_schema WHERE name GLOB ? ORDER BY name', [pattern])).map(({ name }) => name)
const tables = async (db) => (await names(db, 't[0-9]')).join(' ')
const states = async (db) => (await db.migrations.status()).map(({ state }) => state).join(' ')
const numbers = async (db, name) => (await db.query(`SELECT n FROM ${name}`)).map(({ n }) => n)

export default {
  'versions are ordered by their numbers, tracked, and not run again': async ({ open }) => {
    const one = 'CREATE TABLE log (s TEXT)'
    const two = "INSERT INTO log VALUES ('2');\r\nINSERT INTO log VALUES ('2b')"
    const migrations = [
      { version: '10', name: 'ten', up: "INSERT INTO log VALUES ('10')" },
      { version: '2', name: 'two', up: two, down: "DELETE FROM log WHERE s LIKE '2%'" },
      { version: '1', name: 'one', up: one },
    ]
    const first = await open({ migrations })
    const status = await first.migrations.status()
    assert.deepEqual(
      status.map((row) => [row.version, row.name, row.state, row.reversible]),
      [
        ['1', 'one', 'applied', false],
        ['2', 'two', 'applied', true],
        ['10', 'ten', 'applied', false],
      ],
    )
    assert.equal(status[1].checksum, await sha256(two.replace('\r\n', '\n')))
    assert.ok(status.every((row) => row.appliedAt.endsWith('Z') && row.executionMs >= 0))
    await first.close()
    const db = await open({ name: first.name, migrations })
    assert.deepEqual(await db.query('SELECT s FROM log'), [{ s: '2' }, { s: '2b' }, { s: '10' }])
    const tracked = await db.query('SELECT * FROM schema_migrations')
    assert.deepEqual(Object.keys(tracked[0]), ['version', 'name', 'checksum', 'applied_at', 'execution_ms'])
    assert.deepEqual(tracked.map(({ version }) => version).sort(), ['1', '10', '2'])
    assert.equal(tracked.find(({ version }) => version === '1').checksum, await sha256(one))
    assert.deepEqual((await db.health()).migrations, { current: '10', pending: 0, modified: 0 })
  },

  'a function that catches an error which rolled back its migration is named as the cause, and nothing of it stays':
    async (t) => {
      const fails = `CREATE TRIGGER stops BEFORE INSERT ON t1 BEGIN SELECT raise(ROLLBACK, 'no'); END`
      const up = async (tx) => {
        await tx.exec('CREATE TABLE t2 (n)')
        await tx.run('INSERT INTO t1 VALUES (1)').catch(() => {})
      }
      const db = await t.memory({ migrations: [table('1'), table('2', { up })], migrate: false })
      await db.migrations.run({ to: '1' })
      await db.exec(fails)
      const { code, message, hint } = await t.failure(db.migrations.run())
      assert.equal(code, 'migration_failed')
      assert.match(message, /rolled back its transaction, and the function caught the error/)
      assert.match(hint, /RAISE\(ROLLBACK\)/)
      assert.equal(await tables(db), 't1')
    },

  'with dev: true, a history that does not fit resets the database, after a snapshot': async (t) => {
    const seed = await t.memory()
    await seed.exec('CREATE TABLE seeded (n); INSERT INTO seeded VALUES (7)')
    const histories = {
      migration_checksum_mismatch: [table('1'), { ...table('2'), up: 'CREATE TABLE t5 (n)' }],
      migration_missing: [table('1'), table('3')],
      schema_too_new: [table('1')],
      migration_out_of_order: [table('1'), table('1.5', { up: 'CREATE TABLE t6 (n)' }), table('2')],
    }
    const after = { migration_checksum_mismatch: 't1 t5', migration_missing: 't1 t3', schema_too_new: 't1' }
    for (const [code, migrations] of Object.entries(histories)) {
      const first = await t.open({ migrations: [table('1'), table('2')] })
      await first.exec('INSERT INTO t1 VALUES (5)')
      await first.close()
      const given = { name: first.name, migrations }
      const refused = await t.failure(t.open(given))
      assert.equal(refused.code, code)
      assert.match(refused.hint, /dev: true.*deleteDatabase\(name\)/)
      t.warnings.length = 0
      // Both calls share the engine that is reset.
      const [db, other] = await Promise.all([t.open({ ...given, dev: true }), t.open({ ...given, dev: true })])
      assert.equal(await tables(db), after[code] ?? 't1 t2 t6')
      assert.deepEqual(await numbers(other, 't1'), [])
      assert.deepEqual(
        t.warnings.map((warning) => warning.code),
        [code],
      )
      const [{ id, reason }] = await db.snapshots.list()
      assert.equal(reason, 'safety')
      await Promise.all([db.close(), other.close()])
      const kept = await t.open({ name: first.name })
      await kept.snapshots.restore(id)
      assert.deepEqual(await numbers(kept, 't1'), [5])
      await kept.close()
      // From the seed, with migrations that are functions.
      const up = async (tx) => tx.exec('CREATE TABLE t8 (n); INSERT INTO t8 SELECT n FROM seeded')
      const anew = { ...given, migrations: [table('8', { up })], dev: true, seed: await seed.export() }
      const seeded = await t.open(anew)
      assert.deepEqual(await numbers(seeded, 't8'), [7])
      await seeded.close()
      t.warnings.length = 0
      await (await t.open(anew)).close()
      assert.deepEqual(t.warnings, [])
    }
  },

  'with dev: true, a migration that fails leaves the database as it was; a public page refuses dev': async (t) => {
    const first = await t.open({ migrations: [table('1')] })
    await first.exec('INSERT INTO t1 VALUES (5)')
    await first.close()
    const edited = { name: first.name, migrations: [table('1', { up: 'nonsense' })], dev: true }
    assert.equal((await t.failure(t.open(edited))).code, 'migration_failed')
    const db = await t.open({ name: first.name, migrations: [table('1')], dev: true })
    assert.deepEqual(await numbers(db, 't1'), [5])
    assert.deepEqual(await db.snapshots.list(), [])
    assert.equal((await t.failure(t.memory({ dev: 'yes' }))).code, 'invalid_argument')
  },

  'a program for users refuses dev: true': {
    only: ['node'],
    because: 'a bundler decides it in pages',
    run: async ({ memory, failure }) => {
      const { NODE_ENV } = process.env
      try {
        process.env.NODE_ENV = 'production'
        const { code, details } = await failure(memory({ dev: true }))
        assert.deepEqual([code, details.option], ['invalid_argument', 'dev'])
        delete process.env.NODE_ENV
        const at = (hostname) =>
          having(globalThis, 'location', { hostname, href: `https://${hostname}/` }, () =>
            failure(memory({ dev: true })),
          )
        assert.equal((await at('shop.example')).code, 'invalid_argument')
        for (const hostname of ['localhost', 'shop.localhost', '127.0.0.1', '[::1]'])
          assert.ok((await at(hostname)).resolved, hostname)
      } finally {
        if (NODE_ENV === undefined) delete process.env.NODE_ENV
        else process.env.NODE_ENV = NODE_ENV
      }
    },
  },

  'line ends do not count, any other change does': async ({ open, failure, freshName }) => {
    const name = freshName()
    const opening = (up, more) => open({ name, migrations: [{ version: '1', name: 'm', up }], ...more })
    await (await opening('CREATE TABLE t (\n  n\n)')).close()
    await (await opening('CREATE TABLE t (\r\n  n\r\n)')).close()
    for (const migrate of [true, false]) {
      const changed = await failure(opening('CREATE TABLE t (\n  m\n)', { migrate }))
      assert.deepEqual([changed.code, changed.details.version], ['migration_checksum_mismatch', '1'])
      assert.ok(changed.hint)
    }
    await opening('CREATE TABLE t (\n  n\n)')
  },

  'missing migrations, schemas newer than the app, and pending ones older than the newest applied are told apart':
    async (t) => {
      const { open, failure } = t
      const [one, two, three, four] = ['1', '2', '3', '4'].map((version) => table(version))
      const first = await open({ migrations: [one, three, four] })
      await first.close()
      const { name } = first
      const refused = async (migrations) => {
        const { code, details } = await failure(open({ name, migrations }))
        return [code, details.version]
      }
      assert.deepEqual(await refused([one, four]), ['migration_missing', '3'])
      assert.deepEqual(await refused([one, three]), ['schema_too_new', '4'])
      assert.deepEqual(await refused([one, two, three, four]), ['migration_out_of_order', '2'])
      await (await open({ name })).close()
      const db = await open({ name, migrations: [one, two, three, four], outOfOrder: 'apply' })
      assert.equal(await states(db), 'applied applied applied applied')
    },

  'a failed migration leaves nothing, and its error has version, statement and line': async ({
    open,
    failure,
    freshName,
  }) => {
    const name = freshName()
    const good = { version: '1', name: 'good', up: 'CREATE TABLE t1 (n)' }
    const bad = {
      version: '2',
      name: 'bad',
      up: 'CREATE TABLE t2 (n);\nINSERT INTO t1 VALUES (1);\n-- a comment; with a semicolon\nINSERT INTO nowhere\n  VALUES (1);\nSELECT 1',
    }
    for (const transaction of [true, false]) {
      const failed = await failure(open({ name, migrations: [good, { ...bad, transaction }] }))
      assert.equal(failed.code, 'migration_failed')
      assert.deepEqual([failed.details.version, failed.details.line], ['2', 4])
      assert.match(failed.details.statement, /^INSERT INTO nowhere/)
      assert.match(failed.message, /nowhere/)
      const db = await open({ name, migrations: [good] })
      assert.deepEqual([await tables(db), await numbers(db, 't1'), await states(db)], ['t1', [], 'applied'])
      await db.close()
    }
  },

  'functions migrate too, in their transaction, and roll back when they throw': async ({ open, failure }) => {
    const base = {
      version: '1',
      name: 'base',
      up: async (tx) => {
        await tx.exec('CREATE TABLE people (full TEXT, first TEXT)')
        await tx.runMany('INSERT INTO people (full) VALUES (?)', [['Ada Okafor'], ['Zoë Moreau']])
      },
      down: async (tx) => tx.exec('DROP TABLE people'),
    }
    const split = {
      version: '2',
      name: 'split',
      up: async (tx) => {
        for (const { full } of await tx.query('SELECT full FROM people'))
          await tx.run('UPDATE people SET first = ? WHERE full = ?', [full.split(' ')[0], full])
      },
      down: async (tx) => tx.run('UPDATE people SET first = NULL'),
    }
    const throws = async (tx) => {
      await tx.run('DELETE FROM people')
      throw new RangeError('mine')
    }
    const first = await open({ migrations: [base, split] })
    await first.close()
    const { name } = first
    const thrown = await failure(open({ name, migrations: [base, split, { version: '3', name: 'c', up: throws }] }))
    assert.equal(thrown.code, 'migration_failed')
    assert.match(thrown.cause, /mine/)
    const db = await open({ name, migrations: [base, split] })
    assert.deepEqual(await db.query('SELECT first FROM people'), [{ first: 'Ada' }, { first: 'Zoë' }])
    await db.migrations.revert({ to: '1' })
    assert.deepEqual(await db.query('SELECT first FROM people'), [{ first: null }, { first: null }])
  },

  'migrate: false runs nothing; run takes steps and to, and a dry run shows the scripts': async ({
    memory,
    failure,
  }) => {
    const code = async (tx) => tx.exec('CREATE TABLE t3 (n)')
    const db = await memory({
      migrations: [table('1'), table('2'), table('3', { up: code }), table('4')],
      migrate: false,
    })
    const dry = await db.migrations.run({ dryRun: true })
    assert.deepEqual(
      dry.planned.map(({ version, direction, sql }) => [version, direction, sql]),
      [
        ['1', 'up', 'CREATE TABLE t1 (n)'],
        ['2', 'up', 'CREATE TABLE t2 (n)'],
        ['3', 'up', null],
        ['4', 'up', 'CREATE TABLE t4 (n)'],
      ],
    )
    assert.deepEqual([dry.applied, await states(db), await tables(db)], [[], 'pending pending pending pending', ''])
    await db.migrations.run({ steps: 1 })
    assert.equal(await states(db), 'applied pending pending pending')
    const { applied } = await db.migrations.run({ to: '3' })
    assert.deepEqual(
      applied.map(({ version }) => version),
      ['2', '3'],
    )
    assert.equal(await states(db), 'applied applied applied pending')
    assert.equal((await failure(db.migrations.run({ to: '9' }))).code, 'invalid_argument')
    await db.migrations.run()
    assert.deepEqual([await states(db), await tables(db)], ['applied applied applied applied', 't1 t2 t3 t4'])
  },

  "atomic: 'all' runs all in one transaction or none": async ({ memory, failure }) => {
    const code = async (tx) => tx.exec('CREATE TABLE t2 (n); INSERT INTO t2 VALUES (1)')
    const broken = table('3', { up: 'CREATE TABLE t3 (n);\nINSERT INTO nowhere VALUES (1)' })
    const db = await memory({ migrate: false, migrations: [table('1'), table('2', { up: code }), broken] })
    const { code: failed, details } = await failure(db.migrations.run({ atomic: 'all' }))
    assert.deepEqual([failed, details.version, details.line], ['migration_failed', '3', 2])
    assert.match(details.statement, /nowhere/)
    assert.deepEqual(await names(db, '*'), [])
    await db.migrations.run({ atomic: 'all', to: '2' })
    assert.deepEqual([await tables(db), await states(db)], ['t1 t2', 'applied applied pending'])
    assert.deepEqual(await numbers(db, 't2'), [1])
  },

  'revert runs down, by steps or to a version; without down it is irreversible': async ({ memory, failure }) => {
    const down = (version) => ({ down: `DROP TABLE t${version}` })
    const db = await memory({ migrations: [table('1'), table('2', down('2')), table('3', down('3'))] })
    const dry = await db.migrations.revert({ dryRun: true })
    assert.deepEqual(
      dry.planned.map(({ version, direction, sql }) => [version, direction, sql]),
      [['3', 'down', 'DROP TABLE t3']],
    )
    assert.equal(await tables(db), 't1 t2 t3')
    await db.migrations.revert()
    assert.equal(await tables(db), 't1 t2')
    await db.migrations.run()
    await db.migrations.revert({ to: '1' })
    assert.deepEqual([await tables(db), await states(db)], ['t1', 'applied pending pending'])
    const { code, details } = await failure(db.migrations.revert())
    assert.deepEqual([code, details.version], ['migration_irreversible', '1'])
    assert.equal(await tables(db), 't1')
  },

  'baseline marks without running, by call and by option': async ({ open, failure }) => {
    const migrations = [table('1'), table('2'), table('3')]
    const seeded = async () => {
      const db = await open()
      await db.exec('CREATE TABLE t1 (n); CREATE TABLE t2 (n)')
      await db.close()
      return db.name
    }
    const name = await seeded()
    assert.equal((await failure(open({ name, migrations }))).code, 'migration_failed')
    const byCall = await open({ name, migrations, migrate: false })
    await byCall.migrations.baseline('2')
    assert.equal(await states(byCall), 'applied applied pending')
    const byOption = await open({ name: await seeded(), migrations, baseline: '2' })
    assert.deepEqual([await states(byOption), await tables(byOption)], ['applied applied applied', 't1 t2 t3'])
  },

  'a snapshot is taken before data is migrated, and not before an empty database is': async ({ open }) => {
    const first = await open({ migrations: [table('1')] })
    await first.run('INSERT INTO t1 VALUES (1)')
    assert.deepEqual(await first.snapshots.list(), [])
    await first.close()
    const db = await open({ name: first.name, migrations: [table('1'), table('2')] })
    const [{ reason, schemaVersion }, ...more] = await db.snapshots.list()
    assert.deepEqual([reason, schemaVersion, more], ['safety', '1', []])
  },

  'another tracking table, if it has the right shape': async ({ open, failure }) => {
    const db = await open({ migrationsTable: 'history of "mine"', migrations: [table('1')] })
    assert.deepEqual(await db.query('SELECT version FROM "history of ""mine"""'), [{ version: '1' }])
    assert.deepEqual(await names(db, 'schema_migrations'), [])
    await db.close()
    const other = await failure(open({ name: db.name, migrationsTable: 't1', migrations: [table('1')] }))
    assert.equal(other.code, 'migration_invalid')
  },

  'redo, forget, reset and drop': async ({ open, failure, until }) => {
    const up = 'CREATE TABLE IF NOT EXISTS t2 (n); INSERT INTO t2 VALUES (1)'
    const migrations = [table('1'), table('2', { up, down: 'DROP TABLE t2' })]
    const first = await open({ migrations })
    await first.run('INSERT INTO t2 VALUES (2)')
    const events = []
    first.addEventListener('migration', ({ detail }) => events.push(detail))
    const { reverted, applied } = await first.migrations.redo()
    assert.deepEqual([reverted.length, applied.length, await numbers(first, 't2')], [1, 1, [1]])
    await until(() => events.length === 2)
    assert.deepEqual(
      events.map(({ version, direction, done, total }) => [version, direction, done, total]),
      [
        ['2', 'down', 0, 1],
        ['2', 'up', 0, 1],
      ],
    )

    await first.migrations.forget('2')
    assert.equal(await states(first), 'applied pending')
    await first.migrations.run()
    assert.deepEqual(await numbers(first, 't2'), [1, 1])
    assert.equal((await failure(first.migrations.forget('7'))).code, 'invalid_argument')

    await first.exec('CREATE TABLE mine (n); INSERT INTO t1 VALUES (5)')
    assert.equal((await failure(first.migrations.reset())).code, 'invalid_argument')
    assert.equal((await failure(first.migrations.drop({ force: false }))).code, 'invalid_argument')
    assert.deepEqual([await numbers(first, 't1'), await numbers(first, 't2')], [[5], [1, 1]])
    const seen = []
    first.live('SELECT count(*) AS n FROM t1').subscribe(([{ n }]) => seen.push(n))
    await until(() => seen.at(-1) === 1)
    const reset = await first.migrations.reset({ force: true })
    assert.deepEqual(
      reset.applied.map(({ version }) => version),
      ['1', '2'],
    )
    await until(() => seen.at(-1) === 0)
    assert.deepEqual(await names(first, 'mine'), [])
    await first.close()

    const db = await open({ name: first.name, migrations })
    assert.deepEqual(await numbers(db, 't2'), [1])
    const before = (await db.snapshots.list()).find(({ reason }) => reason === 'safety')
    await db.snapshots.restore(before.id)
    assert.deepEqual(await numbers(db, 't1'), [5])
    await db.migrations.drop({ force: true })
    assert.deepEqual(await names(db, '*'), [])
    assert.equal((await db.health()).migrations.pending, 2)
  },
}
