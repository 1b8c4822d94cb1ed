import type { Encryption } from './encryption.js'
import { isTidelockError } from './errors.js'

/** How a database is encrypted: its secret, and those that calls of `rekey` may have given it before its engine crashed. */
export class DatabaseSecrets {
  #current: Encryption | undefined
  /** One for each `rekey` that runs, or whose outcome is unknown. */
  readonly #requested = new Set<{ readonly encryption: Encryption | undefined }>()

  constructor(current: Encryption | undefined) {
    this.#current = current
  }

  /** The secret now; undefined: the database is not encrypted. */
  get current(): Encryption | undefined {
    return this.#current
  }

  /** Sets the secret when `call`, which gives it to the database, resolves. Settles as `call` does. */
  async change(encryption: Encryption | undefined, call: () => Promise<void>): Promise<void> {
    const requested = { encryption }
    this.#requested.add(requested)
    try {
      await call()
      this.#current = encryption
      this.#requested.delete(requested)
    } catch (error) {
      const isUnknown = isTidelockError(error) && (error.details as { applied?: unknown }).applied === null
      if (!isUnknown) this.#requested.delete(requested)
      throw error
    }
  }

  /** Opens the database with its secret, or where that doesn't fit with a requested one, which is the secret then. */
  async open(attempt: (encryption: Encryption | undefined) => Promise<void>): Promise<void> {
    const requested = [...this.#requested].map(({ encryption }) => encryption)
    let refused: unknown
    for (const encryption of [this.#current, ...requested]) {
      try {
        await attempt(encryption)
        this.#current = encryption
        return
      } catch (error) {
        refused ??= error
        // A secret for a database without one is an invalid argument.
        if (!isTidelockError(error, 'decryption_failed') && !isTidelockError(error, 'invalid_argument')) throw error
      }
    }
    throw refused
  }
}
