import type { EngineSnapshotEvent, SnapshotInfo } from '../base/generated-types.js'
import type {
  SnapshotCopied,
  SnapshotCopies,
  SnapshotCopyFailed,
  SnapshotSource,
  SnapshotTarget,
} from './snapshot-copies.js'
import type { TargetStatus } from './snapshot-info.js'

/** Copies the snapshots of one database to its targets. */
export class SnapshotCopier {
  readonly #copies: readonly SnapshotCopies[]

  constructor(targets: readonly SnapshotTarget[], source: SnapshotSource) {
    this.#copies = targets.map((target) => target.follow(source))
  }

  /** A `snapshot` event: snapshots that were taken by call or by schedule are copied. */
  happened(event: EngineSnapshotEvent | SnapshotCopied | SnapshotCopyFailed): void {
    if (event.state === 'created' && /^(manual|scheduled)$/.test(event.snapshot.reason)) this.copy(event.snapshot)
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
