// The schema as the views need it.
import type { Database } from '../../index.js'
import { isTidelockError } from './tidelock.js'

export interface TableEntry {
  readonly name: string
  readonly type: 'table' | 'view' | 'virtual' | 'shadow'
  readonly withoutRowid: boolean
  /** Of SQLite, tidelock or full-text search, not of the app. */
  readonly isInternal: boolean
}

export interface CatalogColumn {
  readonly name: string
  readonly type: string
  readonly notNull: boolean
  /** Its place in the primary key, from 1; 0: not part of it. */
  readonly key: number
  readonly isGenerated: boolean
  readonly defaultText: string | null
}

export interface TableReference {
  readonly from: readonly string[]
  readonly table: string
  readonly to: readonly string[]
}

/** Quotes the name of a table or a column. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

export async function listTables(db: Database, signal?: AbortSignal): Promise<TableEntry[]> {
  const rows = await db.query<{ name: string; type: TableEntry['type']; wr: number }>(
    `SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name <> 'sqlite_schema' ORDER BY name COLLATE NOCASE`,
    [],
    { signal },
  )
  return rows.map(({ name, type, wr }) => ({
    name,
    type,
    withoutRowid: wr === 1,
    isInternal: type === 'shadow' || /^(sqlite|tidelock)_/i.test(name),
  }))
}

export async function columnsOf(db: Database, table: string, signal?: AbortSignal): Promise<CatalogColumn[]> {
  const rows = await db.query<{
    name: string
    type: string
    nn: number
    pk: number
    hidden: number
    dflt: string | null
  }>(
    `SELECT name, type, "notnull" AS nn, pk, hidden, dflt_value AS dflt FROM pragma_table_xinfo(?) ORDER BY cid`,
    [table],
    { signal },
  )
  // 1 marks the hidden columns of a virtual table, 2 and 3 generated ones.
  return rows
    .filter(({ hidden }) => hidden !== 1)
    .map(({ name, type, nn, pk, hidden, dflt }) => ({
      name,
      type,
      notNull: nn === 1,
      key: pk,
      isGenerated: hidden > 1,
      defaultText: dflt,
    }))
}

/** The columns of a table or view; none of one that SQLite can't read, such as a view of a table that doesn't exist any more. */
export async function columnsIfReadable(db: Database, table: string, signal?: AbortSignal): Promise<CatalogColumn[]> {
  try {
    return await columnsOf(db, table, signal)
  } catch (error) {
    if (isTidelockError(error, 'sqlite_error')) return []
    throw error
  }
}

export async function foreignKeysOf(db: Database, table: string, signal?: AbortSignal): Promise<TableReference[]> {
  const rows = await db.query<{ id: number; target: string; from: string; to: string | null }>(
    `SELECT id, "table" AS target, "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq`,
    [table],
    { signal },
  )
  const keys = new Map<number, { from: string[]; table: string; to: string[] }>()
  for (const { id, target, from, to } of rows) {
    const key = keys.get(id) ?? { from: [], table: target, to: [] }
    key.from.push(from)
    // Without a name it is the primary key of the other table.
    if (to !== null) key.to.push(to)
    keys.set(id, key)
  }
  return [...keys.values()]
}

/** The columns of the primary key, in its order. */
export function primaryKey(columns: readonly CatalogColumn[]): readonly string[] {
  return columns
    .filter(({ key }) => key > 0)
    .sort((a, b) => a.key - b.key)
    .map(({ name }) => name)
}

/** The columns that find a row: its rowid where it has one, else its primary key. None: rows can't be distinguished. */
export function rowKey(table: TableEntry, columns: readonly CatalogColumn[]): readonly string[] {
  if (table.type !== 'table') return []
  if (table.withoutRowid) return primaryKey(columns)
  const names = new Set(columns.map(({ name }) => name.toLowerCase()))
  const alias = ['rowid', '_rowid_', 'oid'].find((name) => !names.has(name))
  return alias === undefined ? [] : [alias]
}
