import { type ColumnType, compareValues, stored, textOf } from './column-types.js'
import type { JsonRow } from './exact-json.js'

/** An answer that refuses a request, in PostgREST's form. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message)
  }
}

/** The columns of a table that are known, with their types. */
export type Columns = ReadonlyMap<string, ColumnType | undefined>

type FilterCondition = (row: JsonRow) => boolean | null

/** What the query string of a URL asks for. */
export interface RemoteQuery {
  /** The columns of the answer; undefined: all. */
  readonly select: readonly string[] | undefined
  /** The columns of the body of an insert. */
  readonly columns: readonly string[] | undefined
  readonly onConflict: readonly string[] | undefined
  readonly limit: number | undefined
  readonly offset: number
  holds(row: JsonRow): boolean
  compare(one: JsonRow, other: JsonRow): number
}

/** Reads a query string as PostgREST does. Throws a {@link Refusal} for what it doesn't understand. */
export function readQuery(query: URLSearchParams, columns: Columns): RemoteQuery {
  const conditions: FilterCondition[] = []
  const known = (name: string) => {
    if (columns.size > 0 && !columns.has(name)) throw new Refusal(400, '42703', `column ${name} does not exist`)
    return name
  }
  for (const [name, value] of query) {
    if (['select', 'columns', 'on_conflict', 'limit', 'offset', 'order'].includes(name)) continue
    const tokens = new FilterText(/^(not\.)?(and|or)$/.test(name) ? `${name}${value}` : value)
    const condition = (column: string) => operation(tokens, known(column), columns.get(column), true)
    conditions.push(/^(not\.)?(and|or)$/.test(name) ? tree(tokens, columns, known) : condition(unquoted(name)))
    if (tokens.rest !== '') throw unclear()
  }
  const orders = list(query.get('order'))?.map((text) => {
    const [, name, direction, nulls] = /^(.*?)(\.asc|\.desc)?(\.nullsfirst|\.nullslast)?$/.exec(text) as RegExpExecArray
    const descending = direction === '.desc'
    return { column: known(unquoted(name as string)), descending, first: nulls ? nulls === '.nullsfirst' : descending }
  })
  const number = (name: string) => (query.get(name) === null ? undefined : Number(query.get(name)))
  const select = list(query.get('select'))?.map(unquoted)
  return {
    select: select?.includes('*') ? undefined : select?.map(known),
    columns: list(query.get('columns'))?.map(unquoted),
    onConflict: list(query.get('on_conflict'))?.map(unquoted),
    limit: number('limit'),
    offset: number('offset') ?? 0,
    holds: (row) => conditions.every((condition) => condition(row) === true),
    compare(one, other) {
      for (const { column, descending, first } of orders ?? []) {
        const [a, b] = [one[column] ?? null, other[column] ?? null]
        if (a === null && b === null) continue
        if (a === null || b === null) return (a === null) === first ? -1 : 1
        const order = compareValues(a, b)
        if (order !== 0) return descending ? -order : order
      }
      return 0
    },
  }
}

const unclear = () =>
  new Refusal(
    400,
    'PGRST100',
    'failed to parse the query; fakeRemote knows eq, neq, gt, gte, lt, lte, like, ilike, in, is, not, and, or',
  )

/** The characters of a condition that aren't read yet. */
class FilterText {
  constructor(public rest: string) {}

  take(text: string): boolean {
    if (!this.rest.startsWith(text)) return false
    this.rest = this.rest.slice(text.length)
    return true
  }

  /** Takes all that is left. */
  end(): string {
    const text = this.rest
    this.rest = ''
    return text
  }

  /** Takes what matches, or quoted text. */
  word(plain: RegExp): string {
    const quoted = /^"((?:[^"\\]|\\.)*)"/.exec(this.rest)
    const found = quoted ?? plain.exec(this.rest)
    if (found === null) throw unclear()
    this.rest = this.rest.slice(found[0].length)
    return quoted ? (quoted[1] as string).replace(/\\(.)/g, '$1') : found[0]
  }
}

/** Splits a list of names at its commas; quoted names stay quoted. */
const list = (text: string | null) => text?.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? undefined

const unquoted = (name: string) => (name.startsWith('"') ? name.slice(1, -1).replace(/\\(.)/g, '$1') : name)

/** `or(a.gt.5,and(a.eq.5,b.gt.x))` */
function tree(tokens: FilterText, columns: Columns, known: (name: string) => string): FilterCondition {
  if (tokens.take('not.')) return negated(tree(tokens, columns, known))
  const every = tokens.take('and(')
  if (!every && !tokens.take('or(')) {
    const column = known(tokens.word(/^[^.,()"]+/))
    if (!tokens.take('.')) throw unclear()
    return operation(tokens, column, columns.get(column), false)
  }
  const parts: FilterCondition[] = []
  do parts.push(tree(tokens, columns, known))
  while (tokens.take(','))
  if (!tokens.take(')')) throw unclear()
  return (row) => {
    const results = parts.map((part) => part(row))
    if (results.includes(!every)) return !every
    return results.includes(null) ? null : every
  }
}

const negated =
  (condition: FilterCondition): FilterCondition =>
  (row) => {
    const result = condition(row)
    return result === null ? null : !result
  }

/** `eq.5`, `not.is.null`, `in.(1,2)`. At the top a value goes to the end, in a tree to the next comma. */
function operation(tokens: FilterText, column: string, type: ColumnType | undefined, top: boolean): FilterCondition {
  if (tokens.take('not.')) return negated(operation(tokens, column, type, top))
  const name = tokens.word(/^[a-z]+/)
  if (!tokens.take('.')) throw unclear()
  const typed = (text: string) => {
    const value = stored(text, type)
    if (value === undefined) throw new Refusal(400, '22P02', `invalid input syntax for type ${type}`)
    return value
  }
  /** A comparison with NULL is neither true nor false. */
  const compared = (text: string, holds: (order: number) => boolean): FilterCondition => {
    const value = typed(text)
    return (row) => (isNull(row[column]) ? null : holds(compareValues(row[column], value)))
  }
  if (name === 'in') {
    if (!tokens.take('(')) throw unclear()
    const values: FilterCondition[] = []
    do values.push(compared(tokens.word(/^[^,)]*/), (order) => order === 0))
    while (tokens.take(','))
    if (!tokens.take(')')) throw unclear()
    return (row) => (isNull(row[column]) ? null : values.some((value) => value(row) === true))
  }
  const text = top ? tokens.end() : tokens.word(/^[^,)]*/)
  if (name === 'is') return (row) => (text === 'null' ? isNull(row[column]) : textOf(row[column] ?? null) === text)
  if (name === 'like' || name === 'ilike') {
    const escaped = text
      .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replace(/[*%]/g, '[^]*')
      .replace(/_/g, '[^]')
    const pattern = new RegExp(`^${escaped}$`, name === 'like' ? '' : 'i')
    return (row) => (isNull(row[column]) ? null : pattern.test(textOf(row[column])))
  }
  const holds = comparisons[name]
  if (holds === undefined) throw unclear()
  return compared(text, holds)
}

const isNull = (value: JsonRow[string] | undefined): value is null | undefined => value === null || value === undefined

const comparisons: Readonly<Record<string, (order: number) => boolean>> = {
  eq: (order) => order === 0,
  neq: (order) => order !== 0,
  gt: (order) => order > 0,
  gte: (order) => order >= 0,
  lt: (order) => order < 0,
  lte: (order) => order <= 0,
}
