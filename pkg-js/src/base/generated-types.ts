// The types of results and events of the wasm module, generated from the serialized Rust types. `cargo test --lib
// typescript` compares them. After a change of the Rust types: UPDATE_TYPES=1 cargo test --lib typescript

import type { SqlResultValue } from './values.js'

/** A condition that needs attention. */
export interface Alert {
  /** The cause; if the engine has ended or can't be loaded, the code of that error. */
  readonly code: AlertCode | ErrorCode
  /** The severity. */
  readonly severity: AlertSeverity
  /** A description for people. */
  readonly message: string
}

/** The cause of an alert. */
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

/** The severity of an alert. */
export type AlertSeverity = 'info' | 'warning'

/** How the page cache was used since the database was opened. */
export interface CacheHealth {
  /** The bytes in memory: the cache, and what was changed. */
  readonly bytes: number
  /** The limit of the cache in bytes. */
  readonly limit: number
  /** Reads of a chunk that was in the cache. */
  readonly hits: number
  /** Reads of a chunk that was not. */
  readonly misses: number
  /** Chunks that left the cache for others. */
  readonly evictions: number
}

/** The detail of a `change` event: the changes of a commit. */
export interface ChangeEvent {
  /** The tables whose rows changed, spelled as in the schema. */
  readonly tables: readonly string[]
  /** Whether any table may have changed: the schema changed, or the contents were replaced. */
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

/** A row that changed on both sides. */
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

/** A recorded conflict, and the local row after its resolution. */
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

/**
 * The differences between the actual schema and that of the migrations. Columns of added and removed tables aren't
 * listed.
 */
export interface Drift {
  /** Objects that exist, though no migration creates them. */
  readonly added: readonly DriftEntry[]
  /** Objects that don't exist, though a migration creates them. */
  readonly removed: readonly DriftEntry[]
  /** Objects that differ from those that the migrations create. */
  readonly changed: readonly DriftEntry[]
  /** The versions of applied migrations that were skipped: functions, which only the app can run. */
  readonly skipped?: readonly string[]
}

/** A difference between the actual schema and that of the migrations. */
export interface DriftEntry {
  /** The kind of the object. */
  readonly kind: SchemaObjectKind
  /** The name of the object. */
  readonly name: string
  /** The table of a column, an index or a trigger. */
  readonly table?: string
  /**
   * The definition by the migrations, for removed and changed objects: type and constraints of a column; constraints
   * and options of a changed table; else the statement.
   */
  readonly expected?: string
  /** The actual definition, for added and changed objects. */
  readonly actual?: string
}

/** When the promise of a write resolves. */
export type Durability = 'strict' | 'relaxed' | 'deferred' | 'snapshot'

/** The detail of a `close` event. */
export interface EngineCloseEvent {
  /** Why the database was closed. */
  readonly reason: CloseReason
}

/** An event. TypeScript receives it as `{ type, detail }`. */
export type EngineEvent =
  | { readonly type: 'warning'; readonly detail: EngineWarning }
  | { readonly type: 'change'; readonly detail: ChangeEvent }
  | { readonly type: 'live'; readonly detail: LiveEvent }
  | { readonly type: 'lock'; readonly detail: LockEvent }
  | { readonly type: 'snapshot'; readonly detail: EngineSnapshotEvent }
  | { readonly type: 'sync'; readonly detail: SyncEvent }
  | { readonly type: 'migration'; readonly detail: MigrationEvent }
  | { readonly type: 'health'; readonly detail: FlushEvent }
  | { readonly type: 'close'; readonly detail: EngineCloseEvent }

/** The detail of a `snapshot` event. */
export type EngineSnapshotEvent =
  | {
      readonly state: 'created'
      /** The new snapshot. */
      readonly snapshot: SnapshotInfo
    }
  | {
      readonly state: 'failed'
      /** Why it was attempted. */
      readonly reason: SnapshotReason
      /** Why it failed. */
      readonly error: TidelockErrorJson
    }

/** A problem that needs attention, but stopped no operation. */
export interface EngineWarning {
  /** The stable code, for programs. */
  readonly code: EngineWarningCode
  /** A description for people. */
  readonly message: string
}

/** The stable code of a warning. */
export type EngineWarningCode =
  | 'snapshot_corrupt'
  | 'storage_damaged'
  | 'storage_lost'
  | 'realtime_unavailable'
  | 'integrity_failed'
  | 'foreign_keys_violated'
  | 'audit_table_missing'
  | 'audit_column_missing'

/** The stable code of an error, which programs may compare. The texts never change. */
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

/** The expired rows of one table. */
export interface ExpiredRows {
  /** The table. */
  readonly table: string
  /** The number of deleted rows. */
  readonly deleted: number
}

/** The detail of a `health` event: whether commits can be stored. */
export interface FlushEvent {
  /** Why commits can't be stored; null when they can be stored again. */
  readonly error: TidelockErrorJson | null
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
  /** The script from the current schema to the wanted one; empty when they don't differ. */
  readonly up: string
  /** The script back. */
  readonly down: string
  /** Descriptions of the data that `up` deletes. Each is also a comment in the script. */
  readonly destructive: readonly string[]
}

/** The health of a database: the result of `health()`. */
export interface Health {
  /** The overall status. */
  readonly status: HealthStatus
  /** `cloud`: the database syncs automatically. */
  readonly database: Mode
  /** The database's name. */
  readonly name: string
  /** The time of the report. */
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
  /** Statistics of the executed statements. */
  readonly queries: QueriesHealth
  /** The conditions that need attention. */
  readonly alerts: readonly Alert[]
}

/** The overall status. `degraded`: there is a warning; `failed`: closed, lock lost, or writes are refused. */
export type HealthStatus = 'ok' | 'degraded' | 'failed'

/** A stored state of the database that can be restored. */
export interface HistoryPoint {
  /** The number of its commit in the page log. */
  readonly lsn: number
  /** When it was stored, ISO 8601. */
  readonly at: string
  /** The database's size in bytes. */
  readonly bytes: number
}

/** The kind of a lint finding. */
export type LintCode =
  | 'drop_table'
  | 'drop_column'
  | 'delete_without_where'
  | 'not_null_without_default'
  | 'no_down'
  | 'pragma_without_effect'
  | 'pragma_refused'
  | 'own_transaction'

/** A lint finding on a migration. */
export interface LintFinding {
  /** The kind of finding. */
  readonly code: LintCode
  /** The version of the migration. */
  readonly version: string
  /** The line in its `up`, from 1; 1 for findings on the whole migration. */
  readonly line: number
  /** A description for people. */
  readonly message: string
}

/** The live queries to run again. */
export interface LiveEvent {
  /** Their ids, as `watch` returned them. */
  readonly ids: readonly number[]
}

/** The SQL of a migration. */
export interface LocalSchema {
  /** Creates the tables, parents first. */
  readonly up: string
  /** Drops them. */
  readonly down: string
  /**
   * Tables that can't be synced: without a primary key, with a name of an internal table, or with names that SQLite, which
   * ignores case, takes for the same.
   */
  readonly leftOut: readonly string[]
}

/** How the lock was lost. */
export type LockChange = 'released' | 'lost'

/** The detail of a `lock` event. */
export interface LockEvent {
  /**
   * `released`: another tab requested the database, and this tab closed it; or a tab with a newer version of the app
   * leads now, and every call rejects with `schema_too_new`. `lost`: another tab stole the lock; every call except
   * `close()` rejects with `lock_lost`.
   */
  readonly state: LockChange
}

/** The lock. */
export interface LockHealth {
  /** The state of the lock. */
  readonly state: LockState
  /** When the lock was acquired. */
  readonly since: string | null
  /** The epoch of the fence: the number of openings of the database. */
  readonly epoch: number | null
}

/** The state of the lock; `none` with `storage: 'memory'`, which needs no lock. */
export type LockState = 'held' | 'lost' | 'released' | 'none'

/** A range of the log. */
export interface LogRange {
  /** Its first lsn. */
  readonly from: number
  /** Its last lsn. */
  readonly to: number
}

/** A failed step. */
export interface MaintenanceFailure {
  /** The step. */
  readonly step: MaintenanceStep
  /** The table that the step processed, if it has one. */
  readonly table: string | null
  /** Why it failed. */
  readonly error: TidelockErrorJson
}

/** The findings and actions of a maintenance. */
export interface MaintenanceReport {
  /** Whether there are no findings and no failed steps. */
  readonly ok: boolean
  /** The findings of SQLite's `integrity_check`, at most 100. If there are any, nothing was written. */
  readonly integrity: readonly string[]
  /** Foreign key violations, at most 100. */
  readonly foreignKeys: readonly ForeignKeyViolation[]
  /** The deleted rows of each table of the option `expires`. */
  readonly expired: readonly ExpiredRows[]
  /** The number of deleted rows of the audit log. */
  readonly auditDeleted: number
  /** The number of released free pages. */
  readonly freedPages: number
  /** The bytes of the released pages. */
  readonly freedBytes: number
  /** Whether the statistics of the query planner were updated. */
  readonly analyzed: boolean
  /** The failed steps. The other steps ran. */
  readonly errors: readonly MaintenanceFailure[]
  /** The duration in milliseconds. */
  readonly ms: number
}

/** A step of maintenance. */
export type MaintenanceStep = 'integrity' | 'foreignKeys' | 'expires' | 'audit' | 'vacuum' | 'analyze'

/** The direction in which a migration runs. */
export type MigrationDirection = 'up' | 'down'

/** The detail of a `migration` event: a migration is about to run. */
export interface MigrationEvent {
  /** The version of the migration. */
  readonly version: string
  /** The name of the migration. */
  readonly name: string
  /** Whether it is applied or reverted. */
  readonly direction: MigrationDirection
  /** The number of finished migrations of this run. */
  readonly done: number
  /** The number of migrations of this run. */
  readonly total: number
}

/** The result of a run of migrations. In a dry run, `applied` and `reverted` are empty. */
export interface MigrationReport {
  /** The planned migrations, in order. */
  readonly planned: readonly PlannedMigration[]
  /** The applied migrations, in order. */
  readonly applied: readonly MigrationResult[]
  /** The reverted migrations, in order. */
  readonly reverted: readonly MigrationResult[]
}

/** A migration that ran. */
export interface MigrationResult {
  /** The version. */
  readonly version: string
  /** The name. */
  readonly name: string
  /** The duration in milliseconds. */
  readonly executionMs: number
}

/** The state of a version. */
export type MigrationState = 'applied' | 'pending' | 'modified' | 'missing' | 'out_of_order'

/** The status of one version. */
export interface MigrationStatus {
  /** The version, as supplied, else as applied. */
  readonly version: string
  /** The name, as supplied, else as applied. */
  readonly name: string
  /** Its state. */
  readonly state: MigrationState
  /** The checksum with which it was applied, else the supplied one. */
  readonly checksum: string
  /** When it was applied, as ISO 8601 text. */
  readonly appliedAt: string | null
  /** The duration in milliseconds; 0 if it was only marked as applied. */
  readonly executionMs: number | null
  /** Whether it is supplied with a `down`. */
  readonly reversible: boolean
}

/** The migrations. */
export interface MigrationsHealth {
  /** The newest applied version. */
  readonly current: string | null
  /** The number of pending migrations. */
  readonly pending: number
  /** The number of migrations that were changed after they were applied. */
  readonly modified: number
}

/** Whether the database syncs automatically. */
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
   * with an unsent value was dropped, or left out of `columns`), `restored` with a snapshot, or `unapplied`: a row of the remote that the local schema refuses.
   * Of one that waits for something: `held_back` by another one or as its table isn't pushed, `retrying`, or `remote_column_missing`.
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

