import { entityKind, fillPlaceholders, type Query } from 'drizzle-orm'
import {
  type PreparedQueryConfig,
  type SelectedFieldsOrdered,
  type SQLiteExecuteMethod,
  SQLitePreparedQuery,
} from 'drizzle-orm/sqlite-core'
import * as utils from 'drizzle-orm/utils'
import type { CallOptions, Database, RunResult, SqlParams, Tx } from '../../index.js'

/** Maps a row of values to the fields of a query. Drizzle's drivers use it, but its types leave it out. */
const { mapResultRow } = utils as unknown as {
  mapResultRow(fields: SelectedFieldsOrdered, row: unknown[], nullable: Record<string, boolean> | undefined): unknown
}

/** Makes one call on the database or the transaction of a session, and logs its SQL. */
export type LoggedCall = <T>(
  sql: string,
  params: SqlParams,
  call: (on: Database | Tx, params: SqlParams, options: CallOptions | undefined) => Promise<T>,
) => Promise<T>

/** Maps the rows of a relational query: to a list, or for `findFirst` to one object or undefined. */
export type RelationalMapper = (rows: unknown[][]) => unknown

/** A query of Drizzle, ready to run on a database or in a transaction. */
export class TidelockPreparedQuery<
  Config extends PreparedQueryConfig = PreparedQueryConfig,
> extends SQLitePreparedQuery<{
  type: 'async'
  run: RunResult
  all: Config['all']
  get: Config['get']
  values: Config['values']
  execute: Config['execute']
}> {
  static override readonly [entityKind]: string = 'TidelockPreparedQuery'
  /** Set by Drizzle's query builders: which tables of an outer join have a row. */
  declare joinsNotNullableMap: Record<string, boolean> | undefined
  readonly #call: LoggedCall
  readonly #fields: SelectedFieldsOrdered | undefined
  readonly #method: SQLiteExecuteMethod
  readonly #relational: RelationalMapper | undefined

  constructor(
    call: LoggedCall,
    query: Query,
    fields: SelectedFieldsOrdered | undefined,
    method: SQLiteExecuteMethod,
    relational: RelationalMapper | undefined,
  ) {
    super('async', method, query)
    this.#call = call
    this.#fields = fields
    this.#method = method
    this.#relational = relational
  }

  /** Returns the same query, run by another call. */
  with(call: LoggedCall): TidelockPreparedQuery<Config> {
    const other = new TidelockPreparedQuery<Config>(call, this.query, this.#fields, this.#method, this.#relational)
    other.joinsNotNullableMap = this.joinsNotNullableMap
    return other
  }

  override run(placeholders?: Record<string, unknown>): Promise<RunResult> {
    const { sql } = this.query
    return this.#call(sql, this.#params(placeholders), (on, params, options) => on.run(sql, params, options))
  }

  override async all(placeholders?: Record<string, unknown>): Promise<Config['all']> {
    const { sql } = this.query
    if (this.#isMapped) return this.mapAllResult(await this.#rows(placeholders))
    return this.#call(sql, this.#params(placeholders), (on, params, options) => on.query(sql, params, options))
  }

  override async get(placeholders?: Record<string, unknown>): Promise<Config['get']> {
    const { sql } = this.query
    if (this.#isMapped) return this.mapGetResult(await this.#rows(placeholders))
    return this.#call(sql, this.#params(placeholders), (on, params, options) => on.get(sql, params, options))
  }

  override values(placeholders?: Record<string, unknown>): Promise<Config['values']> {
    return this.#rows(placeholders)
  }

  /** Maps rows of values, in the order of the columns, to what `all` returns. */
  override mapAllResult(rows: unknown): unknown {
    const list = rows as unknown[][]
    if (this.#relational !== undefined) return this.#relational(list)
    return list.map((row) => this.#mapRow(row))
  }

  /** Maps rows of values, in the order of the columns, to what `get` returns. */
  override mapGetResult(rows: unknown): unknown {
    const list = rows as unknown[][]
    const [first] = list
    if (first === undefined) return undefined
    return this.#relational === undefined ? this.#mapRow(first) : this.#relational(list)
  }

  /** Whether the query was built, so that its columns are known. The rows of plain SQL are objects. */
  get #isMapped(): boolean {
    return this.#fields !== undefined || this.#relational !== undefined
  }

  #mapRow(row: unknown[]): unknown {
    return this.#fields === undefined ? row : mapResultRow(this.#fields, row, this.joinsNotNullableMap)
  }

  #rows(placeholders: Record<string, unknown> | undefined): Promise<unknown[][]> {
    const { sql } = this.query
    return this.#call(sql, this.#params(placeholders), (on, params, options) =>
      on.query<unknown[]>(sql, params, { ...options, rowMode: 'array' }),
    )
  }

  #params(placeholders: Record<string, unknown> = {}): SqlParams {
    return fillPlaceholders(this.query.params, placeholders) as SqlParams
  }
}
