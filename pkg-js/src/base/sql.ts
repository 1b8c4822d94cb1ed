import { invalid } from './errors.js'
import type { SqlValue } from './values.js'

/** A piece of SQL with the values bound to its `?`: the result of {@link sql}. It can be nested in another template. */
export class SqlFragment {
  readonly sql: string
  readonly params: readonly SqlValue[]

  /** @internal */
  constructor(sql: string, params: readonly SqlValue[]) {
    this.sql = sql
    this.params = params
  }
}

/** The helpers of the template tags. */
export interface SqlTagHelpers {
  /** Returns the name of a table or column, quoted. Throws `invalid_argument` for an empty name or one with NUL. */
  identifier(name: string): SqlFragment
  /** Returns text that is inserted into the SQL unchanged. Never pass text from a user. */
  raw(text: string): SqlFragment
}

/** The tag {@link sql}. */
export interface SqlTag extends SqlTagHelpers {
  (strings: TemplateStringsArray, ...values: readonly (SqlValue | SqlFragment)[]): SqlFragment
}

/** The tag of a database or a transaction: runs the query and returns its rows. */
export interface SqlQueryTag extends SqlTagHelpers {
  <T>(strings: TemplateStringsArray, ...values: readonly (SqlValue | SqlFragment)[]): SqlQuery<T>
}

/** Runs a function later, but before the next call begins. */
interface Starter {
  later(start: () => void): void
}

/** Returns a name quoted as an SQL identifier. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

function identifier(name: string): SqlFragment {
  if (typeof name !== 'string' || name === '' || name.includes('\0')) {
    throw invalid('An identifier must be a non-empty string without NUL')
  }
  return new SqlFragment(quoted(name), [])
}

function raw(text: string): SqlFragment {
  if (typeof text !== 'string') throw invalid('Raw SQL must be a string')
  return new SqlFragment(text, [])
}

function join(strings: TemplateStringsArray, values: readonly (SqlValue | SqlFragment)[]): SqlFragment {
  let text = strings[0] as string
  const params: SqlValue[] = []
  for (const [index, value] of values.entries()) {
    if (value instanceof SqlFragment) {
      if (value instanceof SqlQuery) value.nest()
      text += value.sql
      for (const param of value.params) params.push(param)
    } else {
      text += '?'
      params.push(value)
    }
    text += strings[index + 1] as string
  }
  return new SqlFragment(text, params)
}

/**
 * Makes a fragment of SQL. Values are always bound, never inserted into the text; fragments nest.
 *
 * @example
 * ```ts
 * const open = sql`status = ${'open'}`
 * await db.sql`SELECT * FROM ${sql.identifier('orders')} WHERE ${open} AND total > ${100}`
 * ```
 */
export const sql: SqlTag = /* @__PURE__ */ Object.assign(
  (strings: TemplateStringsArray, ...values: readonly (SqlValue | SqlFragment)[]) => join(strings, values),
  { identifier, raw },
)

/** Returns the text and the parameters of a fragment that was passed as the SQL. Throws `invalid_argument` for other values. */
export function fragmentParts(sql: unknown, params: unknown): [string, unknown] {
  if (!(sql instanceof SqlFragment)) throw invalid('The SQL must be a string or an sql`...` fragment')
  if (params !== undefined) throw invalid('An sql`...` fragment brings its own parameters')
  return [sql.sql, sql.params]
}

/** The rows of a template query: a promise. Nested in another template it is a fragment and doesn't run. */
export class SqlQuery<T> extends SqlFragment implements Promise<T[]> {
  readonly #run: (fragment: SqlFragment) => Promise<T[]>
  #rows: Promise<T[]> | undefined
  /** Whether the query has started or is nested: the start that the constructor scheduled is skipped. */
  #settled = false

  /** @internal */
  constructor(fragment: SqlFragment, calls: Starter, run: (fragment: SqlFragment) => Promise<T[]>) {
    super(fragment.sql, fragment.params)
    this.#run = run
    // Start later: only after an enclosing template was read is it clear that this query isn't nested.
    calls.later(() => {
      if (!this.#settled) this.#start()
    })
  }

  /** @internal */
  nest(): void {
    this.#settled = true
  }

  #start(): Promise<T[]> {
    this.#settled = true
    this.#rows ??= this.#run(new SqlFragment(this.sql, this.params))
    return this.#rows
  }

  // biome-ignore lint/suspicious/noThenProperty: it is a promise
  then<A = T[], B = never>(
    onRows?: ((rows: T[]) => A | PromiseLike<A>) | null,
    onError?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#start().then(onRows, onError)
  }

  catch<B = never>(onError?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T[] | B> {
    return this.#start().catch(onError)
  }

  finally(onEnd?: (() => void) | null): Promise<T[]> {
    return this.#start().finally(onEnd)
  }

  get [Symbol.toStringTag](): string {
    return 'SqlQuery'
  }
}

/** Makes the template tag of a database or transaction. */
export function queryTag(calls: Starter, run: <T>(fragment: SqlFragment) => Promise<T[]>): SqlQueryTag {
  const tag = <T>(strings: TemplateStringsArray, ...values: readonly (SqlValue | SqlFragment)[]) =>
    new SqlQuery<T>(join(strings, values), calls, run)
  return Object.assign(tag, { identifier, raw })
}
