import { layout } from './layout.js'
import type { MemorySource } from './memory.js'

// Buffers that go to another thread or are decoded later: parameters before they are in wasm memory, results after they have left it. For
// packing and decoding, such a buffer takes the place of the wasm memory (`DetachedMemory`).

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
