//! What one side of a sync hands to the other: answers come from the network while those before them are written down.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    task::{Poll, Waker},
};

use futures_util::future::try_join;

use crate::{error::Result, ports::LocalFuture};

/// Takes things out while they are put in, also those that came before putting them in failed: that is told at the end.
pub async fn beside(putting: LocalFuture<'_, Result<()>>, taking: LocalFuture<'_, Result<()>>) -> Result<()> {
    let mut put = Ok(());
    let putting = async {
        put = putting.await;
        Ok(())
    };
    try_join(Box::pin(putting), taking).await?;
    put
}

/// Things in the order in which they came, until it ends. One takes them out.
#[derive(Debug)]
pub struct Queue<T> {
    things: RefCell<VecDeque<T>>,
    ended: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { things: RefCell::default(), ended: Cell::default(), waiting: RefCell::default() }
    }
}

impl<T> Queue<T> {
    /// Adds one.
    pub fn put(&self, thing: T) {
        self.things.borrow_mut().push_back(thing);
        self.wake();
    }

    /// Nothing comes any more.
    pub fn end(&self) {
        self.ended.set(true);
        self.wake();
    }

    /// The next one; `None` after the last.
    pub async fn next(&self) -> Option<T> {
        poll_fn(|context| {
            let next = self.things.borrow_mut().pop_front();
            if next.is_some() || self.ended.get() {
                return Poll::Ready(next);
            }
            self.waiting.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// Whether there is nothing to take out at present.
    pub fn is_empty(&self) -> bool {
        self.things.borrow().is_empty()
    }

    fn wake(&self) {
        let waiting = self.waiting.take();
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}
