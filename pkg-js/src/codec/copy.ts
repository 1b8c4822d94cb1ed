import { Views } from './memory.js'

// Areas on their way to another thread: parameters before they are in wasm memory, results after they have left it. A buffer of their
// own is all the memory that packing and decoding see.

/** Word indexes in the result header, as rows.ts has them. */
const [rowsAt, columnsAt, tagsAt, slotsAt, textAt, textBytesAt, blobAt, blobBytesAt] = [0, 1, 3, 4, 5, 6, 7, 8]
const headerBytes = 64

/** Copies a result out of wasm memory: its header, then what that points to, at offsets from the beginning. */
export function copyResult(views: Views, header: number): ArrayBuffer {
  const { bytes, words } = views.refresh()
  const at = header / 4
  const word = (index: number) => words[at + index] as number
  const cells = word(rowsAt) * word(columnsAt)
  const slots = headerBytes
  const tags = slots + cells * 8
  const text = tags + cells
  const blob = text + word(textBytesAt)
  // Whole words of 8 bytes, over which there can be views of all kinds.
  const copy = new Uint8Array(Math.ceil((blob + word(blobBytesAt)) / 8) * 8)
  const put = (from: number, length: number, to: number) => copy.set(bytes.subarray(from, from + length), to)
  put(header, headerBytes, 0)
  if (cells > 0) {
    put(word(slotsAt), cells * 8, slots)
    put(word(tagsAt), cells, tags)
  }
  if (word(textBytesAt) > 0) put(word(textAt), word(textBytesAt), text)
  if (word(blobBytesAt) > 0) put(word(blobAt), word(blobBytesAt), blob)
  const own = new Uint32Array(copy.buffer)
  own[tagsAt] = tags
  own[slotsAt] = slots
  own[textAt] = text
  own[blobAt] = blob
  return copy.buffer
}

/** A memory that is one buffer after the other. */
export class Detached {
  buffer: ArrayBuffer = new ArrayBuffer(headerBytes)
  readonly views = new Views(this as unknown as WebAssembly.Memory)

  /** Room for that many bytes, from 0 on; a small one is used again. */
  reserve(bytes: number): number {
    const room = Math.max(reused, Math.ceil(bytes / 8) * 8)
    if (room !== this.buffer.byteLength || room > reused) this.buffer = new ArrayBuffer(room)
    return 0
  }

  /** The first bytes of what was reserved, as a buffer to give away: to be moved, if it is larger than {@link reused}. */
  take(bytes: number): ArrayBuffer {
    if (this.buffer.byteLength <= reused) return this.buffer.slice(0, bytes)
    const { buffer } = this
    this.buffer = new ArrayBuffer(reused)
    return buffer
  }
}

/** Up to so many bytes are copied: that is quicker than a new buffer and its transfer. */
export const reused = 2048
