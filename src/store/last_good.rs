//! Recovery from damage: sets a database that no longer opens to its last good state. Rarely used, so that opening
//! doesn't depend on this code.

use std::{ops::ControlFlow, rc::Rc};

use serde::Serialize;

use super::{
    Storage, epoch_record,
    failure::{HEAD_RESTORED, lock_lost},
    generations::Tag,
    log::Position,
    paging::Paging,
    records,
    recovery::{self, Recovered},
    remains::{check, use_remains},
    storage::{CLAIM_ATTEMPTS, claim, new_head, next_head},
};
use crate::{
    collections::Bits,
    error::{Error, ErrorCode, Result},
    format::{Head, LogKind, LogRecord, RECOVERY, Truncation},
    ports::{Holder, Platform, Store},
    time::Timestamp,
};

/// The result of recovering a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RecoveryReport {
    /// The snapshot (or internal checkpoint) on which the recovered state is based; `null`: the log alone.
    pub snapshot_id: Option<String>,
    /// The time of the last commit in the recovered state; `null` for a snapshot without a commit.
    pub recovered_to: Option<Timestamp>,
    /// The number of stored batches of commits that could not be applied.
    pub lost_batches: u64,
    /// The quarantined range of the log, which is kept for seven days; `null`: all of the log was used.
    pub quarantined: Option<LogRange>,
    /// The size of the recovered database in bytes.
    pub bytes: u64,
    /// Descriptions of damaged snapshots and missing rows, and the findings of SQLite's `quick_check` on the rest.
    pub problems: Vec<String>,
    /// Whether anything was written; `false`: the database was intact, and is unchanged.
    pub changed: bool,
}

/// A range of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LogRange {
    /// Its first lsn.
    pub from: u64,
    /// Its last lsn.
    pub to: u64,
}

impl Storage {
    /// Sets a database that no longer opens to its last good state: the newest usable snapshot and the intact part of
    /// the log after it, or exactly the snapshot `from`. The caller holds the lock; only the store stays open.
    ///
    /// When all snapshots share a damaged chunk, and the log doesn't reach back behind it, the newest state is copied row by
    /// row without what can't be read; the report's `problems` say what is missing. So is what takes longer to copy than the check
    /// of a file may take. When there is no state before the damage at all, the same is done with what the log wrote after it.
    ///
    /// Damaged data stays in place, before a checkpoint that opening begins with from now on. If the page dies
    /// meanwhile, the database is unchanged. An intact database is not touched, unless `from` is given.
    ///
    /// Fails with `database_corrupt` when nothing usable is left (then nothing was changed), `snapshot_not_found` and
    /// `snapshot_corrupt` for `from`, `snapshot_incompatible` for a newer format, `lock_lost`, and the store's errors.
    pub async fn recover(
        store: Rc<dyn Store>,
        platform: &Platform,
        holder: Holder,
        from: Option<&str>,
    ) -> Result<RecoveryReport> {
        Self::recover_state(store, platform, holder, from, false).await
    }

    /// Does the same for a store with an older state, because its newest one can't be read: see
    /// [`Stores::open_older`](crate::ports::Stores::open_older).
    pub async fn recover_older(
        store: Rc<dyn Store>,
        platform: &Platform,
        holder: Holder,
        from: Option<&str>,
    ) -> Result<RecoveryReport> {
        Self::recover_state(store, platform, holder, from, true).await
    }

