//! Restores a snapshot or a point in time while the database stays open.

use std::fmt;

use crate::{
    engine::{Database, connection::fts5},
    error::{Error, ErrorCode, Result},
    sqlite::{Connection, PageFile},
    store::PointInTime,
    sync::{outbox::entries, state::tables},
    time::Timestamp,
};

impl Database {
    /// Takes a safety snapshot, replaces the contents with those of a snapshot, as one commit, and runs the migrations
    /// that it lacks.
    ///
    /// Fails with `snapshot_not_found`, `snapshot_corrupt`, `snapshot_incompatible` (a state newer than the supplied
    /// migrations), `timeout` (checking it takes too long), `migration_invalid` (another object has the audit log's name),
    /// `unpushed_changes` unless `force`, and as its pending migrations do. The contents are unchanged after a failure.
    pub async fn restore(&self, id: &str, force: bool) -> Result<()> {
        let file = self.inner.snapshots.load(id).await?;
        self.restore_file(&file, force, RestorePoint::Snapshot(id)).await
    }

    /// Restores the state after the newest stored commit that is not later than `point`, like [`restore`](Self::restore).
    /// Stores pending commits first.
    ///
    /// Fails with `snapshot_not_found` for a time that the log no longer reaches (details `oldest`: the first
    /// restorable time), `invalid_argument` when the clock was set back, so that several states match (details `candidates`:
    /// the `lsn` and `at` of each), `snapshot_corrupt` when the log before that time is damaged, and as `restore` does.
    pub async fn restore_at(&self, point: PointInTime, force: bool) -> Result<()> {
        self.flush_first().await?;
        let file = self.inner.snapshots.load_at(point).await?;
        self.restore_file(&file, force, RestorePoint::Time(point.at)).await
    }

    async fn restore_file(&self, file: &PageFile, force: bool, wanted: RestorePoint<'_>) -> Result<()> {
        let inner = &*self.inner;
        let guard = inner.acquire().await?;
        let connection = inner.connection()?;
        inner.flusher.admit_write()?;
        inner.check_unpushed(&connection, force)?;
        let scratch = Connection::open(file).map_err(|error| {
            if error.is(ErrorCode::DatabaseCorrupt) { wanted.corrupt(&error.message) } else { error }
        })?;
        fts5::load_if_used(&inner.ports.platform, &scratch).await?;
        scratch.set_deadline(Some(inner.check_deadline(file.bytes())));
        let damage = scratch.quick_check().map_err(|error| wanted.unchecked(error))?;
        scratch.set_deadline(None);
        if let Some(damage) = damage.into_iter().next() {
            return Err(wanted.corrupt(&damage));
        }
        scratch.check_reserved_names()?;
        inner.migrations.check(&scratch).map_err(|error| wanted.incompatible(error))?;
        inner.remake_sync(&scratch).await?;
        inner.check_audit(&scratch)?;
        // Unpushed changes of the restored state are outdated: they stay in the outbox, but are never sent.
        if tables::exists(&scratch)? {
            entries::quarantine_restored(&scratch)?;
        }
        inner.snapshots.safety().await?;
        let contents = scratch.pin();
        drop(scratch);
        let result = {
            let finish = Box::pin(inner.run_missing_migrations(&connection, guard.permit()));
            inner.replace(&connection, contents, finish).await
        };
        drop(guard);
        let stored = inner.flusher.flush().await;
        result.and(stored)
    }
}

/// The state to restore.
enum RestorePoint<'a> {
    Snapshot(&'a str),
    Time(Timestamp),
}

impl RestorePoint<'_> {
    fn corrupt(&self, what: &str) -> Error {
        self.about(Error::new(ErrorCode::SnapshotCorrupt, format!("{self} is damaged: {what}")))
            .hint("Restore another one; nothing has changed")
    }

    fn unchecked(&self, error: Error) -> Error {
        if !error.is(ErrorCode::Timeout) {
            return error;
        }
        self.about(Error::new(ErrorCode::Timeout, format!("{self} takes too long to check")))
            .hint("Restore another one; nothing has changed")
    }

    fn incompatible(&self, error: Error) -> Error {
        if !error.is(ErrorCode::SchemaTooNew) {
            return error;
        }
        let message = format!("{self} is newer than this app's migrations");
        self.about(Error::new(ErrorCode::SnapshotIncompatible, message))
            .hint("Get the newer version of the app: a page, by reloading it")
            .cause(error)
    }

    fn about(&self, error: Error) -> Error {
        match self {
            RestorePoint::Snapshot(id) => error.detail("snapshotId", *id),
            RestorePoint::Time(at) => error.detail("at", at.to_string()),
        }
    }
}

impl fmt::Display for RestorePoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestorePoint::Snapshot(id) => write!(f, "Snapshot {id}"),
            RestorePoint::Time(at) => write!(f, "The state of {at}"),
        }
    }
}
