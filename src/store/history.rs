//! Going back in time: any moment that the log still reaches, from the newest manifest before it.

use super::{
    Storage,
    log::{Position, Replay},
    records,
    recovery::{self, Check},
};
use crate::{
    error::{Error, ErrorCode, Result},
    format::{LogHeader, LogKind, Manifest},
    sqlite::Image,
    time::Timestamp,
};

/// How many bytes of the log are in memory at a time.
const LOG_SLICE: usize = 8 * 1024 * 1024;

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
        let manifests = self.manifests();
        // Replay from before a barrier never crosses it.
        let mut barrier = u64::MAX;
        for manifest in manifests.iter().rev().filter(|manifest| self.reaches(manifest) && moment(manifest) <= at) {
            match recovery::load(&*self.0.store(), manifest, Check::Quick).await {
                Ok(image) => return self.replay_until(image, recovery::at(manifest), at, barrier).await,
                Err(error) if error.is(ErrorCode::SnapshotCorrupt) => {
                    self.note_damage(manifest.generation, true);
                    barrier = if manifest.barrier { barrier.min(manifest.lsn) } else { barrier };
                }
                Err(error) => return Err(error),
            }
        }
        if self.truncated().lsn == 0 {
            let image = self.replay_until(Image::default(), Position::default(), at, barrier).await?;
            if !image.is_empty() {
                return Ok(image);
            }
        }
        Err(self.unreachable(at, not_before).await?)
    }

    /// Whether the log goes on from there.
    fn reaches(&self, manifest: &Manifest) -> bool {
        manifest.lsn >= self.truncated().lsn
    }

    async fn replay_until(&self, image: Image, from: Position, at: Timestamp, barrier: u64) -> Result<Image> {
        let mut replay = Replay::new(image, from, u64::MAX);
        let mut key = (from.lsn, u32::MAX);
        let least = self.position().lsn;
        loop {
            let entries = records::log(&*self.0.store(), key, LOG_SLICE).await?;
            let end = entries.is_empty();
            for entry in entries {
                key = entry.key;
                let header = entry.record.as_ref().map(|record| record.header);
                let next = replay.end().lsn + 1;
                if header.is_some_and(|header| header.time > at && header.lsn == next) {
                    return Ok(replay.finish().0);
                }
                replay.room_for(&entry)?;
                let crosses = key.0 > barrier && header.is_none_or(|header| header.kind == LogKind::Commit);
                if crosses || !replay.take(entry) {
                    let good = replay.end().time;
                    // So that the moment that the error tells can be reached.
                    return if at == good { Ok(replay.finish().0) } else { Err(damaged(at, good)) };
                }
            }
            if end && replay.is_whole() && replay.end().lsn >= least {
                return Ok(replay.finish().0);
            } else if end {
                return Err(damaged(at, replay.end().time));
            }
        }
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
        let mut key = (0, u32::MAX);
        loop {
            let entries = records::log(&*self.0.store(), key, 1).await?;
            let Some(last) = entries.last() else { return Ok(None) };
            key = last.key;
            let mut headers = entries.into_iter().filter_map(|entry| entry.record).map(|record| record.header);
            if let Some(LogHeader { time, .. }) = headers.find(|header| header.kind == LogKind::Commit) {
                return Ok(Some(time));
            }
        }
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
