// The schema's history: order, checksums, failures that leave nothing, and the way back.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { suite, test } from './harness.mjs'
import { onFreshName } from './in-page.mjs'

const context = suite()
const sha256 = (text) => createHash('sha256').update(text).digest('hex')

const inPage = (work, argument) => onFreshName(context, work, argument)

test('versions are ordered by their numbers, tracked, and not run again', async () => {
  const result = await inPage(async (name) => {
    const migrations = [
      { version: '10', name: 'ten', up: "INSERT INTO log VALUES ('10')" },
      {
        version: '2',
        name: 'two',
        up: "INSERT INTO log VALUES ('2');\r\nINSERT INTO log VALUES ('2b')",
        down: "DELETE FROM log WHERE s LIKE '2%'",
      },
      { version: '1', name: 'one', up: 'CREATE TABLE log (s TEXT)' },
    ]
    const first = await window.open({ name, migrations })
    const status = await first.migrations.status()
    await first.close()
    const db = await window.open({ name, migrations })
    const out = {
      status,
      log: await db.query('SELECT s FROM log'),
      tracked: await db.query('SELECT * FROM schema_migrations ORDER BY applied_at, version'),
      columns: (await db.query("SELECT name FROM pragma_table_info('schema_migrations')")).map((row) => row.name),
      health: (await db.health()).migrations,
    }
    await db.close()
    return out
  })
  assert.deepEqual(
    result.log.map((row) => row.s),
    ['2', '2b', '10'],
  )
  assert.deepEqual(result.columns, ['version', 'name', 'checksum', 'applied_at', 'execution_ms'])
  assert.deepEqual(
    result.status.map((row) => [row.version, row.name, row.state, row.reversible]),
    [
      ['1', 'one', 'applied', false],
      ['2', 'two', 'applied', true],
      ['10', 'ten', 'applied', false],
    ],
  )
  assert.equal(result.status[1].checksum, sha256("INSERT INTO log VALUES ('2');\nINSERT INTO log VALUES ('2b')"))
  assert.ok(result.status.every((row) => row.appliedAt.endsWith('Z') && row.executionMs >= 0))
  assert.equal(result.tracked.length, 3)
  assert.equal(result.tracked.find((row) => row.version === '1').checksum, sha256('CREATE TABLE log (s TEXT)'))
  assert.deepEqual([result.health.current, result.health.pending, result.health.modified], ['10', 0, 0])
})

test('line ends do not count, any other change does', async () => {
  const result = await inPage(async (name) => {
    const with_ = (up) => ({ name, migrations: [{ version: '1', name: 'm', up }] })
    await (await window.open(with_('CREATE TABLE t (\n  n\n)'))).close()
    await (await window.open(with_('CREATE TABLE t (\r\n  n\r\n)'))).close()
    const changed = await window.failure(() => window.open(with_('CREATE TABLE t (\n  m\n)')))
    await (await window.open(with_('CREATE TABLE t (\n  n\n)'))).close()
    return changed
  })
  assert.equal(result.code, 'migration_checksum_mismatch')
  assert.equal(result.details.version, '1')
  assert.ok(result.hint)
})

test('a missing one, and a schema newer than the app, are told apart', async () => {
  const result = await inPage(async (name) => {
    const all = ['1', '2', '3'].map((version) => ({ version, name: 'm', up: `CREATE TABLE t${version} (n)` }))
    await (await window.open({ name, migrations: all })).close()
    return {
      missing: await window.failure(() => window.open({ name, migrations: [all[0], all[2]] })),
      tooNew: await window.failure(() => window.open({ name, migrations: [all[0], all[1]] })),
      unchecked: await window.failure(async () => (await window.open({ name })).close()),
    }
  })
  assert.equal(result.missing.code, 'migration_missing')
  assert.equal(result.missing.details.version, '2')
  assert.equal(result.tooNew.code, 'schema_too_new')
  assert.equal(result.tooNew.details.version, '3')
  assert.ok('resolved' in result.unchecked)
})

test('one older than the newest applied is refused, or applied when asked for', async () => {
  const result = await inPage(async (name) => {
    const m = (version) => ({ version, name: 'm', up: `CREATE TABLE t${version} (n)` })
    await (await window.open({ name, migrations: [m('1'), m('3')] })).close()
    const refused = await window.failure(() => window.open({ name, migrations: [m('1'), m('2'), m('3')] }))
    const db = await window.open({ name, migrations: [m('1'), m('2'), m('3')], outOfOrder: 'apply' })
    const states = (await db.migrations.status()).map((row) => row.state)
    await db.close()
    return { refused, states }
  })
  assert.equal(result.refused.code, 'migration_out_of_order')
  assert.equal(result.refused.details.version, '2')
  assert.deepEqual(result.states, ['applied', 'applied', 'applied'])
})

