import { type Areas, areasOf, type Source } from './memory.js'
import { layout } from './rows.js'

// Areas on their way to another thread, or to be decoded later: parameters before they are in wasm memory, results after they have left
// it. A buffer of their own is all the memory that packing and decoding see.

const { headerBytes } = layout

/** Copies a result out of wasm memory: its header, then what that points to, at offsets from the beginning. */
export function copyResult(source: Source, header: number): ArrayBuffer {
  const { bytes, words } = source.refresh()
  const word = (index: number) => words[header / 4 + index] as number
  const cells = word(layout.rowsAt) * word(layout.columnsAt)
  const parts: readonly (readonly [index: number, length: number])[] = [
    // First, as they must lie at a multiple of 8.
    [layout.slotsAt, cells * 8],
    [layout.tagsAt, cells],
    [layout.textAt, word(layout.textBytesAt)],
    [layout.wideAt, word(layout.wideBytesAt)],
    [layout.blobAt, word(layout.blobBytesAt)],
  ]
  const length = parts.reduce<number>((sum, [, length]) => sum + length, headerBytes)
  // Whole words of 8 bytes, over which there can be views of all kinds.
  const copy = new Uint8Array(Math.ceil(length / 8) * 8)
  copy.set(bytes.subarray(header, header + headerBytes))
  const own = new Uint32Array(copy.buffer, 0, headerBytes / 4)
  let end = headerBytes
  for (const [index, length] of parts) {
    if (length > 0) copy.set(bytes.subarray(word(index), word(index) + length), end)
    own[index] = end
    end += length
  }
  return copy.buffer
}

/** A memory that is one buffer after the other. */
export class Detached implements Source {
  #areas: Areas = areasOf(new ArrayBuffer(headerBytes))

  get buffer(): ArrayBuffer {
    return this.#areas.bytes.buffer
  }

  set buffer(buffer: ArrayBuffer) {
    this.#areas = areasOf(buffer)
  }

  refresh(): Areas {
    return this.#areas
  }

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
