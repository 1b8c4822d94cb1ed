//! Connects migrations with an open database: implements [`Environment`] and the host of their driver for it, and the
//! migration methods of [`Database`].

use std::{future::ready, rc::Rc};

use crate::{
    engine::{
        Database, Event,
        connection::mutex::{MutexGuard, MutexPermit},
        database::Inner,
        environment::Environment,
        migrations::{
            host::{self, MigrationEvent},
            options::RunOptions,
        },
    },
    error::Result,
    migrate::{MigrationDirection, MigrationReport, MigrationStatus, PlannedMigration},
    ports::{LocalFuture, Part},
    sqlite::{Connection, Statement},
};

impl Environment for Inner {
    fn connection(&self) -> Result<Rc<Connection>> {
        Inner::connection(self)
    }

    fn lock_connection(&self) -> LocalFuture<'_, Result<MutexGuard>> {
        Box::pin(self.acquire())
    }

    fn safety_snapshot(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(async { self.snapshots.safety().await.map(drop) })
    }

    fn stored(&self) -> LocalFuture<'static, Result<()>> {
        self.flusher.stored().unwrap_or_else(|| Box::pin(ready(Ok(()))))
    }
}

impl host::MigrationsHost for Inner {
    fn load(&self) -> LocalFuture<'_, Result<()>> {
        self.ports.platform.parts.load(Part::Migrations)
    }

    fn run_code<'a>(
        &'a self,
        version: &'a str,
        direction: MigrationDirection,
        permit: MutexPermit,
    ) -> LocalFuture<'a, Result<()>> {
        Box::pin(async move {
            // Transactions of the function become savepoints in the migration's transaction, if it has one.
            let depth = u32::from(self.connection()?.in_transaction());
            self.transaction.depth.set(depth);
            let result = self.callbacks.run_migration(version, direction.as_str(), permit).await;
            self.transaction.depth.set(0);
            result
        })
    }

    fn run_statement(&self, connection: &Connection, statement: &mut Statement<'_>) -> Result<()> {
        Inner::run_statement(self, connection, statement)
    }

    fn resume_capture(&self, connection: &Connection) -> Result<()> {
        self.triggers_suspended.set(false);
        // A cancelled function can't reset its depth itself.
        self.transaction.depth.set(0);
        self.resume_triggers(connection)
    }

    fn committed(&self) {
        self.transaction_ended(false);
        self.everything_changed();
    }

    fn progress(&self, progress: MigrationEvent) {
        self.events.emit(Event::Migration(progress));
    }
}

impl Database {
    /// Returns one row per version, in order.
    pub async fn migrations_status(&self) -> Result<Vec<MigrationStatus>> {
        self.inner.migrations.status(&*self.inner).await
    }

    /// Applies pending migrations; see [`Migrations::run`](crate::engine::migrations::driver::Migrations::run).
    pub async fn migrations_run(&self, options: RunOptions) -> Result<MigrationReport> {
        self.until_stored(Box::pin(self.inner.migrations.run(&*self.inner, options))).await
    }

    /// Reverts applied migrations; see [`Migrations::revert`](crate::engine::migrations::driver::Migrations::revert).
    pub async fn migrations_revert(&self, options: RunOptions) -> Result<MigrationReport> {
        self.until_stored(Box::pin(self.inner.migrations.revert(&*self.inner, options))).await
    }

    /// Marks migrations as applied; see
    /// [`Migrations::baseline`](crate::engine::migrations::driver::Migrations::baseline).
    pub async fn migrations_baseline(&self, version: &str) -> Result<Vec<PlannedMigration>> {
        self.until_stored(Box::pin(self.inner.migrations.baseline(&*self.inner, version))).await
    }

    /// Reverts the newest migration and applies it again; see
    /// [`Migrations::redo`](crate::engine::migrations::driver::Migrations::redo).
    pub async fn migrations_redo(&self) -> Result<MigrationReport> {
        self.until_stored(Box::pin(self.inner.migrations.redo(&*self.inner, self.limits.ends_ms))).await
    }

    /// Removes a version from the history; see
    /// [`Migrations::forget`](crate::engine::migrations::driver::Migrations::forget).
    pub async fn migrations_forget(&self, version: &str) -> Result<()> {
        self.until_stored(Box::pin(self.inner.migrations.forget(&*self.inner, version))).await
    }
}
