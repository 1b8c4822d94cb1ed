import { type CoreError, isCoreError, isTidelockError, toTidelockError } from '../base/errors.js'

/** Something thrown, as plain data: a TidelockError, another error, or the text of what else was thrown. */
export type Thrown =
  | { readonly ours: Omit<CoreError, 'cause'>; readonly cause?: Thrown }
  | { readonly name: string; readonly message: string; readonly stack: string | undefined }
  | { readonly text: string }

/** What the other side needs to throw the same. */
export function toThrown(error: unknown): Thrown {
  if (isTidelockError(error) || isCoreError(error)) {
    const { code, message, hint, details, cause } = error
    return {
      ours: {
        code,
        message,
        ...(hint === undefined ? {} : { hint }),
        ...(details === undefined ? {} : { details: plain(details) }),
      },
      ...(cause === undefined ? {} : { cause: toThrown(cause) }),
    }
  }
  if (error instanceof Error) return { name: error.name, message: error.message, stack: error.stack }
  return { text: String(error) }
}

/** What {@link toThrown} was given, again. */
export function fromThrown(thrown: Thrown): unknown {
  if ('text' in thrown) return thrown.text
  if ('ours' in thrown)
    return toTidelockError({ ...thrown.ours, ...(thrown.cause && { cause: fromThrown(thrown.cause) }) })
  const error = new Error(thrown.message)
  Object.defineProperty(error, 'name', { value: thrown.name, configurable: true, writable: true })
  if (thrown.stack !== undefined) error.stack = thrown.stack
  return error
}

/** Details are facts; what in them could not be copied to another thread becomes text. */
function plain(details: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const facts = Object.entries(details).map(([name, fact]) => [name, typeof fact === 'function' ? String(fact) : fact])
  return Object.fromEntries(facts)
}
