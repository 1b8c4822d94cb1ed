/** Returns whether this is Node, where databases can be stored in folders. */
export function isNode(): boolean {
  return (globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node !== undefined
}

/** Returns whether secret keys are allowed here: not in a page, where every visitor could read them. */
export function mayHoldSecrets(): boolean {
  return typeof document === 'undefined' && isNode()
}
