//! Single flight: a call that asks for what is already being done joins it.

use std::{
    cell::RefCell,
    rc::{Rc, Weak},
};

use futures_util::future::{FutureExt, Shared, WeakShared};

use crate::{error::Result, ports::LocalFuture, sync::report::PullProgress};

/// Where progress goes.
pub type OnProgress = Box<dyn Fn(PullProgress)>;

type FlightWork<T> = LocalFuture<'static, Result<T>>;

type Listeners = RefCell<Vec<OnProgress>>;

/// What was asked for, the work for it as long as somebody waits, and where its progress goes.
type Present<K, T> = (K, WeakShared<FlightWork<T>>, Weak<Listeners>);

/// What is under way.
pub(in crate::engine) struct SingleFlight<K, T: Clone>(RefCell<Option<Present<K, T>>>);

impl<K, T: Clone> Default for SingleFlight<K, T> {
    fn default() -> Self {
        Self(RefCell::new(None))
    }
}

impl<K: PartialEq, T: Clone> SingleFlight<K, T> {
    /// Joins what is under way if it is the same (`may_join`: and can still be joined), else starts it. `start` gets the place
    /// where progress goes, if anybody wants it.
    pub fn join(
        &self,
        key: K,
        may_join: bool,
        progress: Option<OnProgress>,
        start: impl FnOnce(Option<OnProgress>) -> FlightWork<T>,
    ) -> Shared<FlightWork<T>> {
        let mut present = self.0.borrow_mut();
        if let Some((known, work, listeners)) = &*present
            && may_join
            && *known == key
            && let Some(work) = work.upgrade().filter(|work| work.peek().is_none())
        {
            if let Some(listeners) = listeners.upgrade() {
                listeners.borrow_mut().extend(progress);
            }
            return work;
        }
        let listeners: Rc<Listeners> = Rc::default();
        let heard = Rc::downgrade(&listeners);
        let tell = progress.map(|first| -> OnProgress {
            listeners.borrow_mut().push(first);
            Box::new(move |step| listeners.borrow().iter().for_each(|listener| listener(step.clone())))
        });
        let work = start(tell).shared();
        *present = work.downgrade().map(|work| (key, work, heard));
        work
    }
}
