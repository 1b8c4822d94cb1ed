import type { FileEncryption } from './file-encryption.js'
import type { SnapshotCopies, SnapshotSource, SnapshotTarget } from './snapshot-copies.js'
import type { SnapshotInfo, TargetStatus } from './snapshot-info.js'

/** Copies the snapshots of one database to its targets. */
export class SnapshotCopier {
  readonly #copies: readonly SnapshotCopies[]
  /** How the database is encrypted now. */
  encryption: FileEncryption | undefined

  constructor(targets: readonly SnapshotTarget[], source: Omit<SnapshotSource, 'encryption'>) {
    this.#copies = targets.map((target) => target.follow({ ...source, encryption: () => this.encryption }))
  }

  /** A `snapshot` event: snapshots that were taken by call or by schedule are copied. */
  happened({ state, snapshot }: { readonly state?: unknown; readonly snapshot?: SnapshotInfo }): void {
    if (state === 'created' && snapshot !== undefined && /^(manual|scheduled)$/.test(snapshot.reason))
      this.copy(snapshot)
  }

  /** Copies a snapshot, unless that has begun. Resolves after the first try for each target. Never rejects. */
  async copy(snapshot: SnapshotInfo): Promise<void> {
    await Promise.all(this.#copies.map((copies) => copies.copy(snapshot)))
  }

  statuses(): readonly TargetStatus[] {
    return this.#copies.map((copies) => copies.status())
  }

  /** Cancels what runs and what waits. */
  close(): void {
    for (const copies of this.#copies) copies.close()
  }
}
