import {
  entityKind,
  type Logger,
  type Query,
  type RelationalSchemaConfig,
  type TablesRelationalConfig,
} from 'drizzle-orm'
import {
  type PreparedQueryConfig,
  type SelectedFieldsOrdered,
  type SQLiteAsyncDialect,
  type SQLiteExecuteMethod,
  SQLiteSession,
  SQLiteTransaction,
  type SQLiteTransactionConfig,
} from 'drizzle-orm/sqlite-core'
import type { Database, RunResult, Tx } from '../../index.js'
import type { TransactionWatch } from '../shared/transaction-watch.js'
import { type LoggedCall, type RelationalMapper, TidelockPreparedQuery } from './prepared-query.js'

/** What all sessions of one Drizzle database share. */
export interface Shared<Schema extends TablesRelationalConfig> {
  readonly dialect: SQLiteAsyncDialect
  readonly schema: RelationalSchemaConfig<Schema> | undefined
  readonly logger: Logger
  readonly watch: TransactionWatch
}

/** A query of a batch: plain SQL, or a built query. */
interface Batched {
  _prepare(): TidelockPreparedQuery | { getQuery(): Query & { readonly method: 'run' | 'all' | 'get' | 'values' } }
}

/** Runs the queries of Drizzle on a database, or in a transaction of it. */
export class TidelockSession<
  FullSchema extends Record<string, unknown>,
  Schema extends TablesRelationalConfig,
> extends SQLiteSession<'async', RunResult, FullSchema, Schema> {
  static override readonly [entityKind]: string = 'TidelockSession'
  readonly #database: Database
  readonly #tx: Tx | undefined
  readonly #depth: number
  readonly #shared: Shared<Schema>

  constructor(database: Database, shared: Shared<Schema>, tx?: Tx, depth = 0) {
    super(shared.dialect)
    this.#database = database
    this.#shared = shared
    this.#tx = tx
    this.#depth = depth
  }

  readonly #call: LoggedCall = (sql, params, call) => {
    const { logger, watch } = this.#shared
    logger.logQuery(sql, params as unknown[])
    const tx = this.#tx
    if (tx === undefined) return watch.outside(undefined, (options) => call(this.#database, params, options))
    return watch.inside(() => call(tx, params, undefined))
  }

  override prepareQuery(
    query: Query,
    fields: SelectedFieldsOrdered | undefined,
    method: SQLiteExecuteMethod,
    _isArrayMode: boolean,
    relational?: RelationalMapper,
  ): TidelockPreparedQuery<PreparedQueryConfig & { type: 'async' }> {
    return new TidelockPreparedQuery(this.#call, query, fields, method, relational)
  }

  override transaction<T>(
    work: (tx: TidelockTransaction<FullSchema, Schema>) => Promise<T>,
    config?: SQLiteTransactionConfig,
  ): Promise<T> {
    return this.#transaction((session) => work(session.#asTransaction()), config)
  }

  /** Runs queries in one transaction, and returns the result of each. */
  batch(queries: readonly Batched[]): Promise<unknown[]> {
    return this.#transaction(async (session) => {
      const results: unknown[] = []
      for (const query of queries) {
        const prepared = query._prepare()
        if (prepared instanceof TidelockPreparedQuery) results.push(await prepared.with(session.#call).execute())
        else {
          const { method, ...plain } = prepared.getQuery()
          results.push(await session.prepareQuery(plain, undefined, 'run', false)[method]())
        }
      }
      return results
    })
  }

  #transaction<T>(
    work: (session: TidelockSession<FullSchema, Schema>) => Promise<T>,
    config?: SQLiteTransactionConfig,
  ): Promise<T> {
    const inside = (tx: Tx) => work(new TidelockSession(this.#database, this.#shared, tx, this.#depth + 1))
    if (this.#tx !== undefined) return this.#tx.transaction(inside)
    const mode = config?.behavior === undefined || config.behavior === 'deferred' ? 'deferred' : 'immediate'
    return this.#shared.watch.transaction(inside, (watched, options) =>
      this.#database.transaction(watched, { ...options, mode }),
    )
  }

  #asTransaction(): TidelockTransaction<FullSchema, Schema> {
    const { dialect, schema } = this.#shared
    return new TidelockTransaction('async', dialect, this, schema, this.#depth - 1)
  }
}

/** A transaction of Drizzle. Its `transaction()` is a savepoint. */
export class TidelockTransaction<
  FullSchema extends Record<string, unknown>,
  Schema extends TablesRelationalConfig,
> extends SQLiteTransaction<'async', RunResult, FullSchema, Schema> {
  static override readonly [entityKind]: string = 'TidelockTransaction'
}
