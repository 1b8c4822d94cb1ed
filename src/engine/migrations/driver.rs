//! The driver of migrations: reads the history, plans, and runs migrations one by one while the connection is locked. A call can be
//! dropped until its commit; the caller then waits until that is stored.

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
};

use super::{
    host::{MigrationsHost, Runner},
    options::{Atomic, RunMode, RunOptions},
};
use crate::{
    engine::connection::mutex::MutexPermit,
    error::{Error, ErrorCode, Result},
    health::MigrationsHealth,
    migrate::{
        AppliedMigration, History, MigrationDirection, MigrationReport, MigrationStatus, MigrationTarget, OutOfOrder,
        PlannedMigration, SuppliedMigrations, plan, status,
    },
    ports::Clock,
    sqlite::Connection,
    value::Value,
};

/// The hint when the first migration fails in a database with tables but without a history.
const WITHOUT_HISTORY: &str = "If the database has tables of the migrations already, pass baseline: the version of the last one. Otherwise fix the migration: it was rolled back";

/// The migrations of a database.
pub struct Migrations {
    pub(super) supplied: Option<SuppliedMigrations>,
    pub(super) history: History,
    out_of_order: OutOfOrder,
    pub(super) clock: Rc<dyn Clock>,
    summary: RefCell<MigrationsHealth>,
    pub(super) failure: RefCell<Option<Error>>,
    /// The name of the audit table, if any table is audited.
    pub(super) audit_table: OnceCell<String>,
}

impl Migrations {
    /// Creates the driver. `supplied` is `None` for an app without the option: then nothing is run or checked. `table`
    /// names the tracking table.
    ///
    /// Fails with `invalid_argument` for an invalid table name.
    pub fn new(
        supplied: Option<SuppliedMigrations>,
        table: &str,
        out_of_order: OutOfOrder,
        clock: Rc<dyn Clock>,
    ) -> Result<Self> {
        let (summary, failure) = (RefCell::default(), RefCell::default());
        let audit_table = OnceCell::new();
        Ok(Self { supplied, history: History::new(table)?, out_of_order, clock, summary, failure, audit_table })
    }

    /// Sets the name of the audit table, which drift and generated migrations ignore. Called at most once.
    pub fn ignore_audit_table(&self, table: &str) {
        self.audit_table.get_or_init(|| table.to_owned());
    }

    /// Returns whether the SQL of a supplied migration contains this word. `word` is in lower case.
    pub fn mentions(&self, word: &str) -> bool {
        self.supplied.as_ref().is_some_and(|supplied| supplied.mentions(word))
    }

    /// Prepares an opened database: marks data without a history as migrated up to `baseline`, and data whose history may
    /// lack rows after a recovery up to `recovered`; checks the applied migrations, and runs the pending ones if `migrate`.
    ///
    /// Fails as [`run`](Self::run) does.
    pub async fn open(
        &self,
        host: &dyn MigrationsHost,
        migrate: bool,
        baseline: Option<&str>,
        recovered: Option<&str>,
    ) -> Result<MigrationReport> {
        let guard = host.lock_connection().await?;
        let connection = host.connection()?;
        let Some(supplied) = &self.supplied else {
            return self.summarize(&connection).map(|()| MigrationReport::default());
        };
        // An app that doesn't know the recovered version fails below, or its data is older.
        let recovered = recovered.filter(|version| supplied.find(version).is_some());
        if self.adopt(host, &connection, recovered.or(baseline), recovered.is_some()).await? {
            host.committed();
        }
        if migrate {
            return self.run_pending(host, guard.permit(), None).await;
        }
        plan::check(supplied, &self.refresh(&connection)?)?;
        Ok(MigrationReport::default())
    }

    /// Returns one row per version.
    pub async fn status(&self, host: &dyn MigrationsHost) -> Result<Vec<MigrationStatus>> {
        let _guard = host.lock_connection().await?;
        let connection = host.connection()?;
        Ok(status::status(self.supplied.as_ref(), &self.refresh(&connection)?))
    }

    /// Applies pending migrations in order, each with its tracking row in one transaction. Takes a snapshot first if
    /// there is data. Migrations before a failed one stay applied.
    ///
    /// Fails with `schema_too_new`, `migration_missing`, `migration_checksum_mismatch` and `migration_out_of_order`
    /// before anything runs; `migration_failed`; `invalid_argument` for an unknown `to`, or without the option
    /// `migrations`.
    pub async fn run(&self, host: &dyn MigrationsHost, options: RunOptions) -> Result<MigrationReport> {
        self.perform(host, MigrationDirection::Up, options).await
    }

    /// Reverts applied migrations, newest first. Fails as [`run`](Self::run) does, and before anything runs with
    /// `migration_irreversible` when one of them has no `down`.
    pub async fn revert(&self, host: &dyn MigrationsHost, options: RunOptions) -> Result<MigrationReport> {
        self.perform(host, MigrationDirection::Down, options).await
    }

