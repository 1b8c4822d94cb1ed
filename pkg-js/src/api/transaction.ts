import { checkCall, checkFunction, checkQuery, checkScript } from '../base/check.js'
import { queryTag, type SqlFragment, type SqlQueryTag } from '../base/sql.js'
import type {
  ArrayQueryOptions,
  CallOptions,
  QueryOptions,
  Row,
  RowMode,
  RunResult,
  SqlParams,
  SqlResultValue,
  Statement,
  TransactionOptions,
} from '../base/values.js'
import { type Connection, noFastPath, rejecting } from '../engine/connection.js'
import { copyParams } from '../engine/copy-params.js'
import { type Op, op } from '../engine/core.js'
import type { Work, WorkResult } from '../engine/work.js'
import { beginTransaction, hasEnded, IdleWatch, type Steps } from './steps.js'

/**
 * An open transaction, the argument of the function passed to {@link Database.transaction}.
 *
 * After its end, every call rejects with `transaction_closed`. While a nested transaction is open, calls on the outer one wait for its
 * end; in the function of the nested one that is `invalid_argument`.
 */
export class Tx {
  /** Runs a query written as a template, see {@link Database.sql}. */
  readonly sql: SqlQueryTag
  readonly #connection: Connection
  readonly #permitId: number
  readonly #steps: Steps

  /** @internal */
  constructor(connection: Connection, permitId: number, steps: Steps) {
    this.#connection = connection
    this.#permitId = permitId
    this.#steps = steps
    this.sql = queryTag(connection, <T>(fragment: SqlFragment) => this.query<T>(fragment))
  }

  /** Marks it as no plain object, see {@link LiveQuery}. */
  get [Symbol.toStringTag](): string {
    return 'Tx'
  }

