/** One memory, to be read as bytes and as numbers of several kinds. */
export interface Areas {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly words: Uint32Array
  readonly doubles: Float64Array
  readonly longs: BigInt64Array
}

/** The areas of a buffer whose length is a multiple of 8. */
export function areasOf(buffer: ArrayBuffer): Areas {
  return {
    bytes: new Uint8Array(buffer),
    words: new Uint32Array(buffer),
    doubles: new Float64Array(buffer),
    longs: new BigInt64Array(buffer),
  }
}

/** Something whose areas may change with each call. */
export interface Source {
  /** Call it after every call, before the areas are used. */
  refresh(): Areas
}

/** The areas of a wasm memory, made anew only when it has grown (which detaches the old ones). */
export class Views implements Source {
  readonly #memory: WebAssembly.Memory
  #areas: Areas

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory
    this.#areas = areasOf(memory.buffer as ArrayBuffer)
  }

  refresh(): Areas {
    // A detached array is empty: asking it is many times cheaper than asking the memory for its buffer.
    if (this.#areas.bytes.length === 0) this.#areas = areasOf(this.#memory.buffer as ArrayBuffer)
    return this.#areas
  }
}
