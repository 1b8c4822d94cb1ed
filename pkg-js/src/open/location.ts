import { reading } from '../base/check.js'
import { invalid, TidelockError } from '../base/errors.js'
import { callUser, warnOnConsole } from '../base/events.js'
import { foundInIndexedDb, isMoving, movingName } from '../base/found-data.js'
import { storageLoss } from '../base/indexeddb.js'
import { hasFiles, privateFolder } from '../base/private-folders.js'
import { prefix } from '../base/stored-name.js'
import type { CallOptions } from '../base/values.js'
import { checkName } from '../options/open-rules.js'
import type { OpenOptions } from '../options/options.js'
import { isDedicatedWorker } from './files-of.js'
import { removeEntry, removeFiles, removeRecords } from './removal.js'

// Which of the browser's storages has a database. While it is moved, both have data of it, and a file says so (`movingName`). Then the head
// in IndexedDB decides, whichever way it moves: see src/store/moving.rs.

/** A storage of the browser. */
export type BrowserStorage = 'indexeddb' | 'opfs'

/** Returns the storages that have a database of that name: none, one, or both when there are two databases. */
export async function storagesOf(name: string): Promise<BrowserStorage[]> {
  return storagesIn(name, await looks(name))
}

/** Does the same; rejects with `storage_unavailable` when one of them can't be read. */
export async function knownStoragesOf(name: string): Promise<BrowserStorage[]> {
  const found = await looks(name)
  if (found[0] === 'unreadable') throw unreadable('IndexedDB')
  if (found[1] === 'unreadable') throw unreadable("The browser's private file system (OPFS)")
  return storagesIn(name, found)
}

function unreadable(storage: string): TidelockError {
  return new TidelockError('storage_unavailable', `${storage} can't be read, which may have this database`, {
    hint: "Try again, or allow this site to store data in the browser's settings",
  })
}

/** Does the same with what each storage was found to have. */
async function storagesIn(name: string, [found, files]: Awaited<ReturnType<typeof looks>>): Promise<BrowserStorage[]> {
  const [isInRecords, isInFiles] = [found !== undefined && found !== 'elsewhere', files === true]
  if (!isInRecords || !isInFiles) return isInRecords ? ['indexeddb'] : isInFiles ? ['opfs'] : []
  if (!(await isMoving(name))) return ['indexeddb', 'opfs']
  return [found === 'headless' ? 'opfs' : 'indexeddb']
}

const looks = (name: string) => Promise.all([foundInIndexedDb(name), foundInFiles(name)])

/** The errors by which browsers say that there is no such folder, or no private file system here. WebKit has the last one in private windows. */
const missing = [
  'NotFoundError',
  'TypeMismatchError',
  'TypeError',
  'SecurityError',
  'NotSupportedError',
  'UnknownError',
]

/** Returns whether the private file system has the database; `unreadable` where it exists, but fails. */
async function foundInFiles(name: string): Promise<boolean | 'unreadable'> {
  try {
    return await hasFiles(name)
  } catch (error) {
    return !missing.includes((error as Error).name) && 'unreadable'
  }
}

/** Marks a database as one that is moved. The caller holds its lock. Rejects with `storage_unavailable` and `storage_quota_exceeded`. */
export async function beginMove(name: string): Promise<void> {
  try {
    await (await privateFolder(true))?.getFileHandle(movingName(name), { create: true })
  } catch (cause) {
    const isFull = (cause as Error).name === 'QuotaExceededError'
    const code = isFull ? 'storage_quota_exceeded' : 'storage_unavailable'
    throw new TidelockError(code, `The browser refused to create the file ${movingName(name)}`, {
      hint: `The database is where it was. ${isFull ? 'Free space' : 'Try again'}; cause is the error of the browser`,
      cause,
    })
  }
}

/**
 * Removes what a move has left, finished or not: all but the database. The caller holds its lock. Rejects with `storage_blocked` and
 * `storage_unavailable`.
 */
export async function endMove(name: string, options?: CallOptions): Promise<void> {
  if (!(await isMoving(name))) return
  // Each looked at once: a second answer could be another one, and remove the only whole copy.
  const [found, files] = await looks(name)
  if (found === 'unreadable' || files === 'unreadable') return
  if (found === 'whole') await removeFiles(name, options)
  else if (files) await removeRecords(name, options)
  await removeEntry(movingName(name), options)
}

/**
 * Does the same where the lock is free, and returns whether it is. What can't be removed is left to a later call: the rule holds meanwhile.
 */
async function endMoveIfFree(name: string): Promise<boolean> {
  if (!(await isMoving(name))) return true
  return navigator.locks.request(prefix + name, { ifAvailable: true }, async (lock) => {
    if (lock !== null) await endMove(name, { timeoutMs: 1000 }).catch(() => {})
    return lock !== null
  })
}

/**
 * Rejects with `invalid_argument` when another storage of the browser has the database: here it would be opened as a new one. While it is being
 * moved, that is `database_in_use`; where IndexedDB can't be read, `storage_unavailable`.
 */
export async function requireHere(name: string, storage: BrowserStorage): Promise<void> {
  const isFree = await endMoveIfFree(name)
  const found = await looks(name)
  const places = await storagesIn(name, found)
  const [place] = places
  if (place === undefined || places.includes(storage)) return
  if (found[0] === 'unreadable') throw unreadable('IndexedDB')
  if (!isFree)
    throw new TidelockError('database_in_use', `The database '${name}' is being moved to another storage`, {
      hint: 'Open it when moveStorage has ended, in the storage to which it moves',
    })
  throw invalid(`The database '${name}' is in storage '${place}'`, {
    hint: `Open it with storage: '${place}', or move it with moveStorage('${name}', { to: '${storage}' })`,
    details: { option: 'storage' },
  })
}

/** Returns the storage of `storage: 'best'`: the one that has the database, or the one that suits a new one. */
export async function bestStorage(options: OpenOptions): Promise<BrowserStorage> {
  // `open` says that locks are missing. Of the storages, a missing one has nothing; where both are, `open` says so, too.
  if (typeof navigator === 'undefined' || navigator.locks === undefined) return 'indexeddb'
  const name = reading('name', () => checkName(options.name))
  await endMoveIfFree(name)
  const found = await looks(name)
  const [place] = await storagesIn(name, found)
  if (place !== undefined) return place
  if (found[1] !== 'unreadable') {
    warnOfLoss(name, options.onWarning)
    return (await suitsFiles()) ? 'opfs' : 'indexeddb'
  }
  // A new database in IndexedDB would hide the one that may be there.
  throw unreadable("The browser's private file system (OPFS)")
}

/** Says, when a new database is made, that the browser may have lost the one of that name. */
function warnOfLoss(name: string, onWarning: OpenOptions['onWarning']): void {
  const loss = storageLoss()
  if (loss === undefined) return
  const message = `the browser found its storage damaged and deleted it; if it had '${name}', this is another, empty database: ${loss}`
  callUser(onWarning ?? warnOnConsole, { code: 'storage_lost', message })
}

/** Returns whether a new database is to be in the private file system: where a worker can have its files, and the browser doesn't refuse it. */
async function suitsFiles(): Promise<boolean> {
  if (typeof Worker === 'undefined' && !isDedicatedWorker()) return false
  try {
    return (await navigator.storage.getDirectory()) !== undefined
  } catch {
    return false
  }
}
