import { TidelockError } from '../base/errors.js'
import { joined } from '../base/file-bytes.js'

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

function unavailable(what: string, hint: string): TidelockError {
  return new TidelockError('unsupported_environment', `${what} is not available in this build`, {
    hint,
    details: { what },
  })
}