  /** Runs a query and returns its rows, see {@link Database.query}. */
  query<T = SqlResultValue[]>(
    sql: string | SqlFragment,
    params: SqlParams | undefined,
    options: ArrayQueryOptions,
  ): Promise<T[]>
  query<T = Row>(sql: string | SqlFragment, params?: SqlParams, options?: QueryOptions): Promise<T[]>
  query(sql: string | SqlFragment, params?: SqlParams, options?: QueryOptions): Promise<unknown> {
    if (options === undefined) return this.#statement(op.query, sql, params, undefined)
    return rejecting(() => this.#statement(op.query, sql, params, options, checkQuery('query', options)))
  }

  /** Runs a query and returns its first row, or undefined, see {@link Database.get}. */
  get<T = Row>(sql: string | SqlFragment, params?: SqlParams, options?: CallOptions): Promise<T | undefined> {
    return this.#checked('get', op.get, sql, params, options) as Promise<T | undefined>
  }

  /** Runs a statement, see {@link Database.run}. */
  run(sql: string | SqlFragment, params?: SqlParams, options?: CallOptions): Promise<RunResult> {
    return this.#checked('run', op.run, sql, params, options) as Promise<RunResult>
  }

  /** Runs one statement for each row of parameters, all or none, see {@link Database.runMany}. */
  async runMany(sql: string, rows: readonly SqlParams[], options?: CallOptions): Promise<{ readonly changes: number }> {
    checkCall('runMany', options)
    return this.#statement(op.runMany, sql, rows, options) as Promise<{ changes: number }>
  }

  /** Runs several statements, all or none, see {@link Database.batch}. */
  async batch<T = Row>(statements: readonly Statement[], options?: CallOptions): Promise<T[][]> {
    checkCall('batch', options)
    return (await this.#perform(['batch', statements], options)).results as T[][]
  }

  /** Runs a script inside this transaction. BEGIN and COMMIT in the script are `invalid_argument`. */
  async exec(script: string, options?: CallOptions): Promise<void> {
    checkCall('exec', options)
    await this.#perform(['script', checkScript(script)], options)
  }

  /** Runs a function in a nested transaction (a savepoint): commits into this one when it returns, rolls back when it throws. */
  async transaction<T>(work: (tx: Tx) => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    checkFunction('The work of a transaction', work)
    checkCall('transaction', options)
    const inside = (steps: Steps) => work(new Tx(this.#connection, this.#permitId, steps))
    return this.#steps.step(options, () => this.#steps.nested(this.#permitId, inside, options))
  }

  #perform(work: Work, options: CallOptions | undefined): Promise<WorkResult> {
    return this.#steps.step(options, (timeoutMs) => this.#connection.perform(this.#permitId, work, timeoutMs))
  }

  #checked(
    call: string,
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    options: CallOptions | undefined,
  ): Promise<unknown> {
    if (options === undefined) return this.#statement(kind, sql, params, undefined)
    return rejecting(() => {
      checkCall(call, options)
      return this.#statement(kind, sql, params, options)
    })
  }

  #statement(
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    options: CallOptions | undefined,
    mode: RowMode = 'object',
  ): Promise<unknown> {
    const steps = this.#steps
    // As in Connection.statement: a statement that runs synchronously needs only one promise.
    if (options === undefined && typeof sql === 'string' && !steps.busy && !steps.areLimited) {
      try {
        steps.begin()
        const result = this.#connection.tryFastPath(this.#permitId, kind, sql, params, mode)
        if (result !== noFastPath) return this.#connection.turnDue()?.then(() => result) ?? Promise.resolve(result)
      } catch (error) {
        return Promise.reject(error)
      }
    }
    if (steps.busy) params = copyParams(params)
    return steps.step(options, (timeoutMs) =>
      this.#connection.execute(this.#permitId, kind, sql, params, timeoutMs, mode),
    )
  }
}

/** Runs a function in a transaction of its own: commits when the function returns, rolls back when it throws. */
export function inTransaction<T>(
  connection: Connection,
  immediate: boolean,
  work: (tx: Tx) => T | PromiseLike<T>,
  options: TransactionOptions | undefined,
): Promise<T> {
  return connection.withPermit(options, async ({ permitId, timeoutMs }) => {
    const idle = new IdleWatch(connection, permitId)
    try {
      const remaining = {
        signal: options?.signal,
        timeoutMs: timeoutMs === 0 ? undefined : timeoutMs,
        limitMs: options?.timeoutMs,
      }
      const beginning = beginTransaction(connection, permitId, immediate, idle)
      return await (beginning instanceof Promise ? await beginning : beginning).run(
        (steps) => work(new Tx(connection, permitId, steps)),
        remaining,
      )
    } finally {
      idle.stop()
    }
  })
}

/** The calls that end a manual transaction. */
export interface TransactionEnd {
  /** Resolves when the changes are stored as the option `durability` promises. */
  commit(): Promise<void>
  rollback(): void
}

/** A transaction that the caller ends, the result of {@link Database.begin}. */
export class ManualTransaction extends Tx {
  readonly #ownSteps: Steps
  #end: TransactionEnd | undefined
  #failed = false

  /** @internal */
  constructor(connection: Connection, permitId: number, steps: Steps, end: TransactionEnd) {
    super(connection, permitId, steps)
    this.#ownSteps = steps
    this.#end = end
  }

  /**
   * Commits after the calls made before it. Resolves when the changes are stored as the option `durability` promises. A failed commit rolls
   * back. Rejects with `transaction_closed` when the transaction has ended.
   */
  async commit(): Promise<void> {
    const end = this.#takeEnd()
    try {
      await end.commit()
    } catch (error) {
      this.#failed = true
      throw error
    }
  }

  /** Rolls back after the calls made before it. Does nothing after a failed commit. Rejects with `transaction_closed` after the end. */
  async rollback(): Promise<void> {
    if (!this.#failed) this.#takeEnd().rollback()
  }

  #takeEnd(): TransactionEnd {
    const end = this.#end
    if (end === undefined) throw hasEnded()
    this.#end = undefined
    this.#ownSteps.seal()
    return end
  }
}
