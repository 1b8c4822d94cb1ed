//! The result of `health()`. Names and meanings are those of the public contract; times are ISO 8601 text.

use serde::Serialize;

use crate::{error::Error, sqlite::CacheUsage, time::Timestamp};

/// The overall status. `degraded`: there is a warning; `failed`: closed, lock lost, or writes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum HealthStatus {
    /// No alert is a warning.
    Ok,
    /// The database works, but there is a warning.
    Degraded,
    /// The database is closed, its lock is lost, or writes are refused.
    Failed,
}

/// The severity of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum AlertSeverity {
    /// For information only.
    Info,
    /// Makes the status `degraded`.
    Warning,
}

/// The cause of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum AlertCode {
    /// The last snapshot is more than a day old, and there were commits since.
    NoRecentSnapshot,
    /// The last attempt of a snapshot failed.
    SnapshotFailing,
    /// In cloud mode, the last complete sync is more than 5 minutes old.
    SyncLag,
    /// The last migration failed.
    MigrationFailed,
    /// More than 80 % of the origin's quota is in use.
    StorageNearlyFull,
    /// Commits can't be stored.
    FlushFailing,
    /// The remote rejected local changes.
    RejectedChanges,
    /// Local changes wait for columns that are missing at the remote.
    RemoteColumnMissing,
    /// The database doubled its size in a day.
    Growth,
    /// The browser may evict the data when disk space is low.
    StorageNotPersisted,
    /// The last maintenance found damage in the file.
    IntegrityFailed,
    /// The last maintenance found foreign key violations.
    ForeignKeysViolated,
}

/// A condition that needs attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Alert {
    /// The cause; if the engine has ended or can't be loaded, the code of that error.
    #[cfg_attr(test, ts(type = "AlertCode | ErrorCode"))]
    pub code: AlertCode,
    /// The severity.
    pub severity: AlertSeverity,
    /// A description for people.
    pub message: String,
}

/// The health of a database: the result of `health()`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Health {
    /// The overall status.
    pub status: HealthStatus,
    /// `cloud`: the database syncs automatically.
    #[cfg_attr(test, ts(type = "Mode"))]
    pub database: &'static str,
    /// The database's name.
    pub name: String,
    /// The time of the report.
    pub timestamp: Timestamp,
    /// The snapshots.
    pub snapshot: SnapshotHealth,
    /// The lock.
    pub lock: LockHealth,
    /// The migrations.
    pub migrations: MigrationsHealth,
    /// The storage.
    pub storage: StorageHealth,
    /// The sync.
    pub sync: SyncHealth,
    /// Statistics of the executed statements.
    pub queries: QueriesHealth,
    /// The conditions that need attention.
    pub alerts: Vec<Alert>,
}

/// The status of the periodic snapshots.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SnapshotHealth {
    /// The time of the last attempt.
    pub last_attempt: Option<Timestamp>,
    /// The time of the last success. A scheduled snapshot without new commits counts as success.
    pub last_success: Option<Timestamp>,
    /// The error of the last attempt; `null` if it succeeded.
    pub last_error: Option<Error>,
    /// The number of failed attempts since the last success.
    pub consecutive_failures: u32,
    /// When the next scheduled snapshot is due.
    pub next_at: Option<Timestamp>,
    /// The number of snapshots.
    pub count: usize,
    /// The bytes of their chunks; shared chunks count once.
    pub bytes: u64,
}

/// The state of the lock; `none` with `storage: 'memory'`, which needs no lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum LockState {
    /// This tab or process holds the lock.
    Held,
    /// The lock was stolen.
    Lost,
    /// The lock was released: the database is closed.
    Released,
    /// There is no lock: `storage: 'memory'`.
    None,
}

/// The lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LockHealth {
    /// The state of the lock.
    pub state: LockState,
    /// When the lock was acquired.
    pub since: Option<Timestamp>,
    /// The epoch of the fence: the number of openings of the database.
    pub epoch: Option<u64>,
}

/// The migrations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MigrationsHealth {
    /// The newest applied version.
    pub current: Option<String>,
    /// The number of pending migrations.
    pub pending: usize,
    /// The number of migrations that were changed after they were applied.
    pub modified: usize,
}

/// The storage.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StorageHealth {
    /// Where the data lives.
    #[cfg_attr(test, ts(type = "StorageKind"))]
    pub kind: &'static str,
    /// When the promise of a write resolves.
    #[cfg_attr(test, ts(type = "Durability"))]
    pub durability: &'static str,
    /// The size of the database in bytes.
    pub bytes: u64,
    /// The size of the page log in bytes.
    pub log_bytes: u64,
    /// The bytes that the origin uses; `null` if unknown.
    pub usage: Option<u64>,
    /// The bytes that the origin may use; `null` if unknown.
    pub quota: Option<u64>,
    /// Whether the browser agreed not to evict the data; `null` if unknown.
    pub persisted: Option<bool>,
    /// The use of the page cache; `null` if all of the database is in memory.
    pub cache: Option<CacheUsage>,
    /// Why commits can't be stored; `null` if they can.
    pub last_error: Option<Error>,
}

/// The sync.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SyncHealth {
    /// The current phase; `off` without a remote.
    #[cfg_attr(test, ts(type = "SyncPhase | 'off'"))]
    pub phase: &'static str,
    /// The number of local changes that were not pushed.
    pub pending: u64,
    /// The number of local changes that the remote rejected.
    pub rejected: u64,
    /// Milliseconds since the last complete sync.
    pub lag_ms: Option<i64>,
    /// The error of the last sync; `null` if it succeeded.
    pub last_error: Option<Error>,
}

/// Statistics of the statements since the database was opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct QueriesHealth {
    /// The number of statements.
    pub count: u64,
    /// The number of failed statements.
    pub errors: u64,
    /// The median duration of the latest statements, in milliseconds.
    pub p50_ms: f64,
    /// The 95th percentile of the latest durations, in milliseconds.
    pub p95_ms: f64,
    /// The slowest statements, slowest first.
    pub slow: Vec<SlowQuery>,
}

/// A slow statement, without the values of its parameters.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SlowQuery {
    /// The SQL text, truncated.
    pub sql: String,
    /// The longest duration in milliseconds.
    pub ms: f64,
    /// When that execution ended.
    pub at: Timestamp,
    /// The current query plan, one entry per step; empty if the statement no longer compiles.
    pub plan: Vec<String>,
}
