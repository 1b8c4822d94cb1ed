// A host that has, or lacks, something. This file is loaded in Node and by pages: it imports nothing.

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
