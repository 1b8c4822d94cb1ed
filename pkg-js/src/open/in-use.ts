import type { Database } from '../api/database.js'
import { errorWith, isTidelockError } from '../base/errors.js'
import { isNode } from '../base/is-node.js'
import type { CoreOptions } from '../engine/core.js'

/** Who has a database: `details.holder` of `database_in_use`. */
interface Holder {
  readonly id: string
  readonly title: string
  readonly url: string
  /** ISO 8601, UTC. */
  readonly since: string
}

/** Where a database lies. */
type Place = Pick<CoreOptions, 'storage' | 'name' | 'path'>

/** A database that this page is opening, or has opened. */
interface Own {
  readonly place: Place
  readonly began: number
  database?: Database
}

const own = new Set<Own>()

/** Opens a database; the error of one that is in use names its holder. */
export async function openNamingHolder(place: Place, opening: () => Promise<Database>): Promise<Database> {
  for (const one of own) if (one.database?.closed) own.delete(one)
  const mine: Own = { place, began: Date.now() }
  own.add(mine)
  try {
    mine.database = await opening()
    return mine.database
  } catch (error) {
    own.delete(mine)
    throw namingHolder(error, place)
  }
}

/** The same error; one of a database that is in use with its holder in the message, and with what to do about that one. */
export function namingHolder(error: unknown, place: Place, hint?: string): unknown {
  if (!isTidelockError(error, 'database_in_use')) return error
  const holder = error.details.holder as Holder | undefined
  if (holder === undefined) return error
  const inNode = isNode()
  if (isOwn(holder, place)) {
    return errorWith(error, {
      message: `Database already in use by this ${inNode ? 'process' : 'page'}`,
      hint: hint ?? 'Keep the database of the first open() and use it everywhere, or close it before',
    })
  }
  const { id, title, url, since } = holder
  // The id of a lock in a folder begins with the number of its process.
  const name = inNode ? `process ${Number.parseInt(id, 10)}` : `tab "${title === '' ? url : title}"`
  const shared = inNode ? 'End the other process' : "Open it with tabs: 'shared' in all tabs, close the other tab"
  return errorWith(error, {
    message: `Database already in use by ${name} since ${localTime(since)}`,
    hint: hint ?? `${shared}, or wait for it with lock: { onBusy: 'wait' }`,
  })
}

/** Whether the holder is this very page: it took the lock after this page began to open the database, and the page still has that lock. */
function isOwn({ since }: Holder, { storage, name, path = name }: Place): boolean {
  return [...own].some(
    ({ place, began, database }) =>
      place.storage === storage &&
      (place.path ?? place.name) === path &&
      began <= Date.parse(since) &&
      database?.hasLock !== false,
  )
}

/** The time of the day, of another day with its date. */
function localTime(moment: string): string {
  const local = (date: Date) => new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString()
  const [then, now] = [local(new Date(moment)), local(new Date())]
  return then.slice(0, 10) === now.slice(0, 10) ? then.slice(11, 16) : then.slice(0, 16).replace('T', ' ')
}
