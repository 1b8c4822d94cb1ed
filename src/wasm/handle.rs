//! One database, as TypeScript holds it.

use std::{cell::RefCell, rc::Rc};

use wasm_bindgen::prelude::*;

use super::{buffers::Buffers, cancels::Cancels};
use crate::engine::Database;

/// One database, as TypeScript holds it.
#[wasm_bindgen]
pub struct Core {
    pub(super) database: Database,
    pub(super) buffers: RefCell<Buffers>,
    pub(super) cancels: Rc<Cancels>,
}

#[wasm_bindgen]
impl Core {
    /// Locks the connection if it is free and no call waits, else 0.
    pub fn enter(&self) -> u32 {
        self.database.turn().enter().unwrap_or(0)
    }

    /// Every commit is to be told as an event from now on.
    #[wasm_bindgen(js_name = tellChanges)]
    pub fn tell_changes(&self) {
        self.database.tell_changes(true);
    }

    /// Locks the connection, or takes a place in the queue.
    pub fn queue(&self) -> u32 {
        self.database.turn().queue()
    }

    /// Unlocks the connection, or leaves the queue.
    pub fn leave(&self, permit: u32) {
        self.database.turn().leave(permit);
    }

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
