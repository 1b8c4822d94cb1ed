//! The limit of requests in all sync tests, which detects loops without an end or a backoff.

use tidelock::Timestamp;

/// The length of a counting window in virtual milliseconds.
const WINDOW_MS: i64 = 60_000;
/// The limit of requests in one window, and the additional requests for each row.
const PER_WINDOW: usize = 1_000;
const PER_ROW: usize = 200;
/// The limit of requests to a server in a test.
const EVER: usize = 20_000;

#[derive(Default)]
pub(crate) struct Watchdog {
    began: Option<Timestamp>,
    in_window: usize,
    ever: usize,
}

impl Watchdog {
    /// Counts a request to a server with this many rows.
    ///
    /// # Panics
    /// When the limit is exceeded.
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
