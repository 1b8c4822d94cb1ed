//! Calls that JavaScript may cancel, by an id that it gets before it makes them.

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

/// The ids that were given and not dropped.
#[derive(Default)]
pub(super) struct Cancels {
    pub(super) last: Cell<u32>,
    pub(super) waiting: RefCell<Map<u32, oneshot::Sender<()>>>,
}

impl Cancels {
    /// Runs a call that `id` cancels (0: nothing does): it is dropped wherever it waits. Its steps on the database are
    /// synchronous, so that none is ever cut.
    pub async fn watch<T>(&self, id: u32, call: impl Future<Output = Result<T>>) -> Result<T> {
        if id == 0 {
            return call.await;
        }
        let (sender, cancelled) = oneshot::channel();
        self.waiting.borrow_mut().insert(id, sender);
        match select(pin!(call), cancelled).await {
            Either::Left((result, _)) => result,
            // What JavaScript rejects with is its own signal's reason.
            Either::Right(_) => Err(Error::new(ErrorCode::Timeout, "The call was cancelled")),
        }
    }
}
