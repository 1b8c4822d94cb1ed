//! Where a pull of a table begins, and how far it came.
//!
//! A row may be committed late: with a cursor value (the time when its transaction began) that lies before rows that were
//! already read. So a pull begins `overlapMs` before the server's time at the pull before it, where that is earlier than
//! the cursor. Where the server's time isn't known (a gateway may hide the `Date` header), a cursor value stands for it that
//! existed when the pull began: the newest one read before, at the very first pull one of its first page. That is never
//! later, so nothing is missed, but more rows are read again. (The newest one of the pull itself would be too late: it may
//! have been written minutes after the pull had passed the place of a row that was still to be committed.)

use super::{
    helpers,
    plan::Plan,
    query::Range,
    state::{Position, Progress},
};
use crate::time::Timestamp;

/// Where to begin.
#[derive(Debug, PartialEq, Eq)]
pub struct Start {
    /// The first range.
    pub range: Range,
    /// It goes on where an earlier pull was cut.
    pub resumed: bool,
    /// It begins with the first row.
    pub whole: bool,
}

/// Where a table's pull begins. Forgets a position that can't be used any more: a new column needs all rows again.
pub fn start(progress: &mut Progress, plan: &Plan, full: bool) -> Start {
    let known = |selected: &Vec<String>| plan.selection.columns.iter().all(|column| selected.contains(column));
    if full || !progress.selected.as_ref().is_some_and(known) || !comparable(progress, plan) {
        *progress = Progress { selected: Some(plan.selection.columns.clone()), ..Progress::default() };
    }
    let has_cursor = plan.selection.cursor.is_some();
    let usable = |position: &&Position| position.cursor.is_some() == has_cursor && position.key.len() == plan.key.len();
    let Some(position) = progress.position.as_ref().filter(usable).cloned() else {
        let range = if has_cursor { Range::Cursors } else { Range::Keys(None) };
        return Start { range, resumed: false, whole: true };
    };
    if progress.started.is_some() {
        let range = if has_cursor { Range::Behind(position) } else { Range::Keys(Some(position.key)) };
        if plan.ceiling.is_some() && progress.watermark.is_some() {
            // Tombstones wait for a pull that reads all rows since the same moment: the next one begins where this one did.
            progress.started.clone_from(&progress.watermark);
        }
        return Start { range, resumed: true, whole: false };
    }
    if !has_cursor {
        return Start { range: Range::Keys(None), resumed: false, whole: true };
    }
    let decided = plan.ceiling.is_some().then_some(progress.watermark.as_deref()).flatten().and_then(helpers::split);
    if let Some((_, number)) = decided {
        return Start { range: Range::From(number.to_string()), resumed: false, whole: false };
    }
    let cursor = position.cursor.as_deref().unwrap_or_default();
    let range = match overlap(cursor, progress.watermark.as_deref(), plan.options.overlap_ms) {
        Some(from) => Range::From(from),
        None => Range::Behind(position),
    };
    Start { range, resumed: false, whole: false }
}

/// Whether the place that is remembered means anything to this plan: it was reached by moments, or by the numbers of this cluster.
fn comparable(progress: &Progress, plan: &Plan) -> bool {
    let mark = progress.started.as_deref().or(progress.watermark.as_deref());
    let cluster = |mark| helpers::split(mark).map(|(cluster, _)| cluster);
    mark.and_then(cluster) == plan.ceiling.as_deref().and_then(cluster) || progress.position.is_none() && mark.is_none()
}

/// The moment before `cursor` to begin with; `None`: behind the cursor is early enough, or it is no moment.
fn overlap(cursor: &str, watermark: Option<&str>, overlap_ms: u64) -> Option<String> {
    // A timestamp without time zone is as good as one in UTC: only differences count.
    let moment = |text: &str| Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}Z")));
    let newest = moment(cursor)?;
    let server = watermark.and_then(moment).unwrap_or(newest);
    let from = server.plus_ms(-i64::try_from(overlap_ms).unwrap_or(i64::MAX));
    (overlap_ms > 0 && from < newest).then(|| from.to_string())
}

/// Moves the progress behind a page; `last` is its last row, none when the page was empty and the pull is complete.
pub fn advance(progress: &mut Progress, plan: &Plan, last: Option<&Position>, server_time: Option<Timestamp>) {
    let known_before = progress.position.as_ref().or(last).and_then(|position| position.cursor.clone());
    let server_time = plan.ceiling.clone().or_else(|| server_time.map(|time| time.to_string()));
    let started = || server_time.or(known_before).unwrap_or_default();
    match last {
        Some(last) => {
            progress.started.get_or_insert_with(started);
            progress.position = Some(last.clone());
        }
        None => {
            let began = progress.started.take().unwrap_or_else(started);
            progress.watermark = Some(began).filter(|time| !time.is_empty());
            if plan.selection.cursor.is_none() {
                progress.position = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overlap_begins_before_the_pull_before() {
        let cursor = "2026-01-02T03:04:05.678901+00:00";
        let late = Some("2026-01-02T03:04:30.000Z");
        assert_eq!(overlap(cursor, late, 60_000).as_deref(), Some("2026-01-02T03:03:30.000Z"));
        // The cursor is older than that anyway.
        assert_eq!(overlap(cursor, late, 10_000), None);
        assert_eq!(overlap(cursor, None, 60_000).as_deref(), Some("2026-01-02T03:03:05.678Z"));
        assert_eq!(overlap("2026-01-02T03:04:05", None, 1000).as_deref(), Some("2026-01-02T03:04:04.000Z"));
        for no_moment in ["17", "infinity", ""] {
            assert_eq!(overlap(no_moment, late, 60_000), None);
        }
        assert_eq!(overlap(cursor, None, 0), None);
    }
}
