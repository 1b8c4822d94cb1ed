//! Point-in-time restore: any time that the log still reaches, from the newest manifest before it.
//!
//! The lsn orders states; their times are those of a wall clock, which may have been set ahead or back in between. A state
//! matches a time if it was stored until then, and the next one later. Of a time that the clock hasn't reached again since it was
//! set back, it isn't known whether that was before or after it: the state before the change matches, too.

use std::ops::ControlFlow;

use serde::Serialize;

use super::{
    Storage, records,
    recovery::{Broken, Until, rebuild},
};
use crate::{
    error::{Detail, Details, Error, ErrorCode, Result},
    format::{LogKind, LogRecord, Manifest},
    ports::LogKey,
    sqlite::PageFile,
    time::Timestamp,
};

/// How many candidates an error lists.
const LISTED: usize = 100;

/// A point in time to restore. A [`Timestamp`] becomes one without an lsn.
#[derive(Clone, Copy, Debug)]
pub struct PointInTime {
    /// The time by the wall clock.
    pub at: Timestamp,
    /// The lsn of the state, where several match: the clock was set back, or commits came within a millisecond.
    pub lsn: Option<u64>,
}

impl From<Timestamp> for PointInTime {
    fn from(at: Timestamp) -> Self {
        Self { at, lsn: None }
    }
}

/// A stored state of the database that can be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct HistoryPoint {
    /// The number of its commit in the page log.
    pub lsn: u64,
    /// When it was stored, ISO 8601.
    pub at: Timestamp,
    /// The database's size in bytes.
    pub bytes: u64,
}

/// How far back the options allow to restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The first lsn.
    pub lsn: u64,
    /// The first time.
    pub time: Timestamp,
}

/// A state of the database: after a commit, or in a manifest whose changes weren't logged.
struct StoredPoint {
    lsn: u64,
    /// The manifest's generation; 0 after a commit.
    generation: u64,
    /// When it was stored; `None` if its record can't be read.
    at: Option<Timestamp>,
    /// The database's size in bytes.
    bytes: u64,
}

impl StoredPoint {
    /// A state whose record can't be read.
    fn unreadable(lsn: u64) -> Self {
        Self { lsn, generation: 0, at: None, bytes: 0 }
    }
}

impl Storage {
    /// Returns the content after the newest stored batch of commits that is not later than `point`. Must not run
    /// concurrently with a snapshot, a prune or a sweep.
    ///
    /// Fails with `snapshot_not_found` for a time before `reach` or before the reach of the log (details `oldest`: the first
    /// time that can be restored, where there is one), with `invalid_argument` when several states match because the clock was
    /// set back (details `candidates`), with `snapshot_corrupt` when the log is damaged on the way, `lock_lost`, and the
    /// store's errors.
    pub async fn load_at(&self, point: PointInTime, reach: Reach) -> Result<PageFile> {
        let at = point.at;
        // A failed truncation may have taken effect.
        self.reload_head().await?;
        let states = self.states(reach.lsn).await?;
        let mut matching = matching(&states, at);
        if at < reach.time {
            // What was stored after the first state in reach is in reach, too, whatever the clock showed.
            let first = first_in(&states, reach.time);
            matching.retain(|index| first.is_some_and(|first| *index > first));
        }
        if matching.is_empty() {
            return Err(unreachable(at, &states, reach.time));
        }
        let chosen = match (point.lsn, matching.as_slice()) {
            (None, [only]) => Some(*only),
            (None, _) => None,
            (Some(lsn), several) => {
                let found = several.iter().copied().find(|index| states[*index].lsn == lsn);
                // Only the last of several commits within a millisecond matches its time.
                let found = found.or_else(|| states.iter().position(|state| state.lsn == lsn && state.at == Some(at)));
                // With other options, the history began with a snapshot: its state is that of the commit before it.
                let before = states.iter().rposition(|state| state.lsn <= lsn);
                found.or(before.filter(|before| several.contains(before)))
            }
        };
        let Some(chosen) = chosen else {
            // Listed before the front of the log was deleted.
            if point.lsn.is_some_and(|lsn| lsn < states[0].lsn) {
                return Err(unreachable(at, &states, reach.time));
            }
            return Err(ambiguous(point, matching.iter().map(|index| &states[*index])));
        };
        let state = &states[chosen];
        let manifests = self.manifests();
        let precedes = |manifest: &&Manifest| {
            manifest.lsn < state.lsn
                || manifest.lsn == state.lsn && (!manifest.barrier || manifest.generation <= state.generation)
        };
        let mut bases = manifests.iter().rev().filter(|manifest| self.reaches(manifest)).filter(precedes);
        let least = Broken { lsn: state.lsn, ..Broken::default() };
        let rebuilt = rebuild(&self.0.paging, &mut bases, Until::Lsn(state.lsn), least, u64::MAX).await?;
        for generation in &rebuilt.damaged {
            self.note_damage(*generation, true);
        }
        if rebuilt.base.is_none() && self.truncated().lsn > 0 {
            let base = rebuilt.damaged.first();
            return Err(base.map_or_else(|| unreachable(at, &states, reach.time), |base| without_base(at, *base)));
        }
        if rebuilt.broken.is_some() {
            return Err(damaged(at, rebuilt.committed));
        }
        // The time that this error reports must itself be restorable: it is that of a state that was rebuilt.
        let is_followed_by_damage = states.get(chosen + 1).is_some_and(|next| next.at.is_none());
        match state.at.filter(|good| is_followed_by_damage && *good != at) {
            Some(good) => Err(damaged(at, good)),
            None => Ok(rebuilt.file),
        }
    }

