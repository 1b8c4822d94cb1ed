import {
  checkBoolean,
  checkCall,
  checkFunction,
  checkInteger,
  checkObject,
  checkOneOf,
  checkString,
  checkStrings,
  optional,
} from '../base/check.js'
import { invalid, isTidelockError } from '../base/errors.js'
import { callUser } from '../base/events.js'
import type { CallOptions } from '../base/values.js'
import type { Connection } from '../engine/connection.js'
import type { Conflict } from '../remote/remote-options.js'

/** How far a pull has come with one table. */
export interface PullProgress {
  readonly table: string
  readonly rows: number
  /** How many there will be, where the remote tells. */
  readonly total: number | null
  readonly bytes: number
}

/** Options of {@link Sync.pull}. */
export interface PullOptions extends CallOptions {
  /**
   * `merge` keeps local data: rows that exist only here stay, rows with unpushed changes follow `conflict`.
   * `replace` makes the tables exactly the remote's, in one transaction.
   * @default 'merge'
   */
  readonly mode?: 'merge' | 'replace' | undefined
  /** @default all that are synced */
  readonly tables?: readonly string[] | undefined
  /** Reads everything, not only what is behind the cursors. */
  readonly full?: boolean | undefined
  /** Allows deletions of most or all of a table because the remote didn't send its rows. */
  readonly allowEmpty?: boolean | undefined
  /** With `replace`: goes on although local changes are lost by it. */
  readonly discardUnpushed?: boolean | undefined
  readonly onProgress?: ((progress: PullProgress) => void) | undefined
}

/** What a pull did to one table. */
export interface TablePullReport {
  readonly table: string
  readonly inserted: number
  readonly updated: number
  readonly deleted: number
  readonly unchanged: number
  readonly keptLocal: number
  readonly conflicts: number
  readonly rejected: number
  readonly pages: number
  readonly bytes: number
  readonly ms: number
  readonly resumed: boolean
}

/** What a pull did. */
export interface PullReport {
  readonly mode: 'merge' | 'replace'
  readonly tables: readonly TablePullReport[]
  readonly ms: number
}

/** Options of {@link Sync.push}. */
export interface PushOptions extends CallOptions {
  /** `rows` are the changes that are settled, `total` those that waited when the push began, `bytes` those sent. */
  readonly onProgress?: ((progress: PullProgress) => void) | undefined
}

/** What a push did to one table. */
export interface TablePushReport {
  readonly table: string
  readonly inserted: number
  readonly updated: number
  readonly deleted: number
  readonly conflicts: number
  readonly rejected: number
}

/** What a push did. */
export interface PushReport {
  readonly tables: readonly TablePushReport[]
  readonly ms: number
}

/** What {@link Sync.run} did. */
export interface RunReport {
  readonly push: PushReport
  readonly pull: PullReport
}

/** A conflict that was met, and the local row afterwards (null: it is gone). */
export interface ConflictEntry extends Conflict {
  readonly time: string
  readonly result: Conflict['local']
}

/** A local change that the remote doesn't have yet, or has refused. */
export interface OutboxEntry {
  readonly id: string
  readonly table: string
  readonly key: Readonly<Record<string, unknown>>
  readonly op: 'insert' | 'update' | 'delete'
  readonly columns: readonly string[]
  readonly time: string
  /**
   * Of a rejected one: `refused` by the remote (or because its key is NULL), `conflict` that a person has to decide, `schema` (a column
   * with an unsent value was dropped), `restored` with a snapshot, or `unapplied`: a row of the remote that the local schema refuses.
   * Of one that waits for something: `held_back` by another one, `retrying`, or `remote_column_missing`.
   */
  readonly reason?: string
  readonly error?: unknown
}

/** Options of {@link Sync.start}. */
export interface StartOptions {
  /**
   * Milliseconds from the end of one round to the next.
   * @default 30000
   */
  readonly intervalMs?: number | undefined
}

const defaultIntervalMs = 30_000

/** How one table stands. */
export interface SyncStatus {
  readonly table: string
  readonly phase: string
  readonly lastPulledAt: string | null
  readonly lastPushedAt: string | null
  readonly rows: number
  readonly pending: number
  readonly rejected: number
  readonly lagMs: number
  readonly lastError: unknown
}

/** The sync with the remote: `db.sync`. Local changes are noted from the start, with or without a remote. */
export class Sync {
  readonly #calls: Connection
  readonly #remote: boolean
  /** What was asked for: null is rest; undefined: as the option `mode` says. */
  #interval: number | null | undefined
  #ready: Promise<void> | undefined
  #becomeReady: (() => void) | undefined

  /** @internal */
  constructor(calls: Connection, remote: boolean) {
    this.#calls = calls
    this.#remote = remote
  }

