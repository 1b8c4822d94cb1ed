import type { Panic } from '../../generated/instance.js'
import type { ErrorDetails } from './error-details.js'
import type { ErrorCode, TidelockErrorJson } from './generated-types.js'
import { isNode } from './is-node.js'

export type { ErrorCode, TidelockErrorJson }

/** Every code, and whether the same call may succeed later without any change. */
const retryable: Readonly<Record<ErrorCode, boolean>> = {
  invalid_argument: false,
  closed: false,
  timeout: true,
  internal: false,
  unsupported_environment: false,
  wasm_load_failed: true,
  out_of_memory: false,
  sqlite_error: false,
  sqlite_constraint: false,
  sqlite_busy: true,
  database_corrupt: false,
  database_too_large: false,
  integer_out_of_range: false,
  transaction_closed: false,
  migration_invalid: false,
  migration_checksum_mismatch: false,
  migration_missing: false,
  migration_out_of_order: false,
  migration_failed: false,
  migration_irreversible: false,
  schema_too_new: false,
  database_in_use: true,
  lock_timeout: true,
  lock_lost: false,
  storage_unavailable: true,
  storage_quota_exceeded: false,
  storage_blocked: true,
  snapshot_not_found: false,
  snapshot_corrupt: false,
  snapshot_incompatible: false,
  decryption_failed: false,
  sync_network: true,
  sync_unauthorized: false,
  sync_rejected: false,
  sync_server: true,
  sync_protocol: false,
  sync_schema_mismatch: false,
  sync_user_mismatch: false,
  unpushed_changes: false,
  remote_empty: false,
  leader_changed: false,
  leader_unreachable: true,
  worker_crashed: false,
}

/** The optional fields of a {@link TidelockError}. */
export interface TidelockErrorOptions {
  readonly hint?: string | undefined
  readonly details?: Readonly<Record<string, unknown>> | undefined
  readonly cause?: unknown
}

/** Where the pages of the documents are. */
const pages = 'https://tidelock.github.io/tidelock/'

/** The longest message, in UTF-16 units: it may name what a program made, such as a column of megabytes. */
const longestMessage = 2000

/**
 * The error of every failed call. It never contains values that were bound to a statement.
 *
 * @example
 * ```ts
 * try {
 *   await db.run('INSERT INTO users(email) VALUES (?)', [email])
 * } catch (error) {
 *   if (isTidelockError(error, 'sqlite_constraint')) console.log(error.details.sqliteCode) // SQLITE_CONSTRAINT_UNIQUE
 *   else throw error
 * }
 * ```
 */
export class TidelockError<Code extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'TidelockError'
  /** The reason, for programs to compare. */
  readonly code: Code
  /** More about the failure, for programs; the keys depend on `code`. */
  readonly details: ErrorDetails<Code>
  /** What to do about the failure, where that is known. */
  readonly hint: string | undefined

  constructor(code: Code, message: string, options: TidelockErrorOptions = {}) {
    const shown = message.length > longestMessage ? `${message.slice(0, longestMessage)}…` : message
    super(shown, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = (options.details ?? {}) as ErrorDetails<Code>
    this.hint = options.hint
    // Consoles, terminals and error overlays print the stack. Assigned, because Chromium's console ignores a property that is defined again.
    this.stack = withHeading(this)
  }

  /** Whether the same call may succeed when it is repeated later. */
  get retryable(): boolean {
    return retryable[this.code]
  }

  /** The address of the page about the code: its causes, an example, the way out, and the messages that it has. */
  get docs(): string {
    return `${pages}errors/${this.code}.html`
  }

  /** Returns the error as plain data, for logs and other threads. */
  toJSON(): TidelockErrorJson {
    const cause = this.cause === undefined ? undefined : textOf(this.cause)
    return {
      name: this.name,
      code: this.code,
      message: this.message,
      retryable: this.retryable,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      details: this.details,
      ...(cause === undefined ? {} : { cause }),
    }
  }
}

/**
 * Returns the stack of an error below its code, message and hint. V8 begins a stack with the message, other engines with the first frame.
 *
 * Chromium's console shows `name: message`, and of the stack only what follows from the first frame on. There the code and the hint are in a
 * line of the form of a frame: any other line would take the links from the frames.
 */
function withHeading(error: TidelockError): string {
  const { name, code, message, hint, stack = '' } = error
  const plain = String(error)
  const frames = stack.startsWith(plain) ? stack.slice(plain.length + 1) : stack
  const inBrowser = !isNode() && frames.startsWith('    at ')
  const advice = hint === undefined ? '' : `hint: ${hint}`
  const line = inBrowser ? `    at ${[code, advice].filter(Boolean).join(', ')} (<anonymous>)` : advice && `  ${advice}`
  return [`${name} [${code}]: ${message}`, line, frames].filter(Boolean).join('\n')
}

