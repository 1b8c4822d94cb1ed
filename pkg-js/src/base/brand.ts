interface Kinds {
  ArrayBuffer: ArrayBuffer
  Blob: Blob
  CryptoKey: CryptoKey
  Date: Date
  File: File
  Response: Response
  URL: URL
  Uint8Array: Uint8Array
  'WebAssembly.Module': WebAssembly.Module
}

/**
 * Whether a value is of one of these built-in kinds. By brand, not by `instanceof`, which says no to what comes from another realm: an
 * iframe, a window, an extension, a test driver's sandbox.
 */
export function isA<Kind extends keyof Kinds>(value: unknown, ...kinds: readonly Kind[]): value is Kinds[Kind] {
  return kinds.includes(Object.prototype.toString.call(value).slice(8, -1) as Kind)
}

/** Whether a value is a plain object, of whatever realm: one without a prototype, or whose prototype has none. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: object | null = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
