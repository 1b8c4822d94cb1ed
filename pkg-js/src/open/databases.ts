import { TidelockError, unsupported } from '../base/errors.js'
import { listIndexedDb } from '../base/indexeddb.js'
import { privateNames } from '../base/private-folders.js'
import { prefix } from '../base/stored-name.js'
import { storagesOf } from './location.js'
import { requireStorage } from './open.js'
import type { DatabaseInfo } from './stored-info.js'
import { checkPlace, readHeadInfo, type StoredPlace } from './stored-place.js'

/**
 * Lists the databases that are stored for this origin, each with its storage, sorted by name. Opens no database and takes no lock.
 *
 * With `storage: 'file'` it lists the database in the folder `path`, or else those in its direct subfolders. The default of `path` is the
 * working directory.
 *
 * Rejects with `storage_unavailable` or `unsupported_environment` where the browser can't list databases.
 */
export async function databases(options?: StoredPlace): Promise<DatabaseInfo[]> {
  const { storage, path, inFolders } = checkPlace('databases', options)
  if (inFolders !== undefined) return (await inFolders()).foldersIn(path)
  const records = storage === 'opfs' ? [] : await storedNames()
  const files = await privateNames()
  const places = await Promise.all(
    [...new Set([...records, ...files])].sort().map(async (name) => {
      // While a database is moved, both storages have data of it.
      const storages = files.includes(name) ? await storagesOf(name) : (['indexeddb'] as const)
      return storages.map((storage) => ({ name, storage }))
    }),
  )
  const { held = [] } = await navigator.locks.query()
  const taken = new Set(held.map((lock) => lock.name))
  const wanted = places.flat().filter((place) => storage === undefined || place.storage === storage)
  return Promise.all(
    wanted.map(async ({ name, storage }) => {
      const head = await readHeadInfo(name, storage)
      const since = head?.holder?.since
      const isTime = typeof since === 'number' && Math.abs(since) <= 8.64e15
      return {
        name,
        storage,
        inUse: taken.has(prefix + name),
        encrypted: head === undefined ? null : (head.features ?? []).includes('encryption'),
        openedAt: isTime ? new Date(since).toISOString() : null,
      }
    }),
  )
}

/** Returns the names of the databases in IndexedDB. */
async function storedNames(): Promise<string[]> {
  requireStorage('indexeddb')
  const all = await listIndexedDb().catch((cause) => {
    throw new TidelockError('storage_unavailable', "The browser can't list the databases in IndexedDB", {
      hint: 'Try again; cause is the error of the browser',
      cause,
    })
  })
  if (all === undefined) {
    const hint = 'Keep a list of the names yourself, or use a newer browser'
    throw unsupported('indexedDB.databases', 'indexedDB.databases() is missing here', hint)
  }
  const names = all.map(({ name }) => name ?? '').filter((name) => name.startsWith(prefix))
  return names.map((name) => name.slice(prefix.length))
}
