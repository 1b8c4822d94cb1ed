import { checkBoolean } from '../base/check.js'
import { isTidelockError, TidelockError } from '../base/errors.js'
import { prefix, resultOf } from '../base/indexeddb.js'
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

async function inUse(name: string): Promise<unknown> {
  const holder = (await readHeadInfo(name))?.holder
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
