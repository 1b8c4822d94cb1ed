//! The result of `health()`. Names and meanings are those of the public contract; times are ISO 8601 text.

use serde::Serialize;

use crate::{error::Error, time::Timestamp};

/// The verdict. `degraded`: there is a warning; `failed`: closed, lock lost, or can't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "HealthStatus"))]
pub enum Status {
    /// Nothing to worry about.
    Ok,
    /// It works, but something needs attention: there is a warning.
    Degraded,
    /// It is closed, its lock is lost, or it can't be written.
    Failed,
}

/// How grave an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "AlertSeverity"))]
pub enum Severity {
    /// Good to know.
    Info,
    /// Makes the database `degraded`.
    Warning,
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum AlertCode {
    /// No snapshot for a day, though the database is older than that and was changed since the last one.
    NoRecentSnapshot,
    /// The last try of a snapshot failed.
    SnapshotFailing,
    /// In cloud mode, the last complete sync lies more than 5 minutes back.
    SyncLag,
    /// The last migration failed.
    MigrationFailed,
    /// More than 80 % of the origin's quota is in use.
    StorageNearlyFull,
    /// Commits can't be stored at present.
    FlushFailing,
    /// The remote refused local changes for good.
    RejectedChanges,
    /// Local changes wait for columns that the remote lacks.
    RemoteColumnMissing,
    /// The database doubled in a day.
    Growth,
    /// The browser may evict the data when space gets short.
    StorageNotPersisted,
    /// The last maintenance found damage in the file.
    IntegrityFailed,
    /// The last maintenance found foreign key violations.
    ForeignKeysViolated,
}

/// Something that deserves attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Alert {
    /// What it is about; of a database whose engine has ended or can't be loaded, the code of that error.
    #[cfg_attr(test, ts(type = "AlertCode | ErrorCode"))]
    pub code: AlertCode,
    /// How grave it is.
    pub severity: Severity,
    /// One sentence for people.
    pub message: String,
}

/// How a database is: what `health()` gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Health {
    /// The verdict.
    pub status: Status,
    /// `cloud`: it keeps in step with its remote by itself.
    #[cfg_attr(test, ts(type = "Mode"))]
    pub database: &'static str,
    /// The database's name.
    pub name: String,
    /// When this was found.
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
    /// The statements that ran.
    pub queries: QueriesHealth,
    /// What deserves attention.
    pub alerts: Vec<Alert>,
}

/// How the snapshots are doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SnapshotHealth {
    /// When one was last tried.
    pub last_attempt: Option<Timestamp>,
    /// When one last succeeded; a scheduled one with nothing to do succeeds.
    pub last_success: Option<Timestamp>,
    /// Why the last try failed; `None` once one succeeded.
    pub last_error: Option<Error>,
    /// Failed tries since the last success.
    pub consecutive_failures: u32,
    /// When the next scheduled one is due.
    pub next_at: Option<Timestamp>,
    /// How many there are.
    pub count: usize,
    /// Bytes of their chunks, each counted once.
    pub bytes: u64,
}

/// Whether the lock is held; `none` where there is none to take, with `storage: 'memory'`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum LockState {
    /// It is.
    Held,
    /// It was taken away.
    Lost,
    /// It was given back: the database is closed.
    Released,
    /// There is none to take: `storage: 'memory'`.
    None,
}

/// The lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LockHealth {
    /// Whether it is held.
    pub state: LockState,
    /// Since when.
    pub since: Option<Timestamp>,
    /// How often the database was opened: its fence.
    pub epoch: Option<u64>,
}

/// The migrations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MigrationsHealth {
    /// The newest applied version.
    pub current: Option<String>,
    /// How many are to be run.
    pub pending: usize,
    /// How many were changed after they had been applied.
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
    /// When a write's promise resolves.
    #[cfg_attr(test, ts(type = "Durability"))]
    pub durability: &'static str,
    /// Bytes of the database.
    pub bytes: u64,
    /// Bytes of the page log.
    pub log_bytes: u64,
    /// Bytes that the origin uses; `None` when that isn't known.
    pub usage: Option<u64>,
    /// Bytes that it may use; `None` when that isn't known.
    pub quota: Option<u64>,
    /// Whether the browser promised not to evict it; `None` when that isn't known.
    pub persisted: Option<bool>,
    /// Why commits can't be stored at present.
    pub last_error: Option<Error>,
}

/// The sync.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SyncHealth {
    /// What it does at present; `off` without a remote.
    #[cfg_attr(test, ts(type = "SyncPhase | 'off'"))]
    pub phase: &'static str,
    /// Local changes that the remote hasn't got.
    pub pending: u64,
    /// Changes that it refused for good.
    pub rejected: u64,
    /// Milliseconds since the last complete sync.
    pub lag_ms: Option<i64>,
    /// Why the last one failed; `None` once one succeeded.
    pub last_error: Option<Error>,
}

/// The statements that ran since the database was opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct QueriesHealth {
    /// How many.
    pub count: u64,
    /// How many failed.
    pub errors: u64,
    /// The median of the latest ones.
    pub p50_ms: f64,
    /// What 95 % of the latest ones didn't exceed.
    pub p95_ms: f64,
    /// The slowest, slowest first.
    pub slow: Vec<SlowQuery>,
}

/// A slow statement. Its text as it was written: without the values that were bound to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SlowQuery {
    /// Its text, cut.
    pub sql: String,
    /// How long it took at its slowest.
    pub ms: f64,
    /// When that was.
    pub at: Timestamp,
    /// How SQLite would run it now, step by step; empty when it can't be told.
    pub plan: Vec<String>,
}
