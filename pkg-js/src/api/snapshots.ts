import { checkBoolean, checkCall, checkMoment, checkObject, checkOneOf, checkString, optional } from '../base/check.js'
import { invalid } from '../base/errors.js'
import type { CallOptions } from '../base/values.js'
import { type Connection, withCancel } from '../engine/connection.js'
import type { CoreSnapshotFile } from '../engine/core.js'
import { checkFileEncryption, type FileEncryption } from '../files/file-encryption.js'
import type { SnapshotCopier } from '../files/snapshot-copier.js'
import { fromFile, toFile } from '../files/snapshot-file.js'
import type { SnapshotExportOptions, SnapshotInfo, SnapshotStatus } from '../files/snapshot-info.js'

/** The snapshots of a database: `db.snapshots`. */
export class Snapshots {
  readonly #calls: Connection
  readonly #maxBytes: number
  readonly #copier: SnapshotCopier | undefined

  /** @internal */
  constructor(calls: Connection, maxBytes: number, copier?: SnapshotCopier) {
    this.#calls = calls
    this.#maxBytes = maxBytes
    this.#copier = copier
  }

  /**
   * Writes a snapshot now. One with a label stays until it is deleted. Rejects with `storage_quota_exceeded` when it doesn't fit.
   * With `targets` it resolves when it was copied to each of them, or the first try failed: then {@link Snapshots.status} says why, and
   * it is tried again.
   */
  async create(options?: CallOptions & { readonly label?: string | undefined }): Promise<SnapshotInfo> {
    const { label } = checkCall('snapshots.create', options, ['label'])
    const wanted = { label: optional('label', label, checkString) }
    const made = await this.#calls.cancellable<SnapshotInfo>(options, (core, cancel) =>
      core.snapshotsCreate(withCancel(wanted, cancel)),
    )
    await this.#copier?.copy(made)
    return made
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
    const status = await this.#calls.read<SnapshotStatus>(options, (core) => core.snapshotsStatus())
    return this.#copier === undefined ? status : { ...status, targets: this.#copier.statuses() }
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

  /**
   * A snapshot as a file to keep, named `backup-<time>-<id>.sqlite[.gz][.enc]` (a `File` where there is that class; `.sql` for
   * SQL text). Rejects with `snapshot_not_found` and `snapshot_corrupt`.
   */
  async export(id: string, options?: CallOptions & SnapshotExportOptions): Promise<Blob> {
    checkString('The id', id)
    const { format, compress, encrypt } = checkCall('snapshots.export', options, ['format', 'compress', 'encrypt'])
    const kind = checkOneOf('format', format ?? 'sqlite', ['sqlite', 'sql'])
    const encryption = encrypt === undefined ? undefined : checkFileEncryption('encrypt', encrypt)
    const zip = compress !== undefined && checkBoolean('compress', compress)
    const { snapshot, pieces } = await this.#calls.read<CoreSnapshotFile>(options, (core) =>
      core.snapshotsExport(id, kind === 'sql'),
    )
    return toFile(snapshot, pieces, kind, zip, encryption)
  }

  /**
   * Keeps a file that {@link Snapshots.export} made, or any other `.sqlite` file or SQL text, as a snapshot, after checking it.
   * The data stays as it is: {@link Snapshots.restore} then brings it back. Whether it is compressed or encrypted is told by
   * its contents; `encrypt` is what it was exported with. It has a label, so that it stays until it is deleted.
   *
   * Rejects with `snapshot_corrupt` (damaged, or no such file), `decryption_failed`, `invalid_argument`, `database_too_large`.
   */
  async import(
    file: Blob | BufferSource,
    options?: CallOptions & {
      readonly encrypt?: FileEncryption | undefined
      /** @default 'imported' */
      readonly label?: string | undefined
    },
  ): Promise<SnapshotInfo> {
    const { encrypt, label } = checkCall('snapshots.import', options, ['encrypt', 'label'])
    const encryption = encrypt === undefined ? undefined : checkFileEncryption('encrypt', encrypt)
    const wanted = label === undefined ? undefined : checkString('label', label)
    this.#calls.check()
    const bytes = await fromFile(file, encryption, this.#maxBytes)
    return this.#calls.cancellable(options, (core, cancel) => core.snapshotsImport(bytes, wanted, cancel))
  }
}
