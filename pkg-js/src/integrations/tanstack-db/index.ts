/**
 * Collections of TanStack DB over the tables and queries of a database.
 *
 * @packageDocumentation
 */

import type { BaseCollectionConfig, CollectionConfig, InferSchemaOutput, StandardSchema } from '@tanstack/db'
import { type Database, type Row, type SqlFragment, type SqlParams, type SqlValue, TidelockError } from '../../index.js'
import { Feed, type FeedSource } from './feed.js'
import { addTarget, type PersistableTransaction, persistMutations } from './persist.js'
import { type CollectionKey, CollectionTable, type Conversions, parsedRow } from './table.js'

export { type PersistableTransaction, persistMutations }

type HandlerNames = 'onInsert' | 'onUpdate' | 'onDelete'
type AnySchema = StandardSchema<unknown>

/** What the options of both kinds of collections share. TanStack's own options (`id`, `schema`, `compare`, `gcTime`...) are passed on. */
export interface TidelockCollectionBase<T extends object, TKey extends CollectionKey, TSchema extends AnySchema = never>
  extends Omit<BaseCollectionConfig<T, TKey, TSchema, TidelockCollectionUtils>, 'getKey' | 'syncMode' | HandlerNames> {
  /** The open database, or the promise of it. */
  readonly database: Database | PromiseLike<Database>
  /** By column, what makes the collection's value of a stored one: `{ done: (stored: number) => stored === 1 }`. NULL stays null. */
  readonly parse?: { readonly [CollectionColumn in keyof T]?: (stored: never) => T[CollectionColumn] } | undefined
  /**
   * Called when the query fails after its first result, or when two rows share a key. The collection keeps its last rows.
   * @default console.warn
   */
  readonly onError?: ((error: TidelockError) => void) | undefined
}

/** Options of a collection over a table, which reads and writes. */
export interface TidelockTableConfig<T extends object, TKey extends CollectionKey, TSchema extends AnySchema = never>
  extends TidelockCollectionBase<T, TKey, TSchema> {
  /** The name of the table. It needs a primary key. */
  readonly table: string
  /**
   * Returns the key of a row.
   * @default the primary key: its value, or for several columns the JSON of their values
   */
  readonly getKey?: ((row: T) => TKey) | undefined
  /** By column, what makes the stored value of the collection's: the reverse of `parse`. Booleans and dates need none. */
  readonly serialize?: { readonly [CollectionColumn in keyof T]?: (value: never) => SqlValue } | undefined
}

/** Options of a collection over a query. Without handlers of your own it is read-only. */
export interface TidelockQueryConfig<T extends object, TKey extends CollectionKey, TSchema extends AnySchema = never>
  extends TidelockCollectionBase<T, TKey, TSchema>,
    Pick<BaseCollectionConfig<T, TKey, TSchema, TidelockCollectionUtils>, HandlerNames> {
  /** The query. */
  readonly sql: string | SqlFragment
  /** Its parameters. */
  readonly params?: SqlParams | undefined
  /** Returns the key of a row; no two rows may have the same. */
  readonly getKey: (row: T) => TKey
}

/** The `utils` of a collection. */
export interface TidelockCollectionUtils {
  // biome-ignore lint/suspicious/noExplicitAny: TanStack demands this of all utils
  [name: string]: any
  /** Runs the query now; resolves when the collection has its rows. */
  refresh(): Promise<void>
}

type CollectionOptions<T extends object, TKey extends CollectionKey, TSchema extends AnySchema> = Omit<
  CollectionConfig<T, TKey, TSchema, TidelockCollectionUtils>,
  'utils'
> & { utils: TidelockCollectionUtils }

