// Adds a feature to a host, or removes one. Loaded in Node and in pages, so it imports nothing.

/** Runs `work` with a property of an object changed. */
export async function having(object, name, value, work) {
  const before = Object.getOwnPropertyDescriptor(object, name)
  Object.defineProperty(object, name, { value, configurable: true, writable: true })
  try {
    return await work()
  } finally {
    if (before === undefined) delete object[name]
    else Object.defineProperty(object, name, before)
  }
}
