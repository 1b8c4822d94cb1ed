import type { StorageKind } from '../base/generated-types.js'
import { hasIndexedDb, openStored, resultOf } from '../base/indexeddb.js'
import { shownOf } from '../base/private-folders.js'

// Stores the last results of a database in one record, which the page can read without an engine. For a database in IndexedDB, the record
// is beside its head. The records of databases in OPFS are in an IndexedDB database of their own, each under the name of its database. An
// encrypted database has no record.

interface RecordPlace {
  readonly storage: StorageKind
  readonly name: string
}

/** The IndexedDB database with the records of databases in OPFS. Its name doesn't begin with that of databases. */
const recordsName = 'tidelock.last'

/** Returns the record; undefined when there is none. Rejects when it can't be read. */
export async function readRecord({ storage, name }: RecordPlace): Promise<unknown> {
  if (storage === 'indexeddb') return inRecords(await openStored(name), 'meta', 'readonly', storedBesideHead)
  if (!(await isKnownAsPlain(name))) return undefined
  const database = await openRecords(false)
  return database && inRecords(database, recordsName, 'readonly', (records) => resultOf(records.get(name)))
}

/** Replaces the record by what `next` returns for it; removes it when that is undefined. */
export async function changeRecord({ storage, name }: RecordPlace, next: (stored: unknown) => unknown): Promise<void> {
  if (storage === 'indexeddb')
    return inRecords(await openStored(name), 'meta', 'readwrite', async (records) => {
      // In the transaction of the write: another tab may have encrypted the database.
      const isPlain = isPlainHead(await resultOf(records.get('head')))
      put(records, 'last', isPlain ? next(await resultOf(records.get('last'))) : undefined)
    })
  const isPlain = await isKnownAsPlain(name)
  const database = await openRecords(isPlain && next(undefined) !== undefined)
  if (database === undefined) return
  await inRecords(database, recordsName, 'readwrite', async (records) => {
    put(records, name, isPlain ? next(await resultOf(records.get(name))) : undefined)
  })
  // Another tab may have encrypted the database meanwhile, and have removed what was there before.
  if (isPlain && !(await isKnownAsPlain(name))) await removeRecord(name)
}

/** Removes the record of a database in OPFS. */
export async function removeRecord(name: string): Promise<void> {
  const database = await openRecords(false)
  if (database === undefined) return
  await inRecords(database, recordsName, 'readwrite', async (records) => put(records, name, undefined))
}

function put(records: IDBObjectStore, key: string, value: unknown): void {
  if (value === undefined) records.delete(key)
  else records.put(value, key)
}

async function storedBesideHead(records: IDBObjectStore): Promise<unknown> {
  const [head, stored] = await Promise.all([resultOf(records.get('head')), resultOf(records.get('last'))])
  return isPlainHead(head) ? stored : undefined
}

/** Returns whether a database in OPFS is known not to be encrypted. Without that knowledge, no result is read or stored. */
async function isKnownAsPlain(name: string): Promise<boolean> {
  return isPlainHead(await shownOf(name))
}

function isPlainHead(head: unknown): boolean {
  const { features } = (head ?? {}) as { readonly features?: unknown }
  return Array.isArray(features) && !features.includes('encryption')
}

/** Opens the database of records; undefined when it doesn't exist and `create` is false, and without IndexedDB. */
async function openRecords(create: boolean): Promise<IDBDatabase | undefined> {
  if (!hasIndexedDb()) return undefined
  const opening = indexedDB.open(recordsName)
  opening.onupgradeneeded = () => {
    if (create) opening.result.createObjectStore(recordsName)
    else opening.transaction?.abort()
  }
  return resultOf(opening).catch((error: Error) => {
    if (create || error.name !== 'AbortError') throw error
    return undefined
  })
}

/** Runs `use` in a transaction on an object store, then closes the database. */
async function inRecords<T>(
  database: IDBDatabase,
  store: string,
  mode: IDBTransactionMode,
  use: (records: IDBObjectStore) => Promise<T>,
): Promise<T> {
  try {
    const transaction = database.transaction(store, mode, { durability: 'relaxed' })
    const ended = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(transaction.error)
    })
    // Together, so that a failure of both is handled once.
    const [result] = await Promise.all([use(transaction.objectStore(store)), ended])
    return result
  } finally {
    database.close()
  }
}
