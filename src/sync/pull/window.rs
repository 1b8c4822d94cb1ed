//! Where a pull of a table begins, and how far it came.
//!
//! A row may be committed late: with a cursor value (the time when its transaction began) that lies before rows that were
//! already read. So a pull begins `overlapMs` before the server's time at the pull before it, where that is earlier than
//! the cursor. Where the server's time isn't known (a gateway may hide the `Date` header), a cursor value stands for it that
//! existed when the pull began: the newest one read before, at the very first pull one of its first page. That is never
//! later, so nothing is missed, but more rows are read again. (The newest one of the pull itself would be too late: it may
//! have been written minutes after the pull had passed the place of a row that was still to be committed.)

//!
//! A pull that reads all rows reads them in the order of the key, in spans. Before that it notes the newest cursor there is;
//! what is newer than that when the spans are read changed meanwhile, and is read last.

use super::helpers;
use crate::{
    sync::{
        postgrest::query::Range,
        schema::plan::Plan,
        state::{
            metadata::{ReadPosition, TableProgress},
            spans::Span,
        },
    },
    time::Timestamp,
};

/// Where to begin.
#[derive(Debug, PartialEq, Eq)]
pub struct Start {
    /// What to read first.
    pub first: First,
    /// It goes on where an earlier pull was cut.
    pub resumed: bool,
}

/// What a pull of a table reads first.
#[derive(Debug, PartialEq, Eq)]
pub enum First {
    /// All rows, from the first one on.
    All,
    /// The rest of all rows: the spans of the progress.
    Spans,
    /// By the cursor.
    Rows(Range),
}

/// Where a table's pull begins; the progress is made ready for that. A position that can't be used any more is forgotten: a
/// new column needs all rows again.
pub fn start(progress: &mut TableProgress, plan: &Plan, full: bool) -> Start {
    let known = |selected: &Vec<String>| plan.selection.columns.iter().all(|column| selected.contains(column));
    let same_cluster = comparable(progress, plan);
    let all = |progress: &mut TableProgress| {
        let selected = Some(plan.selection.columns.clone());
        // Tombstones count from there on, until all was read.
        let watermark = progress.watermark.take().filter(|_| plan.ceiling.is_some() && same_cluster);
        *progress =
            TableProgress { selected, watermark, spans: Some(vec![Span::default()]), ..TableProgress::default() };
        Start { first: First::All, resumed: false }
    };
    if full || !progress.selected.as_ref().is_some_and(known) || !same_cluster {
        return all(progress);
    }
    // A column that went is a new one when it is there again.
    progress.selected = Some(plan.selection.columns.clone());
    let has_cursor = plan.selection.cursor.is_some();
    let whole_key = |key: &Vec<String>| key.len() == plan.key.len();
    let usable = |position: &&ReadPosition| position.cursor.is_some() == has_cursor && whole_key(&position.key);
    let position = progress.position.as_ref().filter(usable).cloned();
    let cut = progress.started.is_some();
    if cut && plan.ceiling.is_some() && progress.watermark.is_some() {
        // Tombstones wait for a pull that reads all rows since the same moment: the next one begins where this one did.
        progress.started.clone_from(&progress.watermark);
    }
    if let Some(spans) = progress.spans.as_ref().filter(|_| cut) {
        let keys = |span: &Span| [&span.after, &span.upto].into_iter().flatten().all(whole_key);
        return match spans.as_slice() {
            [] if has_cursor => Start { first: First::Rows(behind(position)), resumed: true },
            [_, ..] if spans.iter().all(keys) => Start { first: First::Spans, resumed: true },
            _ => all(progress),
        };
    }
    match position {
        Some(position) if cut && has_cursor => Start { first: First::Rows(Range::Behind(position)), resumed: true },
        Some(ReadPosition { key, .. }) if cut => {
            progress.spans = Some(vec![Span { after: Some(key), upto: None }]);
            Start { first: First::Spans, resumed: true }
        }
        Some(position) if has_cursor => {
            let cursor = position.cursor.as_deref().unwrap_or_default();
            let watermark = progress.watermark.as_deref();
            let decided = watermark.filter(|_| plan.ceiling.is_some()).and_then(helpers::split);
            let from = match decided {
                Some((_, number)) => Some(number.to_string()),
                None => overlap(cursor, watermark, plan.options.overlap_ms),
            };
            let range = from.map_or_else(|| Range::Behind(position), Range::From);
            Start { first: First::Rows(range), resumed: false }
        }
        _ => all(progress),
    }
}

/// All rows with a cursor behind this place.
pub fn behind(position: Option<ReadPosition>) -> Range {
    position.filter(|position| position.cursor.is_some()).map_or(Range::Cursors, Range::Behind)
}

/// Whether the place that is remembered means anything to this plan: it was reached by moments, or by the numbers of this cluster.
fn comparable(progress: &TableProgress, plan: &Plan) -> bool {
    let mark = progress.started.as_deref().or(progress.watermark.as_deref());
    let cluster = |mark| helpers::split(mark).map(|(cluster, _)| cluster);
    mark.and_then(cluster) == plan.ceiling.as_deref().and_then(cluster) || progress.position.is_none() && mark.is_none()
}

/// The moment before `cursor` to begin with; `None`: behind the cursor is early enough, or it is no moment.
fn overlap(cursor: &str, watermark: Option<&str>, overlap_ms: u64) -> Option<String> {
    let newest = moment(cursor)?;
    let server = watermark.and_then(moment).unwrap_or(newest);
    let from = server.plus_ms(-i64::try_from(overlap_ms).unwrap_or(i64::MAX));
    (overlap_ms > 0 && from < newest).then(|| from.to_string())
}

/// A pull has begun, if it hadn't yet. `seen`: the first row that it saw, or the newest.
pub fn begin(progress: &mut TableProgress, plan: &Plan, server_time: Option<Timestamp>, seen: Option<&ReadPosition>) {
    if progress.started.is_none() {
        let known = || progress.position.as_ref().or(seen).and_then(|position| position.cursor.clone());
        let mark = plan.ceiling.clone().or_else(|| server_time.map(|time| time.to_string()));
        progress.started = Some(mark.or_else(known).unwrap_or_default());
    }
}

/// The rows up to this one were read by the cursor: the next pull begins there.
///
/// A moment that is still to come (one row with `infinity`, or written by a fast clock) would hide what is written until then: it
/// is read, and again the next time, but nothing begins behind it.
pub fn moved(progress: &mut TableProgress, plan: &Plan, last: &ReadPosition, server_time: Option<Timestamp>) {
    let ahead = |cursor: &str| match (moment(cursor), server_time) {
        (Some(moment), Some(now)) => {
            moment > now.plus_ms(i64::try_from(plan.options.overlap_ms.max(AHEAD_MS)).unwrap_or(i64::MAX))
        }
        _ => cursor == "infinity",
    };
    if last.cursor.as_deref().is_some_and(|cursor| !ahead(cursor)) {
        progress.position = Some(last.clone());
    }
}

/// How far a server's rows may be ahead of the time that it shows.
const AHEAD_MS: u64 = 60_000;

/// A timestamp without time zone is as good as one in UTC: only differences count.
fn moment(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}Z")))
}

/// Everything was read.
pub fn complete(progress: &mut TableProgress, has_cursor: bool) {
    progress.watermark = progress.started.take().filter(|time| !time.is_empty());
    progress.spans = None;
    if !has_cursor {
        progress.position = None;
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
