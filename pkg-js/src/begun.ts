import type { Connection } from './connection.js'
import { beginTransaction, hasEnded, IdleWatch } from './steps.js'
import { BegunTx, type Ending } from './transaction.js'
import type { CallOptions } from './values.js'

/** What a transaction that nobody ends is rolled back with. */
const rolledBack = Symbol('rolled back')

/** Ends those that were forgotten: nobody else would ever get a turn. */
const forgotten = new FinalizationRegistry<() => void>((rollback) => rollback())

/** The transactions of one database that were begun by a call and have not ended. */
export class BegunTransactions {
  readonly #calls: Connection
  readonly #rollbacks = new Set<() => void>()

  constructor(calls: Connection) {
    this.#calls = calls
  }

  /** Begins one when its turn comes. */
  begin(immediate: boolean, options: CallOptions | undefined): Promise<BegunTx> {
    // Nothing that lives as long as the transaction may refer to the object that the user has: should that be lost, it is to be noticed.
    let asked: { give(tx: BegunTx): void; refuse(error: unknown): void } | undefined
    const given = new Promise<BegunTx>((give, refuse) => {
      asked = { give, refuse }
    })
    const { ending, ended, rollback } = endOf(() => whole)
    const whole = this.#calls.withTurn(options, async ({ ticket }) => {
      const idle = new IdleWatch(this.#calls)
      try {
        const beginning = beginTransaction(this.#calls, ticket, immediate, idle)
        const begun = beginning instanceof Promise ? await beginning : beginning
        return await begun.run((steps) => {
          // A database that was closed meanwhile waits for this turn.
          this.#calls.check()
          this.#rollbacks.add(rollback)
          const tx = new BegunTx(this.#calls, ticket, steps, ending)
          forgotten.register(tx, rollback)
          asked?.give(tx)
          asked = undefined
          return ended
        }, undefined)
      } finally {
        idle.stop()
        this.#rollbacks.delete(rollback)
      }
    })
    whole.catch((error: unknown) => asked?.refuse(error))
    return given
  }

  /** Rolls back all that are open. */
  close(): void {
    for (const rollback of this.#rollbacks) rollback()
  }
}

/** The end of a transaction to wait for, and how it is brought about; `whole` settles when that is done. */
function endOf(whole: () => Promise<void>) {
  let commit = () => {}
  let rollback = () => {}
  const ended = new Promise<void>((resolve, reject) => {
    commit = resolve
    rollback = () => reject(rolledBack)
  })
  ended.catch(() => {})
  const ending: Ending = {
    commit() {
      commit()
      return whole().catch((error: unknown) => {
        throw error === rolledBack ? hasEnded() : error
      })
    },
    async rollback() {
      rollback()
      await whole().catch((error: unknown) => {
        if (error !== rolledBack) throw error
      })
    },
  }
  return { ending, ended, rollback }
}
