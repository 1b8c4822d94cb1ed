//! One who waits, and one who wakes.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
};

/// A bell: who waits for it goes on when it is rung, also if that was before.
#[derive(Default)]
pub struct Signal {
    rung: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Signal {
    /// Wakes the waiting task, or the next one that waits.
    pub fn ring(&self) {
        self.rung.set(true);
        let waiting = self.waiting.take();
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// Forgets a ring for which no task waited.
    pub fn hush(&self) {
        self.rung.set(false);
    }

    /// Waits until it is rung.
    pub async fn rung(&self) {
        poll_fn(|context| {
            if self.rung.take() {
                return Poll::Ready(());
            }
            self.waiting.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}
