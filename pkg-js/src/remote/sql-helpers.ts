import { checkOptionsOf, checkString, checkStrings } from '../base/check.js'
import { invalid } from '../base/errors.js'
import { functionsSql, privateSql, pushSql, stampSql, tablesSql } from './sql-helpers-text.js'

/** Options of {@link sqlHelpers}. */
export interface SqlHelpersOptions {
  /** The names of the remote tables. Each table needs a primary key. */
  readonly tables: readonly string[]
  /**
   * The schema of the tables, one that the API exposes.
   * @default 'public'
   */
  readonly schema?: string | undefined
  /**
   * The column with the time of a row's last change. It is added where it is missing.
   * @default 'updated_at'
   */
  readonly updatedAt?: string | undefined
  /**
   * Columns that may hold the owner of a row, as the `sub` of the token. Of each table the first column that exists is used. With row
   * security, only the owner sees the row's tombstone.
   * @default ['user_id', 'owner_id', 'owner']
   */
  readonly owner?: string | readonly string[] | undefined
}

/**
 * Returns SQL that makes a Supabase or PostgREST project a better remote. The owner of the tables runs it once; it may be run again at any
 * time, also with more tables. The sync works without it, and uses it when it is there:
 *
 * - `updated_at`, set by the server at each insert and each update that changes something. The sync never sends the column of `cursor`, so
 *   that no client's clock decides which rows others miss: without this trigger the server needs its own;
 * - `_xid`, a cursor that can't miss rows that are committed late;
 * - tombstones, which list rows that were deleted permanently, also by TRUNCATE, so that no keys have to be compared;
 * - `tidelock_schema()`, from which {@link schemaFromRemote} makes the local tables, also with a publishable key;
 * - `tidelock_push(push)`, which applies a list of changes in one transaction, exactly once.
 *
 * Throws `invalid_argument` for names that PostgreSQL doesn't allow.
 *
 * @example
 * ```ts
 * import { sqlHelpers } from 'tidelock'
 * console.log(sqlHelpers({ tables: ['orders', 'order_lines'] })) // for the SQL editor, or a migration
 * ```
 */
export function sqlHelpers(options: SqlHelpersOptions): string {
  const given = checkOptionsOf('sqlHelpers', options, ['tables', 'schema', 'updatedAt', 'owner'])
  const tables = checkStrings('tables', given.tables)
  if (tables.length === 0)
    throw invalid('tables is empty', {
      hint: "Name the synced tables: tables: ['orders']",
      details: { option: 'tables' },
    })
  const { owner = ['user_id', 'owner_id', 'owner'] } = given
  const names = {
    tables: tables.map((table, index) => checkName(`tables[${index}]`, table)),
    schema: checkName('schema', given.schema ?? 'public'),
    updatedAt: checkName('updatedAt', given.updatedAt ?? 'updated_at'),
    owner: (typeof owner === 'string' ? [owner] : checkStrings('owner', owner)).map((each) => checkName('owner', each)),
  }
  return [privateSql, stampSql(names), tablesSql(names), functionsSql(names), pushSql(names), reload].join('\n')
}

const reload = `-- PostgREST must reload the schema.
notify pgrst, 'reload schema';
`

function checkName(what: string, name: unknown): string {
  const text = checkString(what, name)
  // PostgreSQL would truncate a longer name; a dollar quote would end the function body that contains the name.
  if (new TextEncoder().encode(text).length > 63 || text.includes('\0') || text.includes('$tidelock$')) {
    throw invalid(`${what} must be a PostgreSQL name of 1 to 63 bytes`, {
      hint: 'Write it as in the database, without quotes or schema',
      details: { option: what },
    })
  }
  return text
}
