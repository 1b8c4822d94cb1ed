import type { CallOptions } from '../base/values.js'
import type { Connection } from '../engine/connection.js'
import { beginTransaction, hasEnded, IdleWatch, type OpenTransaction } from './steps.js'
import { ManualTransaction } from './transaction.js'

/** The transactions of one database that {@link Database.begin} began and that have not ended. */
export class ManualTransactions {
  readonly #connection: Connection
  readonly #rollbacks = new Set<() => void>()

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Begins a transaction when the calls before it are done. */
  async begin(immediate: boolean, options: CallOptions | undefined): Promise<ManualTransaction> {
    const connection = this.#connection
    const acquired = connection.acquire(options)
    const { permitId } = acquired instanceof Promise ? await connection.unlessAwaitedInside(acquired) : acquired
    const idle = new IdleWatch(connection, permitId)
    const release = () => {
      idle.stop()
      connection.release(permitId)
    }
    let begun: OpenTransaction
    try {
      begun = await beginTransaction(connection, permitId, immediate, idle)
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
        if (wrote) stored = connection.stored(permitId)
      } finally {
        release()
      }
      await stored
    }
    this.#rollbacks.add(rollback)
    // A close that was called meanwhile waits for this transaction.
    if (connection.closed) rollback()
    connection.check()
    return new ManualTransaction(connection, permitId, begun.steps, { commit, rollback })
  }

  /** Rolls back all open transactions. */
  close(): void {
    for (const rollback of [...this.#rollbacks]) rollback()
  }
}
