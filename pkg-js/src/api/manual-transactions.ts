import type { CallOptions } from '../base/values.js'
import type { Connection } from '../engine/connection.js'
import { type Begun, beginTransaction, hasEnded, IdleWatch } from './steps.js'
import { ManualTransaction } from './transaction.js'

/** The transactions of one database that were begun by a call and have not ended. */
export class ManualTransactions {
  readonly #calls: Connection
  readonly #rollbacks = new Set<() => void>()

  constructor(calls: Connection) {
    this.#calls = calls
  }

  /** Begins one when its turn comes. */
  async begin(immediate: boolean, options: CallOptions | undefined): Promise<ManualTransaction> {
    const calls = this.#calls
    const { ticket } = await calls.acquire(options)
    const idle = new IdleWatch(calls, ticket)
    const release = () => {
      idle.stop()
      calls.leave(ticket)
    }
    let begun: Begun
    try {
      begun = await beginTransaction(calls, ticket, immediate, idle)
    } catch (error) {
      release()
      throw error
    }
    const rollback = () => {
      if (!this.#rollbacks.delete(rollback)) return
      begun.rollback()
      release()
    }
    const commit = async () => {
      if (!this.#rollbacks.delete(rollback)) throw hasEnded()
      let stored: Promise<void> | undefined
      try {
        const [, wrote] = await begun.run(() => {}, undefined)
        if (wrote) stored = calls.stored(ticket)
      } finally {
        release()
      }
      await stored
    }
    this.#rollbacks.add(rollback)
    // A database that was closed meanwhile waits for this turn.
    if (calls.closed) rollback()
    calls.check()
    return new ManualTransaction(calls, ticket, begun.steps, { commit, rollback })
  }

  /** Rolls back all that are open. */
  close(): void {
    for (const rollback of [...this.#rollbacks]) rollback()
  }
}
