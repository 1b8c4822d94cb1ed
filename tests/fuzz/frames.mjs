// Decodes the frames of a folder's journal (src/store/folder/frames.rs), and encodes them with valid checksums.
import { createXXHash3 } from 'hash-wasm'

const headerBytes = 36
const hasher = await createXXHash3()

/** Returns the xxh3 checksum of the bytes. */
export function xxh3(...pieces) {
  hasher.init()
  for (const piece of pieces) hasher.update(piece)
  return BigInt(`0x${hasher.digest('hex')}`)
}

/** Returns the complete frames at the beginning of a segment. */
export function framesOf(bytes) {
  const buffer = Buffer.from(bytes)
  const frames = []
  for (let at = 0; at + headerBytes <= buffer.length && buffer.toString('latin1', at, at + 4) === 'tdlk'; ) {
    const length = buffer.readUInt32LE(at + 8)
    const end = at + headerBytes + length
    if (end > buffer.length) break
    const [kind, last, synced] = [buffer[at + 4], buffer[at + 5], buffer.readBigUInt64LE(at + 12)]
    frames.push({ kind, last, synced, body: new Uint8Array(buffer.subarray(at + headerBytes, end)) })
    at = end
  }
  return frames
}

/** Encodes a segment of these frames. */
export function segment(number, frames) {
  const pieces = []
  let at = 0
  let chain = 0n
  for (const { kind, last, synced, body } of frames) {
    const header = Buffer.alloc(headerBytes)
    header.write('tdlk', 'latin1')
    header.set([kind, last], 4)
    header.writeUInt32LE(body.length, 8)
    header.writeBigUInt64LE(synced, 12)
    header.writeBigUInt64LE(chain, 20)
    const layout = Buffer.alloc(16)
    layout.writeBigUInt64LE(BigInt(number))
    layout.writeBigUInt64LE(BigInt(at), 8)
    const inner = Buffer.alloc(8)
    inner.writeBigUInt64LE(xxh3(body))
    chain = xxh3(layout, header.subarray(0, 28), inner)
    header.writeBigUInt64LE(chain, 28)
    pieces.push(header, body)
    at += headerBytes + body.length
  }
  return new Uint8Array(Buffer.concat(pieces))
}
