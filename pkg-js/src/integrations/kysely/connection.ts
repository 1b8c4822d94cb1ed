import { CompiledQuery, type DatabaseConnection, type QueryResult } from 'kysely'
import {
  type CallOptions,
  type Database,
  type ManualTransaction,
  type SqlParams,
  TidelockError,
  type Tx,
} from '../../index.js'
import type { TransactionWatch } from '../shared/transaction-watch.js'

/** What newer versions of Kysely pass to each call. */
interface Abortable {
  readonly signal?: AbortSignal | undefined
}

/** An open savepoint: a nested transaction that this connection ends. */
interface Savepoint {
  readonly name: string
  readonly tx: Tx
  /** Commits the nested transaction, or rolls it back. */
  end(how: 'release' | 'rollback'): Promise<void>
}

/** A connection of Kysely: the database itself, or the transaction that was begun on it. */
export class TidelockConnection implements DatabaseConnection {
  readonly #database: Database
  readonly #watch: TransactionWatch
  #transaction: ManualTransaction | undefined
  readonly #savepoints: Savepoint[] = []
  #released = false
  /** What begins and ends transactions. As queries of the connection, Kysely's log shows them. */
  readonly #commands = new WeakMap<CompiledQuery, () => Promise<void>>()

  constructor(database: Database, watch: TransactionWatch) {
    this.#database = database
    this.#watch = watch
  }