test('a failure leaves nothing of it, and names version, statement and line', async () => {
  const result = await inPage(async (name) => {
    const good = { version: '1', name: 'good', up: 'CREATE TABLE kept (n)' }
    const bad = {
      version: '2',
      name: 'bad',
      up: 'CREATE TABLE gone (n);\nINSERT INTO kept VALUES (1);\n-- a comment; with a semicolon\nINSERT INTO nowhere\n  VALUES (1);\nSELECT 1',
    }
    const failed = await window.failure(() => window.open({ name, migrations: [good, bad] }))
    const outside = await window.failure(() =>
      window.open({ name, migrations: [good, { ...bad, transaction: false }] }),
    )
    const db = await window.open({ name, migrations: [good] })
    const tables = (await db.query("SELECT name FROM sqlite_schema WHERE name IN ('kept', 'gone')")).map(
      (row) => row.name,
    )
    const kept = await db.query('SELECT * FROM kept')
    const versions = await db.query('SELECT version FROM schema_migrations')
    await db.close()
    return { failed, outside, tables, kept, versions }
  })
  for (const failed of [result.failed, result.outside]) {
    assert.equal(failed.code, 'migration_failed')
    assert.equal(failed.details.version, '2')
    assert.equal(failed.details.line, 4)
    assert.match(JSON.stringify(failed.details.statement), /nowhere|3/)
    assert.match(failed.message, /nowhere/)
  }
  assert.deepEqual([result.tables, result.kept, result.versions], [['kept'], [], [{ version: '1' }]])
})

test('foreign keys are off while one runs, and checked when it ends', async () => {
  const result = await inPage(async (name) => {
    const base = {
      version: '1',
      name: 'base',
      up: 'CREATE TABLE p (id INTEGER PRIMARY KEY, n); CREATE TABLE c (p REFERENCES p ON DELETE CASCADE); INSERT INTO p VALUES (1, 2); INSERT INTO c VALUES (1)',
    }
    const rebuild = {
      version: '2',
      name: 'rebuild',
      up: 'CREATE TABLE p2 (id INTEGER PRIMARY KEY, n, more); INSERT INTO p2 (id, n) SELECT id, n FROM p; DROP TABLE p; ALTER TABLE p2 RENAME TO p',
    }
    const db = await window.open({ name, migrations: [base, rebuild] })
    const kept = await db.query('SELECT p FROM c')
    const on = await db.query('PRAGMA foreign_keys')
    await db.close()
    const failed = await window.failure(() =>
      window.open({
        name,
        migrations: [base, rebuild, { version: '3', name: 'orphan', up: 'INSERT INTO c VALUES (77)' }],
      }),
    )
    const after = await window.open({ name, migrations: [base, rebuild] })
    const orphans = await after.query('SELECT * FROM c WHERE p = 77')
    await after.close()
    return { kept, on, failed, orphans }
  })
  assert.deepEqual([result.kept, result.on, result.orphans], [[{ p: 1 }], [{ foreign_keys: 1 }], []])
  assert.equal(result.failed.code, 'migration_failed')
  assert.equal(result.failed.details.version, '3')
})

test('migrate: false checks but does not run; run takes steps, to and dryRun', async () => {
  const result = await inPage(async (name) => {
    const migrations = ['1', '2', '3', '4'].map((version) => ({
      version,
      name: `m${version}`,
      up: `CREATE TABLE t${version} (n)`,
    }))
    const db = await window.open({ name, migrations, migrate: false })
    const states = async () => (await db.migrations.status()).map((row) => row.state).join(' ')
    const out = [await states()]
    await db.migrations.run({ dryRun: true })
    out.push(await states())
    await db.migrations.run({ steps: 1 })
    out.push(await states())
    await db.migrations.run({ to: '3' })
    out.push(await states())
    const unknown = await window.failure(() => db.migrations.run({ to: '9' }))
    await db.migrations.run()
    out.push(await states())
    await db.close()
    const changed = await window.failure(() =>
      window.open({ name, migrations: [{ ...migrations[0], up: 'SELECT 1' }, ...migrations.slice(1)], migrate: false }),
    )
    return { out, unknown: unknown.code, changed: changed.code }
  })
  assert.deepEqual(result.out, [
    'pending pending pending pending',
    'pending pending pending pending',
    'applied pending pending pending',
    'applied applied applied pending',
    'applied applied applied applied',
  ])
  assert.equal(result.unknown, 'invalid_argument')
  assert.equal(result.changed, 'migration_checksum_mismatch')
})

