//! The functions that were given: what they are, whether one runs, whether one has failed.

use std::{
    cell::{Cell, RefCell},
    cmp::Ordering,
    ffi::CString,
    rc::Rc,
};

use super::{arguments::Arguments, column_keys::ColumnKeys};
use crate::{
    error::{Error, Result},
    value::Value,
};

/// What a definition defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// A function of the values of one row.
    Scalar,
    /// A function of the values of many rows.
    Aggregate,
    /// The same, which can take back a row: also for windows (`OVER`).
    Window,
    /// An order of texts.
    Collation,
}

/// A function or a collation, as SQLite is to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionDefinition {
    /// Its name in SQL.
    pub name: String,
    /// What it is.
    pub kind: FunctionKind,
    /// Whether the same arguments always give the same result: needed in indexes and generated columns.
    pub deterministic: bool,
    /// Whether it may be called by statements only: not by views, triggers, indexes, defaults and checks of the schema.
    pub direct_only: bool,
}

/// What a function is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CallPhase {
    /// A scalar function: gives its result.
    Call,
    /// An aggregate gets a row. State 0: the first one of a group. Gives the number of the state, which isn't 0.
    Step,
    /// An aggregate takes back the row that it got first.
    Inverse,
    /// An aggregate's result at present; its state stays.
    Value,
    /// An aggregate's result. State 0: there were no rows. The state is not needed any more.
    Finish,
}

/// The functions behind [`FunctionDefinition`]s, by their place in the list. They can't use the database that calls them.
pub trait Functions {
    /// Calls a function. What it fails with becomes the cause of the statement's `sqlite_error`. After a step that failed nothing
    /// more is asked of that state.
    fn call(&self, function: usize, phase: CallPhase, state: u32, arguments: &Arguments<'_>) -> Result<Value>;

    /// Compares two texts by a collation.
    fn compare(&self, collation: usize, one: &str, other: &str) -> Result<Ordering>;
}

pub(super) struct Given {
    pub(super) definitions: Vec<(CString, FunctionDefinition)>,
    pub(super) functions: Rc<dyn Functions>,
}

/// What is looked at often: plain flags.
pub(super) struct Flags {
    pub(super) running: Cell<bool>,
    pub(super) failed: Cell<bool>,
}

thread_local! {
    pub(super) static FLAGS: Flags = const { Flags { running: Cell::new(false), failed: Cell::new(false) } };
    pub(super) static GIVEN: RefCell<Option<Given>> = const { RefCell::new(None) };
    pub(super) static COLUMN_KEYS: RefCell<Option<Rc<ColumnKeys>>> = const { RefCell::new(None) };
    static FAILURE: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// Whether a function of that name may be called by statements of the app only.
pub(in crate::sqlite) fn is_direct_only(name: &[u8]) -> bool {
    let is_given = |given: &Given| {
        let mut directly = given.definitions.iter().filter(|(_, definition)| definition.direct_only);
        directly.any(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
    };
    name.eq_ignore_ascii_case(b"decrypt") || GIVEN.with_borrow(|given| given.as_ref().is_some_and(is_given))
}

/// What to do about a message of SQLite's on `encrypt` or `decrypt`.
pub(in crate::sqlite) fn hint(message: &str) -> Option<&'static str> {
    let message = message.strip_suffix("()").unwrap_or(message);
    let (what, name) = message.split_at_checked(message.len().checked_sub("encrypt".len())?)?;
    if !name.eq_ignore_ascii_case("encrypt") && !name.eq_ignore_ascii_case("decrypt") {
        return None;
    }
    match what {
        "no such function: " | "unknown function: " => Some("Open the database with the option columnKey"),
        "unsafe use of " => {
            Some("Only statements and TEMP views and triggers can call it: its result must not get into the file")
        }
        _ => None,
    }
}

/// Whether one of the functions runs: its database must not be used meanwhile.
pub fn running() -> bool {
    FLAGS.with(|flags| flags.running.get())
}

/// The error for code that uses the database all the same.
#[cold]
pub fn inside() -> Error {
    Error::invalid("An SQL function can't use the database that calls it")
        .hint("Pass the values that it needs as arguments")
}

/// Whether a function or collation has failed since the last [`take_failure`].
pub(in crate::sqlite) fn failed() -> bool {
    FLAGS.with(|flags| flags.failed.get())
}

/// Keeps why one has failed, for the caller of the failed statement.
pub(super) fn fail(error: Error) {
    FAILURE.replace(Some(error));
    FLAGS.with(|flags| flags.failed.set(true));
}

/// Why.
pub(in crate::sqlite) fn take_failure() -> Option<Error> {
    if !FLAGS.with(|flags| flags.failed.take()) {
        return None;
    }
    FAILURE.take()
}
