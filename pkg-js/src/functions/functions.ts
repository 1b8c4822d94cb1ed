import { isA } from '../base/brand.js'
import { checkBoolean, checkFunction, checkObject } from '../base/check.js'
import { errorWith, invalid, isTidelockError, TidelockError } from '../base/errors.js'
import type { SqlResultValue, SqlValue } from '../base/values.js'
import { plainValue } from '../engine/codec/pack.js'
import type { CoreClass, CoreFunction } from '../engine/core.js'

/** What a function may give: a value as a parameter can be; undefined is NULL. */
export type FunctionResult = SqlValue | undefined

/** How SQLite may use a function. */
export interface FunctionOptions {
  /**
   * The same arguments always give the same result. Indexes, generated columns and partial indexes take only such functions.
   * @default false
   */
  readonly deterministic?: boolean | undefined
  /**
   * Only statements may call it: no view, trigger, index, default or check of the schema, as an imported file may bring along.
   * @default false
   */
  readonly directOnly?: boolean | undefined
}

/** A function of the values of one row, which come as in results. */
export type ScalarFunction = (...values: SqlResultValue[]) => FunctionResult

/**
 * A function of many rows: `start` makes the state of a group, `step` gets it with the values of each row and gives the next state (or
 * changes it and gives nothing), `finish` makes the result of it. With `inverse`, which takes back the row that came first, it also
 * works in windows that move.
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

/** Compares two texts: less than 0 when the first comes first, 0 when they are equal, else more than 0. */
export type Collation = (one: string, other: string) => number

/**
 * SQL functions and collations by their names in SQL. They are called with any number of values, and must not be asynchronous: calls of the
 * database that one makes run when its statement is over. One by the name of a function of SQLite's takes its place, everywhere. What one throws fails the statement with `sqlite_error` (`details.function`, and the thrown as `cause`); thrown by a
 * collation in a write, it rolls back the transaction.
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
  readonly scalar?: Readonly<Record<string, ScalarFunction | (FunctionOptions & { readonly fn: ScalarFunction })>>
  readonly aggregate?: Readonly<Record<string, AggregateFunction>>
  readonly collation?: Readonly<Record<string, Collation>>
}

/**
 * A module that exports `scalar`, `aggregate` and `collation`, by these names or in one object as its default. It is imported where SQLite
 * runs.
 */
export interface FunctionsModule {
  readonly module: URL
}

/** Where the functions of a database come from: their module's address, or functions of this thread. */
export type FunctionsSource = string | SqlFunctions

const phase = { call: 0, step: 1, inverse: 2, value: 3, finish: 4 } as const
const kind = { scalar: 0, aggregate: 1, window: 2, collation: 3 } as const

interface Defined extends CoreFunction {
  readonly scalar?: ScalarFunction
  readonly aggregate?: AggregateFunction
  readonly collation?: Collation
}

/** Checks the option `functions`. Fails with `invalid_argument`, and where functions can't go with `unsupported_environment`. */
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
  throw new TidelockError('unsupported_environment', "functions can't be taken to thread 'worker'", {
    details: { option: 'functions' },
    hint: "Put them into a module of their own, and give its place: functions: { module: new URL('./functions.js', import.meta.url) }",
  })
}

/** The functions of a source. Rejects with `invalid_argument` when its module can't be imported, or exports something else. */
export async function loadFunctions(source: FunctionsSource): Promise<UserFunctions> {
  if (typeof source !== 'string') return new UserFunctions(define(source))
  let module: { readonly default?: unknown } & SqlFunctions
  try {
    module = await import(/* @vite-ignore */ /* webpackIgnore: true */ source)
  } catch (cause) {
    throw invalid(`The module of functions could not be imported: ${source}`, {
      hint: 'It is loaded where the engine runs: it must be served, and import nothing that only a page has',
      details: { option: 'functions.module' },
      cause,
    })
  }
  const { scalar, aggregate, collation } = (module.default as SqlFunctions | undefined) ?? module
  const given = { scalar, aggregate, collation }
  return new UserFunctions(define(Object.fromEntries(Object.entries(given).filter(([, some]) => some !== undefined))))
}

/** The list of what is defined, checked. */
function define(functions: unknown): Defined[] {
  const { scalar, aggregate, collation } = checkObject('functions', functions, ['scalar', 'aggregate', 'collation'])
  const list: Defined[] = []
  for (const [name, given] of entries('functions.scalar', scalar)) {
    const option = `functions.scalar.${name}`
    const { fn, ...traits } =
      typeof given === 'function' ? { fn: given } : checkObject(option, given, ['fn', 'deterministic', 'directOnly'])
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

/** The functions of one database, as its engine calls them. */
export class UserFunctions {
  /** Whether one of them runs: its database must not be used. */
  running = false
  readonly #defined: readonly Defined[]
  /** The states of the groups that are being gone through. */
  readonly #states = new Map<number, unknown>()
  #lastState = 0
  /** What one of them threw last; wasm carries on only its text. */
  #thrown: { readonly error: unknown } | undefined

  constructor(defined: readonly Defined[]) {
    this.#defined = defined
  }

  /** Throws `invalid_argument` when one has a name that an option defines. */
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

  /** Gives them to an instance, before it opens anything. */
  async addTo(Core: CoreClass, integers: 'auto' | 'bigint' | 'number'): Promise<void> {
    const plain = this.#defined.map(({ name, kind, deterministic, directOnly }) => ({
      name,
      kind,
      deterministic,
      directOnly,
    }))
    await Core.addFunctions(plain, this, integers)
  }

  /** Called by the engine: a scalar function, or a phase of an aggregate. */
  call(which: number, now: number, state: number, values: SqlResultValue[]): unknown {
    return this.#run(() => {
      const { scalar, aggregate } = this.#defined[which] as Defined
      if (scalar !== undefined) return asValue(scalar(...values))
      return this.#aggregate(aggregate as AggregateFunction, now, state, values)
    })
  }

  /** Called by the engine: a collation. */
  compare(which: number, one: string, other: string): number {
    return this.#run(() => {
      const order = (this.#defined[which] as Defined).collation?.(one, other)
      if (typeof order !== 'number' || Number.isNaN(order)) throw new TypeError('A collation must give a number')
      return order
    })
  }

  /** Gives the error of a statement what the function threw, as the cause. */
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
    // A failure, of this too, ends the group: nothing more is asked of it.
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

/** What the engine takes of what a function gave. */
function asValue(given: FunctionResult): null | number | bigint | string | Uint8Array {
  const value = notPromise(given) === undefined ? null : plainValue(given)
  if (value !== undefined) return value
  throw new TypeError(
    'An SQL function must give null, a boolean, a finite number, a bigint of 64 bits, a string, a Uint8Array, an ArrayBuffer or a valid Date',
  )
}

function notPromise<T>(given: T): T {
  if (typeof (given as PromiseLike<unknown> | undefined)?.then !== 'function') return given
  // Nobody else waits for it.
  Promise.resolve(given).catch(() => {})
  throw new TypeError('An SQL function must not be asynchronous: it gave a promise')
}
