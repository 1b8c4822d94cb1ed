/// <reference lib="esnext.disposable" preserve="true" />

import {
  checkBoolean,
  checkCall,
  checkFunction,
  checkOneOf,
  checkQuery,
  checkScript,
  checkStatement,
  checkString,
  optional,
} from '../base/check.js'
import type { DatabaseSecrets } from '../base/database-secrets.js'
import type { Encryption } from '../base/encryption.js'
import { invalid } from '../base/errors.js'
import { fileBytes, isBlob, joined, viewOf } from '../base/file-bytes.js'
import type { Health, MaintenanceReport, PlanRow } from '../base/generated-types.js'
import {
  type CompiledQuery,
  type DrizzleQuery,
  type DrizzleRow,
  type KyselyQuery,
  queryText,
} from '../base/query-builder.js'
import { queryTag, type SqlFragment, type SqlQueryTag } from '../base/sql.js'
import type {
  ArrayQueryOptions,
  ByteSource,
  Bytes,
  CallOptions,
  QueryOptions,
  Row,
  RunResult,
  SqlParams,
  SqlResultValue,
  Statement,
  TransactionOptions,
} from '../base/values.js'
import type { ResultRows } from '../engine/codec/result-rows.js'
import { type Connection, rejecting } from '../engine/connection.js'
import { copyParams } from '../engine/copy-params.js'
import { type Op, op } from '../engine/core.js'
import type { CoreOptions } from '../engine/core-options.js'
import { Iteration } from '../engine/iteration.js'
import { encryptionChecks } from '../files/load-encryption-checks.js'
import type { SnapshotCopier } from '../files/snapshot-copier.js'
import { DatabaseLifecycle } from './database-lifecycle.js'
import type { DatabaseEventMap } from './events.js'
import { healthOf } from './health.js'
import { type LiveOptions, LiveQuery } from './live.js'
import type { LiveQueryInfo } from './live-queries.js'
import { ManualTransactions } from './manual-transactions.js'
import { Migrations } from './migrations.js'
import { Snapshots } from './snapshots.js'
import { Sync } from './sync.js'
import { inTransaction, type ManualTransaction, type Tx } from './transaction.js'

type DatabaseOptions = Pick<
  CoreOptions,
  'maxBytes' | 'name' | 'path' | 'mode' | 'storage' | 'durability' | 'remote' | 'audit' | 'expires' | 'health'
>

/** What all database objects of one engine share. */
export interface DatabaseOwner {
  readonly copier: SnapshotCopier | undefined
  /** Whether data is encrypted, as a whole or in columns: then none may be stored readable. */
  readonly hasSecrets: boolean
  readonly secrets: DatabaseSecrets
}

/** An `EventTarget`, in types that need none of the DOM's. */
const Events = EventTarget as new () => {
  addEventListener(type: string, listener: unknown, options?: AddEventListenerOptions | boolean): void
  removeEventListener(type: string, listener: unknown, options?: EventListenerOptions | boolean): void
  dispatchEvent(event: Event): boolean
}

/**
 * An open database, the result of {@link open}.
 *
 * Calls run one at a time, in the order in which they were made; a transaction keeps other calls waiting until it ends. SQL errors
 * reject with `sqlite_error` or `sqlite_constraint` (`details.sqliteCode`, `details.offset`), wrong arguments with `invalid_argument`,
 * calls on a closed database with `closed`, and calls after another tab stole the lock with `lock_lost`.
 */
export class Database extends Events implements AsyncDisposable {
  /** The migrations of the schema. */
  readonly migrations: Migrations
  /** The snapshots. */
  readonly snapshots: Snapshots
  /** The sync with the remote. */
  readonly sync: Sync
  /**
   * Runs a query written as a template and returns its rows. Values are always bound, fragments nest: see {@link sql}.
   *
   * @example
   * ```ts
   * const users = await db.sql<User>`SELECT * FROM users WHERE id = ${id}`
   * ```
   */
  readonly sql: SqlQueryTag
  /** `await using db = await open(...)`: the same as {@link Database.close}. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>
  readonly #options: DatabaseOptions
  readonly #connection: Connection
  readonly #owner: DatabaseOwner
  readonly #begun: ManualTransactions
  #closing: Promise<void> | undefined

  /** @internal What the engine reports goes here. */
  readonly lifecycle: DatabaseLifecycle

  static {
    // Defined here, because a plain method would be named 'undefined' where the symbol is missing.
    if (typeof Symbol.asyncDispose === 'symbol') {
      Object.defineProperty(Database.prototype, Symbol.asyncDispose, {
        value: function (this: Database) {
          return this.close()
        },
        configurable: true,
        writable: true,
      })
    }
  }