    /// Applies pending migrations for a caller that holds the mutex. They are interrupted from `ends_ms` on (monotonic clock,
    /// milliseconds).
    pub async fn run_pending(
        &self,
        host: &dyn MigrationsHost,
        permit: MutexPermit,
        ends_ms: Option<f64>,
    ) -> Result<MigrationReport> {
        self.run_under_lock(host, permit, MigrationDirection::Up, RunOptions::default(), ends_ms).await
    }

    /// Reverts the newest migration and applies it again. If applying fails, it stays reverted. Both are interrupted from
    /// `ends_ms` on (monotonic clock, milliseconds).
    ///
    /// Fails as [`revert`](Self::revert) and [`run`](Self::run) do.
    pub async fn redo(&self, host: &dyn MigrationsHost, ends_ms: Option<f64>) -> Result<MigrationReport> {
        let guard = host.lock_connection().await?;
        let permit = guard.permit();
        let mut report =
            self.run_under_lock(host, permit, MigrationDirection::Down, RunOptions::default(), ends_ms).await?;
        let newest = report.reverted.last().and_then(|newest| self.supplied.as_ref()?.find(&newest.version));
        let Some(newest) = newest else { return Ok(report) };
        let connection = host.connection()?;
        // Other pending migrations don't run.
        let mode = RunMode { direction: MigrationDirection::Up, dry_run: false, atomic: Atomic::Each };
        let again = self.run_plan(Runner { host, connection: &connection, permit, ends_ms }, &[newest], mode).await?;
        report.planned.extend(again.planned);
        report.applied = again.applied;
        Ok(report)
    }

    /// Marks the supplied migrations up to that version as applied, without running them. Returns the newly marked
    /// ones. Fails with `invalid_argument` when the version isn't supplied.
    pub async fn baseline(&self, host: &dyn MigrationsHost, version: &str) -> Result<Vec<PlannedMigration>> {
        let _guard = host.lock_connection().await?;
        self.mark(host, self.supplied()?, &*host.connection()?, version)
    }

    /// Removes a version from the history, so that a repaired migration runs again. Fails with `invalid_argument` when
    /// the version isn't applied.
    pub async fn forget(&self, host: &dyn MigrationsHost, version: &str) -> Result<()> {
        let _guard = host.lock_connection().await?;
        let connection = host.connection()?;
        if !self.history.delete(&connection, version)? {
            return Err(Error::invalid(format!("Migration \"{version}\" isn't applied"))
                .hint("migrations.status() shows the versions that are")
                .detail("version", version));
        }
        self.refresh(&connection)?;
        host.committed();
        Ok(())
    }

    /// Checks the applied migrations of another database, such as a snapshot, against the supplied ones. Pending
    /// migrations are accepted.
    pub fn check(&self, connection: &Connection) -> Result<()> {
        self.supplied.as_ref().map_or(Ok(()), |supplied| plan::check(supplied, &self.history.read(connection)?))
    }

    /// Marks data without a history as migrated up to `baseline`, and with `always` also data that has one. Returns whether
    /// anything was marked.
    ///
    /// Fails with `invalid_argument` when that version isn't supplied, and with `wasm_load_failed`.
    pub async fn adopt(
        &self,
        host: &dyn MigrationsHost,
        connection: &Connection,
        baseline: Option<&str>,
        always: bool,
    ) -> Result<bool> {
        let (Some(supplied), Some(version)) = (&self.supplied, baseline) else { return Ok(false) };
        let applies = always || has_data(connection)? && !self.history.exists(connection)?;
        if applies {
            host.load().await?;
            self.write_marks(supplied, connection, version)?;
        }
        Ok(applies)
    }

    /// Returns the name of the tracking table.
    pub fn tracking_table(&self) -> &str {
        self.history.name()
    }

    /// Returns the newest applied migration of another database, such as a file; `None` without a tracking table.
    pub fn newest_in(&self, connection: &Connection) -> Option<String> {
        let applied = self.history.read(connection).ok()?;
        plan::newest(&applied).map(|row| row.version.clone())
    }

    /// Returns the summary as of the last [`refresh`](Self::refresh).
    pub fn summary(&self) -> MigrationsHealth {
        self.summary.borrow().clone()
    }

    /// Returns the error of the last migration; `None` if it succeeded.
    pub fn failure(&self) -> Option<Error> {
        self.failure.borrow().clone()
    }

    /// Updates the summary from the history, for instance after a restore, and returns the history.
    pub fn refresh(&self, connection: &Connection) -> Result<Vec<AppliedMigration>> {
        let applied = self.history.read(connection)?;
        let (pending, modified) = status::counts(self.supplied.as_ref(), &applied);
        let current = plan::newest(&applied).map(|row| row.version.clone());
        self.summary.replace(MigrationsHealth { current, pending, modified });
        Ok(applied)
    }

