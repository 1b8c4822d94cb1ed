import type { SqlFragment, SqlParams, SqlValue } from '../../index.js'
import { invalid } from './errors.js'

/** A query of Kysely. */
export interface CompilableQuery<T> {
  compile(): CompiledStatement
  execute(): Promise<readonly T[]>
}

/** A query that Kysely has compiled. */
export interface CompiledStatement {
  readonly sql: string
  readonly parameters: readonly unknown[]
}

/** A query of Drizzle that returns rows, or for `findFirst` one row, made with a Drizzle database. */
export interface PreparableQuery<T> {
  toSQL(): { readonly sql: string; readonly params: readonly unknown[] }
  prepare(): object
  execute(): PromiseLike<readonly T[] | T | undefined>
  /** Only writes have it. */
  readonly returning?: undefined
}

/**
 * What a live query runs: SQL, an `` sql`...` `` fragment, or a query of Kysely or Drizzle, whose rows are typed. Drizzle maps the rows, as
 * it does when it runs the query. Those of Kysely have the names and values of the database, without what its plugins do with results.
 */
export type LiveQuerySource<T> = string | SqlFragment | CompilableQuery<T> | CompiledStatement | PreparableQuery<T>

/** A source, or a value that stands for none: then nothing runs. */
export type MaybeLiveQuerySource<T> = LiveQuerySource<T> | undefined | null | false

/** A query as it is executed. */
export interface QueryStatement {
  readonly sql: string
  readonly params: SqlParams | undefined
  /** The same for statements that return the same rows. */
  readonly key: string
  /** Maps the rows, as arrays, to those that the component gets; undefined: it gets them as objects. */
  readonly map?: ((rows: readonly unknown[]) => readonly unknown[]) | undefined
}

/**
 * Reads the SQL and the parameters of a source; undefined: there is none. Throws `invalid_argument` for anything else, and for parameters
 * beside those that the source has already.
 */
export function statementOf<T>(source: MaybeLiveQuerySource<T>, params?: SqlParams): QueryStatement | undefined {
  if (source === undefined || source === null || source === false) return undefined
  if (typeof source === 'string') return { sql: source, params, key: keyOf(source, params) }
  const { sql, parameters, map } = partsOf(Object(source))
  if (typeof sql !== 'string' || !Array.isArray(parameters))
    throw invalid('The query of a live query is not SQL', 'Pass a string, sql`...`, or a query of Kysely or Drizzle')
  if (params !== undefined)
    throw invalid('The query of a live query has parameters already', 'Leave out the second argument')
  return { sql, params: parameters, key: keyOf(sql, parameters), map }
}

function partsOf(source: object): Omit<StatementParts, 'params'> & Pick<Partial<QueryStatement>, 'map'> {
  const query = source as BuilderQuery
  const { sql, params, parameters = params } = query.compile?.() ?? query.toSQL?.() ?? query
  // The result of findFirst is no list.
  const map = (rows: readonly unknown[]) => [query.prepare().mapAllResult(rows) ?? []].flat()
  return { sql, parameters, map: query.toSQL && map }
}

/** A query of Kysely, which compiles it, or of Drizzle, whose driver maps the rows; else the statement itself. */
interface BuilderQuery extends StatementParts {
  compile?(): StatementParts
  toSQL?(): StatementParts
  prepare(): { mapAllResult(rows: readonly unknown[]): unknown }
}

interface StatementParts {
  readonly sql?: unknown
  readonly params?: unknown
  readonly parameters?: unknown
}

function keyOf(sql: string, params: SqlParams | undefined): string {
  const values = Object.entries(params ?? {}).map(([name, value]) => [name, textOf(value)])
  return JSON.stringify([sql, values])
}

/** Returns a text that differs for different values. */
function textOf(value: SqlValue): string {
  if (typeof value !== 'object' || value === null) return `${typeof value} ${String(value)}`
  if ('byteLength' in value) return `bytes ${ArrayBuffer.isView(value) ? value : new Uint8Array(value)}`
  return 'getTime' in value ? `date ${value.getTime()}` : ''
}