  /** @internal */
  constructor(options: DatabaseOptions, connection: Connection, owner: DatabaseOwner) {
    super()
    this.#options = options
    this.#connection = connection
    this.#owner = owner
    this.#begun = new ManualTransactions(connection)
    this.migrations = new Migrations(connection)
    this.snapshots = new Snapshots(connection, options.maxBytes, owner.copier)
    this.sync = new Sync(connection, options.remote !== undefined)
    this.lifecycle = new DatabaseLifecycle(this, connection, this.sync, options, () => owner.hasSecrets)
    this.sql = queryTag(connection, <T>(fragment: SqlFragment) => this.query<T>(fragment))
  }

  /** Marks it as no plain object, see {@link LiveQuery}. */
  get [Symbol.toStringTag](): string {
    return 'Database'
  }

  /** The option `name` of {@link open}. */
  get name(): string {
    return this.#options.name
  }

  /** Whether the database was closed, by a call or by an internal error. */
  get closed(): boolean {
    return this.#connection.closed
  }

  /**
   * `owner`: this tab holds the lock and the data alone. With `tabs: 'shared'`, `leader`: this tab holds them and serves the other tabs;
   * `follower`: this tab sends its calls to the leader. The role can change at any time; the event `role` reports it.
   */
  get role(): 'owner' | 'leader' | 'follower' {
    return this.lifecycle.role
  }

  /**
   * The author of changes in the audit log, for calls made after it is set. Earlier calls and a transaction that has begun keep the
   * previous actor.
   */
  get actor(): string | undefined {
    return this.lifecycle.actor
  }

  set actor(actor: string | undefined) {
    this.lifecycle.actor = actor === undefined || actor === null ? undefined : checkString('actor', actor)
  }

