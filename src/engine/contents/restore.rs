//! Restores a snapshot or a point in time while the database stays open.

use std::fmt;

use crate::{
    engine::{Database, connection::fts5, contents::replacement::Replacement},
    error::{Error, ErrorCode, Result},
    sqlite::{Connection, Deadline, PageFile, check_ms},
    store::PointInTime,
    sync::{outbox::entries, state::tables},
    time::Timestamp,
};

impl Database {
    /// Replaces the contents with those of a snapshot: [`prepare_restore`](Self::prepare_restore), then
    /// [`finish_replacement`](Self::finish_replacement).
    pub async fn restore(&self, id: &str, force: bool) -> Result<()> {
        let prepared = self.prepare_restore(id, force, None).await?;
        self.finish_replacement(prepared).await
    }

    /// Does the same with the state of a time.
    pub async fn restore_at(&self, point: PointInTime, force: bool) -> Result<()> {
        let prepared = self.prepare_restore_at(point, force, None).await?;
        self.finish_replacement(prepared).await
    }

    /// Reads a snapshot, checks it in a scratch database, locks the connection, and takes a safety snapshot. The database is
    /// still unchanged, so the future may be dropped. `timeout_ms`: the milliseconds in which it must be checked, if fewer
    /// than its size allows.
    ///
    /// Fails with `snapshot_not_found`, `snapshot_corrupt`, `snapshot_incompatible` (a state newer than the supplied
    /// migrations), `timeout` (checking it takes too long), `migration_invalid` (another object has the audit log's name),
    /// `unpushed_changes` unless `force`, and as a snapshot does.
    pub async fn prepare_restore(&self, id: &str, force: bool, timeout_ms: Option<f64>) -> Result<Replacement> {
        let left = self.inner.deadline(timeout_ms.unwrap_or(f64::MAX));
        let file = self.inner.snapshots.load(id).await?;
        self.prepare_file(&file, force, left, RestorePoint::Snapshot(id)).await
    }

    /// Does the same with the state after the newest stored commit that is not later than `point`. Stores pending commits
    /// first.
    ///
    /// Fails with `snapshot_not_found` for a time that the log no longer reaches (details `oldest`: the first
    /// restorable time), `invalid_argument` when the clock was set back, so that several states match (details `candidates`:
    /// the `lsn` and `at` of each), `snapshot_corrupt` when the log before that time is damaged, and as `prepare_restore`
    /// does.
    pub async fn prepare_restore_at(
        &self,
        point: PointInTime,
        force: bool,
        timeout_ms: Option<f64>,
    ) -> Result<Replacement> {
        let left = self.inner.deadline(timeout_ms.unwrap_or(f64::MAX));
        self.flush_first().await?;
        let file = self.inner.snapshots.load_at(point).await?;
        self.prepare_file(&file, force, left, RestorePoint::Time(point.at)).await
    }

    async fn prepare_file(
        &self,
        file: &PageFile,
        force: bool,
        mut left: Deadline,
        wanted: RestorePoint<'_>,
    ) -> Result<Replacement> {
        let inner = &*self.inner;
        let guard = inner.acquire().await?;
        let connection = inner.connection()?;
        inner.flusher.admit_write()?;
        inner.check_unpushed(&connection, force)?;
        let scratch = Connection::open(file).map_err(|error| {
            if error.is(ErrorCode::DatabaseCorrupt) { wanted.corrupt(&error.message) } else { error }
        })?;
        fts5::load_if_used(&inner.ports.platform, &scratch).await?;
        scratch.set_deadline(Some(inner.deadline(check_ms(file.bytes()).min(left()))));
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
        inner.replacement(scratch, guard).await
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
