import { hasIndexedDb, openStored, resultOf } from './indexeddb.js'
import { folderName, privateFolder } from './private-folders.js'

// What the browser's storages have of a database, for those that find data in both.

/** Returns the name of the file that exists while a database is moved between the storages, so that both have data of it. */
export function movingName(database: string): string {
  return `${folderName(database)}.moving`
}

/** Returns whether a move of the database is under way, or didn't end. */
export async function isMoving(name: string): Promise<boolean> {
  try {
    return (await (await privateFolder(false))?.getFileHandle(movingName(name))) !== undefined
  } catch {
    return false
  }
}

/**
 * What IndexedDB has of a database: `whole`; `headless`: data without the head, a damaged database or a part of a copy; `elsewhere`: what a
 * move has left (src/store/moving.rs); `unreadable`: what can be any of these; undefined: nothing, or object stores without data.
 */
export async function foundInIndexedDb(
  name: string,
): Promise<'whole' | 'headless' | 'elsewhere' | 'unreadable' | undefined> {
  if (!hasIndexedDb()) return undefined
  let database: IDBDatabase | undefined
  try {
    database = await openStored(name)
    const transaction = database.transaction(['meta', 'log'])
    const [head, records] = await Promise.all([
      resultOf(transaction.objectStore('meta').get('head')),
      resultOf(transaction.objectStore('log').count()),
    ])
    if (head === undefined) return records > 0 ? 'headless' : undefined
    return Array.isArray(head.features) && head.features.includes('elsewhere') ? 'elsewhere' : 'whole'
  } catch (error) {
    // A missing one isn't created.
    return database === undefined && (error as Error).name === 'AbortError' ? undefined : 'unreadable'
  } finally {
    database?.close()
  }
}
