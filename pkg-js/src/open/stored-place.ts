import { checkOneOf, checkOptionsOf } from '../base/check.js'
import { openStored, resultOf } from '../base/indexeddb.js'
import { loaded } from '../base/lazy-module.js'
import { shownOf } from '../base/private-folders.js'
import { checkPath } from '../options/check-storage.js'
import { requireStorage } from './open.js'
import type { LastingStorage } from './stored-info.js'

/** The place of stored databases. */
export interface StoredPlace {
  /**
   * The storage. `'best'`: all storages of the browser. `'file'`: folders, in Node.
   * @default 'best'
   */
  readonly storage?: LastingStorage | 'best' | undefined
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
  const given = checkOptionsOf(call, options, ['storage', 'path', ...keys])
  const all = ['indexeddb', 'opfs', 'file', 'best'] as const
  const asked = checkOneOf('storage', given.storage ?? 'best', all)
  const storage = asked === 'best' ? undefined : asked
  const path = checkPath(given.path, storage ?? 'indexeddb')
  if (storage !== 'file') return { force: given.force, storage, path, inFolders: undefined }
  requireStorage(storage)
  return { force: given.force, storage, path, inFolders: () => loaded("storage 'file'", import('./stored-folders.js')) }
}

/**
 * Reads what a stored database shows of itself; returns undefined when the database is missing or unreadable. Without a storage, it is that
 * of a database of this name in either.
 */
export async function readHeadInfo(name: string, storage?: LastingStorage): Promise<HeadInfo | undefined> {
  const found = storage === 'opfs' ? undefined : await readFromIndexedDb(name)
  const head: HeadInfo | null | undefined = found ?? (storage === 'indexeddb' ? undefined : await shownOf(name))
  // Another program may have written something else there.
  return Array.isArray(head?.features ?? []) ? (head ?? undefined) : undefined
}

async function readFromIndexedDb(name: string): Promise<HeadInfo | undefined> {
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
