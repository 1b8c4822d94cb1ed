// What tests change about the wasm of a page. Each function runs there: hand over its source.

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

/**
 * For `rigEngine`: a module whose only function traps; one instance calls it wherever it calls out, once it is armed. The one that is
 * made after `doomNext()` is meant.
 */
export const trapping = () => {
  const code = [
    0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 116, 0, 0, 10, 5, 1, 3, 0, 0, 11,
  ]
  const { t: trap } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(code))).exports
  let instances = 0
  let doomed = 0
  let armed = false
  globalThis.doomNext = () => {
    doomed = instances
  }
  globalThis.arm = () => {
    armed = true
  }
  const mined = (imports) => {
    const own = instances++
    const wrap = (each) =>
      typeof each !== 'function' ? each : (...rest) => (armed && own === doomed ? trap() : each(...rest))
    // Read name by name, as WebAssembly does: not every group lists what it has.
    const wrapAll = (group) => new Proxy({}, { get: (_, name) => wrap(group[name]) })
    return Object.fromEntries(Object.entries(imports).map(([name, group]) => [name, wrapAll(group)]))
  }
  for (const name of ['instantiate', 'instantiateStreaming']) {
    const original = WebAssembly[name]
    WebAssembly[name] = (source, imports) => original.call(WebAssembly, source, mined(imports))
  }
}
