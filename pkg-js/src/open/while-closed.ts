import { refusal, TidelockError } from '../base/errors.js'
import { prefix } from '../base/stored-name.js'
import { namesHeldUnder } from '../tabs/locks.js'
import { namesOf } from '../tabs/messages.js'
import { withHolder } from './in-use.js'
import { closedHere, type StorageLocation } from './page-engines.js'
import { removalTimeoutMs } from './removal.js'
import { readHeadInfo } from './stored-place.js'

/**
 * Runs `work` under the lock of a database of the browser, which isn't open meanwhile. A close of this page that has begun ends first, within
 * 10 s. Rejects with `database_in_use` and that hint, unless `steal`, and with `lock_lost` when the lock is stolen; the signal aborts then.
 */
export async function whileClosed(
  name: string,
  { hint, steal = false }: { readonly hint: string; readonly steal?: boolean },
  work: (stolen: AbortSignal) => Promise<void>,
): Promise<void> {
  const place: StorageLocation = { name, storage: 'indexeddb' }
  const closing = () => closedHere(place, removalTimeoutMs)
  // What the closing stores must not fail because of a stolen lock.
  if (steal) await closing()
  const attempt = () => underLock(name, steal, work)
  // Frameworks close a database a little later than they say so: look again when the lock isn't free.
  if (!((await attempt()) || ((await closing()) && (await attempt())))) throw await inUse(place, hint)
}

/** Does the same in one attempt. Returns whether the lock was free. */
async function underLock(name: string, steal: boolean, work: (stolen: AbortSignal) => Promise<void>): Promise<boolean> {
  const stolen = new AbortController()
  let isHeld = false
  const run = async (lock: Lock | null) => {
    isHeld = lock !== null
    if (!isHeld) return false
    // Between two leaders no tab has the lock, but the other tabs have the database open.
    if (!steal && (await namesHeldUnder(namesOf(name).client)).length > 0) return false
    await work(stolen.signal)
    return true
  }
  const asked = navigator.locks.request(prefix + name, steal ? { steal } : { ifAvailable: true }, run)
  // Only the browser rejects so: what `work` throws is an error of this package.
  return asked.catch((error: Error) => {
    if (!isHeld || error.name !== 'AbortError') throw refusal(error)
    const lost = new TidelockError('lock_lost', 'Another holder took this database meanwhile', { hint: 'Try again' })
    stolen.abort(lost)
    throw lost
  })
}

async function inUse(place: StorageLocation, hint: string): Promise<unknown> {
  const holder = (await readHeadInfo(place.name))?.holder
  const details = holder === undefined ? {} : { holder: { ...holder, since: new Date(holder.since).toISOString() } }
  const error = new TidelockError('database_in_use', 'Database already in use', { hint, details })
  return withHolder(error, place, hint)
}
