//! Running what was planned. Most openings have nothing to run, so all of this is in the part `migrations`.

use super::{
    driver::{Migrations, has_data},
    host::{MigrationProgress, MigrationsHost, Runner},
    options::{Atomic, How},
};
use crate::{
    error::Result,
    migrate::{Attempt, Body, Direction, Migration, MigrationReport, Planned, Ran, Together},
    ports::{LocalFuture, entered},
    sqlite::Connection,
};

/// In which transaction a migration runs, and whether the history learns of it.
#[derive(Clone, Copy)]
enum TransactionPlace<'a> {
    /// In its own.
    Own,
    /// In one with others.
    Among(&'a Together<'a>),
    /// In its own, and the history doesn't.
    Untracked,
}

impl Migrations {
    /// An entry of the part `migrations`, never inlined, so that the part can be cut off here.
    #[inline(never)]
    pub(super) fn run_plan<'a>(
        &'a self,
        runner: Runner<'a>,
        plan: &'a [&'a Migration],
        how: How,
    ) -> LocalFuture<'a, Result<MigrationReport>> {
        entered(async move {
            let Runner { host, connection, .. } = runner;
            let mut report = MigrationReport {
                planned: Planned::all(plan, how.direction, how.dry_run),
                ..MigrationReport::default()
            };
            if how.dry_run {
                return Ok(report);
            }
            if how.atomic == Atomic::All {
                Together::check(plan)?;
            }
            if has_data(connection)? {
                host.safety_snapshot().await?;
            }
            if how.atomic == Atomic::All {
                self.run_together(runner, plan, how.direction, &mut report).await?;
            } else {
                self.run_each(runner, plan, how.direction, None, &mut report).await?;
            }
            Ok(report)
        })
    }

    /// All in one transaction.
    async fn run_together(
        &self,
        runner: Runner<'_>,
        plan: &[&Migration],
        direction: Direction,
        report: &mut MigrationReport,
    ) -> Result<()> {
        let Runner { host, connection, .. } = runner;
        let together = Together::begin(connection)?;
        match self.run_each(runner, plan, direction, Some(&together), report).await {
            Ok(()) => together.commit()?,
            Err(error) => {
                drop(together);
                self.refresh(connection)?;
                return Err(match host.resume_capture(connection) {
                    Ok(()) => error.hint("Nothing of this run was kept: mend it and run all again"),
                    Err(unsettled) => unsettled.cause(error),
                });
            }
        }
        host.committed();
        self.refresh(connection)
    }

    async fn run_each(
        &self,
        runner: Runner<'_>,
        plan: &[&Migration],
        direction: Direction,
        together: Option<&Together<'_>>,
        report: &mut MigrationReport,
    ) -> Result<()> {
        let Runner { host, connection, .. } = runner;
        for (done, migration) in plan.iter().enumerate() {
            let Migration { version, name, .. } = migration;
            let total = plan.len();
            host.progress(MigrationProgress { version: version.clone(), name: name.clone(), direction, done, total });
            let place = together.map_or(TransactionPlace::Own, TransactionPlace::Among);
            let result = self.run_one(runner, migration, direction, place).await;
            if together.is_none() {
                if result.is_ok() || !migration.transaction {
                    // Outside a transaction even undoing it is a commit.
                    host.committed();
                }
                self.refresh(connection)?;
            }
            self.failure.replace(result.as_ref().err().cloned());
            let ran = Ran { version: version.clone(), name: name.clone(), execution_ms: result? };
            match direction {
                Direction::Up => report.applied.push(ran),
                Direction::Down => report.reverted.push(ran),
            }
        }
        Ok(())
    }

    /// Runs a script as a migration, which no history knows. `migration_failed`.
    pub(super) async fn run_untracked(&self, runner: Runner<'_>, migration: &Migration) -> Result<()> {
        let result = self.run_one(runner, migration, Direction::Up, TransactionPlace::Untracked).await;
        if result.is_ok() {
            runner.host.committed();
        }
        self.refresh(runner.connection)?;
        result.map(drop)
    }

    /// Runs one and says how long it took.
    async fn run_one(
        &self,
        runner: Runner<'_>,
        migration: &Migration,
        direction: Direction,
        place: TransactionPlace<'_>,
    ) -> Result<i64> {
        let Runner { host, connection, permit, ends_ms } = runner;
        let started = self.clock.monotonic_ms();
        // Before the attempt, so that it is dropped after it: a run that is cancelled while a function runs settles too.
        let mut unsettled = Unsettled { host, connection, armed: true };
        let attempt = match place {
            TransactionPlace::Own => Attempt::begin(connection, &self.history, migration, direction)?,
            TransactionPlace::Among(together) => together.attempt(&self.history, migration, direction)?,
            TransactionPlace::Untracked => Attempt::untracked(connection, migration)?,
        };
        // Not the bookkeeping around it: what fails is the migration.
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
                let error = attempt.failure(error);
                Err(attempt.abort(error))
            }
        };
        unsettled.armed = false;
        match result {
            Ok(()) => Ok(elapsed),
            Err(error) => Err(match host.resume_capture(connection) {
                Ok(()) => error,
                // Changes would go by uncaptured: that is the graver one.
                Err(unsettled) => unsettled.cause(error),
            }),
        }
    }
}

/// Settles when a run is dropped half-way.
struct Unsettled<'a> {
    host: &'a dyn MigrationsHost,
    connection: &'a Connection,
    armed: bool,
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        if self.armed {
            // No caller is left to report it to.
            let _ = self.host.resume_capture(self.connection);
        }
    }
}
