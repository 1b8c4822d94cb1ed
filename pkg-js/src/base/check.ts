import { isA, isPlain } from './brand.js'
import { closest } from './closest.js'
import { invalid, TidelockError } from './errors.js'
import type { CallOptions, RowMode } from './values.js'

// Checks of arguments and options. Each throws `invalid_argument` with the name of the wrong option.

/** The longest delay of JavaScript timers, in milliseconds: a longer one fires at once. */
export const maxTimeoutMs = 2 ** 31 - 1

/** An object whose keys are checked. */
type CheckedKeys = Readonly<Record<string, unknown>>

/**
 * Checks that the value of an option is an object with these keys only; returns an empty object for `undefined`. Returns a copy, because a
 * getter may give another value next time. `want`: what the option may be, for the error, where it may be something else, too.
 */
export function checkObject(option: string, value: unknown, keys: readonly string[], want = 'an object'): CheckedKeys {
  return checkKeys(option, option, `${option}.`, value, keys, want)
}

/** Checks the options of a call as {@link checkObject} does. */
export function checkOptionsOf(call: string, options: unknown, keys: readonly string[]): CheckedKeys {
  return checkKeys(call, `The options of ${call}`, '', options, keys, 'an object')
}

/** `prefix`: what stands before the name of a key in the name of its option; empty for the options of a call. */
function checkKeys(
  owner: string,
  what: string,
  prefix: string,
  value: unknown,
  keys: readonly string[],
  want: string,
): CheckedKeys {
  if (value === undefined) return {}
  const given = reading(what, () => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw wrong(what, want, prefix === '' ? `Pass an object. Known are: ${keys.join(', ')}` : undefined)
    // Also those that the object inherits.
    const known = keys.filter((key) => key in value).map((key) => [key, (value as CheckedKeys)[key]])
    return { ...value, ...Object.fromEntries(known) } as CheckedKeys
  })
  for (const [key, one] of Object.entries(given)) {
    const option = prefix + key
    if (!keys.includes(key)) {
      const meant = closest(key, keys)
      const hint = `${meant === undefined ? '' : `Did you mean '${meant}'? `}Known are: ${keys.join(', ')}`
      throw invalid(`${owner} has no option '${key}'`, { details: { option }, hint })
    }
    if (one === null)
      throw invalid(`${option} must not be null`, { details: { option }, hint: 'Leave it out for its default' })
  }
  return given
}

/** Runs work that reads a value of the caller, whose getters may throw anything: that becomes `invalid_argument`. */
export function reading<T>(what: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    throw cause instanceof TidelockError
      ? cause
      : invalid(`${what} can't be read`, {
          cause,
          details: optionIn(what),
          hint: 'Pass plain values: cause is what a getter or a proxy threw',
        })
  }
}

export function checkString(what: string, value: unknown): string {
  if (typeof value !== 'string' || value === '') throw wrong(what, 'a non-empty string')
  return value
}

export function checkScript(script: unknown): string {
  if (typeof script !== 'string') throw invalid('A script must be a string')
  return script
}

/** Checks the text of a statement: the engine would end on a value of another type. */
export function checkStatement(sql: unknown): void {
  if (typeof sql !== 'string') throw invalid('The SQL must be a string', { hint: 'Pass the text of one statement' })
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
    const isOpen = max === Number.MAX_SAFE_INTEGER && !(typeof value === 'number' && value > max)
    throw wrong(what, isOpen ? `a whole number from ${min} on` : `a whole number from ${min} to ${max}`)
  }
  return value
}

export function checkOneOf<T extends string>(what: string, value: unknown, allowed: readonly T[]): T {
  if (!(allowed as readonly unknown[]).includes(value)) throw wrong(what, allowed.map((one) => `'${one}'`).join(' or '))
  return value as T
}

export function checkStrings(what: string, value: unknown): readonly string[] {
  return checkEach(what, value, 'an array of non-empty strings', (one) => {
    if (typeof one !== 'string' || one === '') throw wrong(what, 'an array of non-empty strings')
    return one
  })
}

/** Checks each element of an array, up to its first wrong one: a sparse array may claim any length. Returns what `check` returns. */
export function checkEach<T>(
  what: string,
  value: unknown,
  want: string,
  check: (one: unknown, index: number) => T,
): readonly T[] {
  return reading(what, () => {
    if (!Array.isArray(value)) throw wrong(what, want)
    return Array.from(value, check)
  })
}

/** Checks a plain object of texts by name; returns a copy. A `Map` or `Headers` would be an object without texts. */
export function checkTexts(what: string, value: unknown): Readonly<Record<string, string>> {
  const texts = reading(what, () => (isPlain(value) ? { ...value } : undefined))
  if (texts === undefined || Object.values(texts).some((one) => typeof one !== 'string'))
    throw wrong(what, 'an object of strings')
  return texts as Record<string, string>
}

/** Checks a point in time, a Date or an ISO 8601 text with a time zone; returns milliseconds since 1970. */
export function checkTime(what: string, value: unknown): number {
  const ms = isA(value, 'Date') ? value.getTime() : typeof value === 'string' ? timeOf(value) : Number.NaN
  if (!Number.isNaN(ms)) return ms
  const zoneless = typeof value === 'string' && !Number.isNaN(timeOf(`${value}Z`))
  const given = typeof value === 'number' ? 'For milliseconds since 1970, pass new Date(ms)' : undefined
  const hint = zoneless ? 'Add the time zone, such as Z for UTC, or pass a Date' : given
  throw wrong(what, "a Date or an ISO 8601 text such as '2026-11-20T10:00:00Z'", hint)
}

/** Returns the milliseconds since 1970 of an ISO 8601 text with its zone; NaN for any other text. */
function timeOf(text: string): number {
  const [, date] = /^(\d{4}-\d\d-\d\d)T.*(?:Z|[+-]\d\d:?\d\d)$/i.exec(text) ?? []
  // Engines read the 30th of February as a day in March.
  const day = new Date(`${date}T00:00:00Z`)
  return Number.isNaN(day.getTime()) || day.toISOString().slice(0, 10) !== date ? Number.NaN : Date.parse(text)
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
): CallOptions & Readonly<Record<string, unknown>> {
  if (options === undefined) return none
  if ((typeof options !== 'object' || options === null) && withParameters.includes(call)) {
    throw invalid(`${call} takes its parameters as one argument, and options after it`, {
      hint: 'Pass the parameters as one array: [a, b]',
    })
  }
  if (call === 'exec' && Array.isArray(options))
    throw invalid('exec takes no values', { hint: 'Use run or batch for statements with values' })
  const checked = checkOptionsOf(call, options, [...keys, ...callKeys])
  if (checked.signal !== undefined) reading('signal', () => checkSignal('signal', checked.signal))
  if (checked.timeoutMs !== undefined) checkInteger('timeoutMs', checked.timeoutMs, 1)
  return checked
}

/** Checks the options of a query; returns the form of its rows. */
export function checkQuery(call: string, options: unknown, keys: readonly string[] = []): RowMode {
  const { rowMode } = checkCall(call, options, ['rowMode', ...keys])
  return rowMode === undefined ? 'object' : checkOneOf('rowMode', rowMode, ['object', 'array'])
}

function wrong(what: string, want: string, hint?: string): Error {
  return invalid(`${what} must be ${want}`, { details: optionIn(what), hint })
}

/** The details that name an option. Words for another argument begin with 'The'. */
function optionIn(what: string): { readonly option?: string } {
  return what.startsWith('The ') ? {} : { option: what }
}
