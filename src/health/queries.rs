//! Statistics of the executed statements: constant work for each statement.

use super::report::{QueriesHealth, SlowQuery};
use crate::time::Timestamp;

/// The percentiles cover this many of the latest exact times.
const SAMPLES: usize = 512;

/// The first statements are all timed exactly, later ones one in eight.
const ALL_EXACT: u64 = 64;

/// How many slow statements are kept.
const SLOWEST: usize = 5;

/// Longer than a frame is slow: users of a page notice it.
const SLOW_MS: f64 = 16.0;

/// The length of a shown statement in characters.
const SHOWN: usize = 300;

/// Texts of up to this many bytes are kept whole, so that their plan can be computed.
const KEPT: usize = 8192;

/// The duration of a statement in milliseconds.
#[derive(Clone, Copy, Debug)]
pub enum StatementTime {
    /// Measured by a monotonic clock with fractions.
    Exact(f64),
    /// Measured by the wall clock, to a millisecond: enough to notice slow statements.
    Wall(f64),
}

/// Counts statements and keeps the latest durations.
#[derive(Clone, Debug, Default)]
pub struct QueryStats {
    count: u64,
    errors: u64,
    /// The latest exact durations in milliseconds; the next one goes to `timed % SAMPLES`.
    samples: Vec<f32>,
    timed: u64,
    /// Slowest first, each text once.
    slow: Vec<SlowQuery>,
}

impl QueryStats {
    /// Returns whether to time the next statement exactly. The choice is irregular: a period could match that of the
    /// statements.
    pub fn wants_exact(&self) -> bool {
        self.count < ALL_EXACT || self.count.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61 == 0
    }

    /// Records a statement that ended at `at`. Slow statements count by either clock; percentiles use exact times only.
    pub fn record(&mut self, sql: &str, took: StatementTime, at: Timestamp, failed: bool) {
        let (StatementTime::Exact(ms) | StatementTime::Wall(ms)) = took;
        if let StatementTime::Exact(ms) = took {
            let slot = (self.timed % SAMPLES as u64) as usize;
            match self.samples.get_mut(slot) {
                Some(sample) => *sample = ms as f32,
                None => self.samples.push(ms as f32),
            }
            self.timed += 1;
        }
        self.count += 1;
        self.errors += u64::from(failed);
        if ms >= SLOW_MS && (self.slow.len() < SLOWEST || self.slow.last().is_some_and(|last| ms > last.ms)) {
            self.keep(sql, ms, at);
        }
    }

    fn keep(&mut self, sql: &str, ms: f64, at: Timestamp) {
        let sql = if sql.len() > KEPT { shown(sql) } else { sql };
        if let Some(known) = self.slow.iter().position(|known| known.sql == sql) {
            if self.slow[known].ms >= ms {
                return;
            }
            self.slow.remove(known);
        }
        let place = self.slow.partition_point(|known| known.ms >= ms);
        self.slow.insert(place, SlowQuery { sql: sql.to_owned(), ms: rounded(ms), at, plan: Vec::new() });
        self.slow.truncate(SLOWEST);
    }

    /// Returns the current statistics. `plan` returns the query plan of a statement.
    pub fn report(&self, plan: &dyn Fn(&str) -> Vec<String>) -> QueriesHealth {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let percentile = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100);
            sorted.get(rank.saturating_sub(1)).map_or(0.0, |ms| rounded(f64::from(*ms)))
        };
        QueriesHealth {
            count: self.count,
            errors: self.errors,
            p50_ms: percentile(50),
            p95_ms: percentile(95),
            slow: self.slow.iter().map(|slow| slow.shown(plan)).collect(),
        }
    }
}

/// Returns the beginning of a text.
fn shown(sql: &str) -> &str {
    let end = sql.char_indices().nth(SHOWN).map_or(sql.len(), |(end, _)| end);
    &sql[..end]
}

impl SlowQuery {
    fn shown(&self, plan: &dyn Fn(&str) -> Vec<String>) -> Self {
        Self { sql: shown(&self.sql).to_owned(), plan: plan(&self.sql), ..self.clone() }
    }
}

