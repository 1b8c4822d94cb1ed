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

/// A place in the queue, or the mutex itself. Never 0.
pub type MutexPermit = u32;

#[derive(Default)]
struct MutexState {
    last_permit: MutexPermit,
    holder: Option<MutexPermit>,
    waiting: VecDeque<(MutexPermit, Option<Waker>)>,
    /// Why the mutex is closed.
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
    /// Locks the mutex if it is free and no call waits.
    pub fn enter(&self) -> Option<MutexPermit> {
        let mut state = self.state.borrow_mut();
        if state.closed.is_some() || state.holder.is_some() || !state.waiting.is_empty() {
            return None;
        }
        let permit = state.issue();
        state.holder = Some(permit);
        Some(permit)
    }

    /// Takes the mutex, or a place at the end of the queue.
    pub fn queue(&self) -> MutexPermit {
        if let Some(permit) = self.enter() {
            return permit;
        }
        let mut state = self.state.borrow_mut();
        let permit = state.issue();
        state.waiting.push_back((permit, None));
        permit
    }

    /// Resolves when the permit holds the mutex; fails with what the queue was closed with when that happens before.
    pub fn wait(self: &Rc<Self>, permit: MutexPermit) -> Wait {
        Wait { mutex: self.clone(), permit }
    }

    /// Releases the mutex, or the place in the queue. The next in the queue holds it at once.
    pub fn leave(&self, permit: MutexPermit) {
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

    /// Closes the mutex: calls that wait, now or later, fail with the first `reason` that was given. The present holder
    /// keeps it.
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
    /// The permit that holds the mutex.
    pub fn permit(&self) -> MutexPermit {
        self.permit
    }
}

impl Drop for MutexGuard {
    fn drop(&mut self) {
        self.mutex.leave(self.permit);
    }
}

/// What [`Mutex::wait`] returns.
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

/// The error of every call on a closed database.
pub fn closed() -> Error {
    Error::new(ErrorCode::Closed, "The database is closed").hint("Open it again with open()")
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;
    use crate::ports::sim::Sim;

    #[test]
    fn first_come_first_served_and_whoever_goes_holds_nobody_up() {
        let mut sim = Sim::new(1);
        let (turn, seen, platform) = (Rc::new(Mutex::default()), Rc::new(RefCell::new(vec![])), sim.platform());
        let holder = turn.enter().unwrap();
        for n in 0..3 {
            let (turn, seen, clock) = (turn.clone(), seen.clone(), platform.clock.clone());
            platform.spawner.spawn(Box::pin(async move {
                let entering = Box::pin(turn.acquire());
                // The second one doesn't wait that long.
                if n == 1 {
                    drop(futures_util::future::select(entering, clock.sleep(5)).await);
                    return;
                }
                let guard = entering.await.unwrap();
                seen.borrow_mut().push(n);
                clock.sleep(1).await;
                assert!(turn.enter().is_none(), "nobody overtakes");
                drop(guard);
            }));
        }
        sim.advance(10);
        assert!(seen.borrow().is_empty());
        turn.leave(holder);
        sim.advance(10);
        assert_eq!(*seen.borrow(), [0, 2]);
        assert!(turn.enter().is_some());
    }

    #[test]
    fn whoever_gives_up_leaves_the_line() {
        let turn = Rc::new(Mutex::default());
        let holder = turn.enter().unwrap();
        let (second, third) = (turn.queue(), turn.queue());
        turn.leave(second);
        assert!(turn.check(second).is_err());
        turn.leave(holder);
        assert!(turn.check(third).is_ok());
        assert_eq!(turn.check(holder).unwrap_err().code, ErrorCode::TransactionClosed);
    }

    #[test]
    fn a_closed_line_lets_nobody_in() {
        let mut sim = Sim::new(1);
        let turn = Rc::new(Mutex::default());
        let holder = turn.enter().unwrap();
        let waiting = turn.queue();
        turn.close(closed());
        turn.close(Error::internal("too late"));
        assert!(turn.check(holder).is_ok(), "the holder may finish");
        for permit in [waiting, turn.queue()] {
            let wait = turn.wait(permit);
            assert_eq!(sim.run(wait).unwrap_err().code, ErrorCode::Closed);
        }
        turn.leave(holder);
        assert!(turn.enter().is_none());
    }
}
