//! SQL functions and collations that users write, on every connection.
//!
//! SQLite has them by connection, and connections are opened in many places: a snapshot is verified, a file checked, a migration
//! tried in a scratch database. So they are kept for the thread, and [`Connection::open`] adds them; in wasm an instance has one
//! database, and these are its functions.
//!
//! Here is what every page has: that there may be functions, that one runs, that one has failed. The rest is a part of its own: `calls`
//! of the users' functions, and `columns`, which are `encrypt` and `decrypt` by `column_keys`.

mod arguments;
mod calls;
mod column_keys;
mod columns;
pub(super) mod given;

use std::{cell::Cell, ffi::CString, rc::Rc};

pub use arguments::Arguments;
pub use column_keys::{ColumnKeys, Random};
pub use given::{CallPhase, FunctionDefinition, FunctionKind, Functions, inside, running};

use given::{COLUMN_KEYS, GIVEN, Given, take_failure};

use super::Connection;
use crate::error::{Error, ErrorCode, Result};

/// Adds what is given to a connection.
type Register = fn(&Connection) -> Result<()>;

/// What adds the users' functions, and `encrypt` and `decrypt`, if they are given.
struct Registers {
    users: Cell<Option<Register>>,
    columns: Cell<Option<Register>>,
}

thread_local! {
    static REGISTERS: Registers = const { Registers { users: Cell::new(None), columns: Cell::new(None) } };
}

/// Gives every connection that this thread opens from now on these functions, in place of those that were given before.
///
/// `invalid_argument` for a name that SQLite doesn't take.
pub fn add(definitions: Vec<FunctionDefinition>, functions: Rc<dyn Functions>) -> Result<()> {
    let named = definitions.into_iter().map(|definition| {
        let name = CString::new(definition.name.as_str()).ok().filter(|name| (1..=255).contains(&name.count_bytes()));
        let name = name.ok_or_else(|| Error::invalid("An SQL function must have a name of 1 to 255 bytes"))?;
        Ok((name, definition))
    });
    let definitions = named.collect::<Result<_>>()?;
    GIVEN.replace(Some(Given { definitions, functions }));
    // Opaque: were it known what is called, the code behind it would belong to the core.
    REGISTERS.with(|registers| registers.users.set(Some(std::hint::black_box(calls::register as Register))));
    Ok(())
}

/// Gives every connection that this thread opens from now on `encrypt(text)` and `decrypt(blob)` under these keys, in place of those that
/// were given before. NULL gives NULL.
///
/// `encrypt` takes texts only (`invalid_argument`). `decrypt` fails as [`ColumnKeys::decrypt`] does, and can't be called by the
/// schema, which a file from elsewhere may bring along: only by statements, and by temporary views and triggers.
pub fn add_column_keys(keys: ColumnKeys) {
    COLUMN_KEYS.replace(Some(Rc::new(keys)));
    REGISTERS.with(|registers| registers.columns.set(Some(std::hint::black_box(columns::register as Register))));
}

/// Adds what is given, if anything, to a connection that was just opened.
pub(super) fn register(connection: &Connection) -> Result<()> {
    let add = |register: Option<Register>| register.map_or(Ok(()), |register| register(connection));
    REGISTERS.with(|registers| add(registers.users.get()).and_then(|()| add(registers.columns.get())))
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
        Error::new(ErrorCode::SqliteError, "A collation failed").hint("It must return a number for any two texts")
    })
}
