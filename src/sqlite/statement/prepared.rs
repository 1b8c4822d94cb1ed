//! A compiled statement.

use std::{
    cell::{Cell, RefCell},
    ffi::{CStr, c_char, c_int},
    rc::Rc,
};

use rusqlite::ffi;

use crate::sqlite::connection::authority::{Authority, StatementEffects, Watcher};

/// Where the columns of a parameter buffer go.
#[derive(Default)]
pub(in crate::sqlite) enum Places {
    /// Column 0 is parameter 1, and so on.
    #[default]
    Positional,
    /// So many columns; pairs of column and parameter, ascending by column. A name may stand in a statement with several
    /// prefixes.
    Named(usize, Vec<(usize, c_int)>),
}

/// A compiled statement with its properties.
pub(in crate::sqlite) struct PreparedStatement {
    /// Null only between two statements of a script.
    pub raw: *mut ffi::sqlite3_stmt,
    pub sql: Box<str>,
    pub authority: Authority,
    effects: RefCell<Rc<StatementEffects>>,
    /// SQLite's count of recompilations when the effects were taken.
    recompiled: Cell<c_int>,
    /// The shape id of its columns; `None` before its first use, and after the columns changed.
    pub shape: Cell<Option<u32>>,
    /// The places of the last parameters' columns.
    pub places: RefCell<Places>,
    /// Its id in the cache; 0 until it is cached.
    pub id: Cell<u32>,
    /// Whether it has a user. Only the cache and [`release`](Self::release) set this.
    pub in_use: Cell<bool>,
    /// When it was last taken from the cache.
    pub taken: Cell<u64>,
}

impl PreparedStatement {
    /// Wraps a statement that SQLite just compiled.
    pub fn new(raw: *mut ffi::sqlite3_stmt, sql: &str, authority: Authority, effects: Rc<StatementEffects>) -> Self {
        Self {
            raw,
            sql: sql.into(),
            authority,
            effects: RefCell::new(effects),
            recompiled: Cell::new(0),
            shape: Cell::new(None),
            places: RefCell::default(),
            id: Cell::new(0),
            in_use: Cell::new(true),
            taken: Cell::new(0),
        }
    }

    /// Replaces the statement by the next one of the same script.
    pub fn take_over(&mut self, raw: *mut ffi::sqlite3_stmt, watcher: &Watcher) {
        self.finalize();
        self.raw = raw;
        self.recompiled.set(0);
        self.shape.set(None);
        watcher.take_effects_into(self.effects.get_mut());
    }

    /// Frees the statement. It can't be used afterwards.
    pub fn finalize(&mut self) {
        // SAFETY: the statement has no other owner, and its connection is open: it drops its statements before it closes. From then on the
        // pointer is null, which is a no-op.
        unsafe { ffi::sqlite3_finalize(std::mem::replace(&mut self.raw, std::ptr::null_mut())) };
    }

    pub fn effects(&self) -> Rc<StatementEffects> {
        self.effects.borrow().clone()
    }

    /// Returns whether SQLite recompiled it since the last call: after a schema change its columns and effects may differ.
    pub fn was_recompiled(&self) -> bool {
        // SAFETY: the statement is alive until `self` is dropped.
        let times = unsafe { ffi::sqlite3_stmt_status(self.raw, ffi::SQLITE_STMTSTATUS_REPREPARE, 0) };
        times != self.recompiled.replace(times)
    }

    pub fn renew(&self, effects: Rc<StatementEffects>) {
        self.effects.replace(effects);
        self.shape.set(None);
    }

    /// Resets it to before the first step; keeps its bindings.
    pub fn reset(&self) {
        // SAFETY: the statement is alive; reset is allowed in every state. Its result repeats the last step's error.
        unsafe { ffi::sqlite3_reset(self.raw) };
    }

    /// Resets it to before the first step and clears its bindings.
    pub fn clear(&self) {
        if self.raw.is_null() {
            return;
        }
        self.reset();
        // SAFETY: the statement is alive and reset.
        unsafe { ffi::sqlite3_clear_bindings(self.raw) };
    }

    /// Clears it and makes it available to others.
    pub fn release(&self) {
        self.clear();
        self.in_use.set(false);
    }

    pub fn column_count(&self) -> usize {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_column_count(self.raw) as usize }
    }

    /// Returns the number of columns of the current row; 0 without one.
    pub fn data_count(&self) -> usize {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_data_count(self.raw) as usize }
    }

    pub fn column_name(&self, index: usize) -> String {
        // SAFETY: the statement is alive; a name is copied before the next call on it.
        unsafe { owned(ffi::sqlite3_column_name(self.raw, index as c_int)) }.unwrap_or_default()
    }

    pub fn parameter_count(&self) -> usize {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_bind_parameter_count(self.raw) as usize }
    }

    /// Returns the name of a parameter, from 1, with its prefix; `None` for a plain `?` and for a gap between numbers.
    pub fn parameter_name(&self, index: usize) -> Option<&str> {
        // SAFETY: the statement is alive, and a parameter's name stays in place as long as the statement does.
        unsafe {
            let name = ffi::sqlite3_bind_parameter_name(self.raw, index as c_int);
            if name.is_null() { None } else { CStr::from_ptr(name).to_str().ok() }
        }
    }

    pub fn is_readonly(&self) -> bool {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_stmt_readonly(self.raw) != 0 }
    }

    /// Returns whether running it may change the database file. An EXPLAIN never does.
    pub fn writes(&self) -> bool {
        !self.is_readonly() && !self.is_explain()
    }

    /// Returns whether running it changes rows and counts them.
    pub fn counts_changes(&self) -> bool {
        self.effects.borrow().changes_rows && !self.is_explain()
    }

    fn is_explain(&self) -> bool {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_stmt_isexplain(self.raw) != 0 }
    }
}

impl Drop for PreparedStatement {
    fn drop(&mut self) {
        self.finalize();
    }
}

/// SAFETY: null, or NUL-terminated.
unsafe fn owned(text: *const c_char) -> Option<String> {
    // SAFETY: as above.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
