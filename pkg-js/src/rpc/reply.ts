import type { PackedResult } from './protocol.js'

// Results of writes as bytes, kept in the database until their tab has them: the length of a JSON header, the header, the buffers.

/** Encodes the results of one write's statements. */
export function encodeReply(results: readonly PackedResult[]): Uint8Array {
  const head = new TextEncoder().encode(
    JSON.stringify(results.map(({ buffer, ...rest }) => ({ ...rest, bytes: buffer.byteLength }))),
  )
  const bytes = new Uint8Array(results.reduce((sum, { buffer }) => sum + buffer.byteLength, 4 + head.length))
  new DataView(bytes.buffer).setUint32(0, head.length, true)
  bytes.set(head, 4)
  let at = 4 + head.length
  for (const { buffer } of results) {
    bytes.set(new Uint8Array(buffer), at)
    at += buffer.byteLength
  }
  return bytes
}

/** No engine uses this id: the result carries its column names. */
export const noShape = -1

/** Decodes what {@link encodeReply} has encoded. */
export function decodeReply(bytes: Uint8Array): (PackedResult & { readonly columns: readonly string[] })[] {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  let at = 4 + length
  return head.map(({ bytes: size, ...rest }: { bytes: number; columns: readonly string[] }) => {
    const buffer = bytes.slice(at, at + size).buffer
    at += size
    return { ...rest, shape: noShape, buffer }
  })
}
