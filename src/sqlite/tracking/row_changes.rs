//! The rows that statements change, as SQLite reports them before each change (the preupdate hook).
//!
//! The hook is installed only while rows are recorded. It makes SQLite delete all rows of a table one by one, and statements compiled
//! before it was installed don't report all that they do.

use std::{
    cell::{Cell, RefCell},
    ffi::{CStr, c_char, c_int, c_void},
    rc::Rc,
};

use rusqlite::ffi;

use crate::value::Value;

/// The limit of recorded rows per transaction: with more, running the queries again is cheaper than comparing rows.
const MOST_ROWS: usize = 64;

/// Bytes of the longest text or blob that is recorded.
const LONGEST_VALUE: usize = 64 * 1024;

/// A table whose rows are recorded: an ordinary one with a rowid and without generated columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedTable {
    /// Its name, as the schema spells it.
    pub name: Rc<str>,
    /// The number of its columns.
    pub columns: usize,
}

/// A row that was inserted, updated or deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange {
    /// The table, as an index of the recorded ones.
    pub table: usize,
    /// The row before; `None` for an inserted one.
    pub old: Option<Box<[Value]>>,
    /// The row after; `None` for a deleted one.
    pub new: Option<Box<[Value]>>,
    /// Its rowids before and after; those of an inserted or deleted row are equal.
    pub rowids: [i64; 2],
}

impl RowChange {
    /// Returns whether an update gave it another rowid.
    pub fn is_moved(&self) -> bool {
        self.rowids[0] != self.rowids[1]
    }
}

/// What was recorded since it was last taken. It may contain changes that were rolled back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowChanges {
    /// The changed rows, in their order.
    pub rows: Vec<RowChange>,
    /// The tables of which more rows changed, or rows that are too large: indexes of the recorded ones.
    pub incomplete: Vec<usize>,
}

/// SQLite's hook, where SQLite is compiled with it: see build.rs.
mod hook_of_sqlite {
    #[cfg(preupdate_hook)]
    pub use rusqlite::ffi::{sqlite3_preupdate_hook, sqlite3_preupdate_new, sqlite3_preupdate_old};

    #[cfg(not(preupdate_hook))]
    pub use missing::{sqlite3_preupdate_hook, sqlite3_preupdate_new, sqlite3_preupdate_old};

    #[cfg(not(preupdate_hook))]
    mod missing {
        use std::ffi::{c_int, c_void};

        use rusqlite::ffi;

        /// Does nothing.
        pub unsafe fn sqlite3_preupdate_hook<H>(_db: *mut ffi::sqlite3, _hook: Option<H>, _context: *mut c_void) {}

        /// Returns SQLITE_MISUSE. Never called.
        pub unsafe extern "C" fn sqlite3_preupdate_old(
            _db: *mut ffi::sqlite3,
            _column: c_int,
            _value: *mut *mut ffi::sqlite3_value,
        ) -> c_int {
            ffi::SQLITE_MISUSE
        }

        pub use sqlite3_preupdate_old as sqlite3_preupdate_new;
    }
}

/// The state of the hook. Its address must not change while it is installed.
#[derive(Default)]
pub(in crate::sqlite) struct RowRecorder {
    tables: RefCell<Vec<RecordedTable>>,
    changes: RefCell<RowChanges>,
    installed: Cell<bool>,
}

impl RowRecorder {
    /// Records the changed rows of these tables from now on, instead of the previous tables; of none if `tables` is empty. Tables whose rows
    /// are already recorded count as incomplete. Returns whether the hook of `db`, to which the recorder belongs, was installed.
    pub fn watch(&self, db: *mut ffi::sqlite3, tables: Vec<RecordedTable>) -> bool {
        let install = !tables.is_empty();
        let RowChanges { rows, incomplete } = self.changes.take();
        let before = self.tables.take();
        let changed = rows.iter().map(|change| change.table).chain(incomplete).filter_map(|index| before.get(index));
        let names: Vec<&str> = changed.map(|table| &*table.name).collect();
        let known = tables.iter().enumerate().filter(|(_, table)| names.contains(&&*table.name));
        self.changes.borrow_mut().incomplete = known.map(|(index, _)| index).collect();
        self.tables.replace(tables);
        if self.installed.replace(install) == install {
            return false;
        }
        let context = std::ptr::from_ref(self).cast_mut().cast::<c_void>();
        let hook: Option<unsafe extern "C" fn(_, _, _, _, _, _, _)> = if install { Some(record) } else { None };
        // SAFETY: the recorder is boxed, and lives as long as the connection, which closes SQLite before dropping it. The callback only takes
        // shared references to it.
        unsafe { hook_of_sqlite::sqlite3_preupdate_hook(db, hook, context) };
        install
    }

