import { layout } from './layout.js'
import { type MemorySource, type MemoryViews, viewsOf } from './memory.js'

/** A memory made of one buffer after another, outside of wasm. */
export class DetachedMemory implements MemorySource {
  #areas: MemoryViews = viewsOf(new ArrayBuffer(layout.headerBytes))
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
