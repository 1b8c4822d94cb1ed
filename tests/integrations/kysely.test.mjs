// tidelock/kysely over the built package: what an app does with Kysely, in memory and on a folder.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import { CamelCasePlugin, Kysely, Migrator, sql } from 'kysely'
import { jsonArrayFrom } from 'kysely/helpers/sqlite'
import { open } from '../../pkg-js/dist/index.js'
import { migrationProvider, TidelockDialect } from '../../pkg-js/dist/integrations/kysely/index.js'
import { until } from '../scenarios/run/context.mjs'
import { code } from './rejection.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-kysely-'))
after(() => rmSync(base, { recursive: true, force: true }))
let opened = 0

const person = (name, more = {}) => ({ name, age: 30, ...more })

for (const storage of ['memory', 'file']) {
  describe(`Kysely, ${storage}`, () => {
    /** Registers a test with a database of its own. */
    const check = (title, work) =>
      test(title, async (context) => {
        const name = `kysely ${++opened}`
        const warnings = []
        const place = storage === 'file' ? { path: path.join(base, String(opened)) } : {}
        const database = await open({ name, storage, ...place, onWarning: (warning) => warnings.push(warning) })
        const log = []
        const kysely = new Kysely({
          dialect: new TidelockDialect({ database }),
          log: (event) => log.push(event.query.sql),
        })
        try {
          await database.exec(`
            CREATE TABLE person (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, age INTEGER DEFAULT 30, data);
            CREATE TABLE pet (id INTEGER PRIMARY KEY, owner INTEGER NOT NULL REFERENCES person(id) ON DELETE CASCADE, name TEXT)`)
          await work({ database, kysely, context, warnings, log })
        } finally {
          await database.close()
        }
      })
    const names = (kysely) =>
      kysely
        .selectFrom('person')
        .select('name')
        .orderBy('id')
        .execute()
        .then((rows) => rows.map((row) => row.name))

    check('creates, reads, updates and deletes', async ({ kysely }) => {
      const inserted = await kysely
        .insertInto('person')
        .values([person('Ann'), person('Bob')])
        .executeTakeFirst()
      assert.deepEqual([inserted.insertId, inserted.numInsertedOrUpdatedRows], [2n, 2n])
      const [returned] = await kysely.insertInto('person').values(person('Cy')).returningAll().execute()
      assert.deepEqual(returned, { id: 3, name: 'Cy', age: 30, data: null })
      const updated = await kysely.updateTable('person').set({ age: 40 }).where('id', '<', 3).executeTakeFirst()
      assert.equal(updated.numUpdatedRows, 2n)
      const upserted = await kysely
        .insertInto('person')
        .values(person('Ann', { age: 1 }))
        .onConflict((conflict) =>
          conflict.column('name').doUpdateSet((excluded) => ({ age: excluded.ref('excluded.age') })),
        )
        .returning(['id', 'age'])
        .executeTakeFirst()
      assert.deepEqual(upserted, { id: 1, age: 1 })
      const ignored = await kysely
        .insertInto('person')
        .values(person('Ann'))
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirst()
      assert.equal(ignored.numInsertedOrUpdatedRows, 0n)
      const deleted = await kysely.deleteFrom('person').where('name', 'in', ['Bob', 'Cy']).executeTakeFirst()
      assert.equal(deleted.numDeletedRows, 2n)
      assert.deepEqual(await kysely.deleteFrom('person').returning('name').execute(), [{ name: 'Ann' }])
    })

    check('joins, aggregates, and reads JSON', async ({ kysely }) => {
      await kysely
        .insertInto('person')
        .values([person('Ann'), person('Bob', { age: 50 })])
        .execute()
      await kysely
        .insertInto('pet')
        .values([
          { owner: 1, name: 'Rex' },
          { owner: 1, name: 'Tom' },
        ])
        .execute()
      const joined = await kysely
        .selectFrom('person')
        .leftJoin('pet', 'pet.owner', 'person.id')
        .select(['person.name as person', 'pet.name as pet'])
        .orderBy(['person.id', 'pet.id'])
        .execute()
      assert.deepEqual(joined, [
        { person: 'Ann', pet: 'Rex' },
        { person: 'Ann', pet: 'Tom' },
        { person: 'Bob', pet: null },
      ])
      const { sum } = await kysely
        .selectFrom('person')
        .select(({ fn }) => fn.sum('age').as('sum'))
        .executeTakeFirstOrThrow()
      assert.equal(sum, 80)
      const nested = await kysely
        .selectFrom('person')
        .select(({ selectFrom, ref }) => [
          'name',
          jsonArrayFrom(selectFrom('pet').select('pet.name').where('owner', '=', ref('person.id')).orderBy('id')).as(
            'pets',
          ),
        ])
        .orderBy('id')
        .execute()
      assert.deepEqual(JSON.parse(nested[0].pets), [{ name: 'Rex' }, { name: 'Tom' }])
    })

    check('keeps bigints, blobs, dates, booleans and NULL', async ({ kysely }) => {
      const values = [2n ** 60n, new Uint8Array([1, 2, 255]), new Date(0), true, null, 1.5, 'é\0x']
      const wanted = [2n ** 60n, new Uint8Array([1, 2, 255]), '1970-01-01T00:00:00.000Z', 1, null, 1.5, 'é\0x']
      await kysely
        .insertInto('person')
        .values(values.map((data, index) => ({ name: String(index), data })))
        .execute()
      const rows = await kysely.selectFrom('person').select('data').orderBy('id').execute()
      assert.deepEqual(
        rows.map(({ data }) => data),
        wanted,
      )
    })

    check('runs plain SQL', async ({ kysely }) => {
      const inserted = await sql`insert into person (name) values (${'Ann'})`.execute(kysely)
      assert.deepEqual([inserted.numAffectedRows, inserted.insertId, inserted.rows], [1n, 1n, []])
      const returned = await sql`insert into person (name) values (${'Bob'}) returning id`.execute(kysely)
      assert.deepEqual(returned.rows, [{ id: 2 }])
      assert.deepEqual((await sql`pragma foreign_keys`.execute(kysely)).rows, [{ foreign_keys: 1 }])
      assert.deepEqual((await sql`with one as (select 1 as n) select n from one`.execute(kysely)).rows, [{ n: 1 }])
      assert.equal((await kysely.updateTable('person').set({ age: 1 }).explain()).length, 1)
    })

    check('commits and rolls back', async ({ kysely, log }) => {
      const result = await kysely.transaction().execute(async (trx) => {
        await trx.insertInto('person').values(person('Ann')).execute()
        return 'done'
      })
      assert.equal(result, 'done')
      assert.deepEqual([log[0], log.at(-1)], ['begin', 'commit'])
      const reason = new Error('no')
      await assert.rejects(
        kysely.transaction().execute(async (trx) => {
          await trx.insertInto('person').values(person('Bob')).execute()
          throw reason
        }),
        (error) => error === reason,
      )
      assert.equal(log.at(-1), 'rollback')
      assert.deepEqual(await names(kysely), ['Ann'])
    })

    check('rolls back when the commit fails', async ({ kysely, database }) => {
      await database.exec('CREATE TABLE child (p INTEGER REFERENCES person(id) DEFERRABLE INITIALLY DEFERRED)')
      await assert.rejects(
        kysely.transaction().execute((trx) => trx.insertInto('child').values({ p: 9 }).execute()),
        code('sqlite_constraint'),
      )
      assert.deepEqual(await kysely.selectFrom('child').selectAll().execute(), [])
    })

    check('rolls back to savepoints and releases them', async ({ kysely, log }) => {
      const add = (trx, name) => trx.insertInto('person').values(person(name)).execute()
      const trx = await kysely.startTransaction().execute()
      await add(trx, 'one')
      const first = await trx.savepoint('first "quoted"').execute()
      await add(first, 'two')
      const second = await first.savepoint('second').execute()
      await add(second, 'three')
      const again = await second.rollbackToSavepoint('first "quoted"').execute()
      await add(again, 'four')
      // The savepoint is still there: once more, then released.
      const last = await again.rollbackToSavepoint('first "quoted"').execute()
      await add(last, 'five')
      const released = await last.releaseSavepoint('first "quoted"').execute()
      const open = await released.savepoint('left open').execute()
      await add(open, 'six')
      await assert.rejects(open.releaseSavepoint('unknown').execute(), code('invalid_argument'))
      await open.commit().execute()
      assert.deepEqual(await names(kysely), ['one', 'five', 'six'])
      assert.ok(log.includes('savepoint "first ""quoted"""'))
      assert.ok(log.includes('rollback to "first ""quoted"""'))

      const other = await kysely.startTransaction().execute()
      const inner = await other.savepoint('inner').execute()
      await add(inner, 'seven')
      const twin = await inner.savepoint('inner').execute()
      await add(twin, 'eight')
      await twin.rollbackToSavepoint('inner').execute()
      assert.deepEqual(await names(twin), ['one', 'five', 'six', 'seven'])
      await inner.rollback().execute()
      assert.deepEqual(await names(kysely), ['one', 'five', 'six'])
    })

    check('runs transactions and queries one after the other', async ({ kysely }) => {
      await kysely
        .insertInto('person')
        .values(person('counter', { age: 0 }))
        .execute()
      const read = (on) => on.selectFrom('person').select('age').executeTakeFirstOrThrow()
      const add = () =>
        kysely.transaction().execute(async (trx) => {
          const { age } = await read(trx)
          await trx
            .updateTable('person')
            .set({ age: age + 1 })
            .execute()
        })
      await Promise.all(Array.from({ length: 20 }, add))
      assert.equal((await read(kysely)).age, 20)

      let between
      await kysely.transaction().execute(async (trx) => {
        await trx.updateTable('person').set({ age: 99 }).execute()
        // Not awaited here: it waits for the end of this transaction.
        between = read(kysely)
        await trx.updateTable('person').set({ age: 100 }).execute()
      })
      assert.equal((await between).age, 100)
    })

    check('runs the queries of a transaction made at once', async ({ kysely }) => {
      await kysely.transaction().execute((trx) =>
        Promise.all(
          [1, 2, 3].map((id) =>
            trx
              .insertInto('person')
              .values(person(`p${id}`))
              .execute(),
          ),
        ),
      )
      assert.equal((await names(kysely)).length, 3)
    })

    check('rejects a query that its own transaction awaits', async ({ kysely, context }) => {
      context.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
      const waiting = kysely.transaction().execute(async (trx) => {
        await trx.insertInto('person').values(person('lost')).execute()
        await names(kysely)
      })
      let settled = false
      const settle = () => {
        settled = true
      }
      waiting.then(settle, settle)
      // Each step lets the calls go on before the clock does.
      for (let step = 0; step < 100 && !settled; step++) {
        await new Promise((resolve) => setImmediate(resolve))
        context.mock.timers.tick(1000)
      }
      await assert.rejects(waiting, code('timeout'))
      context.mock.timers.reset()
      assert.deepEqual(await names(kysely), [])
    })

    check('streams rows', async ({ kysely }) => {
      const all = Array.from({ length: 250 }, (_, id) => `p${id}`)
      await kysely
        .insertInto('person')
        .values(all.map((name) => person(name)))
        .execute()
      const stream = (on, chunk) => on.selectFrom('person').select('name').orderBy('id').stream(chunk)
      for (const chunk of [1, 100, 1000]) {
        const found = []
        for await (const row of stream(kysely, chunk)) found.push(row.name)
        assert.deepEqual(found, all)
      }
      let count = 0
      for await (const { name } of stream(kysely, 10)) {
        await kysely.deleteFrom('person').where('name', '=', name).execute()
        if (++count === 15) break
      }
      assert.equal((await names(kysely)).length, 235)
      await kysely.transaction().execute(async (trx) => {
        const found = []
        for await (const row of stream(trx, 100)) found.push(row.name)
        assert.equal(found.length, 235)
      })
      for await (const _ of kysely.selectFrom('pet').selectAll().stream()) assert.fail('the table is empty')
      await assert.rejects(kysely.selectFrom('nothing').selectAll().stream().next(), code('sqlite_error'))
    })

    check('describes the schema', async ({ kysely, database }) => {
      await database.exec('CREATE VIEW adults AS SELECT * FROM person WHERE age > 17')
      const tables = await kysely.introspection.getTables()
      const found = Object.fromEntries(tables.map((table) => [table.name, table]))
      assert.equal(found.adults.isView, true)
      const columns = found.person.columns.map((column) => [column.name, column.isAutoIncrementing, column.isNullable])
      assert.deepEqual(columns.slice(0, 2), [
        ['id', true, true],
        ['name', false, false],
      ])
      assert.equal(found.person.columns[2].hasDefaultValue, true)
    })

    check('migrates up and down, all or nothing', async ({ kysely }) => {
      const table = (name) => ({
        up: (on) => on.schema.createTable(name).addColumn('id', 'integer').execute(),
        down: (on) => on.schema.dropTable(name).execute(),
      })
      const broken = { up: (on) => on.schema.createTable('first').addColumn('id', 'integer').execute() }
      const files = {
        './migrations/0001_first.ts': table('first'),
        '0002_second.mjs': async () => ({ default: table('second') }),
      }
      const migrator = (more) => new Migrator({ db: kysely, provider: migrationProvider({ ...files, ...more }) })
      const exists = async (name) => (await kysely.introspection.getTables()).some((one) => one.name === name)

      const failed = await migrator({ './0003_broken.js': broken }).migrateToLatest()
      code('sqlite_error')(failed.error)
      assert.deepEqual(
        failed.results.map(({ migrationName, status }) => [migrationName, status]),
        [
          ['0001_first', 'Success'],
          ['0002_second', 'Success'],
          ['0003_broken', 'Error'],
        ],
      )
      assert.equal(await exists('first'), false, 'a failed run leaves nothing behind')

      const both = await Promise.all([migrator().migrateToLatest(), migrator().migrateToLatest()])
      assert.deepEqual(both.map(({ error, results }) => [error, results.length]).sort(), [
        [undefined, 0],
        [undefined, 2],
      ])
      assert.equal(await exists('second'), true)
      assert.equal((await migrator().migrateDown()).error, undefined)
      assert.deepEqual([await exists('first'), await exists('second')], [true, false])
      assert.equal((await migrator().getMigrations()).filter(({ executedAt }) => executedAt).length, 1)
    })

    check('rejects with the errors of tidelock', async ({ kysely }) => {
      await kysely.insertInto('person').values(person('Ann')).execute()
      await assert.rejects(kysely.insertInto('person').values(person('Ann')).execute(), (error) => {
        assert.equal(error.details.sqliteCode, 'SQLITE_CONSTRAINT_UNIQUE')
        return code('sqlite_constraint')(error)
      })
      await assert.rejects(kysely.selectFrom('nothing').selectAll().execute(), code('sqlite_error'))
      await assert.rejects(sql`begin`.execute(kysely), code('invalid_argument'))
      await assert.rejects(sql`select ${Symbol('x')}`.execute(kysely), code('invalid_argument'))
    })

    check('refuses what comes after the end', async ({ kysely, database }) => {
      let escaped
      await kysely.connection().execute(async (connection) => {
        escaped = connection
        await connection.transaction().execute((trx) => trx.insertInto('person').values(person('Ann')).execute())
        assert.deepEqual(await names(connection), ['Ann'])
      })
      await assert.rejects(names(escaped), code('transaction_closed'))
      await assert.rejects(escaped.selectFrom('person').selectAll().stream().next(), code('transaction_closed'))

      const trx = await kysely.startTransaction().execute()
      const inner = await trx.savepoint('inner').execute()
      const waiting = names(kysely)
      waiting.catch(() => {})
      await database.close()
      await assert.rejects(names(inner), code('transaction_closed'))
      await assert.rejects(inner.commit().execute(), (error) => error.name === 'TidelockError')
      await assert.rejects(waiting, code('closed'))
      await assert.rejects(names(kysely), code('closed'))
      await assert.rejects(
        kysely.transaction().execute(() => {}),
        code('closed'),
      )
    })

    check('closes the database with destroy()', async ({ kysely, database }) => {
      await names(kysely)
      await kysely.destroy()
      assert.equal(database.closed, true)
      await assert.rejects(names(kysely), /destroyed/)
    })

    check('feeds live queries', async ({ kysely, database }) => {
      const seen = []
      const query = kysely.selectFrom('person').select(['name', 'age']).where('age', '>', 10).orderBy('id')
      const live = database.live(query)
      live.subscribe((rows) => seen.push(rows))
      await until(() => seen.length === 1)
      await kysely
        .insertInto('person')
        .values([person('Ann'), person('child', { age: 1 })])
        .execute()
      await until(() => seen.at(-1).length === 1)
      assert.deepEqual(seen.at(-1), [{ name: 'Ann', age: 30 }])
      assert.deepEqual(await database.live(query.compile()).refresh(), [{ name: 'Ann', age: 30 }])
      const plain = sql`select count(*) as n from person where age > ${10}`.compile(kysely)
      assert.deepEqual(await database.live(plain).refresh(), [{ n: 1 }])
      for (const wrong of [{}, { sql: 1, parameters: [] }, Promise.resolve([])])
        assert.throws(() => database.live(wrong), code('invalid_argument'))
      live.close()
    })

    check('takes plugins', async ({ database }) => {
      const kysely = new Kysely({ dialect: new TidelockDialect({ database }), plugins: [new CamelCasePlugin()] })
      await kysely.schema.createTable('twoWords').addColumn('firstName', 'text').execute()
      await kysely.insertInto('twoWords').values({ firstName: 'Ann' }).execute()
      assert.deepEqual(await kysely.selectFrom('twoWords').selectAll().execute(), [{ firstName: 'Ann' }])
      assert.deepEqual(await database.query('SELECT * FROM two_words'), [{ first_name: 'Ann' }])
    })
  })
}

