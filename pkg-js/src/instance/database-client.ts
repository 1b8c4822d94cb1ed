import { Database, type DatabaseOwner } from '../api/database.js'
import type { DatabaseEvent } from '../api/events.js'
import { Snapshots } from '../api/snapshots.js'
import { IdleWatch, Steps } from '../api/steps.js'
import { Tx } from '../api/transaction.js'
import { DatabaseSecrets } from '../base/database-secrets.js'
import { errorWith, invalid, isTidelockError, TidelockError } from '../base/errors.js'
import { callUser, type Warning, warnOnConsole } from '../base/events.js'
import type { Conflict } from '../base/generated-types.js'
import { loaded } from '../base/lazy-module.js'
import { AttachedConnection } from '../engine/attached-connection.js'
import type { Connection, ConnectionOptions } from '../engine/connection.js'
import type { CoreEvent } from '../engine/core.js'
import type { CoreOptions } from '../engine/core-options.js'
import { SnapshotCopier } from '../files/snapshot-copier.js'
import { lazyOptions } from '../options/load-lazy-options.js'
import type { OpenOptions } from '../options/options.js'
import { requests } from '../remote/load-requests.js'
import type { HttpRequest, HttpResponse } from '../remote/request.js'
import type { WatchUser } from '../remote/supabase-client.js'

/** Returns the next time after the given one, both in milliseconds since 1970; null: there is none. */
export type Timetable = (after: number) => number | null

/**
 * Parses the option `snapshots.cron`. Its parser is a module of its own, because few apps use it. Rejects with `invalid_argument` for a
 * malformed pattern.
 */
export async function loadTimetable({ snapshots }: OpenOptions): Promise<Timetable | undefined> {
  if (snapshots === false || snapshots?.cron === undefined) return undefined
  const module = await loaded('snapshots.cron', import('../base/cron.js'))
  try {
    return module.timetable(snapshots.cron)
  } catch (cause) {
    throw invalid(`snapshots.cron is not understood: ${(cause as Error).message}`, {
      cause,
      details: { option: 'snapshots.cron' },
      hint: "Five fields: minute, hour, day, month, day of the week, as '0 3 * * *' for each night at three",
    })
  }
}

/** What an engine calls in the thread that called `open`. */
export interface EngineCallbacks {
  /** Receives an event. */
  handle(event: CoreEvent): void
  /** Runs a migration that is a function, under that permit. */
  migrate(version: string, direction: 'up' | 'down', permitId: number): Promise<void>
  /** The user's own `fetch`, if the options have one. */
  fetch?(url: string, asking: HttpRequest): Promise<HttpResponse>
  accessToken(): Promise<string | null>
  /** Returns when the next snapshot after that time is due by `snapshots.cron`, in milliseconds since 1970; null: never. */
  nextSnapshot(after: number): Promise<number | null>
  /** Has the user's function give the filters of a table: see `remote-filter.ts`. */
  remoteFilter(table: string): Promise<string>
  /** Has the user's function resolve a conflict: see `conflict-function.ts`. */
  resolveConflict(conflict: Conflict): Promise<string | null>
  /** Loads the bytes of the seed, if the options have one. */
  seed?(): Promise<Uint8Array>
}

/**
 * The client of one engine in the thread that called `open`: serves the callbacks of the engine with the options that are functions, and
 * delivers events to the database objects that use the engine.
 */
export class DatabaseClient implements EngineCallbacks, DatabaseOwner {
  readonly #options: OpenOptions
  readonly #warn: (warning: Warning) => void
  readonly #timetable: Timetable | undefined
  readonly #open: ((options: OpenOptions) => Promise<Database>) | undefined
  readonly #watchUser: WatchUser | undefined
  #unwatchUser: (() => void) | undefined
  #connection: Connection | undefined
  #checked: CoreOptions | undefined
  /** The database objects that use the engine. */
  readonly #databases = new Set<Database>()
  #copier: SnapshotCopier | undefined
  readonly secrets: DatabaseSecrets
  #role: 'leader' | 'follower' | undefined
  #isLockLost = false
  /** The error with which the leader refuses this tab permanently. */
  #refusal: unknown
  #closing: Promise<void> | undefined
  /** Called once the engine is closed, whatever has closed it. */
  onClosed: () => void = () => {}
  /** What a migration that is a function threw; through wasm only its text comes back. */
  #thrown: { readonly version: string; readonly error: unknown } | undefined
  readonly fetch?: (url: string, asking: HttpRequest) => Promise<HttpResponse>
  readonly seed?: () => Promise<Uint8Array>