  /**
   * Brings the remote's rows here. Pulling twice changes nothing the second time; a pull that was cut goes on where it stopped.
   *
   * Rejects with `unpushed_changes`, `remote_empty`, `sync_network`, `sync_unauthorized`, `sync_rejected`, `sync_server`,
   * `sync_protocol`, `sync_schema_mismatch`, `sync_user_mismatch`, and with `invalid_argument` without the option `remote`.
   * An abort keeps the whole pages that a merge applied; a replace is all or nothing.
   *
   * @example
   * ```ts
   * const report = await db.sync.pull({ onProgress: ({ table, rows, total }) => show(table, rows, total) })
   * ```
   */
  async pull(options?: PullOptions): Promise<PullReport> {
    const checked = checkPull(options)
    this.#needRemote('sync.pull')
    const { onProgress } = options ?? {}
    const progress =
      onProgress === undefined ? undefined : (step: unknown) => callUser(onProgress, step as PullProgress)
    return this.#calls.cancellable<PullReport>(options, (core, cancel) => core.syncPull(checked, progress, cancel))
  }

  /** The local changes that the remote doesn't have yet. */
  async pending(options?: CallOptions): Promise<OutboxEntry[]> {
    checkCall('sync.pending', options)
    return this.#calls.read(options, (core) => core.syncPending())
  }

  /** The local changes that were refused for good. They are kept until they are retried or discarded. */
  async rejected(options?: CallOptions): Promise<OutboxEntry[]> {
    checkCall('sync.rejected', options)
    return this.#calls.read(options, (core) => core.syncRejected())
  }

  /** One entry a synced table. */
  async status(options?: CallOptions): Promise<SyncStatus[]> {
    checkCall('sync.status', options)
    return this.#calls.read(options, (core) => core.syncStatus())
  }

  /**
   * Resolves when all tables that are pulled have been pulled completely once, by whatever pull, now or in an earlier session: then at
   * once. When the database is closed before, it stays pending. Without the option `remote` it rejects with `invalid_argument`.
   */
  get ready(): Promise<void> {
    this.#ready ??= this.#waitUntilReady()
    return this.#ready
  }

