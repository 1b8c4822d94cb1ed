//! SQL functions and collations that users write, on every connection.
//!
//! SQLite has them by connection, and connections are opened in many places: a snapshot is verified, a file checked, a migration
//! tried in a scratch database. So they are kept for the thread, and [`Connection::open`] adds them; in wasm an instance has one
//! database, and these are its functions.
//!
//! Here is what every page has: that there may be functions, that one runs, that one has failed. The rest is a part of its own: `calls`
//! of the users' functions, and `columns`, which are `encrypt` and `decrypt` by `column_keys`.

mod calls;
mod column_keys;
mod columns;

use std::{
    cell::{Cell, RefCell},
    cmp::Ordering,
    ffi::CString,
    rc::Rc,
};

pub use calls::Arguments;
pub use column_keys::{ColumnKeys, Random};

use super::Connection;
use crate::{
    error::{Error, ErrorCode, Result},
    value::Value,
};

/// What a definition defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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
pub struct Definition {
    /// Its name in SQL.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether the same arguments always give the same result: needed in indexes and generated columns.
    pub deterministic: bool,
    /// Whether it may be called by statements only: not by views, triggers, indexes, defaults and checks of the schema.
    pub direct_only: bool,
}

/// What a function is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
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

/// The functions behind [`Definition`]s, by their place in the list. They can't use the database that calls them.
pub trait Functions {
    /// Calls a function. What it fails with becomes the cause of the statement's `sqlite_error`. After a step that failed nothing
    /// more is asked of that state.
    fn call(&self, function: usize, phase: Phase, state: u32, arguments: &Arguments<'_>) -> Result<Value>;

    /// Compares two texts by a collation.
    fn compare(&self, collation: usize, one: &str, other: &str) -> Result<Ordering>;
}

struct Given {
    definitions: Vec<(CString, Definition)>,
    functions: Rc<dyn Functions>,
}

/// Adds what is given to a connection.
type Register = fn(&Connection) -> Result<()>;

/// What is looked at often: plain flags.
struct Here {
    users: Cell<Option<Register>>,
    columns: Cell<Option<Register>>,
    running: Cell<bool>,
    failed: Cell<bool>,
}

thread_local! {
    static HERE: Here = const {
        Here { users: Cell::new(None), columns: Cell::new(None), running: Cell::new(false), failed: Cell::new(false) }
    };
    static GIVEN: RefCell<Option<Given>> = const { RefCell::new(None) };
    static COLUMN_KEYS: RefCell<Option<Rc<ColumnKeys>>> = const { RefCell::new(None) };
    static FAILURE: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// Gives every connection that this thread opens from now on these functions, in place of those that were given before.
///
/// `invalid_argument` for a name that SQLite doesn't take.
pub fn add(definitions: Vec<Definition>, functions: Rc<dyn Functions>) -> Result<()> {
    let named = definitions.into_iter().map(|definition| {
        let name = CString::new(definition.name.as_str()).ok().filter(|name| (1..=255).contains(&name.count_bytes()));
        let name = name.ok_or_else(|| Error::invalid("An SQL function must have a name of 1 to 255 bytes"))?;
        Ok((name, definition))
    });
    let definitions = named.collect::<Result<_>>()?;
    GIVEN.replace(Some(Given { definitions, functions }));
    // Opaque: were it known what is called, the code behind it would belong to the core.
    HERE.with(|here| here.users.set(Some(std::hint::black_box(calls::register as Register))));
    Ok(())
}

/// Gives every connection that this thread opens from now on `encrypt(text)` and `decrypt(blob)` under these keys, in place of those that
/// were given before. NULL gives NULL.
///
/// `encrypt` takes texts only (`invalid_argument`). `decrypt` fails as [`ColumnKeys::decrypt`] does, and can't be called by the
/// schema, which a file from elsewhere may bring along: only by statements, and by temporary views and triggers.
pub fn add_column_keys(keys: ColumnKeys) {
    COLUMN_KEYS.replace(Some(Rc::new(keys)));
    HERE.with(|here| here.columns.set(Some(std::hint::black_box(columns::register as Register))));
}

/// Adds what is given, if anything, to a connection that was just opened.
pub(super) fn register(connection: &Connection) -> Result<()> {
    let add = |register: Option<Register>| register.map_or(Ok(()), |register| register(connection));
    HERE.with(|here| add(here.users.get()).and_then(|()| add(here.columns.get())))
}

/// Whether a function of that name may be called by statements of the app only.
pub(super) fn is_direct_only(name: &[u8]) -> bool {
    let is_given = |given: &Given| {
        let mut directly = given.definitions.iter().filter(|(_, definition)| definition.direct_only);
        directly.any(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
    };
    name.eq_ignore_ascii_case(b"decrypt") || GIVEN.with_borrow(|given| given.as_ref().is_some_and(is_given))
}

/// What to do about a message of SQLite's on `encrypt` or `decrypt`.
pub(super) fn hint(message: &str) -> Option<&'static str> {
    let message = message.strip_suffix("()").unwrap_or(message);
    let (what, name) = message.split_at_checked(message.len().checked_sub("encrypt".len())?)?;
    if !name.eq_ignore_ascii_case("encrypt") && !name.eq_ignore_ascii_case("decrypt") {
        return None;
    }
    match what {
        "no such function: " | "unknown function: " => Some("Open the database with the option columnKey"),
        "unsafe use of " => Some(
            "It can be called by statements, and by TEMP views and triggers: what it gives must not get into the file",
        ),
        _ => None,
    }
}

/// Whether one of the functions runs: its database must not be used meanwhile.
pub fn running() -> bool {
    HERE.with(|here| here.running.get())
}

/// The error for whoever uses the database all the same.
#[cold]
pub fn inside() -> Error {
    Error::invalid("An SQL function can't use the database that calls it")
        .hint("What it needs must be among its arguments")
}

/// Whether a function or collation has failed since the last [`take_failure`].
pub(super) fn failed() -> bool {
    HERE.with(|here| here.failed.get())
}

/// Keeps why one has failed for whoever hears of the failed statement.
fn fail(error: Error) {
    FAILURE.replace(Some(error));
    HERE.with(|here| here.failed.set(true));
}

/// Why.
pub(super) fn take_failure() -> Option<Error> {
    if !HERE.with(|here| here.failed.take()) {
        return None;
    }
    FAILURE.take()
}

/// A statement went on after a collation had failed, which SQLite can't be told: what it wrote may be in any order.
#[cold]
pub(super) fn undo(connection: &Connection, wrote: bool) -> Error {
    let failure = take_failure();
    if wrote && connection.in_transaction() {
        // The failure says more than one of the rollback.
        let _ = connection.exec("ROLLBACK");
    }
    failure.unwrap_or_else(|| {
        Error::new(ErrorCode::SqliteError, "A collation failed").hint("It must give a number for any two texts")
    })
}