    /// Returns the first time that can be restored, all states that [`load_at`](Self::load_at) returns for their own
    /// time and lsn, in the order of the log, and descriptions of its damage. Must not run concurrently with a snapshot, a prune or a sweep. Fails with the
    /// store's errors.
    pub async fn history(&self, reach: Reach) -> Result<(Option<Timestamp>, Vec<HistoryPoint>, Vec<String>)> {
        self.reload_head().await?;
        let mut states = self.states(reach.lsn).await?;
        let errors = gaps(&states);
        let point = |state: &StoredPoint| Some(HistoryPoint { lsn: state.lsn, at: state.at?, bytes: state.bytes });
        // Behind a record that can't be read, the log continues only from a later manifest: from this lsn on.
        let (mut manifests, damaged, mut least) = (self.manifests(), self.damaged(), 0);
        manifests.retain(|manifest| !damaged.contains(&manifest.generation));
        states.retain(|state| {
            match (state.at, state.generation) {
                (None, _) => least = u64::MAX,
                (_, 0) => least = least.min(state.lsn.saturating_sub(1)),
                _ => {}
            }
            let bases = least.min(state.lsn)..=state.lsn;
            least == 0 || manifests.iter().any(|base| bases.contains(&base.lsn))
        });
        let reached = first_in(&states, reach.time).map_or(&[][..], |first| &states[first..]);
        Ok((first_of(&states, reach.time), reached.iter().filter_map(point).collect(), errors))
    }

    /// Returns whether the log continues from the manifest.
    fn reaches(&self, manifest: &Manifest) -> bool {
        manifest.lsn >= self.truncated().lsn
    }

    /// Returns the states from an lsn on, in their order.
    async fn states(&self, from: u64) -> Result<Vec<StoredPoint>> {
        let manifests = self.manifests();
        let from = from.max(self.truncated().lsn);
        let start = manifests.iter().find(|manifest| from > 0 && manifest.lsn >= from);
        if from > 0 && start.is_none() {
            return Ok(Vec::new());
        }
        let start_lsn = start.map_or(0, |start| start.lsn);
        let is_state = |manifest: &&Manifest| {
            manifest.barrier && manifest.lsn >= start_lsn
                || start.is_some_and(|start| start.generation == manifest.generation)
        };
        let of_manifest = |manifest: &Manifest| StoredPoint {
            lsn: manifest.lsn,
            generation: manifest.generation,
            at: Some(if manifest.barrier { manifest.created_at } else { manifest.time }),
            bytes: manifest.db_bytes,
        };
        let mut states: Vec<StoredPoint> = manifests.iter().filter(is_state).map(of_manifest).collect();
        // The key of the next record; `None` after one that can't be read, which may be one of several parts.
        let (mut seen, mut next) = (start_lsn, Some((start_lsn + 1, 0)));
        let mut unreadable = Vec::new();
        let mut take = |key: LogKey, bytes| {
            let expected = next.unwrap_or(if key.0 == seen { key } else { (seen + 1, 0) });
            let follows = key == expected;
            if !follows {
                unreadable.push(expected.0);
            }
            next = LogRecord::decode(key, bytes).map(|LogRecord { header, .. }| {
                if header.kind == LogKind::Commit && header.part == 0 {
                    let bytes = u64::from(header.db_pages) * u64::from(header.page_size);
                    states.push(StoredPoint { lsn: header.lsn, generation: 0, at: Some(header.time), bytes });
                }
                match header.part + 1 < header.parts {
                    true => (header.lsn, header.part + 1),
                    false => (header.lsn + 1, 0),
                }
            });
            if next.is_none() || key.1 > 0 && !follows {
                unreadable.push(key.0);
            }
            seen = key.0;
            Ok(ControlFlow::Continue(()))
        };
        records::each_of_log(&*self.0.store(), (start_lsn, u32::MAX), &mut take).await?;
        if next.is_some_and(|(lsn, _)| lsn == seen) {
            unreadable.push(seen);
        }
        if seen < self.position().lsn {
            unreadable.push(seen + 1);
        }
        unreadable.dedup();
        for lsn in unreadable {
            // One of several parts may be readable.
            states.retain(|state| state.lsn != lsn || state.generation > 0);
            states.push(StoredPoint::unreadable(lsn));
        }
        states.sort_by_key(|state| (state.lsn, state.generation));
        Ok(states)
    }
}

