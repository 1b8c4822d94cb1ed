/** What can be bound to a parameter. Booleans are stored as 0 and 1, dates as ISO 8601 text. */
export type SqlValue = null | boolean | number | bigint | string | Uint8Array | ArrayBuffer | Date

/** Parameters of a statement: an array for `?`, an object for `:name`, `@name` and `$name`. */
export type SqlParams = readonly SqlValue[] | Readonly<Record<string, SqlValue>>

/** What comes out of the database; a `bigint` is an integer beyond 2^53-1, or any with `integers: 'bigint'`. */
export type SqlResultValue = null | number | bigint | string | Uint8Array<ArrayBuffer>

/** A row as a plain object. Of several columns with the same name the last one counts. */
export type Row = Record<string, SqlResultValue>

/** How rows are given: as plain objects, or as arrays in the order of the columns. */
export type RowMode = 'object' | 'array'

/** What a writing statement did. */
export interface RunResult {
  /** The rows that the statement itself inserted, updated or deleted. */
  readonly changes: number
  /** The rowid of the newest row that this connection inserted; a `bigint` as `integers` has it. */
  readonly lastInsertRowid: number | bigint
}

/** The last argument of every call that waits. */
export interface CallOptions {
  /** An abort rejects with `signal.reason`; it is honoured until the commit, then ignored. */
  readonly signal?: AbortSignal | undefined
  /** After that time the call rejects with `timeout`. */
  readonly timeoutMs?: number | undefined
}

/** Options of a query. */
export interface QueryOptions extends CallOptions {
  /**
   * Rows as plain objects, or as arrays in the order of the columns.
   * @default 'object'
   */
  readonly rowMode?: RowMode | undefined
}

/** Options of a query whose rows are to be arrays. */
export interface ArrayQueryOptions extends QueryOptions {
  readonly rowMode: 'array'
}

/** Options of a transaction. */
export interface TransactionOptions extends CallOptions {
  /**
   * `immediate` is the SQL word for "will write"; a tidelock database has one connection, so both wait for nothing else.
   * @default 'deferred'
   */
  readonly mode?: 'deferred' | 'immediate' | undefined
}

/** One statement of a batch. */
export interface Statement {
  readonly sql: string
  readonly params?: SqlParams | undefined
}
