import type { ErrorCode } from './generated-types.js'

/** SQLite's name of an error, as `SQLITE_CONSTRAINT_UNIQUE`. */
export type SqliteCode = `SQLITE_${string}`

/** Who holds the lock of a database. */
export interface LockHolder {
  /** Its id: in a browser that of its page or worker in `navigator.locks.query()`. */
  readonly id: string
  /** The title of the page; in Node the script. */
  readonly title: string
  /** The address of the page, without query and fragment; empty in Node. */
  readonly url: string
  /** When it acquired the lock: ISO 8601, UTC. */
  readonly since: string
}

interface AboutVersion {
  /** The version of the migration. */
  readonly version?: string
}

interface AboutStatement {
  /** SQLite's name of the error, as `SQLITE_CONSTRAINT_UNIQUE`. */
  readonly sqliteCode?: SqliteCode
  /** The position in the statement, in bytes of UTF-8. */
  readonly offset?: number
  /** The text of the statement, with `?` and names for what is bound; cut after 1000 characters. */
  readonly sql?: string
  /** The number of the statement in its batch or migration, from 1. */
  readonly statement?: number
}

interface AboutFunction {
  /** The SQL function that failed. */
  readonly function?: string
}

interface AboutWrite {
  /** Whether the write is visible, and is stored when possible: then don't repeat it. */
  readonly applied?: boolean
}

interface AboutLostCall {
  /** Whether the call was applied. null: this is unknown, so check before you repeat it; false: repeat it. */
  readonly applied?: boolean | null
}

interface AboutRemote {
  readonly table?: string
  /** The status of the remote's answer. */
  readonly status?: number
  /** The remote's own code of the error. */
  readonly remoteCode?: string
}

interface AboutUser {
  /** Whether a user is signed in. */
  readonly signedIn?: boolean
}

