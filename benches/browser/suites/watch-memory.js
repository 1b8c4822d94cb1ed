// How large the memory of a wasm instance has become, which tidelock doesn't hand out. It never shrinks, so its size is its peak.

/** Watches the instance that is made next in this thread → a function that returns the bytes of its memory, and watches no more. */
export function watchMemory() {
  let memory
  const originals = {}
  for (const make of ['instantiate', 'instantiateStreaming']) {
    originals[make] = WebAssembly[make]
    WebAssembly[make] = async (...given) => {
      const made = await originals[make].apply(WebAssembly, given)
      const instance = made instanceof WebAssembly.Instance ? made : made.instance
      memory = instance.exports.memory ?? memory
      return made
    }
  }
  return () => {
    Object.assign(WebAssembly, originals)
    return memory.buffer.byteLength
  }
}
