//! A notification between two tasks: one task waits, another one wakes it.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
};

/// Wakes one waiting task. A notification without a waiting task is kept for the next wait, as by a condition variable
/// with a flag.
#[derive(Default)]
pub struct Signal {
    is_notified: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Signal {
    /// Wakes the waiting task, or the next task that waits.
    pub fn notify(&self) {
        self.is_notified.set(true);
        let waiting = self.waiting.take();
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }

    /// Discards a kept notification.
    pub fn clear_notification(&self) {
        self.is_notified.set(false);
    }

    /// Waits for a notification, and consumes it.
    pub async fn notified(&self) {
        poll_fn(|context| {
            if self.is_notified.take() {
                return Poll::Ready(());
            }
            self.waiting.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}
