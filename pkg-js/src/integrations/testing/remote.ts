import { TidelockError } from '../../index.js'
import { compareValues } from './column-types.js'
import { type JsonRow, parseExact, printExact } from './exact-json.js'
import { Refusal, type RemoteQuery, readQuery } from './remote-query.js'
import { FakeRemoteTable, type FakeTable, fromTest, type RemoteRow } from './remote-table.js'

/** Options of {@link fakeRemote}. */
export interface FakeRemoteOptions {
  /** The tables by their name: their rows, or what {@link FakeTable} says. */
  readonly tables: Readonly<Record<string, FakeTable | readonly RemoteRow[]>>
  /**
   * The most rows of one answer, as Supabase limits them.
   * @default 1000
   */
  readonly maxRows?: number | undefined
}

/** What requests meet instead of an answer, set by {@link FakeRemote.fail}. */
export interface FakeFailure {
  /** The status of the answer. Without it the connection breaks. */
  readonly status?: number | undefined
  /** The code in the body: `'42501'` with status 403 is a refusal by row security, which rejects the change. */
  readonly code?: string | undefined
  /** The header `Retry-After`, in seconds. */
  readonly retryAfter?: number | undefined
  /**
   * How many requests fail.
   * @default 1
   */
  readonly times?: number | undefined
  /** Only requests about this table. */
  readonly table?: string | undefined
  /** Only requests of this method, such as `'POST'`. */
  readonly method?: string | undefined
  /** The request is carried out, and only its answer is lost. */
  readonly lost?: boolean | undefined
}

/** A request that the fake remote got. */
export interface FakeRequest {
  readonly method: string
  readonly table: string
  /** The path and the query. */
  readonly path: string
  /** The status of the answer; 0: none. */
  readonly status: number
}

/**
 * A Supabase project in memory, for tests of an app that syncs. Made by {@link fakeRemote}.
 *
 * It answers what tidelock's sync sends, as PostgREST does: filters, orders, pages, counts, inserts, upserts, guarded updates, deletions,
 * and constraints. It has no row security, functions, joins or realtime, compares text by its characters, and has none of the SQL of
 * `sqlHelpers`.
 */
export class FakeRemote {
  /** For the option `remote.url`. */
  readonly url = 'https://fake.supabase.co'
  /** For the option `remote.key`. */
  readonly key = 'sb_publishable_fake'
  /** All requests so far, without those for helpers. */
  readonly requests: FakeRequest[] = []
  /** Whether the network is down: every request fails. */
  offline = false
  /** How long each answer takes, in milliseconds. */
  latencyMs = 0
  readonly #tables = new Map<string, FakeRemoteTable>()
  readonly #maxRows: number
  #failures: { failure: FakeFailure; left: number }[] = []
  /** The last time that a write got, in microseconds. */
  #stamped = 0n

  /** @internal */
  constructor({ tables, maxRows = 1000 }: FakeRemoteOptions) {
    this.#maxRows = maxRows
    for (const [name, given] of Object.entries(tables)) {
      const table: FakeTable = Array.isArray(given) ? { rows: given } : (given as FakeTable)
      this.#tables.set(name, new FakeRemoteTable(name, table, this.#tables, () => this.#now()))
    }
  }

