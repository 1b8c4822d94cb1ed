/** A Web Lock that this tab has. */
export interface HeldLock {
  /** Resolves when another tab takes it away. */
  readonly lost: Promise<void>
  release(): void
}

/** Waits for a Web Lock; with `ifAvailable` it gives undefined when another has it. Rejects when the signal aborts before. */
export function hold(name: string, options: LockOptions): Promise<HeldLock | undefined> {
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
    // Its promise lasts as long as the lock, and rejects when that is stolen.
    navigator.locks.request(name, options, given).catch((error: unknown) => (held ? lose() : reject(error)))
  })
}

/** What follows the prefix in the names of the locks that somebody has. */
export async function heldBehind(prefix: string): Promise<string[]> {
  const { held } = await navigator.locks.query()
  return (held ?? []).flatMap(({ name }) => (name?.startsWith(prefix) ? [name.slice(prefix.length)] : []))
}
