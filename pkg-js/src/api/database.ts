/// <reference lib="esnext.disposable" preserve="true" />

import {
  checkBoolean,
  checkCall,
  checkFunction,
  checkOneOf,
  checkQuery,
  checkScript,
  checkString,
  optional,
} from '../base/check.js'
import type { Encryption } from '../base/encryption.js'
import { isTidelockError, type TidelockError } from '../base/errors.js'
import type { DatabaseEventMap, LockEvent, RoleEvent } from '../base/events.js'
import { fileBytes, isBlob, joined, viewOf } from '../base/file-bytes.js'
import { queryTag, type SqlFragment, type SqlQueryTag } from '../base/sql.js'
import type {
  ArrayQueryOptions,
  CallOptions,
  QueryOptions,
  Row,
  RunResult,
  SqlParams,
  SqlResultValue,
  Statement,
  TransactionOptions,
} from '../base/values.js'
import type { Rows } from '../engine/codec/rows.js'
import { type Connection, copyParams, rejecting } from '../engine/connection.js'
import { type CoreOptions, type Op, op, type PlanRow } from '../engine/core.js'
import { Iteration } from '../engine/iteration.js'
import { checkEncryption } from '../files/check-encryption.js'
import type { SnapshotCopier } from '../files/snapshot-copier.js'
import { type Alert, goneHealth, type Health, withTargets } from './health.js'
import { HealthWatch } from './health-watch.js'
import { type LiveOptions, LiveQueries, LiveQuery } from './live.js'
import type { MaintenanceReport } from './maintenance.js'
import { ManualTransactions } from './manual-transactions.js'
import { Migrations } from './migrations.js'
import { Snapshots } from './snapshots.js'
import { beginTransaction, IdleWatch } from './steps.js'
import { Sync } from './sync.js'
import { type ManualTransaction, Tx } from './transaction.js'

type Options = Pick<
  CoreOptions,
  'maxBytes' | 'name' | 'mode' | 'storage' | 'durability' | 'remote' | 'audit' | 'expires' | 'health'
>

/**
 * An open database. {@link open} gives it.
 *
 * Calls run one after the other in the order in which they were made; a transaction keeps the others waiting until it ends.
 * SQL errors reject with `sqlite_error` or `sqlite_constraint` (`details.sqliteCode`, `details.offset`), wrong arguments with
 * `invalid_argument`, calls after the end with `closed`, and calls after another tab took the database with `lock_lost`.
 */
export class Database extends EventTarget implements AsyncDisposable {
  /** The schema's history. */
  readonly migrations: Migrations
  /** The snapshots. */
  readonly snapshots: Snapshots
  /** The sync with the remote. */
  readonly sync: Sync
  /**
   * Runs a query given as a template: values are always bound, fragments nest, see {@link sql}.
   *
   * @example
   * ```ts
   * const users = await db.sql<User>`SELECT * FROM users WHERE id = ${id}`
   * ```
   */
  readonly sql: SqlQueryTag
  /** `await using db = await open(...)`: the same as {@link Database.close}. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>
  readonly #options: Options
  readonly #calls: Connection
  readonly #copier: SnapshotCopier | undefined
  /** The events that somebody listened to, ever: one is made for these only, since every commit has one. */
  readonly #heard = new Set<string>()
  readonly #live = new LiveQueries()
  readonly #begun: ManualTransactions
  #closing: Promise<void> | undefined
  #saidClose = false
  #death: TidelockError | undefined
  #actor: string | undefined
  #watch: HealthWatch | undefined
  #role: 'owner' | 'leader' | 'follower' = 'owner'
  #isLockLost = false

