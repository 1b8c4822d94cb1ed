import type { SnapshotHealth, SnapshotInfo, TidelockErrorJson } from '../base/generated-types.js'
import type { FileEncryption } from './file-encryption.js'

/** What is copied to a target, besides its bytes. */
export interface SnapshotFile extends SnapshotInfo {
  /** `backup-<ISO time>-<id>.sqlite[.gz][.enc]` */
  readonly name: string
  /** The size of the file in bytes. */
  readonly size: number
  /** The media type of the file. */
  readonly type: string
}

/** The state of the periodic snapshots. */
export interface SnapshotStatus extends SnapshotHealth {
  /** The status of the copies outside of the browser's storage, in the order of `snapshots.targets`; absent without any. */
  readonly targets?: readonly TargetStatus[]
}

/** The status of the copies to a target. */
export interface TargetStatus {
  /** `directory`: {@link directoryTarget}; `upload`: {@link uploadTarget}. */
  readonly kind: 'directory' | 'upload'
  /** When a copy was last attempted, ISO 8601. */
  readonly lastAttempt: string | null
  /** When a copy last succeeded, ISO 8601. */
  readonly lastSuccess: string | null
  /** The error of the last attempt; null if it succeeded. */
  readonly lastError: TidelockErrorJson | null
  /** The number of failed attempts since the last success. */
  readonly consecutiveFailures: number
}

/** A point in time that {@link Snapshots.restore} and {@link Snapshots.export} take. */
export interface PointInTime {
  /** The time: a `Date`, or ISO 8601 with a time zone. */
  readonly at: string | Date
  /** The number of the commit, where several states match the time: the clock was set back, or commits came within a millisecond. */
  readonly lsn?: number | undefined
}

/** How {@link Snapshots.export} writes a file. */
export interface SnapshotExportOptions {
  /** @default 'sqlite' */
  readonly format?: 'sqlite' | 'sql' | undefined
  /**
   * Whether the file is compressed with gzip.
   * @default false
   */
  readonly compress?: boolean | undefined
  /** The secret to encrypt the file with, by AES-256-GCM; a passphrase goes through 600,000 rounds of PBKDF2. */
  readonly encrypt?: FileEncryption | undefined
}
