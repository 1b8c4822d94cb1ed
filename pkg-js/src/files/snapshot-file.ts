import { TidelockError } from '../base/errors.js'
import { fileBytes, gunzip, gzip, isGzip } from '../base/file-bytes.js'
import { loaded } from '../base/lazy-module.js'
import type { CoreSnapshotFile } from '../engine/core.js'
import { type FileEncryption, isEncrypted } from './file-encryption.js'

const types = { sqlite: 'application/vnd.sqlite3', sql: 'application/sql' }
/** SQL text is longer than the database that it makes. */
const textRatio = 8
/** Of a longer SQL text wasm memory would not hold what importing it takes. */
const mostText = 2 ** 30

/** The name of a snapshot's file. */
export function fileName(
  { createdAt, id }: CoreSnapshotFile['snapshot'],
  format: 'sqlite' | 'sql',
  compressed: boolean,
  encrypted: boolean,
): string {
  return `backup-${createdAt}-${id}.${format}${compressed ? '.gz' : ''}${encrypted ? '.enc' : ''}`
}

/** A snapshot as the file that a user keeps: compressed first, since what is encrypted can't be compressed any more. */
export async function toFile(
  snapshot: CoreSnapshotFile['snapshot'],
  pieces: CoreSnapshotFile['pieces'],
  format: 'sqlite' | 'sql',
  compress: boolean,
  encryption: FileEncryption | undefined,
): Promise<Blob> {
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
  return typeof File === 'function' ? new File([data], name, { type }) : new Blob([data], { type })
}

/** The `.sqlite` file or SQL text in a file that a user brings, whatever its name. */
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
  return isGzip(bytes) ? gunzip(bytes, (start) => mostBytes(start, maxBytes)) : bytes
}

/** How many bytes a file that begins so may have. Throws `snapshot_corrupt` when it is neither a database nor a text. */
function mostBytes(start: Uint8Array, maxBytes: number): number {
  if (new TextDecoder().decode(start.subarray(0, 16)) === 'SQLite format 3\0') return maxBytes
  if (!start.includes(0)) return Math.min(maxBytes * textRatio, mostText)
  throw new TidelockError('snapshot_corrupt', 'The compressed file holds neither a SQLite database nor SQL text', {
    hint: 'Check where it comes from; nothing has changed',
  })
}

const cipher = () => loaded('encrypted files', import('./file-cipher.js'))
