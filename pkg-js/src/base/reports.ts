// What the wasm module returns and tells: generated from the Rust types that are serialized, and held against them by
// `cargo test --lib typescript`. Change those, then renew this file: UPDATE_TYPES=1 cargo test --lib typescript

import type { SqlResultValue } from './values.js'

/** Something that deserves attention. */
export interface Alert {
  /** What it is about; of a database whose engine has ended or can't be loaded, the code of that error. */
  readonly code: AlertCode | ErrorCode
  /** How grave it is. */
  readonly severity: AlertSeverity
  /** One sentence for people. */
  readonly message: string
}

/** What an alert is about. */
export type AlertCode =
  | 'no_recent_snapshot'
  | 'snapshot_failing'
  | 'sync_lag'
  | 'migration_failed'
  | 'storage_nearly_full'
  | 'flush_failing'
  | 'rejected_changes'
  | 'remote_column_missing'
  | 'growth'
  | 'storage_not_persisted'
  | 'integrity_failed'
  | 'foreign_keys_violated'

/** How grave an alert is. */
export type AlertSeverity = 'info' | 'warning'

/** The detail of a `change` event: what a commit changed. */
export interface ChangeEvent {
  /** The tables whose rows changed, as the schema spells them. */
  readonly tables: readonly string[]
  /** Any table may have changed: the schema did, or everything was replaced. */
  readonly all: boolean
}

/** The operation of a change. */
export type ChangeOp = 'insert' | 'update' | 'delete'

/** Why a change isn't sent. */
export type ChangeReason =
  | 'refused'
  | 'conflict'
  | 'schema'
  | 'restored'
  | 'unapplied'
  | 'held_back'
  | 'retrying'
  | 'remote_column_missing'

/** Why a database was closed. */
export type CloseReason = 'closed' | 'released'

/** A row that changed on both sides; null where it isn't there. */
export interface Conflict {
  /** The local table. */
  readonly table: string
  /** Its key. */
  readonly key: Readonly<Record<string, SqlResultValue>>
  /** The row before the local change; null: there was none. */
  readonly base: Readonly<Record<string, SqlResultValue>> | null
  /** The local row; null: it was deleted. */
  readonly local: Readonly<Record<string, SqlResultValue>> | null
  /** The remote's row; null: it was deleted. */
  readonly remote: Readonly<Record<string, SqlResultValue>> | null
}

/** A conflict that was met, and the local row afterwards. */
export interface ConflictEntry {
  /** When, ISO 8601. */
  readonly time: string
  /** The local table. */
  readonly table: string
  /** Its key. */
  readonly key: Readonly<Record<string, SqlResultValue>>
  /** The row before the local change; null: there was none. */
  readonly base: Readonly<Record<string, SqlResultValue>> | null
  /** The local row; null: it was deleted. */
  readonly local: Readonly<Record<string, SqlResultValue>> | null
  /** The remote's row; null: it was deleted. */
  readonly remote: Readonly<Record<string, SqlResultValue>> | null
  /** The local row afterwards; null: it was deleted. */
  readonly result: Readonly<Record<string, SqlResultValue>> | null
}

/** How the schema differs from what the migrations give. The columns of a table that is added or removed aren't listed. */
export interface Drift {
  /** There, though no migration made it. */
  readonly added: readonly DriftEntry[]
  /** Not there, though a migration made it. */
  readonly removed: readonly DriftEntry[]
  /** There, but otherwise than the migrations make it. */
  readonly changed: readonly DriftEntry[]
  /** The versions of applied migrations that were left out, because only the app can run them: functions. */
  readonly skipped?: readonly string[]
}

/** One difference between the schema and what the migrations give. */
export interface DriftEntry {
  /** What differs. */
  readonly kind: SchemaObjectKind
  /** Its name. */
  readonly name: string
  /** The table of a column, an index or a trigger. */
  readonly table?: string
  /**
   * What the migrations give, of what is removed or changed: type and constraints of a column; constraints and options of a table that
   * changed; else the statement.
   */
  readonly expected?: string
  /** What is there, of what is added or changed. */
  readonly actual?: string
}

/** When a write's promise resolves. */
export type Durability = 'strict' | 'relaxed' | 'deferred' | 'snapshot'

