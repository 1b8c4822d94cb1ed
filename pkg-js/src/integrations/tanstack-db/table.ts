import { type Database, type Row, type SqlValue, TidelockError, type Tx } from '../../index.js'

/** The key of a row in a collection. */
export type CollectionKey = string | number

/** Functions by column: `parse` makes the collection's value of a stored one, `serialize` the reverse. NULL stays null without a call. */
export interface Conversions {
  readonly parse?: Readonly<Record<string, ((stored: never) => unknown) | undefined>> | undefined
  readonly serialize?: Readonly<Record<string, ((value: never) => SqlValue) | undefined>> | undefined
}

/** One change of a row, as a mutation of a collection has it. */
export interface RowMutation {
  readonly type: 'insert' | 'update' | 'delete'
  readonly original: object
  readonly modified: object
  readonly changes: object
}

/** A row as a write left it; undefined: deleted. */
export interface Written {
  readonly key: CollectionKey
  readonly row: Row | undefined
}

interface CollectionColumn {
  readonly name: string
  /** The position in the primary key, from 1; 0: no part of it. */
  readonly pk: number
  /** 2 and 3: a generated column. */
  readonly hidden: number
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`

/** A table that a collection shows: its columns, the keys of its rows, and the statements that change it. */
export class CollectionTable {
  readonly #conversions: Conversions
  #columns: ReadonlyMap<string, CollectionColumn> | undefined
  #key: readonly string[] | undefined

  constructor(
    readonly name: string,
    conversions: Conversions,
  ) {
    this.#conversions = conversions
  }

  get sql(): string {
    return `SELECT * FROM ${quoted(this.name)}`
  }

  get loaded(): boolean {
    return this.#columns !== undefined
  }

  /** Reads the columns. Rejects with `invalid_argument` for a table that doesn't exist or has no primary key. */
  async load(database: Database): Promise<void> {
    const columns = await database.query<CollectionColumn & Row>('SELECT name, pk, hidden FROM pragma_table_xinfo(?)', [
      this.name,
    ])
    if (columns.length === 0) {
      throw new TidelockError('invalid_argument', `The database has no table ${quoted(this.name)}`, {
        hint: 'Compare the option table with the names in your migrations',
        details: { table: this.name },
      })
    }
    const key = columns.filter(({ pk }) => pk > 0).sort((one, other) => one.pk - other.pk)
    if (key.length === 0) {
      throw new TidelockError('invalid_argument', `${quoted(this.name)} has no primary key`, {
        hint: 'Declare a PRIMARY KEY; for a view, or only to read, use the options sql and getKey instead of table',
        details: { table: this.name },
      })
    }
    this.#columns = new Map(columns.map((column) => [column.name, column]))
    this.#key = key.map(({ name }) => name)
  }

  /** Returns the key of a row of the collection. */
  keyOf(item: object): CollectionKey {
    return this.#keyOf((column) => this.#stored(item, column))
  }

  /** Returns the key of a stored row. */
  keyOfStored(row: Row): CollectionKey {
    return this.#keyOf((column) => row[column])
  }

  #keyOf(value: (column: string) => SqlValue | undefined): CollectionKey {
    if (this.#key === undefined) {
      throw new TidelockError('invalid_argument', `The primary key of ${quoted(this.name)} isn't known yet`, {
        hint: 'Wait for collection.preload() before the first write, or give the option getKey',
      })
    }
    const parts = this.#key.map((column) => {
      const part = keyPart(value(column))
      if (part !== undefined) return part
      throw new TidelockError(
        'invalid_argument',
        `A row of ${quoted(this.name)} has no value in its key column ${quoted(column)}`,
        {
          hint: 'Give new rows their key, for example crypto.randomUUID(); the collection needs it before the row is stored',
          details: { table: this.name, column },
        },
      )
    })
    return parts.length === 1 ? (parts[0] as CollectionKey) : JSON.stringify(parts)
  }

  /** Returns the row of the collection for a stored row. */
  parsed(row: Row): object {
    return parsedRow(row, this.#conversions.parse)
  }

  /** Returns a value as it is bound to a statement; undefined: the item lacks it. */
  #stored(item: object, column: string): SqlValue | undefined {
    const value: unknown = (item as Record<string, unknown>)[column]
    const serialize = this.#conversions.serialize?.[column]
    if (serialize === undefined || value === null || value === undefined) return value as SqlValue | undefined
    return serialize(value as never)
  }

  /** Returns the columns that a statement may set, with their values. Generated columns and TanStack's `$` properties are left out. */
  #values(item: object): [string, SqlValue | undefined][] {
    const known = this.#columns as ReadonlyMap<string, CollectionColumn>
    const names = Object.keys(item).filter((name) => (known.get(name)?.hidden ?? (name.startsWith('$') ? 2 : 0)) < 2)
    return names.map((name) => [name, this.#stored(item, name)])
  }

  /** Makes one change in a transaction. Returns the row as it is stored then. */
  async write(tx: Tx, { type, original, modified, changes }: RowMutation): Promise<Row | undefined> {
    const table = quoted(this.name)
    const key = this.#key as readonly string[]
    const where = `WHERE ${key.map((column) => `${quoted(column)} = ?`).join(' AND ')}`
    const which = () => key.map((column) => this.#stored(original, column) as SqlValue)
    if (type === 'delete') {
      await tx.run(`DELETE FROM ${table} ${where}`, which())
      return undefined
    }
    if (type === 'insert') {
      const values = this.#values(modified).filter(([, value]) => value !== undefined)
      const names = values.map(([name]) => quoted(name)).join(', ')
      return tx.get(
        `INSERT INTO ${table} (${names}) VALUES (${values.map(() => '?').join(', ')}) RETURNING *`,
        values.map(([, value]) => value as SqlValue),
      )
    }
    const values = this.#values(changes)
    const set = values.map(([name]) => `${quoted(name)} = ?`).join(', ')
    const given = values.map(([, value]) => value ?? null)
    const row =
      values.length === 0
        ? await tx.get(`${this.sql} ${where}`, which())
        : await tx.get(`UPDATE ${table} SET ${set} ${where} RETURNING *`, [...given, ...which()])
    if (row !== undefined) return row
    throw new TidelockError('invalid_argument', `The updated row of ${table} doesn't exist any more`, {
      hint: 'It was deleted meanwhile, here or by a sync; the collection shows what is stored',
      details: { table: this.name },
    })
  }
}

/** Returns the row with the values that `parse` makes of the stored ones. */
export function parsedRow(row: Row, parse: Conversions['parse']): object {
  if (parse === undefined) return row
  const parsed: Record<string, unknown> = { ...row }
  for (const [column, convert] of Object.entries(parse)) {
    const value = row[column]
    if (convert !== undefined && value !== null && value !== undefined) parsed[column] = convert(value as never)
  }
  return parsed
}

/** Returns a value of a key column as text or number, the same for an item and for what is stored of it; undefined: there is none. */
function keyPart(value: SqlValue | undefined): CollectionKey | undefined {
  if (value === null || value === undefined) return undefined
  if (typeof value === 'string' || typeof value === 'number') return value
  if (typeof value === 'boolean') return Number(value)
  if (value instanceof Date) return value.toISOString()
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  const bytes = value instanceof ArrayBuffer ? new Uint8Array(value) : value
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
