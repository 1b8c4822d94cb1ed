import { type CoreError, isCoreError, isTidelockError, textOf, toTidelockError } from '../base/errors.js'

/** A thrown value as plain data: a TidelockError, another error, or the text of any other value. */
export type SerializedError =
  | { readonly ours: Omit<CoreError, 'cause'>; readonly cause?: SerializedError }
  | { readonly name: string; readonly message: string; readonly stack: string | undefined }
  | { readonly text: string }

/** Converts a thrown value to plain data. */
export function serializeError(error: unknown): SerializedError {
  if (isTidelockError(error) || isCoreError(error)) {
    const { code, message, hint, details, cause } = error
    return {
      ours: {
        code,
        message,
        ...(hint === undefined ? {} : { hint }),
        ...(details === undefined ? {} : { details: plain(details) }),
      },
      ...(cause === undefined ? {} : { cause: serializeError(cause) }),
    }
  }
  if (error instanceof Error) {
    // Of an app's own error, these may be values that can't be copied.
    const { name, message, stack } = error as Readonly<Record<keyof Error, unknown>>
    return { name: textOf(name), message: textOf(message), stack: stack === undefined ? undefined : textOf(stack) }
  }
  return { text: textOf(error) }
}

/** Restores what {@link serializeError} has converted. */
export function deserializeError(thrown: SerializedError): unknown {
  if ('text' in thrown) return thrown.text
  if ('ours' in thrown)
    return toTidelockError({ ...thrown.ours, ...(thrown.cause && { cause: deserializeError(thrown.cause) }) })
  const error = new Error(thrown.message)
  Object.defineProperty(error, 'name', { value: thrown.name, configurable: true, writable: true })
  if (thrown.stack !== undefined) error.stack = thrown.stack
  return error
}

/** Converts functions in details to text, because they can't be copied to another thread. */
function plain(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(details).map(([name, detail]) => [
    name,
    typeof detail === 'function' ? String(detail) : detail,
  ])
  return Object.fromEntries(entries)
}
