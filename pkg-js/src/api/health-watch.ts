import type { Health } from './health.js'

/** What changes by itself, as the quota or the time since a snapshot, is noticed within that time. */
const intervalMs = 60_000

/** Notices when the status or the alerts of a database change. */
export class HealthWatch {
  readonly #health: () => Promise<Health>
  readonly #changed: (health: Health) => void
  readonly #timer: ReturnType<typeof setInterval>
  /** The status and alerts as they were when they were last looked at. */
  #known: string | undefined
  #looking = false
  #again = false
  #ended = false

  /** Begins: what is found at first is what later changes are changes of. */
  constructor(health: () => Promise<Health>, changed: (health: Health) => void) {
    this.#health = health
    this.#changed = changed
    this.#timer = setInterval(() => this.look(), intervalMs)
    // In Node a database alone keeps no program running.
    ;(this.#timer as { unref?: () => void }).unref?.()
    this.look()
  }

  /** Something has happened that may have changed it. */
  async look(): Promise<void> {
    this.#again = true
    if (this.#looking) return
    this.#looking = true
    while (this.#again && !this.#ended) {
      this.#again = false
      const health = await this.#health()
      const found = [health.status, ...health.alerts.map(({ code, severity }) => `${severity} ${code}`).sort()].join()
      const before = this.#known
      this.#known = found
      if (before !== undefined && before !== found && !this.#ended) this.#changed(health)
    }
    this.#looking = false
  }

  end(): void {
    this.#ended = true
    clearInterval(this.#timer)
  }
}