/** That the database was closed. */
export interface EngineCloseEvent {
  /** Why. */
  readonly reason: CloseReason
}

/** One event; crosses the boundary as `{ type, detail }`. */
export type EngineEvent =
  | { readonly type: 'warning'; readonly detail: EngineWarning }
  | { readonly type: 'change'; readonly detail: ChangeEvent }
  | { readonly type: 'live'; readonly detail: LiveEvent }
  | { readonly type: 'lock'; readonly detail: LockEvent }
  | { readonly type: 'snapshot'; readonly detail: EngineSnapshotEvent }
  | { readonly type: 'sync'; readonly detail: SyncEvent }
  | { readonly type: 'migration'; readonly detail: MigrationEvent }
  | { readonly type: 'health'; readonly detail: StorageEvent }
  | { readonly type: 'close'; readonly detail: EngineCloseEvent }

/** What happened to a snapshot: the detail of a `snapshot` event. */
export type EngineSnapshotEvent =
  | {
      readonly state: 'created'
      /** Which. */
      readonly snapshot: SnapshotInfo
    }
  | {
      readonly state: 'failed'
      /** Why it was to be taken. */
      readonly reason: SnapshotReason
      /** Why it could not. */
      readonly error: TidelockErrorJson
    }

/** Something that deserves a person's attention, but stopped nothing. */
export interface EngineWarning {
  /** What programs compare. */
  readonly code: EngineWarningCode
  /** One sentence for people. */
  readonly message: string
}

/** What programs compare in a warning. */
export type EngineWarningCode =
  | 'snapshot_corrupt'
  | 'storage_lost'
  | 'realtime_unavailable'
  | 'integrity_failed'
  | 'foreign_keys_violated'

/** Why something failed, in a form that programs may rely on. The texts never change. */
export type ErrorCode =
  | 'invalid_argument'
  | 'closed'
  | 'timeout'
  | 'internal'
  | 'unsupported_environment'
  | 'wasm_load_failed'
  | 'out_of_memory'
  | 'sqlite_error'
  | 'sqlite_constraint'
  | 'sqlite_busy'
  | 'database_corrupt'
  | 'database_too_large'
  | 'integer_out_of_range'
  | 'transaction_closed'
  | 'migration_invalid'
  | 'migration_checksum_mismatch'
  | 'migration_missing'
  | 'migration_out_of_order'
  | 'migration_failed'
  | 'migration_irreversible'
  | 'schema_too_new'
  | 'database_in_use'
  | 'lock_timeout'
  | 'lock_lost'
  | 'storage_unavailable'
  | 'storage_quota_exceeded'
  | 'storage_blocked'
  | 'snapshot_not_found'
  | 'snapshot_corrupt'
  | 'snapshot_incompatible'
  | 'decryption_failed'
  | 'sync_network'
  | 'sync_unauthorized'
  | 'sync_rejected'
  | 'sync_server'
  | 'sync_protocol'
  | 'sync_schema_mismatch'
  | 'sync_user_mismatch'
  | 'unpushed_changes'
  | 'remote_empty'
  | 'leader_changed'
  | 'leader_unreachable'
  | 'worker_crashed'

/** What went of one table. */
export interface ExpiredRows {
  /** The table. */
  readonly table: string
  /** How many rows. */
  readonly deleted: number
}

/** A row whose parent is missing. */
export interface ForeignKeyViolation {
  /** The table with the row. */
  readonly table: string
  /** The row; null in a table without rowids. */
  readonly rowid: number | null
  /** The table that lacks the parent. */
  readonly parent: string
}

/** The scripts from one schema to another and back. */
export interface GeneratedMigration {
  /** From today's schema to the wanted one; empty when they don't differ. */
  readonly up: string
  /** And back. */
  readonly down: string
  /** What `up` loses, in words; each is also a comment in the script. */
  readonly destructive: readonly string[]
}

