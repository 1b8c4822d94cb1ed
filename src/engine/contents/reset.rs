//! Drops all contents of an open database, after a safety snapshot.

use crate::{
    engine::{Database, database::Inner},
    error::Result,
    migrate::MigrationReport,
    ports::LocalFuture,
    sqlite::PageFile,
};

impl Database {
    /// Takes a safety snapshot, drops everything including the state of sync, and runs all migrations. If one of them
    /// fails, the previous contents are restored.
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

    /// Takes a safety snapshot and drops everything. All migrations are pending afterwards.
    ///
    /// Fails as taking a snapshot and storing do.
    pub async fn migrations_drop(&self) -> Result<()> {
        let inner = &*self.inner;
        let guard = inner.acquire().await?;
        let result = inner.empty(Box::pin(async { inner.migrations.summarize(&*inner.connection()?) })).await;
        drop(guard);
        let stored = inner.flusher.flush().await;
        result.and(stored)
    }
}

impl Inner {
    /// Takes a safety snapshot, empties the database, and awaits `finish`. The caller must have locked the connection.
    async fn empty(&self, finish: LocalFuture<'_, Result<()>>) -> Result<()> {
        let connection = self.connection()?;
        self.flusher.admit_write()?;
        self.snapshots.safety().await?;
        self.replace(&connection, PageFile::default().pin(), finish).await
    }
}
