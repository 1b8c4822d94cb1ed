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

/** A member of each kind. An object with a forged brand lacks it, and would fail where it is used. */
const members: { readonly [Kind in keyof Kinds]?: keyof Kinds[Kind] } = {
  Blob: 'arrayBuffer',
  File: 'arrayBuffer',
  Date: 'getTime',
  Response: 'headers',
  URL: 'href',
}

/**
 * Returns whether a value is of one of these built-in kinds. Compares the brand: `instanceof` is false for values of another realm, such
 * as an iframe, a window, an extension or a test driver's sandbox.
 */
export function isA<Kind extends keyof Kinds>(value: unknown, ...kinds: readonly Kind[]): value is Kinds[Kind] {
  try {
    const kind = Object.prototype.toString.call(value).slice(8, -1) as Kind
    const member = members[kind]
    return kinds.includes(kind) && (member === undefined || member in (value as Kinds[Kind]))
  } catch {
    // A getter or a proxy threw.
    return false
  }
}

/** Returns whether a value is a buffer, or a view of one, that was transferred to another thread: it has no bytes any more. */
export function isDetached(value: unknown): boolean {
  const buffer = ArrayBuffer.isView(value) ? value.buffer : value
  if (!isA(buffer, 'ArrayBuffer') || buffer.byteLength > 0) return false
  try {
    return new Uint8Array(buffer).length > 0
  } catch {
    return true
  }
}

/** Returns whether a value is a plain object of any realm: it has no prototype, or its prototype has none. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: object | null = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
