import type { Panic } from '../../generated/instance.js'

const codes = [
  'invalid_argument',
  'closed',
  'timeout',
  'internal',
  'unsupported_environment',
  'wasm_load_failed',
  'out_of_memory',
  'sqlite_error',
  'sqlite_constraint',
  'sqlite_busy',
  'database_corrupt',
  'database_too_large',
  'integer_out_of_range',
  'transaction_closed',
  'migration_invalid',
  'migration_checksum_mismatch',
  'migration_missing',
  'migration_out_of_order',
  'migration_failed',
  'migration_irreversible',
  'schema_too_new',
  'database_in_use',
  'lock_timeout',
  'lock_lost',
  'storage_unavailable',
  'storage_quota_exceeded',
  'storage_blocked',
  'snapshot_not_found',
  'snapshot_corrupt',
  'snapshot_incompatible',
  'decryption_failed',
  'sync_network',
  'sync_unauthorized',
  'sync_rejected',
  'sync_server',
  'sync_protocol',
  'sync_schema_mismatch',
  'sync_user_mismatch',
  'unpushed_changes',
  'remote_empty',
  'leader_changed',
  'leader_unreachable',
  'worker_crashed',
] as const

/** The reason of a failure. Codes are stable: programs may compare them. */
export type ErrorCode = (typeof codes)[number]

const retryable: ReadonlySet<string> = new Set<ErrorCode>([
  'timeout',
  'wasm_load_failed',
  'sqlite_busy',
  'database_in_use',
  'lock_timeout',
  'storage_blocked',
  'storage_unavailable',
  'sync_network',
  'sync_server',
  'leader_unreachable',
])

/** The optional fields of a {@link TidelockError}. */
export interface TidelockErrorOptions {
  readonly hint?: string | undefined
  readonly details?: Readonly<Record<string, unknown>> | undefined
  readonly cause?: unknown
}

/** {@link TidelockError} as plain data. */
export interface TidelockErrorJson {
  readonly name: 'TidelockError'
  readonly code: ErrorCode
  readonly message: string
  readonly retryable: boolean
  readonly hint?: string
  readonly details: Readonly<Record<string, unknown>>
  readonly cause?: string
}

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
export class TidelockError extends Error {
  override readonly name = 'TidelockError'
  /** The reason, for programs to compare. */
  readonly code: ErrorCode
  /** More about the failure, for programs; the keys depend on `code`. */
  readonly details: Readonly<Record<string, unknown>>
  /** What to do about the failure, where that is known. */
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, options: TidelockErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
    this.hint = options.hint
  }

  /** Whether the same call may succeed when it is repeated later. */
  get retryable(): boolean {
    return retryable.has(this.code)
  }

  /** Returns the error as plain data, for logs and other threads. */
  toJSON(): TidelockErrorJson {
    const cause = this.cause === undefined ? undefined : String(this.cause)
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
 * Returns whether a thrown value is a {@link TidelockError}, with the code `code` if one is given. Recognises errors of another copy of the
 * package too.
 *
 * @example
 * ```ts
 * if (isTidelockError(error, 'database_in_use')) showOtherTab(error.details.holder)
 * ```
 */
export function isTidelockError<Code extends ErrorCode = ErrorCode>(
  error: unknown,
  code?: Code,
): error is TidelockError & { readonly code: Code } {
  if (!(error instanceof TidelockError)) {
    if (!(error instanceof Error) || error.name !== 'TidelockError') return false
  }
  const found = (error as TidelockError).code
  return code === undefined ? typeof found === 'string' : found === code
}

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

/** Returns an error with the code `invalid_argument`. */
export function invalid(message: string, options?: TidelockErrorOptions): TidelockError {
  return new TidelockError('invalid_argument', message, options)
}

/** Returns `unsupported_environment` for a part of the contract that this build doesn't have. */
export function unavailable(what: string, hint?: string): TidelockError {
  return new TidelockError('unsupported_environment', `${what} is not available in this build`, {
    hint,
    details: { what },
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
  return (codes as readonly unknown[]).includes(code)
}
