//! Where a pull of a table begins, and its progress.
//!
//! A row may be committed late: with a cursor value (the time when its transaction began) that is older than those of
//! rows already read. So a pull begins `overlapMs` before the server's time at the previous pull, if that is earlier
//! than the cursor.
//!
//! If the server's time isn't known (a gateway may hide the `Date` header), a cursor value that existed when the pull
//! began replaces it: the newest one of earlier pulls, or, at the very first pull, one of its first page. It is never
//! later, so no row is missed, but more rows are read again. The newest value of the pull itself would be too late: it
//! may have been written minutes after the pull had passed the position of a row that was still to be committed.
//!
//! A pull of all rows reads them in the order of the key, in spans. Before that it notes the newest cursor value; rows
//! that are newer once the spans are read have changed meanwhile, and are read last.

use super::helpers;
use crate::{
    sync::{
        postgrest::query::Range,
        schema::plan::Plan,
        state::{
            progress::{ReadPosition, TableProgress},
            spans::Span,
        },
    },
    time::Timestamp,
};

/// Where a pull of a table begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Start {
    /// The first rows to read.
    pub first: First,
    /// Whether it continues an interrupted pull.
    pub resumed: bool,
}

/// The first rows that a pull of a table reads.
#[derive(Debug, PartialEq, Eq)]
pub enum First {
    /// All rows, from the first one.
    All,
    /// The remaining spans of an interrupted pull.
    Spans,
    /// A range by the cursor.
    Rows(Range),
}

/// Returns where a table's pull begins, and prepares the progress for it. A position that can't be used any more is
/// forgotten, since a new column needs all rows again.
pub fn start(progress: &mut TableProgress, plan: &Plan, full: bool) -> Start {
    let known = |selected: &Vec<String>| plan.selection.columns.iter().all(|column| selected.contains(column));
    let same_cluster = comparable(progress, plan);
    let all = |progress: &mut TableProgress| {
        let selected = Some(plan.selection.columns.clone());
        // Tombstones are wanted from this watermark on until all rows are read; or from where an interrupted pull began.
        let numbered = plan.ceiling.is_some() && same_cluster;
        let watermark = progress.watermark.take().filter(|_| numbered);
        let started = progress.started.take().filter(|_| numbered).map(|cut| watermark.clone().unwrap_or(cut));
        let spans = Some(vec![Span::default()]);
        *progress = TableProgress { selected, watermark, started, spans, ..TableProgress::default() };
        Start { first: First::All, resumed: false }
    };
    if full || !progress.selected.as_ref().is_some_and(known) || !same_cluster {
        return all(progress);
    }
    // A column that is dropped and added again counts as new.
    progress.selected = Some(plan.selection.columns.clone());
    let has_cursor = plan.selection.cursor.is_some();
    let whole_key = |key: &Vec<String>| key.len() == plan.key.len();
    let usable = |position: &&ReadPosition| position.cursor.is_some() == has_cursor && whole_key(&position.key);
    let position = progress.position.as_ref().filter(usable).cloned();
    let interrupted = progress.started.is_some();
    if interrupted && plan.ceiling.is_some() && progress.watermark.is_some() {
        // Stored tombstones need a pull that reads all rows since the same ceiling, so the next pull begins there too.
        progress.started.clone_from(&progress.watermark);
    }
    if let Some(spans) = progress.spans.as_ref().filter(|_| interrupted) {
        let keys = |span: &Span| [&span.after, &span.upto].into_iter().flatten().all(whole_key);
        return match spans.as_slice() {
            [] if has_cursor => Start { first: First::Rows(behind(position)), resumed: true },
            // Nothing of it was read.
            [whole] if *whole == Span::default() => all(progress),
            [_, ..] if spans.iter().all(keys) => Start { first: First::Spans, resumed: true },
            _ => all(progress),
        };
    }
    match position {
        Some(position) if interrupted && has_cursor => {
            Start { first: First::Rows(Range::Behind(position)), resumed: true }
        }
        Some(ReadPosition { key, .. }) if interrupted => {
            progress.spans = Some(vec![Span { after: Some(key), upto: None }]);
            Start { first: First::Spans, resumed: true }
        }
        Some(position) if has_cursor => {
            let cursor = position.cursor.as_deref().unwrap_or_default();
            let watermark = progress.watermark.as_deref();
            let decided = watermark.filter(|_| plan.ceiling.is_some()).and_then(helpers::split);
            let from = match decided {
                Some((_, number)) => Some(number.to_string()),
                None => overlap(cursor, watermark, progress.seen.as_deref(), plan.options.overlap_ms),
            };
            let range = from.map_or_else(|| Range::Behind(position), Range::From);
            Start { first: First::Rows(range), resumed: false }
        }
        _ => all(progress),
    }
}

/// Returns the range of the rows with a cursor, behind a position if there is one.
pub fn behind(position: Option<ReadPosition>) -> Range {
    position.filter(|position| position.cursor.is_some()).map_or(Range::Cursors, Range::Behind)
}

/// Returns whether the stored progress is comparable with this plan: both by times, or both by the numbers of one
/// cluster.
fn comparable(progress: &TableProgress, plan: &Plan) -> bool {
    let mark = progress.started.as_deref().or(progress.watermark.as_deref());
    let cluster = |mark| helpers::split(mark).map(|(cluster, _)| cluster);
    mark.and_then(cluster) == plan.ceiling.as_deref().and_then(cluster) || progress.position.is_none() && mark.is_none()
}

