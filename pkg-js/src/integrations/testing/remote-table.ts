import { TidelockError } from '../../index.js'
import { type ColumnType, checkType, compareValues, stored } from './column-types.js'
import { ExactNumber, type JsonRow, type JsonValue } from './exact-json.js'
import { Refusal, type RemoteQuery } from './remote-query.js'

/** A value of a remote row as tests read and write it. A `bigint` is an integer beyond 2^53-1; other numbers that aren't exact are text. */
export type RemoteValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly RemoteValue[]
  | { readonly [name: string]: RemoteValue }

/** A remote row as tests read and write it. */
export type RemoteRow = Readonly<Record<string, RemoteValue>>

/** A table of the fake remote. */
export interface FakeTable {
  /** The columns, or the columns with their types. Without it the table has the columns of its rows, and takes any value. */
  readonly columns?: readonly string[] | Readonly<Record<string, ColumnType>> | undefined
  /** @default 'id' */
  readonly primaryKey?: string | readonly string[] | undefined
  /** The rows at the beginning. */
  readonly rows?: readonly RemoteRow[] | undefined
  /** The column that each write sets to the server's time, as a trigger does: the `cursor` of a synced table. */
  readonly updatedAt?: string | undefined
  /** Values of columns that an insert leaves out. */
  readonly defaults?: Readonly<Record<string, RemoteValue | (() => RemoteValue)>> | undefined
  /** Columns that can't be NULL. */
  readonly required?: readonly string[] | undefined
  /** Columns whose values are unique. */
  readonly unique?: readonly string[] | undefined
  /** Columns that refer to the primary key of another table, by the name of that table. Deletions don't cascade. */
  readonly references?: Readonly<Record<string, string>> | undefined
  /** A check constraint. */
  readonly check?: ((row: RemoteRow) => boolean) | undefined
}

/** A table with its rows. A statement that a constraint refuses throws a {@link Refusal} and leaves nothing. */
export class FakeRemoteTable {
  readonly key: readonly string[]
  readonly #given: FakeTable
  readonly #types: ReadonlyMap<string, ColumnType | undefined>
  readonly #time: () => string
  #rows: JsonRow[] = []

  constructor(
    readonly name: string,
    given: FakeTable,
    readonly tables: ReadonlyMap<string, FakeRemoteTable>,
    time: () => string,
  ) {
    const { columns = [], primaryKey = 'id', rows = [] } = given
    this.#given = given
    this.#time = time
    this.key = typeof primaryKey === 'string' ? [primaryKey] : primaryKey
    const names = Array.isArray(columns) ? (columns as readonly string[]) : Object.keys(columns)
    const types = Array.isArray(columns) ? {} : (columns as Readonly<Record<string, ColumnType>>)
    for (const [column, type] of Object.entries(types)) checkType(column, type)
    const stamp = given.updatedAt === undefined || names.length === 0 ? [] : [given.updatedAt]
    this.#types = new Map([...stamp, ...names].map((name) => [name, types[name]]))
    for (const row of rows) this.#rows.push({ ...this.#complete({}), ...this.#typed(fromTest(row)) })
  }

  /** The columns with their types. */
  get columns(): ReadonlyMap<string, ColumnType | undefined> {
    const named = this.#types.size > 0 ? [] : this.#rows.flatMap((row) => Object.keys(row))
    return this.#types.size > 0 ? this.#types : new Map(named.map((name) => [name, undefined]))
  }

  get rows(): readonly JsonRow[] {
    return this.#rows
  }

  /** Returns the rows as tests read them. */
  show(): RemoteRow[] {
    return this.#rows.map(toTest)
  }

