//! An end to statements that take too long.

use std::ffi::{c_int, c_void};

use rusqlite::ffi;

use super::{Connection, Deadline};

/// Instructions of SQLite's machine between two questions: well under a millisecond.
const INTERVAL: c_int = 4000;

impl Connection {
    /// Sets or lifts what may stop statements, and gives back what it was. While it is set, it is asked every few thousand instructions; once it says
    /// true, the running statement fails with `timeout`. It must not use the connection.
    ///
    /// A write that is stopped inside a transaction makes SQLite roll back all of that transaction.
    pub fn set_deadline(&self, deadline: Option<Deadline>) -> Option<Deadline> {
        let mut kept = self.deadline().borrow_mut();
        // Boxed twice: SQLite takes a thin pointer.
        let before = std::mem::replace(&mut *kept, deadline.map(Box::new));
        let (callback, context): (Option<unsafe extern "C" fn(*mut c_void) -> c_int>, _) = match &mut *kept {
            Some(deadline) => (Some(ask), std::ptr::from_mut::<Deadline>(deadline).cast()),
            None => (None, std::ptr::null_mut()),
        };
        // SAFETY: the connection is open. The inner box stays where it is until this function replaces it and tells
        // SQLite so, or until the connection, closed by then, is dropped.
        unsafe { ffi::sqlite3_progress_handler(self.raw(), INTERVAL, callback, context) };
        before.map(|deadline| *deadline)
    }

    /// Asks it between two statements.
    pub(super) fn is_past_deadline(&self) -> bool {
        self.deadline().borrow_mut().as_mut().is_some_and(|deadline| deadline())
    }
}

unsafe extern "C" fn ask(context: *mut c_void) -> c_int {
    // SAFETY: the context is the box that set_deadline() holds; no other code uses it while SQLite runs.
    c_int::from(unsafe { (*context.cast::<Deadline>())() })
}