  /** For the option `remote.fetch`. */
  readonly fetch = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : String(input))
    const method = init.method ?? 'GET'
    const table = decodeURIComponent(url.pathname.replace('/rest/v1/', ''))
    const failure = this.offline ? {} : this.#failureOf(method, table)
    const answered = failure === undefined || failure.lost ? this.#answer(url, method, table, init) : undefined
    const answer = failure === undefined ? answered : failed(failure)
    if (!table.startsWith('rpc/')) {
      this.requests.push({ method, table, path: url.pathname + url.search, status: answer?.status ?? 0 })
    }
    await this.#wait(init.signal)
    if (answer === undefined) throw new TypeError('Failed to fetch: the fake remote is offline')
    return answer
  }

  /** Returns the rows of a table. */
  rows(table: string): RemoteRow[] {
    return this.#table(table).show()
  }

  /** Another client inserts rows. Throws what a constraint refuses. */
  insert(table: string, ...rows: readonly RemoteRow[]): void {
    this.#table(table).insert(rows.map(fromTest), 'refuse')
  }

  /** Another client changes the rows whose columns are as in `where`. Returns their number. */
  update(table: string, where: RemoteRow, changes: RemoteRow): number {
    return this.#table(table).update(matches(where), fromTest(changes)).length
  }

  /** Another client deletes the rows whose columns are as in `where`. Returns their number. */
  delete(table: string, where: RemoteRow): number {
    return this.#table(table).delete(matches(where)).length
  }

  /**
   * The next requests fail. Several failures are met in their order.
   *
   * @example
   * ```ts
   * remote.fail({ status: 503, times: 2 }) // busy; tidelock tries again
   * remote.fail({ table: 'todos', method: 'POST', status: 403, code: '42501' }) // refused: the change is in rejected()
   * remote.fail({ lost: true }) // done, but the answer is lost
   * ```
   */
  fail(failure: FakeFailure): void {
    if (failure.table !== undefined) this.#table(failure.table)
    this.#failures.push({ failure, left: failure.times ?? 1 })
  }

  /** No more failures, and the network is back. */
  recover(): void {
    this.#failures = []
    this.offline = false
  }

  #table(name: string): FakeRemoteTable {
    const table = this.#tables.get(name)
    if (table !== undefined) return table
    throw new TidelockError('invalid_argument', `The fake remote has no table "${name}"`, {
      hint: `Name it in fakeRemote({ tables }); it has ${[...this.#tables.keys()].join(', ') || 'none'}`,
    })
  }

  /** Returns a time that is later than all before it. */
  #now(): string {
    const now = BigInt(Date.now()) * 1000n
    this.#stamped = now > this.#stamped ? now : this.#stamped + 1n
    const text = new Date(Number(this.#stamped / 1000n)).toISOString().slice(0, -1)
    const fraction = `${text.slice(20)}${String(this.#stamped % 1000n).padStart(3, '0')}`.replace(/0+$/, '')
    return `${text.slice(0, 19)}${fraction && `.${fraction}`}+00:00`
  }

  #failureOf(method: string, table: string): FakeFailure | undefined {
    const found = this.#failures.find(
      ({ failure, left }) => left > 0 && (failure.table ?? table) === table && (failure.method ?? method) === method,
    )
    if (found === undefined || table.startsWith('rpc/')) return undefined
    found.left--
    return found.failure
  }

  async #wait(signal: AbortSignal | null | undefined): Promise<void> {
    if (this.latencyMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, this.latencyMs)
        signal?.addEventListener('abort', () => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
    signal?.throwIfAborted()
  }

  #answer(url: URL, method: string, name: string, init: RequestInit): Response {
    const headers = new Headers(init.headers)
    try {
      if (headers.get('apikey') === null) throw new Refusal(401, '', 'No API key found in request')
      if (name.startsWith('rpc/')) throw new Refusal(404, 'PGRST202', `Could not find the function ${name.slice(4)}`)
      const table = this.#tables.get(name)
      if (table === undefined)
        throw new Refusal(404, 'PGRST205', `Could not find the table '${name}' in the schema cache`)
      const query = readQuery(url.searchParams, table.columns)
      const prefer = headers.get('prefer') ?? ''
      if (method === 'GET' || method === 'HEAD') return this.#read(table, query, method, prefer)
      return write(table, query, method, prefer, init.body)
    } catch (error) {
      if (error instanceof Refusal) return refused(error.status, error.code, error.message)
      throw error
    }
  }

  #read(table: FakeRemoteTable, query: RemoteQuery, method: string, prefer: string): Response {
    const { rows, total } = table.select(query, this.#maxRows)
    const counted = prefer.includes('count=exact') ? String(total) : '*'
    const range = rows.length === 0 ? '*' : `${query.offset}-${query.offset + rows.length - 1}`
    const status = counted !== '*' && rows.length < total ? 206 : 200
    const body = method === 'HEAD' ? null : printRows(rows, query)
    return answer(status, body, { 'content-range': `${range}/${counted}` })
  }
}

