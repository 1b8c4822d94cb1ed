/** A value that can be bound to a parameter. Booleans are stored as 0 and 1, dates as ISO 8601 text. */
export type SqlValue = null | boolean | number | bigint | string | Uint8Array | ArrayBuffer | Date

/** Named parameters. An object of any type, because an interface has no index signature: its values are checked when it is bound. */
export type NamedParams = object & { readonly [Symbol.iterator]?: never }

/** Parameters of a statement: an array for `?`, an object for `:name`, `@name` and `$name`. */
export type SqlParams = readonly SqlValue[] | Readonly<Record<string, SqlValue>> | NamedParams

/** `Uint8Array<ArrayBuffer>`, also for versions of TypeScript in which `Uint8Array` has no type parameter. */
export type Bytes = ReturnType<Uint8ArrayConstructor['of']>

/** Bytes to read: what the DOM calls `BufferSource`. */
export type ByteSource = ArrayBuffer | ArrayBufferView

/** A value in a result. A `bigint` is an integer beyond 2^53-1, or any integer with `integers: 'bigint'`. */
export type SqlResultValue = null | number | bigint | string | Bytes

/** A row as a plain object. Of several columns with the same name it holds the last one. */
export type Row = Record<string, SqlResultValue>

/** The form of rows: plain objects, or arrays in the order of the columns. */
export type RowMode = 'object' | 'array'

/** The result of a writing statement. */
export interface RunResult {
  /** The number of rows that the statement inserted, updated or deleted, without those that triggers changed. */
  readonly changes: number
  /** The rowid of the newest row that this connection inserted. It is a `bigint` when the option `integers` says so. */
  readonly lastInsertRowid: number | bigint
}

/** The last argument of every asynchronous call. */
export interface CallOptions {
  /** Cancels the call, which then rejects with `signal.reason`. After the commit it is ignored. */
  readonly signal?: AbortSignal | undefined
  /** The longest time that the call may take, in milliseconds. After it the call rejects with `timeout`. */
  readonly timeoutMs?: number | undefined
}

/** Options of a query. */
export interface QueryOptions extends CallOptions {
  /**
   * The form of rows: plain objects, or arrays in the order of the columns.
   * @default 'object'
   */
  readonly rowMode?: RowMode | undefined
}

/** Options of a query that returns arrays. */
export interface ArrayQueryOptions extends QueryOptions {
  readonly rowMode: 'array'
}

/** Options of a transaction. */
export interface TransactionOptions extends CallOptions {
  /**
   * How SQLite begins the transaction. A tidelock database has one connection, so both modes take effect at once.
   * @default 'deferred'
   */
  readonly mode?: 'deferred' | 'immediate' | undefined
}

/** One statement of a batch. */
export interface Statement {
  readonly sql: string
  /** The values of its parameters, if it has any. */
  readonly params?: SqlParams | undefined
}
