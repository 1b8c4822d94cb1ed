import { type Calls, withCancel } from './calls.js'
import { checkBoolean, checkCall, checkMoment, checkObject, checkString } from './check.js'
import { invalid, unavailable } from './errors.js'
import type { CallOptions } from './values.js'

/** One snapshot. */
export interface SnapshotInfo {
  readonly id: string
  readonly createdAt: string
  /** Of the database. */
  readonly bytes: number
  /** What it takes in storage by itself. */
  readonly storedBytes: number
  /** Over the SHA-256 of its chunks, in order. */
  readonly sha256: string
  readonly label: string | null
  readonly reason: 'manual' | 'scheduled' | 'hidden' | 'safety'
  readonly verified: boolean
  readonly schemaVersion: string | null
}

/** The state of the periodic snapshots. */
export interface SnapshotStatus {
  readonly lastAttempt: string | null
  readonly lastSuccess: string | null
  readonly lastError: unknown
  readonly consecutiveFailures: number
  readonly nextAt: string | null
  readonly count: number
  readonly bytes: number
}

/** The snapshots of a database: `db.snapshots`. */
export class Snapshots {
  readonly #calls: Calls

  /** @internal */
  constructor(calls: Calls) {
    this.#calls = calls
  }

  /** Writes a snapshot now. One with a label stays until it is deleted. Rejects with `storage_quota_exceeded` when it doesn't fit. */
  async create(options?: CallOptions & { readonly label?: string | undefined }): Promise<SnapshotInfo> {
    const { label } = checkCall('snapshots.create', options, ['label'])
    const wanted = label === undefined ? {} : { label: checkString('label', label) }
    return this.#calls.cancellable(options, (core, cancel) => core.snapshotsCreate(withCancel(wanted, cancel)))
  }

  /** All snapshots, the newest first. */
  async list(options?: CallOptions): Promise<SnapshotInfo[]> {
    checkCall('snapshots.list', options)
    return this.#calls.read(options, (core) => core.snapshotsList())
  }

  /** Reads a snapshot again, hashes it and checks it in a scratch database. Rejects with `snapshot_not_found`. */
  async verify(
    id: string,
    options?: CallOptions,
  ): Promise<{ readonly ok: boolean; readonly errors: readonly string[] }> {
    checkString('The id', id)
    checkCall('snapshots.verify', options)
    return this.#calls.read(options, (core) => core.snapshotsVerify(id))
  }

  /**
   * Brings back a snapshot, or with `{ at }` the state after the newest stored commit not later than that moment. It is
   * checked first, and what was there becomes a snapshot. Live queries run again. The restore is itself a commit, so that
   * moments before and after it can be brought back later.
   * Rejects with `snapshot_not_found` (for a moment that the page log doesn't reach any more, `details.oldest` is the first
   * that it does), `snapshot_corrupt`, `snapshot_incompatible`, and with `unpushed_changes` unless `force`.
   */
  async restore(
    id: string | { readonly at: string | Date },
    options?: CallOptions & { readonly force?: boolean | undefined },
  ): Promise<void> {
    const moment = typeof id === 'object' && id !== null
    if (!moment && (typeof id !== 'string' || id === ''))
      throw invalid('snapshots.restore needs the id of a snapshot, or { at }')
    const at = moment ? checkMoment('at', checkObject('The argument of snapshots.restore', id, ['at']).at) : 0
    const { force } = checkCall('snapshots.restore', options, ['force'])
    const wanted = { force: checkBoolean('force', force ?? false) }
    await this.#calls.cancellable(options, (core, cancel) => {
      const given = withCancel(wanted, cancel)
      return moment ? core.snapshotsRestoreAt(at, given) : core.snapshotsRestore(id as string, given)
    })
  }

  /** How the periodic snapshots are doing. */
  async status(options?: CallOptions): Promise<SnapshotStatus> {
    checkCall('snapshots.status', options)
    return this.#calls.read(options, (core) => core.snapshotsStatus())
  }

  /** Deletes a snapshot, whatever its kind. Rejects with `snapshot_not_found`. */
  async delete(id: string, options?: CallOptions): Promise<void> {
    checkString('The id', id)
    checkCall('snapshots.delete', options)
    await this.#calls.cancellable(options, (core) => core.snapshotsDelete(id))
  }

  /** Deletes what the options let go of; this happens after each new snapshot too. */
  async prune(options?: CallOptions): Promise<void> {
    checkCall('snapshots.prune', options)
    await this.#calls.cancellable(options, (core) => core.snapshotsPrune())
  }

  /** Not available in this build: rejects with `unsupported_environment`. */
  async export(_id: string, _options?: object): Promise<Blob> {
    throw unavailable('snapshots.export')
  }

  /** Not available in this build: rejects with `unsupported_environment`. */
  async import(_file: Blob | BufferSource): Promise<SnapshotInfo> {
    throw unavailable('snapshots.import')
  }
}
