import type { PendingMutation } from '@tanstack/db'
import { type Database, TidelockError } from '../../index.js'
import type { Feed } from './feed.js'
import type { CollectionKey, CollectionTable, RowMutation, Written } from './table.js'

/** What writes need to know of a collection over a table. */
export interface CollectionTarget {
  readonly database: Database | PromiseLike<Database>
  readonly table: CollectionTable
  readonly feed: Feed
  /** The option of the collection. */
  readonly keyOf: (item: object) => CollectionKey
}

/** The tables behind collections, by the `utils` of each. */
const targets = new WeakMap<object, CollectionTarget>()

/** Registers the table behind the collection that has these `utils`. */
export function addTarget(utils: object, target: CollectionTarget): void {
  targets.set(utils, target)
}

/** The transaction of TanStack DB as far as it is stored. */
export interface PersistableTransaction {
  // biome-ignore lint/suspicious/noExplicitAny: a transaction may hold mutations of any collections
  readonly mutations: readonly PendingMutation<any, any, any>[]
}

/**
 * Stores all mutations of a TanStack transaction by one `db.transaction`, for transactions over several collections of one database.
 *
 * Resolves when the collections have the stored rows. Rejects with `invalid_argument`, before anything is stored, when a collection isn't
 * one of `tidelockCollectionOptions({ table })` or belongs to another database, and with the error of the database when a write fails:
 * nothing of the transaction is stored then.
 *
 * @example
 * ```ts
 * const move = createTransaction({ mutationFn: ({ transaction }) => persistMutations(transaction) })
 * move.mutate(() => {
 *   lists.update('inbox', (list) => { list.count -= 1 })
 *   todos.update('t1', (todo) => { todo.list = 'done' })
 * })
 * await move.isPersisted.promise
 * ```
 */
export async function persistMutations({ mutations }: PersistableTransaction): Promise<void> {
  const changes = await Promise.all(
    mutations.map(async (mutation) => {
      const target = targets.get(mutation.collection.utils)
      if (target === undefined) throw unknownCollection()
      return { target, change: mutation as RowMutation, database: await target.database }
    }),
  )
  const database = changes[0]?.database
  if (database === undefined) return
  if (changes.some((change) => change.database !== database)) throw severalDatabases()
  // A collection without readers hasn't looked at its table.
  for (const { target } of changes) if (!target.table.loaded) await target.table.load(database)
  const written = new Map<Feed, Written[]>()
  await database.transaction(async (tx) => {
    for (const { target, change } of changes) {
      const row = await target.table.write(tx, change)
      const key = target.keyOf(change.type === 'delete' ? change.original : change.modified)
      written.set(target.feed, [...(written.get(target.feed) ?? []), { key, row }])
    }
  })
  await Promise.all([...written].map(([feed, rows]) => feed.seen(rows, database)))
}

function unknownCollection(): TidelockError {
  return new TidelockError('invalid_argument', 'A mutation belongs to a collection that has no tidelock table', {
    hint: 'Pass only mutations of collections made by tidelockCollectionOptions({ table }): filter transaction.mutations by collection',
  })
}

function severalDatabases(): TidelockError {
  return new TidelockError('invalid_argument', 'The mutations belong to collections of several databases', {
    hint: 'Store each database on its own: filter transaction.mutations by collection',
  })
}
