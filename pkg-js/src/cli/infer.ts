import { getRest } from '../remote/rest.js'
import { misuse } from './command.js'
import { quoted } from './schema-facts.js'
import type { Endpoint } from './settings.js'
import { TidelockError } from './tidelock.js'

/** How many rows are looked at. */
const sample = 200

/** CREATE TABLEs for tables of which only the key is known, from what some of their rows hold. */
export async function inferSchema(
  remote: Endpoint,
  tables: readonly string[],
  keys: ReadonlyMap<string, readonly string[]>,
): Promise<string> {
  const statements: string[] = []
  for (const table of tables) {
    const key = keys.get(table)
    if (key === undefined) throw misuse(`--pk says nothing of ${table}`, `Give --pk ${table}=id, or --schema FILE`)
    statements.push(createTable(table, key, await someRows(remote, table)))
  }
  return statements.join('\n')
}

/** The table that holds such rows. Numbers that aren't whole keep every digit as text; whole ones need no type to do so. */
export function createTable(table: string, key: readonly string[], rows: readonly Record<string, unknown>[]): string {
  const columns = new Map<string, Set<string>>()
  for (const row of rows) {
    for (const [column, value] of Object.entries(row)) {
      const kinds = columns.get(column) ?? new Set()
      columns.set(column, kinds)
      if (value !== null) kinds.add(kindOf(value))
    }
  }
  if (columns.size === 0)
    throw misuse(
      `${table} shows no rows, so that its columns can't be guessed`,
      'Give --schema FILE, or a key that may read it',
    )
  const unknown = key.filter((column) => !columns.has(column))
  if (unknown.length > 0) throw misuse(`${table} has no column ${unknown.join(', ')}`, 'Correct --pk')
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

/** The one type of all values. Without a declared type a column takes whatever comes, exactly. */
function typeOf(kinds: ReadonlySet<string>): string {
  if (kinds.has('NUMERIC TEXT') && [...kinds].every((kind) => kind === '' || kind === 'NUMERIC TEXT'))
    return 'NUMERIC TEXT'
  const [only] = kinds
  return kinds.size === 1 ? (only as string) : ''
}

async function someRows(remote: Endpoint, table: string): Promise<Record<string, unknown>[]> {
  const response = await getRest(remote, `${encodeURIComponent(table)}?limit=${sample}`)
  if (response.ok) return response.json() as Record<string, unknown>[]
  const { status } = response
  const code = status === 401 ? 'sync_unauthorized' : status >= 500 ? 'sync_server' : 'sync_rejected'
  throw new TidelockError(code, `The remote answered with status ${status} when asked for ${table}`, {
    details: { status, table },
    hint: status === 404 ? 'Is that the name of a table of the remote?' : 'Is the key that of this project?',
  })
}
