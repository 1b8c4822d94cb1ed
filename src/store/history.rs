//! Going back in time: any moment that the log still reaches, from the newest manifest before it.

use std::ops::ControlFlow;

use super::{
    Storage, records,
    recovery::{Broken, Until, rebuild},
};
use crate::{
    error::{Error, ErrorCode, Result},
    format::{LogKind, LogRecord, Manifest},
    sqlite::Image,
    time::Timestamp,
};

impl Storage {
    /// The contents after the newest stored batch of commits that is not later than `at`. Not beside a snapshot, a prune
    /// or a sweep.
    ///
    /// Fails with `snapshot_not_found` for a moment before `not_before` or before what the log reaches (details `oldest`:
    /// the first moment that can be reached, where there is one), with `snapshot_corrupt` when the log is damaged on the
    /// way, `lock_lost`, and with what the store fails with.
    pub async fn load_at(&self, at: Timestamp, not_before: Timestamp) -> Result<Image> {
        if at < not_before {
            return Err(self.unreachable(at, not_before).await?);
        }
        // A cut that failed may have been made all the same.
        self.reload_head().await?;
        let (manifests, whole) = (self.manifests(), self.truncated().lsn == 0);
        let mut before = manifests.iter().rev().filter(|manifest| self.reaches(manifest) && moment(manifest) <= at);
        let least = Broken { lsn: self.position().lsn, ..Broken::default() };
        let state = rebuild(&*self.0.store(), &mut before, Until::Moment(at), least, u64::MAX).await?;
        for generation in state.damaged {
            self.note_damage(generation, true);
        }
        // So that the moment that the error tells can be reached.
        let broken = state.broken.is_some() && state.end.time != at;
        if state.base.is_none() && (!whole || !broken && state.image.is_empty()) {
            return Err(self.unreachable(at, not_before).await?);
        }
        if broken { Err(damaged(at, state.end.time)) } else { Ok(state.image) }
    }

    /// Whether the log goes on from there.
    fn reaches(&self, manifest: &Manifest) -> bool {
        manifest.lsn >= self.truncated().lsn
    }

    async fn unreachable(&self, at: Timestamp, not_before: Timestamp) -> Result<Error> {
        let error =
            Error::new(ErrorCode::SnapshotNotFound, format!("The state of {at} is not stored any more, or never was"));
        let first = match self.manifests().iter().find(|manifest| self.truncated().lsn > 0 && self.reaches(manifest)) {
            Some(manifest) => Some(moment(manifest)),
            None => self.first_commit().await?,
        };
        let Some(first) = first else { return Ok(error.hint("Nothing was stored yet")) };
        let oldest = first.max(not_before).to_string();
        Ok(error
            .hint(format!("Moments from {oldest} on can be restored; snapshots.list() has older points"))
            .detail("oldest", oldest))
    }

    /// The time of the log's first batch of pages.
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

/// The time of the last commit in a manifest; where commits aren't logged, its own.
fn moment(manifest: &Manifest) -> Timestamp {
    if manifest.barrier { manifest.created_at } else { manifest.time }
}
