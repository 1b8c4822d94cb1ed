/** A value that changes, in the form that every framework can observe. */
export interface ExternalStore<T> {
  /** Returns the present value: the same object until it changes. */
  readonly get: () => T
  /** Calls `listener`, a function that has not subscribed yet, after each change. Returns a function that unsubscribes. */
  readonly subscribe: (listener: () => void) => () => void
}

/**
 * A store that works only while it has subscribers. `start` gets a function that sets the value, and returns one that stops; after that,
 * the value is `initial` again, and `onStop` is called.
 *
 * It starts and stops in a microtask. Frameworks unsubscribe and subscribe again in one task (StrictMode, hot reload), and servers subscribe
 * to read once: neither may open a database or run a query.
 */
export function lazyStore<T>(
  initial: T,
  start: (set: (value: T) => void) => () => void,
  onStop: () => void = () => {},
): ExternalStore<T> {
  const listeners = new Set<() => void>()
  let value = initial
  let stop: (() => void) | undefined
  let isScheduled = false

  const begin = (): (() => void) => {
    let isActive = true
    const end = start((next) => {
      if (!isActive || next === value) return
      value = next
      for (const listener of [...listeners]) listener()
    })
    return () => {
      isActive = false
      end()
    }
  }
  const schedule = (): void => {
    if (isScheduled) return
    isScheduled = true
    queueMicrotask(() => {
      isScheduled = false
      if (listeners.size > 0) stop ??= begin()
      else {
        stop?.()
        stop = undefined
        value = initial
        onStop()
      }
    })
  }
  return {
    get: () => value,
    subscribe(listener) {
      listeners.add(listener)
      schedule()
      return () => {
        if (listeners.delete(listener)) schedule()
      }
    },
  }
}

/** A store whose value never changes. */
export function constantStore<T>(value: T): ExternalStore<T> {
  return { get: () => value, subscribe: () => () => {} }
}

/** Resolves when the value of a store fulfils a condition, which keeps the store working until then. */
export function whenTrue<T>(store: ExternalStore<T>, condition: (value: T) => boolean): Promise<T> {
  return new Promise((resolve) => {
    const look = () => {
      const value = store.get()
      if (!condition(value)) return
      unsubscribe()
      resolve(value)
    }
    const unsubscribe = store.subscribe(look)
    look()
  })
}
