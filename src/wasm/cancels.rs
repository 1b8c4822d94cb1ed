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
    pub(super) last: Cell<u32>,
    pub(super) waiting: RefCell<Map<u32, oneshot::Sender<()>>>,
}

impl Cancels {
    /// Runs a call that can be cancelled by `id` (0: it can't). Cancelling drops the future where it waits. Its steps
    /// on the database are synchronous, so they are never interrupted.
    pub async fn watch<T>(&self, id: u32, call: impl Future<Output = Result<T>>) -> Result<T> {
        if id == 0 {
            return call.await;
        }
        let (sender, cancelled) = oneshot::channel();
        self.waiting.borrow_mut().insert(id, sender);
        match select(pin!(call), cancelled).await {
            Either::Left((result, _)) => result,
            // JavaScript rejects with the reason of its signal instead of this error.
            Either::Right(_) => Err(Error::new(ErrorCode::Timeout, "The call was cancelled")),
        }
    }
}
