//! The timers of a clock, on platforms that have none of their own.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use super::LocalFuture;

/// Timers that end when `fire` passes them. A handle, cheap to clone.
#[derive(Clone)]
pub struct Timers<T>(Rc<RefCell<SetTimers<T>>>);

struct SetTimers<T> {
    next_id: u64,
    waiting: Vec<Timer<T>>,
}

struct Timer<T> {
    id: u64,
    due: T,
    waker: Option<Waker>,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(SetTimers { next_id: 0, waiting: Vec::new() })))
    }
}

impl<T: Copy + Ord + 'static> Timers<T> {
    /// Sets a timer; resolves when it ends. Dropping the future clears it.
    pub fn sleep(&self, due: T) -> LocalFuture<'static, ()> {
        let mut timers = self.0.borrow_mut();
        timers.next_id += 1;
        let id = timers.next_id;
        timers.waiting.push(Timer { id, due, waker: None });
        Box::pin(Sleep { id, timers: self.clone() })
    }

    /// Returns when the next timer is due; `None` without timers.
    pub fn next_due(&self) -> Option<T> {
        self.0.borrow().waiting.iter().map(|timer| timer.due).min()
    }

    /// Ends the timers that are due by `now`, and wakes their tasks. Returns whether there were any.
    pub fn fire(&self, now: T) -> bool {
        let mut timers = self.0.borrow_mut();
        let (fired, waiting): (Vec<_>, _) = timers.waiting.drain(..).partition(|timer| timer.due <= now);
        timers.waiting = waiting;
        drop(timers);
        let any = !fired.is_empty();
        fired.into_iter().filter_map(|timer| timer.waker).for_each(Waker::wake);
        any
    }

    /// Returns the number of set timers.
    #[cfg(feature = "testing")]
    pub fn count(&self) -> usize {
        self.0.borrow().waiting.len()
    }

    /// Clears all timers, without waking their tasks.
    #[cfg(feature = "testing")]
    pub fn clear(&self) {
        self.0.borrow_mut().waiting.clear();
    }
}

/// Pending while its timer is set; dropping it clears the timer.
struct Sleep<T> {
    id: u64,
    timers: Timers<T>,
}

impl<T> Future for Sleep<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.timers.0.borrow_mut().waiting.iter_mut().find(|timer| timer.id == self.id) {
            Some(timer) => {
                timer.waker = Some(context.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl<T> Drop for Sleep<T> {
    fn drop(&mut self) {
        self.timers.0.borrow_mut().waiting.retain(|timer| timer.id != self.id);
    }
}
