/** Views over one memory, as bytes and as numbers of several types. */
export interface MemoryViews {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly words: Uint32Array
  readonly doubles: Float64Array
  readonly longs: BigInt64Array
}

/** Creates the views over a buffer whose length is a multiple of 8. */
export function viewsOf(buffer: ArrayBuffer): MemoryViews {
  return {
    bytes: new Uint8Array(buffer),
    words: new Uint32Array(buffer),
    doubles: new Float64Array(buffer),
    longs: new BigInt64Array(buffer),
  }
}

/** A memory whose views may change with each call. */
export interface MemorySource {
  /** Returns the current views; to be called after every call into wasm. */
  refresh(): MemoryViews
}

/** The views over a wasm memory, recreated only when it has grown, which detaches the old ones. */
export class WasmMemory implements MemorySource {
  readonly #memory: WebAssembly.Memory
  #areas: MemoryViews

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory
    this.#areas = viewsOf(memory.buffer as ArrayBuffer)
  }

  refresh(): MemoryViews {
    // A detached array is empty. Checking this is many times cheaper than reading the memory's buffer.
    if (this.#areas.bytes.length === 0) this.#areas = viewsOf(this.#memory.buffer as ArrayBuffer)
    return this.#areas
  }
}
