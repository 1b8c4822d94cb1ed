// What the page of query-builders-page.test.mjs runs: Kysely and Drizzle on one database.

import { eq } from 'drizzle-orm'
import { customType, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { Kysely } from 'kysely'
import { open } from '../../pkg-js/dist/index.js'
import { drizzle } from '../../pkg-js/dist/integrations/drizzle/index.js'
import { TidelockDialect } from '../../pkg-js/dist/integrations/kysely/index.js'

// As docs/drizzle.md says: Drizzle's own blob columns need Buffer.
const bytes = customType({ dataType: () => 'blob' })
const person = sqliteTable('person', {
  id: integer().primaryKey(),
  name: text().notNull(),
  isAdmin: integer('is_admin', { mode: 'boolean' }),
  photo: bytes(),
})

globalThis.useBoth = async (thread) => {
  const database = await open({ name: `builders in ${thread}`, thread })
  await database.exec('CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL, is_admin INTEGER, photo BLOB)')
  const kysely = new Kysely({ dialect: new TidelockDialect({ database }) })
  const db = drizzle(database)

  const trx = await kysely.startTransaction().execute()
  await trx.insertInto('person').values({ name: 'Ann', is_admin: true }).execute()
  const saved = await trx.savepoint('saved').execute()
  await saved.insertInto('person').values({ name: 'lost' }).execute()
  await (await saved.rollbackToSavepoint('saved').execute()).commit().execute()

  const live = database.live(db.select().from(person).where(eq(person.isAdmin, true)).orderBy(person.id))
  await live.refresh()
  const changed = new Promise((resolve) => live.subscribe((rows) => rows.length === 2 && resolve(rows)))
  await db.transaction(async (tx) => {
    await tx.insert(person).values({ name: 'Bob', isAdmin: false })
    await tx.transaction((nested) =>
      nested.insert(person).values({ name: 'Cy', isAdmin: true, photo: new Uint8Array([1, 255]) }),
    )
  })
  const admins = (await changed).map(({ name, isAdmin, photo }) => [name, isAdmin, photo && [...photo]])

  const streamed = []
  for await (const { name } of kysely.selectFrom('person').select('name').orderBy('id').stream(1)) streamed.push(name)
  await database.close()
  const afterwards = await db
    .select()
    .from(person)
    .catch(({ code }) => code)
  return { admins, streamed, afterwards }
}
