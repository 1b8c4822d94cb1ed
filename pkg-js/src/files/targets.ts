import { checkFunction, checkInteger, checkOptionsOf, reading } from '../base/check.js'
import { invalid, TidelockError } from '../base/errors.js'
import type { Fetch } from '../base/host-types.js'
import { isOk, redirectError, request } from '../remote/request.js'
import { checkHeaders, Secrets } from '../remote/secrets.js'
import type { FileEncryption } from './file-encryption.js'
import { SnapshotTarget } from './snapshot-copies.js'
import type { SnapshotFile } from './snapshot-info.js'

/** The common options of {@link directoryTarget} and {@link uploadTarget}. */
export interface TargetOptions {
  /**
   * The secret that encrypts the copies, and that {@link Snapshots.import} needs.
   * @default the secret of the database, if it is encrypted
   */
  readonly encrypt?: FileEncryption | undefined
}

/** Options of {@link directoryTarget}. */
export interface DirectoryTargetOptions extends TargetOptions {
  /**
   * How many files the folder keeps. Older files named `backup-…` are deleted after each copy, so use one folder for each database. Files
   * with later times in their names stay.
   * @default all
   */
  readonly keep?: number | undefined
}

/** Options of {@link uploadTarget}. */
export interface UploadTargetOptions extends TargetOptions {
  /**
   * Returns the signed URL to which the file is sent by `PUT`. Called before each attempt, retries included. A redirect fails the copy.
   */
  readonly url: (file: SnapshotFile) => string | URL | Promise<string | URL>
  /** Headers of each upload. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /**
   * The function that sends the upload.
   * @default the global `fetch`
   */
  readonly fetch?: Fetch | undefined
}

/**
 * Copies each manual or scheduled snapshot into a folder: one of the origin private file system (OPFS), or one that the user picked. A copy
 * is written whole or not at all. In its name `:` becomes `-`, because some systems don't allow `:`.
 *
 * Throws `invalid_argument` when `directory` isn't a `FileSystemDirectoryHandle`.
 *
 * @example
 * ```ts
 * const folder = await showDirectoryPicker({ mode: 'readwrite' })
 * const db = await open({ name: 'shop', snapshots: { targets: [directoryTarget(folder, { keep: 30 })] } })
 * // Later, on another machine:
 * const { id } = await db.snapshots.import(await fileHandle.getFile())
 * await db.snapshots.restore(id)
 * ```
 */
export function directoryTarget(
  directory: FileSystemDirectoryHandle,
  options?: DirectoryTargetOptions,
): SnapshotTarget {
  return new DirectoryTarget(directory, options)
}

/**
 * Uploads each manual or scheduled snapshot by `PUT` to a signed URL, for example of S3, GCS or Supabase Storage.
 *
 * Throws `invalid_argument` when `url` isn't a function.
 *
 * @example
 * ```ts
 * uploadTarget({
 *   url: async ({ name }) => (await fetch(`/sign-upload?name=${encodeURIComponent(name)}`)).text(),
 * })
 * ```
 */
export function uploadTarget(options: UploadTargetOptions): SnapshotTarget {
  return new UploadTarget(options)
}

/** The longest response to an upload that is read, in bytes. */
const longestAnswer = 1_048_576

/** The names of the files that `keep` may delete. */
const backupName = /^backup-.+-[^-]+\.(sqlite|sql)(\.gz)?(\.enc)?$/

class DirectoryTarget extends SnapshotTarget {
  readonly kind = 'directory'
  readonly #directory: FileSystemDirectoryHandle
  readonly #keep: number | undefined

  constructor(directory: FileSystemDirectoryHandle, options?: DirectoryTargetOptions) {
    const { encrypt, keep } = checkOptionsOf('directoryTarget', options, ['encrypt', 'keep'])
    super(encrypt)
    // instanceof is false for a handle of another frame.
    const isDirectory = () => directory?.kind === 'directory' && typeof directory.getFileHandle === 'function'
    if (!reading('The directory', isDirectory))
      throw invalid('directoryTarget needs a FileSystemDirectoryHandle', {
        hint: 'await navigator.storage.getDirectory(), or await showDirectoryPicker()',
      })
    this.#directory = directory
    this.#keep = keep === undefined ? undefined : checkInteger('keep', keep, 1)
  }

  async write({ name }: SnapshotFile, bytes: Blob, signal: AbortSignal): Promise<void> {
    const handle = await this.#directory.getFileHandle(name.replaceAll(':', '-'), { create: true })
    try {
      // The browser writes to a temporary file until close: until then the file is empty.
      const writable = await handle.createWritable()
      await bytes.stream().pipeTo(writable, { signal })
    } catch (error) {
      if (await isEmpty(handle).catch(() => false)) await this.#directory.removeEntry(handle.name).catch(() => {})
      throw error
    }
    await this.#prune(handle.name)
  }

  /** Deletes the oldest files but `keep`. One of a later time than the `newest` stays: another program wrote it, or the clock was set back. */
  async #prune(newest: string): Promise<void> {
    if (this.#keep === undefined) return
    const older: string[] = []
    const empty: string[] = []
    for await (const [name, handle] of this.#directory.entries()) {
      if (handle.kind !== 'file' || !backupName.test(name) || name >= newest) continue
      if (await isEmpty(handle as FileSystemFileHandle)) empty.push(name)
      else older.push(name)
    }
    // Left by pages that died while they wrote a copy; the browser refuses to remove one that is still written.
    for (const name of empty) await this.#directory.removeEntry(name).catch(() => {})
    // Names begin with the time, so their order is the order of the times.
    const surplus = Math.max(0, older.length + 1 - this.#keep)
    for (const name of older.sort().slice(0, surplus)) await this.#directory.removeEntry(name)
  }
}

async function isEmpty(handle: FileSystemFileHandle): Promise<boolean> {
  return (await handle.getFile()).size === 0
}

class UploadTarget extends SnapshotTarget {
  readonly kind = 'upload'
  readonly #url: UploadTargetOptions['url']
  readonly #headers: Readonly<Record<string, string>>
  readonly #fetch: typeof fetch | undefined

  constructor(options: UploadTargetOptions) {
    const given = checkOptionsOf('uploadTarget', options, ['url', 'headers', 'fetch', 'encrypt'])
    super(given.encrypt)
    checkFunction('url', given.url)
    if (given.fetch !== undefined) checkFunction('fetch', given.fetch)
    this.#url = given.url as UploadTargetOptions['url']
    this.#headers = checkHeaders('headers', given.headers ?? {})
    this.#fetch = given.fetch as typeof fetch | undefined
  }

  async write(file: SnapshotFile, bytes: Blob, signal: AbortSignal): Promise<void> {
    const url = await this.#url(file)
    const headers = this.#headers
    const answer = await request(
      url,
      { method: 'PUT', body: bytes, headers, signal, maxBytes: longestAnswer },
      this.#fetch,
    )
    if (isOk(answer)) return
    const moved = redirectError(`The upload of ${file.name}`, 'url', answer)
    if (moved !== undefined) throw moved
    // A signed URL is a secret: mask it, since the response may quote it.
    const said = new Secrets(headers, String(url)).mask(new TextDecoder().decode(answer.body ?? undefined))
    throw new TidelockError('sync_rejected', `The upload of ${file.name} was answered with status ${answer.status}`, {
      details: { status: answer.status, body: said.slice(0, 500) },
      hint: 'details.body is the response of the storage; a signed URL is valid for one file and for a short time',
    })
  }
}
