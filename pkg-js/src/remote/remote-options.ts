import type { Conflict } from '../base/generated-types.js'
import type { Fetch } from '../base/host-types.js'
import type { SqlValue } from '../base/values.js'
import type { SupabaseLike } from './supabase-types.js'

/** How a remote row is applied that differs from the base of a local unpushed change: see {@link TableSync.conflict}. */
export type ConflictPolicy = 'keep-local' | 'remote-wins' | 'last-write-wins'

/** The types of remote columns that the local declaration doesn't show. */
export type RemoteType = 'text' | 'int8' | 'numeric' | 'float8' | 'bool' | 'json' | 'bytea' | 'array' | 'timestamptz'

/** How one table is synced. */
export interface TableSync {
  /** The local table. */
  readonly table: string
  /**
   * The table at the remote.
   * @default the local name
   */
  readonly remoteTable?: string | undefined
  /**
   * The primary key: one column or several.
   * @default the primary key of the local table
   */
  readonly primaryKey?: string | readonly string[] | undefined
  /**
   * The columns to sync.
   * @default the columns that both sides have
   */
  readonly columns?: readonly string[] | undefined
  /**
   * The remote types of columns.
   * @default by the declared types of the local columns
   */
  readonly types?: Readonly<Record<string, RemoteType>> | undefined
  /**
   * PostgREST filters, one for each column: `{ status: 'eq.open' }`. A function returns them, and is called before each pull. When they have
   * changed, a pull removes the rows that no longer belong, and brings the new ones. Rows with unpushed changes stay until they are pushed.
   */
  readonly filter?: TableFilter | FilterFunction | undefined
  /**
   * A column that grows with each change, for example `updated_at`. The server must set it at each insert and update, by a trigger
   * (`sqlHelpers` gives one); a push never sends it. Without a cursor each pull reads the whole table, and a push reads a row and compares it
   * before it writes: a remote write between the two is overwritten.
   */
  readonly cursor?: string | undefined
  /**
   * How far a pull goes back before its cursor, in milliseconds, to find rows that were committed late.
   * @default 60000
   */
  readonly overlapMs?: number | undefined
  /**
   * A column that marks rows as deleted: a push sets it to the server's time, or to true, instead of deleting the row. Or `'compare'`, which
   * finds deleted rows by comparing keys.
   */
  readonly deleted?: string | undefined
  /**
   * How a row is merged that changed on both sides. `keep-local`: push the columns that changed here, and take the others from the remote.
   * `remote-wins`: take the remote's row. `last-write-wins` (needs `cursor`): the later write wins. A function returns the merged row, or null
   * to delete it; columns that it leaves out keep the remote's value. Where both sides changed different columns, all policies merge them, but
   * a function is called.
   * @default 'keep-local' ('remote-wins' with `mode: 'cloud'`)
   */
  readonly conflict?: ConflictPolicy | ConflictFunction | undefined
  /**
   * Whether the table is pulled, pushed or both.
   * @default 'both'
   */
  readonly direction?: 'both' | 'pull' | 'push' | undefined
}

/**
 * Merges a row that changed on both sides: returns the row as it is to be, or null to delete it. The result is applied only if the row hasn't
 * changed meanwhile; otherwise the function is called again.
 */
export type ConflictFunction = (conflict: Conflict) => ConflictRow | null | Promise<ConflictRow | null>

/** What a {@link ConflictFunction} returns: values by column. */
export type ConflictRow = Readonly<Record<string, SqlValue | boolean | Date | ArrayBuffer | undefined>>

/** PostgREST filters by column: `{ status: 'eq.open' }`. */
export type TableFilter = Readonly<Record<string, string>>

/**
 * Returns the filters of a table, before each pull. If it throws, the pull of that table rejects with `invalid_argument`, and the table
 * keeps its rows.
 */
export type FilterFunction = () => TableFilter | Promise<TableFilter>

/** The Supabase or PostgREST endpoint to sync with. */
export interface RemoteOptions {
  /**
   * A client of `createClient` from `@supabase/supabase-js`, version 2, instead of `url`, `key` and `accessToken`. The client has the
   * session: it is used for each call. When the user signs out, the calls under way end with `sync_unauthorized`, and nothing more is sent.
   */
  readonly client?: SupabaseLike | undefined
  /** The URL of the Supabase project, or of a PostgREST root. Required without `client`. */
  readonly url?: string | undefined
  /** The publishable (or anon) key. In a page a secret key is `invalid_argument`. Required without `client`. */
  readonly key?: string | undefined
  /**
   * Returns the token of the signed-in user; null: no user is signed in. It is called again when the remote refuses the previous token.
   */
  readonly accessToken?: (() => string | null | undefined | Promise<string | null | undefined>) | undefined
  /**
   * Opens a database for each user: its name is the option `name`, a slash, and the id of the signed-in user. Without a signed-in user,
   * `open` rejects with `sync_unauthorized`.
   * @default false
   */
  readonly perUser?: boolean | undefined
  /**
   * The id of the user to whom the data belongs.
   * @default the `sub` of the token
   */
  readonly userId?: string | undefined
  /**
   * The schema at the remote.
   * @default 'public'
   */
  readonly schema?: string | undefined
  /** The tables to sync, by name or with options. */
  readonly tables: readonly (string | TableSync)[]
  /**
   * How many rows are asked for at once.
   * @default 1000
   */
  readonly pageSize?: number | undefined
  /**
   * Replaces the global `fetch`. It gets `redirect: 'manual'`: a redirect is not followed, and a response from another address is refused.
   * @default the global `fetch`
   */
  readonly fetch?: Fetch | undefined
  /**
   * Headers that are sent with each request.
   * @default {}
   */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /**
   * How often a failed request is retried.
   * @default 5
   */
  readonly retries?: number | undefined
  /**
   * How long one request may take, in milliseconds.
   * @default 30000
   */
  readonly timeoutMs?: number | undefined
  /**
   * The largest response, in bytes after decompression; no more is read of a larger one. Rows are then asked for in smaller pages; a single
   * row that is larger is `sync_protocol`, with `details.limit`. Up to six responses are in memory at once.
   * @default 67108864
   */
  readonly maxResponseBytes?: number | undefined
  /**
   * The largest share of a table that a pull may delete because the remote didn't send these rows.
   * @default 0.5
   */
  readonly maxDeleteRatio?: number | undefined
  /**
   * Whether Supabase Realtime announces changes while the database keeps in sync (`mode: 'cloud'`, {@link Sync.start}): a changed table is
   * pulled within a second instead of at the next interval. The interval stays, and after a lost connection everything is pulled. The tables
   * must be in the publication `supabase_realtime`. Where Realtime is refused, or there is no WebSocket as in Node 20, one warning
   * `realtime_unavailable` says so.
   * @default false
   */
  readonly realtime?: boolean | undefined
}

/** The option `remote` without a client: it says itself where the remote is. */
export interface RemoteEndpoint extends Omit<RemoteOptions, 'client' | 'perUser'> {
  readonly url: string
  readonly key: string
}