  async executeQuery<Row>(query: CompiledQuery, options?: Abortable): Promise<QueryResult<Row>> {
    const command = this.#commands.get(query)
    if (command !== undefined) {
      await command()
      return { rows: [] }
    }
    const params = query.parameters as SqlParams
    if (returnsRows(query)) {
      const rows = await this.#call(options, (on, given) => on.query<Row>(query.sql, params, given))
      return { rows }
    }
    const { changes, lastInsertRowid } = await this.#call(options, (on, given) => on.run(query.sql, params, given))
    return { numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid), rows: [] }
  }

  async *streamQuery<Row>(
    query: CompiledQuery,
    chunkSize: number,
    options?: Abortable,
  ): AsyncIterableIterator<QueryResult<Row>> {
    if (this.#released) throw hasEnded()
    const params = query.parameters as SqlParams
    if (this.#transaction !== undefined) {
      const rows = await this.#call(options, (on, given) => on.query<Row>(query.sql, params, given))
      for (let at = 0; at < rows.length; at += chunkSize) yield { rows: rows.slice(at, at + chunkSize) }
      return
    }
    const { iterator, first } = await this.#watch.outside(options?.signal, async (given) => {
      const begun = this.#database.iterate<Row>(query.sql, params, given)[Symbol.asyncIterator]()
      return { iterator: begun, first: await begun.next() }
    })
    try {
      let rows: Row[] = []
      for (let step = first; step.done !== true; step = await iterator.next()) {
        options?.signal?.throwIfAborted()
        rows.push(step.value)
        if (rows.length < chunkSize) continue
        yield { rows }
        rows = []
      }
      if (rows.length > 0) yield { rows }
    } finally {
      await iterator.return?.()
    }
  }

  begin(): Promise<void> {
    return this.#command('begin', async () => {
      this.#transaction = await this.#watch.begin((options) => this.#database.begin(options))
    })
  }

  commit(): Promise<void> {
    return this.#command('commit', async () => {
      await this.#endFrom(0, 'release')
      await this.#end()?.commit()
    })
  }

  rollback(): Promise<void> {
    return this.#command('rollback', async () => {
      const savepoints = this.#savepoints.splice(0)
      await this.#end()?.rollback()
      // They are rolled back with it; this ends the calls that wait in them.
      for (const savepoint of savepoints) savepoint.end('rollback').catch(() => {})
    })
  }

  savepoint(name: string): Promise<void> {
    return this.#command(`savepoint ${quoted(name)}`, () => this.#begin(name))
  }

  /** Rolls back to a savepoint, which stays open, as in SQL. */
  rollbackToSavepoint(name: string): Promise<void> {
    return this.#command(`rollback to ${quoted(name)}`, async () => {
      await this.#endFrom(this.#find(name), 'rollback')
      await this.#begin(name)
    })
  }

  /** Releases a savepoint and those inside of it. */
  releaseSavepoint(name: string): Promise<void> {
    return this.#command(`release ${quoted(name)}`, () => this.#endFrom(this.#find(name), 'release'))
  }

  /** Ends the use of this connection. Kysely has ended its transaction before. */
  release(): void {
    this.#released = true
  }

  async #command(sql: string, work: () => Promise<void>): Promise<void> {
    const query = CompiledQuery.raw(sql)
    this.#commands.set(query, work)
    await this.executeQuery(query)
  }

  #end(): ManualTransaction | undefined {
    const transaction = this.#transaction
    if (transaction === undefined) return undefined
    this.#transaction = undefined
    this.#watch.end()
    return transaction
  }

  async #begin(name: string): Promise<void> {
    const outer = this.#innermost()
    await this.#watch.inside(async () => {
      let commit = () => {}
      let rollBack = (_: unknown) => {}
      const wanted = new Promise<void>((resolve, reject) => {
        commit = resolve
        rollBack = reject
      })
      let ended: Promise<void> | undefined
      const tx = await new Promise<Tx>((resolve, reject) => {
        ended = outer.transaction((nested) => {
          resolve(nested)
          return wanted
        })
        // Before the savepoint has begun; afterwards the promise of `tx` is settled already.
        ended.catch(reject)
      })
      const end = async (how: 'release' | 'rollback') => {
        if (how === 'release') commit()
        else rollBack(end)
        await ended?.catch((error) => {
          if (error !== end) throw error
        })
      }
      this.#savepoints.push({ name, tx, end })
    })
  }

  async #endFrom(at: number, how: 'release' | 'rollback'): Promise<void> {
    for (const savepoint of this.#savepoints.splice(at).reverse()) await this.#watch.inside(() => savepoint.end(how))
  }

  #find(name: string): number {
    const at = this.#savepoints.map((savepoint) => savepoint.name).lastIndexOf(name)
    if (at >= 0) return at
    throw new TidelockError('invalid_argument', `There is no savepoint '${name}' in this transaction`, {
      hint: 'Releasing a savepoint, or rolling back to one, ends those made after it',
    })
  }

  #innermost(): Tx {
    const tx = this.#savepoints.at(-1)?.tx ?? this.#transaction
    if (tx === undefined) throw hasEnded()
    return tx
  }

  /** Makes a call on the transaction, or on the database when there is none. */
  async #call<T>(
    options: Abortable | undefined,
    call: (on: Database | Tx, given: CallOptions | undefined) => Promise<T>,
  ): Promise<T> {
    // A query that begins after its transaction has ended must not run outside of it.
    if (this.#released) throw hasEnded()
    const signal = options?.signal
    if (this.#transaction === undefined) return this.#watch.outside(signal, (given) => call(this.#database, given))
    const tx = this.#innermost()
    return this.#watch.inside(() => call(tx, signal && { signal }))
  }
}

/** Returns whether a query returns rows: all do, except writes without RETURNING. */
function returnsRows({ query, sql }: CompiledQuery): boolean {
  switch (query.kind) {
    case 'InsertQueryNode':
    case 'UpdateQueryNode':
    case 'DeleteQueryNode':
      return query.returning !== undefined || query.explain !== undefined
    case 'RawNode':
      return !/^\s*(insert|update|delete|replace)\b/i.test(sql) || /\breturning\b/i.test(sql)
    default:
      return true
  }
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

function hasEnded(): TidelockError {
  return new TidelockError('transaction_closed', 'This transaction or connection of Kysely has ended', {
    hint: 'Await everything inside its function before it returns',
  })
}
