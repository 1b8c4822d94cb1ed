import {
  createTableRelationsHelpers,
  DefaultLogger,
  type DrizzleConfig,
  type ExtractTablesWithRelations,
  entityKind,
  extractTablesRelationalConfig,
  type Logger,
  NoopLogger,
  type RelationalSchemaConfig,
} from 'drizzle-orm'
import type { BatchItem, BatchResponse } from 'drizzle-orm/batch'
import { BaseSQLiteDatabase, SQLiteAsyncDialect } from 'drizzle-orm/sqlite-core'
import { type Database, type RunResult, TidelockError } from '../../index.js'
import { TransactionWatch } from '../shared/transaction-watch.js'
import { TidelockSession } from './session.js'

/** Options of {@link drizzle}: Drizzle's own, without `cache`, which a local database doesn't need. */
export type TidelockDrizzleConfig<FullSchema extends Record<string, unknown>> = Omit<DrizzleConfig<FullSchema>, 'cache'>

/** A Drizzle database over a tidelock database. */
export class TidelockDatabase<
  FullSchema extends Record<string, unknown> = Record<string, never>,
> extends BaseSQLiteDatabase<'async', RunResult, FullSchema> {
  static override readonly [entityKind]: string = 'TidelockDatabase'
  /** The tidelock database. */
  readonly $client: Database
  readonly #session: TidelockSession<FullSchema, ExtractTablesWithRelations<FullSchema>>

  /** @internal */
  constructor(
    database: Database,
    dialect: SQLiteAsyncDialect,
    session: TidelockSession<FullSchema, ExtractTablesWithRelations<FullSchema>>,
    schema: RelationalSchemaConfig<ExtractTablesWithRelations<FullSchema>> | undefined,
  ) {
    super('async', dialect, session, schema)
    this.$client = database
    this.#session = session
  }

  /** Runs queries in one transaction, all or none, and returns the result of each. */
  batch<Item extends BatchItem<'sqlite'>, Items extends Readonly<[Item, ...Item[]]>>(
    queries: Items,
  ): Promise<BatchResponse<Items>> {
    return this.#session.batch(queries as never) as Promise<BatchResponse<Items>>
  }
}

/**
 * Makes a Drizzle database over an open tidelock database.
 *
 * Queries reject with the `TidelockError` of the call. Transactions are those of `db.transaction`, nested ones savepoints. Queries on the
 * database wait for the end of an open transaction. A query that the transaction's own function awaits rejects with `invalid_argument`
 * at once (Node, Chromium), or with `timeout` when the transaction makes no calls for 5 s. Throws `invalid_argument` without an open database.
 *
 * @example
 * ```ts
 * const database = await open({ name: 'shop', migrations })
 * const db = drizzle(database, { schema })
 * const orders = await db.select().from(schema.orders)
 * ```
 */
export function drizzle<FullSchema extends Record<string, unknown> = Record<string, never>>(
  database: Database,
  config: TidelockDrizzleConfig<FullSchema> = {},
): TidelockDatabase<FullSchema> {
  if (typeof database?.transaction !== 'function') {
    throw new TidelockError('invalid_argument', 'drizzle needs an open database', {
      hint: "Pass the awaited result of open(), as in drizzle(await open({ name: 'shop' }), { schema })",
    })
  }
  const dialect = new SQLiteAsyncDialect(config.casing === undefined ? {} : { casing: config.casing })
  const schema = config.schema && relationsOf(config.schema)
  const shared = { dialect, schema, logger: loggerOf(config.logger), watch: new TransactionWatch() }
  return new TidelockDatabase(database, dialect, new TidelockSession(database, shared), schema)
}

function relationsOf<FullSchema extends Record<string, unknown>>(fullSchema: FullSchema) {
  const { tables, tableNamesMap } = extractTablesRelationalConfig<ExtractTablesWithRelations<FullSchema>>(
    fullSchema,
    createTableRelationsHelpers,
  )
  return { fullSchema, schema: tables, tableNamesMap }
}

function loggerOf(logger: boolean | Logger | undefined): Logger {
  if (logger === true) return new DefaultLogger()
  return logger || new NoopLogger()
}
