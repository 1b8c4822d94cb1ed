//! Going back to a snapshot, while the database stays open.

use super::{Database, database::Inner, fts5, migrations::Host, turn::Ticket};
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::{Connection, PageFile},
    sync::outbox,
};

impl Database {
    /// Replaces the contents by a snapshot's, as one commit, and runs the migrations that it lacks. What was there becomes
    /// a safety snapshot first.
    ///
    /// Fails with `snapshot_not_found`, `snapshot_corrupt`, `snapshot_incompatible` (a state newer than the supplied
    /// migrations), or `unpushed_changes` unless `force`; then nothing has changed. Should one of its pending migrations
    /// fail, the restored contents stay as they were before it.
    pub async fn restore(&self, id: &str, force: bool) -> Result<()> {
        let inner = &*self.inner;
        let image = inner.snapshots.load(id).await?;
        let turn = inner.acquire().await?;
        let connection = inner.connection()?;
        let (pending, _) = outbox::counts(&connection, None)?;
        if pending > 0 && !force {
            return Err(Error::new(ErrorCode::UnpushedChanges, format!("{pending} local changes were not pushed yet"))
                .hint("push them first, or restore with { force: true }: they then are only in the safety snapshot")
                .detail("pending", pending));
        }
        let scratch = Connection::open(&PageFile::new(image)).map_err(|error| corrupt(id, &error.message))?;
        fts5::load_if_used(&inner.ports.platform, &scratch).await?;
        if let Some(damage) = scratch.quick_check()?.into_iter().next() {
            return Err(corrupt(id, &damage));
        }
        inner.migrations.check(&scratch).map_err(|error| incompatible(id, error))?;
        // The image's own unpushed changes are old news by now: they are kept, but never sent.
        outbox::set_aside_restored(&scratch)?;
        inner.snapshots.safety().await?;
        connection.restore_from(&scratch)?;
        drop(scratch);
        fts5::load_if_used(&inner.ports.platform, &connection).await?;
        inner.start_capture(&connection).await?;
        Host::committed(inner);
        let migrated = inner.catch_up(&connection, turn.ticket()).await;
        drop(turn);
        let stored = inner.flusher.flush().await;
        migrated.and(stored)
    }
}

impl Inner {
    /// Runs the migrations that restored contents lack, as opening them would.
    async fn catch_up(&self, connection: &Connection, ticket: Ticket) -> Result<()> {
        if self.options.migrations.is_some() && self.options.migrate {
            return self.migrations.run_pending(self, ticket).await.map(drop);
        }
        self.migrations.refresh(connection).map(drop)
    }
}

fn corrupt(id: &str, what: &str) -> Error {
    Error::new(ErrorCode::SnapshotCorrupt, format!("snapshot {id} is damaged: {what}"))
        .hint("restore another one; nothing has changed")
        .detail("snapshotId", id)
}

fn incompatible(id: &str, error: Error) -> Error {
    if !error.is(ErrorCode::SchemaTooNew) {
        return error;
    }
    Error::new(ErrorCode::SnapshotIncompatible, format!("snapshot {id} is newer than this app's migrations"))
        .hint("reload the page to get the newer version of the app")
        .detail("snapshotId", id)
        .cause(error)
}
