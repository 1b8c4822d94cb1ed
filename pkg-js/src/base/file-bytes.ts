import { isA, isDetached } from './brand.js'
import { invalid, TidelockError, unavailable } from './errors.js'

/** Returns the bytes of a user's file: read from a Blob, or a view over an ArrayBuffer or typed array. */
export async function fileBytes(what: string, file: unknown): Promise<Uint8Array<ArrayBuffer>> {
  if (isBlob(file)) return new Uint8Array(await file.arrayBuffer())
  return viewOf(what, file)
}

/** Returns whether a value is a Blob or a File, of this window or another. */
export function isBlob(value: unknown): value is Blob {
  return isA(value, 'Blob', 'File')
}

/** Returns a view over an ArrayBuffer or a typed array. Throws `invalid_argument` for other values. */
export function viewOf(what: string, bytes: unknown): Uint8Array<ArrayBuffer> {
  if (isDetached(bytes))
    throw invalid(`${what} is detached: its buffer was transferred`, {
      details: { argument: what },
      hint: 'Pass a copy of the bytes, made before the transfer',
    })
  if (isA(bytes, 'ArrayBuffer')) return new Uint8Array(bytes)
  if (ArrayBuffer.isView(bytes)) return new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength)
  throw invalid(`${what} must be an ArrayBuffer, a typed array or a Blob`, { details: { argument: what } })
}

/** Concatenates pieces. Throws `out_of_memory`. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = allocate(pieces.reduce((total, piece) => total + piece.length, 0))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}

function allocate(bytes: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(bytes)
  } catch (cause) {
    throw new TidelockError('out_of_memory', 'Not enough memory for the file', {
      hint: 'Close other databases and tabs, or process less data at once',
      details: { bytes },
      cause,
    })
  }
}

/** Compresses with gzip, off the calling thread. */
export async function gzip(data: Blob): Promise<Blob> {
  if (typeof CompressionStream !== 'function') throw unavailable('CompressionStream', 'Export without compress')
  return new Response(data.stream().pipeThrough(new CompressionStream('gzip'))).blob()
}

/** Returns whether bytes begin as a gzip file does. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b
}

/**
 * Decompresses a gzip file. `maxBytesOf` returns the largest size allowed, from the first decompressed bytes: a small file can expand to a
 * very large one. Rejects with `snapshot_corrupt` or `database_too_large`.
 */
export async function gunzip(
  bytes: Uint8Array<ArrayBuffer>,
  maxBytesOf: (start: Uint8Array) => number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (typeof DecompressionStream !== 'function') throw unavailable('DecompressionStream', 'Decompress the file first')
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip')).getReader()
  try {
    const pieces: Uint8Array[] = []
    let total = 0
    for (let maxBytes: number | undefined; ; ) {
      const { done, value } = await reader.read().catch(damaged)
      if (done) return joined(pieces)
      maxBytes ??= maxBytesOf(value)
      pieces.push(value)
      total += value.length
      if (total > maxBytes) throw tooLarge(maxBytes)
    }
  } finally {
    reader.cancel().catch(() => {})
  }
}

function damaged(cause: unknown): never {
  throw new TidelockError('snapshot_corrupt', 'The compressed file is damaged', {
    hint: 'Check where it comes from; nothing has changed',
    cause,
  })
}

function tooLarge(maxBytes: number): TidelockError {
  return new TidelockError('database_too_large', 'The decompressed file exceeds maxBytes of the database', {
    hint: 'Open the database with a larger maxBytes',
    details: { maxBytes },
  })
}

/** Returns bytes as hexadecimal, two digits for each. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