/** A planned migration. */
export interface PlannedMigration {
  /** The version. */
  readonly version: string
  /** The name. */
  readonly name: string
  /** Whether it is applied or reverted. */
  readonly direction: MigrationDirection
  /** In a dry run, the script that would run; `null` for a function. Otherwise missing. */
  readonly sql?: string | null
}

/** How pulled rows are combined with local ones. */
export type PullMode = 'merge' | 'replace'

/** The progress of a pull or a push. */
export interface PullProgress {
  /** The table being read. */
  readonly table: string
  /** Rows read so far. */
  readonly rows: number
  /** Rows to read, where the remote counts them. */
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

/** Statistics of the statements since the database was opened. */
export interface QueriesHealth {
  /** The number of statements. */
  readonly count: number
  /** The number of failed statements. */
  readonly errors: number
  /** The median duration of the latest statements, in milliseconds. */
  readonly p50Ms: number
  /** The 95th percentile of the latest durations, in milliseconds. */
  readonly p95Ms: number
  /** The slowest statements, slowest first. */
  readonly slow: readonly SlowQuery[]
}

/** The result of recovering a database. */
export interface RecoveryReport {
  /** The snapshot (or internal checkpoint) on which the recovered state is based; `null`: the log alone. */
  readonly snapshotId: string | null
  /** The time of the last commit in the recovered state; `null` for a snapshot without a commit. */
  readonly recoveredTo: string | null
  /** The number of stored batches of commits that could not be applied. */
  readonly lostBatches: number
  /** The quarantined range of the log, which is kept for seven days; `null`: all of the log was used. */
  readonly quarantined: LogRange | null
  /** The size of the recovered database in bytes. */
  readonly bytes: number
  /** Descriptions of damaged snapshots and missing rows, and the findings of SQLite's `quick_check` on the rest. */
  readonly problems: readonly string[]
  /** Whether anything was written; `false`: the database was intact, and is unchanged. */
  readonly changed: boolean
}

/** The kind of a schema object. */
export type SchemaObjectKind = 'table' | 'column' | 'index' | 'view' | 'trigger'

/** A script that changes a schema. */
export interface SchemaScript {
  /** The statements, with comments. */
  readonly sql: string
  /** Descriptions of the data that the script deletes. */
  readonly destructive: readonly string[]
}

/** A slow statement, without the values of its parameters. */
export interface SlowQuery {
  /** The SQL text, truncated. */
  readonly sql: string
  /** The longest duration in milliseconds. */
  readonly ms: number
  /** When that execution ended. */
  readonly at: string
  /** The current query plan, one entry per step; empty if the statement no longer compiles. */
  readonly plan: readonly string[]
}

/** The status of the periodic snapshots. */
export interface SnapshotHealth {
  /** The time of the last attempt. */
  readonly lastAttempt: string | null
  /** The time of the last success. A scheduled snapshot without new commits counts as success. */
  readonly lastSuccess: string | null
  /** The error of the last attempt; `null` if it succeeded. */
  readonly lastError: TidelockErrorJson | null
  /** The number of failed attempts since the last success. */
  readonly consecutiveFailures: number
  /** When the next scheduled snapshot is due. */
  readonly nextAt: string | null
  /** The number of snapshots. */
  readonly count: number
  /** The bytes of their chunks; shared chunks count once. */
  readonly bytes: number
}

/** What can be restored: the stored commits of the page log, and the snapshots. */
export interface SnapshotHistory {
  /** The first time that can be restored, ISO 8601; null: nothing is stored yet. */
  readonly oldest: string | null
  /** The newest of the states that can be restored, in their order. */
  readonly points: readonly HistoryPoint[]
  /** How many older states aren't in `points`. */
  readonly omitted: number
  /** All snapshots, newest first. */
  readonly snapshots: readonly SnapshotInfo[]
  /** Descriptions of damage of the page log: the states behind it aren't in `points`. */
  readonly errors: readonly string[]
}

/** One snapshot. */
export interface SnapshotInfo {
  /** Its generation, as text. */
  readonly id: string
  /** When it was taken. */
  readonly createdAt: string
  /** The database's size in bytes. */
  readonly bytes: number
  /** The bytes that it added to the storage, without the copy of its first 64 KiB; unchanged chunks are shared. */
  readonly storedBytes: number
  /** SHA-256 over the chunks' SHA-256 in order, 64 hex digits. */
  readonly sha256: string
  /** The user's label. */
  readonly label: string | null
  /** Why it was taken. */
  readonly reason: SnapshotReason
  /** Whether the stored data was read back and compared. */
  readonly verified: boolean
  /** The newest migration applied in it. */
  readonly schemaVersion: string | null
}

/** Why a snapshot was taken. */
export type SnapshotReason = 'manual' | 'scheduled' | 'hidden' | 'safety'

/** The result of `verify(id)`. */
export interface SnapshotVerification {
  /** Whether there are no errors. */
  readonly ok: boolean
  /** Descriptions of the errors. */
  readonly errors: readonly string[]
}

/** The storage. */
export interface StorageHealth {
  /** Where the data lives. */
  readonly kind: StorageKind
  /** When the promise of a write resolves. */
  readonly durability: Durability
  /** The size of the database in bytes. */
  readonly bytes: number
  /** The size of the page log in bytes. */
  readonly logBytes: number
  /** The bytes that the origin uses; `null` if unknown. */
  readonly usage: number | null
  /** The bytes that the origin may use; `null` if unknown. */
  readonly quota: number | null
  /** Whether the browser agreed not to evict the data; `null` if unknown. */
  readonly persisted: boolean | null
  /** The use of the page cache; `null` if all of the database is in memory. */
  readonly cache: CacheHealth | null
  /** Why commits can't be stored; `null` if they can. */
  readonly lastError: TidelockErrorJson | null
}

/** Where the data lives. */
export type StorageKind = 'indexeddb' | 'opfs' | 'file' | 'memory'

/** The description of a stored database that isn't opened for it. */
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
  /** The current phase; `off` without a remote. */
  readonly phase: SyncPhase | 'off'
  /** The number of local changes that were not pushed. */
  readonly pending: number
  /** The number of local changes that the remote rejected. */
  readonly rejected: number
  /** Milliseconds since the last complete sync. */
  readonly lagMs: number | null
  /** The error of the last sync; `null` if it succeeded. */
  readonly lastError: TidelockErrorJson | null
}

