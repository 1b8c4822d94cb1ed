//! The services that a database provides to the driver of migrations.

use std::future::ready;

use serde::Serialize;

use crate::{
    engine::{connection::mutex::MutexPermit, environment::Environment},
    error::Result,
    migrate::MigrationDirection,
    ports::LocalFuture,
    sqlite::{Connection, Statement},
};

/// The services of a database that only migrations need.
pub trait MigrationsHost: Environment {
    /// Loads the wasm part that runs migrations. Fails with `wasm_load_failed`.
    fn load(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(ready(Ok(())))
    }

    /// Runs a migration that is a function of the app, under the mutex of `permit`. The migration's transaction, if it
    /// has one, is already open: transactions of the function become savepoints in it. The future is dropped when the
    /// run is cancelled; [`resume_capture`](Self::resume_capture) follows.
    fn run_code<'a>(
        &'a self,
        version: &'a str,
        direction: MigrationDirection,
        permit: MutexPermit,
    ) -> LocalFuture<'a, Result<()>>;

    /// Runs one statement of a script to its end. Drops the capture triggers before a statement that changes the
    /// schema, and creates them again before the next one that doesn't.
    fn run_statement(&self, connection: &Connection, statement: &mut Statement<'_>) -> Result<()>;

    /// Creates the capture triggers again: after the last statement and before the commit, or after a rollback.
    fn resume_capture(&self, connection: &Connection) -> Result<()>;

    /// Handles a commit that may have changed any table.
    fn committed(&self);

    /// Reports a migration before it runs.
    fn progress(&self, progress: MigrationEvent);
}

/// The detail of a `migration` event: a migration is about to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MigrationEvent {
    /// The version of the migration.
    pub version: String,
    /// The name of the migration.
    pub name: String,
    /// Whether it is applied or reverted.
    pub direction: MigrationDirection,
    /// The number of finished migrations of this run.
    pub done: usize,
    /// The number of migrations of this run.
    pub total: usize,
}

/// The environment in which migrations run.
#[derive(Clone, Copy)]
pub(super) struct Runner<'a> {
    pub host: &'a dyn MigrationsHost,
    pub connection: &'a Connection,
    pub permit: MutexPermit,
    /// When running migrations are interrupted, in milliseconds of the monotonic clock; `None`: never.
    pub ends_ms: Option<f64>,
}
