import { isA } from '../base/brand.js'
import { checkBoolean, checkFunction, checkObject } from '../base/check.js'
import { errorWith, invalid, isTidelockError, TidelockError } from '../base/errors.js'
import type { SqlResultValue, SqlValue } from '../base/values.js'
import { plainValue } from '../engine/codec/pack.js'
import type { CoreClass, CoreFunction } from '../engine/core.js'

/** The result of an SQL function: any value that a parameter can have; undefined is NULL. */
export type FunctionResult = SqlValue | undefined

/** How SQLite may use a function. */
export interface FunctionOptions {
  /**
   * Whether the same arguments always give the same result. Indexes, generated columns and partial indexes need such functions.
   * @default false
   */
  readonly deterministic?: boolean | undefined
  /**
   * Whether only statements may call the function, and no view, trigger, index, default or check of the schema: these can come from an
   * imported file.
   * @default false
   */
  readonly directOnly?: boolean | undefined
}

/** A function of the values of one row. The values have the form that they have in results. */
export type ScalarFunction = (...values: SqlResultValue[]) => FunctionResult

/**
 * A function of many rows. `start` returns the initial state of a group. `step` receives the state and the values of a row, and returns the
 * next state, or changes the state and returns nothing. `finish` returns the result. With `inverse`, which removes the oldest row from the
 * state, the function also works in moving windows.
 */
// biome-ignore lint/suspicious/noExplicitAny: the state is the function's own
export interface AggregateFunction<State = any> extends FunctionOptions {
  start(): State
  // biome-ignore lint/suspicious/noConfusingVoidType: a function that returns nothing is meant
  step(state: State, ...values: SqlResultValue[]): State | void
  finish(state: State): FunctionResult
  // biome-ignore lint/suspicious/noConfusingVoidType: as above
  inverse?(state: State, ...values: SqlResultValue[]): State | void
}

/** Compares two texts. Returns less than 0 when `one` comes first, 0 when they are equal, else more than 0. */
export type Collation = (one: string, other: string) => number

/**
 * SQL functions and collations by their names in SQL. A function is called with any number of values and must be synchronous; calls on the
 * database inside it run after its statement. A function with the name of one of SQLite's replaces it everywhere. When a function throws,
 * the statement fails with `sqlite_error` (`details.function`, and the thrown value as `cause`); when a collation throws in a write, the
 * transaction is rolled back.
 *
 * @example
 * ```ts
 * const functions = {
 *   scalar: {
 *     slug: { fn: (text) => String(text).toLowerCase().replace(/\W+/g, '-'), deterministic: true },
 *     regexp: (pattern, text) => new RegExp(String(pattern)).test(String(text)), // text REGEXP pattern
 *   },
 *   aggregate: {
 *     product: { start: () => 1, step: (product, value) => product * Number(value), finish: (product) => product },
 *   },
 *   collation: { german: new Intl.Collator('de').compare },
 * }
 * ```
 */
export interface SqlFunctions {
  /** Functions of one row, by their names in SQL. */
  readonly scalar?: Readonly<Record<string, ScalarFunction | (FunctionOptions & { readonly fn: ScalarFunction })>>
  /** Aggregate functions, by their names; with `inverse` also window functions. */
  readonly aggregate?: Readonly<Record<string, AggregateFunction>>
  /** Collations, by their names. */
  readonly collation?: Readonly<Record<string, Collation>>
}

/**
 * A module that exports `scalar`, `aggregate` and `collation`, by these names or as one default object. It is imported in the thread of
 * SQLite.
 */
export interface FunctionsModule {
  /** Its URL: `new URL('./functions.js', import.meta.url)`. */
  readonly module: URL
}

/** The source of a database's functions: the URL of their module, or the functions themselves. */
export type FunctionsSource = string | SqlFunctions

const phase = { call: 0, step: 1, inverse: 2, value: 3, finish: 4 } as const
const kind = { scalar: 0, aggregate: 1, window: 2, collation: 3 } as const

interface Defined extends CoreFunction {
  readonly scalar?: ScalarFunction
  readonly aggregate?: AggregateFunction
  readonly collation?: Collation
}

