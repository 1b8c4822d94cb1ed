import type { ExternalStore } from '../shared/external-store.js'

/** A store by Svelte's contract: `subscribe` calls `run` at once, and after each change. */
export interface Readable<T> {
  subscribe(run: (value: T) => void): () => void
}

/** A value, or a store of it, such as `writable()`, `derived()`, or `toStore(() => ...)` of a rune. */
export type ReadableLike<T> = T | Readable<T>

/** Makes a store by Svelte's contract. */
export function readable<T>({ get, subscribe }: ExternalStore<T>): Readable<T> {
  return {
    subscribe(run) {
      run(get())
      return subscribe(() => run(get()))
    },
  }
}

/** Calls `run` with the value, and with each further one if it is a store. Returns a function that unsubscribes. */
export function follow<T>(value: ReadableLike<T>, run: (value: T) => void): () => void {
  if (isReadable(value)) return value.subscribe(run)
  run(value)
  return () => {}
}

function isReadable<T>(value: ReadableLike<T>): value is Readable<T> {
  return typeof (value as Partial<Readable<T>> | undefined | null)?.subscribe === 'function'
}
