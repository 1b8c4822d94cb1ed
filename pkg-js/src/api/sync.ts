import {
  checkBoolean,
  checkCall,
  checkFunction,
  checkInteger,
  checkOneOf,
  checkOptionsOf,
  checkString,
  checkStrings,
  optional,
} from '../base/check.js'
import { invalid, isTidelockError } from '../base/errors.js'
import { callUser } from '../base/events.js'
import type {
  ConflictEntry,
  OutboxEntry,
  PullProgress,
  PullReport,
  PushReport,
  SyncEvent,
  SyncStatus,
} from '../base/generated-types.js'
import type { CallOptions } from '../base/values.js'
import type { Connection } from '../engine/connection.js'
import type { Core } from '../engine/core.js'
import type { SyncCall } from '../engine/last-sync-call.js'

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
  /** Is called after each page of rows. */
  readonly onProgress?: ((progress: PullProgress) => void) | undefined
}

/** Options of {@link Sync.push}. */
export interface PushOptions extends CallOptions {
  /** `rows` are the changes that are settled, `total` those that waited when the push began, `bytes` those sent. */
  readonly onProgress?: ((progress: PullProgress) => void) | undefined
}

/** What {@link Sync.run} did. */
export interface RunReport {
  /** What the push did, which came first. */
  readonly push: PushReport
  /** What the pull did. */
  readonly pull: PullReport
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

/** The sync with the remote: `db.sync`. Local changes are recorded from the start, with or without the option `remote`. */
export class Sync {
  readonly #connection: Connection
  readonly #remote: boolean
  #ready: Promise<void> | undefined
  #becomeReady: (() => void) | undefined

  /** @internal */
  constructor(connection: Connection, remote: boolean) {
    this.#connection = connection
    this.#remote = remote
  }

  /** Marks it as no plain object, see {@link LiveQuery}. */
  get [Symbol.toStringTag](): string {
    return 'Sync'
  }

  /**
   * Reads the remote's rows into the local tables. A second pull without remote changes changes nothing; an interrupted pull resumes where
   * it stopped.
   *
   * Rejects with `unpushed_changes`, `remote_empty`, `sync_network`, `sync_unauthorized`, `sync_rejected`, `sync_server`,
   * `sync_protocol`, `sync_schema_mismatch`, `sync_user_mismatch`, and with `invalid_argument` without the option `remote`.
   * An aborted merge keeps the whole pages that it applied; a replace is all or nothing.
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
    const progress = onProgress && ((step: PullProgress) => callUser(onProgress, step))
    return this.#connection.endedByClose(options, (core, cancel) => core.syncPull(checked, progress, cancel))
  }

  /** Returns the local changes that the remote doesn't have yet. */
  async pending(options?: CallOptions): Promise<OutboxEntry[]> {
    checkCall('sync.pending', options)
    return this.#connection.read(options, (core) => core.syncPending())
  }

  /** Returns the rejected changes. They stay until {@link Sync.retry} or {@link Sync.discard}. */
  async rejected(options?: CallOptions): Promise<OutboxEntry[]> {
    checkCall('sync.rejected', options)
    return this.#connection.read(options, (core) => core.syncRejected())
  }

  /** Returns the state of the sync, one entry for each synced table. */
  async status(options?: CallOptions): Promise<SyncStatus[]> {
    checkCall('sync.status', options)
    return this.#connection.read(options, (core) => core.syncStatus())
  }

