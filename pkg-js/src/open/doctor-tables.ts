import { textsByName } from '../options/rule.js'
import type { RemoteEndpoint, TableSync } from '../remote/remote-options.js'
import { getRest, type RestAnswer } from '../remote/rest.js'

/** The result of a probe; `ok` is true by default. */
export interface Finding {
  readonly ok?: boolean
  readonly message: string
  readonly hint?: string
}

/** Probes the tables of a remote, one at a time. Only reads. */
export class TableProbes {
  readonly #remote: RemoteEndpoint
  #helped: Promise<ReadonlySet<string>> | undefined

  constructor(remote: RemoteEndpoint) {
    this.#remote = remote
  }

  async probe(table: TableSync): Promise<Finding> {
    const { cursor, deleted, direction } = table
    const marks = [cursor, deleted === 'compare' ? undefined : deleted].filter((column) => column !== undefined)
    const columns = [...new Set([...marks, ...(table.columns ?? [])])]
    const select = columns.length === 0 ? '*' : columns.map((column) => encodeURIComponent(quoted(column))).join(',')
    const read = (filter = '') =>
      getRest(this.#remote, `${encodeURIComponent(remoteName(table))}?select=${select}${filter}&limit=1`)

    const response = await read(await filters(table))
    if (!response.ok) return refused(table, response.status, response.said())
    if (direction === 'push')
      return {
        message: "The table exists; with direction: 'push' it is never read",
        hint: 'Only a push shows whether the role may write it',
      }
    const [row] = response.json() as Record<string, unknown>[]
    if (row === undefined) return { message: 'The table can be read, and shows no rows', hint: noRowsHint(table) }
    if (cursor === undefined) return { message: 'The table can be read' }
    return (
      (await this.#unusableCursor(cursor, row[cursor], read)) ?? {
        message: 'The table can be read, and its cursor is set',
        ...hints([zoneHint(row[cursor]), await this.#triggerHint(table), filterHint(table)]),
      }
    )
  }

  /** Finds rows that each pull reads again, because their cursor is NULL or in the future. */
  async #unusableCursor(
    cursor: string,
    value: unknown,
    read: (filter: string) => Promise<RestAnswer>,
  ): Promise<Finding | undefined> {
    const exist = async (condition: string) => {
      const response = await read(`&${encodeURIComponent(name(cursor))}=${encodeURIComponent(condition)}`)
      return response.ok && (response.json() as unknown[]).length > 0
    }
    if (await exist('is.null'))
      return {
        ok: false,
        message: `Some rows have NULL in ${cursor}: each pull reads them again`,
        hint: `Make ${cursor} NOT NULL, with a trigger that sets it: sqlHelpers`,
      }
    const isTime = value === 'infinity' || /^\d{4}-\d\d-\d\d/.test(String(value))
    // One day of tolerance for wrong clocks and time zones.
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString()
    if (isTime && (await exist(`gt.${tomorrow}`)))
      return {
        ok: false,
        message: `Some rows have a ${cursor} in the future: each pull reads them again`,
        hint: `Set ${cursor} of these rows to now(), and let a trigger set it from now on: sqlHelpers`,
      }
    return undefined
  }

  /** Returns a hint when no trigger is known that sets the cursor on the server. */
  async #triggerHint({ table, remoteTable, cursor }: TableSync): Promise<string | undefined> {
    this.#helped ??= stampedTables(this.#remote)
    if ((await this.#helped).has(remoteName({ table, remoteTable }))) return undefined
    return (
      `The sync never sends ${cursor}: a trigger on the server must set it at each insert and update, or other clients miss changes. ` +
      'sqlHelpers has one'
    )
  }
}

export function remoteName({ table, remoteTable }: Pick<TableSync, 'table' | 'remoteTable'>): string {
  return remoteTable ?? table
}

function refused(
  table: TableSync,
  status: number,
  { message = '', code }: { message?: string; code?: string },
): Finding {
  if ((status === 401 || status === 403) && table.direction === 'push')
    return {
      message: "The table exists; this role can't read it, which direction: 'push' doesn't need",
      hint: 'Inserts need GRANT INSERT; updates and deletes need UPDATE, DELETE and SELECT. Only a push shows whether the role may write it',
    }
  const onlySent = "; for a table that is only inserted into, direction: 'push' needs GRANT INSERT only"
  const hint: string | undefined = {
    400: 'cursor, deleted, columns and filter must name columns of the remote table',
    401: `Row security or grants keep this role out, or the token is no longer valid${onlySent}`,
    403: `The role needs GRANT SELECT on the table${onlySent}`,
    404: 'Check its name and the option schema; after a change of the schema PostgREST needs a reload',
  }[status]
  const lacking =
    'Add the column to the remote: until then its changes wait in pending(), with the reason remote_column_missing'
  const given = code === '42703' && table.columns !== undefined ? `${hint}. ${lacking}` : hint
  return {
    ok: false,
    message: `The table answers with status ${status}: ${message}`,
    ...(given === undefined ? {} : { hint: given }),
  }
}

/** Returns the possible reasons why a table shows no rows. */
function noRowsHint({ filter }: TableSync): string {
  const policy = 'If there are rows, row security hides them from this role: add a policy FOR SELECT'
  const sent = "use direction: 'push' for a table that is only inserted into"
  return `${filter === undefined ? '' : 'Check whether the filter matches any rows. '}${policy}; ${sent}`
}

/** Returns a hint about a cursor of the type `timestamp`, whose values look earlier or later than they are in other time zones than UTC. */
function zoneHint(value: unknown): string | undefined {
  const hasNoZone = typeof value === 'string' && /^\d{4}-\d\d-\d\d[T ][\d:.]+$/.test(value)
  return hasNoZone
    ? "The cursor has no time zone and counts as UTC: if the database's time zone is another, make it timestamptz, or pulls read rows again and last-write-wins decides wrongly"
    : undefined
}

/** Returns a hint at the cost of a filter on a table with a cursor. */
function filterHint({ cursor, filter, deleted }: TableSync): string | undefined {
  if (cursor === undefined || filter === undefined || deleted === 'compare') return undefined
  return 'Rows that leave the filter are found by comparing keys: each pull reads the count, and all keys when it differs'
}

function hints(all: readonly (string | undefined)[]): { hint?: string } {
  const hint = all.filter((each) => each !== undefined).join('. ')
  return hint === '' ? {} : { hint }
}

/** Returns the names of the tables that have the trigger of `sqlHelpers`. */
async function stampedTables(remote: RemoteEndpoint): Promise<ReadonlySet<string>> {
  const response = await getRest(remote, 'rpc/tidelock_state')
  if (!response.ok) return new Set()
  const { tables = {} } = response.json() as { tables?: Record<string, { xid?: boolean }> }
  return new Set(Object.keys(tables).filter((table) => tables[table]?.xid === true))
}

async function filters({ table, filter = {} }: TableSync): Promise<string> {
  const given = typeof filter === 'function' ? await filter() : filter
  return Object.entries(textsByName.check(`The filter of table ${table}`, given))
    .map(([column, condition]) => {
      // A combined condition, as in the sync: `or: '(a.eq.1,b.eq.2)'`.
      const combines = /^(not\.)?(and|or)$/.test(column) && condition.startsWith('(')
      return `&${encodeURIComponent(combines ? column : name(column))}=${encodeURIComponent(condition)}`
    })
    .join('')
}

/** Returns a column's name in a form that PostgREST doesn't confuse with its own parameters, as `name` in src/sync/postgrest/query.rs does. */
function name(column: string): string {
  const reserved = /^(select|columns|on_conflict|order|limit|offset|and|or|not|apikey)$/i
  return /^\w+$/.test(column) && !reserved.test(column) ? column : quoted(column)
}

function quoted(name: string): string {
  return `"${name.replaceAll(/["\\]/g, '\\$&')}"`
}
