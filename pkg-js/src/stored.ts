import { checkBoolean, checkObject } from './check.js'
import { checkName } from './check-options.js'
import { isTidelockError, TidelockError, unsupported } from './errors.js'
import { namingHolder } from './in-use.js'
import { resultOf } from './indexeddb.js'
import { requireStorage } from './open.js'
import { until } from './waiting.js'

/** One stored database, as {@link databases} lists it. */
export interface DatabaseInfo {
  /** The name that `open` takes. */
  readonly name: string
  /** Whether somebody has it open, in any tab of this origin. */
  readonly inUse: boolean
  /** Whether it is encrypted; null where its head can't be read. */
  readonly encrypted: boolean | null
  /** When it was last opened; null where that can't be read. */
  readonly openedAt: string | null
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
 * Rejects with `storage_unavailable` and `unsupported_environment` where the browser can't tell.
 */
export async function databases(): Promise<DatabaseInfo[]> {
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
 */
export async function deleteDatabase(name: string, options?: { readonly force?: boolean | undefined }): Promise<void> {
  checkName(name)
  const { force } = checkObject('The options of deleteDatabase', options, ['force'])
  const steal = force !== undefined && checkBoolean('force', force)
  requireStorage('indexeddb')
  const work = async (lock: Lock | null) => {
    if (lock !== null) await remove(name)
    return lock !== null
  }
  // The lock is ours until all is gone: nobody opens what is half deleted.
  const deleted = await navigator.locks.request(prefix + name, steal ? { steal } : { ifAvailable: true }, work)
  if (!deleted) throw await inUse(name)
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
