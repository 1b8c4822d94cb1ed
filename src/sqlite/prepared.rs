//! A compiled statement.

use std::{
    cell::{Cell, RefCell},
    ffi::{CStr, c_char, c_int},
    rc::Rc,
};

use rusqlite::ffi;

use super::authority::{Authority, StatementEffects, Watcher};

/// Where the columns of a parameter buffer go.
#[derive(Default)]
pub(super) enum Places {
    /// Column 0 is parameter 1, and so on.
    #[default]
    Positional,
    /// So many columns; pairs of column and parameter, ascending by column. A name may stand in a statement with several
    /// prefixes.
    Named(usize, Vec<(usize, c_int)>),
}

/// A compiled statement with what is known of it.
pub(super) struct Prepared {
    /// Null only between two statements of a script.
    pub raw: *mut ffi::sqlite3_stmt,
    pub sql: Box<str>,
    pub authority: Authority,
    facts: RefCell<Rc<StatementEffects>>,
    /// How often SQLite had compiled it anew when the facts were taken.
    recompiled: Cell<c_int>,
    /// The number of its column list; none until it is first asked for, and after the columns changed.
    pub shape: Cell<Option<u32>>,
    /// Where the columns of the last parameters went.
    pub places: RefCell<Places>,
    /// Its number in the cache; 0 until it is kept.
    pub id: Cell<u32>,
    /// Whether somebody has it. Only the cache and [`release`](Self::release) set this.
    pub in_use: Cell<bool>,
    /// When it was last taken, for the cache.
    pub taken: Cell<u64>,
}

impl Prepared {
    /// Takes over a statement that SQLite just compiled.
    pub fn new(raw: *mut ffi::sqlite3_stmt, sql: &str, authority: Authority, facts: Rc<StatementEffects>) -> Self {
        Self {
            raw,
            sql: sql.into(),
            authority,
            facts: RefCell::new(facts),
            recompiled: Cell::new(0),
            shape: Cell::new(None),
            places: RefCell::default(),
            id: Cell::new(0),
            in_use: Cell::new(true),
            taken: Cell::new(0),
        }
    }

    /// Takes over another statement that SQLite just compiled, of the same script.
    pub fn take_over(&mut self, raw: *mut ffi::sqlite3_stmt, watcher: &Watcher) {
        self.finalize();
        self.raw = raw;
        self.recompiled.set(0);
        self.shape.set(None);
        watcher.take_facts_into(self.facts.get_mut());
    }

    /// Gives SQLite its memory back. Nothing can be asked of it then.
    pub fn finalize(&mut self) {
        // SAFETY: nobody else has the statement, and its connection is open: it drops its statements before it closes. Null, as it is
        // from then on, is a no-op.
        unsafe { ffi::sqlite3_finalize(std::mem::replace(&mut self.raw, std::ptr::null_mut())) };
    }

    pub fn facts(&self) -> Rc<StatementEffects> {
        self.facts.borrow().clone()
    }

    /// Whether SQLite compiled it anew since it was last asked: after a change of the schema, columns and facts may differ.
    pub fn was_recompiled(&self) -> bool {
        // SAFETY: the statement is alive until `self` is dropped.
        let times = unsafe { ffi::sqlite3_stmt_status(self.raw, ffi::SQLITE_STMTSTATUS_REPREPARE, 0) };
        times != self.recompiled.replace(times)
    }

    pub fn renew(&self, facts: Rc<StatementEffects>) {
        self.facts.replace(facts);
        self.shape.set(None);
    }

    /// Back to before the first step, with its bindings.
    pub fn reset(&self) {
        // SAFETY: the statement is alive; allowed in every state of it. The result repeats the last step's error.
        unsafe { ffi::sqlite3_reset(self.raw) };
    }

    /// Back to before the first step, without bindings.
    pub fn clear(&self) {
        if self.raw.is_null() {
            return;
        }
        self.reset();
        // SAFETY: the statement is alive and reset.
        unsafe { ffi::sqlite3_clear_bindings(self.raw) };
    }

    /// Cleared; then others may have it.
    pub fn release(&self) {
        self.clear();
        self.in_use.set(false);
    }

    pub fn column_count(&self) -> usize {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_column_count(self.raw) as usize }
    }

    pub fn column_name(&self, index: usize) -> String {
        // SAFETY: the statement is alive; a name is copied before the next call on it.
        unsafe { owned(ffi::sqlite3_column_name(self.raw, index as c_int)) }.unwrap_or_default()
    }

    pub fn parameter_count(&self) -> usize {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_bind_parameter_count(self.raw) as usize }
    }

    /// The name of a parameter, from 1, with its prefix; none for a plain `?` and for a gap between numbers.
    pub fn parameter_name(&self, index: usize) -> Option<&str> {
        // SAFETY: the statement is alive, and a parameter's name stays where it is as long as the statement does.
        unsafe {
            let name = ffi::sqlite3_bind_parameter_name(self.raw, index as c_int);
            if name.is_null() { None } else { CStr::from_ptr(name).to_str().ok() }
        }
    }

    pub fn is_readonly(&self) -> bool {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_stmt_readonly(self.raw) != 0 }
    }

    /// Whether running it may change the database file. An EXPLAIN of a statement that would doesn't.
    pub fn writes(&self) -> bool {
        !self.is_readonly() && !self.is_explain()
    }

    /// Whether running it changes rows and tells how many.
    pub fn counts_changes(&self) -> bool {
        self.facts.borrow().changes_rows && !self.is_explain()
    }

    fn is_explain(&self) -> bool {
        // SAFETY: the statement is alive.
        unsafe { ffi::sqlite3_stmt_isexplain(self.raw) != 0 }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        self.finalize();
    }
}

/// SAFETY: null, or NUL-terminated.
unsafe fn owned(text: *const c_char) -> Option<String> {
    // SAFETY: as above.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
