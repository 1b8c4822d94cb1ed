import { isA } from '../base/brand.js'
import {
  checkBoolean,
  checkCall,
  checkInteger,
  checkOneOf,
  checkOptionsOf,
  checkString,
  checkTime,
  optional,
  reading,
} from '../base/check.js'
import { invalid } from '../base/errors.js'
import type { SnapshotHistory, SnapshotInfo, SnapshotVerification } from '../base/generated-types.js'
import { loaded } from '../base/lazy-module.js'
import type { ByteSource, CallOptions } from '../base/values.js'
import type { Connection } from '../engine/connection.js'
import type { FileEncryption } from '../files/file-encryption.js'
import { encryptionChecks } from '../files/load-encryption-checks.js'
import type { SnapshotCopier } from '../files/snapshot-copier.js'
import type { PointInTime, SnapshotExportOptions, SnapshotStatus } from '../files/snapshot-info.js'

/** Loads what makes and reads files: few apps do it. */
const files = () => loaded('files of snapshots', import('../files/snapshot-file.js'))

/** The limit of a file that is imported, unless `maxBytes` sets it: it is in memory meanwhile. */
const largestFile = 2 ** 30

/** Checks the option `encrypt`. */
async function secretOf(encrypt: unknown): Promise<FileEncryption> {
  const { checkFileEncryption } = await encryptionChecks()
  return checkFileEncryption('encrypt', encrypt)
}

/**
 * Checks the first argument of a call, the id of a snapshot or a point in time; returns the latter, with milliseconds since 1970. `others`
 * are the options of the call, which is its second argument.
 */
function pointOf(
  call: string,
  id: unknown,
  others: readonly string[],
): { readonly at: number; readonly lsn: number | undefined } | undefined {
  if (typeof id === 'string' && id !== '' && !/^\d{4}-\d\d-\d\d/.test(id)) return undefined
  if (typeof id !== 'object' || id === null || isA(id, 'Date'))
    throw invalid(`${call} needs the id of a snapshot, or { at }`, { hint: 'For a time, pass { at: time }' })
  const misplaced = reading(`The options of ${call}`, () => others.find((name) => name in id))
  if (misplaced !== undefined)
    throw invalid(`${call} takes '${misplaced}' in its second argument`, {
      details: { option: misplaced },
      hint: `Write ${call}({ at }, { ${misplaced} })`,
    })
  // A point of `history()` has its size, too.
  const { at, lsn } = checkOptionsOf(call, id, ['at', 'lsn', 'bytes'])
  return {
    at: checkTime('at', at),
    lsn: optional('lsn', lsn, (what, value) => checkInteger(what, value, 1)),
  }
}

/** The snapshots of a database: `db.snapshots`. */
export class Snapshots {
  readonly #connection: Connection
  readonly #maxBytes: number
  readonly #copier: SnapshotCopier | undefined

  /** @internal */
  constructor(connection: Connection, maxBytes = largestFile, copier?: SnapshotCopier) {
    this.#connection = connection
    this.#maxBytes = maxBytes
    this.#copier = copier
  }

  /** Marks it as no plain object, see {@link LiveQuery}. */
  get [Symbol.toStringTag](): string {
    return 'Snapshots'
  }