/**
 * Returns options for `createCollection` of `@tanstack/db`: a collection over a table, or over a query.
 *
 * The collection follows all changes of the database: your writes, other tabs, a sync. `insert`, `update` and `delete` of a collection over
 * a table show at once and are stored by one `db.transaction`; a synced table sends them to the remote. The transaction of TanStack
 * (`isPersisted.promise`) resolves when the collection has the stored row, with what defaults and triggers made of it. A write that fails
 * is taken back, and its promise rejects with the error of the database. A row that was deleted meanwhile can't be updated:
 * `invalid_argument`.
 *
 * `collection.preload()` rejects with `invalid_argument` for an unknown table, a table without a primary key and rows that share a key,
 * with `closed` after `db.close()`, and with the error of a failed query.
 *
 * @example
 * ```ts
 * const todos = createCollection(tidelockCollectionOptions<Todo>({ database: db, table: 'todos' }))
 * await todos.preload()
 * todos.insert({ id: crypto.randomUUID(), title: 'tea', done: 0 })
 *
 * const open = createCollection(
 *   tidelockCollectionOptions<Todo, string>({ database: db, sql: 'SELECT * FROM todos WHERE done = 0', getKey: (todo) => todo.id }),
 * )
 * ```
 */
export function tidelockCollectionOptions<TSchema extends AnySchema, TKey extends CollectionKey = CollectionKey>(
  config: (
    | TidelockTableConfig<InferSchemaOutput<TSchema>, TKey, TSchema>
    | TidelockQueryConfig<InferSchemaOutput<TSchema>, TKey, TSchema>
  ) & { schema: TSchema },
): CollectionOptions<InferSchemaOutput<TSchema>, TKey, TSchema> & { schema: TSchema }
export function tidelockCollectionOptions<T extends object = Row, TKey extends CollectionKey = CollectionKey>(
  config: (TidelockTableConfig<T, TKey> | TidelockQueryConfig<T, TKey>) & { schema?: never },
): CollectionOptions<T, TKey, never> & { schema?: never }
export function tidelockCollectionOptions(
  config: TableConfig | QueryConfig,
): CollectionOptions<object, CollectionKey, never> {
  const [overTable, overQuery] = ['table' in config, 'sql' in config]
  if (overTable && !overQuery) return tableOptions(config as TableConfig)
  if (overQuery && !overTable) return queryOptions(config as QueryConfig)
  throw new TidelockError('invalid_argument', 'A collection needs either the option table or the option sql', {
    hint: 'Use table to read and write, or sql with getKey to read',
  })
}

type TableConfig = TidelockTableConfig<object, CollectionKey>
type QueryConfig = TidelockQueryConfig<object, CollectionKey>

const warn = (error: TidelockError) => console.warn(error)

function tableOptions(config: TableConfig): CollectionOptions<object, CollectionKey, never> {
  const { database, table: name, parse, serialize, getKey, onError = warn, ...passed } = config
  const table = new CollectionTable(name, { parse, serialize } as Conversions)
  const keyOf = getKey ?? ((item: object) => table.keyOf(item))
  const feed = new Feed({
    database,
    sql: table.sql,
    onError,
    load: (open) => table.load(open),
    keyOf: getKey === undefined ? (row) => table.keyOfStored(row) : (row) => getKey(table.parsed(row)),
    parsed: (row) => table.parsed(row),
  })
  const utils = { refresh: () => feed.refresh() }
  addTarget(utils, { database, table, feed, keyOf })
  const write = ({ transaction }: { transaction: PersistableTransaction }) => persistMutations(transaction)
  return { ...passed, getKey: keyOf, sync: feed.sync, utils, onInsert: write, onUpdate: write, onDelete: write }
}

function queryOptions(config: QueryConfig): CollectionOptions<object, CollectionKey, never> {
  const { database, sql, params, parse, getKey, onError = warn, onInsert, onUpdate, onDelete, ...passed } = config
  if (typeof getKey !== 'function') {
    throw new TidelockError('invalid_argument', 'A collection over a query needs the option getKey', {
      hint: 'Return what is different for each row: getKey: (row) => row.id',
    })
  }
  const parsed: FeedSource['parsed'] = (row) => parsedRow(row, parse as Conversions['parse'])
  const feed = new Feed({ database, sql, params, onError, keyOf: (row) => getKey(parsed(row)), parsed })
  /** The handler, which resolves when the collection has what it wrote. */
  const followed = <Given, Result>(handler: ((given: Given) => Promise<Result>) | undefined) =>
    handler &&
    (async (given: Given) => {
      const result = await handler(given)
      await feed.refresh()
      return result
    })
  return {
    ...passed,
    getKey,
    sync: feed.sync,
    utils: { refresh: () => feed.refresh() },
    onInsert: followed(onInsert),
    onUpdate: followed(onUpdate),
    onDelete: followed(onDelete),
  }
}
