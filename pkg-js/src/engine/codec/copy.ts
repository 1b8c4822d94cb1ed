import { type MemorySource, type MemoryViews, viewsOf } from './memory.js'
import { layout } from './rows.js'

// Buffers that go to another thread or are decoded later: parameters before they are in wasm memory, results after they have left it. For
// packing and decoding, such a buffer takes the place of the wasm memory.

const { headerBytes } = layout

/**
 * Copies a result out of wasm memory: its header, then the areas that the header points to, at offsets from the start of the buffer. With
 * `withTexts` false, the texts are left out.
 */
export function copyResult(source: MemorySource, header: number, withTexts = true): ArrayBuffer {
  const { bytes, words } = source.refresh()
  const at = header / 4
  const cells = (words[at + layout.rowsAt] as number) * (words[at + layout.columnsAt] as number)
  let length = headerBytes + cells * 9
  const lengths = withTexts ? lengthsAt : [layout.blobBytesAt]
  for (const index of lengths) length += words[at + index] as number
  // Rounded up to 8 bytes, so that views of all element types fit.
  const copy = new Uint8Array(Math.ceil(length / 8) * 8)
  copy.set(bytes.subarray(header, header + headerBytes))
  const own = new Uint32Array(copy.buffer, 0, headerBytes / 4)
  let end = headerBytes
  const add = (index: number, length: number) => {
    if (length > 0) {
      const from = words[at + index] as number
      copy.set(bytes.subarray(from, from + length), end)
    }
    own[index] = end
    end += length
  }
  // Slots come first, because they must lie at a multiple of 8.
  add(layout.slotsAt, cells * 8)
  add(layout.tagsAt, cells)
  // In the header, a length follows its address.
  for (const index of lengths) add(index - 1, words[at + index] as number)
  return copy.buffer
}

const lengthsAt = [layout.textBytesAt, layout.wideBytesAt, layout.blobBytesAt] as const

/** A memory made of one buffer after another, outside of wasm. */
export class DetachedMemory implements MemorySource {
  #areas: MemoryViews = viewsOf(new ArrayBuffer(headerBytes))
  /** Small buffers are copied here. */
  #small: MemoryViews | undefined

  get buffer(): ArrayBuffer {
    return this.#areas.bytes.buffer
  }

  set buffer(buffer: ArrayBuffer) {
    this.#areas = viewsOf(buffer)
  }

  refresh(): MemoryViews {
    return this.#areas
  }

  /** Reads that buffer from now on. A small one is copied, which saves creating views over it. */
  read(buffer: ArrayBuffer): void {
    if (buffer.byteLength > reused) this.buffer = buffer
    else {
      this.#small ??= viewsOf(new ArrayBuffer(reused))
      this.#areas = this.#small
      this.#areas.bytes.set(new Uint8Array(buffer))
    }
  }

  /** Makes room for that many bytes and returns its address, 0; a small buffer is reused. */
  reserve(bytes: number): number {
    const room = Math.max(reused, Math.ceil(bytes / 8) * 8)
    if (room !== this.buffer.byteLength || room > reused) this.buffer = new ArrayBuffer(room)
    return 0
  }

  /** Returns the first bytes of the reserved room as a buffer of their own, worth transferring when larger than {@link reused}. */
  take(bytes: number): ArrayBuffer {
    if (this.buffer.byteLength <= reused) return this.buffer.slice(0, bytes)
    const { buffer } = this
    this.buffer = new ArrayBuffer(reused)
    return buffer
  }
}

/** Up to this many bytes, copying is faster than a new buffer and its transfer. */
export const reused = 2048
