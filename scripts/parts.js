// Adds the parts of the wasm to one instance. Bundled into pkg-js/generated/instance.js; it knows nothing about tidelock.

/**
 * `core()` gives the instance's own exports, `js()` what the glue gives to it, `compile(name)` a part's module. `load(name)` resolves when
 * the part's functions can be called: each part is instantiated once, and tried again after a failure.
 */
export function createParts(core, js, compile) {
  const loading = new Map()
  // What a part takes from the table is named by its place there.
  const table = new Proxy({}, { get: (_, place) => core().$table.get(Number.parseInt(place, 36)) })
  const load = (name) => {
    const known = loading.get(name)
    if (known !== undefined) return known
    const part = compile(name).then(async (module) => {
      await WebAssembly.instantiate(module, { core: core(), js: js(), table })
    })
    loading.set(name, part)
    part.catch(() => loading.delete(name))
    return part
  }
  return {
    load,
    /** Makes a class's methods load their part before they are called; all of them give promises. */
    before(Class, part, methods) {
      for (const method of methods) {
        const owner = method in Class.prototype ? Class.prototype : Class
        const call = owner[method]
        owner[method] = async function (...args) {
          await load(part)
          return call.apply(this, args)
        }
      }
    },
  }
}
