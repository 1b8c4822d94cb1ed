// What tests change about the wasm of a page. It runs there: hand over its source.

/** The wasm module with so many mebibytes of memory at most. */
export const limitedWasm = async (mebibytes) => {
  const bytes = new Uint8Array(await (await fetch('/tidelock/dist/tidelock_bg.wasm')).arrayBuffer())
  const leb = (value) => (value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)])
  const out = [bytes.subarray(0, 8)]
  for (let at = 8; at < bytes.length; ) {
    const start = at
    const number = () => {
      for (let value = 0, shift = 0; ; shift += 7) {
        const byte = bytes[at++]
        value |= (byte & 127) << shift
        if (byte < 128) return value >>> 0
      }
    }
    const id = bytes[at++]
    const size = number()
    const end = at + size
    if (id === 5) {
      // One memory: flags and least pages; the most pages are added.
      number()
      at++
      const body = [1, 1, ...leb(number()), ...leb(mebibytes * 16)]
      out.push(new Uint8Array([5, body.length, ...body]))
    } else out.push(bytes.subarray(start, end))
    at = end
  }
  return WebAssembly.compile(await new Blob(out).arrayBuffer())
}