    /// Returns what was recorded since the last call.
    pub fn take(&self) -> RowChanges {
        if cfg!(preupdate_hook) {
            return self.changes.take();
        }
        // Without the hook any row may have changed.
        RowChanges { rows: Vec::new(), incomplete: (0..self.tables.borrow().len()).collect() }
    }

    /// Records a change. `db` is in the callback of its hook.
    fn record(&self, db: *mut ffi::sqlite3, op: c_int, table: &[u8], rowids: [i64; 2]) {
        let tables = self.tables.borrow();
        let Some(index) = tables.iter().position(|known| known.name.as_bytes() == table) else { return };
        let changes = &mut *self.changes.borrow_mut();
        if changes.incomplete.contains(&index) {
            return;
        }
        let columns = tables[index].columns;
        let row = |present: bool, read: ReadValue| {
            // SAFETY: the callback's contract; SQLite checks the column's number.
            if present { unsafe { row(db, columns, read) }.map(Some) } else { Some(None) }
        };
        let old = row(op != ffi::SQLITE_INSERT, hook_of_sqlite::sqlite3_preupdate_old);
        let new = row(op != ffi::SQLITE_DELETE, hook_of_sqlite::sqlite3_preupdate_new);
        match (old, new) {
            (Some(old), Some(new)) if changes.rows.len() < MOST_ROWS => {
                changes.rows.push(RowChange { table: index, old, new, rowids });
            }
            _ => changes.incomplete.push(index),
        }
    }
}

type ReadValue = unsafe extern "C" fn(*mut ffi::sqlite3, c_int, *mut *mut ffi::sqlite3_value) -> c_int;

/// Reads a row; `None`: it can't be recorded.
///
/// # Safety
/// Only in the callback of the hook of `db`.
unsafe fn row(db: *mut ffi::sqlite3, columns: usize, read: ReadValue) -> Option<Box<[Value]>> {
    (0..columns)
        .map(|column| {
            let mut value = std::ptr::null_mut();
            // SAFETY: as the caller promises; the value lives until the callback returns.
            unsafe { if read(db, column as c_int, &mut value) == ffi::SQLITE_OK { copied(value) } else { None } }
        })
        .collect()
}

/// Copies a value; `None`: it is too large, or a text that isn't UTF-8.
///
/// # Safety
/// The value must be alive.
unsafe fn copied(value: *mut ffi::sqlite3_value) -> Option<Value> {
    // SAFETY: as the caller promises; a text or blob is copied before the next call on the value.
    unsafe {
        let kind = ffi::sqlite3_value_type(value);
        let bytes = || {
            let start = match kind {
                ffi::SQLITE_TEXT => ffi::sqlite3_value_text(value),
                _ => ffi::sqlite3_value_blob(value).cast(),
            };
            let length = ffi::sqlite3_value_bytes(value) as usize;
            match length {
                0 => Some(&[][..]),
                1..=LONGEST_VALUE if !start.is_null() => Some(std::slice::from_raw_parts(start, length)),
                _ => None,
            }
        };
        Some(match kind {
            ffi::SQLITE_INTEGER => Value::Integer(ffi::sqlite3_value_int64(value)),
            ffi::SQLITE_FLOAT => Value::Real(ffi::sqlite3_value_double(value)),
            ffi::SQLITE_TEXT => Value::from(std::str::from_utf8(bytes()?).ok()?),
            ffi::SQLITE_BLOB => Value::Blob(bytes()?.to_vec()),
            _ => Value::Null,
        })
    }
}

unsafe extern "C" fn record(
    context: *mut c_void,
    db: *mut ffi::sqlite3,
    op: c_int,
    database: *const c_char,
    table: *const c_char,
    old_rowid: ffi::sqlite3_int64,
    new_rowid: ffi::sqlite3_int64,
) {
    // SAFETY: the context is the connection's recorder, alive while the hook is installed; SQLite's names are NUL-terminated.
    let (recorder, database, table) =
        unsafe { (&*context.cast::<RowRecorder>(), CStr::from_ptr(database), CStr::from_ptr(table)) };
    if database.to_bytes() == b"main" {
        let rowids = match op {
            ffi::SQLITE_INSERT => [new_rowid; 2],
            ffi::SQLITE_DELETE => [old_rowid; 2],
            _ => [old_rowid, new_rowid],
        };
        recorder.record(db, op, table.to_bytes(), rowids);
    }
}
