//! What can be restored, and the contents at a point in time.

use serde::Serialize;

use super::Snapshots;
use crate::{
    error::{Error, ErrorCode, Result},
    snapshot::SnapshotInfo,
    sqlite::PageFile,
    store::{HistoryPoint, PointInTime, Reach},
    time::Timestamp,
};

/// What can be restored: the stored commits of the page log, and the snapshots.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SnapshotHistory {
    /// The first time that can be restored, ISO 8601; `None`: nothing is stored yet.
    pub oldest: Option<Timestamp>,
    /// The newest of the states that can be restored, in their order.
    pub points: Vec<HistoryPoint>,
    /// How many older states aren't in `points`.
    pub omitted: usize,
    /// All snapshots, newest first.
    pub snapshots: Vec<SnapshotInfo>,
    /// Descriptions of damage of the page log: the states behind it aren't in `points`.
    pub errors: Vec<String>,
}

impl Snapshots {
    /// Returns what can be restored, with at most `limit` of the newest states. Fails as the storage does.
    pub async fn history(&self, limit: usize) -> Result<SnapshotHistory> {
        let _guard = self.0.mutex.acquire().await?;
        let (reach, storage) = (self.reach(), &self.0.storage);
        let (oldest, mut points, errors) = storage.reconnecting(async || storage.history(reach).await).await?;
        let omitted = points.len().saturating_sub(limit);
        points.drain(..omitted);
        Ok(SnapshotHistory { oldest, points, omitted, snapshots: self.list(), errors })
    }

    /// Returns the contents after the newest stored commit that is not later than `point`. Fails with `snapshot_not_found`
    /// (details `oldest`) for a time that can't be restored any more, `invalid_argument` (details `candidates`) when several
    /// states match, and `snapshot_corrupt` when the log before that time is damaged. Of a database that isn't logged, only the
    /// times of its history can be restored.
    pub async fn load_at(&self, point: PointInTime) -> Result<PageFile> {
        if !self.0.flusher.is_logged()
            && self.history(usize::MAX).await?.points.iter().all(|known| known.at != point.at)
        {
            return Err(not_logged());
        }
        let _guard = self.0.mutex.acquire().await?;
        let (reach, storage) = (self.reach(), &self.0.storage);
        self.0.repairing(&|| Box::pin(storage.load_at(point, reach))).await
    }

    fn reach(&self) -> Reach {
        let (lsn, time) = self.0.with_stored_state(|state| state.reach(&self.0.options, self.0.now()));
        Reach { lsn, time }
    }
}

/// The error for a time between two snapshots of a database whose commits are stored nowhere.
fn not_logged() -> Error {
    Error::new(
        ErrorCode::SnapshotNotFound,
        "With storage 'memory', there is no page log with the states between snapshots",
    )
    .hint("Pass the id of a snapshot, or the time of a point of history()")
}