  /** `timetable`: see {@link loadTimetable}. `open` opens scratch databases. `watchUser` reports who is signed in at the remote. */
  constructor(
    options: OpenOptions,
    timetable?: Timetable,
    open?: (options: OpenOptions) => Promise<Database>,
    watchUser?: WatchUser,
  ) {
    this.#options = options
    this.#watchUser = watchUser
    this.secrets = new DatabaseSecrets(options.encryption)
    this.#open = open
    this.#timetable = timetable
    this.#warn = options.onWarning ?? warnOnConsole
    const { remote, seed, signal, maxBytes } = options
    // Early, so that the first request needn't wait for its code.
    if (remote !== undefined) requests().catch(() => {})
    const own = remote?.fetch
    if (own !== undefined) this.fetch = async (url, asking) => (await requests()).request(url, asking, own)
    if (seed !== undefined) {
      this.seed = async () => {
        const { loadSeed } = await loaded('seed', import('../options/load-seed.js'))
        const bytes = await loadSeed(seed, signal, maxBytes)
        signal?.throwIfAborted()
        return bytes
      }
    }
  }

  /** The options of this client's {@link Connection}. */
  connectionOptions(checked: CoreOptions): ConnectionOptions {
    return {
      integers: checked.integers,
      takesTurns: true,
      warn: (detail) => this.#emit({ type: 'warning', detail }),
      refine: (error) => this.#refine(error),
      onDead: (error) => {
        this.#ended()
        for (const database of this.#databases) database.lifecycle.died(error)
      },
    }
  }

  /** Sets the connection through which migrations that are functions reach the engine. */
  connect(connection: Connection): void {
    this.#connection = connection
  }

  /** The engine of the connection is open: database objects can be attached. */
  opened(checked: CoreOptions): void {
    this.#checked = checked
    const { snapshots } = this.#options
    const connection = this.#connection
    if (connection === undefined) return
    this.#unwatchUser = this.#watchUser?.((signedIn) => {
      // Once it is closed, nothing is sent any more.
      connection.read(undefined, (core) => core.syncUser(signedIn)).catch(() => {})
    })
    if (snapshots === false || !snapshots?.targets?.length) return
    const { compress, retries, backoffMs } = checked.snapshots
    const own = new Snapshots(connection, checked.maxBytes)
    this.#copier = new SnapshotCopier(snapshots.targets, {
      compress,
      retries,
      backoffMs,
      encryption: () => this.secrets.current,
      export: (id, options) => own.export(id, options),
      report: (detail) => this.#emit({ type: 'snapshot', detail }),
    })
  }

  /** A database object that uses the engine. The last one that is closed closes the engine. Throws when the leader has refused this tab. */
  attach(): Database {
    const [checked, engine] = [this.#checked, this.#connection]
    if (checked === undefined || engine === undefined) throw new Error('The engine is not open')
    if (this.#refusal !== undefined) throw this.#refusal
    const attached = new AttachedConnection(engine, (finished) => this.#detach(database, engine, finished))
    const database = new Database(checked, attached, this)
    this.#databases.add(database)
    if (this.#role !== undefined) database.lifecycle.role = this.#role
    const open = this.#open
    if (open !== undefined) {
      database.migrations.replayBy(async (history, limits) => {
        const { replay } = await loaded('drift', import('./replay.js'))
        return replay(open, this.#options, history, limits)
      })
    }
    return database
  }

  /** Ends the use of the engine by an object whose calls are `finished` then. */
  async #detach(database: Database, engine: Connection, finished: Promise<void>): Promise<void> {
    this.#databases.delete(database)
    if (this.#databases.size === 0) return this.close(finished)
    try {
      await finished
      // What this object has begun ends before, and is stored.
      await engine.withPermit(undefined, () => [undefined, false])
      await engine.read(undefined, (core) => core.flush())
    } catch (error) {
      // The last object is being closed, which stores everything. After a lost lock or a refusal nothing can be stored any more, which
      // is no failure of closing: not of the last object's either.
      if (this.#closing === undefined && !this.#isLockLost && this.#refusal === undefined) throw error
      await this.#closing
    }
  }

  get copier(): SnapshotCopier | undefined {
    return this.#copier
  }

  get hasSecrets(): boolean {
    return this.secrets.current !== undefined || this.#options.columnKey !== undefined
  }

  /** Closes the engine, after what is `finished` first. From now on no other object can use it. */
  close(finished = Promise.resolve()): Promise<void> {
    this.#endBackgroundWork()
    this.#closing ??= finished.then(() => this.#connection?.close()).finally(() => this.onClosed())
    return this.#closing
  }

  /** The end of {@link DatabaseClient.close}, if that was called. */
  get closing(): Promise<void> | undefined {
    return this.#closing
  }

  /** Whether any database object uses the engine. */
  get isAttached(): boolean {
    return this.#databases.size > 0
  }

  /** Whether database objects can be attached: the engine is open and has its lock. */
  get isUsable(): boolean {
    return this.#closing === undefined && this.#connection?.closed === false && !this.#isLockLost
  }

  handle(event: CoreEvent): void {
    if (event.type === 'live') {
      for (const database of this.#databases) database.lifecycle.live.changed(event.detail.ids)
    } else if (event.type === 'syncCall') this.#connection?.syncCalls.keep(event.detail)
    else this.#emit(event)
  }

  #emit(event: DatabaseEvent): void {
    const { type, detail } = event
    if (type === 'warning') callUser(this.#warn, detail)
    if (type === 'snapshot') this.#copier?.happened(detail)
    if (type === 'close') this.#ended()
    if (type === 'lock' && detail.state === 'lost') this.#isLockLost = true
    for (const database of [...this.#databases]) database.lifecycle.emit(event)
  }

  /** Sets the role of this tab. */
  plays(role: 'leader' | 'follower'): void {
    if (this.#role === role) return
    this.#role = role
    this.#emit({ type: 'role', detail: { role } })
  }

  /** Stops what goes on by itself, after the leader has refused this tab permanently: each call rejects with that error from now on. */
  refused(error: unknown): void {
    this.#refusal = error
    this.#endBackgroundWork()
    this.#emit({ type: 'lock', detail: { state: 'released' } })
    for (const database of this.#databases) database.lifecycle.live.changed()
  }

  /** Registers the live queries again, after another engine has taken over. */
  renewed(): void {
    for (const database of this.#databases) database.lifecycle.renewed()
  }

  /** The engine has closed by itself, unless a close is in progress. */
  #ended(): void {
    this.#endBackgroundWork()
    if (this.#closing === undefined) this.onClosed()
  }

  /** Ends the copies of snapshots to targets, and the watch on the signed-in user. */
  #endBackgroundWork(): void {
    this.#copier?.close()
    this.#unwatchUser?.()
  }

  async accessToken(): Promise<string | null> {
    return (await this.#options.remote?.accessToken?.()) ?? null
  }

  async nextSnapshot(after: number): Promise<number | null> {
    return this.#timetable?.(after) ?? null
  }

  async remoteFilter(table: string): Promise<string> {
    // As below.
    const { remoteFilter } = await lazyOptions()
    return remoteFilter(this.#options.remote, table)
  }

  async resolveConflict(conflict: Conflict): Promise<string | null> {
    // The opening has loaded this module, because of the option `remote`.
    const { resolveConflict } = await lazyOptions()
    return resolveConflict(this.#options.remote, conflict)
  }

  async migrate(version: string, direction: 'up' | 'down', permitId: number): Promise<void> {
    const migration = this.#options.migrations?.find((one) => one.version === version)
    const work = migration?.[direction]
    const connection = this.#connection
    if (typeof work !== 'function' || connection === undefined)
      throw new TidelockError('internal', `Migration ${version} has no function for ${direction}`, {
        hint: 'Please report this error',
      })
    const idle = new IdleWatch(connection, permitId)
    const steps = new Steps(connection, idle)
    try {
      await connection.inside(() => work(new Tx(connection, permitId, steps)))
      await steps.settled()
    } catch (error) {
      this.#thrown = { version, error }
      throw error
    } finally {
      steps.end()
      idle.stop()
    }
  }

  /** Adds what a migration's function threw to the error `migration_failed`, as its cause. */
  #refine(error: TidelockError): TidelockError {
    const thrown = this.#thrown
    if (thrown === undefined || !isTidelockError(error, 'migration_failed')) return error
    const version = error.details.version ?? thrown.version
    if (version !== thrown.version) return error
    this.#thrown = undefined
    return errorWith(error, { details: { version }, cause: thrown.error })
  }
}
