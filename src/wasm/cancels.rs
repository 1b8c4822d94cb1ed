//! Calls that JavaScript can cancel by an id, which it requests before the call.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::pin,
};

use futures_channel::oneshot;
use futures_util::future::{Either, select};

use crate::{
    collections::Map,
    error::{Error, ErrorCode, Result},
};

/// The ids that were created and not dropped.
#[derive(Default)]
pub(super) struct Cancels {
    last: Cell<u32>,
    /// The senders of running calls. `None`: the call was cancelled before it began, for example while the part with
    /// its code was loading.
    calls: RefCell<Map<u32, Option<oneshot::Sender<()>>>>,
}

impl Cancels {
    /// Returns the next id.
    pub fn create(&self) -> u32 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    /// Cancels the call with this id, also if it begins later.
    pub fn cancel(&self, id: u32) {
        let mut calls = self.calls.borrow_mut();
        match calls.remove(&id) {
            Some(Some(sender)) => drop(sender.send(())),
            _ => drop(calls.insert(id, None)),
        }
    }

    /// Removes the id of a call that has ended.
    pub fn remove(&self, id: u32) {
        self.calls.borrow_mut().remove(&id);
    }

    /// Runs a call that can be cancelled by `id` (0: it can't). Cancelling drops the future where it waits. Its steps
    /// on the database are synchronous, so they are never interrupted.
    pub async fn watch<T>(&self, id: u32, call: impl Future<Output = Result<T>>) -> Result<T> {
        if id == 0 {
            return call.await;
        }
        // JavaScript rejects with the reason of its signal instead of this error.
        let error = || Error::new(ErrorCode::Timeout, "The call was cancelled");
        if self.calls.borrow_mut().remove(&id).is_some() {
            return Err(error());
        }
        let (sender, cancelled) = oneshot::channel();
        self.calls.borrow_mut().insert(id, Some(sender));
        match select(pin!(call), cancelled).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(error()),
        }
    }
}
