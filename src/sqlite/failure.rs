//! SQLite's result codes as tidelock's errors.

use std::{
    cell::RefCell,
    ffi::{CStr, c_int},
};

use rusqlite::ffi;

use super::{functions::user_functions, pages::Refused, sql::text::mentions};
use crate::{
    error::{Error, ErrorCode},
    memory::no_memory,
};

/// Returns the error of the call that just failed on this connection: SQLite's message, with the extended code's name as
/// `details.sqliteCode` and, where known, the byte offset in the statement as `details.offset`.
pub(super) fn last(db: *mut ffi::sqlite3, code: c_int) -> Error {
    // SAFETY: `db` is an open connection; the message is copied before the next call on it.
    let (message, offset) = unsafe {
        let text = ffi::sqlite3_errmsg(db);
        let message = if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() };
        (message, ffi::sqlite3_error_offset(db))
    };
    let error = from_code(code, &message);
    if offset >= 0 { error.detail("offset", offset) } else { error }
}

/// FTS5's message for a query with more phrases than .cargo/config.toml allows (reported as an impossible depth), and its replacement.
const TOO_MANY_PHRASES: &str = "fts5 expression tree is too large (maximum depth 0)";
const TOO_MANY_PHRASES_SHOWN: &str = "fts5: the query has too many phrases";

thread_local! {
    /// Why a page couldn't be read: SQLite reports only that.
    static UNREADABLE: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// Remembers why the file system fails with `SQLITE_IOERR_READ`, for the error of the statement.
pub(super) fn remember_unreadable(error: Error) {
    UNREADABLE.set(Some(error));
}

/// Returns the error of a write to the file that was refused outside a call of SQLite.
pub(super) fn of_write(why: Refused) -> Error {
    match why {
        Refused::TooLarge => from_code(ffi::SQLITE_FULL, "database or disk is full"),
        Refused::NoMemory => no_memory("for the database file"),
        Refused::Unreadable(error) => error,
    }
}

/// Creates an error from a result code.
pub(super) fn from_code(code: c_int, message: &str) -> Error {
    if code == ffi::SQLITE_IOERR_READ
        && let Some(error) = UNREADABLE.take()
    {
        return error;
    }
    let mut kind = classify(code);
    if kind == ErrorCode::DatabaseCorrupt && needs_more(message) {
        // A valid schema that calls a function no longer available to it.
        kind = ErrorCode::SqliteError;
    }
    let message = match message {
        TOO_MANY_PHRASES => TOO_MANY_PHRASES_SHOWN,
        // SQLite only says `interrupted`.
        _ if kind == ErrorCode::Timeout => "The statement exceeded timeoutMs",
        message => message,
    };
    let error = Error::new(kind, message).detail("sqliteCode", name(code));
    match kind {
        ErrorCode::DatabaseTooLarge => error.hint("Raise maxBytes, or delete rows and run VACUUM"),
        ErrorCode::Timeout => {
            error.hint("Raise timeoutMs, or make the statement read less: db.explain() shows its plan")
        }
        ErrorCode::DatabaseCorrupt => error.hint("Restore a snapshot"),
        ErrorCode::SqliteBusy => error.hint("Try again when the blocking statement has ended"),
        ErrorCode::OutOfMemory => error.hint("Close other databases and tabs, or process less data at once"),
        ErrorCode::SqliteError if message.starts_with("malformed database schema") => {
            error.hint("Register the function as it was when the schema was created: deterministic, and not directOnly")
        }
        ErrorCode::SqliteError if message.starts_with("LIKE or GLOB pattern") => {
            error.hint("The limit of a pattern is 1,000 bytes: instr() finds longer texts, and FTS5 many words")
        }
        ErrorCode::SqliteError if message == TOO_MANY_PHRASES_SHOWN => {
            error.hint("The limit of an FTS5 query is 4,000 phrases: search for fewer words at once")
        }
        ErrorCode::SqliteError => match user_functions::hint(message) {
            Some(hint) => error.hint(hint),
            None => error,
        },
        _ => error,
    }
}

fn classify(code: c_int) -> ErrorCode {
    if code == ffi::SQLITE_IOERR_NOMEM {
        return ErrorCode::OutOfMemory;
    }
    match code & 0xff {
        ffi::SQLITE_CONSTRAINT => ErrorCode::SqliteConstraint,
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => ErrorCode::SqliteBusy,
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => ErrorCode::DatabaseCorrupt,
        ffi::SQLITE_FULL => ErrorCode::DatabaseTooLarge,
        ffi::SQLITE_NOMEM => ErrorCode::OutOfMemory,
        ffi::SQLITE_INTERRUPT => ErrorCode::Timeout,
        _ => ErrorCode::SqliteError,
    }
}

/// Returns the name of an extended result code; that of its primary code where it isn't listed.
fn name(code: c_int) -> &'static str {
    let find = |code| NAMES.binary_search_by_key(&code, |(known, _)| *known).ok().map(|index| NAMES[index].1);
    find(code).or_else(|| find(code & 0xff)).unwrap_or("SQLITE_UNKNOWN")
}

