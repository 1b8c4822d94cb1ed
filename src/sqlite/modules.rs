//! FTS5 and the JSON functions may come after a connection was opened.

use super::Connection;
use crate::error::Result;

/// What stands for the JSON functions until their part is there (scripts/parts.json): what SQLite calls then.
#[cfg(target_arch = "wasm32")]
mod lacking {
    use std::ffi::{CStr, c_int};

    use rusqlite::ffi;

    /// What TypeScript looks for, so as to load the part and run the statement again.
    const MESSAGE: &CStr = c"no such part: json";

    /// Any of the functions.
    // SAFETY: the name is ours alone; SQLite calls it with the context of the call, like any function.
    #[unsafe(no_mangle)]
    pub extern "C" fn tidelock_lacks_json(context: *mut ffi::sqlite3_context) {
        // SAFETY: the context is the call's, and the text is copied.
        unsafe { ffi::sqlite3_result_error(context, MESSAGE.as_ptr(), -1) }
    }

    /// `xFilter` of `json_each` and `json_tree`.
    // SAFETY: as above, with a cursor of that table.
    #[unsafe(no_mangle)]
    pub extern "C" fn tidelock_lacks_json_each(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
        // SAFETY: the cursor and its table live as long as the call; SQLite frees the message that it finds there, which must be
        // of its own memory, and none was there before.
        unsafe { (*(*cursor).pVtab).zErrMsg = ffi::sqlite3_mprintf(MESSAGE.as_ptr()) };
        ffi::SQLITE_ERROR
    }
}

impl Connection {
    /// Whether the schema has tables of FTS5.
    pub fn uses_fts5(&self) -> Result<bool> {
        let sql =
            "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND sql LIKE 'create virtual table%fts5%' LIMIT 1";
        Ok(self.value(sql, &[])?.is_some())
    }

    /// Whether anything in the schema may call JSON functions.
    pub fn uses_json(&self) -> Result<bool> {
        let sql = "SELECT 1 FROM main.sqlite_schema WHERE sql LIKE '%json%' OR sql LIKE '%->%' LIMIT 1";
        Ok(self.value(sql, &[])?.is_some())
    }

    /// Whether this connection has FTS5.
    pub fn has_fts5(&self) -> Result<bool> {
        Ok(self.value("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'", &[])?.is_some())
    }
}
