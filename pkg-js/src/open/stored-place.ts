import { checkObject, checkOneOf } from '../base/check.js'
import { openStored, resultOf } from '../base/indexeddb.js'
import { loaded } from '../base/lazy-module.js'
import { checkPath } from '../options/check-storage.js'
import { requireStorage } from './open.js'

/** The place of stored databases. */
export interface StoredPlace {
  /**
   * The storage. `'file'`: folders, in Node.
   * @default 'indexeddb'
   */
  readonly storage?: 'indexeddb' | 'file' | undefined
  /** The folder, with `storage: 'file'`. */
  readonly path?: string | undefined
}

/** The readable part of the head record `meta['head']`. */
export interface HeadInfo {
  readonly features?: readonly string[]
  readonly holder?: { readonly id: string; readonly title: string; readonly url: string; readonly since: number }
}

/** Checks the place; for folders it also returns a function that loads their module. */
export function checkPlace(call: string, options: unknown, keys: readonly string[] = []) {
  const given = checkObject(`The options of ${call}`, options, ['storage', 'path', ...keys])
  const storage = checkOneOf('storage', given.storage ?? 'indexeddb', ['indexeddb', 'file'])
  const path = checkPath(given.path, storage)
  if (storage === 'indexeddb') return { force: given.force, storage, path, inFolders: undefined }
  requireStorage(storage)
  return { force: given.force, storage, path, inFolders: () => loaded("storage 'file'", import('./stored-folders.js')) }
}

/** Reads what the head record shows of a stored database; returns undefined when the database is missing or unreadable. */
export async function readHeadInfo(name: string): Promise<HeadInfo | undefined> {
  let database: IDBDatabase | undefined
  try {
    database = await openStored(name)
    return await resultOf(database.transaction('meta').objectStore('meta').get('head'))
  } catch {
    return undefined
  } finally {
    database?.close()
  }
}
