import type { Health } from '../base/generated-types.js'

/** How often changes without an event are noticed, such as of the quota or the time since a snapshot. */
const intervalMs = 60_000

/** Calls back when the status or the alerts of a database change. */
export class HealthWatch {
  readonly #health: () => Promise<Health>
  readonly #changed: (health: Health) => void
  readonly #timer: ReturnType<typeof setInterval>
  /** The status and alerts of the last check. */
  #known: string | undefined
  #checking = false
  #again = false
  #ended = false

  /** Starts watching. Changes are relative to the first check. */
  constructor(health: () => Promise<Health>, changed: (health: Health) => void) {
    this.#health = health
    this.#changed = changed
    this.#timer = setInterval(() => this.check(), intervalMs)
    // In Node an open database must not keep the process running.
    ;(this.#timer as { unref?: () => void }).unref?.()
    this.check()
  }

  /** Checks the health, after an event that may have changed it. */
  async check(): Promise<void> {
    this.#again = true
    if (this.#checking) return
    this.#checking = true
    while (this.#again && !this.#ended) {
      this.#again = false
      const health = await this.#health()
      const found = [health.status, ...health.alerts.map(({ code, severity }) => `${severity} ${code}`).sort()].join()
      const before = this.#known
      this.#known = found
      if (before !== undefined && before !== found && !this.#ended) this.#changed(health)
    }
    this.#checking = false
  }

  end(): void {
    this.#ended = true
    clearInterval(this.#timer)
  }
}