  static {
    // Not a plain method: where the symbol is missing, its name would be 'undefined'.
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
  constructor(options: Options, calls: Connection, copier?: SnapshotCopier) {
    super()
    this.#options = options
    this.#calls = calls
    this.#copier = copier
    this.#begun = new ManualTransactions(calls)
    this.migrations = new Migrations(calls)
    this.snapshots = new Snapshots(calls, options.maxBytes, copier)
    this.sync = new Sync(calls, options.remote !== undefined)
    this.sql = queryTag(calls, <T>(fragment: SqlFragment) => this.query<T>(fragment))
  }

  /** The name that it was opened with. */
  get name(): string {
    return this.#options.name
  }

  /** Whether it was closed, by a call or by an internal error. */
  get closed(): boolean {
    return this.#calls.closed
  }

  /**
   * `owner`: it has the lock and the data, for itself. With `tabs: 'shared'`, `leader`: it has them and serves the other tabs; `follower`: it
   * sends its calls to the leader. It may change at any time, which the event `role` tells.
   */
  get role(): 'owner' | 'leader' | 'follower' {
    return this.#role
  }

  /**
   * Who makes the changes, for the audit log: those by calls that are made after it is set. Calls made before, and a transaction that has
   * begun, keep the one there was.
   */
  get actor(): string | undefined {
    return this.#actor
  }

  set actor(actor: string | undefined) {
    this.#actor = actor === undefined || actor === null ? undefined : checkString('actor', actor)
    this.#tellActor()
  }

  #tellActor(): void {
    if (this.#options.audit === undefined) return
    const actor = this.#actor
    const telling = this.#calls.withTurn(undefined, async () => {
      await this.#calls.core.setActor(actor)
      return [undefined, false] as const
    })
    // It fails only when there is nobody left to write, or when the engine begins anew and is told again.
    telling.catch(() => {})
  }

  /**
   * The rows of a query as plain objects, or as arrays with `{ rowMode: 'array' }`. A statement that writes may return rows too.
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
    // Not async, as the calls below, for speed: see Calls.statement.
    if (options === undefined) return this.#calls.statement(op.query, sql, params)
    return rejecting(() => this.#calls.statement(op.query, sql, params, options, checkQuery('query', options)))
  }

  /** The first row of a query, or undefined. */
  get<T = Row>(sql: string | SqlFragment, params?: SqlParams, options?: CallOptions): Promise<T | undefined> {
    return this.#statement('get', op.get, sql, params, options) as Promise<T | undefined>
  }

  /**
   * The rows of a query one by one, for results of which not all rows are wanted as objects at once. They are those of one moment, when
   * the loop begins: then the query runs to its end, and its rows wait in a compact form, from which objects are made slice by slice. So
   * the loop may take its time, write, and call anything else; leaving it lets go of the rest. A `signal` ends it, also between rows;
   * `timeoutMs` is for the query. What the query rejects with, the loop throws.
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
        new Iteration<T>(() => this.#calls.statement(op.query, sql, bound, options, 'cursor') as Promise<Rows>, signal),
    }
  }

  /**
   * Runs a statement. Resolves when what it wrote is stored as `durability` promises. When storing fails, it rejects with
   * `details.applied` true: the write is visible and will be stored when possible, so don't repeat it.
   */
  run(sql: string | SqlFragment, params?: SqlParams, options?: CallOptions): Promise<RunResult> {
    return this.#statement('run', op.run, sql, params, options) as Promise<RunResult>
  }

  /**
   * Runs one statement for many rows of parameters, in one transaction: all or none.
   *
   * @example
   * ```ts
   * await db.runMany('INSERT INTO points(x, y) VALUES (?, ?)', [[1, 2], [3, 4]])
   * ```
   */
  runMany(sql: string, rows: readonly SqlParams[], options?: CallOptions): Promise<{ readonly changes: number }> {
    return this.#statement('runMany', op.runMany, sql, rows, options) as Promise<{ changes: number }>
  }

  /** Runs several statements in one transaction, and gives the rows of each. `details.statement` of an error counts from 1. */
  async batch<T = Row>(statements: readonly Statement[], options?: CallOptions): Promise<T[][]> {
    checkCall('batch', options)
    return (await this.#calls.alone(['batch', statements], options)).results as T[][]
  }

  /** Runs a script of several statements in one transaction, unless it has its own BEGIN and COMMIT. */
  async exec(script: string, options?: CallOptions): Promise<void> {
    checkCall('exec', options)
    await this.#calls.alone(['script', checkScript(script)], options)
  }

  /**
   * Runs a function in a transaction: commits when it returns, rolls back when it throws. Calls on the database itself wait
   * for its end, so inside use `tx` only: one that the function makes before its first `await` rejects with `invalid_argument`; a later one
   * can't be told from calls of others, and waits.
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
    return this.#calls.withTurn(options, async ({ ticket, timeoutMs }) => {
      const idle = new IdleWatch(this.#calls, ticket)
      try {
        const left = { signal: options?.signal, timeoutMs: timeoutMs === 0 ? undefined : timeoutMs }
        const beginning = beginTransaction(this.#calls, ticket, immediate, idle)
        return await (beginning instanceof Promise ? await beginning : beginning).run(
          (steps) => work(new Tx(this.#calls, ticket, steps)),
          left,
        )
      } finally {
        idle.stop()
      }
    })
  }

  /**
   * Begins a transaction that the caller ends, by `tx.commit()` or `tx.rollback()`: for drivers, and where a function doesn't fit;
   * {@link Database.transaction} can't be forgotten to end. All other calls wait for its end, as for that; idle for 5 s, it warns
   * (`transaction_idle`). `options` are for the wait until it has begun.
   *
   * {@link Database.close} rolls back one that is open.
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

  /** A query that runs again when what it reads has changed, see {@link LiveQuery}. */
  live<T = SqlResultValue[]>(
    sql: string | SqlFragment,
    params: SqlParams | undefined,
    options: LiveOptions & ArrayQueryOptions,
  ): LiveQuery<T>
  live<T = Row>(sql: string | SqlFragment, params?: SqlParams, options?: LiveOptions): LiveQuery<T>
  live<T>(sql: string | SqlFragment, params?: SqlParams, options?: LiveOptions): LiveQuery<T> {
    const mode = checkQuery('live', options, ['limit', 'offset', 'initial'])
    this.#calls.check()
    return new LiveQuery<T>(this.#calls, this.#live, sql, copyParams(params) as SqlParams | undefined, mode, options)
  }

  /** How SQLite would run a statement. Parameters change nothing about it, and are accepted for convenience. */
  async explain(sql: string, _params?: SqlParams, options?: CallOptions): Promise<PlanRow[]> {
    checkCall('explain', options)
    return (await this.#calls.alone(['explain', sql], options)).value as PlanRow[]
  }

  /**
   * The whole database as the bytes of a `.sqlite` file, or with `format: 'sql'` as SQL text (UTF-8), as SQLite's shell dumps
   * it. Both have everything that is in the database, also what tidelock keeps there about sync.
   */
  async export(
    options?: CallOptions & { readonly format?: 'sqlite' | 'sql' | undefined },
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { format } = checkCall('export', options, ['format'])
    if (checkOneOf('format', format ?? 'sqlite', ['sqlite', 'sql']) === 'sqlite')
      return this.#calls.read(options, (core) => core.exportBytes())
    return joined(await this.#calls.read<Uint8Array[]>(options, (core) => core.exportSql()))
  }

  /**
   * Replaces everything by the contents of a `.sqlite` file, which is checked first. What was there becomes a snapshot, pending
   * migrations run (`baseline`: the version at which a file without a tracking table stands), live queries run again. The
   * file's own unpushed changes and its user don't come along.
   *
   * Rejects with `database_corrupt` (damaged, or no database), `invalid_argument` (its schema needs functions or modules that
   * aren't here), `snapshot_incompatible` (newer than the supplied migrations), `database_too_large`, `out_of_memory`, and with
   * `unpushed_changes` unless `force`. The database is then what it was, also when a migration fails.
   */
  async import(
    bytes: BufferSource | Blob,
    options?: CallOptions & { readonly baseline?: string | undefined; readonly force?: boolean | undefined },
  ): Promise<void> {
    const { baseline, force } = checkCall('import', options, ['baseline', 'force'])
    const wanted = {
      force: checkBoolean('force', force ?? false),
      baseline: optional('baseline', baseline, checkString),
    }
    this.#calls.check()
    // Without a wait where there is none: the caller may use its bytes again.
    const file = isBlob(bytes) ? await fileBytes('The file', bytes) : viewOf('The file', bytes)
    await this.#calls.cancellable(options, (core, cancel) => core.importBytes(file, wanted, cancel))
  }

  /**
   * Checks the database (SQLite's `integrity_check` and `foreign_key_check`), deletes what has expired (the options `expires` and
   * `audit.retentionDays`), gives back free pages, and gathers statistics for the query planner. What may be long goes in slices, between
   * which other calls get their turn; an abort ends it between two of them, and what was done stays.
   *
   * What is found, and a step that fails, is in the report, and in {@link health} as the alerts `integrity_failed` and
   * `foreign_keys_violated`, until the next time. In a damaged file nothing is deleted.
   */
  async maintain(options?: CallOptions): Promise<MaintenanceReport> {
    checkCall('maintain', options)
    return this.#calls.cancellable(options, (core, cancel) => core.maintain(this.#options.expires ?? [], cancel))
  }

  /**
   * Asks the browser never to evict the data of this site (`navigator.storage.persist()`); whether it promised. Browsers decide by
   * themselves, or ask the user: best called after a click. {@link Database.health} shows the answer as `storage.persisted`.
   */
  async persist(): Promise<boolean> {
    return this.#calls.read<boolean>(undefined, (core) => core.persist())
  }

  /**
   * Changes what the database is encrypted with. A new passphrase or key for an encrypted one is quick: its data stays as it is, under
   * the same inner key. A plain one is encrypted, and with `null` an encrypted one made plain: then everything is stored again,
   * snapshots and log too. Other calls wait meanwhile. A page that dies in it leaves the database with the old or the new secret.
   *
   * Rejects with `invalid_argument` (a key that can't be used), and as a flush does; then the old secret stays.
   *
   * @example
   * ```ts
   * await db.rekey({ passphrase: await askForNewPassphrase() })
   * ```
   */
  async rekey(encryption: Encryption | null, options?: CallOptions): Promise<void> {
    checkCall('rekey', options)
    const checked = encryption === null ? null : checkEncryption(encryption)
    await this.#calls.read(options, (core) => core.rekey(checked))
    if (this.#copier !== undefined) this.#copier.encryption = checked ?? undefined
  }

  /** How everything is. Never rejects, not even after the end. */
  async health(): Promise<Health> {
    try {
      return withTargets(
        await this.#calls.read<Health>(undefined, (core) => core.health(this.#options.health ?? {})),
        this.#copier?.statuses() ?? [],
      )
    } catch (error) {
      // The report is in a part of the wasm, which may not have come.
      const unread = isTidelockError(error, 'wasm_load_failed') && !this.closed
      const why = unread ? error : this.#death
      const alert: Alert | undefined = why && { code: why.code, severity: 'warning', message: why.message }
      return goneHealth(this.#options, alert, unread ? 'degraded' : 'failed')
    }
  }

  /** Resolves when everything written so far is stored. */
  async flush(options?: CallOptions): Promise<void> {
    checkCall('flush', options)
    await this.#calls.read(options, (core) => core.flush())
  }

  /** Finishes what was begun, stores it and gives back the lock. Calls made after it reject with `closed`; another `close` does not. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#begun.close()
    try {
      await this.#calls.close()
    } finally {
      this.#live.close()
      this.sayClose({ reason: 'closed' })
    }
  }

  override addEventListener<K extends keyof DatabaseEventMap>(
    type: K,
    listener: ((event: DatabaseEventMap[K]) => void) | { handleEvent(event: DatabaseEventMap[K]): void } | null,
    options?: AddEventListenerOptions | boolean,
  ): void {
    if (!this.#heard.has(type)) this.#calls.heard(type)
    if (type === 'health' && !this.closed) this.#watch ??= this.#watchHealth()
    this.#heard.add(type)
    super.addEventListener(type, listener as EventListenerOrEventListenerObject | null, options)
  }

  override removeEventListener<K extends keyof DatabaseEventMap>(
    type: K,
    listener: ((event: DatabaseEventMap[K]) => void) | { handleEvent(event: DatabaseEventMap[K]): void } | null,
    options?: EventListenerOptions | boolean,
  ): void {
    super.removeEventListener(type, listener as EventListenerOrEventListenerObject | null, options)
  }

  #watchHealth(): HealthWatch {
    const changed = (detail: Health) => {
      // That it closes is no news of its health.
      if (this.#closing === undefined) this.dispatchEvent(new CustomEvent('health', { detail }))
    }
    return new HealthWatch(() => this.health(), changed)
  }

  /** @internal Tells the listeners. */
  emit(type: keyof DatabaseEventMap, detail: unknown): void {
    if (type !== 'close') {
      if (type === 'sync') this.sync.told(detail)
      if (type === 'role') this.plays((detail as RoleEvent).role)
      if (this.#heard.has(type)) this.dispatchEvent(new CustomEvent(type, { detail }))
      if (type !== 'change') this.#watch?.look()
      // Live queries hear of a lost lock by running into it.
      if (type === 'lock' && (detail as LockEvent).state === 'lost') {
        this.#isLockLost = true
        this.#live.changed()
      }
      return
    }
    this.#calls.ended()
    this.#live.close()
    this.sayClose(detail)
  }

  /** @internal Whether its lock is this page's. */
  get hasLock(): boolean {
    return !this.closed && !this.#isLockLost && this.#role !== 'follower'
  }

  /** @internal What it is from now on. */
  plays(role: 'leader' | 'follower'): void {
    this.#role = role
  }

  /** @internal Live queries whose tables changed. */
  changed(ids: readonly number[]): void {
    this.#live.changed(ids)
  }

  /** @internal The engine was begun anew. */
  renewed(): void {
    this.#live.renew()
    this.sync.renewed()
    if (this.#actor !== undefined) this.#tellActor()
  }

  /** @internal The engine is gone for good. */
  died(error: TidelockError): void {
    this.#death = error
    this.#live.close()
    this.sayClose({ reason: error.code, message: error.message })
  }

  #statement(
    call: string,
    kind: Op,
    sql: string | SqlFragment,
    params: unknown,
    options: CallOptions | undefined,
  ): Promise<unknown> {
    if (options === undefined) return this.#calls.statement(kind, sql, params)
    return rejecting(() => {
      checkCall(call, options)
      return this.#calls.statement(kind, sql, params, options)
    })
  }

  private sayClose(detail: unknown): void {
    if (this.#saidClose) return
    this.#saidClose = true
    this.#watch?.end()
    this.dispatchEvent(new CustomEvent('close', { detail }))
  }
}

/** Checks the options of a transaction; whether it is an immediate one. */
function checkTransaction(call: string, options: TransactionOptions | undefined): boolean {
  const { mode } = checkCall(call, options, ['mode'])
  return mode !== undefined && checkOneOf('mode', mode, ['deferred', 'immediate']) === 'immediate'
}
