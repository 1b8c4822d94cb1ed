import { isPlain } from './brand.js'
import { reading } from './check.js'
import { invalid } from './errors.js'
import { SqlFragment } from './sql.js'
import type { SqlValue } from './values.js'

// Queries of Kysely and Drizzle, recognised by their methods, so that the package imports neither.

/** A query that Kysely compiled: the result of `query.compile()`, or of `` sql`...`.compile(kysely) ``. */
export interface CompiledQuery {
  readonly sql: string
  readonly parameters: readonly unknown[]
}

/** A query of Kysely that returns rows of type T. */
export interface KyselyQuery<T> {
  compile(): CompiledQuery
  execute(): Promise<T[]>
}

/** A query of Drizzle whose promise resolves with T: rows, or for `findFirst` one row. */
export interface DrizzleQuery<T> extends PromiseLike<T> {
  toSQL(): { readonly sql: string; readonly params: readonly unknown[] }
}

/** The type of the rows of a {@link DrizzleQuery}. */
export type DrizzleRow<T> = T extends readonly (infer Row)[] ? Row : Exclude<T, undefined>

/** Maps rows of values, in the order of the columns, to the rows of a query builder. */
export type MapRows = (rows: readonly unknown[][]) => unknown[]

/** The SQL of a query builder's query, with its parameters, and the mapping of its rows. */
export interface QueryText {
  readonly query: string | SqlFragment
  /** Set when the rows of the query aren't those of SQLite. */
  readonly mapRows?: MapRows
}

/** The methods that the queries of Drizzle have. */
interface Preparable {
  prepare?(): { mapAllResult?(rows: readonly unknown[][]): unknown }
}

/** Returns the SQL and the parameters of a query builder's query; any other query as it is. Throws `invalid_argument`. */
export function queryText(query: unknown): QueryText {
  return reading('The query', () => textOf(query))
}

function textOf(query: unknown): QueryText {
  if (typeof query !== 'object' || query === null || query instanceof SqlFragment) return { query: query as string }
  const { compile, toSQL } = query as Partial<KyselyQuery<unknown> & DrizzleQuery<unknown>>
  if (typeof toSQL === 'function') {
    const { sql, params } = toSQL.call(query)
    const mapRows = mapperOf(query)
    return { query: fragment(sql, params), ...(mapRows && { mapRows }) }
  }
  const { sql, parameters } = typeof compile === 'function' ? compile.call(query) : (query as Partial<CompiledQuery>)
  if (typeof sql === 'string' && Array.isArray(parameters)) return { query: fragment(sql, parameters) }
  throw invalid('A query must be text, an sql`...` fragment, or a query of Kysely or Drizzle', {
    hint: isPlain(query) ? 'Pass the SQL first, then its parameters' : 'Pass the query itself, without awaiting it',
  })
}

function fragment(sql: string, params: readonly unknown[]): SqlFragment {
  return new SqlFragment(sql, params as readonly SqlValue[])
}

/** Returns how Drizzle maps the rows of a query to the names and the types of its columns. */
function mapperOf(query: Preparable): MapRows | undefined {
  const prepared = prepare(query)
  if (typeof prepared?.mapAllResult !== 'function') return undefined
  return (rows) => {
    const mapped = prepared.mapAllResult?.(rows)
    if (Array.isArray(mapped)) return mapped
    // The result of findFirst.
    return mapped === undefined ? [] : [mapped]
  }
}

function prepare(query: Preparable) {
  try {
    return query.prepare?.()
  } catch (cause) {
    throw invalid('This query of Drizzle was built without a database', {
      hint: 'Build it with the result of drizzle(), from tidelock/drizzle',
      cause,
    })
  }
}
