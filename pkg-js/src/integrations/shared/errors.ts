import type { ErrorCode } from '../../index.js'
import { TidelockError } from './package.js'

/** Returns the error of a code with a hint, and with what caused it. */
export function failure(code: ErrorCode, message: string, hint: string, cause?: unknown): TidelockError {
  return new TidelockError(code, message, { hint, cause })
}

/** Returns the error `invalid_argument`. */
export function invalid(message: string, hint: string, cause?: unknown): TidelockError {
  return failure('invalid_argument', message, hint, cause)
}
