//! The class of an open database for TypeScript.

use std::{cell::RefCell, rc::Rc};

use js_sys::Promise;
use wasm_bindgen::prelude::*;

use super::{buffers::Buffers, cancels::Cancels, options::Fields, promise::done};
use crate::{
    engine::{Database, Replacement},
    error::Result,
    ports::LocalFuture,
};

/// An open database.
#[wasm_bindgen]
pub struct Core {
    pub(super) database: Database,
    pub(super) buffers: RefCell<Buffers>,
    pub(super) cancels: Rc<Cancels>,
}

#[wasm_bindgen]
impl Core {
    /// Locks the connection and returns the permit, or 0 if it is locked or another call waits for it.
    #[wasm_bindgen(js_name = tryAcquire)]
    pub fn try_acquire(&self) -> u32 {
        self.database.mutex().try_acquire().unwrap_or(0)
    }

    /// From now on, emits a `change` event for each commit.
    #[wasm_bindgen(js_name = emitChanges)]
    pub fn emit_changes(&self) {
        self.database.emit_changes(true);
    }

    /// Locks the connection, or queues for it. Returns the permit.
    pub fn queue(&self) -> u32 {
        self.database.mutex().queue()
    }

    /// Unlocks the connection, or leaves the queue.
    pub fn release(&self, permit: u32) {
        self.database.mutex().release(permit);
    }

    /// Returns an id for a call that can be cancelled.
    #[wasm_bindgen(js_name = newCancel)]
    pub fn new_cancel(&self) -> u32 {
        self.cancels.create()
    }

    /// Cancels the call with this id, which then rejects.
    pub fn cancel(&self, id: u32) {
        self.cancels.cancel(id);
    }

    /// Removes the id of a call that has ended.
    #[wasm_bindgen(js_name = dropCancel)]
    pub fn drop_cancel(&self, id: u32) {
        self.cancels.remove(id);
    }
}

impl Core {
    /// Returns the database for a call with these limits: `{ timeoutMs?, cancel? }`. `cancel` is an id of `newCancel`; it is
    /// honoured until the commit.
    pub(super) fn limited(&self, limits: &JsValue) -> Database {
        let limits = Fields(limits);
        self.database.limited(limits.any_number("timeoutMs"), self.cancels.of(limits.cancel()))
    }
}

/// Replaces the contents with those that `preparing` resolves with, within the limits of `database`.
pub(super) fn replacing(database: Database, preparing: LocalFuture<'static, Result<Replacement>>) -> Promise {
    done(async move {
        let prepared = database.limits().until_commit(preparing).await?;
        database.finish_replacement(prepared).await
    })
}
