//! The state of the users' functions: their definitions, whether one runs, and whether one has failed.

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

/// The kind of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// A scalar function, called for one row.
    Scalar,
    /// An aggregate function.
    Aggregate,
    /// An aggregate that can also remove rows, for windows (`OVER`).
    Window,
    /// A collation.
    Collation,
}

/// The definition of a function or a collation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionDefinition {
    /// Its name in SQL.
    pub name: String,
    /// Its kind.
    pub kind: FunctionKind,
    /// Whether the same arguments always give the same result: needed in indexes and generated columns.
    pub deterministic: bool,
    /// Whether only statements may call it, and not views, triggers, indexes, defaults and checks of the schema.
    pub direct_only: bool,
}

/// The phase of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CallPhase {
    /// Returns the result of a scalar function.
    Call,
    /// Adds a row to an aggregate. State 0 is that before the first row of a group. Returns the state number, which isn't 0.
    Step,
    /// Removes the oldest row from an aggregate.
    Inverse,
    /// Returns the current result of an aggregate, and keeps its state.
    Value,
    /// Returns the final result of an aggregate, and drops its state. State 0 means no rows.
    Finish,
}

/// The implementations of [`FunctionDefinition`]s, by their index. They can't use the database that calls them.
pub trait Functions {
    /// Calls a function. Its error becomes the cause of the statement's `sqlite_error`. After a failed step, that state is not used
    /// again.
    fn call(&self, function: usize, phase: CallPhase, state: u32, arguments: &Arguments<'_>) -> Result<Value>;

    /// Compares two texts by a collation.
    fn compare(&self, collation: usize, one: &str, other: &str) -> Result<Ordering>;
}

pub(super) struct Given {
    pub(super) definitions: Vec<(CString, FunctionDefinition)>,
    pub(super) functions: Rc<dyn Functions>,
}

/// Flags that are read often.
pub(super) struct Flags {
    pub(super) running: Cell<bool>,
    pub(super) failed: Cell<bool>,
    /// Whether what failed is a collation: SQLite went on with any order.
    pub(super) misordered: Cell<bool>,
}

thread_local! {
    pub(super) static FLAGS: Flags =
        const { Flags { running: Cell::new(false), failed: Cell::new(false), misordered: Cell::new(false) } };
    pub(super) static GIVEN: RefCell<Option<Given>> = const { RefCell::new(None) };
    pub(super) static COLUMN_KEYS: RefCell<Option<Rc<ColumnKeys>>> = const { RefCell::new(None) };
    static FAILURE: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// Returns whether only statements of the app may call the function of this name.
pub(in crate::sqlite) fn is_direct_only(name: &[u8]) -> bool {
    let is_given = |given: &Given| {
        let mut directly = given.definitions.iter().filter(|(_, definition)| definition.direct_only);
        directly.any(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
    };
    name.eq_ignore_ascii_case(b"decrypt") || GIVEN.with_borrow(|given| given.as_ref().is_some_and(is_given))
}

/// Returns whether the user has registered a function of this name.
pub fn is_given(name: &str) -> bool {
    any(|definition| definition.kind != FunctionKind::Collation && definition.name.eq_ignore_ascii_case(name))
}

/// Returns whether the user has registered a collation.
pub fn has_collations() -> bool {
    any(|definition| definition.kind == FunctionKind::Collation)
}

fn any(is: impl Fn(&FunctionDefinition) -> bool) -> bool {
    GIVEN.with_borrow(|given| given.as_ref().is_some_and(|given| given.definitions.iter().any(|(_, one)| is(one))))
}

/// Returns the hint for a message of SQLite about `encrypt` or `decrypt`.
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

/// Returns whether one of the functions runs; its database must not be used meanwhile.
pub fn running() -> bool {
    FLAGS.with(|flags| flags.running.get())
}

/// Returns the error for code that uses the database inside a function.
#[cold]
pub fn inside() -> Error {
    Error::invalid("An SQL function can't use the database that calls it")
        .hint("Pass the values that it needs as arguments")
}

/// Returns whether a function or collation has failed since the last [`take_failure`].
pub(in crate::sqlite) fn failed() -> bool {
    FLAGS.with(|flags| flags.failed.get())
}

/// Returns whether a collation has failed since then: the statement may have written rows in the wrong order, whatever it ends with.
pub(in crate::sqlite) fn misordered() -> bool {
    FLAGS.with(|flags| flags.misordered.get())
}

/// Keeps the error of a function for the caller of the failed statement.
pub(super) fn fail(error: Error) {
    FAILURE.replace(Some(error));
    FLAGS.with(|flags| flags.failed.set(true));
}

/// Takes the error of the failed function or collation.
pub(in crate::sqlite) fn take_failure() -> Option<Error> {
    FLAGS.with(|flags| flags.misordered.set(false));
    if !FLAGS.with(|flags| flags.failed.take()) {
        return None;
    }
    FAILURE.take()
}
