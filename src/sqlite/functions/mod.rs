//! SQL functions and collations of users, on every connection.
//!
//! SQLite registers functions per connection, and tidelock opens connections in many places: to verify a snapshot, to check a file, to
//! try a migration. So the functions are kept per thread, and [`Connection::open`] registers them. In wasm, an instance has one database
//! and its functions.
//!
//! This module and `given` belong to the core of the wasm: registered, running and failed functions. The rest is in separate parts:
//! `calls` with the callbacks of the users' functions, and `columns` with `encrypt` and `decrypt` over `column_keys`.

mod arguments;
mod calls;
mod column_encryption;
mod column_keys;
pub(super) mod user_functions;

use std::{cell::Cell, ffi::CString, rc::Rc};

pub use arguments::Arguments;
pub use column_keys::{ColumnKeys, Random};
pub use user_functions::{
    CallPhase, FunctionDefinition, FunctionKind, Functions, has_collations, inside, is_given, running,
};

use user_functions::{COLUMN_KEYS, GIVEN, Given, take_failure};

use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::Connection,
};

/// Registers functions on a connection.
type Register = fn(&Connection) -> Result<()>;

/// Registers the users' functions, and `encrypt` and `decrypt`, if there are any.
struct Registers {
    users: Cell<Option<Register>>,
    columns: Cell<Option<Register>>,
}

thread_local! {
    static REGISTERS: Registers = const { Registers { users: Cell::new(None), columns: Cell::new(None) } };
}

/// Sets the functions of all connections that this thread opens from now on. Replaces previous functions.
///
/// Fails with `invalid_argument` for a name that SQLite refuses.
pub fn add(definitions: Vec<FunctionDefinition>, functions: Rc<dyn Functions>) -> Result<()> {
    let named = definitions.into_iter().map(|definition| {
        let name = CString::new(definition.name.as_str()).ok().filter(|name| (1..=255).contains(&name.count_bytes()));
        let name = name.ok_or_else(|| Error::invalid("An SQL function must have a name of 1 to 255 bytes"))?;
        Ok((name, definition))
    });
    let definitions = named.collect::<Result<_>>()?;
    GIVEN.replace(Some(Given { definitions, functions }));
    // A function pointer, so that the called code doesn't become part of the wasm's core.
    REGISTERS.with(|registers| registers.users.set(Some(std::hint::black_box(calls::register as Register))));
    Ok(())
}

/// Sets the keys of `encrypt(text)` and `decrypt(blob)` on all connections that this thread opens from now on. Replaces previous keys. Both
/// return NULL for NULL.
///
/// `encrypt` fails with `invalid_argument` for values other than texts. `decrypt` fails like [`ColumnKeys::decrypt`]. Only statements and
/// temporary views and triggers can call `decrypt`; the schema can't, since it may come from an imported file.
pub fn add_column_keys(keys: ColumnKeys) {
    COLUMN_KEYS.replace(Some(Rc::new(keys)));
    REGISTERS
        .with(|registers| registers.columns.set(Some(std::hint::black_box(column_encryption::register as Register))));
}

/// Registers the functions, if there are any, on a connection that was just opened.
pub(super) fn register(connection: &Connection) -> Result<()> {
    let add = |register: Option<Register>| register.map_or(Ok(()), |register| register(connection));
    REGISTERS.with(|registers| add(registers.users.get()).and_then(|()| add(registers.columns.get())))
}

/// Rolls back a write during which a collation failed, since SQLite continued and may have used any order. Returns the error of the
/// collation.
#[cold]
pub(super) fn undo(connection: &Connection, wrote: bool) -> Error {
    let failure = take_failure();
    if wrote && connection.in_transaction() {
        // The error of the function is more useful than an error of the rollback.
        let _ = connection.without_deadline(|| connection.exec("ROLLBACK"));
    }
    failure.unwrap_or_else(|| {
        Error::new(ErrorCode::SqliteError, "A collation failed").hint("It must return a number for any two texts")
    })
}
