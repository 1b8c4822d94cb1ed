import { errorWith, isTidelockError } from '../base/errors.js'
import { isNode } from '../base/is-node.js'
import { isHeldHere, type StorageLocation } from './page-engines.js'

/** Adds the holder and a hint to the error `database_in_use`; returns other errors unchanged. */
export function withHolder(error: unknown, place: StorageLocation, hint?: string): unknown {
  if (!isTidelockError(error, 'database_in_use')) return error
  const { holder } = error.details
  if (holder === undefined) return error
  const inNode = isNode()
  if (isHeldHere(place, holder.since)) {
    return errorWith(error, {
      message: `Database already in use by this ${inNode ? 'process' : 'page'}`,
      hint: hint ?? 'Keep the database of the first open() and use it everywhere, or close it first',
    })
  }
  const { id, title, url, since } = holder
  // The id of a lock in a folder begins with the process id.
  const pid = Number.parseInt(id, 10)
  const { process } = globalThis as { process?: { pid?: number } }
  if (inNode && pid === process?.pid) {
    return errorWith(error, {
      message: `Database already in use by this process since ${localTime(since)}`,
      hint:
        hint ??
        'Close it in the thread that has it. If none has, its folder was moved or copied while it was open: remove its lock files (lock.*)',
    })
  }
  const name = inNode ? `process ${pid}` : `tab "${title === '' ? url : title}"`
  const shared = inNode ? 'End the other process' : "Open it with tabs: 'shared' in all tabs, close the other tab"
  const copied = inNode ? '. In a copy of a folder in use, remove its lock files (lock.*)' : ''
  return errorWith(error, {
    message: `Database already in use by ${name} since ${localTime(since)}`,
    hint: hint ?? `${shared}, or wait for it with lock: { onBusy: 'wait' }${copied}`,
  })
}

/** The time of day, with the date when it isn't today. */
function localTime(time: string): string {
  const local = (date: Date) => new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString()
  const [then, now] = [local(new Date(time)), local(new Date())]
  return then.slice(0, 10) === now.slice(0, 10) ? then.slice(11, 16) : then.slice(0, 16).replace('T', ' ')
}
