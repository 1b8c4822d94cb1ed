// Runs the text of the SQL view, and finds the names of its columns: rows as arrays have none, and rows as objects lose all but one of
// those that have the same name.
import type { Database, SqlResultValue } from '../../index.js'
import { isTidelockError } from './tidelock.js'

/** The most rows that are read. */
export const mostRows = 10_000

/** How the names of the inspector's own views begin. */
export const ownPrefix = 'inspector_of_tidelock_'

export interface StatementResult {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly SqlResultValue[])[]
  /** Whether there are more rows than were read. */
  readonly isCut: boolean
  /** Whether it was a script, which gives no rows. */
  readonly isScript: boolean
  readonly ms: number
}

/** Runs one statement, or a script. Rejects with the error of the database. */
export async function runStatement(db: Database, text: string, signal: AbortSignal): Promise<StatementResult> {
  const sql = text.trim().replace(/;\s*$/, '')
  const columns = await columnsOfQuery(db, sql, signal)
  const started = performance.now()
  try {
    const wanted = columns === undefined ? sql : `SELECT * FROM (\n${sql}\n) LIMIT ${mostRows + 1}`
    const rows = await db.query<SqlResultValue[]>(wanted, undefined, { rowMode: 'array', signal })
    const ms = performance.now() - started
    const width = rows[0]?.length ?? 0
    return {
      columns: columns ?? (await columnsOfOther(db, sql, width, signal)),
      rows: rows.slice(0, mostRows),
      isCut: rows.length > mostRows,
      isScript: false,
      ms,
    }
  } catch (error) {
    if (!isTidelockError(error, 'invalid_argument') || !/more than one SQL statement/.test(error.message)) throw error
  }
  await db.exec(text, { signal })
  return { columns: [], rows: [], isCut: false, isScript: true, ms: performance.now() - started }
}

/** Returned from the transaction in which a view is made, so that it is rolled back. */
class FoundColumns extends Error {
  constructor(readonly names: readonly string[]) {
    super('The view is not kept')
  }
}

/**
 * Returns the columns of a query, in their order; undefined when the text is no query. SQLite names the columns of a view as those of its
 * query, and gives equal ones a number, which is removed again.
 */
async function columnsOfQuery(db: Database, sql: string, signal: AbortSignal): Promise<readonly string[] | undefined> {
  if (!/^(\s|--.*|\/\*[\s\S]*?\*\/)*(SELECT|WITH|VALUES)\b/i.test(sql)) return undefined
  const view = `${ownPrefix}${Math.random().toString(36).slice(2)}`
  try {
    await db.transaction(
      async (tx) => {
        await tx.run(`CREATE TEMP VIEW ${view} AS ${sql}\n`)
        const rows = await tx.query<{ name: string }>(
          `SELECT name FROM pragma_table_info('${view}', 'temp') ORDER BY cid`,
        )
        throw new FoundColumns(rows.map(({ name }) => name))
      },
      { signal },
    )
  } catch (error) {
    if (error instanceof FoundColumns) return withoutNumbers(error.names)
    if (signal.aborted) throw error
  }
  return undefined
}

/** `a`, `a:1` become `a`, `a`. */
function withoutNumbers(names: readonly string[]): string[] {
  const all = new Set(names)
  return names.map((name) => {
    const [, plain] = /^(.*):\d+$/s.exec(name) ?? []
    return plain !== undefined && all.has(plain) ? plain : name
  })
}

/** Returns the columns of what isn't a query but gives rows: a PRAGMA, or a write with RETURNING, which must not run again. */
async function columnsOfOther(db: Database, sql: string, width: number, signal: AbortSignal): Promise<string[]> {
  if (/^\s*(PRAGMA|EXPLAIN)\b/i.test(sql) && width > 0 && !sql.includes('=')) {
    const [row = {}] = await db.query(sql, undefined, { signal })
    const names = Object.keys(row)
    if (names.length === width) return names
  }
  return Array.from({ length: width }, (_, at) => `column ${at + 1}`)
}
