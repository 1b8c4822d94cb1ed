import type { Database, LockEvent, TidelockError } from '../../index.js'
import type { DatabaseState } from './database-store.js'
import { constantStore, type ExternalStore, lazyStore } from './external-store.js'
import { fromDatabase } from './from-database.js'
import { listen } from './listen.js'
import { isTidelockError } from './package.js'

/** What this page is for the database, and whether the database still works here. */
export interface LockStatus {
  /** See `Database.role`; undefined before the database is open. */
  readonly role: Database['role'] | undefined
  /**
   * `waiting`: the database isn't open yet. `held`: it works here; as a follower through its leader, which holds the lock. `lost`: another
   * tab stole the lock, and calls reject with `lock_lost`. `released`: the database is closed, by a call or for another tab, or another tab
   * runs a newer version of the app, and calls reject with `schema_too_new`.
   */
  readonly state: 'waiting' | 'held' | 'lost' | 'released'
  /** Why the database can't be opened, for instance `database_in_use`. */
  readonly error: TidelockError | undefined
}

/** The status as long as there is no database. */
export const waitingLock: LockStatus = { role: undefined, state: 'waiting', error: undefined }

/** Makes the store of the role and lock of a provider's database, which may arrive later. */
export function providedLock(databases: ExternalStore<DatabaseState>): ExternalStore<LockStatus> {
  return fromDatabase(databases, ({ database, error }) =>
    database ? lockStatus(database) : constantStore({ ...waitingLock, error }),
  )
}

/** Makes the store of a database's role and lock. */
function lockStatus(database: Database): ExternalStore<LockStatus> {
  let taken: 'lost' | 'released' | undefined
  const present = (): LockStatus => ({
    role: database.role,
    state: taken ?? (database.closed ? 'released' : 'held'),
    error: undefined,
  })
  return lazyStore(present(), (set) => {
    const look = () => set(present())
    const lock = ({ detail }: CustomEvent<LockEvent>) => {
      taken = detail.state
      look()
    }
    const unlisten = listen(database, { role: look, close: look, lock })
    look()
    // An earlier event is missed, but calls still report it.
    database.get('SELECT 1').catch((error: unknown) => {
      if (isTidelockError(error, 'lock_lost')) taken = 'lost'
      if (isTidelockError(error, 'schema_too_new')) taken = 'released'
      look()
    })
    return unlisten
  })
}
