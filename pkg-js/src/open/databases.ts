import { checkBoolean, checkObject, checkOneOf } from '../base/check.js'
import { isTidelockError, TidelockError, unsupported } from '../base/errors.js'
import { openStored, prefix, resultOf } from '../base/indexeddb.js'
import { loaded } from '../base/lazy-module.js'
import { until } from '../base/waiting.js'
import { checkPath } from '../options/check-storage.js'
import { checkName } from '../options/open-rules.js'
import { withHolder } from './in-use.js'
import { requireStorage } from './open.js'
import type { DatabaseInfo } from './stored-info.js'

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

/** How long deleting waits for open connections to close. */
const deleteTimeoutMs = 10_000

/** The readable part of the head record `meta['head']`. */
interface Label {
  readonly features?: readonly string[]
  readonly holder?: { readonly id: string; readonly title: string; readonly url: string; readonly since: number }
}

/**
 * Lists the databases that are stored for this origin, sorted by name. Opens no database and takes no lock.
 *
 * With `storage: 'file'` it lists the database in the folder `path`, or else those in its direct subfolders. The default of `path` is the
 * working directory.
 *
 * Rejects with `storage_unavailable` or `unsupported_environment` where the browser can't list databases.
 */
export async function databases(options?: StoredPlace): Promise<DatabaseInfo[]> {
  const { path, inFolders } = checkPlace('databases', options)
  if (inFolders !== undefined) return (await inFolders()).foldersIn(path)
  const names = await storedNames()
  const { held = [] } = await navigator.locks.query()
  const taken = new Set(held.map((lock) => lock.name))
  return Promise.all(
    names.map(async (name) => {
      const label = await readLabel(name)
      const since = label?.holder?.since
      return {
        name,
        inUse: taken.has(prefix + name),
        encrypted: label === undefined ? null : (label.features ?? []).includes('encryption'),
        openedAt: typeof since === 'number' ? new Date(since).toISOString() : null,
      }
    }),
  )
}

/**
 * Deletes a stored database with its snapshots; a missing one is no error.
 *
 * Rejects with `database_in_use` while the database is open. With `force` it steals the lock, and calls of the old holder reject with
 * `lock_lost`. Rejects with `storage_blocked` when a connection stays open for 10 s.
 *
 * With `storage: 'file'` it deletes the database in the folder `path` (by default `./<name>.tidelock/`): its own files, and the folder when
 * it is empty then. `force` is `unsupported_environment` there, because the lock of a process can't be stolen.
 */
export async function deleteDatabase(
  name: string,
  options?: StoredPlace & { readonly force?: boolean | undefined },
): Promise<void> {
  checkName(name)
  const { path, inFolders, force } = checkPlace('deleteDatabase', options, ['force'])
  const steal = force !== undefined && checkBoolean('force', force)
  if (inFolders !== undefined) return (await inFolders()).deleteFolder(name, path, steal)
  requireStorage('indexeddb')
  const work = async (lock: Lock | null) => {
    if (lock !== null) await remove(name)
    return lock !== null
  }
  // Hold the lock until everything is deleted, so that no tab opens a partly deleted database.
  const deleted = await navigator.locks.request(prefix + name, steal ? { steal } : { ifAvailable: true }, work)
  if (!deleted) throw await inUse(name)
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

/** Returns the names of the stored databases, sorted. */
export async function storedNames(): Promise<string[]> {
  requireStorage('indexeddb')
  if (typeof indexedDB.databases !== 'function') {
    const hint = 'Keep a list of the names yourself, or use a newer browser'
    throw unsupported('indexedDB.databases', 'indexedDB.databases() is missing here', hint)
  }
  const all = await indexedDB.databases()
  const names = all.map(({ name }) => name ?? '').filter((name) => name.startsWith(prefix))
  return names.map((name) => name.slice(prefix.length)).sort()
}

async function inUse(name: string): Promise<unknown> {
  const holder = (await readLabel(name))?.holder
  const hint = 'Close it there first, or delete it with { force: true }'
  const details = holder === undefined ? {} : { holder: { ...holder, since: new Date(holder.since).toISOString() } }
  const error = new TidelockError('database_in_use', 'Database already in use', { hint, details })
  return withHolder(error, { name, storage: 'indexeddb' }, hint)
}

async function remove(name: string): Promise<void> {
  try {
    await until(resultOf(indexedDB.deleteDatabase(prefix + name)), { timeoutMs: deleteTimeoutMs })
  } catch (cause) {
    if (isTidelockError(cause, 'timeout')) {
      throw new TidelockError('storage_blocked', 'A connection to the database is still open', {
        hint: 'Close the other tabs of this page; then the database is deleted',
      })
    }
    throw new TidelockError('storage_unavailable', 'The browser refused to delete the database', {
      hint: 'Try again; cause is the error of the browser',
      cause,
    })
  }
}

/** Reads the label of a stored database; returns undefined when the database is missing or unreadable. */
async function readLabel(name: string): Promise<Label | undefined> {
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
