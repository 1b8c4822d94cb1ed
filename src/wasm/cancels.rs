//! Calls that JavaScript can cancel by an id, which it requests before the call.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    rc::Rc,
};

use crate::{
    collections::Map,
    engine::connection::{limits::CallLimits, signal::Signal},
    error::Result,
};

/// The ids that were created and not dropped.
#[derive(Default)]
pub(super) struct Cancels {
    last: Cell<u32>,
    calls: RefCell<Map<u32, Rc<Signal>>>,
}

impl Cancels {
    /// Returns the next id.
    pub fn create(&self) -> u32 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    /// Cancels the call with this id, also if it begins later, for example because the part with its code is loading.
    pub fn cancel(&self, id: u32) {
        self.signal_of(id).notify();
    }

    /// Removes the id of a call that has ended.
    pub fn remove(&self, id: u32) {
        self.calls.borrow_mut().remove(&id);
    }

    /// Returns what is notified when the call with this id is cancelled; `None` for 0: it can't be.
    pub fn of(&self, id: u32) -> Option<Rc<Signal>> {
        (id != 0).then(|| self.signal_of(id))
    }

    /// Runs a call that can be cancelled by `id` while it waits.
    pub async fn watch<T>(&self, id: u32, call: impl Future<Output = Result<T>>) -> Result<T> {
        CallLimits { ends_ms: None, cancelled: self.of(id) }.until_commit(call).await
    }

    fn signal_of(&self, id: u32) -> Rc<Signal> {
        let mut calls = self.calls.borrow_mut();
        if let Some(signal) = calls.get(&id) {
            return signal.clone();
        }
        let signal = Rc::<Signal>::default();
        calls.insert(id, signal.clone());
        signal
    }
}
