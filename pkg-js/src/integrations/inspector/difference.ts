// Compares the rows of two states of a database.
import type { Database, SqlResultValue } from '../../index.js'
import { columnsOf, listTables, primaryKey, quoted, rowKey } from './catalog.js'
import { hex } from './format.js'

/** A table with more rows is compared by their number only. */
export const mostCompared = 100_000
/** How many changes of a table are listed. */
const listed = 200

/** The key of a row: the values of its columns. */
export type RowKey = Readonly<Record<string, SqlResultValue>>

/** A row of a table. */
export interface ChosenRow {
  readonly table: string
  readonly key: RowKey
}

export interface RowDifference {
  readonly kind: 'added' | 'changed' | 'deleted'
  /** The values of the key, by its columns. */
  readonly key: RowKey
  readonly before: readonly SqlResultValue[] | undefined
  readonly after: readonly SqlResultValue[] | undefined
}

export interface TableDifference {
  readonly table: string
  readonly columns: readonly string[]
  readonly added: number
  readonly changed: number
  readonly deleted: number
  /** The first of the changes. */
  readonly changes: readonly RowDifference[]
  /** Why its rows weren't compared. */
  readonly note?: string
}

/** Returns the tables that differ, without those of the engine. */
export async function differences(before: Database, after: Database, signal: AbortSignal): Promise<TableDifference[]> {
  const [old, now] = await Promise.all([listTables(before, signal), listTables(after, signal)])
  const isData = ({ type, isInternal }: (typeof old)[number]) => type === 'table' && !isInternal
  const names = new Set([...old, ...now].filter(isData).map(({ name }) => name))
  const found: TableDifference[] = []
  for (const name of [...names].sort()) {
    signal.throwIfAborted()
    const difference = await compare(before, after, name, signal)
    if (difference !== undefined) found.push(difference)
  }
  return found
}

async function compare(
  before: Database,
  after: Database,
  table: string,
  signal: AbortSignal,
): Promise<TableDifference | undefined> {
  const sides = await Promise.all([before, after].map((db) => readTable(db, table, signal)))
  const [old, now] = sides as [TableRows, TableRows]
  const columns = [...new Set([...old.columns, ...now.columns])]
  const counts = { table, columns, added: 0, changed: 0, deleted: 0, changes: [] }
  if (old.rows === undefined || now.rows === undefined) {
    if (old.count === now.count) return undefined
    const note = `${old.count} rows before, ${now.count} after: too many to compare`
    return { ...counts, note }
  }
  if (!old.exists || !now.exists) {
    const note = old.exists ? 'The table was dropped' : 'The table was created'
    return { ...counts, added: now.rows.size, deleted: old.rows.size, note }
  }
  const changes: RowDifference[] = []
  let [added, changed, deleted] = [0, 0, 0]
  const add = (change: RowDifference) => changes.length < listed && changes.push(change)
  for (const [id, row] of old.rows) {
    const next = now.rows.get(id)
    const before = old.over(columns, row)
    const after = next && now.over(columns, next)
    if (after === undefined) {
      deleted++
      add({ kind: 'deleted', key: old.keyOf(row), before, after })
    } else if (!before.every((value, at) => isSame(value, after[at] ?? null))) {
      changed++
      add({ kind: 'changed', key: old.keyOf(row), before, after })
    }
  }
  for (const [id, row] of now.rows) {
    if (old.rows.has(id)) continue
    added++
    add({ kind: 'added', key: now.keyOf(row), before: undefined, after: now.over(columns, row) })
  }
  return added + changed + deleted === 0 ? undefined : { table, columns, added, changed, deleted, changes }
}

type Values = readonly SqlResultValue[]

interface TableRows {
  readonly exists: boolean
  readonly count: number
  readonly columns: readonly string[]
  /** The rows by their keys; undefined: too many. */
  readonly rows: ReadonlyMap<string, Values> | undefined
  keyOf(row: Values): RowKey
  /** The values of these columns; null for those that the table lacks. */
  over(columns: readonly string[], row: Values): Values
}

async function readTable(db: Database, table: string, signal: AbortSignal): Promise<TableRows> {
  const entry = (await listTables(db, signal)).find(({ name }) => name === table)
  const columns = entry === undefined ? [] : await columnsOf(db, table, signal)
  const names = columns.map(({ name }) => name)
  const primary = primaryKey(columns)
  const keys = primary.length > 0 || entry === undefined ? primary : rowKey(entry, columns)
  const shared = {
    exists: entry !== undefined,
    columns: names,
    keyOf: (row: Values) => Object.fromEntries(keys.map((name, at) => [name, row[at] ?? null])),
    over: (wanted: readonly string[], row: Values) =>
      wanted.map((name) => {
        const at = names.indexOf(name)
        return at < 0 ? null : (row[keys.length + at] ?? null)
      }),
  }
  if (entry === undefined) return { ...shared, count: 0, rows: new Map() }
  const [{ count } = { count: 0 }] = await db.query<{ count: number }>(
    `SELECT count(*) AS count FROM ${quoted(table)}`,
    [],
    { signal },
  )
  if (count > mostCompared) return { ...shared, count, rows: undefined }
  const selected = [...keys, ...names].map(quoted).join(', ')
  const rows = await db.query<SqlResultValue[]>(`SELECT ${selected} FROM ${quoted(table)}`, [], {
    rowMode: 'array',
    signal,
  })
  return { ...shared, count, rows: new Map(rows.map((row) => [fingerprint(row.slice(0, keys.length)), row])) }
}

/** Whether two values of a row are the same. */
export function isSame(one: SqlResultValue, other: SqlResultValue): boolean {
  if (one instanceof Uint8Array && other instanceof Uint8Array)
    return one.length === other.length && one.every((byte, at) => byte === other[at])
  return one === other
}

/** A text that is the same for the same values only. */
function fingerprint(row: Values): string {
  return row
    .map((value) => {
      if (value === null) return 'n'
      if (typeof value === 'string') return `s${value.length}:${value}`
      return value instanceof Uint8Array ? `b${hex(value)}` : `d${value}`
    })
    .join('|')
}
