import { type Areas, areasOf, type Source } from './memory.js'
import { layout } from './rows.js'

// Areas on their way to another thread, or to be decoded later: parameters before they are in wasm memory, results after they have left
// it. A buffer of their own is all the memory that packing and decoding see.

const { headerBytes } = layout

/**
 * Copies a result out of wasm memory: its header, then what that points to, at offsets from the beginning; `withTexts` false
 * leaves the texts out.
 */
export function copyResult(source: Source, header: number, withTexts = true): ArrayBuffer {
  const { bytes, words } = source.refresh()
  const at = header / 4
  const cells = (words[at + layout.rowsAt] as number) * (words[at + layout.columnsAt] as number)
  let length = headerBytes + cells * 9
  const lengths = withTexts ? lengthsAt : [layout.blobBytesAt]
  for (const index of lengths) length += words[at + index] as number
  // Whole words of 8 bytes, over which there can be views of all kinds.
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
  // First, as they must lie at a multiple of 8.
  add(layout.slotsAt, cells * 8)
  add(layout.tagsAt, cells)
  // A length stands behind its address.
  for (const index of lengths) add(index - 1, words[at + index] as number)
  return copy.buffer
}

const lengthsAt = [layout.textBytesAt, layout.wideBytesAt, layout.blobBytesAt] as const

/** A memory that is one buffer after the other. */
export class Detached implements Source {
  #areas: Areas = areasOf(new ArrayBuffer(headerBytes))
  /** Where small ones are copied to. */
  #small: Areas | undefined

  get buffer(): ArrayBuffer {
    return this.#areas.bytes.buffer
  }

  set buffer(buffer: ArrayBuffer) {
    this.#areas = areasOf(buffer)
  }

  refresh(): Areas {
    return this.#areas
  }

  /** Reads that buffer from now on; the contents of a small one are copied, so that there needn't be views over it. */
  read(buffer: ArrayBuffer): void {
    if (buffer.byteLength > reused) this.buffer = buffer
    else {
      this.#small ??= areasOf(new ArrayBuffer(reused))
      this.#areas = this.#small
      this.#areas.bytes.set(new Uint8Array(buffer))
    }
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
