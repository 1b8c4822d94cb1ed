//! Schemas: what a database has, how two differ, and the script that leads from one to the other.
//!
//! There is no SQL parser here. Facts come from pragmas; a CREATE TABLE is cut at its top-level commas, and a column at its
//! constraints; what has the same tokens is the same.
//!
//! | file | what |
//! |---|---|
//! | [`definition`] | a CREATE TABLE as columns, constraints and options (pure) |
//! | [`facts`] | everything in a database's schema |
//! | [`drift`] | how two schemas differ (pure) |
//! | [`script`] | a script in the making |
//! | [`change`] | the script from one to the other (pure) |
//! | [`rebuild`] | the script that rebuilds one table (pure) |
//! | [`rename`] | renames, which must be told |
//! | [`generate`] | both ways between two schemas |

pub mod change;
pub mod definition;
pub mod drift;
pub mod facts;
pub mod generate;
mod rebuild;
pub mod rename;
pub mod script;

pub use drift::{Drift, DriftEntry, drift};
pub use facts::{ObjectKind, Schema};
pub use generate::{Generated, generate};
pub use rename::Renames;

/// Whether two names are the same to SQLite.
fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}
