//! Calls that JavaScript may cancel, by an id that it gets before it makes them.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::pin,
};

use futures_channel::oneshot;
use futures_util::future::{Either, select};
use wasm_bindgen::prelude::*;

use super::Core;
use crate::{
    collections::Map,
    error::{Error, ErrorCode, Result},
};

/// The ids that were given and not dropped.
#[derive(Default)]
pub(super) struct Cancels {
    last: Cell<u32>,
    waiting: RefCell<Map<u32, oneshot::Sender<()>>>,
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

#[wasm_bindgen]
impl Core {
    /// An id for a call that can be cancelled.
    #[wasm_bindgen(js_name = newCancel)]
    pub fn new_cancel(&self) -> u32 {
        self.cancels.last.set(self.cancels.last.get() + 1);
        self.cancels.last.get()
    }

    /// Ends the call that has this id; it rejects.
    pub fn cancel(&self, id: u32) {
        if let Some(sender) = self.cancels.waiting.borrow_mut().remove(&id) {
            let _ = sender.send(());
        }
    }

    /// Forgets an id.
    #[wasm_bindgen(js_name = dropCancel)]
    pub fn drop_cancel(&self, id: u32) {
        self.cancels.waiting.borrow_mut().remove(&id);
    }
}
