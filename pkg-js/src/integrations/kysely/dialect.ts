import {
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type Driver,
  type Kysely,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import { type Database, TidelockError } from '../../index.js'
import { TransactionWatch } from '../shared/transaction-watch.js'
import { TidelockConnection } from './connection.js'

/** Options of {@link TidelockDialect}. */
export interface TidelockDialectConfig {
  /** The database, a promise of it, or a function that Kysely calls before its first query. */
  readonly database: Database | PromiseLike<Database> | (() => Database | PromiseLike<Database>)
}

/**
 * A dialect of Kysely over a tidelock database.
 *
 * Queries reject with the `TidelockError` of the call. `kysely.destroy()` closes the database, as it does with Kysely's own dialects.
 * Queries on `kysely` wait for the end of an open transaction. When that transaction makes no calls for 5 s, they reject with `timeout`:
 * most likely its own function awaits them.
 *
 * @example
 * ```ts
 * const db = await open({ name: 'shop', migrations })
 * const kysely = new Kysely<Tables>({ dialect: new TidelockDialect({ database: db }) })
 * const orders = await kysely.selectFrom('orders').selectAll().execute()
 * ```
 */
export class TidelockDialect implements Dialect {
  readonly #config: TidelockDialectConfig

  /** Throws `invalid_argument` without a database. */
  constructor(config: TidelockDialectConfig) {
    if (config?.database === undefined || config.database === null) {
      throw new TidelockError('invalid_argument', 'TidelockDialect needs a database', {
        hint: "Pass the result of open(), as in new TidelockDialect({ database: open({ name: 'shop' }) })",
      })
    }
    this.#config = config
  }

  createDriver(): Driver {
    return new TidelockDriver(this.#config)
  }

  createQueryCompiler(): SqliteQueryCompiler {
    return new SqliteQueryCompiler()
  }

  createAdapter(): SqliteAdapter {
    return new TidelockAdapter()
  }

  createIntrospector(kysely: Kysely<unknown>): DatabaseIntrospector {
    return new SqliteIntrospector(kysely)
  }
}

class TidelockAdapter extends SqliteAdapter {
  /** The database orders the calls itself. A mutex of Kysely would let a query in a transaction's function wait for ever. */
  get supportsMultipleConnections(): boolean {
    return true
  }

  /** Migrations run in one transaction, so that nothing interferes with them and a failed one leaves nothing behind. */
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

class TidelockDriver implements Driver {
  readonly #config: TidelockDialectConfig
  readonly #watch = new TransactionWatch()
  #database: Database | undefined

  constructor(config: TidelockDialectConfig) {
    this.#config = config
  }

  async init(): Promise<void> {
    const { database } = this.#config
    this.#database = await (typeof database === 'function' ? database() : database)
  }

  async acquireConnection(): Promise<TidelockConnection> {
    return new TidelockConnection(this.#database as Database, this.#watch)
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await own(connection).begin()
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await own(connection).commit()
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await own(connection).rollback()
  }

  async savepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await own(connection).savepoint(name)
  }

  async rollbackToSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await own(connection).rollbackToSavepoint(name)
  }

  async releaseSavepoint(connection: DatabaseConnection, name: string): Promise<void> {
    await own(connection).releaseSavepoint(name)
  }

  async releaseConnection(connection: DatabaseConnection): Promise<void> {
    own(connection).release()
  }

  async destroy(): Promise<void> {
    await this.#database?.close()
  }
}

/** Kysely passes the connections that {@link TidelockDriver.acquireConnection} returned. */
function own(connection: DatabaseConnection): TidelockConnection {
  return connection as TidelockConnection
}
