import { isA } from '../base/brand.js'
import { invalid } from '../base/errors.js'
import { isBlob } from '../base/file-bytes.js'

/** Checks the option `seed`. Throws `invalid_argument`. */
export function checkSeed(seed: unknown): void {
  const fits =
    (typeof seed === 'string' && seed !== '') ||
    typeof seed === 'function' ||
    isA(seed, 'URL', 'ArrayBuffer') ||
    ArrayBuffer.isView(seed) ||
    isBlob(seed)
  if (!fits) {
    throw invalid('seed must be a URL, bytes, a Blob or a function that returns bytes', { details: { option: 'seed' } })
  }
}
