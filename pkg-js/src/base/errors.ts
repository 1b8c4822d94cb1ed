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

/** Why something failed, in a form that programs may rely on. */
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

/** What a {@link TidelockError} may carry besides its code and message. */
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
 * The one error that tidelock throws. Values bound to a statement never appear in it.
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
  /** What programs compare. */
  readonly code: ErrorCode
  /** Facts for programs, by code. */
  readonly details: Readonly<Record<string, unknown>>
  /** What to do about it, where that is known. */
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, options: TidelockErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
    this.hint = options.hint
  }

  /** Whether the same call may succeed later without any change. */
  get retryable(): boolean {
    return retryable.has(this.code)
  }

  /** Plain data, for logs and for other threads. */
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
 * Whether something thrown is a {@link TidelockError}, of that code if one is given. Knows those of another copy of the package too.
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

/** The plain object that a failing call into wasm throws. */
export interface CoreError {
  readonly code: string
  readonly message: string
  readonly hint?: string
  readonly details?: Record<string, unknown>
  readonly cause?: string
}

/** The same error, with more to tell, or something else. */
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

/** `invalid_argument`, the commonest one. */
export function invalid(message: string, options?: TidelockErrorOptions): TidelockError {
  return new TidelockError('invalid_argument', message, options)
}

/** `unsupported_environment` for a part of the contract that this build doesn't have yet. */
export function unavailable(what: string, hint?: string): TidelockError {
  return new TidelockError('unsupported_environment', `${what} is not available in this build`, {
    hint,
    details: { what },
  })
}

/** `unsupported_environment` for something that the browser lacks. */
export function unsupported(missing: string, message: string, hint: string): TidelockError {
  return new TidelockError('unsupported_environment', message, { hint, details: { missing } })
}

/** Whether something thrown is the plain object of a failed call into wasm. */
export function isCoreError(thrown: unknown): thrown is CoreError {
  return typeof thrown === 'object' && thrown !== null && known((thrown as CoreError).code)
}

/** What to do about what SQLite itself refused. */
const ofSqlite: Readonly<Record<string, string>> = {
  sqlite_error:
    'Hold the statement against the schema; details.offset, where it is known, is the place in the statement',
  sqlite_constraint: 'Mend the values; details.sqliteCode is the kind of constraint',
}

/** Turns whatever a call into wasm threw into a {@link TidelockError}. */
export function toTidelockError(thrown: unknown): TidelockError {
  if (thrown instanceof TidelockError) return thrown
  if (isCoreError(thrown)) {
    const { code, message, hint = ofSqlite[code], details, cause } = thrown
    return new TidelockError(code as ErrorCode, message, { hint, details, cause })
  }
  if (isTrap(thrown)) return trapped(thrown)
  if (thrown instanceof RangeError) {
    return new TidelockError('out_of_memory', 'There is not enough memory for this call', {
      hint: 'Close other databases and tabs, or work on less at once',
      cause: thrown,
    })
  }
  return new TidelockError('internal', 'An unexpected error inside tidelock', { cause: thrown })
}

/** `internal`: the wasm instance is unusable from now on. `panic`: where in its code, and why, if it says so. */
export function trapped(cause: unknown, panic?: Panic): TidelockError {
  return new TidelockError('internal', 'The database engine stopped working; this database is now closed', {
    hint: "Open it again: what was stored is intact. Please report this in tidelock's issue tracker: the details, the cause with its stack, the versions of tidelock and of the browser, and what the database was doing",
    details: panic && { panic },
    cause,
  })
}

/** Whether something thrown is a trap of a wasm instance, after which the instance is unusable. */
export function isTrap(thrown: unknown): boolean {
  return typeof WebAssembly === 'object' && thrown instanceof WebAssembly.RuntimeError
}

function known(code: unknown): code is ErrorCode {
  return (codes as readonly unknown[]).includes(code)
}
