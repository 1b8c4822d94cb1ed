//! Drops all contents of an open database, after a safety snapshot.

use crate::{
    engine::{Database, connection::mutex::MutexGuard, database::Inner},
    error::Result,
    migrate::MigrationReport,
    sqlite::PageFile,
};

impl Database {
    /// Takes a safety snapshot, drops everything including the state of sync, and runs all migrations. If one of them
    /// fails, or the call is cancelled meanwhile, the previous contents are restored.
    ///
    /// Fails with `invalid_argument` without the option `migrations`, as running does, and as storing does.
    pub async fn migrations_reset(&self) -> Result<MigrationReport> {
        let inner = &*self.inner;
        inner.migrations.supplied()?;
        let mut report = MigrationReport::default();
        let guard = self.limits.until_commit(inner.prepare_emptying()).await?;
        let migrating = async {
            report = inner.migrations.run_pending(inner, guard.permit(), self.limits.ends_ms).await?;
            Ok(())
        };
        let finish = Box::pin(self.limits.until_commit(migrating));
        let result = inner.replace(&*inner.connection()?, PageFile::default().pin(), finish).await;
        drop(guard);
        let stored = inner.flusher.flush().await;
        result.and(stored).map(|()| report)
    }

    /// Takes a safety snapshot and drops everything. All migrations are pending afterwards.
    ///
    /// Fails as taking a snapshot and storing do.
    pub async fn migrations_drop(&self) -> Result<()> {
        let inner = &*self.inner;
        let guard = self.limits.until_commit(inner.prepare_emptying()).await?;
        let connection = inner.connection()?;
        let finish = Box::pin(async { inner.migrations.summarize(&connection) });
        let result = inner.replace(&connection, PageFile::default().pin(), finish).await;
        drop(guard);
        let stored = inner.flusher.flush().await;
        result.and(stored)
    }
}

impl Inner {
    /// Locks the connection, and takes a safety snapshot of the contents that will be dropped.
    async fn prepare_emptying(&self) -> Result<MutexGuard> {
        let guard = self.acquire().await?;
        self.connection()?;
        self.flusher.admit_write()?;
        self.snapshots.safety().await?;
        Ok(guard)
    }
}
