import { isTidelockError, TidelockError, toTidelockError } from '../base/errors.js'
import type { SnapshotInfo, TidelockErrorJson } from '../base/generated-types.js'
import { Secrets } from '../remote/secrets.js'
import { checkFileEncryption } from './check-encryption.js'
import type { FileEncryption } from './file-encryption.js'
import { fileName } from './snapshot-file.js'
import type { SnapshotExportOptions, SnapshotFile, TargetStatus } from './snapshot-info.js'

/** A copy fails that takes longer than this, plus the time of its bytes at the slowest rate. */
const shortestLimitSeconds = 60
const slowestBytesPerSecond = 16_384

/** The longest delay before a retry, in milliseconds. */
const longestBackoffMs = 3_600_000

/** The parts of a database that copying needs. */
export interface SnapshotSource {
  readonly compress: boolean
  readonly retries: number
  readonly backoffMs: number
  /** Returns the current secret of the database. */
  encryption(): FileEncryption | undefined
  export(id: string, options: SnapshotExportOptions): Promise<Blob>
  /** Reports a copy, or a failure after the last retry. */
  report(event: SnapshotCopied | SnapshotCopyFailed): void
}

/** The detail of a `snapshot` event: a snapshot was copied to a target. */
export interface SnapshotCopied {
  readonly state: 'copied'
  /** The kind of the target. */
  readonly target: TargetStatus['kind']
  /** The snapshot, and its file. */
  readonly snapshot: SnapshotFile
}

/** The detail of a `snapshot` event: a snapshot could not be copied to a target, after all retries. */
export interface SnapshotCopyFailed {
  readonly state: 'not_copied'
  /** The kind of the target. */
  readonly target: TargetStatus['kind']
  readonly snapshot: SnapshotInfo
  /** Why the last attempt failed. */
  readonly error: TidelockErrorJson
}

/** A destination for copies of snapshots outside of the browser's storage: an element of the option `snapshots.targets`. */
export abstract class SnapshotTarget {
  /** The kind of the destination. */
  abstract readonly kind: TargetStatus['kind']
  /** @internal */
  readonly encrypt: FileEncryption | undefined

  /** @internal */
  constructor(encrypt: unknown) {
    this.encrypt = encrypt === undefined ? undefined : checkFileEncryption('encrypt', encrypt)
  }

  /** Marks it as no plain object, see LiveQuery. */
  get [Symbol.toStringTag](): string {
    return 'SnapshotTarget'
  }

  /** @internal Writes one file to the destination. */
  abstract write(file: SnapshotFile, bytes: Blob, signal: AbortSignal): Promise<void>

  /** @internal Starts copying the snapshots of a database. A method, so that a database without targets doesn't load the code. */
  follow(source: SnapshotSource): SnapshotCopies {
    return new SnapshotCopies(this, source)
  }
}

/**
 * Copies the snapshots of one database to one target, one at a time, with retries after growing delays. A newer snapshot replaces one that
 * waits for a retry.
 */
export class SnapshotCopies {
  readonly #target: SnapshotTarget
  readonly #source: SnapshotSource
  readonly #stop = new AbortController()
  #running: Promise<void> = Promise.resolve()
  /** The newest snapshot to copy, with the promise of its first attempt. */
  #newest: { readonly id: string; readonly attempted: Promise<void> } | undefined
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

  /** Copies a snapshot, unless its copy has begun. Resolves after the first attempt, never rejects. */
  copy(snapshot: SnapshotInfo): Promise<void> {
    if (this.#newest?.id === snapshot.id) return this.#newest.attempted
    const attempted = this.#running.then(() => this.#attempt(snapshot, 0))
    this.#newest = { id: snapshot.id, attempted }
    this.#running = attempted
    return attempted
  }

  /** Cancels the running copy and all retries. */
  close(): void {
    this.#stop.abort()
  }

  async #attempt(snapshot: SnapshotInfo, failures: number): Promise<void> {
    const { signal } = this.#stop
    const replaced = failures > 0 && this.#newest?.id !== snapshot.id
    if (signal.aborted || replaced) return
    const lastAttempt = new Date().toISOString()
    try {
      const file = await this.#write(snapshot)
      this.#status = { lastAttempt, lastSuccess: new Date().toISOString(), lastError: null, consecutiveFailures: 0 }
      this.#source.report({ state: 'copied', target: this.#target.kind, snapshot: file })
    } catch (thrown) {
      if (signal.aborted) return
      const error = asError(thrown, this.#target.kind).toJSON()
      const consecutiveFailures = this.#status.consecutiveFailures + 1
      const lastError = { ...error, details: { ...error.details, time: new Date().toISOString() } }
      this.#status = { ...this.#status, lastAttempt, lastError, consecutiveFailures }
      if (failures < this.#source.retries) this.#scheduleRetry(snapshot, failures)
      else this.#source.report({ state: 'not_copied', target: this.#target.kind, snapshot, error })
    }
  }

  /** Retries after a delay that doubles each time, plus up to half of it at random, so that many clients don't retry at once. */
  #scheduleRetry(snapshot: SnapshotInfo, failures: number): void {
    const delay = Math.min(this.#source.backoffMs * 2 ** failures, longestBackoffMs) * (1 + Math.random() / 2)
    const timer = setTimeout(() => {
      this.#running = this.#running.then(() => this.#attempt(snapshot, failures + 1))
    }, delay)
    this.#stop.signal.addEventListener('abort', () => clearTimeout(timer))
  }

  async #write(snapshot: SnapshotInfo): Promise<SnapshotFile> {
    const encrypt = this.#target.encrypt ?? this.#source.encryption()
    const bytes = await this.#source.export(snapshot.id, { compress: this.#source.compress, encrypt })
    const name = fileName(snapshot, 'sqlite', this.#source.compress, encrypt !== undefined)
    const file = { ...snapshot, name, size: bytes.size, type: bytes.type }
    const seconds = shortestLimitSeconds + Math.ceil(bytes.size / slowestBytesPerSecond)
    await inTime(seconds, this.#stop.signal, (signal) => this.#target.write(file, bytes, signal))
    return file
  }
}

/** Ends `work` when the signal aborts, or after so many seconds: the copies of all later snapshots wait for it. */
async function inTime(seconds: number, outer: AbortSignal, work: (signal: AbortSignal) => Promise<void>) {
  const limit = new AbortController()
  const { signal } = limit
  const follow = () => limit.abort(outer.reason)
  outer.addEventListener('abort', follow)
  const timer = setTimeout(() => limit.abort(new Error(`the target took longer than ${seconds} s`)), seconds * 1000)
  const ended = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  try {
    await Promise.race([work(signal), ended])
  } finally {
    clearTimeout(timer)
    outer.removeEventListener('abort', follow)
  }
}

/** Turns the error of a target into a {@link TidelockError} with a hint: the browser's own errors say little. */
function asError(thrown: unknown, kind: string): TidelockError {
  if (isTidelockError(thrown)) return thrown
  if (!(thrown instanceof Error)) return toTidelockError(thrown)
  const full = thrown.name === 'QuotaExceededError'
  const code = full ? 'storage_quota_exceeded' : kind === 'upload' ? 'sync_network' : 'storage_unavailable'
  const cause = new Secrets().maskError(thrown)
  return new TidelockError(code, `Copying a snapshot failed: ${cause.message}`, {
    cause,
    hint:
      thrown.name === 'NotAllowedError'
        ? 'The user must allow writing to the folder again: call requestPermission on its handle after a click'
        : 'The next snapshot is copied again; the snapshot itself is stored',
  })
}
