//! The migrations of a database.

use std::{rc::Rc, sync::Arc};

use super::{
    engine_handle::{Caller, EngineHandle},
    session::{Limit, ThreadState},
};
use crate::{
    engine::migrations::options::RunOptions,
    error::{Error, Result},
    migrate::{LintFinding, MigrationReport, MigrationStatus, PlannedMigration},
    schema::{Drift, GeneratedMigration, script::SchemaScript},
};

/// The migrations of a database's schema: [`Database::migrations`](crate::Database::migrations).
///
/// ```
/// # futures_executor::block_on(async {
/// use tidelock::{Migration, MigrationState, OpenOptions, RunOptions, Storage};
///
/// let history = [Migration::new("1", "notes", "CREATE TABLE notes(body TEXT)").down("DROP TABLE notes")];
/// let options = OpenOptions::new("example").storage(Storage::Memory).migrations(history);
/// let db = tidelock::open(options).await?;
/// assert_eq!(db.migrations().status().await?[0].state, MigrationState::Applied);
///
/// let report = db.migrations().revert(RunOptions::default()).await?;
/// assert_eq!(report.reverted[0].version, "1");
/// # Ok::<_, tidelock::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Migrations {
    engine: Arc<EngineHandle>,
    caller: Caller,
}

impl Migrations {
    pub(super) fn new(engine: &Arc<EngineHandle>, caller: Caller) -> Self {
        Self { engine: engine.clone(), caller }
    }

    /// Returns one row per version, in order.
    pub async fn status(&self) -> Result<Vec<MigrationStatus>> {
        let status =
            async |session: Rc<ThreadState>, limit: Limit| limit.run(session.core()?.migrations_status()).await;
        self.engine.call(self.caller, status).await
    }

    /// Applies pending migrations in order; a snapshot is taken first when there is data. A failure leaves nothing of
    /// its migration: `migration_failed` names version, statement and line.
    pub async fn run(&self, options: RunOptions) -> Result<MigrationReport> {
        let run = async move |session: Rc<ThreadState>| session.core()?.migrations_run(options).await;
        self.engine.alone(self.caller, run).await
    }

    /// Reverts applied migrations, by default the newest one. Fails with `migration_irreversible` without a `down`.
    pub async fn revert(&self, options: RunOptions) -> Result<MigrationReport> {
        let revert = async move |session: Rc<ThreadState>| session.core()?.migrations_revert(options).await;
        self.engine.alone(self.caller, revert).await
    }

    /// Reverts the newest migration and applies it again.
    pub async fn redo(&self) -> Result<MigrationReport> {
        let redo = async |session: Rc<ThreadState>| session.core()?.migrations_redo().await;
        self.engine.alone(self.caller, redo).await
    }

    /// Drops everything and runs all migrations again; a snapshot is taken first. Fails with `invalid_argument` unless
    /// `force`.
    pub async fn reset(&self, force: bool) -> Result<MigrationReport> {
        must_force("reset", force)?;
        let reset = async |session: Rc<ThreadState>| session.core()?.migrations_reset().await;
        self.engine.alone(self.caller, reset).await
    }

    /// Marks migrations as applied without running them, up to a version: for tables that were already there.
    pub async fn baseline(&self, version: &str) -> Result<Vec<PlannedMigration>> {
        let version = version.to_owned();
        let baseline = async move |session: Rc<ThreadState>| session.core()?.migrations_baseline(&version).await;
        self.engine.alone(self.caller, baseline).await
    }

    /// Removes a version from the tracking table, so that a fixed one runs again.
    pub async fn forget(&self, version: &str) -> Result<()> {
        let version = version.to_owned();
        let forget = async move |session: Rc<ThreadState>| session.core()?.migrations_forget(&version).await;
        self.engine.alone(self.caller, forget).await
    }

    /// Returns the differences between the schema and what the applied migrations give in a scratch database.
    pub async fn drift(&self) -> Result<Drift> {
        let drift =
            async |session: Rc<ThreadState>, limit: Limit| limit.run(session.core()?.migrations_drift(None)).await;
        self.engine.call(self.caller, drift).await
    }

    /// Generates the migration from today's schema to the given one. `renames` are pairs of old and new names.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{OpenOptions, Storage};
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// db.exec("CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT)").await?;
    /// let wanted = "CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, pinned BOOLEAN)";
    /// let migration = db.migrations().generate(wanted, &[]).await?;
    /// assert!(migration.up.contains("ADD COLUMN pinned"));
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn generate(&self, schema: &str, renames: &[(&str, &str)]) -> Result<GeneratedMigration> {
        let schema = schema.to_owned();
        let renames: Vec<_> = renames.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect();
        let generate = async move |session: Rc<ThreadState>, limit: Limit| {
            limit.run(session.core()?.migrations_generate(&schema, &renames)).await
        };
        self.engine.call(self.caller, generate).await
    }

    /// Returns what is probably a mistake in the supplied migrations.
    pub async fn lint(&self) -> Result<Vec<LintFinding>> {
        let lint = async |session: Rc<ThreadState>, _limit| session.open_core()?.migrations_lint();
        self.engine.ask(self.caller, lint).await
    }

    /// Changes the schema to the given one. For development only.
    pub async fn sync(&self, schema: &str) -> Result<SchemaScript> {
        let schema = schema.to_owned();
        let sync = async move |session: Rc<ThreadState>| session.core()?.migrations_sync(&schema).await;
        self.engine.alone(self.caller, sync).await
    }

    /// Drops everything. For development only. Fails with `invalid_argument` unless `force`.
    pub async fn drop_all(&self, force: bool) -> Result<()> {
        must_force("drop_all", force)?;
        let drop = async |session: Rc<ThreadState>| session.core()?.migrations_drop().await;
        self.engine.alone(self.caller, drop).await
    }
}

fn must_force(call: &str, force: bool) -> Result<()> {
    if force {
        return Ok(());
    }
    Err(Error::invalid(format!("migrations.{call} deletes all data: it needs force"))
        .hint("Pass true if all data may be deleted; a snapshot is taken first"))
}
