import { refusal } from '../base/errors.js'

/** A Web Lock that this tab holds. */
export interface HeldLock {
  /** Resolves when another tab steals it. */
  readonly lost: Promise<void>
  release(): void
}

/** Acquires a Web Lock; with `ifAvailable` resolves to undefined when it is taken. Rejects when the signal aborts before. */
export function acquireLock(name: string, options: LockOptions): Promise<HeldLock | undefined> {
  return new Promise((resolve, reject) => {
    let release = () => {}
    let lose = () => {}
    const kept = new Promise<void>((end) => {
      release = end
    })
    const lost = new Promise<void>((end) => {
      lose = end
    })
    let held = false
    const given = (lock: Lock | null) => {
      held = lock !== null
      resolve(held ? { lost, release } : undefined)
      return held ? kept : undefined
    }
    // This promise is pending as long as the lock is held, and rejects when the lock is stolen.
    navigator.locks.request(name, options, given).catch((error: unknown) => (held ? lose() : reject(refusal(error))))
  })
}

/** Returns whether a leader opens its engine, rather than wait for the lock of another one. */
export async function isEngineOpening({ opening, engine }: Record<'opening' | 'engine', string>): Promise<boolean> {
  const { held = [], pending = [] } = await navigator.locks.query()
  return held.some(({ name }) => name === opening) && pending.every(({ name }) => name !== engine)
}

/** Returns what follows the prefix in the names of all held locks that begin with it. */
export async function namesHeldUnder(prefix: string): Promise<string[]> {
  const { held } = await navigator.locks.query()
  return (held ?? []).flatMap(({ name }) => (name?.startsWith(prefix) ? [name.slice(prefix.length)] : []))
}
