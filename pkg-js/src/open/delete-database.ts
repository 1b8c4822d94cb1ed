import { checkBoolean } from '../base/check.js'
import { checkName } from '../options/open-rules.js'
import { endMove } from './location.js'
import { requireStorage } from './open.js'
import { removeFiles, removeRecords } from './removal.js'
import { checkPlace, type StoredPlace } from './stored-place.js'
import { whileClosed } from './while-closed.js'

/**
 * Deletes a stored database with its snapshots; a missing one is no error.
 *
 * Rejects with `database_in_use` while the database is open; waits at most 10 s for a `close()` of this page that has begun. With `force` it
 * steals the lock: calls of the old holder reject with `lock_lost`, and shared tabs go on with a new, empty database, with the warning
 * `storage_lost`. Rejects with `storage_blocked` when a connection stays open for 10 s.
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
  const hint = 'Close it there first, or delete it with { force: true }'
  // Under the lock until everything is deleted, so that no tab opens a partly deleted database.
  await whileClosed(name, { hint, steal }, async (signal) => {
    await endMove(name, { signal })
    if (storage !== 'opfs') await removeRecords(name, { signal })
    if (storage !== 'indexeddb') await removeFiles(name, { signal })
  })
}
