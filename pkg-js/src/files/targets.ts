import { checkFunction, checkInteger, checkObject } from '../base/check.js'
import { invalid, TidelockError } from '../base/errors.js'
import { isOk, movedError, request } from '../remote/request.js'
import { checkHeaders, Secrets } from '../remote/secrets.js'
import type { FileEncryption } from './file-encryption.js'
import { SnapshotTarget } from './snapshot-copies.js'
import type { SnapshotFile } from './snapshot-info.js'

/** What {@link directoryTarget} and {@link uploadTarget} have in common. */
export interface TargetOptions {
  /**
   * What the files are encrypted with. Those of an encrypted database are by default encrypted with its own passphrase or key.
   * {@link Snapshots.import} wants the same.
   */
  readonly encrypt?: FileEncryption | undefined
}

/** What {@link directoryTarget} may be told. */
export interface DirectoryTargetOptions extends TargetOptions {
  /**
   * How many files the folder keeps: older ones named `backup-…` are deleted after each copy, so let it be the folder of one database.
   * By default all stay.
   */
  readonly keep?: number | undefined
}

/** What {@link uploadTarget} needs. */
export interface UploadTargetOptions extends TargetOptions {
  /**
   * Where that file goes: a URL that takes a `PUT`, signed for it. Asked for anew each time, also when a copy is tried again. A
   * redirect fails the copy.
   */
  readonly url: (file: SnapshotFile) => string | URL | Promise<string | URL>
  /** Sent along with each. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Instead of the global `fetch`. */
  readonly fetch?: typeof fetch | undefined
}

/**
 * Copies each snapshot taken by hand or on time into a folder: one of the origin's private file system (OPFS), or one that the user
 * picked. A copy is there whole or not at all. In the file's name `:` is written `-`, which not all systems allow.
 *
 * Throws `invalid_argument` for anything that is no `FileSystemDirectoryHandle`.
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
 * Uploads each snapshot taken by hand or on time by `PUT` to a signed URL of S3, GCS, Supabase Storage and the like.
 *
 * Throws `invalid_argument` without a function `url`.
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

/** What a storage answers is short; of more nothing is read. */
const longestAnswer = 1_048_576

/** Only these are deleted for `keep`. */
const ours = /^backup-.+-[^-]+\.(sqlite|sql)(\.gz)?(\.enc)?$/

class DirectoryTarget extends SnapshotTarget {
  readonly kind = 'directory'
  readonly #directory: FileSystemDirectoryHandle
  readonly #keep: number | undefined

  constructor(directory: FileSystemDirectoryHandle, options?: DirectoryTargetOptions) {
    const { encrypt, keep } = checkObject('The options of directoryTarget', options, ['encrypt', 'keep'])
    super(encrypt)
    // Not by instanceof: a handle from another frame is one as well.
    if (directory?.kind !== 'directory' || typeof directory.getFileHandle !== 'function')
      throw invalid('directoryTarget needs a FileSystemDirectoryHandle', {
        hint: 'await navigator.storage.getDirectory(), or await showDirectoryPicker()',
      })
    this.#directory = directory
    this.#keep = keep === undefined ? undefined : checkInteger('keep', keep, 1)
  }

  async write({ name }: SnapshotFile, bytes: Blob, signal: AbortSignal): Promise<void> {
    const handle = await this.#directory.getFileHandle(name.replaceAll(':', '-'), { create: true })
    // What is written lies beside the file until it is closed: a page that dies leaves no half of one.
    const writable = await handle.createWritable()
    await bytes.stream().pipeTo(writable, { signal })
    await this.#prune()
  }

  async #prune(): Promise<void> {
    if (this.#keep === undefined) return
    const names: string[] = []
    for await (const name of this.#directory.keys()) if (ours.test(name)) names.push(name)
    // The time comes first in a name, so that the order of the names is that of the times.
    for (const name of names.sort().slice(0, -this.#keep)) await this.#directory.removeEntry(name)
  }
}

class UploadTarget extends SnapshotTarget {
  readonly kind = 'upload'
  readonly #url: UploadTargetOptions['url']
  readonly #headers: Readonly<Record<string, string>>
  readonly #fetch: typeof fetch | undefined

  constructor(options: UploadTargetOptions) {
    const given = checkObject('The options of uploadTarget', options, ['url', 'headers', 'fetch', 'encrypt'])
    super(given.encrypt)
    checkFunction('url', given.url)
    if (given.fetch !== undefined) checkFunction('fetch', given.fetch)
    this.#url = options.url
    this.#headers = checkObject('headers', given.headers, Object.keys(given.headers ?? {})) as Record<string, string>
    checkHeaders('headers', this.#headers)
    this.#fetch = options.fetch
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
    const moved = movedError(`The upload of ${file.name}`, 'url', answer)
    if (moved !== undefined) throw moved
    // A signed URL is a secret: it isn't part of the error, whoever says it.
    const said = new Secrets(headers, String(url)).mask(new TextDecoder().decode(answer.body ?? undefined))
    throw new TidelockError('sync_rejected', `The upload of ${file.name} was answered with status ${answer.status}`, {
      details: { status: answer.status, body: said.slice(0, 500) },
      hint: 'Look at what the storage answered in details.body; a signed URL is good for one file and for a short time',
    })
  }
}
