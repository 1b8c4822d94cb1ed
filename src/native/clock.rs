//! The system's clocks, and timers that the worker's thread waits for.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    ports::{Clock, LocalFuture},
    time::Timestamp,
};

struct NativeTimer {
    id: u64,
    due: Instant,
    waker: Option<Waker>,
}

#[derive(Default)]
struct NativeTimers {
    next_id: u64,
    waiting: Vec<NativeTimer>,
}

/// The clocks of one thread. A handle, cheap to clone.
#[derive(Clone)]
pub struct NativeClock {
    began: Instant,
    timers: Rc<RefCell<NativeTimers>>,
}

impl NativeClock {
    /// Creates a clock without timers.
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), timers: Rc::default() }
    }

    /// Ends the timers that are due, and wakes their tasks. Returns whether there were any.
    pub(super) fn fire(&self) -> bool {
        let now = Instant::now();
        let mut timers = self.timers.borrow_mut();
        let (fired, waiting): (Vec<_>, _) = timers.waiting.drain(..).partition(|timer| timer.due <= now);
        timers.waiting = waiting;
        drop(timers);
        let any = !fired.is_empty();
        fired.into_iter().filter_map(|timer| timer.waker).for_each(Waker::wake);
        any
    }

    /// Returns the time until the next timer is due; `None` without timers.
    pub(super) fn until_next(&self) -> Option<Duration> {
        let due = self.timers.borrow().waiting.iter().map(|timer| timer.due).min()?;
        Some(due.saturating_duration_since(Instant::now()))
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
        let due = Instant::now() + Duration::from_millis(ms.min(LONGEST_MS));
        let mut timers = self.timers.borrow_mut();
        timers.next_id += 1;
        let id = timers.next_id;
        timers.waiting.push(NativeTimer { id, due, waker: None });
        Box::pin(NativeSleep { id, timers: self.timers.clone() })
    }
}

/// Pending while its timer is set; dropping it clears the timer.
struct NativeSleep {
    id: u64,
    timers: Rc<RefCell<NativeTimers>>,
}

impl Future for NativeSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.timers.borrow_mut().waiting.iter_mut().find(|timer| timer.id == self.id) {
            Some(timer) => {
                timer.waker = Some(context.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for NativeSleep {
    fn drop(&mut self) {
        self.timers.borrow_mut().waiting.retain(|timer| timer.id != self.id);
    }
}
