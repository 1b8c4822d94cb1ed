import { isPlain } from '../base/brand.js'

/** Copies parameters one level deep, and rows of parameters; other values stay for the packer to refuse. */
export function copyParams(params: unknown): unknown {
  if (Array.isArray(params)) return params.map((one) => (Array.isArray(one) || isPlain(one) ? copyParams(one) : one))
  return isPlain(params) ? { ...params } : params
}

/** Copies rows of parameters, as {@link copyParams} does. */
export function copyRows(rows: readonly unknown[]): unknown[] {
  return rows.map((row) => (Array.isArray(row) ? row.slice() : isPlain(row) ? { ...row } : row))
}
