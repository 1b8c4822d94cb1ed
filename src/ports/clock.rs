//! Time, randomness and background work.

use super::LocalFuture;
use crate::time::Timestamp;

/// The wall clock and its timers.
pub trait Clock {
    /// Returns the current time. It may jump: never use it to measure.
    fn now(&self) -> Timestamp;

    /// Returns milliseconds on a monotonic clock, with fractions where the platform has them.
    fn monotonic_ms(&self) -> f64;

    /// Resolves after at least `ms` milliseconds. Dropping the future cancels the timer.
    fn sleep(&self, ms: u64) -> LocalFuture<'static, ()>;
}

/// A source of cryptographic randomness.
pub trait Entropy {
    /// Fills the buffer with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Entropy {
    /// Returns a random number from 0 to 1, used to spread delays.
    pub fn chance(&self) -> f64 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
    }
}

/// Runs futures in the background of the same thread.
pub trait Spawner {
    /// Starts the future; no code awaits it.
    fn spawn(&self, future: LocalFuture<'static, ()>);
}