/** How a database is: what `health()` gives. */
export interface Health {
  /** The verdict. */
  readonly status: HealthStatus
  /** `cloud`: it keeps in step with its remote by itself. */
  readonly database: Mode
  /** The database's name. */
  readonly name: string
  /** When this was found. */
  readonly timestamp: string
  /** The snapshots. */
  readonly snapshot: SnapshotHealth
  /** The lock. */
  readonly lock: LockHealth
  /** The migrations. */
  readonly migrations: MigrationsHealth
  /** The storage. */
  readonly storage: StorageHealth
  /** The sync. */
  readonly sync: SyncHealth
  /** The statements that ran. */
  readonly queries: QueriesHealth
  /** What deserves attention. */
  readonly alerts: readonly Alert[]
}

/** The verdict. `degraded`: there is a warning; `failed`: closed, lock lost, or can't be written. */
export type HealthStatus = 'ok' | 'degraded' | 'failed'

/** What a remark is about. */
export type LintCode =
  | 'drop_table'
  | 'drop_column'
  | 'delete_without_where'
  | 'not_null_without_default'
  | 'no_down'
  | 'pragma_without_effect'
  | 'pragma_refused'
  | 'own_transaction'

/** One remark on a migration. */
export interface LintFinding {
  /** What it is about. */
  readonly code: LintCode
  /** The migration. */
  readonly version: string
  /** Where in its `up`, from 1; 1 for what is about all of it. */
  readonly line: number
  /** One sentence for people. */
  readonly message: string
}

/** Live queries that are to run again. */
export interface LiveEvent {
  /** The ids that `watch` gave. */
  readonly ids: readonly number[]
}

/** The SQL of a migration. */
export interface LocalSchema {
  /** Creates the tables, parents first. */
  readonly up: string
  /** Drops them. */
  readonly down: string
  /** Tables without a primary key, which can't be synced. */
  readonly leftOut: readonly string[]
}

/** How the lock was lost. */
export type LockChange = 'released' | 'lost'

/** The detail of a `lock` event. */
export interface LockEvent {
  /**
   * `released`: another tab asked for the database, and this one closed. `lost`: another tab took it away; every call rejects with
   * `lock_lost`, and `close()` is all that is left to do.
   */
  readonly state: LockChange
}

/** The lock. */
export interface LockHealth {
  /** Whether it is held. */
  readonly state: LockState
  /** Since when. */
  readonly since: string | null
  /** How often the database was opened: its fence. */
  readonly epoch: number | null
}

/** Whether the lock is held; `none` where there is none to take, with `storage: 'memory'`. */
export type LockState = 'held' | 'lost' | 'released' | 'none'

/** A range of the log. */
export interface LogRange {
  /** Its first lsn. */
  readonly from: number
  /** Its last lsn. */
  readonly to: number
}

/** A step that failed. */
export interface MaintenanceFailure {
  /** Which. */
  readonly step: MaintenanceStep
  /** The table that it was about, if it was about one. */
  readonly table: string | null
  /** Why. */
  readonly error: TidelockErrorJson
}

/** What was found and done. */
export interface MaintenanceReport {
  /** Nothing was found, and nothing failed. */
  readonly ok: boolean
  /** What SQLite's `integrity_check` found, at most 100 sentences. Where there are any, nothing was written. */
  readonly integrity: readonly string[]
  /** Rows whose parent is missing, at most 100. */
  readonly foreignKeys: readonly ForeignKeyViolation[]
  /** How many rows of the tables of the option `expires` went. */
  readonly expired: readonly ExpiredRows[]
  /** How many rows of the audit log went. */
  readonly auditDeleted: number
  /** Pages that were given back. */
  readonly freedPages: number
  /** The bytes of them. */
  readonly freedBytes: number
  /** Whether the statistics for the query planner were gathered again. */
  readonly analyzed: boolean
  /** Steps that failed; the others ran. */
  readonly errors: readonly MaintenanceFailure[]
  /** How long all of it took. */
  readonly ms: number
}

/** A step of a maintenance. */
export type MaintenanceStep = 'integrity' | 'foreignKeys' | 'expires' | 'audit' | 'vacuum' | 'analyze'

/** The direction in which a migration runs. */
export type MigrationDirection = 'up' | 'down'

/** The detail of a `migration` event: one that is about to run, of a call on an open database. */
export interface MigrationEvent {
  /** Its version. */
  readonly version: string
  /** Its name. */
  readonly name: string
  /** Which way it runs. */
  readonly direction: MigrationDirection
  /** How many of this run are done. */
  readonly done: number
  /** How many this run has. */
  readonly total: number
}