  /**
   * Resolves when every pulled table has been pulled completely once, by any pull, in this session or an earlier one. It stays pending when
   * the database is closed first. Rejects with `invalid_argument` without the option `remote`.
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
    // It keeps Node running until the database is closed. Reading the property must not cause an unhandled rejection.
    this.#connection.orStopped(ready, undefined).catch(() => {})
    return ready
  }

  async #lookWhetherReady(): Promise<void> {
    try {
      if (await this.#connection.read(undefined, (core) => core.syncReady())) this.#becomeReady?.()
    } catch {
      // The next pull checks again.
    }
  }

  /** @internal Handles a `sync` event. */
  handleEvent({ phase, error }: SyncEvent): void {
    if (phase === 'idle' && error === undefined && this.#becomeReady !== undefined) this.#lookWhetherReady()
  }

  /**
   * Sends the local changes: one change per row, inserts and deletes in bulk, updates with the changed columns only. A call during a push
   * joins it. A change that the remote refuses permanently doesn't fail the push: it moves to {@link Sync.rejected} and holds back only its row
   * and dependent rows.
   *
   * Rejects with `sync_network`, `sync_unauthorized`, `sync_server`, `sync_protocol`, `sync_schema_mismatch`,
   * `sync_user_mismatch`, and with `invalid_argument` without the option `remote`. A change leaves the outbox only when the remote has it;
   * a change that was sent and not acknowledged is sent again, and not applied twice.
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
    const listener = options?.onProgress
    const progress = listener && ((step: PullProgress) => callUser(listener, step))
    return this.#connection.endedByClose(options, (core, cancel) => core.syncPush(progress, cancel))
  }

  /**
   * Pushes, then pulls. The pull runs even if the push failed because of one table. Rejects as {@link Sync.push} and {@link Sync.pull} do.
   */
  async run(options?: CallOptions): Promise<RunReport> {
    checkCall('sync.run', options)
    this.#needRemote('sync.run')
    let refused: unknown
    const push = await this.push(options).catch((error: unknown) => {
      // These errors are about one table, and the pull can still bring the others; other errors would fail the pull too.
      if (!isTidelockError(error, 'sync_rejected') && !isTidelockError(error, 'sync_schema_mismatch')) throw error
      refused = error
    })
    const pull = await this.pull(options)
    if (!push) throw refused
    return { push, pull }
  }

  /**
   * Starts the periodic sync: pushes and pulls at once, then every `intervalMs` (30 s by default, from the end of one round to the next),
   * when the network returns, when the page becomes visible, and within a second after local writes. A failed round is retried after a delay
   * that doubles up to two minutes, or after the delay that the remote asks for; offline, it waits for the network. A change that the remote
   * refuses because of a missing parent row is sent again for two minutes before it moves to {@link Sync.rejected}. Manual calls join a
   * running round. A second `start` changes the interval. Where several tabs or objects share the database, the last call of any of them
   * counts, until all are closed.
   *
   * The event `sync`, {@link Sync.status} and {@link Database.health} report the progress. The token of another user
   * (`sync_user_mismatch`) stops the sync. Rejects with `invalid_argument` without the option `remote`, and with `closed`.
   *
   * @example
   * ```ts
   * await db.sync.start({ intervalMs: 10_000 })
   * ```
   */
  async start(options?: StartOptions): Promise<void> {
    const { intervalMs } = checkOptionsOf('sync.start', options, ['intervalMs'])
    const interval = checkInteger('intervalMs', intervalMs ?? defaultIntervalMs, 1)
    this.#needRemote('sync.start')
    this.#connection.check()
    await this.#send(this.#connection.syncCalls.add(interval), false)
  }

  /**
   * Stops the periodic sync of {@link Sync.start} or `mode: 'cloud'`. Cancels a running round unless a manual call has joined it. Finished
   * work of the round stays; requests in flight are sent again in the next round, and not applied twice. Idempotent.
   */
  async stop(): Promise<void> {
    if (!this.#remote || this.#connection.closed) return
    await this.#send(this.#connection.syncCalls.add(null), false)
  }

  /** @internal Starts or stops the sync again after a restart of the engine, which knows the options only. */
  renewed(): void {
    const { last } = this.#connection.syncCalls
    // An error of loading is reported by the next call that needs the sync.
    if (last !== undefined) this.#send(last, true).catch(() => {})
    this.handleEvent({ phase: 'idle' })
  }

  /** Ignores `closed`, and `worker_crashed`: a restarted engine gets the call again in `renewed`. */
  async #send({ intervalMs, order }: SyncCall, isRepeated: boolean): Promise<void> {
    try {
      await this.#connection.read(undefined, (core) =>
        intervalMs === null ? core.syncStop(order, isRepeated) : core.syncStart(intervalMs, order, isRepeated),
      )
    } catch (error) {
      if (!isTidelockError(error, 'closed') && !isTidelockError(error, 'worker_crashed')) throw error
    }
  }

  /**
   * Queues a rejected change for the next push. Rejects with `invalid_argument` for an unknown id; for that of an `unapplied` row that no
   * longer waits, it does nothing.
   */
  async retry(id: string, options?: CallOptions): Promise<void> {
    checkId('sync.retry', id)
    checkCall('sync.retry', options)
    this.#needRemote('sync.retry')
    await this.#connection.endedByClose(options, (core, cancel) => core.syncRetry(id, { cancel }))
  }

  /**
   * Discards a local change: the row becomes the remote's again, or is deleted when the remote has none. An `unapplied` row of the remote is
   * tried once more; if it still doesn't fit, the row here stays as it is until the remote sends its row again.
   *
   * Rejects with `invalid_argument` for an unknown id, with `sync_*` when the remote can't be read, and with `sqlite_constraint` when the
   * remote's row violates a local constraint. Then nothing has changed.
   */
  async discard(id: string, options?: CallOptions): Promise<void> {
    checkId('sync.discard', id)
    checkCall('sync.discard', options)
    this.#needRemote('sync.discard')
    await this.#connection.endedByClose(options, (core, cancel) => core.syncDiscard(id, { cancel }))
  }

  /** Returns the log of conflicts, newest first. `limit` is the largest number of entries: 0 to 1000, by default 100. */
  async conflicts(options?: CallOptions & { readonly limit?: number | undefined }): Promise<ConflictEntry[]> {
    const { limit } = checkCall('sync.conflicts', options, ['limit'])
    const most = checkInteger('limit', limit ?? 100, 0)
    return this.#connection.read(options, (core) => core.syncConflicts(Math.min(most, 1000)))
  }

  /**
   * Queues the rows of a table that the remote doesn't have, after reading the remote's keys. Rows from before the table was synced are
   * otherwise not pushed. A table with `direction: 'push'` isn't read: all of its rows are queued. Returns the number of queued rows.
   *
   * Rejects with `invalid_argument` for a table that isn't pushed, and with `sync_*` when the remote can't be read.
   */
  async enqueue(table: string, options?: CallOptions): Promise<{ readonly queued: number }> {
    checkString('table', table)
    checkCall('sync.enqueue', options)
    this.#needRemote('sync.enqueue')
    const limited = (core: Core, cancel: number) => core.syncEnqueue(table, { cancel })
    return { queued: await this.#connection.endedByClose(options, limited) }
  }

  #needRemote(call: string): void {
    if (!this.#remote) {
      throw invalid(`${call} needs a remote`, { hint: 'Pass the option remote: { url, key, tables } to open' })
    }
  }
}

function checkId(call: string, id: unknown): void {
  if (typeof id !== 'string' || !/^\d+$/.test(id)) {
    throw invalid(`${call} needs the id of a change, from pending() or rejected()`)
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