test('revert runs down, by steps or to a version; without down it is irreversible', async () => {
  const result = await inPage(async (name) => {
    const migrations = ['1', '2', '3'].map((version) => ({
      version,
      name: 'm',
      up: `CREATE TABLE t${version} (n)`,
      down: version === '1' ? undefined : `DROP TABLE t${version}`,
    }))
    const db = await window.open({ name, migrations })
    const tables = async () =>
      (await db.query("SELECT name FROM sqlite_schema WHERE name GLOB 't[0-9]' ORDER BY name"))
        .map((row) => row.name)
        .join(' ')
    await db.migrations.revert({ dryRun: true })
    const out = [await tables()]
    await db.migrations.revert()
    out.push(await tables())
    await db.migrations.run()
    await db.migrations.revert({ to: '1' })
    out.push(await tables())
    const irreversible = await window.failure(() => db.migrations.revert())
    out.push(await tables())
    await db.close()
    return { out, irreversible }
  })
  assert.deepEqual(result.out, ['t1 t2 t3', 't1 t2', 't1', 't1'])
  assert.equal(result.irreversible.code, 'migration_irreversible')
  assert.equal(result.irreversible.details.version, '1')
})

test('baseline marks without running, by call and by option', async () => {
  const result = await inPage(async (name) => {
    const migrations = ['1', '2', '3'].map((version) => ({ version, name: 'm', up: `CREATE TABLE t${version} (n)` }))
    const before = await window.open({ name })
    await before.exec('CREATE TABLE t1 (n); CREATE TABLE t2 (n)')
    await before.close()
    const clash = await window.failure(() => window.open({ name, migrations }))
    const db = await window.open({ name, migrations, migrate: false })
    await db.migrations.baseline('2')
    await db.migrations.run()
    const states = (await db.migrations.status()).map((row) => row.state)
    const tables = (await db.query("SELECT name FROM sqlite_schema WHERE name GLOB 't[0-9]' ORDER BY name")).map(
      (row) => row.name,
    )
    await db.close()
    const other = `${name}-option`
    const seeded = await window.open({ name: other })
    await seeded.exec('CREATE TABLE t1 (n); CREATE TABLE t2 (n)')
    await seeded.close()
    const byOption = await window.open({ name: other, migrations, baseline: '2' })
    const optionStates = (await byOption.migrations.status()).map((row) => row.state)
    await byOption.close()
    return { clash: clash.code, states, tables, optionStates }
  })
  assert.deepEqual(result, {
    clash: 'migration_failed',
    states: ['applied', 'applied', 'applied'],
    tables: ['t1', 't2', 't3'],
    optionStates: ['applied', 'applied', 'applied'],
  })
})

test('what is no history is migration_invalid', async () => {
  const result = await inPage(async (name) => {
    const codes = {}
    for (const [label, migrations] of Object.entries({
      equal: [
        { version: '1', name: 'a', up: 'SELECT 1' },
        { version: '001', name: 'b', up: 'SELECT 1' },
      ],
      noVersion: [{ name: 'a', up: 'SELECT 1' }],
      noDigits: [{ version: 'latest', name: 'a', up: 'SELECT 1' }],
      noUp: [{ version: '1', name: 'a' }],
      number: [{ version: 1, name: 'a', up: 'SELECT 1' }],
    }))
      codes[label] = (await window.failure(async () => (await window.open({ name, migrations })).close())).code
    const db = await window.open({ name })
    await db.exec('CREATE TABLE mine (whatever TEXT)')
    await db.close()
    codes.foreignTable = (
      await window.failure(() =>
        window.open({ name, migrationsTable: 'mine', migrations: [{ version: '1', name: 'a', up: 'SELECT 1' }] }),
      )
    ).code
    return codes
  })
  for (const [label, code] of Object.entries(result))
    assert.ok(
      ['migration_invalid', ...(['noVersion', 'noUp', 'number'].includes(label) ? ['invalid_argument'] : [])].includes(
        code,
      ),
      `${label}: ${code}`,
    )
})

test('functions migrate too, in their transaction, and roll back when they throw', async () => {
  const result = await inPage(async (name) => {
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
    }
    const db = await window.open({ name, migrations: [base, split] })
    const people = await db.query('SELECT first FROM people')
    await db.close()
    const thrown = await window.failure(() =>
      window.open({
        name,
        migrations: [
          base,
          split,
          {
            version: '3',
            name: 'throws',
            up: async (tx) => {
              await tx.run('DELETE FROM people')
              throw new RangeError('mine')
            },
          },
        ],
      }),
    )
    const after = await window.open({ name, migrations: [base, split] })
    const left = await after.get('SELECT count(*) AS n FROM people')
    await after.close()
    return { people, thrown, left }
  })
  assert.deepEqual(result.people, [{ first: 'Ada' }, { first: 'Zoë' }])
  assert.equal(result.thrown.code, 'migration_failed')
  assert.match(result.thrown.message + result.thrown.cause, /mine/)
  assert.deepEqual(result.left, { n: 2 })
})

