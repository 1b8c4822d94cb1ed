//! Going back to a snapshot or a point in time, while the database stays open.

use std::fmt;

use crate::{
    engine::{Database, connection::fts5},
    error::{Error, ErrorCode, Result},
    sqlite::{Connection, Image, PageFile},
    sync::{outbox::entries, state::metadata},
    time::Timestamp,
};

impl Database {
    /// Replaces the contents by a snapshot's, as one commit, and runs the migrations that it lacks. What was there becomes
    /// a safety snapshot first.
    ///
    /// Fails with `snapshot_not_found`, `snapshot_corrupt`, `snapshot_incompatible` (a state newer than the supplied
    /// migrations), `migration_invalid` (something else goes by the name of the audit log), or `unpushed_changes` unless `force`, and as its pending migrations do. Then
    /// nothing has changed.
    pub async fn restore(&self, id: &str, force: bool) -> Result<()> {
        let image = self.inner.snapshots.load(id).await?;
        self.restore_image(image, force, RestorePoint::Snapshot(id)).await
    }

    /// Replaces the contents by those after the newest stored commit not later than `at`, as one commit, like
    /// [`restore`](Self::restore). Commits that are on their way to the storage are stored first.
    ///
    /// Fails with `snapshot_not_found` for a time that the log no longer reaches (details `oldest`: the first that can),
    /// `snapshot_corrupt` when the log is damaged on the way, and as `restore` does.
    pub async fn restore_at(&self, at: Timestamp, force: bool) -> Result<()> {
        self.flush().await?;
        let image = self.inner.snapshots.load_at(at).await?;
        self.restore_image(image, force, RestorePoint::Moment(at)).await
    }

    async fn restore_image(&self, image: Image, force: bool, wanted: RestorePoint<'_>) -> Result<()> {
        let inner = &*self.inner;
        let guard = inner.acquire().await?;
        let connection = inner.connection()?;
        inner.flusher.admit_write()?;
        inner.check_unpushed(&connection, force, "restore")?;
        let scratch = Connection::open(&PageFile::new(image)).map_err(|error| {
            if error.is(ErrorCode::DatabaseCorrupt) { wanted.corrupt(&error.message) } else { error }
        })?;
        fts5::load_if_used(&inner.ports.platform, &scratch).await?;
        if let Some(damage) = scratch.quick_check()?.into_iter().next() {
            return Err(wanted.corrupt(&damage));
        }
        scratch.check_own()?;
        inner.migrations.check(&scratch).map_err(|error| wanted.incompatible(error))?;
        inner.remake_sync(&scratch).await?;
        inner.rehearse_audit(&scratch)?;
        // The image's own unpushed changes are old news by now: they are kept, but never sent.
        if metadata::exists(&scratch)? {
            entries::quarantine_restored(&scratch)?;
        }
        let before = inner.snapshots.safety().await?.id;
        let result = {
            let then = Box::pin(inner.run_missing_migrations(&connection, guard.permit()));
            inner.replace(&connection, scratch, Some(&before), then).await
        };
        drop(guard);
        let stored = inner.flusher.flush().await;
        result.and(stored)
    }
}

/// What is to be brought back.
enum RestorePoint<'a> {
    Snapshot(&'a str),
    Moment(Timestamp),
}

impl RestorePoint<'_> {
    fn corrupt(&self, what: &str) -> Error {
        self.about(Error::new(ErrorCode::SnapshotCorrupt, format!("{self} is damaged: {what}")))
            .hint("Restore another one; nothing has changed")
    }

    fn incompatible(&self, error: Error) -> Error {
        if !error.is(ErrorCode::SchemaTooNew) {
            return error;
        }
        let message = format!("{self} is newer than this app's migrations");
        self.about(Error::new(ErrorCode::SnapshotIncompatible, message))
            .hint("Reload the page to get the newer version of the app")
            .cause(error)
    }

    fn about(&self, error: Error) -> Error {
        match self {
            RestorePoint::Snapshot(id) => error.detail("snapshotId", *id),
            RestorePoint::Moment(at) => error.detail("at", at.to_string()),
        }
    }
}

impl fmt::Display for RestorePoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestorePoint::Snapshot(id) => write!(f, "Snapshot {id}"),
            RestorePoint::Moment(at) => write!(f, "The state of {at}"),
        }
    }
}
