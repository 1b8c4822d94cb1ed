import { reading } from './check.js'
import { invalid } from './errors.js'
import type { Row, SqlValue } from './values.js'

/** A piece of SQL with the values bound to its `?`: the result of {@link sql}. It can be nested in another template. */
export class SqlFragment {
  readonly sql: string
  readonly params: readonly SqlValue[]

  /** @internal */
  constructor(sql: string, params: readonly SqlValue[]) {
    this.sql = sql
    this.params = params
  }

  /** Marks it as no plain object: frameworks wrap plain objects in proxies, and copy them. */
  get [Symbol.toStringTag](): string {
    return 'SqlFragment'
  }
}

/** What may stand in a template: a value, which is bound; a fragment; or an array of these, which becomes a list: `IN (${[1, 2]})`. */
export type SqlTemplateValue = SqlValue | SqlFragment | readonly (SqlValue | SqlFragment)[]

/** The helpers of the template tags. */
export interface SqlTagHelpers {
  /** Returns the name of a table or column, quoted. Throws `invalid_argument` for an empty name or one with NUL. */
  identifier(name: string): SqlFragment
  /** Returns text that is inserted into the SQL unchanged. Never pass text from a user. */
  raw(text: string): SqlFragment
  /**
   * Joins fragments and values. The separator is SQL, which is inserted unchanged.
   *
   * @example
   * ```ts
   * const conditions = [sql`status = ${'open'}`, sql`total > ${100}`]
   * await db.sql`SELECT * FROM orders WHERE ${sql.join(conditions, ' AND ')}`
   * ```
   */
  join(fragments: readonly (SqlValue | SqlFragment)[], separator?: string): SqlFragment
  /**
   * Returns the rows of an INSERT, each in parentheses. All have the same number of values; none, or rows of different lengths, are
   * `invalid_argument`.
   *
   * @example
   * ```ts
   * await db.sql`INSERT INTO points (x, y) VALUES ${sql.values([[1, 2], [3, 4]])}`
   * ```
   */
  values(rows: readonly (readonly (SqlValue | SqlFragment)[])[]): SqlFragment
}

/** The tag {@link sql}. */
export interface SqlTag extends SqlTagHelpers {
  (strings: TemplateStringsArray, ...values: readonly SqlTemplateValue[]): SqlFragment
}

/** The tag of a database or a transaction: runs the query and returns its rows. */
export interface SqlQueryTag extends SqlTagHelpers {
  <T = Row>(strings: TemplateStringsArray, ...values: readonly SqlTemplateValue[]): SqlQuery<T>
}

/** Defers functions until just before the next call begins. */
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

function join(fragments: readonly (SqlValue | SqlFragment)[], separator = ', '): SqlFragment {
  if (!Array.isArray(fragments)) throw invalid('The fragments to join must be an array')
  if (typeof separator !== 'string') throw invalid('The separator must be a string of SQL')
  const pieces: (SqlValue | SqlFragment)[] = []
  for (const each of fragments) {
    if (pieces.length > 0) pieces.push(raw(separator))
    pieces.push(each)
    // It is refused when it is bound. An array may have billions of holes.
    if (each === undefined) break
  }
  return concatenated(pieces)
}

function values(rows: readonly (readonly (SqlValue | SqlFragment)[])[]): SqlFragment {
  const first: unknown = Array.isArray(rows) ? rows[0] : undefined
  const columns = Array.isArray(first) ? first.length : 0
  if (columns === 0) throw invalid('sql.values needs an array of rows, each an array of values; at least one')
  const wrong = rows.findIndex((row) => !Array.isArray(row) || row.length !== columns)
  if (wrong >= 0) {
    throw invalid(`Row ${wrong + 1} must have ${columns} values, like the first row`, { details: { row: wrong + 1 } })
  }
  return join(rows.map((row) => concatenated([raw('('), join(row), raw(')')])))
}

/** Returns the fragments and values in their order as one fragment. */
function concatenated(pieces: readonly (SqlValue | SqlFragment)[]): SqlFragment {
  let text = ''
  const params: SqlValue[] = []
  for (const piece of pieces) {
    if (piece instanceof SqlFragment) {
      if (piece instanceof SqlQuery) piece.nest()
      text += piece.sql
      for (const param of piece.params) params.push(param)
    } else {
      text += '?'
      params.push(piece)
    }
  }
  return new SqlFragment(text, params)
}

/** Returns a template as a fragment. An empty array becomes SQLite's empty list, `IN ()`, which contains no value. */
function fragmentOf(strings: TemplateStringsArray, values: readonly SqlTemplateValue[]): SqlFragment {
  return reading('The template', () => {
    if (!Array.isArray(strings))
      throw invalid('sql is the tag of a template and was called like a function', {
        hint: 'Write sql`...` without parentheses, or pass the text to query() with its parameters',
      })
    const pieces: (SqlValue | SqlFragment)[] = [raw(strings[0] as string)]
    for (const [index, value] of values.entries()) {
      const piece = Array.isArray(value) ? join(value) : (value as SqlValue | SqlFragment)
      pieces.push(piece, raw(strings[index + 1] as string))
    }
    return concatenated(pieces)
  })
}

const helpers: SqlTagHelpers = {
  identifier,
  raw,
  join: (...given) => reading('The fragments to join', () => join(...given)),
  values: (rows) => reading('The rows of sql.values', () => values(rows)),
}

/**
 * Makes a fragment of SQL. Values are always bound, never inserted into the text; fragments nest, and an array becomes a list.
 *
 * @example
 * ```ts
 * const open = sql`status = ${'open'}`
 * await db.sql`SELECT * FROM ${sql.identifier('orders')} WHERE ${open} AND total > ${100}`
 * ```
 */
export const sql: SqlTag = /* @__PURE__ */ Object.assign(
  (strings: TemplateStringsArray, ...values: readonly SqlTemplateValue[]) => fragmentOf(strings, values),
  helpers,
)

/** Returns the text and the parameters of a fragment that was passed as the SQL. Throws `invalid_argument` for other values. */
export function fragmentParts(sql: unknown, params: unknown): [string, unknown] {
  if (!reading('The SQL', () => sql instanceof SqlFragment))
    throw invalid('The SQL must be a string or an sql`...` fragment')
  if (params !== undefined) throw invalid('An sql`...` fragment brings its own parameters')
  const { sql: text, params: own } = sql as SqlFragment
  return [text, own]
}

/** The rows of a template query: a promise. Nested in another template it is a fragment and doesn't run. */
export class SqlQuery<T> extends SqlFragment implements Promise<T[]> {
  readonly #run: (fragment: SqlFragment) => Promise<T[]>
  #rows: Promise<T[]> | undefined
  /** Whether the query has started or is nested: the start that the constructor scheduled is skipped. */
  #settled = false

  /** @internal */
  constructor(fragment: SqlFragment, starter: Starter, run: (fragment: SqlFragment) => Promise<T[]>) {
    super(fragment.sql, fragment.params)
    this.#run = run
    // Starts later, because an enclosing template may still nest this query.
    starter.later(() => {
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

  override get [Symbol.toStringTag](): string {
    return 'SqlQuery'
  }
}

/** Makes the template tag of a database or transaction. */
export function queryTag(starter: Starter, run: <T>(fragment: SqlFragment) => Promise<T[]>): SqlQueryTag {
  const tag = <T = Row>(strings: TemplateStringsArray, ...values: readonly SqlTemplateValue[]) =>
    new SqlQuery<T>(fragmentOf(strings, values), starter, run)
  return Object.assign(tag, helpers)
}
