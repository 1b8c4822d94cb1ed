import { isTidelockError, TidelockError, type TidelockErrorJson, toTidelockError } from '../base/errors.js'
import { Secrets } from '../remote/secrets.js'
import { checkFileEncryption, type FileEncryption } from './file-encryption.js'
import { fileName } from './snapshot-file.js'
import type { SnapshotExportOptions, SnapshotFile, SnapshotInfo, TargetStatus } from './snapshot-info.js'

/** The longest time from one try to the next, in milliseconds. */
const longestBackoffMs = 3_600_000

/** What copying needs of a database. */
export interface SnapshotSource {
  readonly compress: boolean
  readonly retries: number
  readonly backoffMs: number
  /** What the database itself is encrypted with at present. */
  encryption(): FileEncryption | undefined
  export(id: string, options: SnapshotExportOptions): Promise<Blob>
  /** A copy was made, or couldn't be made and won't be tried again before the next snapshot. */
  tell(event: SnapshotCopied | SnapshotCopyFailed): void
}

/** The detail of a `snapshot` event: one was copied to a target. */
export interface SnapshotCopied {
  readonly state: 'copied'
  readonly target: string
  readonly snapshot: SnapshotFile
}

/** The detail of a `snapshot` event: one could not be copied to a target, however often it was tried. */
export interface SnapshotCopyFailed {
  readonly state: 'not_copied'
  readonly target: string
  readonly snapshot: SnapshotInfo
  readonly error: TidelockErrorJson
}

/** A place outside of the browser's storage where snapshots are copied to: the option `snapshots.targets`. */
export abstract class SnapshotTarget {
  /** What it is. */
  abstract readonly kind: 'directory' | 'upload'
  /** @internal */
  readonly encrypt: FileEncryption | undefined

  /** @internal */
  constructor(encrypt: unknown) {
    this.encrypt = encrypt === undefined ? undefined : checkFileEncryption('encrypt', encrypt)
  }

  /** @internal Keeps one file; rejects when it can't. */
  abstract write(file: SnapshotFile, bytes: Blob, signal: AbortSignal): Promise<void>

  /** @internal Copies what this database's snapshots are from now on. A database without targets never loads what does it. */
  follow(source: SnapshotSource): SnapshotCopies {
    return new SnapshotCopies(this, source)
  }
}

/**
 * The copies of one database's snapshots to one target: one after the other, tried again with growing pauses. A newer snapshot takes the
 * place of one that waits to be tried again.
 */
export class SnapshotCopies {
  readonly #target: SnapshotTarget
  readonly #source: SnapshotSource
  readonly #stop = new AbortController()
  #running: Promise<void> = Promise.resolve()
  /** The newest one that was to be copied; with it the promise of its first try. */
  #newest: { readonly id: string; readonly tried: Promise<void> } | undefined
  #status = { lastAttempt: null, lastSuccess: null, lastError: null, consecutiveFailures: 0 } as Omit<
    TargetStatus,
    'kind'
  >

  constructor(target: SnapshotTarget, source: SnapshotSource) {
    this.#target = target
    this.#source = source
  }

  status(): TargetStatus {
    return { kind: this.#target.kind, ...this.#status }
  }

  /** Copies a snapshot, if that wasn't begun. Resolves when it was tried once, never rejects. */
  copy(snapshot: SnapshotInfo): Promise<void> {
    if (this.#newest?.id === snapshot.id) return this.#newest.tried
    const tried = this.#running.then(() => this.#try(snapshot, 0))
    this.#newest = { id: snapshot.id, tried }
    this.#running = tried
    return tried
  }

  /** Gives up what runs and what waits. */
  close(): void {
    this.#stop.abort()
  }

  async #try(snapshot: SnapshotInfo, failures: number): Promise<void> {
    const { signal } = this.#stop
    const replaced = failures > 0 && this.#newest?.id !== snapshot.id
    if (signal.aborted || replaced) return
    const lastAttempt = new Date().toISOString()
    try {
      const file = await this.#write(snapshot)
      this.#status = { lastAttempt, lastSuccess: new Date().toISOString(), lastError: null, consecutiveFailures: 0 }
      this.#source.tell({ state: 'copied', target: this.#target.kind, snapshot: file })
    } catch (thrown) {
      if (signal.aborted) return
      const error = asError(thrown, this.#target.kind).toJSON()
      const consecutiveFailures = this.#status.consecutiveFailures + 1
      this.#status = { ...this.#status, lastAttempt, lastError: error, consecutiveFailures }
      if (failures < this.#source.retries) this.#later(snapshot, failures)
      else this.#source.tell({ state: 'not_copied', target: this.#target.kind, snapshot, error })
    }
  }

  /** Twice the pause each time, and up to half of it more, so that many databases don't come back at once. */
  #later(snapshot: SnapshotInfo, failures: number): void {
    const pause = Math.min(this.#source.backoffMs * 2 ** failures, longestBackoffMs) * (1 + Math.random() / 2)
    const timer = setTimeout(() => {
      this.#running = this.#running.then(() => this.#try(snapshot, failures + 1))
    }, pause)
    this.#stop.signal.addEventListener('abort', () => clearTimeout(timer))
  }

  async #write(snapshot: SnapshotInfo): Promise<SnapshotFile> {
    const encrypt = this.#target.encrypt ?? this.#source.encryption()
    const bytes = await this.#source.export(snapshot.id, { compress: this.#source.compress, encrypt })
    const name = fileName(snapshot, 'sqlite', this.#source.compress, encrypt !== undefined)
    const file = { ...snapshot, name, size: bytes.size, type: bytes.type }
    await this.#target.write(file, bytes, this.#stop.signal)
    return file
  }
}

/** What a target threw, as ours: the browser's errors say little by themselves. */
function asError(thrown: unknown, kind: string): TidelockError {
  if (isTidelockError(thrown)) return thrown
  if (!(thrown instanceof Error)) return toTidelockError(thrown)
  const full = thrown.name === 'QuotaExceededError'
  const code = full ? 'storage_quota_exceeded' : kind === 'upload' ? 'sync_network' : 'storage_unavailable'
  const cause = new Secrets().maskError(thrown)
  return new TidelockError(code, `The copy of a snapshot failed: ${cause.message}`, {
    cause,
    hint:
      thrown.name === 'NotAllowedError'
        ? 'The user has to allow writing to the folder again: call requestPermission on its handle after a click'
        : 'It is tried again with the next snapshot; the snapshot itself is stored',
  })
}
