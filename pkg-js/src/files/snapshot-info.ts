import type { SnapshotHealth, SnapshotInfo, TidelockErrorJson } from '../base/generated-types.js'
import type { FileEncryption } from './file-encryption.js'

/** What is copied to a target, besides its bytes. */
export interface SnapshotFile extends SnapshotInfo {
  /** `backup-<ISO time>-<id>.sqlite[.gz][.enc]` */
  readonly name: string
  /** Of the file, in bytes. */
  readonly size: number
  /** The media type of the file. */
  readonly type: string
}

/** The state of the periodic snapshots. */
export interface SnapshotStatus extends SnapshotHealth {
  /** How the copies outside of the browser's storage are doing, in the order of `snapshots.targets`; absent without any. */
  readonly targets?: readonly TargetStatus[]
}

/** How the copies to a target are doing. */
export interface TargetStatus {
  readonly kind: 'directory' | 'upload'
  readonly lastAttempt: string | null
  readonly lastSuccess: string | null
  readonly lastError: TidelockErrorJson | null
  readonly consecutiveFailures: number
}

/** How {@link Snapshots.export} writes a file. */
export interface SnapshotExportOptions {
  /** @default 'sqlite' */
  readonly format?: 'sqlite' | 'sql' | undefined
  /**
   * Compressed with gzip.
   * @default false
   */
  readonly compress?: boolean | undefined
  /** Encrypted, with AES-256-GCM; a passphrase goes through 600,000 rounds of PBKDF2. */
  readonly encrypt?: FileEncryption | undefined
}
