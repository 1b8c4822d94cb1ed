import { type Database, sql } from './package.js'

/** A column, from SQLite's pragmas. */
export interface ColumnInfo {
  readonly name: string
  readonly type: string
  readonly notNull: boolean
  /** Its position in the primary key, from 1; 0 when it isn't in the key. */
  readonly key: number
  readonly generated: boolean
  /** An INSERT may leave it out: it has a default, or is the rowid. */
  readonly hasDefault: boolean
}

/** Returns a name quoted as an SQL identifier. */
export function quoted(name: string): string {
  return sql.identifier(name).sql
}

/** Returns the names of the user's tables or views, sorted, without SQLite's and tidelock's own. */
export async function tableNames(db: Database, kind: 'table' | 'view' = 'table'): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    `SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN (?, iif(? = 'table', 'virtual', ?))
     AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'tidelock\\_%' ESCAPE '\\' AND name <> 'schema_migrations'
     ORDER BY name`,
    [kind, kind, kind],
  )
  return rows.map(({ name }) => name)
}

/** Returns the columns of a table or view. */
export async function columnsOf(db: Database, table: string): Promise<ColumnInfo[]> {
  const rows = await db.query<{
    name: string
    type: string
    notnull: number
    pk: number
    hidden: number
    hasDefault: number
  }>(
    'SELECT name, type, "notnull", pk, hidden, dflt_value IS NOT NULL AS hasDefault FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid',
    [table],
  )
  const keys = rows.filter(({ pk }) => pk > 0).length
  return rows.map(({ name, type, notnull, pk, hidden, hasDefault }) => {
    // A single INTEGER PRIMARY KEY is the rowid, which is never NULL.
    const isRowid = pk === 1 && keys === 1 && type.toUpperCase() === 'INTEGER'
    return {
      name,
      type,
      notNull: notnull === 1 || isRowid,
      key: pk,
      generated: hidden >= 2,
      hasDefault: hasDefault === 1 || isRowid,
    }
  })
}
