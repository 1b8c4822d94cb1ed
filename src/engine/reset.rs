//! Beginning anew: everything is dropped, after a snapshot of it, while the database stays open.

use super::{Database, database::Inner, turn::Guard};
use crate::{
    error::Result,
    migrate::Report,
    sqlite::{Connection, PageFile},
};

impl Database {
    /// Drops everything, what sync keeps included, and runs all migrations. When one of them fails, everything becomes
    /// again what it was. A safety snapshot is taken first.
    ///
    /// Fails with `invalid_argument` without the option `migrations`, as running does, and as storing does.
    pub async fn migrations_reset(&self) -> Result<Report> {
        let inner = &*self.inner;
        inner.migrations.supplied()?;
        let (turn, before) = inner.emptied().await?;
        let mut result = inner.migrations.run_pending(inner, turn.ticket()).await;
        if let Err(error) = result {
            let back = inner.go_back(&*inner.connection()?, &before).await;
            result = Err(if back.is_ok() { error } else { error.detail("snapshotId", before) });
        }
        drop(turn);
        let stored = inner.flusher.flush().await;
        result.and_then(|report| stored.map(|()| report))
    }

    /// Drops everything, and runs nothing: all migrations are pending then. A safety snapshot is taken first.
    ///
    /// Fails as taking a snapshot and storing do.
    pub async fn migrations_drop(&self) -> Result<()> {
        let inner = &*self.inner;
        let (turn, _) = inner.emptied().await?;
        let refreshed = inner.migrations.refresh(&*inner.connection()?);
        drop(turn);
        let stored = inner.flusher.flush().await;
        refreshed.and(stored)
    }
}

impl Inner {
    /// Takes the turn and a snapshot, and makes the contents those of a new database. Gives the turn, and the snapshot's id.
    async fn emptied(&self) -> Result<(Guard, String)> {
        let turn = self.acquire().await?;
        let connection = self.connection()?;
        self.flusher.admit_write()?;
        let before = self.snapshots.safety().await?.id;
        let empty = Connection::open(&PageFile::default())?;
        self.replace_contents(&connection, &empty).await?;
        Ok((turn, before))
    }
}
