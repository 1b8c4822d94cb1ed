//! The ceiling on requests that every test of the sync has: a loop without an end or a backoff fails at once.

use tidelock::Timestamp;

/// Virtual milliseconds in which requests are counted together.
const WINDOW_MS: i64 = 60_000;
/// Requests in one window, whatever the number of rows, and those for each row.
const PER_WINDOW: usize = 1_000;
const PER_ROW: usize = 200;
/// Requests that a server ever gets.
const EVER: usize = 20_000;

#[derive(Default)]
pub(crate) struct Watchdog {
    began: Option<Timestamp>,
    in_window: usize,
    ever: usize,
}

impl Watchdog {
    /// Notes a request to a server with so many rows.
    ///
    /// # Panics
    /// When there were too many.
    pub(crate) fn request(&mut self, now: Timestamp, rows: impl Fn() -> usize, url: &str) {
        if self.began.is_none_or(|began| now.since(began) >= WINDOW_MS) {
            (self.began, self.in_window) = (Some(now), 0);
        }
        self.in_window += 1;
        self.ever += 1;
        assert!(self.ever <= EVER, "watchdog: more than {EVER} requests, the last one {url}");
        if self.in_window > PER_WINDOW {
            let ceiling = PER_WINDOW + PER_ROW * rows();
            assert!(self.in_window <= ceiling, "watchdog: more than {ceiling} requests a minute, the last one {url}");
        }
    }
}
