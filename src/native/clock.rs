//! The system's clocks, and timers that the worker's thread waits for.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::{
    ports::{Clock, LocalFuture, Timers},
    time::Timestamp,
};

/// The clocks of one thread. A handle, cheap to clone.
#[derive(Clone)]
pub struct NativeClock {
    began: Instant,
    timers: Timers<Instant>,
}

impl NativeClock {
    /// Creates a clock without timers.
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), timers: Timers::default() }
    }

    /// Ends the timers that are due, and wakes their tasks. Returns whether there were any.
    pub(super) fn fire(&self) -> bool {
        self.timers.fire(Instant::now())
    }

    /// Returns the time until the next timer is due; `None` without timers.
    pub(super) fn until_next(&self) -> Option<Duration> {
        Some(self.timers.next_due()?.saturating_duration_since(Instant::now()))
    }
}

impl Clock for NativeClock {
    fn now(&self) -> Timestamp {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Timestamp(match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => ms(since),
            Err(before) => -ms(before.duration()),
        })
    }

    fn monotonic_ms(&self) -> f64 {
        self.began.elapsed().as_secs_f64() * 1000.0
    }

    fn sleep(&self, ms: u64) -> LocalFuture<'static, ()> {
        /// About a year: an `Instant` can't be arbitrarily late.
        const LONGEST_MS: u64 = 365 * 86_400_000;
        self.timers.sleep(Instant::now() + Duration::from_millis(ms.min(LONGEST_MS)))
    }
}
