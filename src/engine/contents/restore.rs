//! Restores a snapshot or a point in time while the database stays open.

use std::fmt;

use crate::{
    engine::{Database, connection::fts5, contents::replacement::Replacement},
    error::{Error, ErrorCode, Result},
    sqlite::{Connection, check_ms},
    store::PointInTime,
    sync::{outbox::entries, state::tables},
};

impl Database {
    /// Replaces the contents with those of a snapshot: [`prepare_restore`](Self::prepare_restore), then
    /// [`finish_replacement`](Self::finish_replacement).
    pub async fn restore(&self, id: &str, force: bool) -> Result<()> {
        let prepared = self.prepare_restore(&RestorePoint::Snapshot(id.to_owned()), force, None).await?;
        self.finish_replacement(prepared).await
    }

    /// Does the same with the state of a time.
    pub async fn restore_at(&self, point: PointInTime, force: bool) -> Result<()> {
        let prepared = self.prepare_restore(&RestorePoint::Time(point), force, None).await?;
        self.finish_replacement(prepared).await
    }

    /// Reads a snapshot, or the state after the newest stored commit that is not later than a time, checks it in a scratch
    /// database, locks the connection, and takes a safety snapshot. For a time, pending commits are stored first. The database
    /// is still unchanged, so the future may be dropped. `timeout_ms`: the milliseconds in which it must be checked, if fewer
    /// than its size allows.
    ///
    /// Fails with `snapshot_not_found`, `snapshot_corrupt`, `snapshot_incompatible` (a state newer than the supplied
    /// migrations), `timeout` (checking it takes too long), `migration_invalid` (another object has the audit log's name),
    /// `unpushed_changes` unless `force`, and as a snapshot does. For a time: `snapshot_not_found` when the log no longer
    /// reaches it (details `oldest`: the first restorable time), `invalid_argument` when the clock was set back, so that
    /// several states match (details `candidates`: the `lsn` and `at` of each), `snapshot_corrupt` when the log before it is
    /// damaged.
    pub async fn prepare_restore(
        &self,
        wanted: &RestorePoint,
        force: bool,
        timeout_ms: Option<f64>,
    ) -> Result<Replacement> {
        let inner = &*self.inner;
        let mut left = inner.deadline(timeout_ms.unwrap_or(f64::MAX));
        let file = match wanted {
            RestorePoint::Snapshot(id) => inner.snapshots.load(id).await?,
            RestorePoint::Time(point) => {
                self.flush_first().await?;
                inner.snapshots.load_at(*point).await?
            }
        };
        let guard = inner.acquire().await?;
        let connection = inner.connection()?;
        inner.flusher.admit_write()?;
        inner.check_unpushed(&connection, force)?;
        let scratch = Connection::open(&file).map_err(|error| {
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
pub enum RestorePoint {
    /// A snapshot, by its id.
    Snapshot(String),
    /// The state of a time.
    Time(PointInTime),
}

impl RestorePoint {
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
            RestorePoint::Snapshot(id) => error.detail("snapshotId", id.as_str()),
            RestorePoint::Time(point) => error.detail("at", point.at.to_string()),
        }
    }
}

impl fmt::Display for RestorePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestorePoint::Snapshot(id) => write!(f, "Snapshot {id}"),
            RestorePoint::Time(point) => write!(f, "The state of {}", point.at),
        }
    }
}
