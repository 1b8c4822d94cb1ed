// Type-checked against the packed package by each version of TypeScript that it promises to support.
import {
  type Bytes,
  type Database,
  type ErrorCode,
  isTidelockError,
  type LiveQuery,
  open,
  type Row,
  type SqlQueryTag,
  sql,
  TidelockError,
} from 'tidelock'

interface Order {
  id: number
  item: string
  price: string | null
}

interface NewOrder {
  item: string
  price: string | null
}

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const is = <_ extends true>() => {}

export async function rows(db: Database, order: NewOrder) {
  const untyped = await db.sql`SELECT * FROM orders WHERE id IN (${[1, 2]})`
  is<Same<typeof untyped, Row[]>>()
  const value = untyped[0]?.item
  is<Same<typeof value, string | number | bigint | Bytes | null | undefined>>()
  const typed = await db.sql<Order>`SELECT * FROM orders WHERE item = ${order.item}`
  is<Same<typeof typed, Order[]>>()
  await db.transaction(async (tx) => {
    const inside = await tx.sql`SELECT 1 AS one`
    is<Same<typeof inside, Row[]>>()
    const tag: SqlQueryTag = tx.sql
    await tag`DELETE FROM orders`
  })
  // Objects of an interface as named parameters.
  await db.run('INSERT INTO orders (item, price) VALUES (:item, :price)', order)
  await db.runMany('INSERT INTO orders (item, price) VALUES (:item, :price)', [order, order])
  await db.batch([{ sql: 'SELECT :item, :price', params: order }])
  await db.query<Order>('SELECT * FROM orders WHERE id = ?', [1n])
  const found: Order | undefined = await db.get<Order>(
    'SELECT * FROM orders WHERE item = :item AND price = :price',
    order,
  )
  const live: LiveQuery<Order> = db.live<Order>('SELECT * FROM orders')
  for await (const orders of live) is<Same<typeof orders, Order[]>>()
  // @ts-expect-error: parameters by position are values that can be bound
  await db.query('SELECT ?', [{ id: 1 }])
  // @ts-expect-error: the parameters are one array
  await db.query('SELECT ?', 1)
  // @ts-expect-error: nor can this be bound
  await db.sql`SELECT ${undefined}`
  const where = sql.join([sql`id > ${1}`, sql`item = ${'tea'}`], ' AND ')
  await db.sql`INSERT INTO orders (item, price) VALUES ${sql.values([['tea', null]])}`
  return [found, await db.sql<Order>`SELECT * FROM ${sql.identifier('orders')} WHERE ${where}`]
}

export function told(error: unknown): string | undefined {
  if (isTidelockError(error, 'database_in_use')) return error.details.holder?.title
  if (isTidelockError(error, 'sqlite_constraint')) {
    const code: string | undefined = error.details.sqliteCode
    const text: string | undefined = error.details.sql
    return code ?? text
  }
  if (!isTidelockError(error)) return undefined
  switch (error.code) {
    case 'lock_timeout':
      return error.details.holder?.since
    case 'migration_checksum_mismatch':
      return error.details.version
    default: {
      const code: ErrorCode = error.code
      const detail: unknown = error.details.anything
      return `${code} ${detail} ${error.hint}`
    }
  }
}

export const another: TidelockError = new TidelockError('timeout', 'Too late', { details: { timeoutMs: 5 } })

export async function disposed(): Promise<void> {
  await using db = await open({ name: 'x' })
  db.addEventListener('role', ({ detail }) => console.log(detail.role))
  // @ts-expect-error: no such role
  db.addEventListener('role', ({ detail }) => console.log(detail.role === 'owner'))
  await db.exec('SELECT 1')
}

export const withToken = (token: string): Promise<Database> =>
  open({ name: 'x', remote: { url: 'https://x.supabase.co', key: 'k', tables: ['t'], accessToken: () => token } })

declare const console: { log(...values: unknown[]): void }
