import type { Database, TidelockError } from '../../index.js'
import type { DatabaseState } from './database-store.js'
import { constantStore, type Store } from './external-store.js'

/**
 * Makes a store of something in a provider's database, which may arrive or change later. As long as there is no database, it is `waiting`;
 * when the database can't be opened, its value is that of `failed`.
 */
export function fromDatabase<T>(
  databases: Store<DatabaseState>,
  waiting: Store<T>,
  failed: (error: TidelockError) => T,
  storeOf: (database: Database) => Store<T>,
): Store<T> {
  let state: DatabaseState | undefined
  let inner = waiting
  const present = (): Store<T> => {
    const next = databases.get()
    if (next !== state) {
      state = next
      const { database, error } = next
      inner = database ? storeOf(database) : error ? constantStore(failed(error)) : waiting
    }
    return inner
  }
  return {
    get: () => present().get(),
    subscribe(listener) {
      let followed: Store<T> | undefined
      let stop: (() => void) | undefined
      const follow = () => {
        const next = present()
        if (next === followed) return
        stop?.()
        followed = next
        stop = next.subscribe(listener)
      }
      const unsubscribe = databases.subscribe(() => {
        follow()
        listener()
      })
      follow()
      return () => {
        unsubscribe()
        stop?.()
      }
    },
  }
}
