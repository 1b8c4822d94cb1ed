/**
 * tidelock: a local database for browser apps. SQLite in wasm, durable commits, snapshots, migrations, a lock between tabs,
 * and sync with Supabase or PostgREST.
 *
 * @packageDocumentation
 */

import './base/host-types.js'

export type { Database } from './api/database.js'
export type { DatabaseCloseEvent, DatabaseEventMap, HealthEvent, RoleEvent, SnapshotEvent } from './api/events.js'
export { healthResponse } from './api/health-response.js'
export type { LiveOptions, LiveQuery } from './api/live.js'
export type { ColumnOf, LiveChangesOptions, LiveChangesReader } from './api/live-changes.js'
export type { LiveQueryInfo } from './api/live-queries.js'
export type { LiveWindow } from './api/live-window.js'
export type {
  ForceOptions,
  GenerateOptions,
  Migration,
  MigrationRunOptions,
  Migrations,
} from './api/migrations.js'
export { migrationsFrom } from './api/migrations-from.js'
export type { LiveChanges, MovedRow, PlacedRow, UpdatedRow } from './api/row-changes.js'
export type { Snapshots } from './api/snapshots.js'
export type { PullOptions, PushOptions, RunReport, StartOptions, Sync } from './api/sync.js'
export type { ManualTransaction, Tx } from './api/transaction.js'
export type { Encryption } from './base/encryption.js'
export type { ErrorDetails, KnownErrorDetails, LockHolder, SqliteCode } from './base/error-details.js'
export { isTidelockError, TidelockError, type TidelockErrorOf, type TidelockErrorOptions } from './base/errors.js'
export type { Warning, WarningCode } from './base/events.js'
export type {
  Alert,
  AlertCode,
  ChangeEvent,
  ChangeReason,
  Conflict,
  ConflictEntry,
  Drift,
  DriftEntry,
  ErrorCode,
  FlushEvent,
  GeneratedMigration,
  Health,
  HistoryPoint,
  LintFinding,
  LockEvent,
  MaintenanceReport,
  MigrationEvent,
  MigrationReport,
  MigrationResult,
  MigrationStatus,
  OutboxEntry,
  PlannedMigration,
  PlanRow,
  PullProgress,
  PullReport,
  PushReport,
  RecoveryReport,
  SchemaScript,
  SlowQuery,
  SnapshotHistory,
  SnapshotInfo,
  SnapshotVerification,
  SyncEvent,
  SyncPhase,
  SyncStatus,
  TablePullReport,
  TablePushReport,
  TidelockErrorJson,
} from './base/generated-types.js'
export type { CompiledQuery, DrizzleQuery, DrizzleRow, KyselyQuery } from './base/query-builder.js'
export {
  type SqlFragment,
  type SqlQuery,
  type SqlQueryTag,
  type SqlTag,
  type SqlTagHelpers,
  type SqlTemplateValue,
  sql,
} from './base/sql.js'
export type {
  ArrayQueryOptions,
  ByteSource,
  Bytes,
  CallOptions,
  NamedParams,
  QueryOptions,
  Row,
  RowMode,
  RunResult,
  SqlParams,
  SqlResultValue,
  SqlValue,
  Statement,
  TransactionOptions,
} from './base/values.js'
export type { FileEncryption } from './files/file-encryption.js'
export type { SnapshotCopied, SnapshotCopyFailed, SnapshotTarget } from './files/snapshot-copies.js'
export type {
  PointInTime,
  SnapshotExportOptions,
  SnapshotFile,
  SnapshotStatus,
  TargetStatus,
} from './files/snapshot-info.js'
export {
  type DirectoryTargetOptions,
  directoryTarget,
  type TargetOptions,
  type UploadTargetOptions,
  uploadTarget,
} from './files/targets.js'
export type { ColumnKey } from './functions/column-key.js'
export type {
  AggregateFunction,
  Collation,
  FunctionOptions,
  FunctionResult,
  FunctionsModule,
  ScalarFunction,
  SqlFunctions,
} from './functions/functions.js'
export { databases } from './open/databases.js'
export { deleteDatabase } from './open/delete-database.js'
export { type Check, type DoctorOptions, type DoctorReport, doctor } from './open/doctor.js'
export {
  type Group,
  type GroupCalls,
  type GroupHealth,
  type GroupMemberState,
  type GroupOptions,
  openGroup,
} from './open/group.js'
export { type LastRowsOptions, lastRows } from './open/last-rows.js'
export { type MoveStorageOptions, moveStorage } from './open/move-storage.js'
export { open } from './open/open.js'
export { recover } from './open/recover.js'
export { type SchemaFromRemoteOptions, type SchemaMigration, schemaFromRemote } from './open/schema-from-remote.js'
export type { DatabaseInfo } from './open/stored-info.js'
export { configFromEnv, type EnvConfig } from './options/config-from-env.js'
export type {
  AuditOptions,
  Durability,
  HealthThresholds,
  LockOptions,
  OpenOptions,
  SnapshotOptions,
  StorageKind,
  WasmSource,
} from './options/options.js'
export type {
  ConflictFunction,
  ConflictPolicy,
  ConflictRow,
  FilterFunction,
  RemoteOptions,
  RemoteType,
  TableFilter,
  TableSync,
} from './remote/remote-options.js'
export type { RequestEvent } from './remote/request.js'
export { type SqlHelpersOptions, sqlHelpers } from './remote/sql-helpers.js'
export type { SupabaseLike, SupabaseSession } from './remote/supabase-types.js'
