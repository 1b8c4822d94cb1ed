import type { Database, TidelockError } from '../../index.js'
import type { DatabaseState } from './database-store.js'
import type { Store } from './external-store.js'

/**
 * Makes a store of something in a provider's database, which may arrive or change later. Its value is `initial` as long as there is no
 * database, and that of `failed` when it can't be opened.
 */
export function fromDatabase<T>(
  databases: Store<DatabaseState>,
  initial: T,
  failed: (error: TidelockError) => T,
  storeOf: (database: Database) => Store<T>,
): Store<T> {
  let state: DatabaseState | undefined
  let inner: Store<T> | undefined
  let outcome = initial
  const present = (): Store<T> | undefined => {
    const next = databases.get()
    if (next !== state) {
      state = next
      inner = next.database && storeOf(next.database)
      outcome = next.error ? failed(next.error) : initial
    }
    return inner
  }
  return {
    get: () => present()?.get() ?? outcome,
    subscribe(listener) {
      let followed: Store<T> | undefined
      let stop: (() => void) | undefined
      const follow = () => {
        const next = present()
        if (next === followed) return
        stop?.()
        followed = next
        stop = next?.subscribe(listener)
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
