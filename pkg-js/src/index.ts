/**
 * tidelock: a local database for browser apps. SQLite in wasm, durable commits, snapshots, migrations, a lock between tabs,
 * and sync with Supabase or PostgREST.
 *
 * @packageDocumentation
 */

export type { Database } from './api/database.js'
export type { Alert, Health, SlowQuery } from './api/health.js'
export { healthResponse } from './api/health-response.js'
export type { LiveOptions, LiveQuery } from './api/live.js'
export type { MaintenanceReport } from './api/maintenance.js'
export type {
  Drift,
  DriftEntry,
  ForceOptions,
  GeneratedMigration,
  GenerateOptions,
  LintFinding,
  Migration,
  MigrationReport,
  MigrationResult,
  MigrationRunOptions,
  MigrationStatus,
  Migrations,
  PlannedMigration,
} from './api/migrations.js'
export { migrationsFrom } from './api/migrations-from.js'
export type { Snapshots } from './api/snapshots.js'
export type {
  ConflictEntry,
  OutboxEntry,
  PullOptions,
  PullProgress,
  PullReport,
  PushOptions,
  PushReport,
  RunReport,
  StartOptions,
  Sync,
  SyncStatus,
  TablePullReport,
  TablePushReport,
} from './api/sync.js'
export type { ManualTransaction, Tx } from './api/transaction.js'
export type { Encryption } from './base/encryption.js'
export {
  type ErrorCode,
  isTidelockError,
  TidelockError,
  type TidelockErrorJson,
  type TidelockErrorOptions,
} from './base/errors.js'
export type {
  ChangeEvent,
  CloseEvent,
  DatabaseEventMap,
  FactsEvent,
  LockEvent,
  MigrationEvent,
  RoleEvent,
  Warning,
} from './base/events.js'
export { type SqlFragment, type SqlQuery, type SqlQueryTag, type SqlTag, type SqlTagHelpers, sql } from './base/sql.js'
export type {
  ArrayQueryOptions,
  CallOptions,
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
export type { PlanRow } from './engine/core.js'
export type { FileEncryption } from './files/file-encryption.js'
export type { SnapshotCopied, SnapshotCopyFailed, SnapshotTarget } from './files/snapshot-copies.js'
export type {
  SnapshotExportOptions,
  SnapshotFile,
  SnapshotInfo,
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
export { type Check, type DoctorOptions, type DoctorReport, doctor } from './open/doctor.js'
export {
  type Group,
  type GroupCalls,
  type GroupHealth,
  type GroupMemberState,
  type GroupOptions,
  openGroup,
} from './open/group.js'
export { open } from './open/open.js'
export { type RecoveryReport, recover } from './open/recover.js'
export { type SchemaFromRemoteOptions, type SchemaMigration, schemaFromRemote } from './open/schema-from-remote.js'
export { databases, deleteDatabase } from './open/stored.js'
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
  Conflict,
  ConflictFunction,
  ConflictPolicy,
  ConflictRow,
  RemoteOptions,
  RemoteType,
  TableSync,
} from './remote/remote-options.js'
export { type SqlHelpersOptions, sqlHelpers } from './remote/sql-helpers.js'