/** What is known of the `details` of errors, by their code. A key is missing where it doesn't apply. */
export interface KnownErrorDetails {
  readonly invalid_argument: {
    /** The option that is wrong. */
    readonly option?: string
    /** The parameter that is wrong: its name, or its number from 1. */
    readonly parameter?: string | number
    /** The row of `runMany`, from 1. */
    readonly row?: number
    /** The number of values that were given. */
    readonly given?: number
    /** What a file was given as. */
    readonly argument?: string
    /** The options that differ from those of the first `open`. */
    readonly options?: readonly string[]
    readonly table?: string
    readonly column?: string
    /** The name that is unknown. */
    readonly name?: string
    /** The key that isn't unique. */
    readonly key?: unknown
    /** The database of a group. */
    readonly database?: string
    /** The stored states that match a time, newest first: the clock was set back in between. */
    readonly candidates?: readonly { readonly lsn: number; readonly at: string }[]
    readonly file?: string
    /** The line in a script, from 1. */
    readonly line?: number
    readonly offset?: number
    readonly statement?: number
    /** The version of the migration. */
    readonly version?: string
    /** The versions that were supplied. */
    readonly supplied?: readonly string[]
  }
  readonly closed: AboutLostCall
  readonly timeout: {
    readonly timeoutMs?: number
    readonly sqliteCode?: SqliteCode
    /** The number of the statement in its batch, from 1. */
    readonly statement?: number
    /** The line in the script, from 1. */
    readonly line?: number
  }
  readonly internal: {
    /** Where the engine stopped, and why. */
    readonly panic?: { readonly location: string; readonly message: string }
  }
  readonly unsupported_environment: { readonly missing?: string; readonly option?: string; readonly what?: string }
  readonly out_of_memory: { readonly bytes?: number; readonly sqliteCode?: SqliteCode }
  readonly sqlite_error: AboutStatement & AboutFunction & { readonly line?: number }
  readonly sqlite_constraint: AboutStatement & {
    readonly table?: string
    readonly parent?: string
    readonly line?: number
  }
  readonly sqlite_busy: AboutStatement
  readonly database_corrupt: {
    readonly snapshotId?: string
    /** ISO 8601, UTC. */
    readonly lastGoodAt?: string
    readonly lostBatches?: number
    /** The damaged file of a folder. */
    readonly file?: string
    /** The path of a file that isn't a plain one. */
    readonly path?: string
  }
  readonly database_too_large: {
    readonly bytes?: number
    readonly maxBytes?: number
    readonly line?: number
    readonly sqliteCode?: SqliteCode
  }
  readonly integer_out_of_range: { readonly column?: string }
  readonly migration_invalid: AboutVersion & {
    readonly file?: string
    readonly line?: number
    readonly table?: string
    /** The position among the given migrations, from 0. */
    readonly index?: number
  }
  readonly migration_checksum_mismatch: AboutVersion & { readonly applied?: string; readonly supplied?: string }
  readonly migration_missing: AboutVersion
  readonly migration_out_of_order: AboutVersion & { readonly newest?: string }
  readonly migration_failed: AboutVersion &
    AboutStatement &
    AboutFunction & {
      readonly line?: number
      readonly name?: string
      readonly direction?: 'up' | 'down'
      /** The first rows that refer to missing ones of the table `parent`; without `rowid` in a table that has none. */
      readonly violations?: readonly { readonly table: string; readonly parent: string; readonly rowid?: number }[]
      /** The script ran in a scratch database. */
      readonly scratch?: boolean
      /** The database of a group. */
      readonly database?: string
    }
  readonly migration_irreversible: AboutVersion
  readonly schema_too_new: AboutVersion
  readonly database_in_use: { readonly holder?: LockHolder }
  readonly lock_timeout: { readonly holder?: LockHolder; readonly timeoutMs?: number }
  readonly lock_lost: AboutWrite
  readonly storage_unavailable: AboutWrite & { readonly time?: string }
  readonly storage_quota_exceeded: AboutWrite
  readonly snapshot_not_found: { readonly snapshotId?: string; readonly oldest?: string }
  readonly snapshot_corrupt: {
    readonly snapshotId?: string
    readonly lastGoodAt?: string
    readonly chunk?: string
    readonly line?: number
    readonly offset?: number
    readonly sqliteCode?: SqliteCode
  }
  readonly snapshot_incompatible: {
    readonly snapshotId?: string
    /** The version of the storage format, and the features that this build lacks. */
    readonly format?: number
    readonly features?: readonly string[]
  }
  readonly decryption_failed: {
    readonly reason?: 'not_encrypted' | 'other_key' | 'damaged'
    readonly option?: string
    /** The id of the key of an encrypted column. */
    readonly keyId?: string
  }
  readonly sync_network: AboutRemote & { readonly attempts?: number; readonly url?: string }
  readonly sync_unauthorized: AboutRemote & AboutUser & { readonly option?: string }
  readonly sync_rejected: AboutRemote & { readonly body?: string }
  readonly sync_protocol: AboutRemote & {
    /** The address of a redirect. */
    readonly location?: string
    /** The largest number of bytes. */
    readonly limit?: number
    readonly offset?: number
  }
  readonly sync_server: AboutRemote & { readonly attempts?: number; readonly retryAfterMs?: number }
  readonly sync_schema_mismatch: AboutRemote & { readonly column?: string }
  readonly sync_user_mismatch: AboutUser
  readonly unpushed_changes: { readonly table?: string; readonly pending?: number; readonly rejected?: number }
  readonly remote_empty: { readonly table?: string; readonly rows?: number; readonly deleted?: number }
  readonly leader_changed: AboutLostCall
  readonly leader_unreachable: AboutLostCall
  readonly worker_crashed: AboutLostCall
}

/** The details of an error of that code. */
export type ErrorDetails<Code extends ErrorCode = ErrorCode> = Readonly<Record<string, unknown>> &
  (Code extends keyof KnownErrorDetails ? KnownErrorDetails[Code] : unknown)
