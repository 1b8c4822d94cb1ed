/** Returns whether this is Node, where databases can be stored in folders. */
export function isNode(): boolean {
  return (globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node !== undefined
}

/** Returns the absolute path of a folder, however it is spelled; in a runtime without `process.getBuiltinModule`, the path as it is. */
export function absolutePath(path: string): string {
  const { process } = globalThis as { process?: { getBuiltinModule?(id: 'path'): NodePath } }
  return process?.getBuiltinModule?.('path').resolve(path) ?? path
}

/** What is used of Node's module `path`. */
interface NodePath {
  resolve(path: string): string
}

/**
 * Lets a target have any number of listeners: Node warns of a leak at eleven of one type, but each hook, store and collection of an app
 * adds one. Versions of Node without `process.getBuiltinModule` (before 20.16) still warn.
 */
export function allowManyListeners(target: EventTarget): void {
  const { process } = globalThis as { process?: { getBuiltinModule?(id: 'events'): NodeEvents } }
  try {
    process?.getBuiltinModule?.('events').setMaxListeners?.(0, target)
  } catch {
    // A simulated page (jsdom) has an EventTarget of its own, without a limit.
  }
}

/** What is used of Node's module `events`, which bundlers for browsers replace by other ones. */
interface NodeEvents {
  setMaxListeners?(count: number, target: EventTarget): void
}

/** Returns whether secret keys are allowed here: not in a page, where every visitor could read them. */
export function mayHoldSecrets(): boolean {
  return typeof document === 'undefined' && isNode()
}