/// Describes the places where records can't be read, in the order of the log.
fn gaps(states: &[StoredPoint]) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut before = None;
    for (index, state) in states.iter().enumerate() {
        if state.at.is_some() {
            before = state.at;
            continue;
        }
        // Several records that follow one another are one place.
        if index > 0 && states[index - 1].at.is_none() {
            continue;
        }
        let place = before.map_or_else(|| "at its beginning".to_owned(), |before| format!("after {before}"));
        gaps.push(format!(
            "The page log is damaged {place}: what was stored then until the next snapshot can't be restored"
        ));
    }
    gaps
}

/// Returns the index of the first state that was stored at `time` or later.
fn first_in(states: &[StoredPoint], time: Timestamp) -> Option<usize> {
    states.iter().position(|state| state.at.is_some_and(|at| at >= time))
}

/// Returns the states that may have been the current one when the clock showed a time: stored until then, and the next one later. When
/// the clock was set back after one, it is unknown when: that one ends with the first later state of its own time or after it.
fn matching(states: &[StoredPoint], at: Timestamp) -> Vec<usize> {
    let mut matching = Vec::new();
    // Of the later states: the time of the next one, and the newest time until then.
    let (mut next, mut newest) = (None, None);
    for (index, state) in states.iter().enumerate().rev() {
        let Some(time) = state.at else { continue };
        if time <= at {
            let is_current = match next {
                Some(next) if next < time => newest < Some(time),
                next => next.is_none_or(|next| next > at),
            };
            if is_current {
                matching.push(index);
            }
            newest = newest.max(Some(time));
        }
        next = Some(time);
    }
    matching.reverse();
    matching
}

/// Returns the first time that can be restored.
fn first_of(states: &[StoredPoint], not_before: Timestamp) -> Option<Timestamp> {
    states.iter().filter_map(|state| state.at).min().map(|first| first.max(not_before))
}

fn unreachable(at: Timestamp, states: &[StoredPoint], not_before: Timestamp) -> Error {
    let error = Error::new(ErrorCode::SnapshotNotFound, format!("The state of {at} is not stored"));
    let Some(oldest) = first_of(states, not_before) else {
        return error.hint("Nothing has been stored yet");
    };
    let oldest = oldest.to_string();
    error
        .hint(format!("Points in time from {oldest} on can be restored; snapshots.list() shows older ones"))
        .detail("oldest", oldest)
}

fn ambiguous<'a>(
    point: PointInTime,
    states: impl DoubleEndedIterator<Item = &'a StoredPoint> + ExactSizeIterator,
) -> Error {
    let at = point.at;
    let count = states.len();
    let candidate = |state: &StoredPoint| {
        let mut candidate = Details::default();
        candidate.insert("lsn".into(), state.lsn.into());
        candidate.insert("at".into(), state.at.map(|at| at.to_string()).unwrap_or_default().into());
        Detail::Object(candidate)
    };
    let candidates: Vec<Detail> = states.rev().take(LISTED).map(candidate).collect();
    let message = match point.lsn {
        Some(lsn) => format!("The state of commit {lsn} isn't one of those that match {at}"),
        None => format!("The clock was set back: {count} stored states match {at}"),
    };
    Error::invalid(message)
        .hint("restore({ at, lsn }) with the lsn of one of details.candidates; nothing has changed")
        .detail("candidates", candidates)
}

fn without_base(at: Timestamp, base: u64) -> Error {
    let message = format!("The state of {at} can't be rebuilt: snapshot {base}, the newest before it, is damaged");
    Error::new(ErrorCode::SnapshotCorrupt, message)
        .hint("Nothing has changed; restore a time after the next snapshot")
        .detail("snapshotId", base.to_string())
}

fn damaged(at: Timestamp, good: Timestamp) -> Error {
    Error::new(ErrorCode::SnapshotCorrupt, format!("The page log before {at} is damaged"))
        .hint(format!("Nothing has changed; {good} can be restored, and perhaps a snapshot after it"))
        .detail("lastGoodAt", good.to_string())
}
