import {
  checkBoolean,
  checkDays,
  checkFunction,
  checkInteger,
  checkObject,
  checkOneOf,
  checkOptionsOf,
  checkString,
  checkStrings,
  checkTexts,
  reading,
} from '../base/check.js'
import { invalid } from '../base/errors.js'

// An option is declared once, as a rule: what it may be, and what holds without it. Checks and defaults follow, and the reference of options,
// which takes what an option may be from the error for another value.

/** What one option may be. */
export interface Rule<T = unknown> {
  /** The value that the engine works with. Throws `invalid_argument` that names the option. */
  readonly check: (option: string, value: unknown) => T
  /** What holds without it. */
  readonly default?: T
  /** It must be given: `check` gets undefined, too, and throws. */
  readonly required?: true
}

/** The rules of an object of options. */
export type Rules<Options = Readonly<Record<string, unknown>>> = { readonly [Name in keyof Options]-?: Rule }

/** Options that are checked and complete with the defaults. */
export type Completed<R> = {
  readonly [Name in keyof R as R[Name] extends Always ? Name : never]: Checked<R[Name]>
} & {
  readonly [Name in keyof R as R[Name] extends Always ? never : Name]?: Checked<R[Name]>
}

/** A rule whose option has a value in any case. */
type Always = { readonly default: unknown } | { readonly required: true }
type Checked<R> = R extends Rule<infer T> ? T : never

/**
 * Checks an object of options and completes it with the defaults; one that isn't given and has none is left out. `path` is the option that
 * has the object, empty for the options of `open` themselves; `want` as in {@link checkObject}. Throws `invalid_argument`.
 */
export function complete<R extends Rules>(path: string, options: unknown, rules: R, want?: string): Completed<R> {
  const names = Object.keys(rules)
  const given = path === '' ? checkOptionsOf('open', options, names) : checkObject(path, options, names, want)
  const completed: Record<string, unknown> = {}
  for (const [name, rule] of Object.entries(rules)) {
    const isLeftOut = given[name] === undefined && !rule.required
    const option = path === '' ? name : `${path}.${name}`
    const value = isLeftOut ? rule.default : reading(option, () => rule.check(option, given[name]))
    if (value !== undefined) completed[name] = value
  }
  return completed as Completed<R>
}

/** A rule with what holds without the option. */
export function byDefault<T>(value: T, rule: Rule<T>): Rule<T> & { readonly default: T } {
  return { ...rule, default: value }
}

/** A rule of an option that must be given. */
export function required<T>(rule: Rule<T>): Rule<T> & { readonly required: true } {
  return { ...rule, required: true }
}

/** An object of options. */
export function objectOf<R extends Rules>(rules: R): Rule<Completed<R>> {
  return { check: (option, value) => complete(option, value, rules) }
}

/** A whole number, at least `min`. */
export function integer(min: number): Rule<number> {
  return { check: (option, value) => checkInteger(option, value, min) }
}

/** One of these texts. */
export function oneOf<T extends string>(...texts: readonly T[]): Rule<T> {
  return { check: (option, value) => checkOneOf(option, value, texts) }
}

/** A number within a range. */
export function numberIn(range: string, isIn: (value: number) => boolean): Rule<number> {
  return {
    check: (option, value) => {
      if (typeof value === 'number' && isIn(value)) return value
      throw invalid(`${option} must be a number ${range}`, { details: { option } })
    },
  }
}

export const boolean: Rule<boolean> = { check: checkBoolean }
export const text: Rule<string> = { check: checkString }
export const texts: Rule<readonly string[]> = { check: checkStrings }
export const days: Rule<number> = { check: checkDays }

/** A text for each name. */
export const textsByName: Rule<Readonly<Record<string, string>>> = { check: checkTexts }

/** A function, which stays in this thread. */
export const callback: Rule = {
  check: (option, value) => {
    checkFunction(option, value)
    return value
  },
}

/** What is checked in another place: the engine, or a module that only some apps load. */
export const checkedElsewhere: Rule = { check: (_, value) => value }
