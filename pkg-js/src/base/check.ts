import { isA } from './brand.js'
import { invalid, TidelockError } from './errors.js'
import type { CallOptions, RowMode } from './values.js'

// Checks of arguments and options. Each throws `invalid_argument` with the name of the wrong option.

/** The longest delay of JavaScript timers, in milliseconds: a longer one fires at once. */
export const maxTimeoutMs = 2 ** 31 - 1

/**
 * Checks that a value is an object with these keys only; returns an empty object for `undefined`. The keys in `planned` are
 * `unsupported_environment`: the contract has them and this build doesn't.
 */
export function checkObject(
  what: string,
  value: unknown,
  keys: readonly string[],
  planned: readonly string[] = [],
): Readonly<Record<string, unknown>> {
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(what, 'an object')
  for (const [key, one] of Object.entries(value)) {
    if (planned.includes(key) && one !== undefined) throw unavailableOption(key)
    if (!keys.includes(key) && !planned.includes(key)) {
      throw invalid(`${what} has no option '${key}'`, {
        details: { option: key },
        hint: `Known are: ${keys.join(', ')}`,
      })
    }
    if (one === null)
      throw invalid(`The option '${key}' must not be null`, {
        details: { option: key },
        hint: 'Leave it out for its default',
      })
  }
  return value as Record<string, unknown>
}

/** Returns `unsupported_environment` for an option, or a value of one, that this build doesn't have. */
export function unavailableOption(what: string, option = what): TidelockError {
  return new TidelockError('unsupported_environment', `This build doesn't have ${what} yet`, {
    details: { option },
    hint: 'Leave it out, or use a version of tidelock that has it',
  })
}

export function checkString(what: string, value: unknown): string {
  if (typeof value !== 'string' || value === '') throw wrong(what, 'a non-empty string')
  return value
}

export function checkScript(script: unknown): string {
  if (typeof script !== 'string') throw invalid('A script must be a string')
  return script
}

/** Runs a check on an option that may be missing; returns undefined when it is. */
export function optional<T>(what: string, value: unknown, check: (what: string, value: unknown) => T): T | undefined {
  return value === undefined ? undefined : check(what, value)
}

export function checkBoolean(what: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw wrong(what, 'true or false')
  return value
}

export function checkFunction(what: string, value: unknown): void {
  if (typeof value !== 'function') throw wrong(what, 'a function')
}

/** Checks a number of days: more than 0, fractions allowed. */
export function checkDays(what: string, days: unknown): number {
  if (typeof days === 'number' && days > 0) return days
  throw wrong(what, 'a number of days, more than 0')
}

/** Checks a whole number from `min` to `max`, both included. */
export function checkInteger(what: string, value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw wrong(
      what,
      max === Number.MAX_SAFE_INTEGER ? `a whole number from ${min} on` : `a whole number from ${min} to ${max}`,
    )
  }
  return value
}

export function checkOneOf<T extends string>(what: string, value: unknown, allowed: readonly T[]): T {
  if (!(allowed as readonly unknown[]).includes(value)) throw wrong(what, allowed.map((one) => `'${one}'`).join(' or '))
  return value as T
}

export function checkStrings(what: string, value: unknown): readonly string[] {
  if (!Array.isArray(value) || value.some((one) => typeof one !== 'string' || one === '')) {
    throw wrong(what, 'an array of non-empty strings')
  }
  return value
}

/** Checks a point in time, a Date or an ISO 8601 text with a time zone; returns milliseconds since 1970. */
export function checkMoment(what: string, value: unknown): number {
  const zoned = typeof value === 'string' && /^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:?\d\d)$/i.test(value)
  const ms = isA(value, 'Date') ? value.getTime() : zoned ? Date.parse(value as string) : Number.NaN
  if (Number.isNaN(ms)) throw wrong(what, "a Date or an ISO 8601 text such as '2026-11-20T10:00:00Z'")
  return ms
}

export function checkSignal(what: string, value: unknown): AbortSignal {
  const signal = value as AbortSignal | null
  if (
    typeof signal !== 'object' ||
    signal === null ||
    typeof signal.aborted !== 'boolean' ||
    typeof signal.addEventListener !== 'function'
  ) {
    throw wrong(what, 'an AbortSignal')
  }
  return signal
}

const callKeys = ['signal', 'timeoutMs'] as const
/** The calls whose parameters come before their options. */
const withParameters: readonly string[] = ['query', 'get', 'run', 'iterate', 'live', 'explain']
const none = {}

/** Checks the last argument of an asynchronous call: only these keys, `signal` and `timeoutMs`. */
export function checkCall(
  call: string,
  options: unknown,
  keys: readonly string[] = [],
  planned: readonly string[] = [],
): CallOptions & Readonly<Record<string, unknown>> {
  if (options === undefined) return none
  if ((typeof options !== 'object' || options === null) && withParameters.includes(call)) {
    throw invalid(`${call} takes its parameters as one argument, and options after it`, {
      hint: 'Pass the parameters as one array: [a, b]',
    })
  }
  const checked = checkObject(`The options of ${call}`, options, [...keys, ...callKeys], planned)
  if (checked.signal !== undefined) checkSignal('signal', checked.signal)
  if (checked.timeoutMs !== undefined) checkInteger('timeoutMs', checked.timeoutMs, 1)
  return checked
}

/** Checks the options of a query; returns the form of its rows. */
export function checkQuery(
  call: string,
  options: unknown,
  keys: readonly string[] = [],
  planned: readonly string[] = [],
): RowMode {
  const { rowMode } = checkCall(call, options, ['rowMode', ...keys], planned)
  return rowMode === undefined ? 'object' : checkOneOf('rowMode', rowMode, ['object', 'array'])
}

function wrong(what: string, want: string): Error {
  return invalid(`${what} must be ${want}`, { details: { option: what } })
}