  /** Inserts rows; those with a known key are skipped, merged or refused. Returns the rows that were written. */
  insert(rows: readonly JsonRow[], known: 'ignore' | 'merge' | 'refuse'): JsonRow[] {
    return this.#statement(() => {
      const written = new Set<JsonRow>()
      for (const given of rows) {
        const values = this.#typed(given)
        const row = this.#complete(values)
        const at = this.#rows.findIndex((other) => this.key.every((column) => same(other[column], row[column])))
        if (at >= 0 && known === 'refuse') throw duplicate(this.name, 'pkey')
        if (at >= 0 && known === 'ignore') continue
        if (at >= 0 && written.has(this.#rows[at] as JsonRow)) {
          throw new Refusal(500, '21000', 'ON CONFLICT DO UPDATE command cannot affect row a second time')
        }
        const made = at >= 0 ? this.#stamped({ ...this.#rows[at], ...values }) : row
        this.#rows[at >= 0 ? at : this.#rows.length] = made
        written.add(made)
      }
      return [...written]
    })
  }

  update(which: (row: JsonRow) => boolean, changes: JsonRow): JsonRow[] {
    return this.#statement(() => {
      const values = this.#typed(changes)
      const written: JsonRow[] = []
      this.#rows = this.#rows.map((row) => {
        if (!which(row)) return row
        const changed = this.#stamped({ ...row, ...values })
        written.push(changed)
        return changed
      })
      return written
    })
  }

  delete(which: (row: JsonRow) => boolean): JsonRow[] {
    return this.#statement(() => {
      const deleted = this.#rows.filter(which)
      this.#rows = this.#rows.filter((row) => !which(row))
      return deleted
    }, true)
  }

  /** Returns the rows that a query asks for, and how many there are without its limit. */
  select(query: RemoteQuery, most: number): { rows: JsonRow[]; total: number } {
    const found = this.#rows.filter((row) => query.holds(row)).sort((one, other) => query.compare(one, other))
    return { rows: found.slice(query.offset, query.offset + Math.min(query.limit ?? most, most)), total: found.length }
  }

  #statement(run: () => JsonRow[], deletes = false): JsonRow[] {
    const before = [...this.#rows]
    try {
      const rows = run()
      if (deletes) for (const table of this.tables.values()) table.#checkReferences(table.#rows, this.name)
      else this.#check(rows)
      return rows
    } catch (error) {
      this.#rows = before
      throw error
    }
  }

  /** Returns values as their columns store them. */
  #typed(given: JsonRow): JsonRow {
    const columns = this.columns
    const values: JsonRow = {}
    for (const [name, value] of Object.entries(given)) {
      if (columns.size > 0 && !columns.has(name)) {
        throw new Refusal(400, 'PGRST204', `Could not find the '${name}' column of '${this.name}' in the schema cache`)
      }
      const type = columns.get(name)
      // PostgreSQL reads this word as the time of the statement; a push marks rows as deleted with it.
      const typed = type === 'timestamptz' && value === 'now' ? this.#time() : stored(value, type)
      if (typed === undefined) throw new Refusal(400, '22P02', `invalid input syntax for type ${type}`)
      values[name] = typed
    }
    return values
  }

  /** Returns a new row: with its defaults, NULL in the other columns, and the server's time. */
  #complete(values: JsonRow): JsonRow {
    const row: JsonRow = {}
    for (const name of this.columns.keys()) row[name] = null
    for (const [name, value] of Object.entries(this.#given.defaults ?? {}))
      row[name] = fromTest({ value: typeof value === 'function' ? value() : value }).value as JsonValue
    return this.#stamped({ ...row, ...values })
  }

  #stamped(row: JsonRow): JsonRow {
    const { updatedAt } = this.#given
    return updatedAt === undefined ? row : { ...row, [updatedAt]: this.#time() }
  }

  #check(rows: readonly JsonRow[]): void {
    const { required = [], unique = [], check } = this.#given
    for (const row of rows) {
      for (const column of [...this.key, ...required]) {
        if (isNull(row[column])) {
          throw new Refusal(400, '23502', `null value in column "${column}" violates not-null constraint`)
        }
      }
      if (check?.(toTest(row)) === false) {
        throw new Refusal(400, '23514', `new row for relation "${this.name}" violates check constraint`)
      }
      for (const column of unique) {
        if (this.#rows.filter((other) => same(other[column], row[column])).length > 1) {
          throw duplicate(this.name, `${column}_key`)
        }
      }
    }
    this.#checkReferences(rows)
  }

  /** Checks that what rows refer to, in all tables or one, is there. */
  #checkReferences(rows: readonly JsonRow[], only?: string): void {
    for (const [column, parent] of Object.entries(this.#given.references ?? {})) {
      if (only !== undefined && parent !== only) continue
      const table = this.tables.get(parent)
      const exists = (value: JsonValue) => table?.rows.some((row) => same(row[table.key[0] as string], value))
      for (const row of rows) {
        const value = row[column] ?? null
        if (value !== null && !exists(value)) {
          throw new Refusal(409, '23503', `insert, update or delete violates foreign key constraint on "${this.name}"`)
        }
      }
    }
  }
}

const isNull = (value: JsonValue | undefined): value is null | undefined => value === null || value === undefined

/** Returns whether two values are equal; NULL equals nothing. */
function same(one: JsonValue | undefined, other: JsonValue | undefined): boolean {
  return !isNull(one) && !isNull(other) && compareValues(one, other) === 0
}

function duplicate(table: string, constraint: string): Refusal {
  return new Refusal(409, '23505', `duplicate key value violates unique constraint "${table}_${constraint}"`)
}

/** Returns a row of a test as it is stored. */
export function fromTest(row: RemoteRow): JsonRow {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, valueFromTest(value)]))
}

function valueFromTest(value: RemoteValue): JsonValue {
  if (typeof value === 'bigint') {
    return Number.isSafeInteger(Number(value)) ? Number(value) : new ExactNumber(String(value))
  }
  if (Array.isArray(value)) return value.map(valueFromTest)
  if (typeof value === 'object' && value !== null) return fromTest(value as RemoteRow)
  if (value === undefined || typeof value === 'function') {
    throw new TidelockError(
      'invalid_argument',
      'A remote row holds JSON: null, booleans, numbers, bigint, text, lists and objects',
      {
        hint: 'Give dates as ISO 8601 text, and null for no value',
      },
    )
  }
  return value as JsonValue
}

function toTest(row: JsonRow): RemoteRow {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, valueToTest(value)]))
}

function valueToTest(value: JsonValue): RemoteValue {
  if (value instanceof ExactNumber) return /^-?\d+$/.test(value.text) ? BigInt(value.text) : value.text
  if (Array.isArray(value)) return value.map(valueToTest)
  if (typeof value === 'object' && value !== null) return toTest(value as JsonRow)
  return value as RemoteValue
}
