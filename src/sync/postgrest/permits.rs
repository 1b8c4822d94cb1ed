//! A limit for concurrent work: permits are granted in the order of the requests.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use futures_channel::oneshot;

/// A fair semaphore.
#[derive(Clone, Debug)]
pub struct Permits(Rc<Semaphore>);

#[derive(Debug)]
struct Semaphore {
    free: Cell<usize>,
    waiting: RefCell<VecDeque<oneshot::Sender<RequestPermit>>>,
}

/// Returns to the semaphore when it is dropped.
#[derive(Debug)]
pub struct RequestPermit(Option<Rc<Semaphore>>);

impl Permits {
    /// Creates a semaphore with `count` permits.
    pub fn new(count: usize) -> Self {
        Self(Rc::new(Semaphore { free: Cell::new(count), waiting: RefCell::default() }))
    }

    /// Waits for a permit. Dropping the future leaves the queue.
    pub async fn acquire(&self) -> RequestPermit {
        let semaphore = &self.0;
        if semaphore.free.get() > 0 {
            semaphore.free.set(semaphore.free.get() - 1);
            return RequestPermit(Some(semaphore.clone()));
        }
        let (grant, granted) = oneshot::channel();
        semaphore.waiting.borrow_mut().push_back(grant);
        // The semaphore outlives its waiting futures, so the sender isn't dropped unused.
        granted.await.unwrap_or(RequestPermit(None))
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        let Some(semaphore) = self.0.take() else { return };
        loop {
            let next = semaphore.waiting.borrow_mut().pop_front();
            let Some(next) = next else { break };
            match next.send(RequestPermit(Some(semaphore.clone()))) {
                Ok(()) => return,
                // The waiting future was dropped.
                Err(mut permit) => permit.0 = None,
            }
        }
        semaphore.free.set(semaphore.free.get() + 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn the_longest_waiting_future_is_next_and_a_dropped_one_keeps_no_permit() {
        let permits = Permits::new(1);
        let first = permits.acquire().now_or_never().unwrap();
        let mut dropped = Box::pin(permits.acquire());
        let mut second = Box::pin(permits.acquire());
        let mut third = Box::pin(permits.acquire());
        assert!((&mut dropped).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        drop(dropped);
        drop(first);
        assert!((&mut third).now_or_never().is_none());
        let second = (&mut second).now_or_never().unwrap();
        // The permit is granted to `third`, which is dropped before it is polled.
        drop(second);
        drop(third);
        assert!(permits.acquire().now_or_never().is_some());
    }
}
