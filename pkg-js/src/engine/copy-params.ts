import { isPlain } from '../base/brand.js'
import { reading } from '../base/check.js'

/** Copies parameters one level deep, and rows of parameters; other values stay for the packer to refuse. */
export function copyParams(params: unknown): unknown {
  return reading('The parameters', () => copied(params))
}

function copied(params: unknown): unknown {
  if (Array.isArray(params)) return copyEach(params, (one) => (Array.isArray(one) || isPlain(one) ? copied(one) : one))
  return isPlain(params) ? { ...params } : params
}

/** Copies a list up to its first hole, which the packer refuses: an array may have billions of them. By index: an iterator may never end. */
export function copyEach(list: readonly unknown[], copy: (one: unknown) => unknown): unknown[] {
  const copies: unknown[] = []
  const { length } = list
  for (let at = 0; at < length; at++) {
    const one = list[at]
    copies.push(copy(one))
    if (one === undefined) break
  }
  return copies
}