    /// Updates the summary for other contents. Without supplied migrations nothing is checked, so a tracking table of another
    /// shape is no error.
    pub fn summarize(&self, connection: &Connection) -> Result<()> {
        match self.refresh(connection) {
            Err(_) if self.supplied.is_none() => {
                self.summary.take();
                Ok(())
            }
            result => result.map(drop),
        }
    }

    /// Returns the supplied migrations. Fails with `invalid_argument` without the option `migrations`.
    pub(in crate::engine) fn supplied(&self) -> Result<&SuppliedMigrations> {
        self.supplied.as_ref().ok_or_else(|| {
            Error::invalid("The database was opened without migrations").hint("Give them to open({ migrations })")
        })
    }

    async fn perform(
        &self,
        host: &dyn MigrationsHost,
        direction: MigrationDirection,
        options: RunOptions,
    ) -> Result<MigrationReport> {
        let ends_ms = options.timeout_ms.map(|ms| self.clock.monotonic_ms() + f64::from(ms));
        let guard = host.lock_connection().await?;
        self.run_under_lock(host, guard.permit(), direction, options, ends_ms).await
    }

    /// Interrupts statements on the connection from `ends_ms` on (monotonic clock, milliseconds), until the guard is
    /// dropped.
    pub(super) fn limit<'c>(&self, connection: &'c Connection, ends_ms: f64) -> Limit<'c> {
        let clock = self.clock.clone();
        connection.set_deadline(Some(Box::new(move || ends_ms - clock.monotonic_ms())));
        Limit(connection)
    }

    async fn run_under_lock(
        &self,
        host: &dyn MigrationsHost,
        permit: MutexPermit,
        direction: MigrationDirection,
        options: RunOptions,
        ends_ms: Option<f64>,
    ) -> Result<MigrationReport> {
        let supplied = self.supplied()?;
        let connection = host.connection()?;
        let applied = self.refresh(&connection)?;
        let target = MigrationTarget { to: options.to, steps: options.steps };
        let plan = match direction {
            MigrationDirection::Up => plan::to_apply(supplied, &applied, &target, self.out_of_order)?,
            MigrationDirection::Down => plan::to_revert(supplied, &applied, &target)?,
        };
        if plan.is_empty() {
            return Ok(MigrationReport::default());
        }
        host.load().await?;
        let mode = RunMode { direction, dry_run: options.dry_run, atomic: options.atomic };
        let ran = self.run_plan(Runner { host, connection: &connection, permit, ends_ms }, &plan, mode).await;
        ran.map_err(|error| if self.lacks_history(&connection, &error) { error.hint(WITHOUT_HISTORY) } else { error })
    }

    /// Returns whether a migration failed over data without a history, such as a seed with the tables of migrations.
    fn lacks_history(&self, connection: &Connection, error: &Error) -> bool {
        error.is(ErrorCode::MigrationFailed)
            && self.history.read(connection).is_ok_and(|applied| applied.is_empty())
            && has_data(connection).unwrap_or(false)
    }

    fn mark(
        &self,
        host: &dyn MigrationsHost,
        supplied: &SuppliedMigrations,
        connection: &Connection,
        version: &str,
    ) -> Result<Vec<PlannedMigration>> {
        let marked = self.write_marks(supplied, connection, version)?;
        self.refresh(connection)?;
        host.committed();
        Ok(marked)
    }

    /// An entry of the part `migrations`: never inlined, so that the part can be split off here.
    #[inline(never)]
    fn write_marks(
        &self,
        supplied: &SuppliedMigrations,
        connection: &Connection,
        version: &str,
    ) -> Result<Vec<PlannedMigration>> {
        let plan = plan::to_mark(supplied, &self.history.read(connection)?, version)?;
        let now = self.clock.now();
        connection.atomically(|connection| {
            self.history.create(connection)?;
            plan.iter()
                .try_for_each(|migration| self.history.insert(connection, &AppliedMigration::new(migration, now, 0)))
        })?;
        Ok(PlannedMigration::all(&plan, MigrationDirection::Up, false))
    }
}

/// Removes a deadline when it is dropped.
pub(super) struct Limit<'c>(&'c Connection);

impl Drop for Limit<'_> {
    fn drop(&mut self) {
        self.0.set_deadline(None);
    }
}

/// Returns whether the schema has objects besides those of SQLite and tidelock.
pub(in crate::engine) fn has_data(connection: &Connection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema
               WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'tidelock\\_%' ESCAPE '\\')";
    Ok(connection.value(sql, &[])? == Some(Value::Integer(1)))
}
