//! Figures over the statements that ran: constant work for each, whatever their number.

use super::report::{QueriesHealth, SlowQuery};
use crate::time::Timestamp;

/// How many of the latest statements the percentiles are over.
const SAMPLES: usize = 512;

/// How many slow statements are kept.
const SLOWEST: usize = 5;

/// What takes longer than a frame is slow: in a page it shows.
const SLOW_MS: f64 = 16.0;

/// Characters of a statement's text that are kept.
const SHOWN: usize = 300;

/// Counts statements and remembers how long the latest took.
#[derive(Clone, Debug, Default)]
pub struct QueryStats {
    count: u64,
    errors: u64,
    /// The latest times in milliseconds; the next one goes to `count % SAMPLES`.
    samples: Vec<f32>,
    /// Slowest first, each text once.
    slow: Vec<SlowQuery>,
}

impl QueryStats {
    /// A statement ended at `at` after `ms` milliseconds.
    pub fn record(&mut self, sql: &str, ms: f64, at: Timestamp, failed: bool) {
        let slot = (self.count % SAMPLES as u64) as usize;
        match self.samples.get_mut(slot) {
            Some(sample) => *sample = ms as f32,
            None => self.samples.push(ms as f32),
        }
        self.count += 1;
        self.errors += u64::from(failed);
        if ms >= SLOW_MS && (self.slow.len() < SLOWEST || self.slow.last().is_some_and(|last| ms > last.ms)) {
            self.keep(sql, ms, at);
        }
    }

    fn keep(&mut self, sql: &str, ms: f64, at: Timestamp) {
        let end = sql.char_indices().nth(SHOWN).map_or(sql.len(), |(end, _)| end);
        let sql = &sql[..end];
        if let Some(known) = self.slow.iter().position(|known| known.sql == sql) {
            if self.slow[known].ms >= ms {
                return;
            }
            self.slow.remove(known);
        }
        let place = self.slow.partition_point(|known| known.ms >= ms);
        self.slow.insert(place, SlowQuery { sql: sql.to_owned(), ms: rounded(ms), at });
        self.slow.truncate(SLOWEST);
    }

    /// The figures now.
    pub fn report(&self) -> QueriesHealth {
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
            slow: self.slow.clone(),
        }
    }
}

/// To microseconds: no clock of a browser is finer.
fn rounded(ms: f64) -> f64 {
    (ms * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::{QueryStats, SAMPLES, SHOWN, SLOWEST};
    use crate::time::Timestamp;

    fn stats(times: impl IntoIterator<Item = f64>) -> QueryStats {
        let mut stats = QueryStats::default();
        times.into_iter().for_each(|ms| stats.record("SELECT ?", ms, Timestamp(0), false));
        stats
    }

    #[test]
    fn percentiles_by_nearest_rank() {
        let report = stats((1..=100).rev().map(f64::from)).report();
        assert_eq!((report.count, report.p50_ms, report.p95_ms), (100, 50.0, 95.0));
        let one = stats([0.25]).report();
        assert_eq!((one.p50_ms, one.p95_ms), (0.25, 0.25));
        let none = stats([]).report();
        assert_eq!((none.count, none.p50_ms, none.p95_ms), (0, 0.0, 0.0));
    }

    #[test]
    fn old_times_are_forgotten_and_memory_is_bounded() {
        let old = std::iter::repeat_n(1000.0, 3 * SAMPLES);
        let stats = stats(old.chain(std::iter::repeat_n(1.0, SAMPLES)));
        assert_eq!((stats.report().count, stats.report().p95_ms), (4 * SAMPLES as u64, 1.0));
        assert_eq!((stats.samples.len(), stats.slow.len()), (SAMPLES, 1));
    }

    #[test]
    fn keeps_the_slowest_each_text_once() {
        let mut stats = QueryStats::default();
        for (n, ms) in [20.0, 15.9, 90.0, 30.0, 50.0, 40.0, 60.0, 17.0].into_iter().enumerate() {
            stats.record(&format!("SELECT {n}"), ms, Timestamp(n as i64), n == 2);
        }
        stats.record("SELECT 2", 95.0, Timestamp(99), false);
        stats.record("SELECT 2", 91.0, Timestamp(100), false);
        let report = stats.report();
        let shown: Vec<_> = report.slow.iter().map(|slow| (slow.sql.as_str(), slow.ms)).collect();
        let expected =
            [("SELECT 2", 95.0), ("SELECT 6", 60.0), ("SELECT 4", 50.0), ("SELECT 5", 40.0), ("SELECT 3", 30.0)];
        assert_eq!(shown, expected);
        assert_eq!((shown.len(), report.slow[0].at, report.errors), (SLOWEST, Timestamp(99), 1));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut stats = QueryStats::default();
        stats.record(&"ß".repeat(10_000), 20.0, Timestamp(0), false);
        assert_eq!(stats.report().slow[0].sql, "ß".repeat(SHOWN));
    }
}