  #waitUntilReady(): Promise<void> {
    const ready = new Promise<void>((resolve) => {
      this.#needRemote('sync.ready')
      this.#becomeReady = resolve
      this.#lookWhetherReady()
    })
    // Who only looks at it doesn't want to hear of it.
    ready.catch(() => {})
    return ready
  }

  async #lookWhetherReady(): Promise<void> {
    try {
      if (await this.#calls.read<boolean>(undefined, (core) => core.syncReady())) this.#becomeReady?.()
    } catch {
      // The end of the next pull is another occasion.
    }
  }

  /** @internal What sync does now. */
  told(detail: unknown): void {
    const { phase, error } = detail as { readonly phase: string; readonly error?: unknown }
    if (phase === 'idle' && error === undefined && this.#becomeReady !== undefined) this.#lookWhetherReady()
  }

  /**
   * Sends the local changes: one change a row, new rows and deletions in bulk, of other rows the columns that changed. A call
   * while one is under way joins it. What the remote refuses for good fails nothing: it is in {@link Sync.rejected}, and holds
   * back only its row and those that depend on it.
   *
   * Rejects with `sync_network`, `sync_unauthorized`, `sync_server`, `sync_protocol`, `sync_schema_mismatch`,
   * `sync_user_mismatch`, and with `invalid_argument` without the option `remote`. Whatever happens, a change leaves the outbox only
   * when the remote has it; one that was sent and not acknowledged is sent again, without being applied twice.
   *
   * @example
   * ```ts
   * await db.run('UPDATE orders SET status = ? WHERE id = ?', ['paid', 7])
   * const report = await db.sync.push()
   * ```
   */
  async push(options?: PushOptions): Promise<PushReport> {
    const { onProgress } = checkCall('sync.push', options, ['onProgress'])
    if (onProgress !== undefined) checkFunction('onProgress', onProgress)
    this.#needRemote('sync.push')
    const tell = options?.onProgress
    const progress = tell === undefined ? undefined : (step: unknown) => callUser(tell, step as PullProgress)
    return this.#calls.cancellable<PushReport>(options, (core, cancel) => core.syncPush(progress, cancel))
  }

  /**
   * Pushes, then pulls: also when the remote can't take the changes of one table. Rejects as {@link Sync.push} and {@link Sync.pull} do.
   */
  async run(options?: CallOptions): Promise<RunReport> {
    checkCall('sync.run', options)
    let refused: unknown
    const push = await this.push(options).catch((error: unknown) => {
      // The others may bring rows all the same; what is in the way of all tables is in the way of the pull, too.
      if (!isTidelockError(error, 'sync_rejected') && !isTidelockError(error, 'sync_schema_mismatch')) throw error
      refused = error
    })
    const pull = await this.pull(options)
    if (!push) throw refused
    return { push, pull }
  }

  /**
   * Keeps in step from now on: pushes and pulls at once, then each `intervalMs` (30 s by default, from the end of one round to the next),
   * and also when there is a network again, when the page is shown, and within a second after local writes. What fails is tried again,
   * after a wait that doubles up to two minutes, or as long as the remote asks for; without a network it waits for one. A change that
   * the remote refuses because a row that it refers to is missing there is sent again for two minutes before it moves to
   * {@link Sync.rejected}. Calls by hand join what is under way. Again: changes the interval.
   *
   * How it goes, the events `sync`, {@link Sync.status} and `health()` tell. With the token of another user (`sync_user_mismatch`) it
   * stops. Rejects with `invalid_argument` without the option `remote`, and with `closed`.
   *
   * @example
   * ```ts
   * await db.sync.start({ intervalMs: 10_000 })
   * ```
   */
  async start(options?: StartOptions): Promise<void> {
    const { intervalMs } = checkObject('The argument of sync.start', options, ['intervalMs'])
    const interval = checkInteger('intervalMs', intervalMs ?? defaultIntervalMs, 1)
    this.#needRemote('sync.start')
    this.#calls.check()
    this.#interval = interval
    await this.#unlessOver(this.#calls.read(undefined, (core) => core.syncStart(interval)))
  }

  /**
   * Stops what {@link Sync.start} or `mode: 'cloud'` began. A round under way is given up, unless a call by hand has joined it: what it
   * did stays done, and what was on its way is sent again the next time, without being applied twice. Idempotent.
   */
  async stop(): Promise<void> {
    this.#interval = null
    if (!this.#remote || this.#calls.closed) return
    await this.#unlessOver(this.#calls.read(undefined, (core) => core.syncStop()))
  }

  /** @internal The engine was begun anew: it knows only what the options say. */
  renewed(): void {
    const interval = this.#interval
    // What can't be loaded again is told by the calls that need it.
    if (interval === null) this.stop().catch(() => {})
    else if (interval !== undefined) this.start({ intervalMs: interval }).catch(() => {})
    this.told({ phase: 'idle' })
  }

  /** Nobody needs to hear that a database doesn't keep in step because it is closed; an engine that is begun anew is told again. */
  async #unlessOver(told: Promise<unknown>): Promise<void> {
    try {
      await told
    } catch (error) {
      if (!isTidelockError(error, 'closed') && !isTidelockError(error, 'worker_crashed')) throw error
    }
  }

  /** Lets a refused change wait to be pushed again. Rejects with `invalid_argument` for an unknown id. */
  async retry(id: string, options?: CallOptions): Promise<void> {
    checkId('sync.retry', id)
    checkCall('sync.retry', options)
    this.#needRemote('sync.retry')
    await this.#calls.read(options, (core) => core.syncRetry(id))
  }

  /**
   * Gives up a local change: the row becomes the remote's again, or goes when the remote has none.
   *
   * Rejects with `invalid_argument` for an unknown id, with `sync_*` when the remote can't be read, and with `sqlite_constraint`
   * when its row doesn't fit. Nothing has changed then.
   */
  async discard(id: string, options?: CallOptions): Promise<void> {
    checkId('sync.discard', id)
    checkCall('sync.discard', options)
    this.#needRemote('sync.discard')
    await this.#calls.read(options, (core) => core.syncDiscard(id))
  }

  /** The conflicts that were met, newest first; of the newest 1000. `limit`: at most so many, 100 by default. */
  async conflicts(options?: CallOptions & { readonly limit?: number | undefined }): Promise<ConflictEntry[]> {
    const { limit } = checkCall('sync.conflicts', options, ['limit'])
    const most = checkInteger('limit', limit ?? 100, 0)
    return this.#calls.read(options, (core) => core.syncConflicts(Math.min(most, 1000)))
  }

  /**
   * Queues the rows of a table that the remote doesn't have: those that were there before the table was synced are not pushed by
   * themselves. Asks the remote for its keys.
   *
   * Rejects with `invalid_argument` for a table that isn't pushed, and with `sync_*` when the remote can't be read.
   */
  async enqueue(table: string, options?: CallOptions): Promise<{ readonly queued: number }> {
    checkString('table', table)
    checkCall('sync.enqueue', options)
    this.#needRemote('sync.enqueue')
    return { queued: await this.#calls.read<number>(options, (core) => core.syncEnqueue(table)) }
  }

  #needRemote(call: string): void {
    if (!this.#remote) {
      throw invalid(`${call} needs a remote`, { hint: 'Pass the option remote: { url, key, tables } to open' })
    }
  }
}

function checkId(call: string, id: unknown): void {
  if (typeof id !== 'string' || !/^\d+$/.test(id)) {
    throw invalid(`${call} needs the id of a change, as pending() and rejected() give it`)
  }
}

function checkPull(options: PullOptions | undefined) {
  const keys = ['mode', 'tables', 'full', 'allowEmpty', 'discardUnpushed', 'onProgress']
  const { mode, tables, full, allowEmpty, discardUnpushed, onProgress } = checkCall('sync.pull', options, keys)
  if (onProgress !== undefined) checkFunction('onProgress', onProgress)
  return {
    mode: checkOneOf('mode', mode ?? 'merge', ['merge', 'replace']),
    full: checkBoolean('full', full ?? false),
    allowEmpty: checkBoolean('allowEmpty', allowEmpty ?? false),
    discardUnpushed: checkBoolean('discardUnpushed', discardUnpushed ?? false),
    tables: optional('tables', tables, checkStrings),
  }
}
