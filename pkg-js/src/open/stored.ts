import { checkBoolean, checkObject, checkOneOf } from '../base/check.js'
import { isTidelockError, TidelockError, unsupported } from '../base/errors.js'
import { loaded } from '../base/lazy-module.js'
import { until } from '../base/waiting.js'
import { checkPath } from '../options/check-storage.js'
import { checkName } from '../options/open-rules.js'
import { namingHolder } from './in-use.js'
import { resultOf } from './indexeddb.js'
import { requireStorage } from './open.js'
import type { DatabaseInfo } from './stored-info.js'

/** Where stored databases are. */
export interface StoredPlace {
  /**
   * `'file'`: in folders, in Node.
   * @default 'indexeddb'
   */
  readonly storage?: 'indexeddb' | 'file' | undefined
  /** With `storage: 'file'`: which folder. */
  readonly path?: string | undefined
}

const prefix = 'tidelock/'
/** Deleting waits for connections that are being closed; no longer than this. */
const deleteTimeoutMs = 10_000

/** What stands beside the bytes of the head, under the same key: `meta['head']`. */
interface Label {
  readonly features?: readonly string[]
  readonly holder?: { readonly id: string; readonly title: string; readonly url: string; readonly since: number }
}

/**
 * Lists the databases that are stored for this origin, by name. Opens none of them and takes no lock.
 *
 * With `storage: 'file'`, those of a folder: itself, if `path` is the folder of a database, else those next below it (by default
 * below the working directory).
 *
 * Rejects with `storage_unavailable` and `unsupported_environment` where the browser can't tell.
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
 * Deletes a stored database with its snapshots; one that doesn't exist is no error.
 *
 * Rejects with `database_in_use` while anybody has it open, unless `force`: the lock is stolen then, and whoever had it gets
 * `lock_lost`. Rejects with `storage_blocked` when a connection to it isn't closed for 10 s.
 *
 * With `storage: 'file'`, the database in the folder `path` (by default `./<name>.tidelock/`): its own files, and the folder when nothing
 * else is in it. The lock of a process can't be stolen: `force` is `unsupported_environment`.
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
  // The lock is ours until all is gone: nobody opens what is half deleted.
  const deleted = await navigator.locks.request(prefix + name, steal ? { steal } : { ifAvailable: true }, work)
  if (!deleted) throw await inUse(name)
}

/** Where to look, and what does it there, if that isn't the browser's storage. */
function checkPlace(call: string, options: unknown, keys: readonly string[] = []) {
  const given = checkObject(`The options of ${call}`, options, ['storage', 'path', ...keys])
  const storage = checkOneOf('storage', given.storage ?? 'indexeddb', ['indexeddb', 'file'])
  const path = checkPath(given.path, storage)
  if (storage === 'indexeddb') return { force: given.force, path, inFolders: undefined }
  requireStorage(storage)
  return { force: given.force, path, inFolders: () => loaded("storage 'file'", import('./stored-folders.js')) }
}

/** The names of the stored databases, sorted. */
export async function storedNames(): Promise<string[]> {
  requireStorage('indexeddb')
  if (typeof indexedDB.databases !== 'function') {
    const hint = 'Keep a list of the names yourself, or take a newer browser'
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
  return namingHolder(error, { name, storage: 'indexeddb' }, hint)
}

async function remove(name: string): Promise<void> {
  try {
    await until(resultOf(indexedDB.deleteDatabase(prefix + name)), { timeoutMs: deleteTimeoutMs })
  } catch (cause) {
    if (isTidelockError(cause, 'timeout')) {
      throw new TidelockError('storage_blocked', 'A connection to the database is still open', {
        hint: 'Close the other tabs of this page; it is deleted then',
      })
    }
    throw new TidelockError('storage_unavailable', 'The browser refused to delete the database', {
      hint: 'Try again; the cause is what the browser says',
      cause,
    })
  }
}

/** What is shown of a stored database; undefined where there is none, or none that can be read. */
async function readLabel(name: string): Promise<Label | undefined> {
  const opening = indexedDB.open(prefix + name)
  // It was deleted in between: nothing is made in its place.
  opening.onupgradeneeded = () => opening.transaction?.abort()
  let database: IDBDatabase | undefined
  try {
    database = await resultOf(opening)
    return await resultOf(database.transaction('meta').objectStore('meta').get('head'))
  } catch {
    return undefined
  } finally {
    database?.close()
  }
}
