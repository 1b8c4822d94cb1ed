import { removeRecord } from '../api/last-records.js'
import { isTidelockError, TidelockError } from '../base/errors.js'
import { resultOf } from '../base/indexeddb.js'
import { folderName, privateFolder } from '../base/private-folders.js'
import { prefix } from '../base/stored-name.js'
import type { CallOptions } from '../base/values.js'
import { until } from '../base/waiting.js'

// Removing what a storage of the browser has of a database. The caller holds the lock of the database. The signal aborts when another
// holder steals it: from then on, what is there is that holder's.

/** How long removing waits for open connections and files to close. */
export const removalTimeoutMs = 10_000

/** Removes a database from IndexedDB. Rejects with `storage_blocked` when a connection stays open, and with `storage_unavailable`. */
export async function removeRecords(name: string, options?: CallOptions): Promise<void> {
  options?.signal?.throwIfAborted()
  try {
    await until(resultOf(indexedDB.deleteDatabase(prefix + name)), { timeoutMs: removalTimeoutMs, ...options })
  } catch (cause) {
    options?.signal?.throwIfAborted()
    throw isTidelockError(cause, 'timeout') ? connected() : refused(cause)
  }
}

/**
 * Removes a database from the browser's private file system; a missing one is no error. A worker that ended keeps its files for a while:
 * rejects with `storage_blocked` when it takes longer, and with `storage_unavailable`.
 */
export async function removeFiles(name: string, options?: CallOptions): Promise<void> {
  options?.signal?.throwIfAborted()
  await removeRecord(name).catch((cause) => {
    throw refused(cause)
  })
  await removeEntry(folderName(name), options)
}

/** Removes an entry of the folder of all databases, as {@link removeFiles} does. */
export async function removeEntry(entry: string, options?: CallOptions): Promise<void> {
  // Browsers without a private file system, or that refuse it, have nothing there.
  const all = await privateFolder(false).catch(() => undefined)
  const end = Date.now() + (options?.timeoutMs ?? removalTimeoutMs)
  for (; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    options?.signal?.throwIfAborted()
    try {
      await all?.removeEntry(entry, { recursive: true })
      return
    } catch (cause) {
      if ((cause as Error).name === 'NotFoundError') return
      if ((cause as Error).name !== 'NoModificationAllowedError') throw refused(cause)
      if (Date.now() > end)
        throw new TidelockError('storage_blocked', "Another page or worker still has the database's files open", {
          hint: 'Close the other tabs of this page, and try again',
        })
    }
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
