import { isA, isDetached } from './brand.js'
import { reading } from './check.js'
import { invalid, TidelockError } from './errors.js'

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
  if (ArrayBuffer.isView(bytes))
    return reading(what, () => new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength))
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

/** Returns bytes as hexadecimal, two digits for each. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
