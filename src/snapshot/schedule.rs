//! When snapshots are taken.

use crate::time::{Backoff, Timestamp, share};

/// The longest delay between two attempts of one snapshot.
const MAX_BACKOFF_MS: u64 = 600_000;

/// The shortest time between two snapshots of a hidden page.
const HIDDEN_MS: i64 = 5 * 60_000;

/// Returns when the first scheduled snapshot after opening is due: an interval after the newest one, or at once if that
/// has passed.
pub fn first_due(newest: Option<Timestamp>, opened: Timestamp, interval_ms: u64) -> Timestamp {
    let interval = i64::try_from(interval_ms).unwrap_or(i64::MAX);
    newest.map_or(opened.plus_ms(interval), |newest| newest.plus_ms(interval).clamp(opened, opened.plus_ms(interval)))
}

/// Returns whether a snapshot may be taken because the page was hidden, given the last such one.
pub fn hidden_due(last: Option<Timestamp>, now: Timestamp) -> bool {
    // The absolute value: the clock may have been set back.
    last.is_none_or(|last| now.since(last).abs() >= HIDDEN_MS)
}

/// Returns the delay in milliseconds after attempt `failures` (from 1) failed: `base_ms` doubled each time, up to a
/// quarter more or less by `chance` (0 to 1).
pub fn backoff_ms(failures: u32, base_ms: u64, chance: f64) -> u64 {
    let doubled = Backoff { first_ms: base_ms, longest_ms: MAX_BACKOFF_MS }.ms(failures);
    doubled * 3 / 4 + share(doubled / 2, chance)
}

#[cfg(test)]
mod tests {
    use super::{HIDDEN_MS, backoff_ms, first_due, hidden_due};
    use crate::time::Timestamp;

    #[test]
    fn an_overdue_snapshot_is_due_at_once() {
        assert_eq!(first_due(None, Timestamp(1000), 50), Timestamp(1050));
        assert_eq!(first_due(Some(Timestamp(10)), Timestamp(1000), 50), Timestamp(1000));
        assert_eq!(first_due(Some(Timestamp(980)), Timestamp(1000), 50), Timestamp(1030));
        assert_eq!(first_due(Some(Timestamp(9000)), Timestamp(1000), 50), Timestamp(1050), "a clock that was set back");
    }

    #[test]
    fn a_hidden_page_is_not_snapshotted_again_for_a_while() {
        assert!(hidden_due(None, Timestamp(0)));
        assert!(!hidden_due(Some(Timestamp(1)), Timestamp(HIDDEN_MS)));
        assert!(hidden_due(Some(Timestamp(1)), Timestamp(HIDDEN_MS + 1)));
    }

    #[test]
    fn backoff_doubles_with_jitter() {
        assert_eq!((backoff_ms(1, 1000, 0.0), backoff_ms(1, 1000, 1.0)), (750, 1250));
        assert_eq!((backoff_ms(3, 1000, 0.0), backoff_ms(3, 1000, 1.0)), (3000, 5000));
        assert!(backoff_ms(u32::MAX, u64::MAX, 1.0) <= 750_000);
    }
}
