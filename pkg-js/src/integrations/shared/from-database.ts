import type { DatabaseState } from './database-store.js'
import type { ExternalStore } from './external-store.js'

/** Makes a store of something in a provider's database, which may arrive or change later: `storeOf` gets each of its states. */
export function fromDatabase<T>(
  databases: ExternalStore<DatabaseState>,
  storeOf: (state: DatabaseState) => ExternalStore<T>,
): ExternalStore<T> {
  let state: DatabaseState | undefined
  let inner: ExternalStore<T>
  const present = (): ExternalStore<T> => {
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
      let followed: ExternalStore<T> | undefined
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
