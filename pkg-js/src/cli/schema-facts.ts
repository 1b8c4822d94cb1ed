import { type Database, sql } from './tidelock.js'

/** A column, as SQLite tells it. */
export interface ColumnFacts {
  readonly name: string
  readonly type: string
  readonly notNull: boolean
  /** Its place in the primary key, from 1; 0: it isn't in it. */
  readonly key: number
  readonly generated: boolean
}

/** A name as an identifier in SQL. */
export function quoted(name: string): string {
  return sql.identifier(name).sql
}

/** The tables and views of the user, in the order of their names: not SQLite's, not tidelock's own. */
export async function tableNames(db: Database, kind: 'table' | 'view' = 'table'): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    `SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN (?, iif(? = 'table', 'virtual', ?))
     AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'tidelock\\_%' ESCAPE '\\' AND name <> 'schema_migrations'
     ORDER BY name`,
    [kind, kind, kind],
  )
  return rows.map(({ name }) => name)
}

/** The columns of a table or view. */
export async function columnsOf(db: Database, table: string): Promise<ColumnFacts[]> {
  const rows = await db.query<{ name: string; type: string; notnull: number; pk: number; hidden: number }>(
    'SELECT name, type, "notnull", pk, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid',
    [table],
  )
  const keys = rows.filter(({ pk }) => pk > 0).length
  return rows.map(({ name, type, notnull, pk, hidden }) => ({
    name,
    type,
    // The one INTEGER PRIMARY KEY is the row id, which is never null.
    notNull: notnull === 1 || (pk === 1 && keys === 1 && type.toUpperCase() === 'INTEGER'),
    key: pk,
    generated: hidden >= 2,
  }))
}
