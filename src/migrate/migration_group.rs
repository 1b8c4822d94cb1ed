//! Several migrations in one transaction: all of them, or none.

use super::{
    apply::Attempt,
    history::History,
    migration::{Migration, MigrationDirection},
};
use crate::{
    error::{Error, Result},
    sqlite::Connection,
};

/// The transaction around several migrations. Dropping it undoes their effects.
pub struct MigrationGroup<'c> {
    connection: &'c Connection,
    /// Whether foreign keys were enforced before.
    enforced: bool,
    ended: bool,
}

impl<'c> MigrationGroup<'c> {
    /// Checks that a plan can run in one transaction. Fails with `invalid_argument` when a migration has `transaction:
    /// false`.
    pub fn check(plan: &[&Migration]) -> Result<()> {
        let Some(alone) = plan.iter().find(|migration| !migration.transaction) else { return Ok(()) };
        let message = format!("Migration {alone} has transaction: false, so it can't run with atomic: 'all'");
        Err(Error::invalid(message)
            .hint("Run up to it with `to`, then the others")
            .detail("version", alone.version.as_str()))
    }

    /// Turns foreign keys off and starts the transaction. The connection must not be in one.
    pub fn begin(connection: &'c Connection) -> Result<Self> {
        let enforced = connection.enforces_foreign_keys()?;
        // The pragma has no effect inside a transaction, so it comes first.
        connection.exec("PRAGMA foreign_keys = OFF")?;
        let together = Self { connection, enforced, ended: false };
        connection.exec("BEGIN IMMEDIATE")?;
        Ok(together)
    }

    /// Starts one of the migrations, in a savepoint.
    pub fn attempt<'a>(
        &'a self,
        history: &'a History,
        migration: &'a Migration,
        direction: MigrationDirection,
    ) -> Result<Attempt<'a>> {
        Attempt::inside(self.connection, history, migration, direction)
    }

    /// Commits all of them.
    pub fn commit(mut self) -> Result<()> {
        self.connection.exec("COMMIT")?;
        self.ended = true;
        self.connection.enforce_foreign_keys(self.enforced)
    }
}

impl Drop for MigrationGroup<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // The error that led here is more useful than that of a rollback. Some errors have already rolled back.
        self.connection.without_deadline(|| {
            if self.connection.in_transaction() {
                let _ = self.connection.exec("ROLLBACK");
            }
            let _ = self.connection.enforce_foreign_keys(self.enforced);
        });
    }
}
