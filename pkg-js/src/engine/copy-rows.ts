import { isPlain } from '../base/brand.js'
import { reading } from '../base/check.js'
import { copyEach } from './copy-params.js'

/** Copies rows of parameters, as `copyParams` does. */
export function copyRows(rows: readonly unknown[]): unknown[] {
  return reading('The parameters', () =>
    copyEach(rows, (row) => (Array.isArray(row) ? row.slice() : isPlain(row) ? { ...row } : row)),
  )
}
