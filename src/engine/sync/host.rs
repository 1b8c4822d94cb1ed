//! What sync needs of the database around it.

use serde::Serialize;

use crate::{
    collections::Map,
    engine::environment::Environment,
    error::{Error, Result},
    ports::LocalFuture,
    sync::{
        report::{Cells, Conflict},
        status::SyncPhase,
    },
};

/// The parts of the database that only sync needs.
pub trait SyncHost: Environment {
    /// Fails when a write must not even begin.
    fn admit_write(&self) -> Result<()>;

    /// Handles a commit that changed these tables: schedules its flush, and notifies live queries.
    fn committed(&self, tables: &[&str]);

    /// The user's access token, requested again; `None`: no user is signed in.
    fn access_token(&self) -> LocalFuture<'_, Result<Option<String>>>;

    /// Asks the user's function for the filters of a table, by column.
    fn filter(&self, table: &str) -> LocalFuture<'_, Result<Map<String, String>>>;

    /// Asks the user's function what becomes of a row that changed on both sides: its columns, or `None` to delete it.
    fn resolve(&self, conflict: Conflict) -> LocalFuture<'_, Result<Option<Cells>>>;

    /// Emits a `sync` event.
    fn emit(&self, event: SyncEvent);
}

/// The detail of a `sync` event: what sync does from now on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SyncEvent {
    /// What it does now.
    pub phase: SyncPhase,
    /// Why it stopped, when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub error: Option<Error>,
}