/**
 * Makes a Supabase project in memory. Give its `url`, `key` and `fetch` to the option `remote` of `open`.
 *
 * @example
 * ```ts
 * const remote = fakeRemote({ tables: { todos: { rows: [{ id: 'a', title: 'tea' }], updatedAt: 'updated_at' } } })
 * const { url, key, fetch } = remote
 * const db = await open({ name: 'test', storage: 'memory', migrations, remote: { url, key, fetch, tables: ['todos'] } })
 * await db.sync.run()
 * remote.offline = true
 * ```
 */
export function fakeRemote(options: FakeRemoteOptions): FakeRemote {
  return new FakeRemote(options)
}

function write(table: FakeRemoteTable, query: RemoteQuery, method: string, prefer: string, sent: unknown): Response {
  const minimal = !prefer.includes('return=representation')
  if (method === 'DELETE')
    return written(
      204,
      table.delete((row) => query.holds(row)),
      query,
      minimal,
    )
  const body = parseExact(typeof sent === 'string' ? sent : new TextDecoder().decode(sent as Uint8Array))
  if (method === 'PATCH')
    return written(
      204,
      table.update((row) => query.holds(row), body as JsonRow),
      query,
      minimal,
    )
  if (method !== 'POST') throw new Refusal(405, '', `The fake remote has no ${method}`)
  // A column that `columns` names and a row lacks is NULL, or its default if the request prefers that; other columns have their defaults.
  const filled = prefer.includes('missing=default') ? [] : (query.columns ?? [])
  const rows = (Array.isArray(body) ? body : [body]).map((row: JsonRow) => ({
    ...Object.fromEntries(filled.map((name) => [name, null])),
    ...Object.fromEntries(Object.entries(row).filter(([name]) => query.columns?.includes(name) ?? true)),
  }))
  const known = /resolution=(ignore|merge)/.exec(prefer)?.[1] as 'ignore' | 'merge' | undefined
  return written(201, table.insert(rows, known ?? 'refuse'), query, minimal)
}

function written(status: number, rows: readonly JsonRow[], query: RemoteQuery, minimal: boolean): Response {
  if (minimal) return answer(status, null)
  return answer(status === 201 && rows.length > 0 ? 201 : 200, printRows(rows, query))
}

function printRows(rows: readonly JsonRow[], { select }: RemoteQuery): string {
  const chosen = (row: JsonRow) => (select ? Object.fromEntries(select.map((name) => [name, row[name] ?? null])) : row)
  return printExact(rows.map(chosen))
}

function answer(status: number, body: string | null, headers: Record<string, string> = {}): Response {
  // Without `Date`, whose whole seconds are less exact than the clock that the fake remote shares with the test.
  const all = { ...headers, 'content-type': 'application/json; charset=utf-8' }
  return new Response(status === 204 ? null : body, { status, headers: all })
}

function refused(status: number, code: string, message: string): Response {
  return answer(status, JSON.stringify({ ...(code && { code }), message, details: null, hint: null }))
}

function failed({ status, code = '', retryAfter }: FakeFailure): Response | undefined {
  if (status === undefined) return undefined
  const response = refused(status, code, 'The fake remote was told to fail')
  if (retryAfter !== undefined) response.headers.set('retry-after', String(retryAfter))
  return response
}

/** Returns whether a row has these values; NULL matches NULL here. */
function matches(where: RemoteRow): (row: JsonRow) => boolean {
  const wanted = Object.entries(fromTest(where))
  return (row) =>
    wanted.every(([name, value]) => {
      const found = row[name] ?? null
      return found === null || value === null ? found === value : compareValues(found, value) === 0
    })
}
