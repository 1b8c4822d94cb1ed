import { checkCall, checkFunction, checkQuery } from './check.js'
import { type Connection, copyParams, type Soon, soon } from './connection.js'
import { type Op, op } from './core.js'
import { TidelockError } from './errors.js'
import { queryTag, type SqlFragment, type SqlQueryTag } from './sql.js'
import type {
  ArrayQueryOptions,
  CallOptions,
  Columns,
  ColumnsQueryOptions,
  QueryOptions,
  Row,
  RowMode,
  RunResult,
  SqlParams,
  SqlResultValue,
  Statement,
} from './values.js'

const idleMs = 5000

/**
 * A transaction that is open: what the function given to {@link Database.transaction} works with.
 *
 * Once it has ended, every call rejects with `transaction_closed`. While a nested transaction is open, calls on the
 * outer one wait for its end.
 */
export class Tx {
  /** Runs a query given as a template, see {@link Database.sql}. */
  readonly sql: SqlQueryTag
  readonly #calls: Connection
  readonly #ticket: number
  readonly #idle: IdleWatch
  /** The steps that wait, while one is under way: a nested transaction takes long. */
  readonly #line: (() => void)[] = []
  #busy = false
  #inner: Tx | undefined
  #ended = false

  /** @internal */
  constructor(calls: Connection, ticket: number, idle: IdleWatch) {
    this.#calls = calls
    this.#ticket = ticket
    this.#idle = idle
    this.sql = queryTag(calls, <T>(fragment: SqlFragment) => this.query<T>(fragment))
  }

  /** The rows of a query, see {@link Database.query}. */
  query<T = SqlResultValue[]>(
    sql: string | SqlFragment,
    params: SqlParams | undefined,
    options: ArrayQueryOptions,
  ): Promise<T[]>
  query(sql: string | SqlFragment, params: SqlParams | undefined, options: ColumnsQueryOptions): Promise<Columns>
  query<T = Row>(
    sql: string | SqlFragment,
    params?: SqlParams,
    options?: QueryOptions & { readonly rowMode?: 'object' | 'array' | undefined },
  ): Promise<T[]>
  async query(sql: string | SqlFragment, params?: SqlParams, options?: QueryOptions): Promise<unknown> {
    const mode = checkQuery('query', options)
    return this.#statement(op.query, sql, params, options, mode)
  }

  /** The first row of a query, or undefined, see {@link Database.get}. */
  async get<T = Row>(sql: string | SqlFragment, params?: SqlParams, options?: CallOptions): Promise<T | undefined> {
    checkCall('get', options)
    return this.#statement(op.get, sql, params, options) as Promise<T | undefined>
  }

  /** Runs a statement, see {@link Database.run}. */
  async run(sql: string | SqlFragment, params?: SqlParams, options?: CallOptions): Promise<RunResult> {
    checkCall('run', options)
    return this.#statement(op.run, sql, params, options) as Promise<RunResult>
  }

  /** Runs one statement for many rows, all or none, see {@link Database.runMany}. */
  async runMany(sql: string, rows: readonly SqlParams[], options?: CallOptions): Promise<{ readonly changes: number }> {
    checkCall('runMany', options)
    return this.#statement(op.runMany, sql, rows, options) as Promise<{ changes: number }>
  }

  /** Runs several statements, all or none, see {@link Database.batch}. */
  async batch<T = Row>(statements: readonly Statement[], options?: CallOptions): Promise<T[][]> {
    checkCall('batch', options)
    const run = () => this.#calls.batch(this.#ticket, statements, options?.timeoutMs ?? 0)
    return this.#step(options, () => soon(run(), ([rows]) => rows)) as Promise<T[][]>
  }

  /** Runs a script inside this transaction: it can't have a BEGIN or COMMIT of its own. */
  async exec(script: string, options?: CallOptions): Promise<void> {
    checkCall('exec', options)
    await this.#step(options, () => this.#calls.script(this.#ticket, script, options?.timeoutMs ?? 0))
  }

  /** A nested transaction (a savepoint): commits into this one when its function returns, rolls back when it throws. */
  async transaction<T>(work: (tx: Tx) => T | PromiseLike<T>, options?: CallOptions): Promise<T> {
    checkFunction('The work of a transaction', work)
    checkCall('transaction', options)
    return this.#step(options, async () => {
      const beginning = beginTransaction(this.#calls, this.#ticket, false, this.#idle)
      const begun = beginning instanceof Promise ? await beginning : beginning
      // The one around it was rolled back meanwhile, and this one with it.
      if (this.#ended) throw new TidelockError('transaction_closed', 'The transaction around this one has ended')
      this.#inner = begun.tx
      try {
        return (await begun.run(work, options))[0]
      } finally {
        this.#inner = undefined
        this.#idle.used()
      }
    })
  }