  /**
   * Writes a snapshot now. A snapshot with a label stays until it is deleted. Rejects with `storage_quota_exceeded` when it doesn't fit.
   * With the option `targets` it resolves when the snapshot was copied to each target, or the first attempt failed: then the copy is retried
   * and {@link Snapshots.status} has the error.
   */
  async create(options?: CallOptions & { readonly label?: string | undefined }): Promise<SnapshotInfo> {
    const { label } = checkCall('snapshots.create', options, ['label'])
    const wanted = { label: optional('label', label, checkString) }
    const made = await this.#connection.cancellable(options, (core, cancel) =>
      core.snapshotsCreate({ ...wanted, cancel }),
    )
    await this.#copier?.copy(made)
    return made
  }

  /** Returns all snapshots, newest first. */
  async list(options?: CallOptions): Promise<SnapshotInfo[]> {
    checkCall('snapshots.list', options)
    return this.#connection.read(options, (core) => core.snapshotsList())
  }

  /** Reads a snapshot, compares its hashes and checks it in a scratch database. Rejects with `snapshot_not_found`. */
  async verify(id: string, options?: CallOptions): Promise<SnapshotVerification> {
    checkString('The id', id)
    checkCall('snapshots.verify', options)
    return this.#connection.read(options, (core) => core.snapshotsVerify(id))
  }

  /**
   * Restores a snapshot, or with `{ at }` the state after the newest stored commit not later than that time. The restored state is checked
   * first, the old data becomes a snapshot, pending migrations run, and live queries run again. The restore is itself a commit, so that
   * times before and after it can be restored later. Calls that are made while it checks the state still run on the old data: what they
   * write is in that snapshot.
   *
   * Rejects with `snapshot_not_found` (for a time before the page log begins, `details.oldest` is its first time), `snapshot_corrupt`,
   * `snapshot_incompatible`, `timeout` when its check takes too long, and with `unpushed_changes` unless `force` is true. When the
   * clock of the device was set back, several states may match a time: that is `invalid_argument`, and `details.candidates` lists them
   * as `{ lsn, at }`, newest first. Pass the `lsn` of one beside `at`.
   */
  async restore(
    id: string | PointInTime,
    options?: CallOptions & { readonly force?: boolean | undefined },
  ): Promise<void> {
    const point = pointOf('snapshots.restore', id, ['force'])
    const { force } = checkCall('snapshots.restore', options, ['force'])
    const wanted = { force: checkBoolean('force', force ?? false), lsn: point?.lsn, timeoutMs: options?.timeoutMs }
    await this.#connection.cancellable(options, (core, cancel) => {
      const given = { ...wanted, cancel }
      return point ? core.snapshotsRestoreAt(point.at, given) : core.snapshotsRestore(id as string, given)
    })
  }

  /**
   * Returns what can be restored: the stored commits of the page log, in their order, and the snapshots. Each point of the result is one
   * for {@link Snapshots.restore} and {@link Snapshots.export}, until the options drop it from the log. It reads the whole log.
   */
  async history(
    options?: CallOptions & {
      /**
       * The largest number of points; `omitted` of the result counts the older ones.
       * @default 10000
       */
      readonly limit?: number | undefined
    },
  ): Promise<SnapshotHistory> {
    const { limit } = checkCall('snapshots.history', options, ['limit'])
    const most = checkInteger('limit', limit ?? 10_000, 1, 1_000_000)
    return this.#connection.read(options, (core) => core.snapshotsHistory(most))
  }

  /** Returns the state of the periodic snapshots and of the copies to targets. */
  async status(options?: CallOptions): Promise<SnapshotStatus> {
    checkCall('snapshots.status', options)
    const status = await this.#connection.read(options, (core) => core.snapshotsStatus())
    return this.#copier === undefined ? status : { ...status, targets: this.#copier.statuses() }
  }

  /** Deletes a snapshot of any kind. Rejects with `snapshot_not_found`. */
  async delete(id: string, options?: CallOptions): Promise<void> {
    checkString('The id', id)
    checkCall('snapshots.delete', options)
    await this.#connection.cancellable(options, (core) => core.snapshotsDelete(id))
  }

  /** Deletes the snapshots that the options don't keep, as happens after each new snapshot too. */
  async prune(options?: CallOptions): Promise<void> {
    checkCall('snapshots.prune', options)
    await this.#connection.cancellable(options, (core) => core.snapshotsPrune())
  }

  /**
   * Returns a snapshot, or with `{ at }` the state of that time as {@link Snapshots.restore} finds it, as a file. Its name is
   * `backup-<time>-<id>.sqlite[.gz][.enc]` (`.sql` for SQL text), without the id for a time. Rejects with `snapshot_not_found`,
   * `snapshot_corrupt`, and `out_of_memory` for a database that doesn't fit into memory.
   */
  async export(id: string | PointInTime, options?: CallOptions & SnapshotExportOptions): Promise<File> {
    const keys = ['format', 'compress', 'encrypt']
    const point = pointOf('snapshots.export', id, keys)
    const { format, compress, encrypt } = checkCall('snapshots.export', options, keys)
    const kind = checkOneOf('format', format ?? 'sqlite', ['sqlite', 'sql'])
    const zip = compress !== undefined && checkBoolean('compress', compress)
    const sql = kind === 'sql'
    return this.#connection.read(options, async (core) => {
      const encryption = encrypt === undefined ? undefined : await secretOf(encrypt)
      const { snapshot, pieces } = point
        ? {
            snapshot: { createdAt: new Date(point.at).toISOString() },
            pieces: await core.snapshotsExportAt(point.at, { sql, lsn: point.lsn }),
          }
        : await core.snapshotsExport(id as string, sql)
      const { toFile } = await files()
      return toFile(snapshot, pieces, kind, zip, encryption)
    })
  }

  /**
   * Stores a file of {@link Snapshots.export}, or any other `.sqlite` file or SQL text, as a snapshot, after checking it. The data doesn't
   * change until {@link Snapshots.restore}. Compression and encryption are recognised from the contents; `encrypt` is the secret of the
   * export. The snapshot has a label, so it stays until it is deleted.
   *
   * Rejects with `snapshot_corrupt` (damaged, or not such a file), `decryption_failed`, `invalid_argument` or `database_too_large`.
   */
  async import(
    file: Blob | ByteSource,
    options?: CallOptions & {
      readonly encrypt?: FileEncryption | undefined
      /** @default 'imported' */
      readonly label?: string | undefined
    },
  ): Promise<SnapshotInfo> {
    const { encrypt, label } = checkCall('snapshots.import', options, ['encrypt', 'label'])
    const wanted = label === undefined ? undefined : checkString('label', label)
    const prepare = async () => {
      const encryption = encrypt === undefined ? undefined : await secretOf(encrypt)
      return (await files()).fromFile(file, encryption, this.#maxBytes)
    }
    return this.#connection.preparing(options, prepare, (core, cancel, bytes) =>
      core.snapshotsImport(bytes, wanted, cancel),
    )
  }
}