/** What sync is doing. */
export type SyncPhase = 'idle' | 'pulling' | 'pushing'

/** The sync status of one table. */
export interface SyncStatus {
  /** The local table. */
  readonly table: string
  /** What sync is doing with it. */
  readonly phase: SyncPhase
  /** When its last complete pull ended, ISO 8601. */
  readonly lastPulledAt: string | null
  /** When its last complete push ended, ISO 8601. */
  readonly lastPushedAt: string | null
  /** Its local rows. */
  readonly rows: number
  /** Its changes that wait to be pushed. */
  readonly pending: number
  /** Its changes that were refused permanently. */
  readonly rejected: number
  /** Milliseconds since its last complete pull. */
  readonly lagMs: number | null
  /** Why its last pull failed, else its last push, until one of the same kind succeeds; `details.time` is when. */
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
  /** Rows that were deleted. */
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
  /** Whether it continued where an earlier pull was interrupted. */
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
  /** Rows that the remote deleted. */
  readonly deleted: number
  /** Changes that conflicted with a remote change of the same row. */
  readonly conflicts: number
  /** Changes that moved to `rejected()`. */
  readonly rejected: number
}

/** A `TidelockError` as plain data. */
export interface TidelockErrorJson {
  /** The class of the error: always `TidelockError`. */
  readonly name: 'TidelockError'
  /** The stable code, for programs. */
  readonly code: ErrorCode
  /** A description for people. */
  readonly message: string
  /** Whether the same call may succeed later without any change. */
  readonly retryable: boolean
  /** What to do, if known. */
  readonly hint?: string
  /** Details for programs, by code. */
  readonly details: Readonly<Record<string, unknown>>
  /** The error underneath, as text. */
  readonly cause?: string
}
