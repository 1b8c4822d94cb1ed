//! Single-flight: a call joins a running one with the same arguments.

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

/// The arguments of the running call, its work (until the last waiting call is dropped), and its progress listeners.
type Present<K, T> = (K, WeakShared<FlightWork<T>>, Weak<Listeners>);

/// The running call, if any.
pub(in crate::engine) struct SingleFlight<K, T: Clone>(RefCell<Option<Present<K, T>>>);

impl<K, T: Clone> Default for SingleFlight<K, T> {
    fn default() -> Self {
        Self(RefCell::new(None))
    }
}

impl<K: PartialEq, T: Clone> SingleFlight<K, T> {
    /// Joins the running call if it has the same `key` and `may_join` is true, else starts a new one. `start` receives
    /// the progress listener, if the first call has one.
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
        let weak = Rc::downgrade(&listeners);
        let notify = progress.map(|first| -> OnProgress {
            listeners.borrow_mut().push(first);
            Box::new(move |step| listeners.borrow().iter().for_each(|listener| listener(step.clone())))
        });
        let work = start(notify).shared();
        *present = work.downgrade().map(|work| (key, work, weak));
        work
    }
}