  #statement(
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    options: CallOptions | undefined,
    mode: RowMode = 'object',
  ): Promise<unknown> {
    if (this.#busy) params = copyParams(params)
    return this.#step(options, () =>
      this.#calls.execute(this.#ticket, kind, sql, params, options?.timeoutMs ?? 0, mode),
    )
  }

  /** One step after the other: at once, or when those before it are done. */
  async #step<T>(options: CallOptions | undefined, work: () => Soon<T>): Promise<T> {
    this.#calls.startLate()
    options?.signal?.throwIfAborted()
    if (this.#busy) await this.#place(options)
    this.#busy = true
    try {
      if (this.#ended) throw new TidelockError('transaction_closed', 'This transaction has ended')
      this.#idle.used()
      let result: Soon<T>
      try {
        result = work()
      } catch (error) {
        await this.#calls.loadWhatLacks(error)
        result = work()
      }
      return result instanceof Promise ? await result : result
    } finally {
      this.#next()
    }
  }

  /** Resolves when the steps before it are done. */
  async #place(options: CallOptions | undefined): Promise<void> {
    let wake = () => {}
    const woken = new Promise<void>((resolve) => {
      wake = resolve
    })
    this.#line.push(wake)
    try {
      await this.#calls.orStopped(woken, options)
    } catch (error) {
      const at = this.#line.indexOf(wake)
      if (at >= 0) this.#line.splice(at, 1)
      else this.#next()
      throw error
    }
  }

  #next(): void {
    const wake = this.#line.shift()
    if (wake === undefined) this.#busy = false
    else wake()
  }

  /** @internal Resolves when no step is under way. */
  async settled(): Promise<void> {
    while (this.#busy) {
      await this.#place(undefined)
      this.#next()
    }
  }

  /** @internal Ends it and what is nested in it; false when the one around it has ended it already. */
  end(): boolean {
    if (this.#ended) return false
    this.#ended = true
    this.#inner?.end()
    for (const wake of this.#line.splice(0)) wake()
    return true
  }
}

/** Warns once when a transaction does nothing for long while all others wait for it. */
export class IdleWatch {
  #lastUsed = performance.now()
  #timer: ReturnType<typeof setTimeout>

  constructor(calls: Connection) {
    const look = () => {
      const left = idleMs - (performance.now() - this.#lastUsed)
      if (left > 0) this.#timer = setTimeout(look, left)
      else
        calls.warn(
          'transaction_idle',
          `A transaction has done nothing for ${idleMs / 1000} s; all other calls wait for its end`,
        )
    }
    this.#timer = setTimeout(look, idleMs)
  }

  used(): void {
    this.#lastUsed = performance.now()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}

/** Begins a transaction on a ticket that holds the turn. */
export function beginTransaction(calls: Connection, ticket: number, immediate: boolean, idle: IdleWatch) {
  return soon(calls.begin(ticket, immediate), (depth) => begun(calls, ticket, depth, new Tx(calls, ticket, idle)))
}

/** A transaction that has begun; `run` takes it to its end. */
function begun(calls: Connection, ticket: number, depth: number, tx: Tx) {
  return {
    tx,
    /** What the work returned, and whether the database was written. Rolls back when it throws, aborts or takes too long. */
    async run<T>(
      work: (tx: Tx) => T | PromiseLike<T>,
      options: CallOptions | undefined,
    ): Promise<readonly [T, boolean]> {
      let committing = false
      try {
        const value = await calls.orStopped(finish(work, tx), options)
        committing = tx.end()
        if (!committing) throw new TidelockError('transaction_closed', 'The transaction around this one has ended')
        const wrote = calls.commit(ticket, depth)
        return [value, wrote instanceof Promise ? await wrote : wrote]
      } catch (error) {
        if (committing || tx.end()) calls.rollback(ticket, depth)
        throw error
      }
    },
  }
}

async function finish<T>(work: (tx: Tx) => T | PromiseLike<T>, tx: Tx): Promise<T> {
  const value = await work(tx)
  await tx.settled()
  return value
}
