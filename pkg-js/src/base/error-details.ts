import type { ErrorCode } from './generated-types.js'

/** Who holds the lock of a database. */
export interface LockHolder {
  readonly id: string
  /** The title of the page; in Node the script. */
  readonly title: string
  /** The address of the page, without query and fragment; empty in Node. */
  readonly url: string
  /** ISO 8601, UTC. */
  readonly since: string
}

interface AboutVersion {
  /** The version of the migration. */
  readonly version?: string
}

interface AboutStatement {
  /** SQLite's name of the error, as `SQLITE_CONSTRAINT_UNIQUE`. */
  readonly sqliteCode?: string
  /** The position in the statement, in bytes of UTF-8. */
  readonly offset?: number
  /** The text of the statement, with `?` and names for what is bound; cut after 1000 characters. */
  readonly sql?: string
  /** The number of the statement in its batch or migration, from 1. */
  readonly statement?: number
}

interface AboutWrite {
  /** Whether the write is visible, and is stored when possible: then don't repeat it. */
  readonly applied?: boolean
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
  }
  readonly timeout: { readonly timeoutMs?: number }
  readonly unsupported_environment: { readonly missing?: string; readonly option?: string }
  readonly sqlite_error: AboutStatement
  readonly sqlite_constraint: AboutStatement
  readonly sqlite_busy: AboutStatement
  readonly database_corrupt: {
    readonly snapshotId?: string
    /** ISO 8601, UTC. */
    readonly lastGoodAt?: string
    readonly lostBatches?: number
  }
  readonly database_too_large: { readonly bytes?: number; readonly maxBytes?: number }
  readonly integer_out_of_range: { readonly column?: string }
  readonly migration_invalid: AboutVersion & { readonly line?: number }
  readonly migration_checksum_mismatch: AboutVersion & { readonly applied?: string; readonly supplied?: string }
  readonly migration_missing: AboutVersion
  readonly migration_out_of_order: AboutVersion & { readonly newest?: string }
  readonly migration_failed: AboutVersion & AboutStatement & { readonly line?: number }
  readonly migration_irreversible: AboutVersion
  readonly schema_too_new: AboutVersion
  readonly database_in_use: { readonly holder?: LockHolder }
  readonly lock_timeout: { readonly holder?: LockHolder }
  readonly lock_lost: AboutWrite
  readonly storage_unavailable: AboutWrite
  readonly storage_quota_exceeded: AboutWrite
  readonly snapshot_not_found: { readonly snapshotId?: string; readonly oldest?: string }
  readonly snapshot_corrupt: { readonly snapshotId?: string }
  readonly snapshot_incompatible: { readonly snapshotId?: string }
  readonly decryption_failed: { readonly reason?: 'not_encrypted' | 'other_key' | 'damaged' }
  readonly sync_network: AboutRemote & { readonly attempts?: number }
  readonly sync_unauthorized: AboutRemote & AboutUser
  readonly sync_rejected: AboutRemote
  readonly sync_server: AboutRemote & { readonly attempts?: number; readonly retryAfterMs?: number }
  readonly sync_schema_mismatch: AboutRemote & { readonly column?: string }
  readonly sync_user_mismatch: AboutUser
  readonly unpushed_changes: { readonly table?: string; readonly pending?: number; readonly rejected?: number }
  readonly remote_empty: { readonly table?: string; readonly rows?: number; readonly deleted?: number }
  readonly leader_changed: AboutWrite
  readonly leader_unreachable: AboutWrite
  readonly worker_crashed: AboutWrite
}

/** The details of an error of that code. */
export type ErrorDetails<Code extends ErrorCode = ErrorCode> = Readonly<Record<string, unknown>> &
  (Code extends keyof KnownErrorDetails ? KnownErrorDetails[Code] : unknown)