/** Checks the option `functions`. Throws `invalid_argument`, or `unsupported_environment` for closures with `thread: 'worker'`. */
export function checkFunctions(functions: unknown, thread: unknown): FunctionsSource {
  const module = (functions as Partial<FunctionsModule> | null)?.module
  if (module !== undefined) {
    checkObject('functions', functions, ['module'])
    if (isA(module, 'URL')) return module.href
    throw invalid('functions.module must be a URL', {
      details: { option: 'functions.module' },
      hint: "new URL('./functions.js', import.meta.url) names a module beside this one",
    })
  }
  define(functions)
  if (thread !== 'worker') return functions as SqlFunctions
  throw new TidelockError('unsupported_environment', "functions can't be passed to thread 'worker'", {
    details: { option: 'functions' },
    hint: "Put them into a module of their own and pass its URL: functions: { module: new URL('./functions.js', import.meta.url) }",
  })
}

/** Loads the functions of a source. Rejects with `invalid_argument` when the module can't be imported or has other exports. */
export async function loadFunctions(source: FunctionsSource): Promise<UserFunctions> {
  if (typeof source !== 'string') return new UserFunctions(define(source))
  let module: { readonly default?: unknown } & SqlFunctions
  try {
    module = await import(/* @vite-ignore */ /* webpackIgnore: true */ source)
  } catch (cause) {
    throw invalid(`The module of functions could not be imported: ${source}`, {
      hint: 'It is imported in the thread of SQLite: it must be served, and must not need a page',
      details: { option: 'functions.module' },
      cause,
    })
  }
  const { scalar, aggregate, collation } = (module.default as SqlFunctions | undefined) ?? module
  const given = { scalar, aggregate, collation }
  return new UserFunctions(define(Object.fromEntries(Object.entries(given).filter(([, some]) => some !== undefined))))
}

/** Checks functions and returns them as a list. */
function define(functions: unknown): Defined[] {
  const { scalar, aggregate, collation } = checkObject('functions', functions, ['scalar', 'aggregate', 'collation'])
  const list: Defined[] = []
  for (const [name, given] of entries('functions.scalar', scalar)) {
    const option = `functions.scalar.${name}`
    const { fn, ...traits } =
      typeof given === 'function'
        ? { fn: given }
        : checkObject(option, given, ['fn', 'deterministic', 'directOnly'], 'a function or an object')
    checkFunction(typeof given === 'function' ? option : `${option}.fn`, fn)
    list.push({ name, kind: kind.scalar, ...checkTraits(option, traits), scalar: fn as ScalarFunction })
  }
  for (const [name, given] of entries('functions.aggregate', aggregate)) {
    const option = `functions.aggregate.${name}`
    const keys = ['start', 'step', 'finish', 'inverse', 'deterministic', 'directOnly']
    const { start, step, finish, inverse, ...traits } = checkObject(option, given ?? null, keys)
    for (const [part, fn] of Object.entries({ start, step, finish })) checkFunction(`${option}.${part}`, fn)
    if (inverse !== undefined) checkFunction(`${option}.inverse`, inverse)
    list.push({
      name,
      kind: inverse === undefined ? kind.aggregate : kind.window,
      ...checkTraits(option, traits),
      aggregate: given as AggregateFunction,
    })
  }
  for (const [name, given] of entries('functions.collation', collation)) {
    checkFunction(`functions.collation.${name}`, given)
    list.push({
      name,
      kind: kind.collation,
      deterministic: true,
      directOnly: false,
      collation: given as Collation,
    })
  }
  return list
}

function entries(what: string, given: unknown): [string, unknown][] {
  const list = Object.entries(checkObject(what, given, Object.keys(given ?? {})))
  for (const [name] of list) {
    if (name === '' || name.includes('\0') || new TextEncoder().encode(name).length > 255)
      throw invalid(`A name in ${what} must have 1 to 255 bytes`, { details: { option: what } })
  }
  return list
}

function checkTraits(option: string, { deterministic, directOnly }: FunctionOptions) {
  return {
    deterministic: checkBoolean(`${option}.deterministic`, deterministic ?? false),
    directOnly: checkBoolean(`${option}.directOnly`, directOnly ?? false),
  }
}