    async fn recover_state(
        store: Rc<dyn Store>,
        platform: &Platform,
        holder: Holder,
        from: Option<&str>,
        is_older: bool,
    ) -> Result<RecoveryReport> {
        let from = from.map(|id| id.parse().map_err(|_| unknown(id))).transpose()?;
        let paging = Paging::verifying(store.clone());
        for _ in 0..CLAIM_ATTEMPTS {
            let (stored, restored) = records::restored_head(&*store).await?;
            let head = stored.as_deref().and_then(Head::decode);
            let mut found = recovery::read_valid(&paging, stored, head, from).await?;
            found.warnings.extend(recovery::damage_met(&*store, restored).await?);
            let missing = if from.is_none() { use_remains(&paging, platform, &mut found).await? } else { None };
            let mut report = report_of(&found, from.is_some());
            let salvaged = missing.is_some();
            report.problems.extend(missing.unwrap_or_default());
            let intact = found.state.broken.is_none() && found.state.damaged.is_empty();
            let sound = found.head.is_some() && intact && from.is_none() && !is_older;
            if !salvaged && (!sound || found.state.file.bytes() > 0) {
                report.problems.extend(check(&found.state.file, platform)?);
            }
            if sound {
                return Ok(report);
            }
            if found.head.is_none() {
                found.head = Some(head_from_log(&*store, platform).await?);
            }
            let lost = report.lost_batches > 0 || salvaged;
            let schema_version =
                found.state.base.as_ref().filter(|_| salvaged).and_then(|base| base.schema_version.clone());
            // Where the log is intact, so is the database until the checkpoint is stored: only then the chain breaks.
            let breaks_now = lost && found.state.broken.is_some();
            let last = last_of(&found, breaks_now);
            let epoch = found.head.as_ref().map_or(0, |head| head.epoch) + 1;
            let (record, end) = epoch_record(last, epoch, platform.clock.now());
            let head = next_head(&found, epoch, end.lsn, holder.clone(), platform);
            if claim(&*store, found.stored.clone(), &head, record).await? {
                found.needs_barrier = false;
                let opened = Storage::opened(paging, platform, found, head, end).await?;
                let storage = opened.storage;
                let staged = storage.stage(&opened.file.pin(), &Bits::new(), end, true, true).await?;
                let tag = Tag { reason: RECOVERY, schema_version, ..Tag::checkpoint() };
                let unchained = Position { chain: !end.chain, ..end };
                let breaking = (lost && !breaks_now).then(|| epoch_record(unchained, epoch, platform.clock.now()));
                storage.publish_after(staged, tag, breaking).await?;
                report.changed = true;
                return Ok(report);
            }
        }
        Err(lock_lost())
    }
}

fn unknown(id: &str) -> Error {
    Error::new(ErrorCode::SnapshotNotFound, format!("There is no snapshot {id}"))
        .hint("Leave `from` out to recover the last good state")
        .detail("snapshotId", id)
}

fn report_of(found: &Recovered, exact: bool) -> RecoveryReport {
    let broken = found.state.broken.map_or(0, |broken| broken.lost);
    let last = found.state.broken.map_or(found.state.end.lsn, |broken| broken.lsn);
    let good = if exact { found.state.base.as_ref().map_or(0, |base| base.lsn) } else { found.state.end.lsn };
    let first = found.state.broken.map_or(good + 1, |broken| broken.from.min(good + 1));
    let time = if exact { found.state.base.as_ref().map(|base| base.time) } else { Some(found.state.committed) };
    RecoveryReport {
        snapshot_id: found.state.base.as_ref().map(|base| base.generation.to_string()),
        recovered_to: time.filter(|_| good > 0),
        lost_batches: broken + found.state.skipped,
        quarantined: (broken + found.state.skipped > 0).then_some(LogRange { from: first, to: last }),
        bytes: found.state.file.bytes(),
        problems: found.warnings.iter().map(|warning| warning.message.clone()).collect(),
        changed: found.warnings.iter().any(|warning| warning.message == HEAD_RESTORED),
    }
}

/// Returns the position behind everything stored, damaged or not, where the fence goes. With `lost` data it breaks the
/// chain permanently: should the checkpoint behind the fence be damaged one day, an older state and the records after
/// the break can't be taken for one history.
fn last_of(found: &Recovered, lost: bool) -> Position {
    let broken = found.state.broken.unwrap_or_default();
    Position {
        lsn: found.state.end.lsn.max(broken.lsn),
        chain: if lost { !found.state.end.chain } else { found.state.end.chain },
        time: found.state.end.time.max(broken.time),
        logged: found.state.end.logged.max(broken.logged),
    }
}

/// Rebuilds a lost head from the log, with a new identity, so that holders of the old one are fenced out.
async fn head_from_log(store: &dyn Store, platform: &Platform) -> Result<Head> {
    let mut head = new_head(platform);
    let mut begun = false;
    let mut note = |key, bytes| {
        let Some(LogRecord { header, bytes, .. }) = LogRecord::decode(key, bytes) else {
            return Ok(ControlFlow::Continue(()));
        };
        head.epoch = head.epoch.max(header.epoch);
        if header.kind == LogKind::Epoch {
            head.epochs.push(header.lsn);
        } else if !begun {
            begun = true;
            let logged = header.logged.saturating_sub(bytes.len() as u64);
            head.truncated = Truncation { lsn: header.lsn.saturating_sub(1), logged };
        }
        Ok(ControlFlow::Continue(()))
    };
    records::each_of_log(store, (0, u32::MAX), &mut note).await?;
    Ok(head)
}
