//! Beginning again: everything is dropped, after a snapshot of it, while the database stays open.

use crate::{
    engine::{Database, database::Inner},
    error::Result,
    migrate::MigrationReport,
    ports::LocalFuture,
    sqlite::{Connection, PageFile},
};

impl Database {
    /// Drops everything, what sync keeps included, and runs all migrations. When one of them fails, everything becomes
    /// again what it was. A safety snapshot is taken first.
    ///
    /// Fails with `invalid_argument` without the option `migrations`, as running does, and as storing does.
    pub async fn migrations_reset(&self) -> Result<MigrationReport> {
        let inner = &*self.inner;
        inner.migrations.supplied()?;
        let mut report = MigrationReport::default();
        let guard = inner.acquire().await?;
        let result = inner
            .empty(Box::pin(async {
                report = inner.migrations.run_pending(inner, guard.permit()).await?;
                Ok(())
            }))
            .await;
        drop(guard);
        let stored = inner.flusher.flush().await;
        result.and(stored).map(|()| report)
    }

    /// Drops everything, and runs nothing: all migrations are pending then. A safety snapshot is taken first.
    ///
    /// Fails as taking a snapshot and storing do.
    pub async fn migrations_drop(&self) -> Result<()> {
        let inner = &*self.inner;
        let guard = inner.acquire().await?;
        let result = inner.empty(Box::pin(async { inner.migrations.refresh(&*inner.connection()?) })).await;
        drop(guard);
        let stored = inner.flusher.flush().await;
        result.and(stored)
    }
}

impl Inner {
    /// Takes a snapshot, then empties the database. The caller must have locked the connection.
    async fn empty(&self, then: LocalFuture<'_, Result<()>>) -> Result<()> {
        let connection = self.connection()?;
        self.flusher.admit_write()?;
        let before = self.snapshots.safety().await?.id;
        self.replace(&connection, Connection::open(&PageFile::default())?, Some(&before), then).await
    }
}
