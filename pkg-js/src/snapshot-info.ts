import type { FileEncryption } from './file-encryption.js'

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

/** What is copied to a target, besides its bytes. */
export interface SnapshotFile extends SnapshotInfo {
  /** `backup-<ISO time>-<id>.sqlite[.gz][.enc]` */
  readonly name: string
  /** Of the file, in bytes. */
  readonly size: number
  /** The media type of the file. */
  readonly type: string
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