/** What a call planned and did. Of a dry run the lists of what was done are empty. */
export interface MigrationReport {
  /** What was to be done, in order. */
  readonly planned: readonly PlannedMigration[]
  /** What was applied, in order. */
  readonly applied: readonly MigrationResult[]
  /** What was reverted, in order. */
  readonly reverted: readonly MigrationResult[]
}

/** One migration that ran. */
export interface MigrationResult {
  /** Its version. */
  readonly version: string
  /** Its name. */
  readonly name: string
  /** How long it took. */
  readonly executionMs: number
}

/** Where a version stands. */
export type MigrationState = 'applied' | 'pending' | 'modified' | 'missing' | 'out_of_order'

/** One version. */
export interface MigrationStatus {
  /** The version, as supplied, else as applied. */
  readonly version: string
  /** The name, as supplied, else as applied. */
  readonly name: string
  /** Where it stands. */
  readonly state: MigrationState
  /** The checksum with which it was applied, else the supplied one. */
  readonly checksum: string
  /** When it was applied, as ISO 8601 text. */
  readonly appliedAt: string | null
  /** How long that took; 0 where it was only marked. */
  readonly executionMs: number | null
  /** It is supplied with a `down`. */
  readonly reversible: boolean
}

/** The migrations. */
export interface MigrationsHealth {
  /** The newest applied version. */
  readonly current: string | null
  /** How many are to be run. */
  readonly pending: number
  /** How many were changed after they had been applied. */
  readonly modified: number
}

/** `cloud` keeps in step with the remote by itself. */
export type Mode = 'local' | 'cloud'

/** A local change that the remote doesn't have yet, or has refused. */
export interface OutboxEntry {
  /** Stays the same while the change waits. */
  readonly id: string
  /** The local table. */
  readonly table: string
  /** The key's columns and values. */
  readonly key: Readonly<Record<string, SqlResultValue>>
  /** What happened to the row. */
  readonly op: ChangeOp
  /** The columns that an update changed, or an insert fills; none for a delete. */
  readonly columns: readonly string[]
  /** When the row last changed, ISO 8601. */
  readonly time: string
  /**
   * Of a rejected one: `refused` by the remote (or because its key is NULL), `conflict` that a person has to decide, `schema` (a column
   * with an unsent value was dropped), `restored` with a snapshot, or `unapplied`: a row of the remote that the local schema refuses.
   * Of one that waits for something: `held_back` by another one, `retrying`, or `remote_column_missing`.
   */
  readonly reason?: ChangeReason
  /** What the remote, or the local schema, says about it. */
  readonly error?: string
}

/** One step of a query plan. */
export interface PlanRow {
  /** The step's number. */
  readonly id: number
  /** The step that it is part of; 0 at the top. */
  readonly parent: number
  /** The operation, in SQLite's words. */
  readonly detail: string
}

/** One migration of a plan. */
export interface PlannedMigration {
  /** Its version. */
  readonly version: string
  /** Its name. */
  readonly name: string
  /** Which way it runs. */
  readonly direction: MigrationDirection
  /** Of a dry run: the script that would run, `null` for a function. Else left out. */
  readonly sql?: string | null
}

/** How pulled rows meet local ones. */
export type PullMode = 'merge' | 'replace'

/** How far a pull is. */
export interface PullProgress {
  /** The table being read. */
  readonly table: string
  /** Rows read so far. */
  readonly rows: number
  /** Rows to read, where the remote tells. */
  readonly total: number | null
  /** Bytes read so far. */
  readonly bytes: number
}

/** What a pull did. */
export interface PullReport {
  /** Merge or replace. */
  readonly mode: PullMode
  /** One entry a pulled table, parents first. */
  readonly tables: readonly TablePullReport[]
  /** Milliseconds in all. */
  readonly ms: number
}

/** What a push did. */
export interface PushReport {
  /** One entry a table that may be pushed, parents first. */
  readonly tables: readonly TablePushReport[]
  /** Milliseconds in all. */
  readonly ms: number
}

