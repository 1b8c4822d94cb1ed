/** Typed views over all of a wasm memory, made anew only when it has grown (which detaches the old ones). */
export class Views {
  readonly #memory: WebAssembly.Memory
  #buffer: ArrayBuffer
  bytes: Uint8Array<ArrayBuffer>
  words: Uint32Array
  doubles: Float64Array
  longs: BigInt64Array

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory
    this.#buffer = memory.buffer as ArrayBuffer
    this.bytes = new Uint8Array(this.#buffer)
    this.words = new Uint32Array(this.#buffer)
    this.doubles = new Float64Array(this.#buffer)
    this.longs = new BigInt64Array(this.#buffer)
  }

  /** Call it after every call into wasm, before the views are used. */
  refresh(): this {
    const buffer = this.#memory.buffer as ArrayBuffer
    if (buffer !== this.#buffer) {
      this.#buffer = buffer
      this.bytes = new Uint8Array(buffer)
      this.words = new Uint32Array(buffer)
      this.doubles = new Float64Array(buffer)
      this.longs = new BigInt64Array(buffer)
    }
    return this
  }
}
