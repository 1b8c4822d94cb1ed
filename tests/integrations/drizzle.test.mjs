// tidelock/drizzle over the built package: what an app does with Drizzle, in memory and on a folder.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import { asc, eq, gt, relations, sql, TransactionRollbackError } from 'drizzle-orm'
import { blob, integer, QueryBuilder, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { open } from '../../pkg-js/dist/index.js'
import { drizzle, migrate } from '../../pkg-js/dist/integrations/drizzle/index.js'
import { until } from '../scenarios/run/context.mjs'
import { code } from './rejection.mjs'

const base = mkdtempSync(path.join(tmpdir(), 'tidelock-drizzle-'))
after(() => rmSync(base, { recursive: true, force: true }))
let opened = 0

const people = sqliteTable('people', {
  id: integer().primaryKey({ autoIncrement: true }),
  name: text().notNull().unique(),
  age: integer().default(30),
  isAdmin: integer('is_admin', { mode: 'boolean' }).notNull().default(false),
  bornAt: integer('born_at', { mode: 'timestamp_ms' }),
  data: blob({ mode: 'buffer' }),
  big: blob({ mode: 'bigint' }),
  tags: text({ mode: 'json' }),
})
const pets = sqliteTable('pets', {
  id: integer().primaryKey(),
  owner: integer()
    .notNull()
    .references(() => people.id),
  name: text(),
})
const schema = {
  people,
  pets,
  peopleRelations: relations(people, ({ many }) => ({ pets: many(pets) })),
  petsRelations: relations(pets, ({ one }) => ({
    person: one(people, { fields: [pets.owner], references: [people.id] }),
  })),
}
const tables = `
  CREATE TABLE people (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, age INTEGER DEFAULT 30,
    is_admin INTEGER NOT NULL DEFAULT 0, born_at INTEGER, data BLOB, big BLOB, tags TEXT);
  CREATE TABLE pets (id INTEGER PRIMARY KEY, owner INTEGER NOT NULL REFERENCES people(id) ON DELETE CASCADE, name TEXT)`

for (const storage of ['memory', 'file']) {
  describe(`Drizzle, ${storage}`, () => {
    /** Registers a test with a database of its own. */
    const check = (title, work) =>
      test(title, async (context) => {
        const place = storage === 'file' ? { path: path.join(base, String(++opened)) } : {}
        const database = await open({ name: 'drizzle', storage, ...place, onWarning() {} })
        const log = []
        const logger = { logQuery: (query, params) => log.push([query, params]) }
        try {
          await database.exec(tables)
          await work({ database, db: drizzle(database, { schema, logger }), context, log })
        } finally {
          await database.close()
        }
      })
    const names = async (db) =>
      (await db.select({ name: people.name }).from(people).orderBy(people.id)).map(({ name }) => name)
    const add = (db, ...all) => db.insert(people).values(all.map((name) => ({ name })))

    check('creates, reads, updates and deletes', async ({ db, log }) => {
      assert.deepEqual(await add(db, 'Ann', 'Bob'), { changes: 2, lastInsertRowid: 2 })
      const [cy] = await db.insert(people).values({ name: 'Cy', isAdmin: true }).returning()
      assert.deepEqual([cy.id, cy.age, cy.isAdmin, cy.bornAt], [3, 30, true, null])
      assert.deepEqual(await db.update(people).set({ age: 40 }).where(gt(people.id, 1)), {
        changes: 2,
        lastInsertRowid: 3,
      })
      const upserted = await db
        .insert(people)
        .values({ name: 'Ann', age: 1 })
        .onConflictDoUpdate({ target: people.name, set: { age: sql`excluded.age` } })
        .returning({ id: people.id, age: people.age })
      assert.deepEqual(upserted, [{ id: 1, age: 1 }])
      assert.equal((await add(db, 'Ann').onConflictDoNothing()).changes, 0)
      assert.equal(await db.$count(people, gt(people.age, 10)), 2)
      assert.deepEqual(await db.delete(people).where(eq(people.name, 'Bob')).returning({ name: people.name }), [
        { name: 'Bob' },
      ])
      assert.deepEqual(await names(db), ['Ann', 'Cy'])
      assert.deepEqual(await db.select().from(people).where(eq(people.name, 'nobody')).get(), undefined)
      assert.deepEqual(log.at(-1)[1], ['nobody', 1].slice(0, log.at(-1)[1].length))
    })

    check('keeps dates, blobs, bigints, booleans and JSON', async ({ db }) => {
      const row = {
        name: 'Ann',
        isAdmin: true,
        bornAt: new Date(1234),
        data: Buffer.from([1, 2, 255]),
        big: 2n ** 80n,
        tags: ['a', { b: 1 }],
        age: null,
      }
      await db.insert(people).values(row)
      const { id, ...found } = await db.select().from(people).get()
      assert.deepEqual(found, row)
    })

    check('joins, and reads relations', async ({ db }) => {
      await add(db, 'Ann', 'Bob')
      await db.insert(pets).values([
        { owner: 1, name: 'Rex' },
        { owner: 1, name: 'Tom' },
      ])
      const joined = await db
        .select()
        .from(people)
        .leftJoin(pets, eq(pets.owner, people.id))
        .orderBy(people.id, pets.id)
      assert.deepEqual(
        joined.map(({ people, pets }) => [people.name, pets?.name]),
        [
          ['Ann', 'Rex'],
          ['Ann', 'Tom'],
          ['Bob', undefined],
        ],
      )
      const found = await db.query.people.findMany({
        columns: { name: true },
        with: { pets: true },
        orderBy: asc(people.id),
      })
      assert.deepEqual(found[0].pets[1], { id: 2, owner: 1, name: 'Tom' })
      assert.deepEqual(found[1], { name: 'Bob', pets: [] })
      const pet = await db.query.pets.findFirst({
        with: { person: { columns: { isAdmin: true } } },
        where: eq(pets.name, 'Rex'),
      })
      assert.deepEqual(pet.person, { isAdmin: false })
      assert.equal(await db.query.pets.findFirst({ where: eq(pets.name, 'nobody') }), undefined)
    })

    check('runs plain SQL and prepared queries', async ({ db }) => {
      assert.deepEqual(await db.run(sql`INSERT INTO people (name) VALUES (${'Ann'})`), {
        changes: 1,
        lastInsertRowid: 1,
      })
      assert.deepEqual(await db.all(sql`SELECT id, is_admin FROM people`), [{ id: 1, is_admin: 0 }])
      assert.deepEqual(await db.get(sql`SELECT name FROM people`), { name: 'Ann' })
      assert.deepEqual(await db.values(sql`SELECT id, name FROM people`), [[1, 'Ann']])
      const prepared = db
        .select()
        .from(people)
        .where(eq(people.name, sql.placeholder('name')))
        .prepare()
      assert.equal((await prepared.all({ name: 'Ann' }))[0].isAdmin, false)
      assert.equal(await prepared.get({ name: 'Bob' }), undefined)
      assert.deepEqual((await prepared.values({ name: 'Ann' }))[0].slice(0, 2), [1, 'Ann'])
    })

    check('maps the names of columns', async ({ database }) => {
      const words = sqliteTable('two_words', { firstName: text(), lastName: text('surname') })
      await database.exec('CREATE TABLE two_words (first_name TEXT, surname TEXT)')
      const db = drizzle(database, { casing: 'snake_case' })
      await db.insert(words).values({ firstName: 'Ann', lastName: 'Lee' })
      assert.deepEqual(await db.select().from(words), [{ firstName: 'Ann', lastName: 'Lee' }])
    })

    check('commits, rolls back, and nests', async ({ db }) => {
      const result = await db.transaction(
        async (tx) => {
          await add(tx, 'one')
          await assert.rejects(
            tx.transaction(async (nested) => {
              await add(nested, 'lost')
              nested.rollback()
            }),
            TransactionRollbackError,
          )
          await tx.transaction(async (nested) => {
            await add(nested, 'two')
            await nested.transaction((third) => add(third, 'three'))
          })
          return names(tx)
        },
        { behavior: 'immediate' },
      )
      assert.deepEqual(result, ['one', 'two', 'three'])
      const reason = new Error('no')
      const failing = db.transaction(async (tx) => {
        await add(tx, 'lost')
        throw reason
      })
      await assert.rejects(failing, (error) => error === reason)
      await assert.rejects(
        db.transaction(async (tx) => tx.rollback()),
        TransactionRollbackError,
      )
      assert.deepEqual(await names(db), ['one', 'two', 'three'])
    })

    check('runs transactions and queries one after the other', async ({ db }) => {
      await db.insert(people).values({ name: 'counter', age: 0 })
      const read = async (on) => (await on.select().from(people).get()).age
      const count = () =>
        db.transaction(async (tx) => {
          await tx.update(people).set({ age: (await read(tx)) + 1 })
        })
      await Promise.all(Array.from({ length: 20 }, count))
      assert.equal(await read(db), 20)
      let between
      await db.transaction(async (tx) => {
        await tx.update(people).set({ age: 99 })
        // Not awaited here: it waits for the end of this transaction.
        between = read(db)
        await tx.update(people).set({ age: 100 })
      })
      assert.equal(await between, 100)
    })

    check('rejects a query that its own transaction awaits', async ({ db }) => {
      const waiting = db.transaction(async (tx) => {
        await add(tx, 'lost')
        await names(db)
      })
      await assert.rejects(waiting, code('invalid_argument'))
      assert.deepEqual(await names(db), [])
    })

    check('leaves a slow transaction alone', async ({ db, context }) => {
      context.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
      let waiting
      await db.transaction(async (tx) => {
        await add(tx, 'slow')
        waiting = names(db)
        for (let step = 0; step < 20; step++) {
          await new Promise((resolve) => setImmediate(resolve))
          context.mock.timers.tick(4000)
          await names(tx)
        }
      })
      assert.deepEqual(await waiting, ['slow'])
      context.mock.timers.reset()
    })

    check('runs a batch in one transaction', async ({ db }) => {
      const results = await db.batch([
        db.insert(people).values({ name: 'Ann' }).returning({ id: people.id }),
        db.run(sql`INSERT INTO people (name) VALUES ('Bob')`),
        db
          .select({ person: { name: people.name }, pet: { name: pets.name } })
          .from(people)
          .leftJoin(pets, eq(pets.owner, people.id))
          .orderBy(people.id),
        db.query.people.findFirst({ columns: { isAdmin: true } }),
        db.all(sql`SELECT count(*) AS n FROM people`),
        db.values(sql`SELECT 1, 2`),
      ])
      assert.deepEqual(results, [
        [{ id: 1 }],
        { changes: 1, lastInsertRowid: 2 },
        [
          { person: { name: 'Ann' }, pet: null },
          { person: { name: 'Bob' }, pet: null },
        ],
        { isAdmin: false },
        [{ n: 2 }],
        [[1, 2]],
      ])
      await assert.rejects(db.batch([add(db, 'Cy'), add(db, 'Ann')]), code('sqlite_constraint'))
      assert.deepEqual(await names(db), ['Ann', 'Bob'])
    })

    check('rejects with the errors of tidelock', async ({ db, database }) => {
      await add(db, 'Ann')
      await assert.rejects(add(db, 'Ann'), (error) => {
        assert.equal(error.details.sqliteCode, 'SQLITE_CONSTRAINT_UNIQUE')
        assert.ok(!error.message.includes('Ann'))
        return code('sqlite_constraint')(error)
      })
      await assert.rejects(db.run(sql`SELECT * FROM nothing`), code('sqlite_error'))
      await assert.rejects(db.run(sql`begin`), code('invalid_argument'))
      let escaped
      await db.transaction(async (tx) => {
        escaped = tx
      })
      await assert.rejects(names(escaped), code('transaction_closed'))
      await database.close()
      await assert.rejects(names(db), code('closed'))
      await assert.rejects(
        db.transaction(async () => {}),
        code('closed'),
      )
    })

    check('feeds live queries, with names and types of Drizzle', async ({ db, database }) => {
      const seen = []
      const query = db.select().from(people).leftJoin(pets, eq(pets.owner, people.id)).orderBy(people.id)
      const live = database.live(query)
      live.subscribe((rows) => seen.push(rows))
      await until(() => seen.length === 1)
      await db.insert(people).values({ name: 'Ann', isAdmin: true, bornAt: new Date(5) })
      await until(() => seen.at(-1).length === 1)
      const [row] = seen.at(-1)
      assert.deepEqual([row.people.isAdmin, row.people.bornAt, row.pets], [true, new Date(5), null])
      assert.equal(live.rows, live.rows, 'the same result is the same array')
      assert.equal(live.rows, seen.at(-1))
      assert.deepEqual(await live.refresh(), await query)
      live.close()

      const first = database.live(db.query.people.findFirst({ with: { pets: true }, where: eq(people.name, 'Ann') }))
      for await (const rows of first) {
        assert.deepEqual(rows, [await db.query.people.findFirst({ with: { pets: true } })])
        break
      }
      const none = database.live(db.query.people.findFirst({ where: eq(people.name, 'nobody') }))
      assert.deepEqual(await none.refresh(), [])
      const one = database.live(db.select({ admin: people.isAdmin }).from(people).where(eq(people.id, 1)))
      assert.deepEqual(await one.refresh(), [{ admin: true }])
      assert.throws(() => one.subscribe('no function'), code('invalid_argument'))
      assert.throws(() => database.live(new QueryBuilder().select().from(people)), code('invalid_argument'))
      const placeholder = database.live(
        db
          .select()
          .from(people)
          .where(eq(people.id, sql.placeholder('id'))),
      )
      await assert.rejects(placeholder.refresh(), code('invalid_argument'))
    })
  })
}

describe('migrate', () => {
  const journal = (...tags) => ({
    entries: tags.map((tag, idx) => ({ idx, when: 1000 + idx, tag, breakpoints: true })),
  })
  const one =
    'CREATE TABLE `parent` (`id` integer PRIMARY KEY);--> statement-breakpoint\nCREATE TABLE `child` (`p` integer REFERENCES parent(id) ON DELETE CASCADE)'
  const two =
    'ALTER TABLE `parent` ADD `name` text;\n--> statement-breakpoint\nINSERT INTO parent (id) VALUES (1);INSERT INTO child VALUES (1);'
  // As drizzle-kit rebuilds a table. With foreign keys on, DROP TABLE would delete the children.
  const three = `PRAGMA foreign_keys=OFF;--> statement-breakpoint
CREATE TABLE \`__new_parent\` (\`id\` integer PRIMARY KEY, \`name\` text DEFAULT 'x');--> statement-breakpoint
INSERT INTO \`__new_parent\`("id", "name") SELECT "id", "name" FROM \`parent\`;--> statement-breakpoint
DROP TABLE \`parent\`;--> statement-breakpoint
ALTER TABLE \`__new_parent\` RENAME TO \`parent\`;--> statement-breakpoint
PRAGMA foreign_keys=ON;`
  const check = (title, work) =>
    test(title, async () => {
      const database = await open({ name: 'migrate', storage: 'memory', onWarning() {} })
      try {
        await work(drizzle(database), database)
      } finally {
        await database.close()
      }
    })
  const rows = (database, table) => database.query(`SELECT * FROM ${table}`)

  check('runs what is pending, once', async (db, database) => {
    await migrate(db, { journal: journal('0000_one'), migrations: { './drizzle/0000_one.sql': one } })
    const all = {
      journal: journal('0000_one', '0001_two', '0002_three'),
      migrations: { m0000: one, m0001: two, m0002: three },
    }
    await Promise.all([migrate(db, all), migrate(db, all)])
    await migrate(db, all)
    assert.deepEqual(await rows(database, 'parent'), [{ id: 1, name: null }])
    assert.deepEqual(await rows(database, 'child'), [{ p: 1 }], 'the children of a rebuilt table stay')
    assert.deepEqual(await database.get('PRAGMA foreign_keys'), { foreign_keys: 1 })
    const noted = await database.query('SELECT hash, created_at FROM __drizzle_migrations ORDER BY created_at')
    assert.deepEqual(
      noted.map(({ created_at }) => created_at),
      [1000, 1001, 1002],
    )
    assert.match(noted[0].hash, /^[0-9a-f]{64}$/)
  })

  check('applies nothing when one fails', async (db, database) => {
    const given = (third) => ({
      journal: journal('0000_one', '0001_two', '0002_x'),
      migrations: { '0000_one.sql': one, '0001_two.sql': two, '0002_x.sql': third },
    })
    await assert.rejects(migrate(db, given('SELECT * FROM nothing')), (error) => {
      assert.equal(error.details.version, '0002_x')
      code('sqlite_error')(error.cause)
      return code('migration_failed')(error)
    })
    await assert.rejects(migrate(db, given('PRAGMA foreign_keys=OFF;\nDELETE FROM parent')), code('migration_failed'))
    assert.deepEqual(await database.query("SELECT name FROM sqlite_schema WHERE name = 'parent'"), [])
    assert.deepEqual(await database.get('PRAGMA foreign_keys'), { foreign_keys: 1 })
    assert.deepEqual(await rows(database, '__drizzle_migrations'), [])
  })

  check('notes migrations in another table', async (db, database) => {
    const given = { journal: journal('0000_one'), migrations: { '0000_one.sql': one }, migrationsTable: 'my "own"' }
    await migrate(db, given)
    await migrate(db, given)
    assert.equal((await rows(database, '"my ""own"""')).length, 1)
  })

  check('refuses what is no folder of drizzle-kit', async (db) => {
    for (const given of [undefined, {}, { journal: {}, migrations: {} }, { journal: journal('0000_one') }])
      await assert.rejects(migrate(db, given), code('invalid_argument'))
    for (const migrations of [{}, { '0000_one.sql': 1 }, { '0001_one.sql': one }])
      await assert.rejects(migrate(db, { journal: journal('0000_one'), migrations }), code('migration_invalid'))
  })
})

test('drizzle() needs an open database', () => {
  for (const database of [undefined, null, {}, Promise.resolve()])
    assert.throws(() => drizzle(database), code('invalid_argument'))
})

test('a transaction in a long call is not idle', async (context) => {
  let finish
  const long = new Promise((resolve) => {
    finish = resolve
  })
  // A database whose calls take as long as the test wants.
  const database = {
    transaction: (work) => work({ query: () => long }),
    query: (_sql, _params, { signal }) =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
        long.then(resolve)
      }),
  }
  context.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const db = drizzle(database)
  const transaction = db.transaction((tx) => tx.values(sql`SELECT 1`))
  await new Promise((resolve) => setImmediate(resolve))
  const waiting = db.values(sql`SELECT 1`).execute()
  for (let step = 0; step < 5; step++) {
    await new Promise((resolve) => setImmediate(resolve))
    context.mock.timers.tick(5000)
  }
  finish([[1]])
  assert.deepEqual(await Promise.all([transaction, waiting]), [[[1]], [[1]]])
})
