//! What a database tells its page without being asked.

use serde::Serialize;

use super::{migrations::host::MigrationProgress, storage::snapshots::SnapshotEvent, sync::driver::SyncEvent};
use crate::error::{Error, Warning};

/// One event; crosses the boundary as `{ type, detail }`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", content = "detail", rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "EngineEvent"))]
pub enum Event {
    /// Something that deserves a person's attention, but stopped nothing.
    Warning(Warning),
    /// A commit changed rows.
    Change(ChangeEvent),
    /// These live queries are to run again.
    Live(LiveEvent),
    /// The lock changed hands.
    Lock(LockEvent),
    /// A snapshot was taken, or could not be.
    Snapshot(SnapshotEvent),
    /// A sync began, went on or ended.
    Sync(SyncEvent),
    /// A migration is about to run.
    Migration(MigrationProgress),
    /// Commits can't be stored at present, or can again.
    Health(StorageEvent),
    /// The database was closed.
    Close(CloseEvent),
}

/// The detail of a `change` event: what a commit changed.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ChangeEvent {
    /// The tables whose rows changed, as the schema spells them.
    pub tables: Vec<String>,
    /// Any table may have changed: the schema did, or everything was replaced.
    pub all: bool,
}

/// Live queries that are to run again.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LiveEvent {
    /// The ids that `watch` gave.
    pub ids: Vec<u32>,
}

/// The detail of a `lock` event.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LockEvent {
    /// `released`: another tab asked for the database, and this one closed. `lost`: another tab took it away; every call rejects with
    /// `lock_lost`, and `close()` is all that is left to do.
    pub state: LockChange,
}

/// How the lock was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum LockChange {
    /// Another tab asked for it.
    Released,
    /// Another tab took it away.
    Lost,
}

/// The detail of a `health` event: whether commits can be stored.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StorageEvent {
    /// Why commits can't be stored at present; null once they can.
    pub error: Option<Error>,
}

/// That the database was closed.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "EngineCloseEvent"))]
pub struct CloseEvent {
    /// Why.
    pub reason: CloseReason,
}

/// Why a database was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum CloseReason {
    /// By a call.
    Closed,
    /// Another tab asked for it.
    Released,
}