/** The statements that ran since the database was opened. */
export interface QueriesHealth {
  /** How many. */
  readonly count: number
  /** How many failed. */
  readonly errors: number
  /** The median of the latest ones. */
  readonly p50Ms: number
  /** What 95 % of the latest ones didn't exceed. */
  readonly p95Ms: number
  /** The slowest, slowest first. */
  readonly slow: readonly SlowQuery[]
}

/** What recovering a database found and did. */
export interface RecoveryReport {
  /** The snapshot (or internal checkpoint) that the recovered state was built upon; null: the log alone. */
  readonly snapshotId: string | null
  /** When the last commit was made that the recovered state has; null when it is that of a snapshot without a commit. */
  readonly recoveredTo: string | null
  /** Stored batches of commits that could not be applied any more. */
  readonly lostBatches: number
  /**
   * The range of the log that was quarantined, damaged part first and last lsn; it stays for seven days. null: nothing
   * was lost.
   */
  readonly keptAside: LogRange | null
  /** Bytes of the recovered database. */
  readonly bytes: number
  /** Snapshots that are damaged, one sentence each, and what SQLite's `quick_check` says of the recovered state. */
  readonly problems: readonly string[]
  /** Something was written; `false`: the database was sound and is untouched. */
  readonly changed: boolean
}

/** The kind of a schema object. */
export type SchemaObjectKind = 'table' | 'column' | 'index' | 'view' | 'trigger'

/** A script that changes a schema. */
export interface SchemaScript {
  /** The statements, with comments. */
  readonly sql: string
  /** What is lost, in words. */
  readonly destructive: readonly string[]
}

/** A slow statement. Its text as it was written: without the values that were bound to it. */
export interface SlowQuery {
  /** Its text, cut. */
  readonly sql: string
  /** How long it took at its slowest. */
  readonly ms: number
  /** When that was. */
  readonly at: string
  /** How SQLite would run it now, step by step; empty when it can't be told. */
  readonly plan: readonly string[]
}

/** How the snapshots are doing. */
export interface SnapshotHealth {
  /** When one was last tried. */
  readonly lastAttempt: string | null
  /** When one last succeeded; a scheduled one with nothing to do succeeds. */
  readonly lastSuccess: string | null
  /** Why the last try failed; null once one succeeded. */
  readonly lastError: TidelockErrorJson | null
  /** Failed tries since the last success. */
  readonly consecutiveFailures: number
  /** When the next scheduled one is due. */
  readonly nextAt: string | null
  /** How many there are. */
  readonly count: number
  /** Bytes of their chunks, each counted once. */
  readonly bytes: number
}

/** One snapshot. */
export interface SnapshotInfo {
  /** Its generation, as text. */
  readonly id: string
  /** When it was taken. */
  readonly createdAt: string
  /** The database's size in bytes. */
  readonly bytes: number
  /** Bytes that it added to the storage: generations share what didn't change. */
  readonly storedBytes: number
  /** SHA-256 over the chunks' SHA-256 in order, 64 hex digits. */
  readonly sha256: string
  /** The user's label. */
  readonly label: string | null
  /** Why it was taken. */
  readonly reason: SnapshotReason
  /** What was stored was read back and compared. */
  readonly verified: boolean
  /** The newest migration applied in it. */
  readonly schemaVersion: string | null
}

/** Why a snapshot was taken. */
export type SnapshotReason = 'manual' | 'scheduled' | 'hidden' | 'safety'

/** What `verify(id)` found. */
export interface SnapshotVerification {
  /** Nothing is wrong. */
  readonly ok: boolean
  /** What is wrong, one sentence each. */
  readonly errors: readonly string[]
}

/** The detail of a `health` event: whether commits can be stored. */
export interface StorageEvent {
  /** Why commits can't be stored at present; null once they can. */
  readonly error: TidelockErrorJson | null
}

/** The storage. */
export interface StorageHealth {
  /** Where the data lives. */
  readonly kind: StorageKind
  /** When a write's promise resolves. */
  readonly durability: Durability
  /** Bytes of the database. */
  readonly bytes: number
  /** Bytes of the page log. */
  readonly logBytes: number
  /** Bytes that the origin uses; null when that isn't known. */
  readonly usage: number | null
  /** Bytes that it may use; null when that isn't known. */
  readonly quota: number | null
  /** Whether the browser promised not to evict it; null when that isn't known. */
  readonly persisted: boolean | null
  /** Why commits can't be stored at present. */
  readonly lastError: TidelockErrorJson | null
}

