//! The events that a database emits.

use serde::Serialize;

use super::{migrations::host::MigrationEvent, storage::snapshots::SnapshotEvent, sync::host::SyncEvent};
use crate::error::{Error, Warning};

/// An event. TypeScript receives it as `{ type, detail }`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", content = "detail", rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "EngineEvent"))]
pub enum Event {
    /// A problem that needs attention, but stopped no operation.
    Warning(Warning),
    /// A commit changed rows.
    Change(ChangeEvent),
    /// The results of live queries may have changed.
    Live(LiveEvent),
    /// The lock was released to another tab, or stolen.
    Lock(LockEvent),
    /// A snapshot was taken, or failed.
    Snapshot(SnapshotEvent),
    /// A sync began, made progress or ended.
    Sync(SyncEvent),
    /// A migration is about to run.
    Migration(MigrationEvent),
    /// Commits can't be stored, or can be stored again.
    Health(FlushEvent),
    /// The database was closed.
    Close(EngineCloseEvent),
}

/// The detail of a `change` event: the changes of a commit.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ChangeEvent {
    /// The tables whose rows changed, spelled as in the schema.
    pub tables: Vec<String>,
    /// Whether any table may have changed: the schema changed, or the contents were replaced.
    pub all: bool,
}

/// The live queries to run again.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LiveEvent {
    /// Their ids, as `watch` returned them.
    pub ids: Vec<u32>,
}

/// The detail of a `lock` event.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LockEvent {
    /// `released`: another tab requested the database, and this tab closed it; or a tab with a newer version of the app
    /// leads now, and every call rejects with `schema_too_new`. `lost`: another tab stole the lock; every call except
    /// `close()` rejects with `lock_lost`.
    pub state: LockChange,
}

/// How the lock was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum LockChange {
    /// Another tab requested the lock, and this tab released it.
    Released,
    /// Another tab stole the lock.
    Lost,
}

/// The detail of a `health` event: whether commits can be stored.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FlushEvent {
    /// Why commits can't be stored; null when they can be stored again.
    pub error: Option<Error>,
}

/// The detail of a `close` event.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct EngineCloseEvent {
    /// Why the database was closed.
    pub reason: CloseReason,
}

/// Why a database was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum CloseReason {
    /// `close()` was called.
    Closed,
    /// Another tab requested the database.
    Released,
}