  /**
   * Runs a query and returns its rows as plain objects, or as arrays with `{ rowMode: 'array' }`. A statement that writes may return rows
   * too, with RETURNING.
   *
   * @example
   * ```ts
   * const open = await db.query<Order>('SELECT * FROM orders WHERE status = :status', { status: 'open' })
   * ```
   */
  query<T = SqlResultValue[]>(
    sql: string | SqlFragment,
    params: SqlParams | undefined,
    options: ArrayQueryOptions,
  ): Promise<T[]>
  query<T = Row>(sql: string | SqlFragment, params?: SqlParams, options?: QueryOptions): Promise<T[]>
  query(sql: string | SqlFragment, params?: SqlParams, options?: QueryOptions): Promise<unknown> {
    // For speed this function and those below aren't async: see Connection.statement.
    if (options === undefined) return this.#connection.statement(op.query, sql, params)
    return rejecting(() => this.#connection.statement(op.query, sql, params, options, checkQuery('query', options)))
  }

  /** Runs a query and returns its first row, or undefined. */
  get<T = Row>(sql: string | SqlFragment, params?: SqlParams, options?: CallOptions): Promise<T | undefined> {
    return this.#statement('get', op.get, sql, params, options) as Promise<T | undefined>
  }

  /**
   * Returns the rows of a query one by one, for large results. When the loop begins, the query runs to its end; its rows are kept in a
   * compact form and decoded slice by slice. So all rows are of one point in time, and the loop may be slow, write, and make any other
   * call; leaving the loop frees the rest. `signal` also cancels between rows; `timeoutMs` limits the query only. The loop throws the
   * error of the query.
   *
   * @example
   * ```ts
   * for await (const order of db.iterate<Order>('SELECT * FROM orders WHERE invoiced = 0')) {
   *   await db.run('UPDATE orders SET invoiced = 1 WHERE id = ?', [order.id])
   * }
   * ```
   */
  iterate<T = Row>(sql: string | SqlFragment, params?: SqlParams, options?: CallOptions): AsyncIterable<T> {
    const { signal } = checkCall('iterate', options)
    const bound = copyParams(params)
    return {
      [Symbol.asyncIterator]: () =>
        new Iteration<T>(
          () => this.#connection.statement(op.query, sql, bound, options, 'cursor') as Promise<ResultRows>,
          signal,
        ),
    }
  }

  /**
   * Runs a statement. Resolves when its changes are stored as the option `durability` promises. When storing fails, it rejects with
   * `details.applied: true`: the changes are visible and will be stored when possible, so don't repeat the call.
   */
  run(sql: string | SqlFragment, params?: SqlParams, options?: CallOptions): Promise<RunResult> {
    return this.#statement('run', op.run, sql, params, options) as Promise<RunResult>
  }

  /**
   * Runs one statement for each row of parameters, in one transaction: all or none. `changes` is the sum over the rows.
   *
   * @example
   * ```ts
   * await db.runMany('INSERT INTO points(x, y) VALUES (?, ?)', [[1, 2], [3, 4]])
   * ```
   */
  runMany(sql: string, rows: readonly SqlParams[], options?: CallOptions): Promise<{ readonly changes: number }> {
    return this.#statement('runMany', op.runMany, sql, rows, options) as Promise<{ changes: number }>
  }

  /** Runs several statements in one transaction and returns the rows of each. `details.statement` of an error counts from 1. */
  async batch<T = Row>(statements: readonly Statement[], options?: CallOptions): Promise<T[][]> {
    checkCall('batch', options)
    return (await this.#connection.runAlone(['batch', statements], options)).results as T[][]
  }

  /** Runs a script of several statements in one transaction, unless it has its own BEGIN and COMMIT. */
  async exec(script: string, options?: CallOptions): Promise<void> {
    checkCall('exec', options)
    await this.#connection.runAlone(['script', checkScript(script)], options)
  }

  /**
   * Runs a function in a transaction: commits when the function returns, rolls back when it throws. Calls on `db` wait for the end of the
   * transaction, so the function must use `tx`. A call on `db` in the function rejects with `invalid_argument`: it would wait for itself.
   * This is known of calls before the first `await` of the function; of later ones in Node and Chromium, if the function awaits them.
   * Elsewhere such a call waits, and the warning `transaction_idle` follows after 5 s. A later call that isn't awaited runs after the
   * transaction, also after one that was rolled back.
   *
   * `timeoutMs` limits the whole transaction: it also ends the statement that runs, and nothing is committed after it.
   *
   * @example
   * ```ts
   * await db.transaction(async (tx) => {
   *   await tx.run('UPDATE accounts SET balance = balance - 5 WHERE id = ?', [from])
   *   await tx.run('UPDATE accounts SET balance = balance + 5 WHERE id = ?', [to])
   * })
   * ```
   */
  async transaction<T>(work: (tx: Tx) => T | PromiseLike<T>, options?: TransactionOptions): Promise<T> {
    checkFunction('The work of a transaction', work)
    const immediate = checkTransaction('transaction', options)
    return inTransaction(this.#connection, immediate, work, options)
  }

  /**
   * Begins a transaction that the caller ends with `tx.commit()` or `tx.rollback()`. Meant for drivers; elsewhere prefer
   * {@link Database.transaction}, which always ends. All other calls wait until the transaction ends; after 5 s without a call in it, the
   * database warns with `transaction_idle`. `options` apply to the begin only.
   *
   * {@link Database.close} rolls back an open transaction.
   *
   * @example
   * ```ts
   * const tx = await db.begin()
   * try {
   *   await tx.run('DELETE FROM drafts')
   *   await tx.commit()
   * } catch (error) {
   *   await tx.rollback()
   *   throw error
   * }
   * ```
   */
  async begin(options?: TransactionOptions): Promise<ManualTransaction> {
    return this.#begun.begin(checkTransaction('begin', options), options)
  }

  /**
   * Returns a query that runs again when a commit may have changed its result, see {@link LiveQuery}. Queries of Kysely and Drizzle bring
   * their parameters and the type of their rows. With `limit` and `offset` it has a window of the rows, and {@link LiveQuery.total} the
   * number of all. With `initial: 'last'` it begins with the last known result.
   *
   * @example
   * ```ts
   * db.live(kysely.selectFrom('orders').selectAll().where('paid', '=', 0)).subscribe(show)
   * ```
   */
  live<T = SqlResultValue[]>(
    sql: string | SqlFragment,
    params: SqlParams | undefined,
    options: LiveOptions & ArrayQueryOptions,
  ): LiveQuery<T>
  live<T = Row>(sql: string | SqlFragment, params?: SqlParams, options?: LiveOptions): LiveQuery<T>
  live<T>(query: KyselyQuery<T>, params?: undefined, options?: LiveOptions): LiveQuery<T>
  live<T>(query: DrizzleQuery<T>, params?: undefined, options?: LiveOptions): LiveQuery<DrizzleRow<T>>
  live<T = Row>(query: CompiledQuery, params?: undefined, options?: LiveOptions): LiveQuery<T>
  live<T>(query: unknown, params?: SqlParams, options?: LiveOptions): LiveQuery<T> {
    const mode = checkQuery('live', options, ['limit', 'offset', 'initial'])
    optional('initial', options?.initial, (what, value) => checkOneOf(what, value, ['last']))
    this.#connection.check()
    const { query: sql, mapRows } = queryText(query)
    const bound = copyParams(params) as SqlParams | undefined
    return new LiveQuery<T>(this.#connection, this.lifecycle.live, sql, bound, mode, mapRows, options)
  }

  /** The live queries of this object that aren't paused, with their runs and durations: for tools that show them. */
  get liveQueries(): LiveQueryInfo[] {
    return this.lifecycle.live.infos()
  }

  /** Returns SQLite's plan for a statement (EXPLAIN QUERY PLAN). Parameters are accepted for convenience and ignored. */
  async explain(sql: string, _params?: SqlParams, options?: CallOptions): Promise<PlanRow[]> {
    checkStatement(sql)
    checkCall('explain', options)
    return (await this.#connection.runAlone(['explain', sql], options)).value as PlanRow[]
  }

  /**
   * Returns the whole database as the bytes of a `.sqlite` file, or with `format: 'sql'` as SQL text (UTF-8) in the form of SQLite's
   * `.dump`. Both contain everything in the database, including tidelock's own tables.
   */
  async export(options?: CallOptions & { readonly format?: 'sqlite' | 'sql' | undefined }): Promise<Bytes> {
    const { format } = checkCall('export', options, ['format'])
    if (checkOneOf('format', format ?? 'sqlite', ['sqlite', 'sql']) === 'sqlite')
      return this.#connection.read(options, (core) => core.exportBytes())
    this.#connection.checkOutside()
    return joined(await this.#connection.read(options, (core) => core.exportSql()))
  }

  /**
   * Replaces all data by the contents of a `.sqlite` file, after checking it. The old data becomes a snapshot, pending migrations run
   * (`baseline` is the version of a file without a tracking table), and live queries run again. Unpushed changes and the user stored in the
   * file are dropped. Calls that are made while it checks the file still run on the old data: what they write is in that snapshot.
   *
   * Rejects with `database_corrupt` (damaged, or not a database), `invalid_argument` (the schema needs functions or modules that this
   * database lacks), `snapshot_incompatible` (newer than the supplied migrations), `timeout` (its check takes too long),
   * `database_too_large`, `out_of_memory`, and with `unpushed_changes` unless `force` is true. On any failure, also of a migration, the old
   * data stays.
   */
  async import(
    bytes: ByteSource | Blob,
    options?: CallOptions & { readonly baseline?: string | undefined; readonly force?: boolean | undefined },
  ): Promise<void> {
    const { baseline, force } = checkCall('import', options, ['baseline', 'force'])
    const wanted = {
      force: checkBoolean('force', force ?? false),
      baseline: optional('baseline', baseline, checkString),
      timeoutMs: options?.timeoutMs,
    }
    // Bytes are read without an await, so that the caller may reuse the buffer at once.
    if (!isBlob(bytes))
      return this.#connection.cancellable(options, (core, cancel) =>
        core.importBytes(viewOf('The file', bytes), wanted, cancel),
      )
    await this.#connection.preparing(
      options,
      () => fileBytes('The file', bytes),
      (core, cancel, file) => core.importBytes(file, wanted, cancel),
    )
  }

  /**
   * Checks the database (SQLite's `integrity_check` and `foreign_key_check`), deletes expired rows (the options `expires` and
   * `audit.retentionDays`), frees unused pages, and gathers statistics for the query planner. Long steps run in slices, between which other
   * calls can run; an abort takes effect between two slices, and finished slices stay.
   *
   * The report lists findings and failed steps. Until the next call they also show in {@link health}, as the alerts `integrity_failed` and
   * `foreign_keys_violated`. In a damaged database nothing is deleted.
   */
  async maintain(options?: CallOptions): Promise<MaintenanceReport> {
    checkCall('maintain', options)
    return this.#connection.cancellable(options, (core, cancel) => core.maintain(this.#options.expires ?? [], cancel))
  }

  /**
   * Asks the browser never to evict the data of this site (`navigator.storage.persist()`). Returns whether the browser agreed. Some browsers
   * ask the user, so call it after a click. {@link Database.health} shows the answer as `storage.persisted`.
   */
  async persist(): Promise<boolean> {
    // Not read(): a close doesn't wait for the user's answer.
    this.#connection.check()
    return this.#connection.guard(Promise.resolve(this.#connection.sync(() => this.#connection.core.persist())))
  }

  /**
   * Changes the secret of the database. A new passphrase or key for an encrypted database is quick: its data keeps the same inner key.
   * Encrypting a plain database, or decrypting one with `null`, stores everything again, snapshots and log included. Other calls wait
   * meanwhile. If the page dies during the call, the database has either the old or the new secret.
   *
   * Rejects with `invalid_argument` (an unusable key), and with the errors of {@link Database.flush}; then the old secret stays.
   *
   * @example
   * ```ts
   * await db.rekey({ passphrase: await askForNewPassphrase() })
   * ```
   */
  async rekey(encryption: Encryption | null, options?: CallOptions): Promise<void> {
    checkCall('rekey', options)
    const { live } = this.lifecycle
    // An encrypted database has none.
    const hasResults = encryption !== null && this.#owner.secrets.current === undefined
    const prepare = async () => {
      const checked = encryption === null ? null : (await encryptionChecks()).checkEncryption(encryption)
      if (hasResults) await live.clearLastResults()
      return checked
    }
    await this.#connection.preparing(options, prepare, (core, cancel, checked) =>
      this.#owner.secrets.change(checked ?? undefined, () => core.rekey(checked, cancel)),
    )
    // What was stored during the call, by another object.
    if (hasResults) await live.clearLastResults().catch(() => {})
  }

  /**
   * Replaces the data key of an encrypted database by a new one, and encrypts everything with it: data, log and snapshots. The secret
   * stays. Most of it happens while other calls run; at the end they wait while the log is written. If the page dies, or the call is
   * aborted, the next opening or call continues.
   *
   * Rejects with `invalid_argument` (the database is not encrypted), `out_of_memory` (the log doesn't fit into memory twice), and with the
   * errors of {@link Database.flush}; with `storage_quota_exceeded` the old key stays.
   *
   * @example
   * ```ts
   * await db.rekey({ passphrase: next }) // the old secret opens nothing new...
   * await db.rotateKey() // ...and the key that it had opened decrypts nothing any more
   * ```
   */
  async rotateKey(options?: CallOptions): Promise<void> {
    checkCall('rotateKey', options)
    await this.#connection.cancellable(options, async (core, cancel) => {
      // The engine stores nothing of a database in memory, and doesn't know its secret.
      if (this.#options.storage === 'memory' && this.#owner.secrets.current === undefined)
        throw invalid('The database is not encrypted: it has no key to rotate', {
          hint: 'rekey(encryption) encrypts it',
        })
      await core.rotateKey(cancel)
    })
  }

  /** Returns the state of the database: storage, lock, snapshots, migrations, sync, queries. Never rejects, not even once it is closed. */
  async health(): Promise<Health> {
    return healthOf(this.#connection, this.#options, this.#owner.copier, this.lifecycle.death)
  }

  /** Resolves when everything written so far is stored. Rejects with the error of the storage, such as `storage_quota_exceeded`. */
  async flush(options?: CallOptions): Promise<void> {
    checkCall('flush', options)
    await this.#connection.read(options, (core) => core.flush())
  }

  /**
   * Finishes the calls made so far (pulls and pushes end), stores everything and releases the lock. Later calls reject with `closed`, except
   * `close` itself. Rejects with `invalid_argument` in the function of a transaction, whose end it would wait for.
   */
  close(): Promise<void> {
    return rejecting(() => {
      if (this.#closing === undefined) this.#connection.checkOutside()
      this.#closing ??= this.lifecycle.close(() => {
        this.#begun.close()
        return this.#connection.close()
      })
      return this.#closing
    })
  }

  override addEventListener<K extends keyof DatabaseEventMap>(
    type: K,
    listener: ((event: DatabaseEventMap[K]) => void) | { handleEvent(event: DatabaseEventMap[K]): void } | null,
    options?: AddEventListenerOptions | boolean,
  ): void {
    this.lifecycle.listen(type, () => this.health())
    super.addEventListener(type, listener, options)
  }

  override removeEventListener<K extends keyof DatabaseEventMap>(
    type: K,
    listener: ((event: DatabaseEventMap[K]) => void) | { handleEvent(event: DatabaseEventMap[K]): void } | null,
    options?: EventListenerOptions | boolean,
  ): void {
    super.removeEventListener(type, listener, options)
  }

  #statement(
    call: string,
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    options: CallOptions | undefined,
  ): Promise<unknown> {
    if (options === undefined) return this.#connection.statement(kind, sql, params)
    return rejecting(() => {
      checkCall(call, options)
      return this.#connection.statement(kind, sql, params, options)
    })
  }
}

/** Checks the options of a transaction. Returns whether its mode is `immediate`. */
function checkTransaction(call: string, options: TransactionOptions | undefined): boolean {
  const { mode } = checkCall(call, options, ['mode'])
  return mode !== undefined && checkOneOf('mode', mode, ['deferred', 'immediate']) === 'immediate'
}
