import { prefix } from './stored-name.js'

/** Resolves with the result of an IndexedDB request. */
export function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** Returns whether this thread has IndexedDB. Where reading `indexedDB` is denied it counts as there: its use throws the browser's error. */
export function hasIndexedDb(): boolean {
  try {
    return typeof indexedDB === 'object' && indexedDB !== null
  } catch {
    return true
  }
}

/** Lists all databases in IndexedDB; undefined where the browser can't. Rejects with the browser's error, also where reading `indexedDB` is denied. */
export async function listIndexedDb(): Promise<IDBDatabaseInfo[] | undefined> {
  return indexedDB.databases?.()
}

/** Chromium's message about its storage, which was damaged and deleted: it has it once, for the database that is opened first. */
let loss: string | undefined

/** Returns why the browser deleted what this origin had in IndexedDB, if it reported that to a call of {@link openStored}. */
export function storageLoss(): string | undefined {
  return loss
}

/** Opens a stored database beside its engine; close it soon, since it keeps others from deleting it. Rejects when it doesn't exist. */
export function openStored(name: string): Promise<IDBDatabase> {
  const opening = indexedDB.open(prefix + name)
  opening.onupgradeneeded = (event: IDBVersionChangeEvent & { dataLoss?: string; dataLossMessage?: string }) => {
    if (event.dataLoss === 'total') loss = event.dataLossMessage
    // The database is missing, or was deleted meanwhile: don't create it.
    opening.transaction?.abort()
  }
  return resultOf(opening)
}
