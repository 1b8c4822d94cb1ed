import { invalid } from './errors.js'
import type { SqlValue } from './values.js'

/** A piece of SQL with the values bound to its `?`: what {@link sql} gives. It may be put into another template. */
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
  /** The name of a table or column, quoted. Fails with `invalid_argument` for what can't be a name. */
  identifier(name: string): SqlFragment
  /** Text put into the SQL as it is: never from a user. */
  raw(text: string): SqlFragment
}

/** The tag {@link sql}. */
export interface SqlTag extends SqlTagHelpers {
  (strings: TemplateStringsArray, ...values: readonly (SqlValue | SqlFragment)[]): SqlFragment
}

/** The tag of a database or a transaction: runs the query. */
export interface SqlQueryTag extends SqlTagHelpers {
  <T>(strings: TemplateStringsArray, ...values: readonly (SqlValue | SqlFragment)[]): SqlQuery<T>
}

/** What starts something before the next call begins. */
interface Starter {
  later(start: () => void): void
}

/** A name as an identifier in SQL. */
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
 * A fragment of SQL: values are always bound, never put into the text; fragments nest.
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

/** The text and the parameters of what was passed instead of a text. */
export function fragmentParts(sql: unknown, params: unknown): [string, unknown] {
  if (!(sql instanceof SqlFragment)) throw invalid('The SQL must be a string or an sql`...` fragment')
  if (params !== undefined) throw invalid('An sql`...` fragment brings its own parameters')
  return [sql.sql, sql.params]
}

/** The rows of a template query: a promise, and inside another template a fragment that isn't run by itself. */
export class SqlQuery<T> extends SqlFragment implements Promise<T[]> {
  readonly #run: (fragment: SqlFragment) => Promise<T[]>
  #rows: Promise<T[]> | undefined
  /** Whether the start that was asked for in the constructor is to be left out. */
  #settled = false

  /** @internal */
  constructor(fragment: SqlFragment, calls: Starter, run: (fragment: SqlFragment) => Promise<T[]>) {
    super(fragment.sql, fragment.params)
    this.#run = run
    // Not at once: only when the template around it, if there is one, has been read is it clear that this one stands alone.
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

/** The tag of one database or transaction. */
export function queryTag(calls: Starter, run: <T>(fragment: SqlFragment) => Promise<T[]>): SqlQueryTag {
  const tag = <T>(strings: TemplateStringsArray, ...values: readonly (SqlValue | SqlFragment)[]) =>
    new SqlQuery<T>(join(strings, values), calls, run)
  return Object.assign(tag, { identifier, raw })
}
