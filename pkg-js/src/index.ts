/**
 * tidelock: a local database for browser apps. SQLite in wasm, durable commits, snapshots, migrations, a lock between tabs,
 * and sync with Supabase or PostgREST.
 *
 * @packageDocumentation
 */
export type { ColumnKey } from './column-key.js'
export { configFromEnv, type EnvConfig } from './config-from-env.js'
export type { PlanRow } from './core.js'
export type { Database } from './database.js'
export { type Check, type Diagnosis, type DoctorOptions, doctor } from './doctor.js'
export type { Encryption } from './encryption.js'
export {
  type ErrorCode,
  isTidelockError,
  TidelockError,
  type TidelockErrorJson,
  type TidelockErrorOptions,
} from './errors.js'
export type {
  ChangeEvent,
  CloseEvent,
  DatabaseEventMap,
  FactsEvent,
  LockEvent,
  MigrationEvent,
  RoleEvent,
  Warning,
} from './events.js'
export type { FileEncryption } from './file-encryption.js'
export type {
  AggregateFunction,
  Collation,
  FunctionResult,
  FunctionsModule,
  FunctionTraits,
  ScalarFunction,
  SqlFunctions,
} from './functions.js'
export {
  type Group,
  type GroupCalls,
  type GroupHealth,
  type GroupMemberState,
  type GroupOptions,
  openGroup,
} from './group.js'
export type { Alert, Health, SlowQuery } from './health.js'
export { healthResponse } from './health-response.js'
export type { LiveOptions, LiveQuery } from './live.js'
export type { MaintenanceReport } from './maintenance.js'
export type {
  Drift,
  DriftEntry,
  ForceOptions,
  GeneratedMigration,
  GenerateOptions,
  LintRemark,
  Migration,
  MigrationReport,
  MigrationRunOptions,
  MigrationStatus,
  Migrations,
  PlannedMigration,
  RanMigration,
} from './migrations.js'
export { migrationsFrom } from './migrations-from.js'
export { open } from './open.js'
export type {
  AuditOptions,
  Conflict,
  ConflictFunction,
  ConflictPolicy,
  ConflictRow,
  Durability,
  HealthThresholds,
  LockOptions,
  OpenOptions,
  RemoteOptions,
  RemoteType,
  SnapshotOptions,
  StorageKind,
  TableSync,
  WasmSource,
} from './options.js'
export { type RecoveryReport, recover } from './recover.js'
export { type SchemaFromRemoteOptions, type SchemaMigration, schemaFromRemote } from './schema-from-remote.js'
export type { SnapshotCopied, SnapshotNotCopied, SnapshotTarget } from './snapshot-copies.js'
export type {
  SnapshotExportOptions,
  SnapshotFile,
  SnapshotInfo,
  SnapshotStatus,
  TargetStatus,
} from './snapshot-info.js'
export type { Snapshots } from './snapshots.js'
export { type SqlFragment, type SqlHelpers, type SqlQuery, type SqlQueryTag, type SqlTag, sql } from './sql.js'
export { type SqlHelpersOptions, sqlHelpers } from './sql-helpers.js'
export { databases, deleteDatabase } from './stored.js'
export type { DatabaseInfo } from './stored-info.js'
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
} from './sync.js'
export {
  type DirectoryTargetOptions,
  directoryTarget,
  type TargetOptions,
  type UploadTargetOptions,
  uploadTarget,
} from './targets.js'
export type { BegunTx, Tx } from './transaction.js'
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
} from './values.js'