test('migrationsFrom understands the usual layouts', async () => {
  const page = await context.page()
  const result = await page.evaluate(() => {
    const of = (files) =>
      window.tidelock
        .migrationsFrom(files)
        .map(({ version, name, up, down }) => [version, name, up.trim(), down?.trim()])
    return {
      plain: of({ './migrations/0002_b.sql': 'B', './migrations/0001_a.sql': 'A' }),
      pairs: of({ 'm/0001_a.up.sql': 'UP', 'm/0001_a.down.sql': 'DOWN' }),
      prisma: of({ 'prisma/migrations/20250709035454_init/migration.sql': 'P' }),
      flyway: of({ 'V1__first_table.sql': 'F', 'V2__second.sql': 'G' }),
      dbmate: of({ 'db/20240101000000_x.sql': '-- migrate:up\nUP;\n-- migrate:down\nDOWN;' }),
      drizzle: of({
        'drizzle/0000_dark_hawk.sql': 'CREATE TABLE a (n);\n--> statement-breakpoint\nCREATE TABLE b (n);',
      }),
    }
  })
  assert.deepEqual(
    result.plain.map((row) => row.slice(0, 3)),
    [
      ['0001', 'a', 'A'],
      ['0002', 'b', 'B'],
    ],
  )
  assert.deepEqual(result.pairs, [['0001', 'a', 'UP', 'DOWN']])
  assert.deepEqual(result.prisma[0].slice(0, 3), ['20250709035454', 'init', 'P'])
  assert.deepEqual(
    result.flyway.map((row) => [row[0], row[2]]),
    [
      ['1', 'F'],
      ['2', 'G'],
    ],
  )
  assert.equal(result.dbmate[0][0], '20240101000000')
  assert.ok(result.dbmate[0][2].includes('UP;') && !result.dbmate[0][2].includes('DOWN'), result.dbmate[0][2])
  assert.ok(result.dbmate[0][3].includes('DOWN;') && !result.dbmate[0][3].includes('UP'), result.dbmate[0][3])
  assert.equal(result.drizzle[0][0], '0000')
  await page.close()
})

test('a history of files runs: drizzle breakpoints, dbmate markers, triggers with semicolons', async () => {
  const result = await inPage(async (name) => {
    const migrations = window.tidelock.migrationsFrom({
      'm/0001_drizzle.sql': 'CREATE TABLE a (n);\n--> statement-breakpoint\nCREATE TABLE b (n);',
      'm/0002_trigger.sql':
        '-- migrate:up\nCREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO b VALUES (NEW.n); DELETE FROM b WHERE n < 0; END;\n-- migrate:down\nDROP TRIGGER t;',
    })
    const db = await window.open({ name, migrations })
    await db.run('INSERT INTO a VALUES (5)')
    const rows = await db.query('SELECT n FROM b')
    await db.migrations.revert()
    await db.run('INSERT INTO a VALUES (6)')
    const after = await db.query('SELECT n FROM b')
    await db.close()
    return { rows, after }
  })
  assert.deepEqual(result, { rows: [{ n: 5 }], after: [{ n: 5 }] })
})

test('a snapshot is taken before data is migrated, and not before an empty database is', async () => {
  const result = await inPage(async (name) => {
    const one = { version: '1', name: 'a', up: 'CREATE TABLE t (n)' }
    const db = await window.open({ name, migrations: [one] })
    await db.run('INSERT INTO t VALUES (1)')
    const before = await db.snapshots.list()
    await db.close()
    const next = await window.open({ name, migrations: [one, { version: '2', name: 'b', up: 'DROP TABLE t' }] })
    const after = await next.snapshots.list()
    await next.close()
    return { before: before.length, after: after.map((snapshot) => [snapshot.reason, snapshot.schemaVersion]) }
  })
  assert.deepEqual(result, { before: 0, after: [['safety', '1']] })
})

test('another tracking table, if one likes', async () => {
  const result = await inPage(async (name) => {
    const db = await window.open({
      name,
      migrationsTable: 'history of "mine"',
      migrations: [{ version: '1', name: 'a', up: 'CREATE TABLE t (n)' }],
    })
    const rows = await db.query('SELECT version FROM "history of ""mine"""')
    await db.close()
    return rows
  })
  assert.deepEqual(result, [{ version: '1' }])
})
