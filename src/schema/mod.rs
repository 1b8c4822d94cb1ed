//! Schemas: reading one, comparing two, and the script that changes one into the other.
//!
//! There is no SQL parser here. Properties come from pragmas; a CREATE TABLE is split at its top-level commas, and a
//! column at its constraints; equal tokens mean equal objects.
//!
//! | file | what |
//! |---|---|
//! | [`definition`] | a CREATE TABLE as columns, constraints and options (pure) |
//! | [`model`] | a database's schema |
//! | [`drift`] | the differences between two schemas (pure) |
//! | [`script`] | a script in the making |
//! | [`change`] | the script from one to the other (pure) |
//! | [`rebuild`] | the script that rebuilds one table (pure) |
//! | [`rename`] | renames, which the caller must name |
//! | [`generate`] | the scripts in both directions |

pub mod change;
pub mod definition;
pub mod drift;
pub mod generate;
pub mod model;
mod rebuild;
pub mod rename;
pub mod script;

pub use drift::{Drift, DriftEntry, drift};
pub use generate::{GeneratedMigration, generate};
pub use model::{Schema, SchemaObjectKind};
pub use rename::Renames;

/// Returns whether two names are equal to SQLite.
fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}
