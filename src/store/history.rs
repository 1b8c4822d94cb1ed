//! Point-in-time restore: any time that the log still reaches, from the newest manifest before it.

use std::ops::ControlFlow;

use super::{
    Storage, records,
    recovery::{Broken, Until, rebuild},
};
use crate::{
    error::{Error, ErrorCode, Result},
    format::{LogKind, LogRecord, Manifest},
    sqlite::PageFile,
    time::Timestamp,
};

impl Storage {
    /// Returns the content after the newest stored batch of commits that is not later than `at`. Must not run
    /// concurrently with a snapshot, a prune or a sweep.
    ///
    /// Fails with `snapshot_not_found` for a time before `not_before` or before the reach of the log (details `oldest`:
    /// the first time that can be restored, where there is one), with `snapshot_corrupt` when the log is damaged on the
    /// way, `lock_lost`, and the store's errors.
    pub async fn load_at(&self, at: Timestamp, not_before: Timestamp) -> Result<PageFile> {
        if at < not_before {
            return Err(self.unreachable(at, not_before).await?);
        }
        // A failed truncation may have taken effect.
        self.reload_head().await?;
        let (manifests, whole) = (self.manifests(), self.truncated().lsn == 0);
        let mut before =
            manifests.iter().rev().filter(|manifest| self.reaches(manifest) && commit_time(manifest) <= at);
        let least = Broken { lsn: self.position().lsn, ..Broken::default() };
        let state = rebuild(&self.0.paging, &mut before, Until::Time(at), least, u64::MAX).await?;
        for generation in state.damaged {
            self.note_damage(generation, true);
        }
        // The time that this error reports must itself be restorable.
        let broken = state.broken.is_some() && state.end.time != at;
        if state.base.is_none() && (!whole || !broken && state.file.bytes() == 0) {
            return Err(self.unreachable(at, not_before).await?);
        }
        if broken { Err(damaged(at, state.end.time)) } else { Ok(state.file) }
    }

    /// Returns whether the log continues from the manifest.
    fn reaches(&self, manifest: &Manifest) -> bool {
        manifest.lsn >= self.truncated().lsn
    }

    async fn unreachable(&self, at: Timestamp, not_before: Timestamp) -> Result<Error> {
        let error = Error::new(ErrorCode::SnapshotNotFound, format!("The state of {at} is not stored"));
        let first = match self.manifests().iter().find(|manifest| self.truncated().lsn > 0 && self.reaches(manifest)) {
            Some(manifest) => Some(commit_time(manifest)),
            None => self.first_commit().await?,
        };
        let Some(first) = first else { return Ok(error.hint("Nothing has been stored yet")) };
        let oldest = first.max(not_before).to_string();
        Ok(error
            .hint(format!("Points in time from {oldest} on can be restored; snapshots.list() shows older ones"))
            .detail("oldest", oldest))
    }

    /// Returns the time of the log's first batch of pages.
    async fn first_commit(&self) -> Result<Option<Timestamp>> {
        let mut first = None;
        let mut find = |key, bytes| {
            let record = LogRecord::decode(key, bytes).filter(|record| record.header.kind == LogKind::Commit);
            first = record.map(|record| record.header.time);
            Ok(if first.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        };
        records::each_of_log(&*self.0.store(), (0, u32::MAX), &mut find).await?;
        Ok(first)
    }
}

fn damaged(at: Timestamp, good: Timestamp) -> Error {
    Error::new(ErrorCode::SnapshotCorrupt, format!("The page log before {at} is damaged"))
        .hint(format!("Nothing has changed; {good} can be restored, and perhaps a snapshot after it"))
        .detail("lastGoodAt", good.to_string())
}

/// Returns the time of the last commit in a manifest; for a barrier, whose changes aren't logged, its own time.
fn commit_time(manifest: &Manifest) -> Timestamp {
    if manifest.barrier { manifest.created_at } else { manifest.time }
}
