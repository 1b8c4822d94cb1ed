import type { DatabaseState } from './database-store.js'
import type { Store } from './external-store.js'

/** Makes a store of something in a provider's database, which may arrive or change later: `storeOf` gets each of its states. */
export function fromDatabase<T>(
  databases: Store<DatabaseState>,
  storeOf: (state: DatabaseState) => Store<T>,
): Store<T> {
  let state: DatabaseState | undefined
  let inner: Store<T>
  const present = (): Store<T> => {
    const next = databases.get()
    if (next !== state) {
      state = next
      inner = storeOf(next)
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
