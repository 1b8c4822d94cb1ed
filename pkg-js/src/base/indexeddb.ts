import { prefix } from './stored-name.js'

/** Resolves with the result of an IndexedDB request. */
export function resultOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** Opens a stored database beside its engine; close it soon, since it keeps others from deleting it. Rejects when it doesn't exist. */
export function openStored(name: string): Promise<IDBDatabase> {
  const opening = indexedDB.open(prefix + name)
  // The database is missing, or was deleted meanwhile: don't create it.
  opening.onupgradeneeded = () => opening.transaction?.abort()
  return resultOf(opening)
}