/**
 * Returns whether a thrown value is a {@link TidelockError}, with the code `code` if one is given. Recognises errors of another copy of the
 * package too.
 *
 * @example
 * ```ts
 * if (isTidelockError(error, 'database_in_use')) showOtherTab(error.details.holder?.title)
 * ```
 */
export function isTidelockError<Code extends ErrorCode = ErrorCode>(
  error: unknown,
  code?: Code,
): error is TidelockErrorOf<Code> {
  try {
    if (!(error instanceof TidelockError || (error instanceof Error && error.name === 'TidelockError'))) return false
    const found = (error as TidelockError).code
    return code === undefined ? typeof found === 'string' : found === code
  } catch {
    // A proxy, which can't be read.
    return false
  }
}

/** Returns a value as text. Some can't be converted: an error whose message is a symbol, an object without a prototype. */
export function textOf(value: unknown): string {
  try {
    return String(value)
  } catch {
    return Object.prototype.toString.call(value)
  }
}

/** An error of one of these codes: a union whose `details` follow from its `code`. */
export type TidelockErrorOf<Code extends ErrorCode = ErrorCode> = Code extends ErrorCode ? TidelockError<Code> : never

/** The plain object that a failed call into wasm throws. */
export interface CoreError {
  readonly code: string
  readonly message: string
  readonly hint?: string
  readonly details?: Record<string, unknown>
  readonly cause?: string
}

/** Returns a copy of an error with the fields in `more` replaced and `more.details` added to its details. */
export function errorWith(
  { code, message, hint, details, cause }: TidelockError,
  more: TidelockErrorOptions & { readonly message?: string },
): TidelockError {
  return new TidelockError(code, more.message ?? message, {
    hint,
    cause,
    ...more,
    details: { ...details, ...more.details },
  })
}

/**
 * Returns the error of a call that had not asked for a commit when it failed. A crash of the worker rolls such a call back, so that
 * `details.applied` is false; other errors are returned as they are.
 */
export function beforeCommit(error: unknown): unknown {
  return isTidelockError(error, 'worker_crashed') ? errorWith(error, { details: { applied: false } }) : error
}

/** Returns an error with the code `invalid_argument`. */
export function invalid(message: string, options?: TidelockErrorOptions): TidelockError {
  return new TidelockError('invalid_argument', message, options)
}

/** Returns `unsupported_environment` for what a browser throws that refuses locks and storage to this page; other errors unchanged. */
export function refusal(error: unknown): unknown {
  if ((error as Error | undefined)?.name !== 'SecurityError') return error
  return new TidelockError('unsupported_environment', 'The browser refused the lock', {
    hint: "Allow this site to store data in the browser's settings. Sandboxed frames and data: URLs can't have any",
    cause: error,
  })
}

/** Returns `unsupported_environment` for a feature that the browser lacks; `missing` names it in the details. */
export function unsupported(missing: string, message: string, hint: string): TidelockError {
  return new TidelockError('unsupported_environment', message, { hint, details: { missing } })
}

/** Returns whether a thrown value is the plain object of a failed call into wasm. */
export function isCoreError(thrown: unknown): thrown is CoreError {
  return typeof thrown === 'object' && thrown !== null && known((thrown as CoreError).code)
}

/** The hints for SQLite's own errors, which come without one. */
const sqliteHints: Readonly<Record<string, string>> = {
  sqlite_error: 'Compare the statement with the schema; details.offset, if set, is the position in the statement',
  sqlite_constraint: 'Correct the values; details.sqliteCode is the kind of constraint',
}

/** Turns a value thrown by a call into wasm into a {@link TidelockError}. */
export function toTidelockError(thrown: unknown): TidelockError {
  if (thrown instanceof TidelockError) return thrown
  if (isCoreError(thrown)) {
    const { code, message, hint = sqliteHints[code], details, cause } = thrown
    return new TidelockError(code as ErrorCode, message, { hint, details, cause })
  }
  if (isTrap(thrown)) return trapped(thrown)
  if (thrown instanceof RangeError) {
    return new TidelockError('out_of_memory', 'Not enough memory for this call', {
      hint: 'Close other databases and tabs, or process less data at once',
      cause: thrown,
    })
  }
  return new TidelockError('internal', 'Unexpected error inside tidelock', { cause: thrown })
}

/** Returns `internal` for a wasm instance that trapped. `panic` is the place and the reason, where a panic reported them. */
export function trapped(cause: unknown, panic?: Panic): TidelockError {
  return new TidelockError('internal', 'The database engine stopped working; this database is now closed', {
    hint: "Open it again: what was stored is intact. Please report this in tidelock's issue tracker: the details, the cause with its stack, the versions of tidelock and of the browser, and what the database was doing",
    details: panic && { panic },
    cause,
  })
}

/** Returns whether a thrown value is a trap of a wasm instance. The instance is unusable after it. */
export function isTrap(thrown: unknown): boolean {
  return typeof WebAssembly === 'object' && thrown instanceof WebAssembly.RuntimeError
}

function known(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(retryable, code)
}
