import { type Generated, Kysely } from 'kysely'
import { migrationsFrom, open } from 'tidelock'
import { TidelockDialect } from 'tidelock/kysely'

interface Tables {
  categories: { id: Generated<number>; name: string }
  expenses: { id: Generated<number>; category_id: number; cents: number; spent_at: Generated<string> }
}

const files = import.meta.glob<string>('./migrations/*.sql', { query: '?raw', import: 'default', eager: true })

export const db = await open({ name: 'expenses', migrations: migrationsFrom(files) })
export const kysely = new Kysely<Tables>({ dialect: new TidelockDialect({ database: db }) })
