import { getRest } from '../remote/rest.js'
import { usageError } from './command.js'
import { TidelockError } from './package.js'
import type { Endpoint } from './settings.js'
import { quoted } from './table-info.js'

/** The number of rows from which types are guessed. */
const sampleRows = 200

/** Returns CREATE TABLE statements for tables of which only the key is known. Types are guessed from some rows. */
export async function inferSchema(
  remote: Endpoint,
  tables: readonly string[],
  keys: ReadonlyMap<string, readonly string[]>,
): Promise<string> {
  const statements: string[] = []
  for (const table of tables) {
    const key = keys.get(table)
    if (key === undefined)
      throw usageError(`--pk has no key for ${table}`, `Add --pk ${table}=id, or use --schema FILE`)
    statements.push(createTable(table, key, await someRows(remote, table)))
  }
  return statements.join('\n')
}

/** Returns the CREATE TABLE for rows. Fractional numbers become text, which keeps every digit; whole numbers need no type for that. */
function createTable(table: string, key: readonly string[], rows: readonly Record<string, unknown>[]): string {
  const columns = new Map<string, Set<string>>()
  for (const row of rows) {
    for (const [column, value] of Object.entries(row)) {
      const kinds = columns.get(column) ?? new Set()
      columns.set(column, kinds)
      if (value !== null) kinds.add(kindOf(value))
    }
  }
  if (columns.size === 0)
    throw usageError(
      `${table} shows no rows to guess its columns from`,
      'Use --schema FILE, or a key that may read the table',
    )
  const unknown = key.filter((column) => !columns.has(column))
  if (unknown.length > 0) throw usageError(`${table} has no column ${unknown.join(', ')}`, 'Correct --pk')
  const lines = [...columns].map(([column, kinds]) => `  ${quoted(column)} ${typeOf(kinds)}`.trimEnd())
  return `CREATE TABLE ${quoted(table)} (\n${lines.join(',\n')},\n  PRIMARY KEY (${key.map(quoted).join(', ')})\n);`
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'ARRAY TEXT'
  if (typeof value === 'object') return 'JSON TEXT'
  if (typeof value === 'boolean') return 'BOOLEAN'
  if (typeof value === 'number') return Number.isInteger(value) ? '' : 'NUMERIC TEXT'
  return 'TEXT'
}

/** Returns the common type of all values. A column without a type keeps any value exactly. */
function typeOf(kinds: ReadonlySet<string>): string {
  if (kinds.has('NUMERIC TEXT') && [...kinds].every((kind) => kind === '' || kind === 'NUMERIC TEXT'))
    return 'NUMERIC TEXT'
  const [only] = kinds
  return kinds.size === 1 ? (only as string) : ''
}

async function someRows(remote: Endpoint, table: string): Promise<Record<string, unknown>[]> {
  const response = await getRest(remote, `${encodeURIComponent(table)}?limit=${sampleRows}`)
  if (response.ok) {
    const rows: unknown = response.json()
    const isRow = (row: unknown) => typeof row === 'object' && row !== null && !Array.isArray(row)
    if (Array.isArray(rows) && rows.every(isRow)) return rows
    throw new TidelockError('sync_protocol', `The remote's answer for table ${table} is not a list of rows`, {
      details: { table },
      hint: 'Check the URL: it must be a Supabase project or a PostgREST root',
    })
  }
  const { status } = response
  const code = status === 401 ? 'sync_unauthorized' : status >= 500 ? 'sync_server' : 'sync_rejected'
  throw new TidelockError(code, `The remote answered with status ${status} for table ${table}`, {
    details: { status, table },
    hint: status === 404 ? 'Check the name of the remote table' : 'Check whether the key is of this project',
  })
}
