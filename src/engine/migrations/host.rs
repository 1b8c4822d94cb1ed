//! What the driver of migrations asks of the database around it.

use std::future::ready;

use serde::Serialize;

use crate::{
    engine::{connection::mutex::MutexPermit, environment::Environment},
    error::Result,
    migrate::Direction,
    ports::LocalFuture,
    sqlite::{Connection, Statement},
};

/// What migrations alone need of the database around them.
pub trait MigrationsHost: Environment {
    /// Loads the code that runs migrations. `wasm_load_failed`.
    fn load(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(ready(Ok(())))
    }

    /// Runs a function of the app, under the mutex of `permit`. Where the migration is one transaction, it is open already, and
    /// stays open: what the function opens are savepoints in it. Dropped when the run is cancelled; [`settle`](Self::settle)
    /// follows.
    fn run_code<'a>(
        &'a self,
        version: &'a str,
        direction: Direction,
        permit: MutexPermit,
    ) -> LocalFuture<'a, Result<()>>;

    /// Runs one statement of a script to its end. Triggers that capture changes go away before one that changes the schema,
    /// until the next one that doesn't.
    fn run_statement(&self, connection: &Connection, statement: &mut Statement<'_>) -> Result<()>;

    /// Creates the triggers that capture changes again: after the last statement, before the commit, and after a migration that
    /// was rolled back.
    fn resume_capture(&self, connection: &Connection) -> Result<()>;

    /// Called after every commit, of which anything may have changed.
    fn committed(&self);

    /// Hears of each migration before it runs.
    fn progress(&self, progress: MigrationProgress);
}

/// The detail of a `migration` event: one that is about to run, of a call on an open database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "MigrationEvent"))]
pub struct MigrationProgress {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
    /// Which way it runs.
    pub direction: Direction,
    /// How many of this run are done.
    pub done: usize,
    /// How many this run has.
    pub total: usize,
}

/// What runs it.
#[derive(Clone, Copy)]
pub(super) struct Runner<'a> {
    pub host: &'a dyn MigrationsHost,
    pub connection: &'a Connection,
    pub permit: MutexPermit,
    /// When the bodies of migrations are interrupted, by the monotonic clock.
    pub ends_ms: Option<f64>,
}
