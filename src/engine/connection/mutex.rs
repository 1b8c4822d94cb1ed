//! Whose turn it is, on the connection as among snapshots: first come, first served.
//!
//! A call takes the turn for its statement, a transaction from its begin to its end; whoever comes meanwhile waits in line.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use crate::error::{Error, ErrorCode, Result};

/// A place in the line, or the turn itself. Never 0.
pub type MutexPermit = u32;

#[derive(Default)]
struct MutexState {
    last_ticket: MutexPermit,
    holder: Option<MutexPermit>,
    line: VecDeque<(MutexPermit, Option<Waker>)>,
    /// Why nobody gets in any more.
    closed: Option<Error>,
}

/// A line of those who wait for their turn.
#[derive(Default)]
pub struct Mutex {
    state: RefCell<MutexState>,
}

impl MutexState {
    fn issue(&mut self) -> MutexPermit {
        self.last_ticket = self.last_ticket.checked_add(1).unwrap_or(1);
        self.last_ticket
    }
}

impl Mutex {
    /// Takes the turn if it is free and nobody waits.
    pub fn enter(&self) -> Option<MutexPermit> {
        let mut state = self.state.borrow_mut();
        if state.closed.is_some() || state.holder.is_some() || !state.line.is_empty() {
            return None;
        }
        let ticket = state.issue();
        state.holder = Some(ticket);
        Some(ticket)
    }

    /// Takes the turn, or a place at the end of the line.
    pub fn queue(&self) -> MutexPermit {
        if let Some(ticket) = self.enter() {
            return ticket;
        }
        let mut state = self.state.borrow_mut();
        let ticket = state.issue();
        state.line.push_back((ticket, None));
        ticket
    }

    /// Resolves when the ticket has the turn; fails with what the line was closed with when that happens before.
    pub fn wait(self: &Rc<Self>, ticket: MutexPermit) -> Wait {
        Wait { turn: self.clone(), ticket }
    }

    /// Gives up the turn, or the place in line. Whoever is next has the turn at once.
    pub fn leave(&self, ticket: MutexPermit) {
        let mut state = self.state.borrow_mut();
        if state.holder == Some(ticket) {
            state.holder = None;
            if let Some((next, waker)) = state.line.pop_front() {
                state.holder = Some(next);
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        } else {
            state.line.retain(|(waiting, _)| *waiting != ticket);
        }
    }

    /// Fails with `transaction_closed` unless the ticket has the turn now.
    pub fn check(&self, ticket: MutexPermit) -> Result<()> {
        if self.state.borrow().holder == Some(ticket) {
            return Ok(());
        }
        Err(Error::new(ErrorCode::TransactionClosed, "The transaction has already ended")
            .hint("Await everything inside the transaction's function before it returns"))
    }

    /// Waits for the turn and holds it until the guard is dropped.
    pub async fn acquire(self: &Rc<Self>) -> Result<MutexGuard> {
        // The guard is made before the wait: a caller that is dropped while it waits leaves the line.
        let guard = MutexGuard { turn: self.clone(), ticket: self.queue() };
        self.wait(guard.ticket).await?;
        Ok(guard)
    }

    /// Lets nobody in any more: whoever waits, now or later, gets the first `reason` that was given. The present holder
    /// keeps its turn.
    pub fn close(&self, reason: Error) {
        let mut state = self.state.borrow_mut();
        state.closed.get_or_insert(reason);
        let line = std::mem::take(&mut state.line);
        drop(state);
        line.into_iter().filter_map(|(_, waker)| waker).for_each(Waker::wake);
    }
}

/// Holds the turn until it is dropped.
pub struct MutexGuard {
    turn: Rc<Mutex>,
    ticket: MutexPermit,
}

impl MutexGuard {
    /// The ticket that holds the turn.
    pub fn ticket(&self) -> MutexPermit {
        self.ticket
    }
}

impl Drop for MutexGuard {
    fn drop(&mut self) {
        self.turn.leave(self.ticket);
    }
}

/// What [`Mutex::wait`] returns.
pub struct Wait {
    turn: Rc<Mutex>,
    ticket: MutexPermit,
}

impl Future for Wait {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = self.turn.state.borrow_mut();
        if state.holder == Some(self.ticket) {
            return Poll::Ready(Ok(()));
        }
        if let Some(reason) = &state.closed {
            return Poll::Ready(Err(reason.clone()));
        }
        match state.line.iter_mut().find(|(ticket, _)| *ticket == self.ticket) {
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
        for ticket in [waiting, turn.queue()] {
            let wait = turn.wait(ticket);
            assert_eq!(sim.run(wait).unwrap_err().code, ErrorCode::Closed);
        }
        turn.leave(holder);
        assert!(turn.enter().is_none());
    }
}
