import { checkBoolean } from '../base/check.js'
import { isTidelockError, TidelockError } from '../base/errors.js'
import { prefix, resultOf } from '../base/indexeddb.js'
import { folderName, isPrivate, privateFolder } from '../base/private-folders.js'
import { until } from '../base/waiting.js'
import { checkName } from '../options/open-rules.js'
import { withHolder } from './in-use.js'
import { requireStorage } from './open.js'
import { checkPlace, readHeadInfo, type StoredPlace } from './stored-place.js'

/** How long deleting waits for open connections to close. */
const deleteTimeoutMs = 10_000

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
  const { storage, path, inFolders, force } = checkPlace('deleteDatabase', options, ['force'])
  const steal = force !== undefined && checkBoolean('force', force)
  if (inFolders !== undefined) return (await inFolders()).deleteFolder(name, path, steal)
  requireStorage('indexeddb')
  const work = async (lock: Lock | null) => {
    if (lock === null) return false
    if (storage !== 'opfs') await remove(name)
    if (storage !== 'indexeddb') await removePrivate(name)
    return true
  }
  // Hold the lock until everything is deleted, so that no tab opens a partly deleted database.
  const deleted = await navigator.locks.request(prefix + name, steal ? { steal } : { ifAvailable: true }, work)
  if (!deleted) throw await inUse(name)
}

async function inUse(name: string): Promise<unknown> {
  const holder = (await readHeadInfo(name))?.holder
  const hint = 'Close it there first, or delete it with { force: true }'
  const details = holder === undefined ? {} : { holder: { ...holder, since: new Date(holder.since).toISOString() } }
  const error = new TidelockError('database_in_use', 'Database already in use', { hint, details })
  return withHolder(error, { name, storage: 'indexeddb' }, hint)
}

/** Deletes the database in the browser's private file system, if there is one. A worker that ended keeps its files for a while. */
async function removePrivate(name: string): Promise<void> {
  if (!(await isPrivate(name))) return
  const all = await privateFolder(false)
  for (const end = Date.now() + deleteTimeoutMs; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    try {
      await all?.removeEntry(folderName(name), { recursive: true })
      return
    } catch (cause) {
      if ((cause as Error).name === 'NotFoundError') return
      if ((cause as Error).name !== 'NoModificationAllowedError') throw refused(cause)
      if (Date.now() > end)
        throw new TidelockError('storage_blocked', "Another page or worker still has the database's files open", {
          hint: 'Close the other tabs of this page, and delete it again',
        })
    }
  }
}

async function remove(name: string): Promise<void> {
  try {
    await until(resultOf(indexedDB.deleteDatabase(prefix + name)), { timeoutMs: deleteTimeoutMs })
  } catch (cause) {
    throw isTidelockError(cause, 'timeout') ? connected() : refused(cause)
  }
}

function connected(): TidelockError {
  return new TidelockError('storage_blocked', 'A connection to the database is still open', {
    hint: 'Close the other tabs of this page; then the database is deleted',
  })
}

function refused(cause: unknown): TidelockError {
  return new TidelockError('storage_unavailable', 'The browser refused to delete the database', {
    hint: 'Try again; cause is the error of the browser',
    cause,
  })
}
