//! The queue between the two sides of a sync: the network side receives answers while the database side stores earlier
//! ones.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    task::{Poll, Waker},
};

use futures_util::future::try_join;

use crate::{error::Result, ports::LocalFuture};

/// Runs a producer and a consumer of a queue concurrently. If the producer fails, the consumer still handles the queued
/// items; then the producer's error is returned.
pub async fn run_both(producer: LocalFuture<'_, Result<()>>, consumer: LocalFuture<'_, Result<()>>) -> Result<()> {
    let mut produced = Ok(());
    let producer = async {
        produced = producer.await;
        Ok(())
    };
    try_join(Box::pin(producer), consumer).await?;
    produced
}

/// A first-in, first-out queue with one consumer.
#[derive(Debug)]
pub struct Queue<T> {
    items: RefCell<VecDeque<T>>,
    ended: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { items: RefCell::default(), ended: Cell::default(), waiting: RefCell::default() }
    }
}

impl<T> Queue<T> {
    /// Adds an item.
    pub fn put(&self, item: T) {
        self.items.borrow_mut().push_back(item);
        self.wake();
    }

    /// Marks the end: no item follows.
    pub fn end(&self) {
        self.ended.set(true);
        self.wake();
    }

    /// Waits for the next item. Returns `None` after the last one.
    pub async fn next(&self) -> Option<T> {
        poll_fn(|context| {
            let next = self.items.borrow_mut().pop_front();
            if next.is_some() || self.ended.get() {
                return Poll::Ready(next);
            }
            self.waiting.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// Returns whether no item is waiting.
    pub fn is_empty(&self) -> bool {
        self.items.borrow().is_empty()
    }

    fn wake(&self) {
        let waiting = self.waiting.take();
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}
