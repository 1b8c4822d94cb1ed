//! Single flight: a call that asks for what is already being done joins it.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use super::OnProgress;
use crate::{error::Result, ports::LocalFuture};

/// Work that several callers wait for. It goes on as long as one of them does.
struct Flight<T> {
    work: Option<LocalFuture<'static, Result<T>>>,
    done: Option<Result<T>>,
    waiting: Vec<Waker>,
    listeners: Rc<RefCell<Vec<OnProgress>>>,
}

/// What was asked for, and the work for it, as long as somebody waits.
type Present<K, T> = (K, Weak<RefCell<Flight<T>>>);

/// What is under way, and what was asked for by it.
pub(super) struct Joint<K, T> {
    present: RefCell<Option<Present<K, T>>>,
}

impl<K, T> Default for Joint<K, T> {
    fn default() -> Self {
        Self { present: RefCell::new(None) }
    }
}

impl<K: PartialEq, T: Clone> Joint<K, T> {
    /// Joins what is under way if it is the same (`may_join`: and can still be joined), else starts it. `start` gets the place
    /// where progress goes, if anybody wants it.
    pub fn join(
        &self,
        key: K,
        may_join: bool,
        progress: Option<OnProgress>,
        start: impl FnOnce(Option<OnProgress>) -> LocalFuture<'static, Result<T>>,
    ) -> Joined<T> {
        let mut present = self.present.borrow_mut();
        if let Some((known, flight)) = &*present
            && may_join
            && *known == key
            && let Some(flight) = flight.upgrade()
            && flight.borrow().done.is_none()
        {
            flight.borrow().listeners.borrow_mut().extend(progress);
            return Joined { flight };
        }
        let listeners: Rc<RefCell<Vec<OnProgress>>> = Rc::default();
        let tell = progress.map(|first| -> OnProgress {
            listeners.borrow_mut().push(first);
            let listeners = listeners.clone();
            Box::new(move |step| listeners.borrow().iter().for_each(|listener| listener(step.clone())))
        });
        let flight = Flight { work: Some(start(tell)), done: None, waiting: Vec::new(), listeners };
        let flight = Rc::new(RefCell::new(flight));
        *present = Some((key, Rc::downgrade(&flight)));
        Joined { flight }
    }
}

/// One caller's part of it. Dropping the last one gives the work up.
pub(super) struct Joined<T> {
    flight: Rc<RefCell<Flight<T>>>,
}

impl<T: Clone> Future for Joined<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let mut flight = self.flight.borrow_mut();
        if let Some(done) = &flight.done {
            return Poll::Ready(done.clone());
        }
        if !flight.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            flight.waiting.push(context.waker().clone());
        }
        // The work may look at who has joined.
        let Some(mut work) = flight.work.take() else { return Poll::Pending };
        drop(flight);
        let polled = work.as_mut().poll(context);
        let mut flight = self.flight.borrow_mut();
        match polled {
            Poll::Pending => {
                flight.work = Some(work);
                Poll::Pending
            }
            Poll::Ready(result) => {
                flight.done = Some(result.clone());
                let waiting = std::mem::take(&mut flight.waiting);
                drop(flight);
                waiting.into_iter().for_each(Waker::wake);
                Poll::Ready(result)
            }
        }
    }
}

impl<T> Drop for Joined<T> {
    fn drop(&mut self) {
        // The work may only wake the one that goes: let the others look after it.
        if let Ok(mut flight) = self.flight.try_borrow_mut() {
            let waiting = std::mem::take(&mut flight.waiting);
            drop(flight);
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}