/// Returns the time before `cursor` to begin with, in the cursor's form. Returns `None` if beginning behind the cursor is early
/// enough, or if the cursor isn't a time.
///
/// A cursor without a time zone may be in any, and only lengths of time count: by how much the server's time at the pull before
/// was later than when the cursor was `seen`.
fn overlap(cursor: &str, watermark: Option<&str>, seen: Option<&str>, overlap_ms: u64) -> Option<String> {
    let newest = Timestamp::parse_or_utc(cursor)?;
    let mark = watermark.and_then(Timestamp::parse_or_utc).unwrap_or(newest);
    let has_zone = |text: &str| Timestamp::parse(text).is_some();
    let server = match seen.and_then(Timestamp::parse) {
        _ if has_zone(cursor) || !watermark.is_some_and(has_zone) => mark,
        Some(seen) => newest.plus_ms(mark.since(seen)),
        None => newest,
    };
    let from = server.plus_ms(-i64::try_from(overlap_ms).unwrap_or(i64::MAX));
    (overlap_ms > 0 && from < newest).then(|| in_form_of(cursor, from))
}

/// Writes a time as PostgREST does, or with a space like a cursor that is a text: texts are compared by their characters.
fn in_form_of(cursor: &str, time: Timestamp) -> String {
    let text = time.to_string();
    if cursor.as_bytes().get(10) == Some(&b' ') { text.replace('T', " ").replace('Z', "") } else { text }
}

/// Notes the beginning of a pull, once. `seen` is the first row that it read, or the newest.
pub fn begin(progress: &mut TableProgress, plan: &Plan, server_time: Option<Timestamp>, seen: Option<&ReadPosition>) {
    if progress.started.is_none() {
        let known = || progress.position.as_ref().or(seen).and_then(|position| position.cursor.clone());
        let mark = plan.ceiling.clone().or_else(|| server_time.map(|time| time.to_string()));
        progress.started = Some(mark.or_else(known).unwrap_or_default());
    }
}

/// Notes that the rows up to `last` were read by the cursor, at the time `seen`, so that the next pull begins there.
/// `server_time` is that at the beginning of the pull.
///
/// A time in the future (a row with `infinity`, or written by a fast clock) would hide the rows written until then. So
/// it never becomes the position: its row is read again by each pull.
pub fn moved(
    progress: &mut TableProgress,
    plan: &Plan,
    last: &ReadPosition,
    server_time: Option<Timestamp>,
    seen: Option<Timestamp>,
) {
    let ahead = |cursor: &str| match (Timestamp::parse_or_utc(cursor), server_time) {
        (Some(time), Some(now)) => {
            time > now.plus_ms(i64::try_from(plan.options.overlap_ms.max(AHEAD_MS)).unwrap_or(i64::MAX))
        }
        _ => cursor == "infinity",
    };
    if last.cursor.as_deref().is_some_and(|cursor| !ahead(cursor)) {
        if progress.seen.is_none() || progress.position.as_ref().is_none_or(|position| position.cursor != last.cursor) {
            progress.seen = seen.map(|time| time.to_string());
        }
        progress.position = Some(last.clone());
    }
}

/// By how many milliseconds a server's rows may be ahead of its `Date` header.
const AHEAD_MS: u64 = 60_000;

/// Notes that all rows were read.
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
        assert_eq!(overlap(cursor, late, late, 60_000).as_deref(), Some("2026-01-02T03:03:30.000Z"));
        // The cursor is already older.
        assert_eq!(overlap(cursor, late, None, 10_000), None);
        assert_eq!(overlap(cursor, None, None, 60_000).as_deref(), Some("2026-01-02T03:03:05.678Z"));
        assert_eq!(overlap("2026-01-02T03:04:05", None, None, 1000).as_deref(), Some("2026-01-02T03:04:04.000Z"));
        for no_time in ["17", "infinity", ""] {
            assert_eq!(overlap(no_time, late, late, 60_000), None);
        }
        assert_eq!(overlap(cursor, None, None, 0), None);
    }

    #[test]
    fn a_cursor_without_a_time_zone_is_compared_with_itself_only() {
        let late = Some("2026-01-02T03:04:30.000Z");
        // In New York, in London, in Tokyo.
        for hour in ["2026-01-01T22", "2026-01-02T03", "2026-01-02T12"] {
            let at = |rest: &str| format!("{hour}:{rest}");
            let begin = |seen| overlap(&at("04:05"), late, seen, 60_000);
            assert_eq!(begin(None), Some(at("03:05.000Z")), "it isn't known when it was read");
            assert_eq!(begin(Some("2026-01-02T03:04:50.000Z")), Some(at("02:45.000Z")), "read during the pull");
            assert_eq!(begin(Some("2026-01-02T03:04:10.000Z")), Some(at("03:25.000Z")), "read by an earlier pull");
            assert_eq!(begin(Some("2026-01-02T03:03:30.000Z")), None, "nothing can be late any more");
            // The server doesn't show its time.
            assert_eq!(overlap(&at("04:05"), Some(&at("04:00")), late, 60_000), Some(at("03:00.000Z")));
        }
    }

    #[test]
    fn a_text_with_a_space_begins_with_one() {
        let begin = |cursor| overlap(cursor, None, None, 60_000);
        assert_eq!(begin("2026-01-02 03:04:05.678901").as_deref(), Some("2026-01-02 03:03:05.678"));
        assert_eq!(begin("2026-01-02 03:04:05.678+00").as_deref(), Some("2026-01-02 03:03:05.678"));
    }
}
