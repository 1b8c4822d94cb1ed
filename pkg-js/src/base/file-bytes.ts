import { isA } from './brand.js'
import { invalid, TidelockError, unavailable } from './errors.js'

/** The bytes of a file that a user hands in: a view over them where they are bytes already. */
export async function fileBytes(what: string, file: unknown): Promise<Uint8Array<ArrayBuffer>> {
  if (isBlob(file)) return new Uint8Array(await file.arrayBuffer())
  return viewOf(what, file)
}

/** Whether something is a Blob or a File, of this window or another. */
export function isBlob(value: unknown): value is Blob {
  return isA(value, 'Blob', 'File')
}

/** A view over an ArrayBuffer or a typed array; anything else is `invalid_argument`. */
export function viewOf(what: string, bytes: unknown): Uint8Array<ArrayBuffer> {
  if (isA(bytes, 'ArrayBuffer')) return new Uint8Array(bytes)
  if (ArrayBuffer.isView(bytes)) return new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength)
  throw invalid(`${what} must be an ArrayBuffer, a typed array or a Blob`, { details: { argument: what } })
}

/** Several pieces as one. Rejects with `out_of_memory`. */
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
    throw new TidelockError('out_of_memory', 'There is not enough memory for the file', {
      hint: 'Close other databases and tabs, or work on less at once',
      details: { bytes },
      cause,
    })
  }
}

/** The bytes compressed with gzip, off the thread. */
export async function gzip(data: Blob): Promise<Blob> {
  if (typeof CompressionStream !== 'function') throw unavailable('CompressionStream', 'Export without compress')
  return new Response(data.stream().pipeThrough(new CompressionStream('gzip'))).blob()
}

/** Whether these are the first bytes of a gzip file. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b
}

/**
 * What a gzip file holds, at most as many bytes as `mostOf` allows for its start: a small file can hold a very large one.
 * Rejects with `snapshot_corrupt` and `database_too_large`.
 */
export async function gunzip(
  bytes: Uint8Array<ArrayBuffer>,
  mostOf: (start: Uint8Array) => number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (typeof DecompressionStream !== 'function') throw unavailable('DecompressionStream', 'Decompress the file before')
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip')).getReader()
  try {
    const pieces: Uint8Array[] = []
    let total = 0
    for (let most: number | undefined; ; ) {
      const { done, value } = await reader.read().catch(damaged)
      if (done) return joined(pieces)
      most ??= mostOf(value)
      pieces.push(value)
      total += value.length
      if (total > most) throw tooLarge(most)
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

function tooLarge(limit: number): TidelockError {
  return new TidelockError('database_too_large', 'The compressed file holds more than this database may have', {
    hint: 'Open it with a larger maxBytes',
    details: { maxBytes: limit },
  })
}

/** Two digits a byte. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
