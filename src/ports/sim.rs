//! A deterministic platform for native tests: virtual time, seeded randomness, one thread.
//!
//! Time stands still while any task can run, and jumps to the next timer when none can: a test of a backoff of hours
//! takes no time, and the same seed results in the same run.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    rc::Rc,
};

use futures_executor::{LocalPool, LocalSpawner};
use futures_util::task::LocalSpawnExt;

use super::{Clock, Entropy, LoadedParts, LocalFuture, Platform, Spawner, Timers};
use crate::time::Timestamp;

/// 2026-01-01T00:00:00Z: where virtual time begins.
pub const START: Timestamp = Timestamp(1_767_225_600_000);

/// Runs futures on virtual time.
pub struct Sim {
    pool: LocalPool,
    clock: Rc<SimClock>,
    platform: Platform,
}

impl Sim {
    /// Creates a platform whose randomness comes from `seed`.
    pub fn new(seed: u64) -> Self {
        let pool = LocalPool::new();
        let clock = Rc::new(SimClock { now: Cell::new(START), ahead_ms: Cell::new(0), timers: Timers::default() });
        let platform = Platform {
            clock: clock.clone(),
            entropy: Rc::new(SimEntropy(Cell::new(seed))),
            spawner: Rc::new(SimSpawner(pool.spawner())),
            parts: Rc::new(LoadedParts),
        };
        Self { pool, clock, platform }
    }

    /// Returns the ports to pass to the code under test.
    pub fn platform(&self) -> Platform {
        self.platform.clone()
    }

    /// Runs `future`, and the background work it needs, to its end; jumps over idle time.
    ///
    /// # Panics
    /// When every task waits and no timer is set: a deadlock in the code under test.
    pub fn run<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> T {
        let done = Rc::new(RefCell::new(None));
        let slot = done.clone();
        self.platform.spawner.spawn(Box::pin(async move {
            let value = future.await;
            *slot.borrow_mut() = Some(value);
        }));
        loop {
            self.pool.run_until_stalled();
            if let Some(value) = done.borrow_mut().take() {
                return value;
            }
            assert!(self.clock.jump(), "deadlock: everything waits and no timer is set");
        }
    }

    /// Runs background work until `ms` milliseconds have passed.
    pub fn advance(&mut self, ms: u64) {
        let clock = self.clock.clone();
        self.run(async move { clock.sleep(ms).await });
    }

    /// Returns the number of set timers.
    pub fn timers(&mut self) -> usize {
        self.pool.run_until_stalled();
        self.clock.timers.count()
    }

    /// Lets `ms` milliseconds pass in which nothing runs, as a task that never yields does.
    pub fn skip(&self, ms: i64) {
        self.clock.now.set(self.clock.now.get().plus_ms(ms));
    }

    /// Sets the wall clock ahead, or back by a negative number of milliseconds. Timers and the monotonic clock don't notice.
    pub fn set_clock_ahead(&self, ms: i64) {
        self.clock.ahead_ms.set(self.clock.ahead_ms.get() + ms);
    }

    /// Drops all background work, as the death of a page does. Its timers never fire.
    pub fn kill(&mut self) {
        self.pool = LocalPool::new();
        self.clock.timers.clear();
        self.platform.spawner = Rc::new(SimSpawner(self.pool.spawner()));
    }
}

/// The virtual clock of a [`Sim`].
pub struct SimClock {
    /// The true time.
    now: Cell<Timestamp>,
    /// How much the wall clock differs from it.
    ahead_ms: Cell<i64>,
    timers: Timers<Timestamp>,
}

impl SimClock {
    /// Jumps to the earliest timer. Returns `false` when there is none.
    fn jump(&self) -> bool {
        let Some(due) = self.timers.next_due() else { return false };
        self.now.set(self.now.get().max(due));
        self.timers.fire(due)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.now.get().plus_ms(self.ahead_ms.get())
    }

    fn monotonic_ms(&self) -> f64 {
        self.now.get().since(START) as f64
    }

    fn sleep(&self, ms: u64) -> LocalFuture<'static, ()> {
        let due = self.now.get().plus_ms(i64::try_from(ms).unwrap_or(i64::MAX));
        self.timers.sleep(due)
    }
}

/// A small deterministic generator (splitmix64, Sebastiano Vigna's public-domain reference): randomness, not secrecy.
struct SimEntropy(Cell<u64>);

impl Entropy for SimEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
            self.0.set(state);
            let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let word = (mixed ^ (mixed >> 31)).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

struct SimSpawner(LocalSpawner);

impl Spawner for SimSpawner {
    fn spawn(&self, future: LocalFuture<'static, ()>) {
        // A killed pool refuses new tasks: the page they belong to is dead.
        let _ = self.0.spawn_local(future);
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::{START, Sim};

    #[test]
    fn time_jumps_to_the_timers_in_order() {
        let mut sim = Sim::new(1);
        let platform = sim.platform();
        let seen = Rc::new(RefCell::new(Vec::new()));
        for ms in [3_600_000, 5, 70] {
            let (clock, seen) = (platform.clock.clone(), seen.clone());
            let task = async move {
                clock.sleep(ms).await;
                seen.borrow_mut().push((ms, clock.now().since(START)));
            };
            platform.spawner.spawn(Box::pin(task));
        }
        sim.advance(3_600_000);
        assert_eq!(*seen.borrow(), [(5, 5), (70, 70), (3_600_000, 3_600_000)]);
    }

    #[test]
    fn the_same_seed_gives_the_same_chance() {
        let bytes = |seed| {
            let mut bytes = [0; 20];
            Sim::new(seed).platform().entropy.fill(&mut bytes);
            bytes
        };
        assert_eq!(bytes(7), bytes(7));
        assert_ne!(bytes(7), bytes(8));
    }
}