/** Where the data lives. */
export type StorageKind = 'indexeddb' | 'file' | 'memory'

/** What can be told of a stored database without opening it. */
export interface StoredDatabase {
  /** Whether it is open, in a tab of this origin or in a process. */
  readonly inUse: boolean
  /** Whether it is encrypted; null where its head can't be read. */
  readonly encrypted: boolean | null
  /** When it was last opened; null where that can't be read. */
  readonly openedAt: string | null
}

/** The detail of a `sync` event: what sync does from now on. */
export interface SyncEvent {
  /** What it does now. */
  readonly phase: SyncPhase
  /** Why it stopped, when it failed. */
  readonly error?: TidelockErrorJson
}

/** The sync. */
export interface SyncHealth {
  /** What it does at present; `off` without a remote. */
  readonly phase: SyncPhase | 'off'
  /** Local changes that the remote hasn't got. */
  readonly pending: number
  /** Changes that it refused for good. */
  readonly rejected: number
  /** Milliseconds since the last complete sync. */
  readonly lagMs: number | null
  /** Why the last one failed; null once one succeeded. */
  readonly lastError: TidelockErrorJson | null
}

/** What sync is doing. */
export type SyncPhase = 'idle' | 'pulling' | 'pushing'

/** How one synced table stands. */
export interface SyncStatus {
  /** The local table. */
  readonly table: string
  /** What is done with it at present. */
  readonly phase: SyncPhase
  /** When its last complete pull ended, ISO 8601. */
  readonly lastPulledAt: string | null
  /** When its last complete push ended, ISO 8601. */
  readonly lastPushedAt: string | null
  /** Its local rows. */
  readonly rows: number
  /** Its changes that wait to be pushed. */
  readonly pending: number
  /** Its changes that were refused for good. */
  readonly rejected: number
  /** Milliseconds since its last complete pull. */
  readonly lagMs: number | null
  /** Why its last pull or push failed, until one succeeds; `details.time` is when. */
  readonly lastError: TidelockErrorJson | null
}

/** What a pull did to one table. */
export interface TablePullReport {
  /** The local table. */
  readonly table: string
  /** Rows that were new. */
  readonly inserted: number
  /** Rows that changed. */
  readonly updated: number
  /** Rows that went. */
  readonly deleted: number
  /** Rows that were the same already. */
  readonly unchanged: number
  /** Rows whose unpushed local change stayed. */
  readonly keptLocal: number
  /** Rows that changed on both sides. */
  readonly conflicts: number
  /** Local changes that moved to `rejected()`, and remote rows that can't be applied (yet). */
  readonly rejected: number
  /** Pages that had rows. */
  readonly pages: number
  /** Bytes of the pages' bodies. */
  readonly bytes: number
  /** Milliseconds from the table's first request to its last row. */
  readonly ms: number
  /** Whether it went on where an earlier pull was cut. */
  readonly resumed: boolean
}

/** What a push did to one table. */
export interface TablePushReport {
  /** The local table. */
  readonly table: string
  /** Rows that the remote took as new. */
  readonly inserted: number
  /** Rows that the remote changed. */
  readonly updated: number
  /** Rows that the remote has no more. */
  readonly deleted: number
  /** Changes that met another change of the same row. */
  readonly conflicts: number
  /** Changes that moved to `rejected()`. */
  readonly rejected: number
}

/** A `TidelockError` as plain data. */
export interface TidelockErrorJson {
  /** Always this one. */
  readonly name: 'TidelockError'
  /** What programs compare. */
  readonly code: ErrorCode
  /** One sentence for people. */
  readonly message: string
  /** Whether the same call may succeed later without any change. */
  readonly retryable: boolean
  /** What to do about it, where that is known. */
  readonly hint?: string
  /** Details for programs, by code. */
  readonly details: Readonly<Record<string, unknown>>
  /** The error underneath, as text. */
  readonly cause?: string
}