describe('TidelockDialect', () => {
  test('streams in chunks, and leaves the order of calls to the database', async () => {
    const database = await open({ name: `kysely ${++opened}`, storage: 'memory' })
    const dialect = new TidelockDialect({ database })
    const kysely = new Kysely({ dialect })
    const driver = dialect.createDriver()
    await driver.init()
    const connection = await driver.acquireConnection()
    const series = sql`with recursive n(i) as (select 1 union all select i + 1 from n limit 7) select i from n`
    for (const inside of [false, true]) {
      if (inside) await driver.beginTransaction(connection, {})
      const sizes = []
      for await (const { rows } of connection.streamQuery(series.compile(kysely), 3)) sizes.push(rows.length)
      assert.deepEqual(sizes, [3, 3, 1])
    }
    // The options of Kysely 0.29.
    const reason = new Error('stop')
    const aborted = { signal: AbortSignal.abort(reason) }
    const isReason = (error) => error === reason
    await assert.rejects(connection.executeQuery(series.compile(kysely), aborted), isReason)
    await driver.rollbackTransaction(connection)
    await assert.rejects(connection.executeQuery(series.compile(kysely), aborted), isReason)
    await assert.rejects(connection.streamQuery(series.compile(kysely), 3, aborted).next(), isReason)
    const controller = new AbortController()
    const stream = connection.streamQuery(series.compile(kysely), 1, { signal: controller.signal })
    await stream.next()
    controller.abort(reason)
    await assert.rejects(stream.next(), isReason)
    // With a mutex of Kysely, a query that its own transaction awaits would never be rejected.
    assert.equal(dialect.createAdapter().supportsMultipleConnections, true)
    await database.close()
  })

  test('takes a promise or a function, which it calls once', async () => {
    let calls = 0
    const make = () => {
      calls++
      return open({ name: `kysely ${++opened}`, storage: 'memory' })
    }
    for (const database of [make, make()]) {
      calls = 0
      const kysely = new Kysely({ dialect: new TidelockDialect({ database }) })
      assert.equal(calls, 0)
      await Promise.all([1, 2].map((n) => sql`select ${n}`.execute(kysely)))
      assert.equal(calls, typeof database === 'function' ? 1 : 0)
      await kysely.destroy()
    }
  })

  test('reports a database that fails to open, and a missing one', async () => {
    const kysely = new Kysely({ dialect: new TidelockDialect({ database: () => open({ name: '' }) }) })
    await assert.rejects(sql`select 1`.execute(kysely), code('invalid_argument'))
    for (const config of [undefined, {}, { database: null }])
      assert.throws(() => new TidelockDialect(config), code('invalid_argument'))
  })
})

describe('migrationProvider', () => {
  const up = async () => {}
  test('names migrations by their files', async () => {
    const provider = migrationProvider({ './a/0001_one.ts': { up }, 'b\\0002_two.cjs': () => ({ up, down: up }) })
    assert.deepEqual(Object.keys(await provider.getMigrations()), ['0001_one', '0002_two'])
  })

  test('refuses what is no migration', async () => {
    for (const files of [
      { 'a.js': {} },
      { 'a.js': 'text' },
      { 'a.js': undefined },
      { 'a/x.js': { up }, 'b/x.ts': { up } },
    ])
      await assert.rejects(migrationProvider(files).getMigrations(), (error) => {
        assert.ok(error.details.file.endsWith('s'))
        return code('migration_invalid')(error)
      })
    for (const files of [undefined, null, 'x', [], new Map()])
      assert.throws(() => migrationProvider(files), code('invalid_argument'))
  })
})
