import type { SqlValue } from '../base/values.js'

/** What to do with a remote row that differs from the base of a local unpushed change. */
export type ConflictPolicy = 'keep-local' | 'remote-wins' | 'last-write-wins'

/** The types of remote columns that a local declaration can't tell. */
export type RemoteType = 'text' | 'int8' | 'numeric' | 'float8' | 'bool' | 'json' | 'bytea' | 'array' | 'timestamptz'

/** How one table is synced. */
export interface TableSync {
  /** The local table. */
  readonly table: string
  /** @default the local name */
  readonly remoteTable?: string | undefined
  /** @default that of the local schema */
  readonly primaryKey?: string | readonly string[] | undefined
  /** @default those that both sides have */
  readonly columns?: readonly string[] | undefined
  /** @default by the declared types of the local columns */
  readonly types?: Readonly<Record<string, RemoteType>> | undefined
  /** PostgREST filters by column: `{ status: 'eq.open' }`. */
  readonly filter?: Readonly<Record<string, string>> | undefined
  /**
   * A column that grows with each change, as `updated_at`. Without it each pull reads everything, and a push reads a row before it writes it
   * and compares: what is written remotely between the two is overwritten. The server has to set it at each insert and update, by a trigger
   * (`sqlHelpers` gives one): a push never sends it.
   */
  readonly cursor?: string | undefined
  /**
   * How far a pull reaches back behind its cursor, for rows that were committed late.
   * @default 60000
   */
  readonly overlapMs?: number | undefined
  /**
   * A column that marks deleted rows (a push sets it instead of deleting: to the server's time, or to true), or `'compare'` to find
   * deletions by comparing keys.
   */
  readonly deleted?: string | undefined
  /**
   * `keep-local` sends the columns changed here and takes the others from the remote. `remote-wins` takes the remote's row.
   * `last-write-wins` (needs `cursor`) compares when each side wrote. A function gives the row, or null to delete it; columns
   * that it leaves out keep the remote's value. Where both sides changed different columns, all but the function merge them.
   * @default 'keep-local' ('remote-wins' with `mode: 'cloud'`)
   */
  readonly conflict?: ConflictPolicy | ConflictFunction | undefined
  /** @default 'both' */
  readonly direction?: 'both' | 'pull' | 'push' | undefined
}

/** What a function that decides conflicts gets. */
export interface Conflict {
  readonly table: string
  readonly key: Readonly<Record<string, SqlValue>>
  /** The row before the local change; null: there was none. */
  readonly base: Readonly<Record<string, SqlValue>> | null
  /** The local row; null: it was deleted. */
  readonly local: Readonly<Record<string, SqlValue>> | null
  /** The remote's row; null: it was deleted. */
  readonly remote: Readonly<Record<string, SqlValue>> | null
}

/**
 * Decides what becomes of a row that changed on both sides: the row as it is to be, or null to delete it. What it decides is
 * applied only if the row is still the same; otherwise it is asked again.
 */
export type ConflictFunction = (conflict: Conflict) => ConflictRow | null | Promise<ConflictRow | null>

/** What a {@link ConflictFunction} gives: values by column. */
export type ConflictRow = Readonly<Record<string, SqlValue | boolean | Date | ArrayBuffer | undefined>>

/** The Supabase or PostgREST endpoint to sync with. */
export interface RemoteOptions {
  /** The URL of the Supabase project, or a PostgREST root. */
  readonly url: string
  /** The publishable (or anon) key. A secret one is refused with `invalid_argument`. */
  readonly key: string
  /** The token of the user who is signed in, asked for anew when the remote refuses the one before. */
  readonly accessToken?: (() => Promise<string | null>) | undefined
  /** @default the `sub` of the token */
  readonly userId?: string | undefined
  /** @default 'public' */
  readonly schema?: string | undefined
  /** The tables to sync, by name or with options. */
  readonly tables: readonly (string | TableSync)[]
  /** @default 1000 */
  readonly pageSize?: number | undefined
  /**
   * Redirects are not followed: it gets `redirect: 'manual'`, and an answer that comes from another address is refused.
   * @default the global `fetch`
   */
  readonly fetch?: typeof fetch | undefined
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** @default 5 */
  readonly retries?: number | undefined
  /**
   * For one request.
   * @default 30000
   */
  readonly timeoutMs?: number | undefined
  /**
   * The most bytes of one answer, decompressed: of a larger one no more is read. Pages of rows are then asked for again with fewer
   * rows; a single row that is larger is `sync_protocol`, with `details.limit`. Up to six answers are in memory at once.
   * @default 67108864 (64 MiB)
   */
  readonly maxResponseBytes?: number | undefined
  /**
   * The share of a table that a pull may delete because the remote didn't send it.
   * @default 0.5
   */
  readonly maxDeleteRatio?: number | undefined
  /**
   * While the database keeps in step (`mode: 'cloud'`, {@link Sync.start}), Supabase Realtime tells of changes: what it names is pulled
   * within a second, instead of at the next interval. A hint and nothing more: the interval goes on, and after each gap everything
   * is pulled. The tables must be in the publication `supabase_realtime`. Where it is refused, or there is no WebSocket as in Node
   * 20, one warning `realtime_unavailable` says so.
   * @default false
   */
  readonly realtime?: boolean | undefined
}
