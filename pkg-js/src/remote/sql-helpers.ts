import { checkObject, checkString, checkStrings } from '../base/check.js'
import { invalid } from '../base/errors.js'
import { functionsSql, privateSql, pushSql, stampSql, tablesSql } from './sql-helpers-text.js'

/** What {@link sqlHelpers} is to help with. */
export interface SqlHelpersOptions {
  /** The remote tables, as they are called there. Each needs a primary key. */
  readonly tables: readonly string[]
  /**
   * The schema that they are in, one that the API exposes.
   * @default 'public'
   */
  readonly schema?: string | undefined
  /**
   * The column that tells when a row was written last; added where it is missing.
   * @default 'updated_at'
   */
  readonly updatedAt?: string | undefined
  /**
   * The columns that may name the user whose row it is, by the `sub` of the token; of each table the first one that it has. With row
   * security, deletions are told to that user.
   * @default ['user_id', 'owner_id', 'owner']
   */
  readonly owner?: string | readonly string[] | undefined
}

/**
 * SQL that makes a Supabase or PostgREST project a better remote, to be run once by the owner of the tables; it may be run again at any
 * time, with other tables too. The sync works without it, and uses it when it is there:
 *
 * - `updated_at`, set by the server at each insert and each update that changes something. The sync never sends the column that `cursor`
 *   names, so that no client's clock decides what others miss: without this trigger the server needs one of its own;
 * - `_xid`, a cursor that can't miss rows which are committed late;
 * - tombstones, by which rows are found that were deleted for good, also by TRUNCATE, without comparing keys;
 * - `tidelock_schema()`, from which {@link schemaFromRemote} makes the local tables, with a publishable key too;
 * - `tidelock_push(push)`, which applies a list of changes in one transaction, and once only.
 *
 * Throws `invalid_argument`.
 *
 * @example
 * ```ts
 * import { sqlHelpers } from 'tidelock'
 * console.log(sqlHelpers({ tables: ['orders', 'order_lines'] })) // for the SQL editor, or a migration
 * ```
 */
export function sqlHelpers(options: SqlHelpersOptions): string {
  const given = checkObject('The options of sqlHelpers', options, ['tables', 'schema', 'updatedAt', 'owner'])
  const tables = checkStrings('tables', given.tables)
  if (tables.length === 0)
    throw invalid('tables names no table', {
      hint: "Name those that are synced: tables: ['orders']",
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

const reload = `-- PostgREST has to look at the schema again.
notify pgrst, 'reload schema';
`

function checkName(what: string, name: unknown): string {
  const text = checkString(what, name)
  // PostgreSQL would cut a longer one; a dollar quote would end the text that the name is in.
  if (new TextEncoder().encode(text).length > 63 || text.includes('\0') || text.includes('$tidelock$')) {
    throw invalid(`${what} is no name that PostgreSQL takes: 1 to 63 bytes`, {
      hint: 'Give it as it is in the database, without quotes or schema',
      details: { option: what },
    })
  }
  return text
}
