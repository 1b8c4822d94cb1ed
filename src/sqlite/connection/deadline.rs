//! Interrupts statements that exceed a deadline.

use std::ffi::{c_int, c_void};

use rusqlite::ffi;

/// Returns the milliseconds that are left; 0 or less stops the running statement.
pub type Deadline = Box<dyn FnMut() -> f64>;

/// The time limit for checking a file or an SQL text, in milliseconds.
const CHECK_MS: f64 = 5_000.0;
/// The additional time for each mebibyte, in milliseconds.
const CHECK_MS_PER_MIB: f64 = 200.0;

/// Returns the milliseconds in which a file or text of that many bytes must be checked.
pub fn check_ms(bytes: u64) -> f64 {
    CHECK_MS + CHECK_MS_PER_MIB * (bytes as f64 / f64::from(1 << 20))
}

/// Instructions of SQLite's machine between two calls of the deadline: at first few, since one instruction may be the step of an
/// FTS5 query that takes tens of milliseconds, and more as long as they take less than [`OFTEN_MS`].
const INTERVALS: std::ops::RangeInclusive<c_int> = 16..=4096;

/// Milliseconds between two calls of the deadline.
const OFTEN_MS: f64 = 1.0;

/// A deadline, and how often SQLite calls it.
pub(in crate::sqlite) struct Countdown {
    deadline: Deadline,
    /// Milliseconds that were left at the last call.
    left: f64,
    interval: c_int,
    db: *mut ffi::sqlite3,
    /// The statement that is being stepped, or null.
    running: *mut ffi::sqlite3_stmt,
}

impl Countdown {
    /// Installs the deadline on a connection. The box must live until the connection has another deadline, or is closed.
    pub(in crate::sqlite) fn begin(db: *mut ffi::sqlite3, mut deadline: Deadline) -> Box<Self> {
        let left = deadline();
        let mut countdown =
            Box::new(Self { deadline, left, interval: *INTERVALS.start(), db, running: std::ptr::null_mut() });
        countdown.register();
        countdown
    }

    /// Removes the deadline from the connection, and returns it.
    pub(in crate::sqlite) fn end(self) -> Deadline {
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_progress_handler(self.db, 0, None, std::ptr::null_mut()) };
        self.deadline
    }

    /// Sets the statement that is being stepped, or null, and returns the one before.
    pub(in crate::sqlite) fn set_running(&mut self, statement: *mut ffi::sqlite3_stmt) -> *mut ffi::sqlite3_stmt {
        std::mem::replace(&mut self.running, statement)
    }

    /// Returns whether the running statement is to be stopped. SQLite also asks when it has ended: an error would then say that
    /// a change failed which is made, or even committed.
    fn stops(&mut self) -> bool {
        // SAFETY: null, or the statement of a step that hasn't returned.
        self.is_over() && (self.running.is_null() || unsafe { ffi::sqlite3_stmt_busy(self.running) } != 0)
    }

    /// Returns whether the deadline has passed, and adapts the interval to the time since the last call.
    pub(in crate::sqlite) fn is_over(&mut self) -> bool {
        let left = (self.deadline)();
        let fast = self.left - left < OFTEN_MS;
        self.left = left;
        let interval = if fast { self.interval * 2 } else { self.interval / 4 };
        let interval = interval.clamp(*INTERVALS.start(), *INTERVALS.end());
        if interval != self.interval {
            self.interval = interval;
            self.register();
        }
        left <= 0.0
    }

    /// Sets SQLite's interval. It reads the interval again at each call, so that a running statement follows it.
    fn register(&mut self) {
        let context = std::ptr::from_mut(self).cast();
        // SAFETY: the connection is open. The box of `self` stays where it is until its end(), or until the connection,
        // closed by then, is dropped.
        unsafe { ffi::sqlite3_progress_handler(self.db, self.interval, Some(stops), context) };
    }
}

unsafe extern "C" fn stops(context: *mut c_void) -> c_int {
    // SAFETY: the context is the box of begin(); no other code uses it while SQLite runs.
    c_int::from(unsafe { (*context.cast::<Countdown>()).stops() })
}
