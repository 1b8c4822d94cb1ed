import { checkBoolean, checkCall, checkFunction, checkOneOf, checkStrings } from './check.js'
import type { Connection } from './connection.js'
import { invalid, unavailable } from './errors.js'
import { callUser } from './events.js'
import type { CallOptions } from './values.js'

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

/** A local change that the remote doesn't have yet, or has refused. */
export interface OutboxEntry {
  readonly id: string
  readonly table: string
  readonly key: Readonly<Record<string, unknown>>
  readonly op: 'insert' | 'update' | 'delete'
  readonly columns: readonly string[]
  readonly time: string
  readonly reason?: string
  readonly error?: unknown
}

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
    const report = await this.#calls.cancellable<PullReport>(options, (core, cancel) =>
      core.syncPull(checked, progress, cancel),
    )
    if (checked.tables === undefined) this.#becomeReady?.()
    return report
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

  /** Resolves when all synced tables have been pulled once, now or in an earlier session. */
  get ready(): Promise<void> {
    this.#ready ??= this.#waitUntilReady()
    return this.#ready
  }

  async #waitUntilReady(): Promise<void> {
    this.#needRemote('sync.ready')
    const pulled = new Promise<void>((resolve) => {
      this.#becomeReady = resolve
    })
    const tables = await this.status()
    if (tables.length > 0 && tables.every((table) => table.lastPulledAt !== null)) return
    await pulled
  }

  /** Not available in this build: rejects with `unsupported_environment`. */
  async push(_options?: CallOptions): Promise<never> {
    throw unavailable('sync.push')
  }

  /** Not available in this build: rejects with `unsupported_environment`. */
  async run(_options?: CallOptions): Promise<never> {
    throw unavailable('sync.run')
  }

  /** Not available in this build: throws `unsupported_environment`. */
  start(_options?: { readonly intervalMs?: number | undefined }): void {
    throw unavailable('sync.start')
  }

  /** Not available in this build: throws `unsupported_environment`. */
  stop(): void {
    throw unavailable('sync.stop')
  }

  /** Not available in this build: rejects with `unsupported_environment`. */
  async retry(_id: string): Promise<void> {
    throw unavailable('sync.retry')
  }

  /** Not available in this build: rejects with `unsupported_environment`. */
  async discard(_id: string): Promise<void> {
    throw unavailable('sync.discard')
  }

  /** Not available in this build: rejects with `unsupported_environment`. */
  async conflicts(_options?: { readonly limit?: number | undefined }): Promise<never> {
    throw unavailable('sync.conflicts')
  }

  /** Not available in this build: rejects with `unsupported_environment`. */
  async enqueue(_table: string): Promise<void> {
    throw unavailable('sync.enqueue')
  }

  #needRemote(call: string): void {
    if (!this.#remote) {
      throw invalid(`${call} needs a remote`, { hint: 'Pass the option remote: { url, key, tables } to open' })
    }
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
    ...(tables === undefined ? {} : { tables: checkStrings('tables', tables) }),
  }
}
