import type { RemoteOptions, TableSync } from '../remote/remote-options.js'
import { getRest, type RestAnswer } from '../remote/rest.js'

/** What a look found; `ok` unless it says otherwise. */
export interface Finding {
  readonly ok?: boolean
  readonly message: string
  readonly hint?: string
}

/** Looks at the tables of a remote, one by one, and changes nothing there. */
export class TableProbes {
  readonly #remote: RemoteOptions
  #helped: Promise<ReadonlySet<string>> | undefined

  constructor(remote: RemoteOptions) {
    this.#remote = remote
  }

  async look(table: TableSync): Promise<Finding> {
    const { cursor, deleted, direction } = table
    const marks = [cursor, deleted === 'compare' ? undefined : deleted].filter((column) => column !== undefined)
    const columns = [...new Set([...marks, ...(table.columns ?? [])])]
    const select = columns.length === 0 ? '*' : columns.map((column) => encodeURIComponent(quoted(column))).join(',')
    const read = (filter = '') =>
      getRest(this.#remote, `${encodeURIComponent(remoteName(table))}?select=${select}${filter}&limit=1`)

    const response = await read(filters(table))
    if (!response.ok) return refused(table, response.status, response.said())
    if (direction === 'push')
      return {
        message: "It is there; with direction: 'push' it is never read",
        hint: 'Only a push shows whether the role may write it',
      }
    const [row] = response.json() as Record<string, unknown>[]
    if (row === undefined) return { message: 'It can be read, and shows no rows', hint: unseen(table) }
    if (cursor === undefined) return { message: 'It can be read' }
    return (
      (await this.#unfit(cursor, row[cursor], read)) ?? {
        message: 'It can be read, and its cursor is set',
        ...hints([await this.#stamped(table), leaving(table)]),
      }
    )
  }

  /** Rows that each pull reads again, since their cursor tells nothing. */
  async #unfit(
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
        message: `There are rows whose ${cursor} is NULL: each pull reads them again`,
        hint: `Make ${cursor} NOT NULL, with a trigger that sets it: sqlHelpers`,
      }
    const isTime = value === 'infinity' || /^\d{4}-\d\d-\d\d/.test(String(value))
    // A day more, for clocks and time zones that are off.
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString()
    if (isTime && (await exist(`gt.${tomorrow}`)))
      return {
        ok: false,
        message: `There are rows whose ${cursor} lies in the future: each pull reads them again`,
        hint: `Set ${cursor} of these rows to now(), and let a trigger set it from then on: sqlHelpers`,
      }
    return undefined
  }

  /** What to know where nothing shows that the server sets the cursor. */
  async #stamped({ table, remoteTable, cursor }: TableSync): Promise<string | undefined> {
    this.#helped ??= stampedTables(this.#remote)
    if ((await this.#helped).has(remoteName({ table, remoteTable }))) return undefined
    return (
      `The sync never sends ${cursor}: the server has to set it at each insert and update, by a trigger, or others miss changes. ` +
      'sqlHelpers gives one'
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
      message: "It is there, and this role can't read it, which direction: 'push' doesn't need",
      hint: 'New rows need GRANT INSERT; changes and deletions need UPDATE, DELETE and SELECT. Only a push shows whether the role may write it',
    }
  const onlySent = "; if its rows are only to be sent, give direction: 'push', for which GRANT INSERT is enough"
  const hint: string | undefined = {
    400: 'cursor, deleted, columns and filter have to name columns of the remote table',
    401: `Row security or grants keep this role out, or the token is no longer valid${onlySent}`,
    403: `The role needs GRANT SELECT on the table${onlySent}`,
    404: 'Is that its name, and in this schema? After a change of the schema PostgREST needs a reload',
  }[status]
  const lacking =
    'Add the column there: until then changes of it wait in pending(), with the reason remote_column_missing'
  const given = code === '42703' && table.columns !== undefined ? `${hint}. ${lacking}` : hint
  return {
    ok: false,
    message: `It answers with status ${status}: ${message}`,
    ...(given === undefined ? {} : { hint: given }),
  }
}

/** Why a table may show no rows. */
function unseen({ filter }: TableSync): string {
  const policy = 'If there are rows, row security hides them from this role: a policy FOR SELECT has to show them'
  const sent = "a table that is only inserted into is to have direction: 'push'"
  return `${filter === undefined ? '' : 'Does the filter leave any? '}${policy}; ${sent}`
}

/** What a filter means for a table with a cursor. */
function leaving({ cursor, filter, deleted }: TableSync): string | undefined {
  if (cursor === undefined || filter === undefined || deleted === 'compare') return undefined
  return 'Rows that leave the filter are found by comparing keys: each pull asks for the count, and lists all keys when it differs'
}

function hints(all: readonly (string | undefined)[]): { hint?: string } {
  const hint = all.filter((each) => each !== undefined).join('. ')
  return hint === '' ? {} : { hint }
}

/** The tables whose rows are stamped by the trigger of `sqlHelpers`. */
async function stampedTables(remote: RemoteOptions): Promise<ReadonlySet<string>> {
  const response = await getRest(remote, 'rpc/tidelock_state')
  if (!response.ok) return new Set()
  const { tables = {} } = response.json() as { tables?: Record<string, { xid?: boolean }> }
  return new Set(Object.keys(tables).filter((table) => tables[table]?.xid === true))
}

function filters({ filter = {} }: TableSync): string {
  return Object.entries(filter)
    .map(([column, condition]) => {
      // Several conditions in one, as the sync reads them: `or: '(a.eq.1,b.eq.2)'`.
      const combines = /^(not\.)?(and|or)$/.test(column) && condition.startsWith('(')
      return `&${encodeURIComponent(combines ? column : name(column))}=${encodeURIComponent(condition)}`
    })
    .join('')
}

/** A column's name that PostgREST takes for no parameter of its own, as `name` in src/sync/postgrest/query.rs. */
function name(column: string): string {
  const reserved = /^(select|columns|on_conflict|order|limit|offset|and|or|not|apikey)$/i
  return /^\w+$/.test(column) && !reserved.test(column) ? column : quoted(column)
}

function quoted(name: string): string {
  return `"${name.replaceAll(/["\\]/g, '\\$&')}"`
}
