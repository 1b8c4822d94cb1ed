//! The mutex of the connection, and that of snapshots: first come, first served.
//!
//! A call holds it for its statement, a transaction from its begin to its end; later calls wait in the queue.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use crate::error::{Error, ErrorCode, Result};

/// The id of a call that holds the mutex or waits in its queue. Never 0.
pub type MutexPermit = u32;

#[derive(Default)]
struct MutexState {
    last_permit: MutexPermit,
    holder: Option<MutexPermit>,
    waiting: VecDeque<(MutexPermit, Option<Waker>)>,
    /// The error that later calls get; `None` while the mutex is open.
    closed: Option<Error>,
}

/// A mutex with a queue.
#[derive(Default)]
pub struct Mutex {
    state: RefCell<MutexState>,
}

impl MutexState {
    fn issue(&mut self) -> MutexPermit {
        self.last_permit = self.last_permit.checked_add(1).unwrap_or(1);
        self.last_permit
    }
}

impl Mutex {
    /// Locks the mutex if it is free and no call waits. Otherwise returns `None`.
    pub fn try_acquire(&self) -> Option<MutexPermit> {
        let mut state = self.state.borrow_mut();
        if state.closed.is_some() || state.holder.is_some() || !state.waiting.is_empty() {
            return None;
        }
        let permit = state.issue();
        state.holder = Some(permit);
        Some(permit)
    }

    /// Locks the mutex, or joins the end of the queue.
    pub fn queue(&self) -> MutexPermit {
        if let Some(permit) = self.try_acquire() {
            return permit;
        }
        let mut state = self.state.borrow_mut();
        let permit = state.issue();
        state.waiting.push_back((permit, None));
        permit
    }

    /// Resolves when the permit holds the mutex. Fails with the reason of [`close`](Self::close) if that comes first.
    pub fn wait(self: &Rc<Self>, permit: MutexPermit) -> Wait {
        Wait { mutex: self.clone(), permit }
    }

    /// Releases the mutex, or leaves the queue. The next permit in the queue then holds the mutex at once.
    pub fn release(&self, permit: MutexPermit) {
        let mut state = self.state.borrow_mut();
        if state.holder == Some(permit) {
            state.holder = None;
            if let Some((next, waker)) = state.waiting.pop_front() {
                state.holder = Some(next);
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        } else {
            state.waiting.retain(|(waiting, _)| *waiting != permit);
        }
    }

    /// Fails with `transaction_closed` unless the permit holds the mutex now.
    pub fn check(&self, permit: MutexPermit) -> Result<()> {
        if self.state.borrow().holder == Some(permit) {
            return Ok(());
        }
        Err(Error::new(ErrorCode::TransactionClosed, "The transaction has already ended")
            .hint("Await everything inside the transaction's function before it returns"))
    }

    /// Waits for the mutex and holds it until the guard is dropped.
    pub async fn acquire(self: &Rc<Self>) -> Result<MutexGuard> {
        // The guard is made before the wait: a caller that is dropped while it waits leaves the queue.
        let guard = MutexGuard { mutex: self.clone(), permit: self.queue() };
        self.wait(guard.permit).await?;
        Ok(guard)
    }

    /// Closes the mutex: waiting and later calls fail with `reason`. The current holder keeps the mutex. Only the first
    /// `reason` counts.
    pub fn close(&self, reason: Error) {
        let mut state = self.state.borrow_mut();
        state.closed.get_or_insert(reason);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().filter_map(|(_, waker)| waker).for_each(Waker::wake);
    }
}

/// Holds the mutex until it is dropped.
pub struct MutexGuard {
    mutex: Rc<Mutex>,
    permit: MutexPermit,
}

impl MutexGuard {
    /// Returns the permit of the guard.
    pub fn permit(&self) -> MutexPermit {
        self.permit
    }
}

impl Drop for MutexGuard {
    fn drop(&mut self) {
        self.mutex.release(self.permit);
    }
}

/// The future of [`Mutex::wait`].
pub struct Wait {
    mutex: Rc<Mutex>,
    permit: MutexPermit,
}

impl Future for Wait {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = self.mutex.state.borrow_mut();
        if state.holder == Some(self.permit) {
            return Poll::Ready(Ok(()));
        }
        if let Some(reason) = &state.closed {
            return Poll::Ready(Err(reason.clone()));
        }
        match state.waiting.iter_mut().find(|(permit, _)| *permit == self.permit) {
            Some((_, waker)) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(Err(closed())),
        }
    }
}

/// Returns the error of every call on a closed database.
pub fn closed() -> Error {
    Error::new(ErrorCode::Closed, "The database is closed").hint("Open it again with open()")
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;
    use crate::ports::sim::Sim;

    #[test]
    fn permits_are_first_come_first_served_and_a_cancelled_wait_leaves_the_queue() {
        let mut sim = Sim::new(1);
        let (mutex, seen, platform) = (Rc::new(Mutex::default()), Rc::new(RefCell::new(vec![])), sim.platform());
        let holder = mutex.try_acquire().unwrap();
        for n in 0..3 {
            let (mutex, seen, clock) = (mutex.clone(), seen.clone(), platform.clock.clone());
            platform.spawner.spawn(Box::pin(async move {
                let acquiring = Box::pin(mutex.acquire());
                // The second caller cancels its wait.
                if n == 1 {
                    drop(futures_util::future::select(acquiring, clock.sleep(5)).await);
                    return;
                }
                let guard = acquiring.await.unwrap();
                seen.borrow_mut().push(n);
                clock.sleep(1).await;
                assert!(mutex.try_acquire().is_none(), "no call overtakes the queue");
                drop(guard);
            }));
        }
        sim.advance(10);
        assert!(seen.borrow().is_empty());
        mutex.release(holder);
        sim.advance(10);
        assert_eq!(*seen.borrow(), [0, 2]);
        assert!(mutex.try_acquire().is_some());
    }

    #[test]
    fn a_released_place_leaves_the_queue() {
        let mutex = Rc::new(Mutex::default());
        let holder = mutex.try_acquire().unwrap();
        let (second, third) = (mutex.queue(), mutex.queue());
        mutex.release(second);
        assert!(mutex.check(second).is_err());
        mutex.release(holder);
        assert!(mutex.check(third).is_ok());
        assert_eq!(mutex.check(holder).unwrap_err().code, ErrorCode::TransactionClosed);
    }

    #[test]
    fn a_closed_mutex_refuses_every_new_permit() {
        let mut sim = Sim::new(1);
        let mutex = Rc::new(Mutex::default());
        let holder = mutex.try_acquire().unwrap();
        let waiting = mutex.queue();
        mutex.close(closed());
        mutex.close(Error::internal("too late"));
        assert!(mutex.check(holder).is_ok(), "the holder may finish");
        for permit in [waiting, mutex.queue()] {
            let wait = mutex.wait(permit);
            assert_eq!(sim.run(wait).unwrap_err().code, ErrorCode::Closed);
        }
        mutex.release(holder);
        assert!(mutex.try_acquire().is_none());
    }
}