/** The functions of one database, called by its engine. */
export class UserFunctions {
  /** Whether a function is running: meanwhile the database must not be used. */
  running = false
  readonly #defined: readonly Defined[]
  /** The states of the running aggregations. */
  readonly #states = new Map<number, unknown>()
  #lastState = 0
  /** The last thrown value: wasm forwards only its text. */
  #thrown: { readonly error: unknown } | undefined

  constructor(defined: readonly Defined[]) {
    this.#defined = defined
  }

  /** Throws `invalid_argument` when a function has a name that is reserved for an option. */
  leaveTo(option: string, names: readonly string[]): void {
    const taken = this.#defined.find(
      ({ name, kind: of }) => of !== kind.collation && names.includes(name.toLowerCase()),
    )
    if (taken === undefined) return
    throw invalid(`functions can't define ${taken.name}: the option ${option} does`, {
      details: { option: 'functions' },
      hint: `Give your function another name, or leave ${option} out`,
    })
  }

  /** Registers the functions with an instance, before it opens a database. */
  async addTo(Core: CoreClass, integers: 'auto' | 'bigint' | 'number'): Promise<void> {
    const plain = this.#defined.map(({ name, kind, deterministic, directOnly }) => ({
      name,
      kind,
      deterministic,
      directOnly,
    }))
    await Core.addFunctions(plain, this, integers)
  }

  /** Calls a scalar function, or a phase of an aggregate. */
  call(which: number, now: number, state: number, values: SqlResultValue[]): unknown {
    return this.#run(() => {
      const { scalar, aggregate } = this.#defined[which] as Defined
      if (scalar !== undefined) return asValue(scalar(...values))
      return this.#aggregate(aggregate as AggregateFunction, now, state, values)
    })
  }

  /** Calls a collation. */
  compare(which: number, one: string, other: string): number {
    return this.#run(() => {
      const order = (this.#defined[which] as Defined).collation?.(one, other)
      if (typeof order !== 'number' || Number.isNaN(order)) throw new TypeError('A collation must return a number')
      return order
    })
  }

  /** Adds the thrown value to the error of a statement, as its cause. */
  refine(error: TidelockError): TidelockError {
    const thrown = this.#thrown
    if (thrown === undefined || !/the SQL (function|collation) .* failed/is.test(error.message)) return error
    if (!isTidelockError(error, 'sqlite_error') && !isTidelockError(error, 'migration_failed')) return error
    this.#thrown = undefined
    return errorWith(error, { cause: thrown.error })
  }

  #run<T>(work: () => T): T {
    this.running = true
    try {
      return work()
    } catch (error) {
      this.#thrown = { error }
      throw error
    } finally {
      this.running = false
    }
  }

  #aggregate(functions: AggregateFunction, now: number, given: number, values: SqlResultValue[]): unknown {
    const state = given === 0 ? notPromise(functions.start()) : this.#states.get(given)
    // Any failure ends the group, so the state is removed first and set again after success.
    this.#states.delete(given)
    if (now === phase.finish) return asValue(functions.finish(state))
    const number = given === 0 ? this.#nextState() : given
    if (now === phase.value) {
      const value = asValue(functions.finish(state))
      if (given !== 0) this.#states.set(given, state)
      return value
    }
    const next = now === phase.step ? functions.step(state, ...values) : functions.inverse?.(state, ...values)
    this.#states.set(number, notPromise(next) === undefined ? state : next)
    return number
  }

  #nextState(): number {
    do this.#lastState = (this.#lastState % 0x7fff_ffff) + 1
    while (this.#states.has(this.#lastState))
    return this.#lastState
  }
}

/** Converts the result of a function into a value of the engine. Throws a TypeError for results that can't be stored. */
function asValue(given: FunctionResult): null | number | bigint | string | Uint8Array {
  const value = notPromise(given) === undefined ? null : plainValue(given)
  if (value !== undefined) return value
  throw new TypeError(
    'An SQL function must return null, a boolean, a finite number, a bigint of 64 bits, a string, a Uint8Array, an ArrayBuffer or a valid Date',
  )
}

function notPromise<T>(given: T): T {
  if (typeof (given as PromiseLike<unknown> | undefined)?.then !== 'function') return given
  // The promise is dropped, so its rejection must not become an unhandled one.
  Promise.resolve(given).catch(() => {})
  throw new TypeError('An SQL function must not be asynchronous: it returned a promise')
}
