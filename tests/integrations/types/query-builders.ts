// The types that an app with Kysely or Drizzle gets. Compiled by ../query-builder-types.test.mjs, never run.
import { eq, relations } from 'drizzle-orm'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { type Generated, Kysely, Migrator, sql } from 'kysely'
import { type Database, type LiveQuery, open } from 'tidelock'
import { drizzle, migrate } from 'tidelock/drizzle'
import { migrationProvider, TidelockDialect } from 'tidelock/kysely'

/** Compiles only if both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Same<A, B>) => {}

interface Tables {
  person: { id: Generated<number>; name: string; age: number | null }
}

export async function withKysely(database: Database): Promise<void> {
  const kysely = new Kysely<Tables>({ dialect: new TidelockDialect({ database }) })
  new Kysely<Tables>({ dialect: new TidelockDialect({ database: () => open({ name: 'x' }) }) })
  new Kysely<Tables>({ dialect: new TidelockDialect({ database: open({ name: 'x' }) }) })
  const query = kysely.selectFrom('person').select(['id', 'name'])
  const live = database.live(query)
  same<typeof live, LiveQuery<{ id: number; name: string }>>(true)
  database.live(query, undefined, { timeoutMs: 5 })
  same<ReturnType<typeof database.live<{ n: number }>>, LiveQuery<{ n: number }>>(true)
  const compiled = database.live<{ n: number }>(sql<{ n: number }>`select 1 as n`.compile(kysely))
  same<typeof compiled, LiveQuery<{ n: number }>>(true)
  const migrator = new Migrator({ db: kysely, provider: migrationProvider({ '0001.ts': { up: async () => {} } }) })
  await migrator.migrateToLatest()
  // @ts-expect-error a dialect needs its database
  new TidelockDialect({})
  // @ts-expect-error a query brings its parameters
  database.live(query, [1])
}

const people = sqliteTable('people', {
  id: integer().primaryKey(),
  name: text(),
  admin: integer({ mode: 'boolean' }).notNull(),
})
const schema = { people, peopleRelations: relations(people, () => ({})) }

export async function withDrizzle(database: Database): Promise<void> {
  const db = drizzle(database, { schema, logger: true, casing: 'snake_case' })
  type Person = { id: number; name: string | null; admin: boolean }
  const rows = await db.select().from(people)
  same<typeof rows, Person[]>(true)
  const live = database.live(db.select().from(people).where(eq(people.id, 1)))
  same<typeof live, LiveQuery<Person>>(true)
  const many = database.live(db.query.people.findMany())
  same<typeof many, LiveQuery<Person>>(true)
  const first = database.live(db.query.people.findFirst({ columns: { admin: true } }))
  same<typeof first, LiveQuery<{ admin: boolean }>>(true)
  const { changes } = await db.insert(people).values({ admin: true })
  same<typeof changes, number>(true)
  const nested = await db.transaction(async (tx) => tx.transaction(async (inner) => inner.query.people.findMany()))
  same<typeof nested, Person[]>(true)
  const [found, written] = await db.batch([db.select().from(people), db.delete(people)])
  same<typeof found, Person[]>(true)
  same<typeof written.changes, number>(true)
  same<typeof db.$client, Database>(true)
  await migrate(db, { journal: { entries: [{ idx: 0, when: 1, tag: '0000_x' }] }, migrations: {} })
  // @ts-expect-error a local database has no cache
  drizzle(database, { cache: undefined as never })
  // @ts-expect-error the database must be open
  drizzle(open({ name: 'x' }))
}
