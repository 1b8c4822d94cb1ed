//! Failing tables: rounds leave each one out until it is due again, and sync the others at the usual interval.

use super::rounds::backoff_ms;
use crate::{collections::Map, error::Error};

/// The state of a table whose last try failed.
struct Trouble {
    /// Number of consecutive failures.
    failures: u32,
    due_ms: u64,
    error: Error,
}

/// The failing tables. Times are in milliseconds on a monotonic clock.
#[derive(Default)]
pub struct TableBackoff(Map<String, Trouble>);

impl TableBackoff {
    /// Notes a failed try of a table. `chance` (0 to 1) is the jitter.
    pub fn failed(&mut self, table: &str, error: &Error, now_ms: u64, chance: f64) {
        let failures = self.0.get(table).map_or(0, |trouble| trouble.failures) + 1;
        let due_ms = now_ms + backoff_ms(failures, chance);
        self.0.insert(table.to_owned(), Trouble { failures, due_ms, error: error.clone() });
    }

    /// Makes a table due, after a success or at the user's request.
    pub fn forget(&mut self, table: &str) {
        self.0.remove(table);
    }

    /// Returns the error of a table that is left out, or `None` if it is due.
    pub fn why(&self, table: &str, now_ms: u64) -> Option<&Error> {
        self.0.get(table).filter(|trouble| now_ms < trouble.due_ms).map(|trouble| &trouble.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn a_table_rests_longer_each_time_until_it_goes_well() {
        let mut backoff = TableBackoff::default();
        let error = |text: &str| Error::new(ErrorCode::SyncServer, text);
        backoff.failed("a", &error("first"), 1000, 0.0);
        assert_eq!(backoff.why("a", 1499).map(|error| &*error.message), Some("first"));
        assert!(backoff.why("a", 1500).is_none() && backoff.why("b", 1000).is_none());
        backoff.failed("a", &error("second"), 2000, 0.0);
        assert_eq!(backoff.why("a", 2999).map(|error| &*error.message), Some("second"));
        assert!(backoff.why("a", 3000).is_none());
        backoff.forget("a");
        backoff.failed("a", &error("third"), 9000, 0.0);
        assert!(backoff.why("a", 9500).is_none());
    }
}
