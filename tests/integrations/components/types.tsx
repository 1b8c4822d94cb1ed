// What the types of the subpaths promise; compiled by component-types.test.mjs.
import { eq } from 'drizzle-orm'
import { integer, QueryBuilder, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { drizzle } from 'drizzle-orm/sqlite-proxy'
import type { Kysely } from 'kysely'
import type { Readable } from 'svelte/store'
import { type Database, type Row, sql, type TidelockError } from 'tidelock'
import * as react from 'tidelock/react'
import * as svelte from 'tidelock/svelte'
import * as vue from 'tidelock/vue'
import { ref } from 'vue'

interface Todo {
  readonly id: number
  readonly title: string
}
declare const kysely: Kysely<{ todos: Todo }>
declare const database: Database
const todos = sqliteTable('todos', { id: integer().notNull(), title: text().notNull() })
const orm = drizzle(async () => ({ rows: [] }), { schema: { todos } })
const builder = orm.select().from(todos).where(eq(todos.id, 1))

export function Hooks() {
  const named: readonly Todo[] = react.useLiveQuery<Todo>('SELECT * FROM todos WHERE id = ?', [1]).rows
  const rows: readonly Row[] = react.useLiveQuery(sql`SELECT * FROM todos`).rows
  const ofKysely: readonly { title: string }[] = react.useLiveQuery(kysely.selectFrom('todos').select('title')).rows
  const ofDrizzle: readonly { id: number; title: string }[] = react.useLiveQuery(builder).rows
  const related: readonly { title: string }[] = react.useLiveQuery(orm.query.todos.findMany()).rows
  const first: readonly { title: string }[] = react.useLiveQuery(orm.query.todos.findFirst()).rows
  // @ts-expect-error only a Drizzle database maps rows
  react.useLiveQuery(new QueryBuilder().select().from(todos))
  // @ts-expect-error a write is no query
  react.useLiveQuery(orm.insert(todos).values({ id: 1, title: '' }))
  const skipped: readonly Todo[] = react.useLiveQuery<Todo>(false).rows
  const suspended: readonly Todo[] = react.useSuspenseLiveQuery<Todo>('SELECT * FROM todos').rows
  const error: TidelockError | undefined = react.useLiveQuery('SELECT 1').error
  // @ts-expect-error a suspended query can't be skipped
  react.useSuspenseLiveQuery(undefined)
  // @ts-expect-error rows are shared by components
  named.push({ id: 1, title: '' })
  // @ts-expect-error it has no other column
  ofKysely[0].id

  const inspector = (
    <tidelock-inspector database={database} view="history" onviewchange={({ detail }) => console.log(detail.view)} />
  )
  // @ts-expect-error it has no such property
  const typo = <tidelock-inspector databse={database} />

  const add = react.useMutation((db, title: string) => db.run('INSERT INTO todos (title) VALUES (?)', [title]))
  const changes: number | undefined = add.data?.changes
  add.mutate('tea')
  // @ts-expect-error the input is missing
  add.mutate()
  // @ts-expect-error the input is a string
  add.mutateAsync(1)
  const clear = react.useMutation((db) => db.run('DELETE FROM todos'))
  clear.mutate()
  const open: Database = react.useSuspenseDatabase()
  const { state, role } = react.useLock()
  const { pending, tables } = react.useSyncStatus()
  const all = [rows, ofDrizzle, related, first, skipped, suspended, error, changes, open, state, role, pending, tables]
  return [...all, inspector, typo].length
}

export const providers = [
  <react.DatabaseProvider key="1" options={{ name: 'a' }} />,
  <react.DatabaseProvider key="2" database={database} fallback="waiting" />,
  <react.DatabaseProvider key="3" database={Promise.resolve(database)} />,
  <react.DatabaseProvider key="4" database={undefined} />,
  // @ts-expect-error one of the two
  <react.DatabaseProvider key="5" database={database} options={{ name: 'a' }} />,
  // @ts-expect-error one of the two
  <react.DatabaseProvider key="6" />,
]

export function composables() {
  const id = ref(1)
  const { rows } = vue.useLiveQuery<Todo>('SELECT * FROM todos WHERE id = ?', () => [id.value])
  const named: readonly Todo[] = rows.value
  const built: readonly { title: string }[] = vue.useLiveQuery(() => kysely.selectFrom('todos').select('title')).rows
    .value
  const db: Database | undefined = vue.useDatabase().value
  const add = vue.useMutation((db, title: string) => db.run('INSERT INTO todos (title) VALUES (?)', [title]))
  add.mutate('tea')
  return [named, built, db, add.pending.value, vue.useLock().value.state, vue.useSyncStatus().value.pending]
}

export function stores(ids: Readable<readonly [number]>) {
  const todos: Readable<{ readonly rows: readonly Todo[] }> = svelte.liveQuery<Todo>('SELECT * FROM todos', ids)
  const built: Readable<{ readonly rows: readonly { title: string }[] }> = svelte.liveQuery(
    kysely.selectFrom('todos').select('title'),
  )
  const add = svelte.mutation((db, title: string) => db.run('INSERT INTO todos (title) VALUES (?)', [title]))
  add.mutate('tea')
  const state: Readable<{ readonly pending: boolean }> = add
  const db: Readable<Database | undefined> = svelte.setDatabase({ options: { name: 'a' } })
  return [todos, built, state, db, svelte.lock(), svelte.syncStatus(), svelte.getDatabase()]
}
