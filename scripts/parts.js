// Adds the parts of the wasm to one instance. Bundled into pkg-js/generated/instance.js; it knows nothing about tidelock.

/**
 * `core()` returns the exports of the instance, `js()` the imports from the glue, `compile(name)` the module of a part. `load(name)`
 * resolves when the functions of the part can be called: each part is instantiated once; after a failure it can be loaded again.
 */
export function createParts(core, js, compile) {
  const loading = new Map()
  // Imports of a part from the table are named by their position.
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
    /** Makes the methods of a class load their part before they run; all of them return promises. */
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