/// Rounds to microseconds: no browser's clock is finer.
fn rounded(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::{ALL_EXACT, QueryStats, SAMPLES, SHOWN, SLOWEST, StatementTime};
    use crate::time::Timestamp;

    fn no_plan(_: &str) -> Vec<String> {
        Vec::new()
    }

    fn stats(times: impl IntoIterator<Item = f64>) -> QueryStats {
        let mut stats = QueryStats::default();
        times.into_iter().for_each(|ms| stats.record("SELECT ?", StatementTime::Exact(ms), Timestamp(0), false));
        stats
    }

    #[test]
    fn percentiles_by_nearest_rank() {
        let report = stats((1..=100).rev().map(f64::from)).report(&no_plan);
        assert_eq!((report.count, report.p50_ms, report.p95_ms), (100, 50.0, 95.0));
        let one = stats([0.25]).report(&no_plan);
        assert_eq!((one.p50_ms, one.p95_ms), (0.25, 0.25));
        let none = stats([]).report(&no_plan);
        assert_eq!((none.count, none.p50_ms, none.p95_ms), (0, 0.0, 0.0));
    }

    #[test]
    fn old_times_are_forgotten_and_memory_is_bounded() {
        let old = std::iter::repeat_n(1000.0, 3 * SAMPLES);
        let stats = stats(old.chain(std::iter::repeat_n(1.0, SAMPLES)));
        assert_eq!((stats.report(&no_plan).count, stats.report(&no_plan).p95_ms), (4 * SAMPLES as u64, 1.0));
        assert_eq!((stats.samples.len(), stats.slow.len()), (SAMPLES, 1));
    }

    #[test]
    fn keeps_the_slowest_each_text_once() {
        let mut stats = QueryStats::default();
        for (n, ms) in [20.0, 15.9, 90.0, 30.0, 50.0, 40.0, 60.0, 17.0].into_iter().enumerate() {
            stats.record(&format!("SELECT {n}"), StatementTime::Exact(ms), Timestamp(n as i64), n == 2);
        }
        stats.record("SELECT 2", StatementTime::Wall(95.0), Timestamp(99), false);
        stats.record("SELECT 2", StatementTime::Exact(91.0), Timestamp(100), false);
        let report = stats.report(&no_plan);
        let shown: Vec<_> = report.slow.iter().map(|slow| (slow.sql.as_str(), slow.ms)).collect();
        let expected =
            [("SELECT 2", 95.0), ("SELECT 6", 60.0), ("SELECT 4", 50.0), ("SELECT 5", 40.0), ("SELECT 3", 30.0)];
        assert_eq!(shown, expected);
        assert_eq!((shown.len(), report.slow[0].at, report.errors), (SLOWEST, Timestamp(99), 1));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut stats = QueryStats::default();
        stats.record(&"ß".repeat(10_000), StatementTime::Exact(20.0), Timestamp(0), false);
        assert_eq!(stats.report(&no_plan).slow[0].sql, "ß".repeat(SHOWN));
        // A text that is within the kept length is planned whole, and shown cut.
        let sql = "é".repeat(SHOWN + 1);
        stats.record(&sql, StatementTime::Exact(30.0), Timestamp(0), false);
        let slow = stats.report(&|sql| vec![sql.len().to_string()]).slow;
        assert_eq!((slow[0].sql.chars().count(), &*slow[0].plan), (SHOWN, &[sql.len().to_string()][..]));
    }

    #[test]
    fn one_in_eight_is_timed_exactly_and_rough_times_count_as_slow_only() {
        let (mut stats, mut exact) = (QueryStats::default(), 0);
        for _ in 0..ALL_EXACT + 8000 {
            let wanted = stats.wants_exact();
            exact += u64::from(wanted);
            stats.record(
                "SELECT ?",
                if wanted { StatementTime::Exact(0.5) } else { StatementTime::Wall(3.0) },
                Timestamp(0),
                false,
            );
        }
        assert!((990..=1010).contains(&(exact - ALL_EXACT)), "{exact}");
        stats.record("SELECT slow()", StatementTime::Wall(17.0), Timestamp(1), false);
        let report = stats.report(&no_plan);
        assert_eq!((report.count, report.p50_ms, report.p95_ms), (ALL_EXACT + 8001, 0.5, 0.5));
        assert_eq!(report.slow.iter().map(|slow| (&*slow.sql, slow.ms)).collect::<Vec<_>>(), [("SELECT slow()", 17.0)]);
    }
}