/// The result codes with which SQLite can fail here, ascending: not those of disks, other processes and its write-ahead log.
const NAMES: &[(c_int, &str)] = &[
    (1, "SQLITE_ERROR"),
    (2, "SQLITE_INTERNAL"),
    (3, "SQLITE_PERM"),
    (4, "SQLITE_ABORT"),
    (5, "SQLITE_BUSY"),
    (6, "SQLITE_LOCKED"),
    (7, "SQLITE_NOMEM"),
    (8, "SQLITE_READONLY"),
    (9, "SQLITE_INTERRUPT"),
    (10, "SQLITE_IOERR"),
    (11, "SQLITE_CORRUPT"),
    (12, "SQLITE_NOTFOUND"),
    (13, "SQLITE_FULL"),
    (14, "SQLITE_CANTOPEN"),
    (17, "SQLITE_SCHEMA"),
    (18, "SQLITE_TOOBIG"),
    (19, "SQLITE_CONSTRAINT"),
    (20, "SQLITE_MISMATCH"),
    (21, "SQLITE_MISUSE"),
    (23, "SQLITE_AUTH"),
    (25, "SQLITE_RANGE"),
    (26, "SQLITE_NOTADB"),
    (257, "SQLITE_ERROR_MISSING_COLLSEQ"),
    (266, "SQLITE_IOERR_READ"),
    (267, "SQLITE_CORRUPT_VTAB"),
    (275, "SQLITE_CONSTRAINT_CHECK"),
    (513, "SQLITE_ERROR_RETRY"),
    (516, "SQLITE_ABORT_ROLLBACK"),
    (518, "SQLITE_LOCKED_VTAB"),
    (522, "SQLITE_IOERR_SHORT_READ"),
    (523, "SQLITE_CORRUPT_SEQUENCE"),
    (531, "SQLITE_CONSTRAINT_COMMITHOOK"),
    (778, "SQLITE_IOERR_WRITE"),
    (779, "SQLITE_CORRUPT_INDEX"),
    (787, "SQLITE_CONSTRAINT_FOREIGNKEY"),
    (1043, "SQLITE_CONSTRAINT_FUNCTION"),
    (1299, "SQLITE_CONSTRAINT_NOTNULL"),
    (1546, "SQLITE_IOERR_TRUNCATE"),
    (1555, "SQLITE_CONSTRAINT_PRIMARYKEY"),
    (1802, "SQLITE_IOERR_FSTAT"),
    (1811, "SQLITE_CONSTRAINT_TRIGGER"),
    (2067, "SQLITE_CONSTRAINT_UNIQUE"),
    (2323, "SQLITE_CONSTRAINT_VTAB"),
    (2579, "SQLITE_CONSTRAINT_ROWID"),
    (2835, "SQLITE_CONSTRAINT_PINNED"),
    (3082, "SQLITE_IOERR_NOMEM"),
    (3091, "SQLITE_CONSTRAINT_DATATYPE"),
];

/// SQLite's messages for a schema that needs missing or forbidden functions, modules or collations.
const NEEDS: [&str; 6] = [
    "no such function",
    "unknown function",
    "unsafe use of",
    "non-deterministic functions prohibited",
    "no such module",
    "no such collation sequence",
];

/// Returns whether the message is one for a missing function or collation, which the user may have.
pub fn needs_functions(message: &str) -> bool {
    ["no such function", "unknown function", "no such collation sequence"].iter().any(|need| mentions(message, need))
}

/// Returns whether the message is one for missing or forbidden functions, modules or collations.
pub fn needs_more(message: &str) -> bool {
    NEEDS.iter().any(|need| mentions(message, need))
}
