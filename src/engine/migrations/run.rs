//! Runs a plan. Most openings have no pending migrations, so this code is in the wasm part `migrations`.

use super::{
    driver::{Migrations, has_data},
    host::{MigrationEvent, MigrationsHost, Runner},
    options::{Atomic, RunMode},
};
use crate::{
    error::{Detail, Error, ErrorCode, Result},
    migrate::{
        Attempt, Body, Migration, MigrationDirection, MigrationGroup, MigrationReport, MigrationResult,
        PlannedMigration,
    },
    ports::{LocalFuture, entered},
    sqlite::Connection,
};

/// The transaction of a migration, and whether the history records it.
#[derive(Clone, Copy)]
enum TransactionPlace<'a> {
    /// Its own transaction.
    Own,
    /// A transaction with other migrations.
    Shared(&'a MigrationGroup<'a>),
    /// Its own transaction, not recorded in the history.
    Untracked,
}

impl Migrations {
    /// Runs a plan. An entry of the part `migrations`: never inlined, so that the part can be split off here.
    #[inline(never)]
    pub(super) fn run_plan<'a>(
        &'a self,
        runner: Runner<'a>,
        plan: &'a [&'a Migration],
        mode: RunMode,
    ) -> LocalFuture<'a, Result<MigrationReport>> {
        entered(async move {
            let Runner { host, connection, .. } = runner;
            let mut report = MigrationReport {
                planned: PlannedMigration::all(plan, mode.direction, mode.dry_run),
                ..MigrationReport::default()
            };
            if mode.dry_run {
                return Ok(report);
            }
            if mode.atomic == Atomic::All {
                MigrationGroup::check(plan)?;
            }
            if has_data(connection)? {
                host.safety_snapshot().await?;
            }
            let ran = if mode.atomic == Atomic::All {
                self.run_together(runner, plan, mode.direction, &mut report).await
            } else {
                self.run_each(runner, plan, mode.direction, None, &mut report).await
            };
            // Once, since it reads the whole history; after a failure, too, because earlier migrations stay applied.
            self.refresh(connection)?;
            ran.map(|()| report)
        })
    }

    /// Runs all migrations in one transaction.
    async fn run_together(
        &self,
        runner: Runner<'_>,
        plan: &[&Migration],
        direction: MigrationDirection,
        report: &mut MigrationReport,
    ) -> Result<()> {
        let Runner { host, connection, .. } = runner;
        let together = MigrationGroup::begin(connection)?;
        match self.run_each(runner, plan, direction, Some(&together), report).await {
            Ok(()) => together.commit()?,
            Err(error) => {
                drop(together);
                return Err(match host.resume_capture(connection) {
                    Ok(()) => error.hint("Nothing of this run was kept: correct it and run all again"),
                    Err(resume_error) => resume_error.cause(error),
                });
            }
        }
        host.committed();
        Ok(())
    }

    async fn run_each(
        &self,
        runner: Runner<'_>,
        plan: &[&Migration],
        direction: MigrationDirection,
        together: Option<&MigrationGroup<'_>>,
        report: &mut MigrationReport,
    ) -> Result<()> {
        let host = runner.host;
        for (done, migration) in plan.iter().enumerate() {
            let Migration { version, name, .. } = migration;
            let total = plan.len();
            host.progress(MigrationEvent { version: version.clone(), name: name.clone(), direction, done, total });
            let place = together.map_or(TransactionPlace::Own, TransactionPlace::Shared);
            let result = self.run_one(runner, migration, direction, place).await;
            // Outside a transaction, even the undo of a migration is a commit.
            if together.is_none() && (result.is_ok() || !migration.transaction) {
                host.committed();
            }
            // One that took too long isn't at fault.
            if !result.as_ref().is_err_and(|error| error.is(ErrorCode::Timeout)) {
                self.failure.replace(result.as_ref().err().cloned());
            }
            let ran = MigrationResult { version: version.clone(), name: name.clone(), execution_ms: result? };
            match direction {
                MigrationDirection::Up => report.applied.push(ran),
                MigrationDirection::Down => report.reverted.push(ran),
            }
        }
        Ok(())
    }

    /// Runs a script as a migration that the history doesn't record. Fails with `migration_failed`.
    pub(super) async fn run_untracked(&self, runner: Runner<'_>, migration: &Migration) -> Result<()> {
        let result = self.run_one(runner, migration, MigrationDirection::Up, TransactionPlace::Untracked).await;
        if result.is_ok() {
            runner.host.committed();
        }
        self.refresh(runner.connection)?;
        result.map(drop)
    }

    /// Runs one migration and returns its duration in milliseconds.
    async fn run_one(
        &self,
        runner: Runner<'_>,
        migration: &Migration,
        direction: MigrationDirection,
        place: TransactionPlace<'_>,
    ) -> Result<i64> {
        let Runner { host, connection, permit, ends_ms } = runner;
        let started = self.clock.monotonic_ms();
        // Declared before the attempt, so that it is dropped after the attempt's rollback when the run is cancelled.
        let mut cancelled = Cancelled { migrations: self, host, connection, armed: true };
        let attempt = match place {
            TransactionPlace::Own => Attempt::begin(connection, &self.history, migration, direction)?,
            TransactionPlace::Shared(together) => together.attempt(&self.history, migration, direction)?,
            TransactionPlace::Untracked => Attempt::untracked(connection, migration)?,
        };
        // The time limit applies to the migration's body only, not to its tracking row.
        let limit = ends_ms.map(|ends_ms| self.limit(connection, ends_ms));
        let result = match migration.body(direction) {
            Some(Body::Code) => host.run_code(&migration.version, direction, permit).await,
            _ => attempt.script(&mut |statement| host.run_statement(connection, statement)),
        };
        drop(limit);
        let elapsed = (self.clock.monotonic_ms() - started).round() as i64;
        let result = match result.and_then(|()| host.resume_capture(connection)) {
            Ok(()) => attempt.commit(self.clock.now(), elapsed),
            Err(error) => {
                let is_late = ends_ms.is_some_and(|ends_ms| self.clock.monotonic_ms() >= ends_ms);
                // The error of a function doesn't say what its cause was.
                let is_code = migration.body(direction) == Some(&Body::Code);
                let error = attempt.failure(error);
                let is_timeout = is_late && (is_code || is_interrupted(&error));
                Err(attempt.abort(if is_timeout { timed_out(error) } else { error }))
            }
        };
        cancelled.armed = false;
        match result {
            Ok(()) => Ok(elapsed),
            Err(error) => Err(match host.resume_capture(connection) {
                Ok(()) => error,
                // This error has priority: without the triggers, later changes would not be captured.
                Err(resume_error) => resume_error.cause(error),
            }),
        }
    }
}

/// Converts the error of a migration that the time limit of its run has ended.
pub(super) fn timed_out(mut error: Error) -> Error {
    error.code = ErrorCode::Timeout;
    error.hint("The migration was rolled back: raise timeoutMs, and run it again")
}

/// Returns whether a deadline has ended a statement.
pub(super) fn is_interrupted(error: &Error) -> bool {
    error.details.get("sqliteCode") == Some(&Detail::Text("SQLITE_INTERRUPT".into()))
}

/// Creates the capture triggers again and updates the summary when a run is cancelled.
struct Cancelled<'a> {
    migrations: &'a Migrations,
    host: &'a dyn MigrationsHost,
    connection: &'a Connection,
    armed: bool,
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        if self.armed {
            // The caller has dropped the run, so nothing can receive the errors.
            let _ = self.host.resume_capture(self.connection);
            let _ = self.migrations.refresh(self.connection);
        }
    }
}
