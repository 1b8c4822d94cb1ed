import { TidelockError } from '../base/errors.js'
import { fileBytes } from '../base/file-bytes.js'
import { loaded } from '../base/lazy-module.js'
import type { CoreSnapshotFile } from '../engine/core.js'
import { type FileEncryption, magic } from './file-encryption.js'
import { gunzip, gzip, isGzip } from './gzip.js'

const types = { sqlite: 'application/vnd.sqlite3', sql: 'application/sql' }
/** The largest ratio of SQL text to the size of its database. */
const textRatio = 8
/** The longest SQL text, in bytes: wasm memory can't hold what importing a longer one needs. */
const maxTextBytes = 2 ** 30

/** What names a file: a snapshot, or a point in time, which has no id. */
type FileLabel = Pick<CoreSnapshotFile['snapshot'], 'createdAt'> & { readonly id?: string }

/** Returns the name of the file of a snapshot or of a point in time. */
export function fileName(
  { createdAt, id }: FileLabel,
  format: 'sqlite' | 'sql',
  compressed: boolean,
  encrypted: boolean,
): string {
  return `backup-${createdAt}${id === undefined ? '' : `-${id}`}.${format}${compressed ? '.gz' : ''}${encrypted ? '.enc' : ''}`
}

/** Makes the file of a snapshot or of a point in time. Compresses before it encrypts, because encrypted bytes don't compress. */
export async function toFile(
  snapshot: FileLabel,
  pieces: CoreSnapshotFile['pieces'],
  format: 'sqlite' | 'sql',
  compress: boolean,
  encryption: FileEncryption | undefined,
): Promise<File> {
  let data = new Blob([...pieces])
  const name = fileName(snapshot, format, compress, encryption !== undefined)
  let type = types[format]
  if (compress) {
    data = await gzip(data)
    type = 'application/gzip'
  }
  if (encryption !== undefined) {
    const { encryptFile } = await cipher()
    data = await encryptFile(data, encryption)
    type = 'application/octet-stream'
  }
  return new File([data], name, { type })
}

/** Returns the `.sqlite` file or SQL text in a user's file, decrypted and decompressed. Its contents decide, not its name. */
export async function fromFile(
  file: unknown,
  encryption: FileEncryption | undefined,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  let bytes = await fileBytes('The file', file)
  if (isEncrypted(bytes)) {
    const { decryptFile } = await cipher()
    bytes = await decryptFile(bytes, encryption)
  }
  return isGzip(bytes) ? gunzip(bytes, (start) => maxFileBytes(start, maxBytes)) : bytes
}

/** Returns whether bytes begin as an encrypted file does. */
function isEncrypted(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes.subarray(0, magic.length)) === magic
}

/** Returns the largest size of a file, by its first bytes. Throws `snapshot_corrupt` when they are neither of a database nor of text. */
function maxFileBytes(start: Uint8Array, maxBytes: number): number {
  if (new TextDecoder().decode(start.subarray(0, 16)) === 'SQLite format 3\0') return maxBytes
  if (!start.includes(0)) return Math.min(maxBytes * textRatio, maxTextBytes)
  throw new TidelockError('snapshot_corrupt', 'The compressed file contains neither a SQLite database nor SQL text', {
    hint: 'Check where it comes from; nothing has changed',
  })
}

const cipher = () => loaded('encrypted files', import('./file-cipher.js'))
